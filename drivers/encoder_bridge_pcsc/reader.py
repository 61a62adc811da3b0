"""One open reader, seen from the event loop: the card library's `CardReader`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from encoder_bridge_cards.link import Link, ReaderGone
from encoder_bridge_cards.reader import HeldCard, Result

from encoder_bridge_pcsc import signalling
from encoder_bridge_pcsc.habits import Habits
from encoder_bridge_pcsc.holding import Holding
from encoder_bridge_pcsc.models import model_of
from encoder_bridge_pcsc.watching import Watch
from encoder_bridge_pcsc.winscard import Context
from encoder_bridge_pcsc.worker import Worker

_log = logging.getLogger("encoder_bridge_pcsc")

_NOTICED_S = 1.0
"""pcscd looks for a lifted card every 0.4 s where a reader does not tell it."""

Told = TypeVar("Told")


class PcscReader:
    """An open reader; see `CardReader`.

    Args:
        name: the full name.
        context: for the worker.
        worker: where everything blocking is done, but for waiting.
    """

    def __init__(self, name: str, context: Context, worker: Worker) -> None:
        self._name = name
        self._context = context
        self._worker = worker
        self._habits = Habits(model=model_of(name))
        self._loop = asyncio.get_running_loop()
        self._is_there: bool | None = None
        self._lifts = 0
        self._gone: str | None = None
        self._moved = asyncio.Event()

    @property
    def name(self) -> str:
        """See `CardReader`: as PC/SC lists it."""
        return self._name

    def watch(self, context: Context) -> Watch:
        """Begin to notice cards; `context` is for that alone."""
        return Watch(context, self.name, self._from_thread(self._see), self._from_thread(self._lose))

    async def present(self) -> None:
        """See `CardReader`."""
        await self._until(lambda: self._is_there is True)

    async def absent(self) -> None:
        """See `CardReader`; also if the next card was laid down at once."""
        before = self._lifts
        await self._until(lambda: self._is_there is False or self._lifts != before)

    async def lost(self) -> None:
        """See `CardReader`."""
        while self._gone is None:
            await self._moved.wait()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[HeldCard]:
        """See `CardReader` and `Holding`.

        After an answer stayed out the card may be lifted, or the reader gone, without anybody having noticed yet:
        leaving waits a moment for that, so that `present` does not tell of a card that is not there.
        """
        if self._gone is not None:
            raise ReaderGone(self._gone)
        holding = Holding(self._context, self.name, self._habits)
        try:
            await self.do(holding.take)
            yield _Held(self, holding)
        finally:
            if await self._worker.do(holding.release):
                with suppress(TimeoutError, ReaderGone):
                    async with asyncio.timeout(_NOTICED_S):
                        await self.absent()

    async def signal(self, ok: bool) -> None:
        """See `CardReader`."""
        light = self._habits.model.light
        if light is not None and self._gone is None:
            await self._worker.do(lambda: signalling.signal(self._context, self.name, light, ok=ok))

    def close(self) -> None:
        """Let everybody know that the reader is closed."""
        self._end("closed")

    def _lose(self, raw: str) -> None:
        if self._gone is None:
            _log.info("%s is gone: %s", self.name, raw)
        self._end(raw)

    def _end(self, raw: str) -> None:
        self._gone = self._gone or raw
        self._move()

    async def do(self, work: Callable[[], Result]) -> Result:
        """Do blocking work on the worker, and let everybody know if it finds the reader gone.

        Raises:
            LinkError: and whatever else `work` raises.
        """
        try:
            return await self._worker.do(work)
        except ReaderGone as error:
            self._lose(str(error.raw))
            raise

    async def _until(self, holds: Callable[[], bool]) -> None:
        while self._gone is None:
            if holds():
                return
            await self._moved.wait()
        raise ReaderGone(self._gone)

    def _see(self, is_there: bool) -> None:
        if is_there is not self._is_there:
            _log.debug("%s: %s", self.name, "a card lies there" if is_there else "no card lies there")
        self._is_there = is_there
        self._lifts += not is_there
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _from_thread(self, call: Callable[[Told], None]) -> Callable[[Told], None]:
        def told(what: Told) -> None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(call, what)

        return told


class _Held:
    """See `HeldCard`."""

    def __init__(self, reader: PcscReader, holding: Holding) -> None:
        self._reader = reader
        self._holding = holding

    async def run(self, work: Callable[[Link], Result]) -> Result:
        """See `HeldCard`."""
        return await self._reader.do(lambda: work(self._holding.link))
