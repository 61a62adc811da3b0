"""Behaviours of one write: intent first, veto, withdrawal, evidence, progress, honest errors."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest

from encoder_bridge.driver import (
    CardRejected,
    CredentialRejected,
    DriverError,
    Evidence,
    Intent,
    Receipt,
    SettingsRejected,
    Unsure,
    Withdrawn,
)

from ._desk import Hand, RigDesk, Step, strike_on, withdraw
from ._rig import Rig
from ._run import encode, ended, in_loop, opened, outcome, resolve, within

_STRENGTH = {Evidence.ATTESTED: 0, Evidence.CONTROL_PLANE: 1, Evidence.READ_BACK: 2}


A_MOMENT_S = 0.1
"""Seconds; a device that intends before it waits for a person has done so by then."""

SILENCES = 1.5
"""How many times the promised silence nobody comes."""


class WriteContract:
    """One call of `encode` with nothing to resume."""

    @in_loop
    async def test_a_card_is_made_and_its_receipt_claims_no_more_than_the_device_can(self, rig: Rig) -> None:
        """`encode` ends in a `Receipt`, one card carries the credential, the evidence is within the capability."""
        async with opened(rig) as device:
            receipt = await encode(rig, device, rig.credential(1), RigDesk(rig))
            best = device.capabilities.evidence
            technologies = device.capabilities.technologies
        assert isinstance(receipt, Receipt)
        assert rig.carries(rig.credential(1)) == 1
        assert _STRENGTH[receipt.evidence] <= _STRENGTH[best]
        assert receipt.card is None or receipt.card.technology in technologies

    @in_loop
    async def test_a_device_that_cannot_tell_cards_apart_gives_no_uid(self, rig: Rig) -> None:
        """Not in an intent, in a prompt or in the receipt: the core would judge cards by it."""
        desk = RigDesk(rig)
        async with opened(rig) as device:
            apart = device.capabilities.tells_cards_apart
            receipt = await encode(rig, device, rig.credential(1), desk)
        if apart:
            pytest.skip("this device tells cards apart")
        cards = [receipt.card, *(intent.card for intent in desk.intents), *desk.named]
        assert {card.uid for card in cards if card} <= {None}, "it cannot tell cards apart, and names one"

    @in_loop
    async def test_two_encodes_make_two_cards(self, rig: Rig) -> None:
        """One open device makes one card after the other, and the second leaves the first alone."""
        async with opened(rig) as device:
            for sequence in (1, 2):
                await encode(rig, device, rig.credential(sequence), RigDesk(rig))
        assert [rig.carries(rig.credential(sequence)) for sequence in (1, 2)] == [1, 1]

    @in_loop
    async def test_the_intent_is_on_disk_before_the_first_byte(self, rig: Rig) -> None:
        """When `intend` is called and until it returns, every card is as it was; without it none is written."""
        before = rig.snapshot()
        seen: list[object] = []

        def look(_desk: RigDesk) -> None:
            seen.append(rig.snapshot())

        for step in (Step.INTEND, Step.COMMITTED):
            async with opened(rig) as device:
                await encode(rig, device, rig.credential(1), RigDesk(rig, strike=strike_on(step, look)))
            if step is Step.INTEND:
                assert seen, "a card was written and nothing was intended"
                assert seen == [before], "a card changed before the intent was on disk"
                before = rig.snapshot()
        assert seen[1:] == [before], "a card changed while the intent was committed"

    @in_loop
    async def test_a_withdrawing_veto_touches_nothing_and_passes_unchanged(self, rig: Rig) -> None:
        """`Withdrawn` from the first `intend` is what `encode` raises, and no card has changed."""
        await _vetoed(rig, Withdrawn("This card is no longer wanted."))

    @in_loop
    async def test_a_veto_on_the_card_touches_nothing_and_another_card_will_do(self, rig: Rig) -> None:
        """`CardRejected` from the first `intend` is what `encode` raises; the same job then makes its card."""
        await _vetoed(rig, CardRejected("This card belongs to another guest."))
        async with opened(rig) as device:
            await encode(rig, device, rig.credential(1), RigDesk(rig))
        assert rig.carries(rig.credential(1)) == 1

    @in_loop
    async def test_a_withdrawal_before_a_card_comes_ends_the_call(self, rig: Rig) -> None:
        """Nobody comes, the job is off: `Withdrawn` within the promised silence, and no card has changed."""
        before = rig.snapshot()
        desk = RigDesk(rig, hand=Hand.NONE, strike=strike_on(Step.ASK, withdraw))
        async with opened(rig) as device:
            call = device.encode(rig.credential(1), desk)
            with pytest.raises((Withdrawn, Unsure)) as ending:
                await within(device.capabilities.silence_s, "a withdrawn encode", call)
        assert desk.intents or not isinstance(ending.value, Unsure), "unsure, and nothing was intended"
        assert rig.snapshot() == before

    @in_loop
    async def test_a_withdrawal_after_the_intent_ends_honestly(self, rig: Rig) -> None:
        """The write ends within `silence_s`, in a `Receipt`, in `Unsure`, or in `Withdrawn` if nothing changed."""
        before = rig.snapshot()
        credential = rig.credential(1)
        desk = RigDesk(rig, strike=strike_on(Step.COMMITTED, withdraw))
        async with opened(rig) as device:
            ending = await outcome(rig, device, credential, desk)
            promised_s = device.capabilities.silence_s
        assert desk.ended_at - desk.withdrawn_at <= promised_s
        if isinstance(ending, Receipt):
            assert rig.carries(credential) == 1
        elif isinstance(ending, Unsure):
            await resolve(rig, credential, desk.intent)
        else:
            assert isinstance(ending, Withdrawn)
            assert rig.snapshot() == before, "Withdrawn, and a card has changed"

    @in_loop
    async def test_an_impossible_credential_is_refused_before_anyone_is_asked(self, rig: Rig) -> None:
        """`check` and `encode` raise `CredentialRejected`; nobody was prompted, nothing intended or changed."""
        if rig.impossible is None:
            pytest.skip("the rig names no impossible credential")
        before = rig.snapshot()
        desk = RigDesk(rig)
        async with opened(rig) as device:
            with pytest.raises(CredentialRejected):
                device.check(rig.impossible)
            with pytest.raises(CredentialRejected):
                await encode(rig, device, rig.impossible, desk)
        assert not desk.steps, "somebody was asked for a card that cannot be made"
        assert rig.snapshot() == before

    @in_loop
    async def test_progress_only_grows(self, rig: Rig) -> None:
        """Never backwards, never beyond the total, which stays what it was."""
        desk = RigDesk(rig)
        async with opened(rig) as device:
            await encode(rig, device, rig.credential(1), desk)
        assert all(0 <= done <= total for done, total in desk.strides), desk.strides
        for (done, total), (later, same) in itertools.pairwise(desk.strides):
            assert (done <= later, total) == (True, same), f"progress went from {done}/{total} to {later}/{same}"

    @in_loop
    async def test_the_desk_is_not_left_in_silence(self, rig: Rig) -> None:
        """From the first intent to the end, no two signs of life are further apart than `silence_s`."""
        desk = RigDesk(rig)
        async with opened(rig) as device:
            promised_s = device.capabilities.silence_s
            await encode(rig, device, rig.credential(1), desk)
        silence_s = _longest_silence(desk, desk.ended_at)
        assert silence_s <= promised_s, f"{silence_s:.2f} s of silence, {promised_s:g} s promised"

    @in_loop
    async def test_waiting_for_a_person_is_no_silence(self, rig: Rig) -> None:
        """A device that intends first and then waits for a hand gives signs of life while nobody comes."""
        desk = RigDesk(rig, hand=Hand.NONE)
        async with opened(rig) as device:
            promised_s = device.capabilities.silence_s
            call = asyncio.ensure_future(device.encode(rig.credential(1), desk))
            await asyncio.wait({call}, timeout=A_MOMENT_S)
            if desk.intents:
                await asyncio.wait({call}, timeout=SILENCES * promised_s)
            desk.withdraw()
            with contextlib.suppress(DriverError):
                await ended(rig.patience_s, "a withdrawn encode", call)
        if desk.intents:
            silence_s = _longest_silence(desk, desk.withdrawn_at)
            assert silence_s <= promised_s, f"{silence_s:.2f} s of silence, {promised_s:g} s promised"

    @in_loop
    async def test_after_any_fault_the_word_of_the_driver_holds(self, rig: Rig) -> None:
        """A `Receipt` means one card; any error but `Unsure` means no change; resumed, it ends in one card."""
        if not rig.faults:
            pytest.skip("the rig names no faults")
        for sequence, (name, cause) in enumerate(rig.faults.items(), start=1):
            credential, desk = rig.credential(sequence), RigDesk(rig)
            before = rig.snapshot()
            cause()
            async with opened(rig) as device:
                ending = await outcome(rig, device, credential, desk)
            if isinstance(ending, Receipt):
                assert rig.carries(credential) == 1, f"{name}: a receipt, and not one card"
            elif isinstance(ending, Unsure):
                assert desk.intents, f"{name}: unsure, and nothing was intended"
                await resolve(rig, credential, desk.intent)
            else:
                assert rig.snapshot() == before, f"{name}: {type(ending).__name__} says no card has changed"

    @in_loop
    async def test_only_driver_errors_escape(self, rig: Rig) -> None:
        """Faults, and an intent it has never seen, end in a `Receipt` or a `DriverError` with a sentence."""
        endings: list[Receipt | DriverError] = []
        for sequence, cause in enumerate(rig.faults.values(), start=1):
            cause()
            async with opened(rig) as device:
                endings.append(await outcome(rig, device, rig.credential(sequence), RigDesk(rig)))
        for note in ({}, {"note of": "an older version"}):
            desk = RigDesk(rig, hand=Hand.NONE, strike=strike_on(Step.ASK, withdraw))
            strange = Intent(card=None, note=note)
            async with opened(rig) as device:
                endings.append(await outcome(rig, device, rig.credential(len(rig.faults) + 1), desk, strange))
        for ending in endings:
            assert not isinstance(ending, SettingsRejected)
            assert isinstance(ending, Receipt) or str(ending), "an error without a sentence"


async def _vetoed(rig: Rig, veto: DriverError) -> None:
    def refuse(_desk: RigDesk) -> None:
        raise veto

    before = rig.snapshot()
    async with opened(rig) as device:
        with pytest.raises(DriverError) as passed:
            await encode(rig, device, rig.credential(1), RigDesk(rig, strike=strike_on(Step.INTEND, refuse)))
    assert passed.value is veto, "the veto did not pass unchanged"
    assert rig.snapshot() == before, "a card changed after a veto"


def _longest_silence(desk: RigDesk, end: float) -> float:
    """Seconds; the longest gap between two steps from the first intent to `end`."""
    first = next(index for index, (step, _) in enumerate(desk.steps) if step is Step.COMMITTED)
    times = [time for _, time in desk.steps[first:] if time < end]
    return max(later - time for time, later in itertools.pairwise([*times, end]))
