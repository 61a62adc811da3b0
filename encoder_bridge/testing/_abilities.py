"""Behaviours of what a device can do besides encoding; a device that cannot is skipped by name."""

from __future__ import annotations

import asyncio
import contextlib
from typing import NoReturn

import pytest

from encoder_bridge.driver import DriverError, Eraser, Intent, Reader, Receipt, Sensing, Signaller, Withdrawn

from ._desk import Hand, RigDesk, Step, crash, strike_at, strike_on, withdraw
from ._rig import Rig
from ._run import LAST_STEP, NO_IDENTITY, encode, in_loop, opened, outlived, within
from ._wrong import WrongCardDesk

A_MOMENT_S = 0.05
"""Seconds; time enough for something that returns at once to do so."""


class AbilityContract:
    """`Reader`, `Eraser`, `Sensing` and `Signaller`, asked for by `isinstance`."""

    @in_loop
    async def test_a_reader_reads_what_was_encoded_and_changes_nothing(self, rig: Rig) -> None:
        """The card is the one of the receipt, a field that the credential names says the same."""
        credential = rig.credential(1)
        async with opened(rig) as device:
            if not isinstance(device, Reader):
                _skip(Reader)
            receipt = await encode(rig, device, credential, RigDesk(rig))
            before, desk = rig.snapshot(), RigDesk(rig, hand=Hand.LAST)
            contents = await within(rig.patience_s, "read", device.read(desk))
        assert rig.snapshot() == before, "reading changed a card"
        assert not desk.intents, "reading intended to change a card"
        assert receipt.card in (None, contents.card)
        named = {key: text for key, text in contents.fields.items() if key in credential.fields}
        assert named == {key: credential.fields[key] for key in named}

    @in_loop
    async def test_a_withdrawn_read_ends(self, rig: Rig) -> None:
        """Nobody comes, the reading is off: `Withdrawn` within the promised silence."""
        desk = RigDesk(rig, hand=Hand.NONE, strike=strike_on(Step.ASK, withdraw))
        async with opened(rig) as device:
            if not isinstance(device, Reader):
                _skip(Reader)
            with pytest.raises(Withdrawn):
                await within(device.capabilities.silence_s, "a withdrawn read", device.read(desk))

    @in_loop
    async def test_an_eraser_blanks_that_card_and_no_other(self, rig: Rig) -> None:
        """The intent comes first, a `Receipt` last; the card made before it still opens its door."""
        async with opened(rig) as device:
            if not isinstance(device, Eraser):
                _skip(Eraser)
            for sequence in (1, 2):
                await encode(rig, device, rig.credential(sequence), RigDesk(rig))
            before = rig.snapshot()
            seen: list[object] = []
            look = strike_on(Step.COMMITTED, lambda _desk: seen.append(rig.snapshot()))
            desk = RigDesk(rig, hand=Hand.LAST, strike=look)
            receipt = await within(rig.patience_s, "erase", device.erase(desk))
        assert isinstance(receipt, Receipt)
        assert seen == [before], "a card was blanked before the intent was on disk"
        assert [rig.carries(rig.credential(sequence)) for sequence in (1, 2)] == [1, 0]

    @in_loop
    async def test_a_vetoed_erasure_blanks_nothing(self, rig: Rig) -> None:
        """What the first `intend` raises is what `erase` raises, and no card has changed."""
        veto = Withdrawn("This card is still wanted.")

        def refuse(_desk: RigDesk) -> None:
            raise veto

        async with opened(rig) as device:
            if not isinstance(device, Eraser):
                _skip(Eraser)
            await encode(rig, device, rig.credential(1), RigDesk(rig))
            before = rig.snapshot()
            desk = RigDesk(rig, hand=Hand.LAST, strike=strike_on(Step.INTEND, refuse))
            with pytest.raises(Withdrawn) as passed:
                await within(rig.patience_s, "erase", device.erase(desk))
        assert passed.value is veto
        assert rig.snapshot() == before

    @in_loop
    async def test_a_withdrawn_erasure_ends_and_blanks_nothing(self, rig: Rig) -> None:
        """Nobody comes, the erasing is off: `Withdrawn` within the promised silence, and no card has changed."""
        async with opened(rig) as device:
            if not isinstance(device, Eraser):
                _skip(Eraser)
            await encode(rig, device, rig.credential(1), RigDesk(rig))
            before = rig.snapshot()
            desk = RigDesk(rig, hand=Hand.NONE, strike=strike_on(Step.ASK, withdraw))
            with pytest.raises(Withdrawn):
                await within(device.capabilities.silence_s, "a withdrawn erasure", device.erase(desk))
        assert rig.snapshot() == before

    @in_loop
    async def test_a_wrong_card_laid_to_resume_an_erasure_is_left_alone(self, rig: Rig) -> None:
        """First another card made here lies there, then the one intended: the other still opens its door."""
        async with opened(rig) as device:
            if not isinstance(device, Eraser):
                _skip(Eraser)
            other = (await encode(rig, device, rig.credential(1), RigDesk(rig))).card
            await encode(rig, device, rig.credential(2), RigDesk(rig))
        if other is None or other.uid is None:
            pytest.skip(NO_IDENTITY)
        first = RigDesk(rig, hand=Hand.LAST, strike=strike_on(Step.COMMITTED, crash))
        with outlived():
            await _erase(rig, first, None)
        assert first.intent, "a card was blanked and nothing was intended"
        assert first.intent.card, "the intent names no card"
        desk = WrongCardDesk(rig, first.intent.card, wrong=other)
        try:
            with contextlib.suppress(DriverError):
                await _erase(rig, desk, first.intent)
        finally:
            desk.leave()
        assert not desk.wrong_was_written, "a card was blanked that is not the one intended"
        assert rig.carries(rig.credential(1)) == 1

    @in_loop
    async def test_a_crash_at_any_step_of_an_erasure_ends_in_a_blank_card(self, rig: Rig) -> None:
        """The process dies at the first, second, third ... step; resumed with the last intent, the card is blank."""
        for count in range(1, LAST_STEP):
            async with opened(rig) as device:
                if not isinstance(device, Eraser):
                    _skip(Eraser)
                await encode(rig, device, rig.credential(count), RigDesk(rig))
            desk, receipt = RigDesk(rig, hand=Hand.LAST, strike=strike_at(count, crash)), None
            with outlived():
                receipt = await _erase(rig, desk, None)
            if receipt is None:
                await _erase(rig, RigDesk(rig, hand=Hand.LAST), desk.intent)
            assert rig.carries(rig.credential(count)) == 0
            if len(desk.steps) < count:
                return

    @in_loop
    async def test_lifted_returns_after_the_card_was_lifted_and_not_before(self, rig: Rig) -> None:
        """It waits while the card of the last job lies there, and returns at once when none does."""
        async with opened(rig) as device:
            if not isinstance(device, Sensing):
                _skip(Sensing)
            await encode(rig, device, rig.credential(1), RigDesk(rig))
            lifted = asyncio.ensure_future(device.lifted())
            await asyncio.wait({lifted}, timeout=A_MOMENT_S)
            assert not lifted.done(), "the card still lies there"
            rig.person.lift()
            done, _ = await asyncio.wait({lifted}, timeout=rig.patience_s)
            assert done, "the card was lifted and nobody was told"
            await within(rig.patience_s, "lifted, with no card there", device.lifted())

    @in_loop
    async def test_a_signal_changes_no_card(self, rig: Rig) -> None:
        """Both signals come to an end."""
        async with opened(rig) as device:
            if not isinstance(device, Signaller):
                _skip(Signaller)
            await encode(rig, device, rig.credential(1), RigDesk(rig))
            before = rig.snapshot()
            for ok in (True, False):
                await within(rig.patience_s, "signal", device.signal(ok))
        assert rig.snapshot() == before


async def _erase(rig: Rig, desk: RigDesk, resume: Intent | None) -> Receipt:
    async with opened(rig) as device:
        assert isinstance(device, Eraser)
        return await within(rig.patience_s, "erase", device.erase(desk, resume))


def _skip(ability: type[object]) -> NoReturn:
    pytest.skip(f"this device is no {ability.__name__}")
