"""The desk as a driver sees it: the prompt, the journal and the way out of one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from encoder_bridge import texts, wire
from encoder_bridge.board import Board
from encoder_bridge.commits import Commits
from encoder_bridge.driver import Card, CardRejected, Device, Intent, Prompt, Sensing, Withdrawn
from encoder_bridge.mishaps import is_plain
from encoder_bridge.model import Assignment, Problem, iso
from encoder_bridge.reports import card_body, problem
from encoder_bridge.store.work import Verdict, Work

Clock = Callable[[], int]
"""Milliseconds since 1970 UTC."""


class CallDesk:
    """`driver.Desk` for one call that needs a card, without what an intent means.

    Args:
        encoder: its name.
        shown: what the board shows until the device says otherwise.
        board: where prompt and progress are shown.
        card_wait_s: how long a person may take to lay a card down.
        silence_s: what the device promised as its longest silence.
    """

    def __init__(
        self, encoder: str, shown: wire.EncoderState, *, board: Board, card_wait_s: float, silence_s: float
    ) -> None:
        self.begun = False
        """An intent is on disk or on its way there: a card may be changed."""
        self.closed = False
        """Nobody waits for the call any more; it gets no further."""
        self.device_lost = False
        """The device went during the call."""
        self.waited_too_long = False
        """Nobody laid a card down in time."""
        self.interrupted = False
        """Somebody wants to read a card first."""
        self.stirred = asyncio.Event()
        self._encoder = encoder
        self._board = board
        self._silence_s = silence_s
        self._off = asyncio.Event()
        self._time = asyncio.get_running_loop().time
        self._limit = self._time() + card_wait_s
        board.show(encoder, shown)

    def ask(self, prompt: Prompt, card: Card | None = None) -> None:
        """Tell the person what to do now."""
        self._heard()
        if not self.closed:
            self._board.amend(self._encoder, prompt=prompt.value, card=card_body(card))

    def progress(self, done: int, total: int) -> None:
        """Say how far the write is."""
        self._heard()
        if not self.closed:
            self._board.amend(self._encoder, done=done, total=total)

    async def withdrawn(self) -> None:
        """Return once the call is not wanted any more."""
        await self._off.wait()

    def withdraw(self) -> None:
        """Call it off; the device has its promised silence to come back."""
        if not self._off.is_set():
            self._off.set()
            if not self.begun:
                self._limit = self._time() + self._silence_s
            self.stirred.set()

    @property
    def is_off(self) -> bool:
        """Whether it was called off."""
        return self._off.is_set()

    @property
    def limit(self) -> float:
        """Loop time at which patience ends: for a card, or with a device that owes a word."""
        return self._limit

    def _begin(self, intent: object) -> bool:
        """What every intent has to pass before it is put on disk.

        Returns:
            whether it is the first.

        Raises:
            Withdrawn: the call is off.
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
        return is_first

    def _heard(self) -> None:
        if self.begun:
            self._limit = self._time() + self._silence_s


class AttemptDesk(CallDesk):
    """The desk of one attempt at one job.

    Args:
        assignment: the job as it was claimed.
        encoder: its name.
        commits: makes operations durable.
        work: the operations.
        board: where prompt and progress are shown.
        clock: the present.
        card_wait_s: how long a person may take to lay a card down.
        device: open.
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
        device: Device,
    ) -> None:
        self.job = assignment.job
        shown = wire.EncoderState(
            state="waiting_for_card",
            since=iso(clock()),
            access_method_id=self.job.access_method_id,
            effect=_effect(assignment),
            not_enforced=not_enforced(device),
            warnings=[problem(warning) for warning in self.job.warnings],
            error=problem(self.job.error, encoder=encoder) if self.job.error else None,
        )
        super().__init__(encoder, shown, board=board, card_wait_s=card_wait_s, silence_s=device.capabilities.silence_s)
        self._commits = commits
        self._work = work
        self._clock = clock

    async def intend(self, intent: Intent) -> None:
        """Commit the intent, or veto.

        Raises:
            Withdrawn: the job is off.
            CardRejected: the card carries what must not be overwritten.
            TypeError: the intent cannot be stored.
        """
        is_first = self._begin(intent)
        verdict = await self._commits(self._work.intend, self.job, self._encoder, intent, self._clock())
        if verdict is not Verdict.GO and is_first:
            self.begun = False
        if verdict is Verdict.CARD_IN_USE:
            raise CardRejected(texts.problem("card_in_use").message, error_type="card_in_use")
        if verdict is Verdict.OFF:
            self.withdraw()
        if verdict is Verdict.OFF or self.closed:
            raise Withdrawn("The job was taken off the desk.")
        if is_first:
            self._board.amend(self._encoder, state="writing", since=iso(self._clock()), error=None)
        self._heard()


class ReadingDesk(CallDesk):
    """The desk of a call that only reads."""

    async def intend(self, intent: Intent) -> None:  # noqa: ARG002 - whatever it is
        """Refuse.

        Raises:
            TypeError: always.
        """
        raise TypeError("the driver intends to change a card that is only to be read")


class ErasingDesk(CallDesk):
    """The desk of a call that blanks a card.

    Args:
        begin: puts on disk that a card is about to be blanked, or says why it must not be.
        encoder, shown, board, card_wait_s, silence_s: see `CallDesk`.
    """

    def __init__(
        self,
        encoder: str,
        shown: wire.EncoderState,
        *,
        begin: Callable[[Intent], Awaitable[Problem | None]],
        board: Board,
        card_wait_s: float,
        silence_s: float,
    ) -> None:
        super().__init__(encoder, shown, board=board, card_wait_s=card_wait_s, silence_s=silence_s)
        self._put_on_disk = begin

    async def intend(self, intent: Intent) -> None:
        """Commit the intent, or veto.

        Raises:
            Withdrawn: nobody wants it any more.
            CardRejected: the card must not be blanked.
            TypeError: the intent cannot be stored.
        """
        is_first = self._begin(intent)
        refusal = await self._put_on_disk(intent)
        if refusal:
            self.begun = not is_first
            raise CardRejected(refusal.message, error_type=refusal.type)
        if self.closed:
            raise Withdrawn("Nobody waits for it any more.")
        self._heard()


def _effect(assignment: Assignment) -> Literal["replaces_earlier_cards", "joins_earlier_cards", "updates"]:
    if assignment.credential.joins:
        return "joins_earlier_cards"
    return "updates" if assignment.job.is_reissue else "replaces_earlier_cards"


def not_enforced(device: Device) -> list[Literal["card_in_use", "lift"]]:
    """What a device cannot see to, so that the person has to."""
    found: list[Literal["card_in_use", "lift"]] = []
    if not device.capabilities.tells_cards_apart:
        found.append("card_in_use")
    if not isinstance(device, Sensing):
        found.append("lift")
    return found
