"""What changes, for everybody who watches: the newest state of each thing, never a backlog.

A change has a number; numbers grow by one.  A reader that comes back with the last number it saw gets what changed
since, if everything that ended meanwhile is still known, else everything that stands.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from encoder_bridge import wire
from encoder_bridge.board import Board
from encoder_bridge.model import OPEN, Job
from encoder_bridge.reports import job_state
from encoder_bridge.store import News

MOST_PENDING = 2000
"""A reader for whom more things than these have changed unread is dropped."""
_ENDED_KEPT = 256
"""So many ended jobs are remembered for readers that come back."""

_Thing = tuple[Literal["encoder", "job"], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing as it stands since the change of this number."""

    number: int
    thing: _Thing
    what: Job | wire.EncoderState

    @property
    def body(self) -> str:
        """JSON of a job's state, or of an encoder's with its `name`."""
        if isinstance(self.what, Job):
            return job_state(self.what).body
        shown = {"name": self.thing[1], **self.what.model_dump(mode="json", exclude_none=True)}
        return json.dumps(shown, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Where a reader begins."""

    changes: tuple[Change, ...]
    is_whole: bool
    """Everything that stands; False: what changed since the reader was last here."""
    number: int
    """The newest change that it covers."""


class Reader:
    """One who watches; made by `Feed.open`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._pending: dict[_Thing, Change] = {}
        self._arrived = asyncio.Event()
        self.is_over = False
        """Nothing more comes: the feed ends, or this reader was too slow."""

    def put(self, change: Change) -> None:
        """Add a change; it takes the place of an older one of the same thing."""
        self._pending.pop(change.thing, None)
        self._pending[change.thing] = change
        if len(self._pending) > MOST_PENDING:
            self.end()
        self._arrived.set()

    def end(self) -> None:
        """Let the reader go."""
        self._pending.clear()
        self.is_over = True
        self._arrived.set()

    async def next(self, within_s: float) -> Change | None:
        """The oldest unread change; None: none came in that time, or it is over."""
        if not self._pending and not self.is_over:
            self._arrived.clear()
            try:
                async with asyncio.timeout(within_s):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        if self.is_over:
            return None
        return self._pending.pop(next(iter(self._pending)))


class Feed:
    """Everything that stands, and who watches it.

    Args:
        board: the encoders.
    """

    def __init__(self, board: Board) -> None:
        self._number = 0
        self._forgotten = 0
        self._standing: dict[_Thing, Change] = {}
        self._ended: dict[_Thing, Change] = {}
        self._readers: set[Reader] = set()
        for name, state in board.encoders.items():
            self._note(("encoder", name), state)
        board.watch(lambda name, state: self._note(("encoder", name), state))

    def begin(self, jobs: Mapping[str, Job]) -> None:
        """Add the jobs that stood in the store before anything was heard of them."""
        for access_method_id, job in jobs.items():
            thing: _Thing = ("job", access_method_id)
            if thing not in self._standing and thing not in self._ended:
                self._note(thing, job)

    def hear(self, news: News) -> None:
        """Note what was committed."""
        for access_method_id, job in news.jobs.items():
            if job is not None:
                self._note(("job", access_method_id), job)

    def open(self, after: int | None) -> Reader:
        """Watch from now on.

        Args:
            after: the last number this reader saw of this feed; None: none.
        """
        is_whole = after is None or not self._forgotten <= after <= self._number
        found: Iterable[Change] = self._standing.values()
        if not is_whole:
            both = [*self._standing.values(), *self._ended.values()]
            found = sorted((change for change in both if change.number > (after or 0)), key=_number)
        reader = Reader(Snapshot(changes=tuple(found), is_whole=is_whole, number=self._number))
        self._readers.add(reader)
        return reader

    def close(self, reader: Reader) -> None:
        """Stop watching."""
        self._readers.discard(reader)

    def end(self) -> None:
        """Let every reader go."""
        for reader in self._readers:
            reader.end()

    def _note(self, thing: _Thing, what: Job | wire.EncoderState) -> None:
        self._number += 1
        change = Change(number=self._number, thing=thing, what=what)
        self._standing.pop(thing, None)
        self._ended.pop(thing, None)
        if isinstance(what, Job) and what.state not in OPEN:
            self._ended[thing] = change
            if len(self._ended) > _ENDED_KEPT:
                self._forgotten = self._ended.pop(next(iter(self._ended))).number
        else:
            self._standing[thing] = change
        for reader in self._readers:
            reader.put(change)


def _number(change: Change) -> int:
    return change.number
