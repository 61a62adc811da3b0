"""The desk as a driver sees it: the prompt, the journal and the way out of one attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from encoder_bridge import wire
from encoder_bridge.board import Board
from encoder_bridge.commits import Commits
from encoder_bridge.driver import Card, CardRejected, Intent, Prompt, Withdrawn
from encoder_bridge.model import Assignment, iso
from encoder_bridge.store.work import Verdict, Work

Clock = Callable[[], int]
"""Milliseconds since 1970 UTC."""


class AttemptDesk:
    """`driver.Desk` for one attempt at one job.

    Args:
        assignment: the job as it was claimed.
        encoder: its name.
        commits: makes operations durable.
        work: the operations.
        board: where prompt and progress are shown.
        clock: the present.
        card_wait_s: how long a person may take to lay a card down.
        silence_s: what the device promised as its longest silence.
    """

    def __init__(
        self,
        assignment: Assignment,
        encoder: str,
        *,
        commits: Commits,
        work: Work,
        board: Board,
        clock: Clock,
        card_wait_s: float,
        silence_s: float,
    ) -> None:
        self.job = assignment.job
        self.begun = False
        """An intent is on disk or on its way there: a card may be changed."""
        self.closed = False
        """Nobody waits for the attempt any more; it gets no further."""
        self.device_lost = False
        """The device went while nothing was begun."""
        self.waited_too_long = False
        """Nobody laid a card down in time."""
        self.stirred = asyncio.Event()
        self._encoder = encoder
        self._commits = commits
        self._work = work
        self._board = board
        self._clock = clock
        self._silence_s = silence_s
        self._off = asyncio.Event()
        self._time = asyncio.get_running_loop().time
        self._limit = self._time() + card_wait_s
        state = wire.EncoderState(
            state="waiting_for_card",
            since=iso(clock()),
            access_method_id=self.job.access_method_id,
            error=wire.Problem(type=self.job.error.type, message=self.job.error.message) if self.job.error else None,
        )
        board.show(encoder, state)

    def ask(self, prompt: Prompt, card: Card | None = None) -> None:
        """Tell the person what to do now."""
        self._heard()
        if not self.closed:
            body = wire.CardBody(technology=card.technology, uid=card.uid) if card else None
            self._board.amend(self._encoder, prompt=prompt.value, card=body)

    def progress(self, done: int, total: int) -> None:
        """Say how far the write is."""
        self._heard()
        if not self.closed:
            self._board.amend(self._encoder, done=done, total=total)

    async def intend(self, intent: Intent) -> None:
        """Commit the intent, or veto.

        Raises:
            Withdrawn: the job is off.
            CardRejected: the card carries what must not be overwritten.
            TypeError: the intent cannot be stored.
        """
        if not isinstance(intent, Intent) or not is_plain(intent.card, intent.note):
            raise TypeError("the driver's intent holds something that is no text")
        if self.closed or (self._off.is_set() and not self.begun):
            raise Withdrawn("The job was taken off the desk.")
        is_first = not self.begun
        self.begun = True  # from before the commit: while it is under way nobody knows whether the card may be changed
        self._heard()
        self.stirred.set()
        verdict = await self._commits(self._work.intend, self.job, self._encoder, intent, self._clock())
        if verdict is not Verdict.GO and is_first:
            self.begun = False
        if verdict is Verdict.CARD_IN_USE:
            raise CardRejected(
                "This card still serves another guest or has yet to be looked at: lay another one down.",
                error_type="card_in_use",
            )
        if verdict is Verdict.OFF:
            self.withdraw()
        if verdict is Verdict.OFF or self.closed:
            raise Withdrawn("The job was taken off the desk.")
        if is_first:
            self._board.amend(self._encoder, state="writing", since=iso(self._clock()), error=None)
        self._heard()

    async def withdrawn(self) -> None:
        """Return once the job is off."""
        await self._off.wait()

    def withdraw(self) -> None:
        """Take the job off; the device has its promised silence to come back."""
        if not self._off.is_set():
            self._off.set()
            if not self.begun:
                self._limit = self._time() + self._silence_s
            self.stirred.set()

    @property
    def is_off(self) -> bool:
        """Whether it was taken off."""
        return self._off.is_set()

    @property
    def limit(self) -> float:
        """Loop time at which patience ends: for a card, or with a device that owes a word."""
        return self._limit

    def _heard(self) -> None:
        if self.begun:
            self._limit = self._time() + self._silence_s


def is_plain(card: Card | None, note: Mapping[Any, Any]) -> bool:
    """Whether what a driver hands over to be kept is text, as the port says."""
    texts = [*note.keys(), *note.values()]
    if card is not None:
        texts += [card.technology] if card.uid is None else [card.technology, card.uid]
    return all(isinstance(text, str) for text in texts)
