"""All stations of the desk, the end of what has waited too long, and the housekeeping."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from encoder_bridge.commits import Commits
from encoder_bridge.desk import Clock
from encoder_bridge.station import Station
from encoder_bridge.store import News, Store

_LOOK_AGAIN_S = 60.0
"""The wall clock may be set while we sleep."""
_PRUNE_EVERY_S = 86_400
_PRUNE_PAUSE_S = 1


class Dispatcher:
    """Runs the stations side by side; none waits for another."""

    def __init__(self, stations: Sequence[Station], *, commits: Commits, store: Store, clock: Clock) -> None:
        self._stations = stations
        self._commits = commits
        self._store = store
        self._clock = clock
        self._changed = asyncio.Event()

    def hear(self, news: News) -> None:
        """Pass on what was committed."""
        for station in self._stations:
            if news.withdrawn:
                station.withdraw(news.withdrawn)
            if news.queue:
                station.wake()
        if news.queue:
            self._changed.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for station in self._stations:
                tasks.create_task(station.run(), name=f"station {station.name}")
            tasks.create_task(self._expire(), name="expiry")
            tasks.create_task(self._prune(), name="retention")

    async def _expire(self) -> None:
        while True:
            self._changed.clear()
            next_at = await self._commits(self._store.work.expire, self._clock())
            timeout = None if next_at is None else min(_LOOK_AGAIN_S, max(0, next_at - self._clock()) / 1000)
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _prune(self) -> None:
        while True:
            more = await self._commits(self._store.retention.prune, self._clock())
            await asyncio.sleep(_PRUNE_PAUSE_S if more else _PRUNE_EVERY_S)
