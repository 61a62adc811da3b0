"""The thread on which a reader's blocking work is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Worker:
    """One thread; what was started on it is awaited to its end, also by a caller who is cancelled meanwhile.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def do(self, work: Callable[[], Result]) -> Result:
        """Do `work` when everything before it is done.

        Raises:
            CancelledError: when it is done, if the caller was cancelled while it was not.
        """
        running = asyncio.get_running_loop().run_in_executor(self._executor, work)
        cancelled: asyncio.CancelledError | None = None
        while not running.done():
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            running.exception()
            raise cancelled
        return running.result()

    def close(self) -> None:
        """End the thread; it has nothing left to do."""
        self._executor.shutdown()
