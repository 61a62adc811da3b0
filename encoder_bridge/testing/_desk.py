"""The desk as the suite plays it: it records what the driver says, and strikes at any step."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from enum import Enum
from functools import partial

from encoder_bridge.driver import Card, Intent, Prompt, Receipt

from ._rig import Rig


class Crash(BaseException):
    """The process dies here."""


class Hand(Enum):
    """Which card the person takes when a prompt leaves the choice."""

    FRESH = "fresh"
    LAST = "last"
    NONE = "none"


class Step(Enum):
    """The moments at which a desk can strike."""

    ASK = "ask"
    PROGRESS = "progress"
    INTEND = "intend"
    """`intend` was called; nothing is on disk yet."""
    COMMITTED = "committed"
    """The intent is on disk; `intend` is about to return."""


Strike = Callable[["RigDesk", Step], None]


def _let_be(_desk: RigDesk, _step: Step) -> None:
    pass


class RigDesk:
    """A `Desk` for one call; it begins, as in the core, with no card left on the device.

    Args:
        rig: whose person answers the prompts.
        hand: which card that person takes.
        strike: called at every step with this desk and the step; may raise, withdraw or cancel.
    """

    def __init__(self, rig: Rig, *, hand: Hand = Hand.FRESH, strike: Strike = _let_be) -> None:
        self.steps: list[tuple[Step, float]] = []
        self.prompts: list[Prompt] = []
        self.named: list[Card | None] = []
        self.strides: list[tuple[int, int]] = []
        self.intents: list[Intent] = []
        self.call: asyncio.Task[Receipt] | None = None
        self.withdrawn_at = 0.0
        self.ended_at = 0.0
        self._person = rig.person
        self._hand = hand
        self._strike = strike
        self._off = asyncio.Event()
        self._same: Card | None = None
        rig.person.lift()

    def ask(self, prompt: Prompt, card: Card | None = None) -> None:
        self.prompts.append(Prompt(prompt))
        self.named.append(card)
        self._step(Step.ASK)
        if self._hand is Hand.NONE or prompt is Prompt.KEEP_CARD:
            return
        if prompt is Prompt.SAME_CARD:
            self._same = card
        if prompt is Prompt.WRONG_CARD:
            prompt, card = Prompt.SAME_CARD, self._same
        if self._hand is Hand.LAST or prompt in (Prompt.SAME_CARD, Prompt.SWIPE_TO_CHECK):
            act = partial(self._person.again, prompt, card)
        else:
            act = partial(self._person.fresh, prompt)
        asyncio.get_running_loop().call_soon(act)

    def progress(self, done: int, total: int) -> None:
        self.strides.append((done, total))
        self._step(Step.PROGRESS)

    async def intend(self, intent: Intent) -> None:
        self._step(Step.INTEND)
        await asyncio.sleep(0)
        self.intents.append(_through_disk(intent))
        self._step(Step.COMMITTED)

    async def withdrawn(self) -> None:
        await self._off.wait()

    def withdraw(self) -> None:
        self.withdrawn_at = asyncio.get_running_loop().time()
        self._off.set()

    @property
    def intent(self) -> Intent | None:
        """What would be given back on resume."""
        return self.intents[-1] if self.intents else None

    def _step(self, step: Step) -> None:
        self.steps.append((step, asyncio.get_running_loop().time()))
        self._strike(self, step)


def _through_disk(intent: Intent) -> Intent:
    """Give back what is left of an intent once it was written down: text, and nothing alive."""
    card, note = json.loads(
        json.dumps([intent.card and [intent.card.technology, intent.card.uid], dict(intent.note)]),
    )
    assert all(type(value) is str for value in note.values()), "an intent's note holds text only"
    return Intent(card=Card(technology=card[0], uid=card[1]) if card else None, note=note)


def strike_at(count: int, blow: Callable[[RigDesk], None]) -> Strike:
    """Strike once, at the `count`-th step, counting from 1."""

    def strike(desk: RigDesk, _step: Step) -> None:
        if len(desk.steps) == count:
            blow(desk)

    return strike


def strike_on(step: Step, blow: Callable[[RigDesk], None]) -> Strike:
    """Strike once, at the first `step` of that kind."""

    def strike(desk: RigDesk, now: Step) -> None:
        if now is step and sum(1 for seen, _ in desk.steps if seen is step) == 1:
            blow(desk)

    return strike


def crash(_desk: RigDesk) -> None:
    """A blow: the process dies.

    Raises:
        Crash: always.
    """
    raise Crash


def shut_down(desk: RigDesk) -> None:
    """A blow: the daemon shuts down."""
    assert desk.call is not None
    desk.call.cancel()


def withdraw(desk: RigDesk) -> None:
    """A blow: the desk withdraws the job."""
    desk.withdraw()
