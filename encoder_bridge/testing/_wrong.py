"""The desk on which, after a crash, the wrong card lies first."""

from __future__ import annotations

import asyncio
from functools import partial

from encoder_bridge.driver import Card, Prompt

from ._desk import Hand, RigDesk
from ._rig import Rig

WRONG_FOR_S = 1.0
"""Seconds that the wrong card lies there unless the driver asks again."""

NOTICED_S = 0.05
"""Seconds; what a person takes to see that it is the wrong card, and to lay down another."""


class WrongCardDesk(RigDesk):
    """The person first takes a wrong card, and the named one when told so, when asked again or after a while.

    Args:
        rig: whose person answers the prompts.
        named: the card that was intended.
        wrong: the card that is laid first; None for a fresh one.
    """

    def __init__(self, rig: Rig, named: Card, wrong: Card | None = None) -> None:
        super().__init__(rig, hand=Hand.NONE)
        self.wrong_was_written = False
        self._wrong = wrong
        self._rig = rig
        self._named = named
        self._before = rig.snapshot()
        self._wrong_lies = False
        self._right_lies = False
        self._timers: list[asyncio.TimerHandle] = []

    def ask(self, prompt: Prompt, card: Card | None = None) -> None:
        super().ask(prompt, card)
        if prompt is Prompt.KEEP_CARD:
            return
        prompt = Prompt.SAME_CARD if prompt is Prompt.WRONG_CARD else prompt
        loop = asyncio.get_running_loop()
        if self._right_lies:
            loop.call_soon(self._person.again, prompt, self._named)
        elif self._wrong_lies:
            self._timers.append(loop.call_later(NOTICED_S, self._swap, prompt))
        else:
            self._wrong_lies = True
            loop.call_soon(partial(self._lay_wrong, prompt))
            self._timers.append(loop.call_later(WRONG_FOR_S, self._swap, prompt))

    @property
    def called_wrong(self) -> list[Card | None]:
        """The cards that the driver said were wrong."""
        return [card for prompt, card in zip(self.prompts, self.named, strict=True) if prompt is Prompt.WRONG_CARD]

    def leave(self) -> None:
        """After the call: nobody comes any more."""
        for timer in self._timers:
            timer.cancel()
        self._look()

    def _lay_wrong(self, prompt: Prompt) -> None:
        if self._wrong is None:
            self._person.fresh(prompt)
        else:
            self._person.again(prompt, self._wrong)

    def _swap(self, prompt: Prompt) -> None:
        if self._right_lies:
            return
        self._look()
        self._right_lies = True
        self._person.lift()
        later = partial(self._person.again, prompt, self._named)
        self._timers.append(asyncio.get_running_loop().call_later(NOTICED_S, later))

    def _look(self) -> None:
        """Before the named card comes, every card has to be as it was; afterwards the wrong one is gone."""
        if not self._right_lies and self._rig.snapshot() != self._before:
            self.wrong_was_written = True
