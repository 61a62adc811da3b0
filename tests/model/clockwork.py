"""A loop whose time stands still until it is moved, and commits that happen in it: everything can be played again."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, TypeVar

from encoder_bridge.commits import Commits
from encoder_bridge.errors import StoreError

T = TypeVar("T")

_BUSY = 20_000
"""So many rounds without a moment of rest are a loop that spins."""


class _Selector(selectors.SelectSelector):
    """Notes for how long the loop would sleep, and lets it stop there."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: Callable[[float | None], None] = lambda _: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.rests(timeout)
        return super().select(0)


class Clockwork(asyncio.SelectorEventLoop):
    """A loop that is driven from outside, round by round."""

    def __init__(self) -> None:
        self._moment = 0.0
        self._selector_of_ours = _Selector()
        super().__init__(self._selector_of_ours)
        self._selector_of_ours.rests = self._round
        self._rounds = 0
        self._limit = 0
        self._sleep: float | None = 0.0

    def time(self) -> float:
        return self._moment

    def spin(self, rounds: int = _BUSY) -> bool:
        """Run until there is nothing to do before time moves, but no longer than some rounds.

        Returns:
            whether nothing is left to do.
        """
        self._rounds, self._limit, self._sleep = 0, rounds, 0.0
        if rounds:
            self.run_forever()
        is_idle = self._sleep != 0.0
        assert is_idle or rounds < _BUSY, "the loop spins"
        return is_idle

    def advance(self, seconds: float) -> None:
        """Let time pass, stopping wherever something is due."""
        end = self._moment + seconds
        self.spin()
        while self._sleep is not None and self._moment + self._sleep <= end:
            self._moment += max(self._sleep, 0.001)
            self.spin()
        self._moment = max(end, self._moment)
        self.spin()

    def _round(self, sleep: float | None) -> None:
        self._rounds += 1
        self._sleep = sleep
        if sleep != 0.0 or self._rounds >= self._limit:
            self.stop()


class SteppedCommits(Commits):
    """Group commit in the loop itself: what has arrived by the next round is committed then, answered a round later.

    Between any two of these rounds the process can be killed.
    """

    def _work(self) -> None:
        self.waiting: list[Any] = []
        self.is_dead = False

    async def _hand_in(self, operation: Callable[[], T], *, durable: bool) -> T:
        if self.is_dead:
            raise StoreError("killed")
        return await asyncio.shield(self.hand_in(operation, durable=durable))

    def hand_in(self, operation: Callable[[], T], *, durable: bool = True) -> asyncio.Future[T]:
        """Queue an operation behind what has arrived."""
        done: asyncio.Future[T] = self._loop.create_future()
        if not self.waiting:
            self._loop.call_soon(self._flush)
        self.waiting.append((operation, done, durable))
        return done

    def _flush(self) -> None:
        if self.is_dead:
            return
        batch, self.waiting = self.waiting, []
        results, news = self._commit(batch)
        self._loop.call_soon(self._tell, results, news)

    def _tell(self, results: Any, news: object) -> None:
        if not self.is_dead:
            self._deliver(results, news)
            self._rest()
