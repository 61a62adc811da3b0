"""Behaviours after a crash, after a shutdown and after the fact: one good card, never two."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from encoder_bridge.driver import Credential, DriverError, Intent, Prompt, Receipt, Sensing, Unsure

from ._desk import RigDesk, Step, crash, shut_down, strike_at, strike_on
from ._rig import Rig
from ._run import LAST_STEP, NO_IDENTITY, encode, in_loop, opened, outcome, outlived, resolve
from ._wrong import WrongCardDesk


class ResumeContract:
    """`encode` with the intent of a call that did not come to its end."""

    @in_loop
    async def test_a_crash_at_any_step_ends_in_one_good_card(self, rig: Rig) -> None:
        """The process dies at the first, second, third ... step; reopened and resumed, one card is good."""
        for count in range(1, LAST_STEP):
            if not await _struck(rig, count, crash):
                return
        raise AssertionError(f"a card takes more than {LAST_STEP} steps")

    @in_loop
    async def test_a_crash_during_the_resume_ends_in_one_good_card(self, rig: Rig) -> None:
        """The process dies at the intent, and again at any step of the resumed call; one card is good."""
        for count in range(1, LAST_STEP):
            if not await _struck(rig, count, crash, begun=True):
                return

    @in_loop
    async def test_a_shutdown_at_any_step_ends_in_one_good_card(self, rig: Rig) -> None:
        """Cancelled at any step, the call ends in time; resumed, one card is good."""
        for count in range(1, LAST_STEP):
            if not await _struck(rig, count, shut_down):
                return

    @in_loop
    async def test_resuming_what_was_complete_writes_nothing(self, rig: Rig) -> None:
        """The card was good and only the outcome was lost: a `Receipt`, and every card is as it was."""
        credential, desk = rig.credential(1), RigDesk(rig)
        async with opened(rig) as device:
            await encode(rig, device, credential, desk)
        assert desk.intents, "a card was written and nothing was intended"
        before = rig.snapshot()
        await resolve(rig, credential, desk.intent)
        assert rig.snapshot() == before, "a good card was written again"

    @in_loop
    async def test_a_wrong_card_laid_on_resume_is_left_alone(self, rig: Rig) -> None:
        """First a fresh card lies there, then the one intended: the fresh one stays blank, the other ends up good.

        Once the write died before the card was touched, and once it was complete and only the outcome was lost.
        """
        for sequence, step in enumerate((Step.COMMITTED, None), start=1):
            credential = rig.credential(sequence)
            first = RigDesk(rig, strike=strike_on(step, crash)) if step else RigDesk(rig)
            await _attempt(rig, first, credential, None)
            assert first.intent, "a card was written and nothing was intended"
            if first.intent.card is None or first.intent.card.uid is None:
                pytest.skip(NO_IDENTITY)
            before = rig.snapshot()
            desk = WrongCardDesk(rig, first.intent.card)
            try:
                ending = await _attempt(rig, desk, credential, first.intent)
            finally:
                desk.leave()
            assert not desk.wrong_was_written, "a card was written that is not the one intended"
            if isinstance(ending, Receipt):
                assert rig.carries(credential) == 1, "a receipt, and not one card"
                continue
            if not isinstance(ending, Unsure):
                assert rig.snapshot() == before, f"{type(ending).__name__} says no card has changed"
            await resolve(rig, credential, desk.intent or first.intent)

    @in_loop
    async def test_a_wrong_card_laid_on_resume_is_called_so(self, rig: Rig) -> None:
        """A device that senses cards and tells them apart says `WRONG_CARD`, with that card or none beside it.

        It says so for a resume alone.
        """
        async with opened(rig) as device:
            if not isinstance(device, Sensing):
                pytest.skip("this device is no Sensing")
            apart = device.capabilities.tells_cards_apart
        first = RigDesk(rig, strike=strike_on(Step.COMMITTED, crash))
        await _attempt(rig, first, rig.credential(1), None)
        assert first.intent, "a card was written and nothing was intended"
        named = first.intent.card
        if not apart or named is None or named.uid is None:
            pytest.skip(NO_IDENTITY)
        desk = WrongCardDesk(rig, named)
        try:
            await _attempt(rig, desk, rig.credential(1), first.intent)
        finally:
            desk.leave()
        assert Prompt.WRONG_CARD not in first.prompts, "no card is wrong where any will do"
        assert desk.called_wrong, "the wrong card lay there, and nobody was told"
        assert named not in desk.called_wrong, "the card that is wanted was called wrong"


async def _struck(rig: Rig, count: int, blow: Callable[[RigDesk], None], *, begun: bool = False) -> bool:
    """Strike one encode at its `count`-th step and bring it to its end; False when it has no such step.

    With `begun` it is the call that resumes one which died as soon as its intent was on disk.
    """
    credential, intent = rig.credential(count), None
    if begun:
        first = RigDesk(rig, strike=strike_on(Step.COMMITTED, crash))
        await _attempt(rig, first, credential, None)
        intent = first.intent
    before = rig.snapshot()
    desk = RigDesk(rig, strike=strike_at(count, blow))
    ending = await _attempt(rig, desk, credential, intent)
    struck = len(desk.steps) >= count
    if isinstance(ending, Receipt):
        assert rig.carries(credential) == 1, f"step {count}: a receipt, and not one card"
        return struck
    assert struck or isinstance(ending, Unsure), f"{ending!r} from an encode that nothing struck"
    assert struck or begun, "unsure, and nothing was in the way"
    if isinstance(ending, DriverError) and not isinstance(ending, Unsure):
        assert rig.snapshot() == before, f"step {count}: {type(ending).__name__} says no card has changed"
    if not desk.intents and intent is None:
        assert rig.snapshot() == before, f"step {count}: a card changed and nothing was intended"
    await resolve(rig, credential, desk.intent or intent)
    return struck


async def _attempt(
    rig: Rig, desk: RigDesk, credential: Credential, resume: Intent | None
) -> Receipt | DriverError | None:
    """Open, encode once, close; None if the call died."""
    with outlived():
        async with opened(rig) as device:
            return await outcome(rig, device, credential, desk, resume)
    return None
