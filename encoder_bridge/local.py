"""Telling without a broker: what is owed goes to whoever listens in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from encoder_bridge.commits import Commits
from encoder_bridge.reports import Outgoing
from encoder_bridge.store import News, Store

_BATCH = 100


class LocalReporter:
    """Delivers the outbox to a listener that cannot refuse."""

    def __init__(self, listener: Callable[[Outgoing], None], *, commits: Commits, store: Store) -> None:
        self._listener = listener
        self._commits = commits
        self._store = store
        self._changed = asyncio.Event()

    def hear(self, news: News) -> None:
        """Note what was committed."""
        if news.outbox:
            self._changed.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._changed.clear()
            owed = await self._commits.relaxed(self._store.outbox.pending, _BATCH)
            for message in owed:
                self._listener(message)
            if owed:
                await self._commits.relaxed(self._store.outbox.told, [message.report_id for message in owed])
            else:
                await self._changed.wait()
