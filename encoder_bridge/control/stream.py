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

from encoder_bridge.control.feed import Feed, Reader
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
            await _write(response, _event(change.thing[0], change.body))
        whole = json.dumps({"is_whole": snapshot.is_whole})
        await _write(response, _event("snapshot", whole, f"{self._instance}-{snapshot.number}"))
        while not reader.is_over:
            change_or_none = await reader.next(HEARTBEAT_S)
            text = ":\n\n"
            if change_or_none:
                number = f"{self._instance}-{change_or_none.number}"
                text = _event(change_or_none.thing[0], change_or_none.body, number)
            await _write(response, text)

    def _number(self, last_id: str) -> int | None:
        instance, _, number = last_id.rpartition("-")
        is_ours = instance == self._instance and number.isascii() and number.isdecimal()
        return int(number[:18]) if is_ours else None


def _event(kind: str, body: str, number: str | None = None) -> str:
    return f"event: {kind}\n" + (f"id: {number}\n" if number else "") + f"data: {body}\n\n"


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(SLOW_S):
        await response.write(text.encode())
