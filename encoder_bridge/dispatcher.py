"""All stations of the desk, the end of what has waited too long, hand-over, and the housekeeping."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from encoder_bridge import texts, wire
from encoder_bridge.board import Board
from encoder_bridge.commits import Commits
from encoder_bridge.desk import Clock
from encoder_bridge.errand import Asked, Errand
from encoder_bridge.station import Station
from encoder_bridge.store import News, Store

_LOOK_AGAIN_S = 60.0
"""The wall clock may be set while we sleep."""
_NOTICED_S = 5.0
"""An encoder that is back within this time was never away."""
_RECONSIDER_PAUSE_S = 1.0
_PRUNE_EVERY_S = 86_400
_PRUNE_PAUSE_S = 1


class Dispatcher:
    """Runs the stations side by side; none waits for another.

    Args:
        stations: one for each encoder.
        commits: makes operations durable.
        store: the operations.
        board: tells which encoders are offline.
        clock: the present.
        hand_over_s: how long an encoder is offline before others take over; None: they never do.
    """

    def __init__(
        self,
        stations: Sequence[Station],
        *,
        commits: Commits,
        store: Store,
        board: Board,
        clock: Clock,
        hand_over_s: float | None,
    ) -> None:
        self._stations = {station.name: station for station in stations}
        self._hand_over_s = hand_over_s
        self._time = asyncio.get_running_loop().time
        self._away: dict[str, float] = dict.fromkeys(self._stations, self._time())
        """Encoders that are offline, and since when."""
        self._moved = asyncio.Event()
        self._commits = commits
        self._store = store
        self._clock = clock
        self._changed = asyncio.Event()
        board.watch(self._notice)

    def hear(self, news: News) -> None:
        """Pass on what was committed."""
        for station in self._stations.values():
            if news.withdrawn:
                station.withdraw(news.withdrawn)
            if news.queue:
                station.wake()
        if news.queue:
            self._changed.set()
            self._moved.set()

    async def errand(self, asked: Asked, requester: str | None) -> wire.Response:
        """Have a card read or blanked; returns when that is done or nothing comes of it.

        A caller that is cancelled withdraws the errand.
        """
        errand = Errand(asked, requester, commits=self._commits, cards=self._store.cards, clock=self._clock)
        if asked.encoder in self._stations:
            self._stations[asked.encoder].send(errand)
        else:
            errand.refuse(texts.problem("unknown_encoder", known=", ".join(sorted(self._stations))))
        try:
            return await errand.response
        finally:
            errand.withdraw()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for station in self._stations.values():
                tasks.create_task(station.run(), name=f"station {station.name}")
            tasks.create_task(self._expire(), name="expiry")
            if self._hand_over_s is not None:
                tasks.create_task(self._reconsider(self._hand_over_s), name="hand-over")
            tasks.create_task(self._prune(), name="retention")

    def _notice(self, encoder: str, state: wire.EncoderState) -> None:
        is_away = state.state in {"offline", "hung"}
        if is_away and encoder not in self._away:
            self._away[encoder] = self._time()
            self._moved.set()
        elif not is_away and self._away.pop(encoder, None) is not None:
            self._moved.set()

    async def _reconsider(self, hand_over_s: float) -> None:
        """Say of what waits for offline encoders that it does, and hand it over in the end."""
        said: set[str] = set()
        while True:
            self._moved.clear()
            offline, dead = self._gone_for(_NOTICED_S), self._gone_for(hand_over_s)
            if offline or said:
                await self._commits(self._store.waiting.reconsider, offline, dead, self._clock())
                said = offline
                await asyncio.sleep(_RECONSIDER_PAUSE_S)
            soonest = min((at for at in self._moments(hand_over_s) if at > self._time()), default=None)
            try:
                async with asyncio.timeout_at(soonest):
                    await self._moved.wait()
            except TimeoutError:
                continue

    def _gone_for(self, seconds: float) -> set[str]:
        return {name for name, since in self._away.items() if self._time() >= since + seconds}

    def _moments(self, hand_over_s: float) -> list[float]:
        return [since + wait for since in self._away.values() for wait in (_NOTICED_S, hand_over_s)]

    async def _expire(self) -> None:
        while True:
            self._changed.clear()
            next_at = await self._commits(self._store.waiting.expire, self._clock())
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
