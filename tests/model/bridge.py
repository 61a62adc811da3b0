"""Store, stations and dispatcher in one process that can be killed between any two rounds of its loop."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Protocol, TypeVar

from encoder_bridge import wire
from encoder_bridge.board import Board
from encoder_bridge.commits import Connection
from encoder_bridge.dispatcher import Dispatcher
from encoder_bridge.sealing import Seal
from encoder_bridge.sqlite import open_store
from encoder_bridge.station import Equipment, Station
from encoder_bridge.store import Rules, Store

from .clockwork import Clockwork, SteppedCommits
from .plastic import SILENCE_S, FakeDriver, World

T = TypeVar("T")

START = 1_750_000_000_000
ENCODERS = {"left": True, "right": False, "attic": True}
"""Name, and whether it knows that a card lies on it."""
KINDS = {"left": "one", "right": "one", "attic": "two"}
"""Name, and the driver it is opened with."""
HAND_OVER_S = 20.0
RULES = Rules(encoders=KINDS, default_profile="room", zone=UTC)


class Watch(Protocol):
    """Is told what is put on disk, while it is."""

    def moved(self, job_id: int, was: str, to: str) -> None: ...

    def logged(self, job_id: int, what: str, encoder: str | None, card: str | None, sequence: int | None) -> None: ...

    def sent(self, report_id: int, kind: str, body: str) -> None: ...


_TRIGGERS = """
CREATE TEMP TRIGGER watch_moves AFTER UPDATE OF state ON main.job WHEN old.state != new.state
BEGIN SELECT moved(new.job_id, old.state, new.state); END;
CREATE TEMP TRIGGER watch_log AFTER INSERT ON main.attempt
BEGIN SELECT logged(new.job_id, new.what, new.encoder, new.card, sequence) FROM job WHERE job_id = new.job_id; END;
CREATE TEMP TRIGGER watch_outbox AFTER INSERT ON main.outbox
BEGIN SELECT sent(new.report_id, new.kind, new.body); END;
"""


class Bridge:
    """One process.

    Args:
        path: the store.
        world: what is outside.
        rules: as configured.
        now: milliseconds since 1970 UTC.
        watch: is told what is put on disk; objects by itself.
    """

    def __init__(self, path: Path, world: World, rules: Rules, *, now: int, watch: Watch | None) -> None:
        self.world = world
        self.away: dict[str, float] = {}
        """Encoders that are offline, and since when."""
        self._loop = Clockwork()
        self._start = now
        connection = open_store(path, _connect)
        assert isinstance(connection, sqlite3.Connection)
        self.connection = connection
        if watch:
            self.connection.create_function("moved", 3, watch.moved)
            self.connection.create_function("logged", 5, watch.logged)
            self.connection.create_function("sent", 3, watch.sent)
            self.connection.executescript(_TRIGGERS)
        self.store = Store(self.connection, rules, Seal(bytes(32)))
        self.errands: list[asyncio.Task[wire.Response]] = []
        self._running = self._loop.create_task(self._run())
        self._loop.spin(1)

    async def _run(self) -> None:
        store, world = self.store, self.world
        self.commits = SteppedCommits(
            self.connection,
            take_news=store.take_news,
            on_commit=lambda news: self.dispatcher.hear(news),
            when_idle=store.retention.tidy,
        )
        self.commits._thread.join()
        self.board = board = Board()
        board.watch(self._notice)
        stations = [
            Station(
                Equipment(
                    name=name,
                    driver=FakeDriver(world),
                    settings={"name": name, "senses": senses},
                    secret=lambda _: b"",
                    card_wait_s=90,
                ),
                commits=self.commits,
                store=store,
                board=board,
                clock=self.clock,
            )
            for name, senses in ENCODERS.items()
        ]
        self.dispatcher = Dispatcher(
            stations,
            commits=self.commits,
            store=store,
            board=board,
            clock=self.clock,
            hand_over_s=HAND_OVER_S,
        )
        await self.commits(store.recovery.recover, self.clock())
        await self.dispatcher.run()

    def _notice(self, encoder: str, state: wire.EncoderState) -> None:
        if state.state not in {"offline", "hung"}:
            self.away.pop(encoder, None)
        else:
            self.away.setdefault(encoder, self._loop.time())

    def away_s(self, encoder: str) -> float:
        """For how long an encoder has been offline by now."""
        return self._loop.time() - self.away.get(encoder, self._loop.time())

    def clock(self) -> int:
        return self._start + int(self._loop.time() * 1000)

    def spin(self, rounds: int) -> None:
        """Let it work for some rounds, or until it rests."""
        self._loop.spin(rounds)

    def rest(self) -> None:
        """Let it work until only time can change anything."""
        self._loop.spin()

    def advance(self, seconds: float) -> None:
        self._loop.advance(seconds)

    def do(self, operation: Callable[[], T]) -> T:
        """One operation from outside, committed together with what has arrived before it."""
        done = self.commits.hand_in(operation)
        while not done.done():
            self._loop.spin(1)
        return done.result()

    def send(self, asked: wire.Read | wire.Erase) -> asyncio.Task[wire.Response]:
        """Have somebody ask for an errand and wait for its end."""
        errand = self._loop.create_task(self.dispatcher.errand(asked, "somebody"))
        self.errands.append(errand)
        self._loop.spin(1)
        return errand

    def stop(self) -> None:
        """End it in good order; one that has ended stays so."""
        if self._loop.is_closed():
            return
        self._running.cancel()
        self._loop.advance(2 * SILENCE_S)
        self._end()

    def kill(self) -> None:
        """End it: from now on nothing it does reaches the disk or a card."""
        self.commits.is_dead = True
        self.world.devices.clear()
        self._end()

    def _end(self) -> None:
        for _ in range(100):
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.spin(50)
        assert not asyncio.all_tasks(self._loop), "what was told to end works on"
        is_broken = not self._running.cancelled() and self._running.exception() is not None
        assert self.commits.is_dead or not is_broken, self._running.exception()
        self._loop.close()
        self.connection.close()


@contextlib.contextmanager
def running(path: Path, world: World) -> Iterator[Bridge]:
    """A bridge that rests; ended in good order unless the test has done so."""
    bridge = Bridge(path, world, RULES, now=START, watch=None)
    bridge.rest()
    try:
        yield bridge
    finally:
        bridge.stop()


def _connect(path: str) -> Connection:
    return sqlite3.connect(path, isolation_level=None, cached_statements=256)
