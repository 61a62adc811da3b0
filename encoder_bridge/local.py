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
        self._is_telling = False
        self._idle = asyncio.Event()
        self._idle.set()

    def hear(self, news: News) -> None:
        """Note what was committed."""
        if news.outbox:
            self._changed.set()
            if self._is_telling:
                self._idle.clear()

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._is_telling = True
        self._idle.clear()
        try:
            while True:
                self._changed.clear()
                owed = await self._commits.relaxed(self._store.outbox.pending, _BATCH)
                for message in owed:
                    self._listener(message)
                if owed:
                    await self._commits.relaxed(self._store.outbox.told, [message.report_id for message in owed])
                elif not self._changed.is_set():
                    self._idle.set()
                    await self._changed.wait()
        finally:
            self._is_telling = False
            self._idle.set()

    async def drain(self) -> None:
        """Return as soon as nothing is owed any more; at once where nobody delivers."""
        await self._idle.wait()
