"""Server-sent events (WHATWG HTML, section 9.2): what stands, then what changes.

::

    event: encoder            what stands, in any number, without ids: a reader that is cut off here begins anew
    data: {"name": ...}

    event: snapshot           it is complete; data: {"is_whole": true}
    id: <instance>-<number>
    data: ...

    event: job                what changes
    id: <instance>-<number>
    data: {...}

    :                         nothing happened for a while
"""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from encoder_bridge.control.feed import Change, Feed, Reader
from encoder_bridge.log import get_logger

HEARTBEAT_S = 15.0
SLOW_S = 30.0
"""A reader that does not take an event for so long is dropped; it may come back for what it has missed."""


class Stream:
    """Handles ``/v1/events``.

    Args:
        feed: where changes come from.
        instance: tells this daemon's numbers from another's.
    """

    def __init__(self, feed: Feed, instance: str) -> None:
        self._feed = feed
        self._instance = instance
        self._log = get_logger("control")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one reader until it goes, is too slow or the feed ends."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        reader = self._feed.open(self._number(request.headers.get("Last-Event-ID", "")))
        try:
            await self._tell(response, reader)
        except TimeoutError:
            self._log.info("watcher_too_slow")
            if request.transport:
                request.transport.abort()
        except ConnectionError:
            pass
        finally:
            self._feed.close(reader)
        return response

    async def _tell(self, response: web.StreamResponse, reader: Reader) -> None:
        snapshot = reader.snapshot
        for change in snapshot.changes:
            await _write(response, _event(change))
        whole = json.dumps({"is_whole": snapshot.is_whole})
        await _write(response, f"event: snapshot\nid: {self._instance}-{snapshot.number}\ndata: {whole}\n\n")
        while not reader.is_over:
            change_or_none = await reader.next(HEARTBEAT_S)
            if change_or_none is None:
                await _write(response, ":\n\n")
            else:
                await _write(response, f"id: {self._instance}-{change_or_none.number}\n{_event(change_or_none)}")

    def _number(self, last_id: str) -> int | None:
        instance, _, number = last_id.rpartition("-")
        is_ours = instance == self._instance and number.isascii() and number.isdecimal()
        return int(number[:18]) if is_ours else None


def _event(change: Change) -> str:
    return f"event: {change.thing[0]}\ndata: {change.body}\n\n"


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(SLOW_S):
        await response.write(text.encode())
