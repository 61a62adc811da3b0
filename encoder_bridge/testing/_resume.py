"""Behaviours after a crash, after a shutdown and after the fact: one good card, never two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from encoder_bridge.driver import DriverError, Receipt, Unsure

from ._desk import Crash, RigDesk, crash, shut_down, strike_at
from ._rig import Rig
from ._run import encode, in_loop, opened, outcome, resolve

LAST_STEP = 1000
"""More steps than any driver takes with one card."""


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
        """The process dies at a step, and again at as late a step of the resumed call; one card is good."""
        for count in range(1, LAST_STEP):
            if not await _struck(rig, count, crash, again=True):
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


async def _struck(rig: Rig, count: int, blow: Callable[[RigDesk], None], *, again: bool = False) -> bool:
    """Strike one encode at its `count`-th step and resume it; False when it has no such step."""
    credential, before = rig.credential(count), rig.snapshot()
    desk = RigDesk(rig, strike=strike_at(count, blow))
    finished = await _attempt(rig, desk, count)
    if not desk.intents and not finished:
        assert rig.snapshot() == before, f"step {count}: a card changed and nothing was intended"
    if len(desk.steps) < count:
        assert finished, "an encode that nothing struck did not finish"
        assert rig.carries(credential) == 1
        return False
    if finished:
        assert rig.carries(credential) == 1, f"step {count}: a receipt, and not one card"
        return True
    intent = desk.intent
    if again:
        second = RigDesk(rig, strike=strike_at(count, blow))
        if await _attempt(rig, second, count, resume_of=desk):
            assert rig.carries(credential) == 1
            return True
        intent = second.intent or intent
    await resolve(rig, credential, intent)
    return True


async def _attempt(rig: Rig, desk: RigDesk, count: int, resume_of: RigDesk | None = None) -> bool:
    """Encode once; True if it ended in a receipt."""
    credential, before = rig.credential(count), rig.snapshot()
    resume = resume_of.intent if resume_of else None
    try:
        async with opened(rig) as device:
            ending = await outcome(rig, device, credential, desk, resume)
    except (Crash, asyncio.CancelledError):
        return False
    except BaseExceptionGroup as group:
        if group.split((Crash, asyncio.CancelledError))[1] is not None:
            raise
        return False
    if isinstance(ending, DriverError):
        said = type(ending).__name__
        if not isinstance(ending, Unsure):
            assert len(desk.steps) >= count, f"{said} from an encode that nothing struck"
            assert rig.snapshot() == before, f"step {count}: {said} says no card has changed"
    return isinstance(ending, Receipt)
