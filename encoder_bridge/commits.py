"""Group commit: one worker thread runs store operations and makes all that have arrived durable with one sync.

An operation is a plain function over the store; it runs inside a transaction and a savepoint of its own, so that one
that raises leaves nothing behind and disturbs no neighbour.  ``await commits(operation, ...)`` returns when the change
is on disk.  ``await commits.relaxed(operation, ...)`` is for what may be undone by a power cut, as only a part of the
last changes ever is: it is committed without a sync of its own (``synchronous=NORMAL``) and reaches the disk with the
next durable commit, never after it.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from encoder_bridge.errors import StoreError

P = ParamSpec("P")
T = TypeVar("T")

_Item = tuple[Callable[[], object], "asyncio.Future[Any]", bool]
_Result = tuple["asyncio.Future[Any]", object, BaseException | None]
BUSY_TIMEOUT_MS = 5000
"""How long a statement waits for another process that has the store open."""
_BATCH = 256
_OF_THE_OPERATION = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError, sqlite3.IntegrityError)
"""What SQLite raises when it was asked wrongly; any other error of its is the store's."""


class Connection(Protocol):
    """The part of `sqlite3.Connection` that is used, in autocommit mode; another SQLite may stand in."""

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Run one statement."""

    def close(self) -> None:
        """Close; open cursors end."""


class Commits:
    """The only way to the store while the daemon runs.

    Args:
        connection: used by the worker thread alone until `close`.
        on_commit: called in the loop after each group, before any caller of that group goes on.
        take_news: fetches, in the worker, what the operations since the last COMMIT want announced.
        when_idle: called in the worker, outside any transaction, whenever nothing is left to do.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        take_news: Callable[[], T | None],
        on_commit: Callable[[T], None],
        when_idle: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._take_news: Callable[[], Any] = take_news
        self._on_commit: Callable[[Any], None] = on_commit
        self._when_idle = when_idle
        self._loop = asyncio.get_running_loop()
        self._arrived: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._broken: StoreError | None = None
        self._closed = False
        self._full = True
        self._thread = threading.Thread(target=self._work, name="commits")
        self._thread.start()

    async def __call__(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `operation` and return its result once it is on disk.

        Shielded: a cancelled caller does not withdraw what it handed in.

        Raises:
            StoreError: nothing of this or any later operation was stored.
            Exception: what the operation raised; it left no trace.
        """
        return await self._hand_in(lambda: operation(*args, **kwargs), durable=True)

    async def relaxed(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `operation`, which only reads or whose loss in a power cut does no harm; else as a call.

        A killed process loses nothing of it.
        """
        return await self._hand_in(lambda: operation(*args, **kwargs), durable=False)

    async def close(self) -> None:
        """Finish what has arrived and end the thread; the connection stays the caller's."""
        self._closed = True
        self._arrived.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _hand_in(self, operation: Callable[[], T], *, durable: bool) -> T:
        if self._broken:
            raise self._broken
        if self._closed:
            raise StoreError("The store is closed.")
        done: asyncio.Future[T] = self._loop.create_future()
        self._arrived.put((operation, done, durable))
        return await asyncio.shield(done)

    def _work(self) -> None:
        closing = False
        while not closing:
            batch = [self._arrived.get()]
            while len(batch) < _BATCH:
                try:
                    batch.append(self._arrived.get_nowait())
                except queue.Empty:
                    break
            closing = None in batch
            items = [item for item in batch if item is not None]
            if items:
                results, news = self._commit(items)
                self._loop.call_soon_threadsafe(self._deliver, results, news)
                self._rest()

    def _rest(self) -> None:
        if self._arrived.empty() and not self._broken:
            try:
                self._when_idle()
            except sqlite3.Error as error:
                self._broken = _unusable(error)

    def _commit(self, items: list[_Item]) -> tuple[list[_Result], object]:
        execute = self._connection.execute
        results: list[_Result] = []
        try:
            if self._broken:
                raise self._broken
            self._synchronize(any(durable for *_, durable in items))
            execute("BEGIN IMMEDIATE")
            for operation, done, _ in items:
                execute("SAVEPOINT operation")
                try:
                    results.append((done, operation(), None))
                except Exception as error:
                    if isinstance(error, sqlite3.Error) and not isinstance(error, _OF_THE_OPERATION):
                        raise
                    execute("ROLLBACK TO operation")
                    results.append((done, None, error))
                execute("RELEASE operation")
            execute("COMMIT")
        except (sqlite3.Error, StoreError) as error:
            self._broken = self._broken or _unusable(error)
            return [(done, None, self._broken) for _, done, _ in items], None
        return results, self._take_news()

    def _synchronize(self, full: bool) -> None:
        if full != self._full:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full = full

    def _deliver(self, results: list[_Result], news: object) -> None:
        try:
            if news is not None:
                self._on_commit(news)
        finally:
            self._resolve(results)

    @staticmethod
    def _resolve(results: list[_Result]) -> None:
        for done, value, error in results:
            if done.cancelled():
                continue
            if error is None:
                done.set_result(value)
            else:
                done.set_exception(error)


def _unusable(error: Exception) -> StoreError:
    return StoreError(f"The store cannot be written ({error}): free some space or mend the disk, then start again.")
