"""One call to a device that needs a card, watched: people take their time, devices keep their promises or hang."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from encoder_bridge.desk import CallDesk

T = TypeVar("T")

SHUTDOWN_S = 30.0
"""The longest that a started write may hold up a shutdown."""


class Call(Generic[T]):
    """Runs a device's coroutine beside the desk that was handed to it.

    Args:
        coroutine: the device's.
        desk: knows how long patience lasts, and whether a card may have been changed.
        silence_s: what the device promised as its longest silence.
        name: of the task.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T], desk: CallDesk, *, silence_s: float, name: str) -> None:
        self.task = asyncio.create_task(coroutine, name=name)
        self._desk = desk
        self._silence_s = silence_s
        self._time = asyncio.get_running_loop().time

    async def watch(self) -> bool:
        """Wait for the call to end; when nobody lays a card down in time it is withdrawn.

        Returns:
            False: the device owes a word for longer than it promised.
        """
        desk, task = self._desk, self.task
        while not task.done():
            desk.stirred.clear()
            stirred = asyncio.create_task(desk.stirred.wait())
            try:
                await asyncio.wait(
                    {task, stirred},
                    timeout=max(0.0, desk.limit - self._time()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                stirred.cancel()
            if task.done() or self._time() < desk.limit:
                continue
            if desk.begun or desk.is_off:
                return False
            desk.waited_too_long = True
            desk.withdraw()
        return True

    async def shut_down(self) -> None:
        """Await a started write to its end, as long as the device keeps its promise; cancel any other."""
        deadline = self._time() + SHUTDOWN_S
        while self._desk.begun and not self.task.done() and self._time() < min(self._desk.limit, deadline):
            await asyncio.wait({self.task}, timeout=min(self._desk.limit, deadline) - self._time())
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=self._silence_s)

    async def end(self) -> None:
        """Wait for a call that hung."""
        await asyncio.wait({self.task})

    @property
    def late_result(self) -> T | None:
        """What it came to, if it came to anything."""
        if self.task.done() and not self.task.cancelled() and self.task.exception() is None:
            return self.task.result()
        return None
