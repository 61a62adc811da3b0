"""Store, stations and dispatcher in one process that can be killed between any two rounds of its loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

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
ENCODERS = {"left": True, "right": False}
"""Name, and whether it knows that a card lies on it."""


class Bridge:
    """One process.

    Args:
        path: the store.
        world: what is outside.
        rules: as configured.
        now: milliseconds since 1970 UTC.
        watch: is told every change of a job's state, as it is made: job, from, to.
    """

    def __init__(
        self, path: Path, world: World, rules: Rules, *, now: int, watch: Callable[[int, str, str], None]
    ) -> None:
        self.world = world
        self._loop = Clockwork()
        self._start = now
        connection = open_store(path, _connect)
        assert isinstance(connection, sqlite3.Connection)
        self.connection = connection
        self.connection.create_function("moved", 3, watch)
        self.connection.execute(
            """CREATE TEMP TRIGGER watch AFTER UPDATE OF state ON main.job WHEN old.state != new.state
               BEGIN SELECT moved(new.job_id, old.state, new.state); END"""
        )
        self.store = Store(self.connection, rules, Seal(bytes(32)))
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
        board = Board()
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
                work=store.work,
                board=board,
                clock=self.clock,
            )
            for name, senses in ENCODERS.items()
        ]
        self.dispatcher = Dispatcher(stations, commits=self.commits, store=store, clock=self.clock)
        await self.commits(store.work.recover, self.clock())
        await self.dispatcher.run()

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

    def stop(self) -> None:
        """End it in good order."""
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


def _connect(path: str) -> Connection:
    return sqlite3.connect(path, isolation_level=None, cached_statements=256)
