"""The server: routes, and what a request has to be before it is looked at."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from encoder_bridge import __version__, texts, wire
from encoder_bridge.board import Board
from encoder_bridge.commits import Commits
from encoder_bridge.control.answers import refusal, status_of
from encoder_bridge.control.door import listening, peer_of
from encoder_bridge.control.feed import Feed
from encoder_bridge.control.stream import Stream
from encoder_bridge.errors import StoreError
from encoder_bridge.intake import LOCAL_REQUESTS, REQUESTS, Envelope
from encoder_bridge.log import get_logger
from encoder_bridge.model import State
from encoder_bridge.reports import problem
from encoder_bridge.store import News
from encoder_bridge.store.views import Views

VERBS = (*REQUESTS, *LOCAL_REQUESTS)
"""What may be asked for at ``/v1/requests/{verb}``."""
_AT_A_DEVICE = frozenset({"read", "erase"})
"""Requests that wait for somebody to lay down a card."""
_MOST_JOBS = 1000
_STOP_S = 2.0
"""How long the end of the daemon waits for requests under way."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Intake(Protocol):
    """What is used of `encoder_bridge.intake.Intake`."""

    async def take(self, envelope: Envelope) -> wire.Response | None:
        """Do what the message means and answer."""


class Control:
    """Serves the control channel.

    Args:
        path: the socket.
        intake: takes what is asked for.
        board: the encoders.
        views: reads jobs.
        commits: the way to the store.
        encoders: each encoder's name, in the order shown, to what is known of it for good: its driver and the like.
        about: what ``/v1/health`` tells beside the version: site, desk, time zone.
    """

    def __init__(
        self,
        path: Path,
        *,
        intake: Intake,
        board: Board,
        views: Views,
        commits: Commits,
        encoders: Mapping[str, Mapping[str, object]],
        about: Mapping[str, object],
    ) -> None:
        self._path = path
        self._intake = intake
        self._board = board
        self._views = views
        self._commits = commits
        self._encoders = encoders
        self._about = {"version": __version__, "instance": uuid.uuid4().hex, **about}
        self._feed = Feed(board)
        self._at_a_device: set[asyncio.Task[Any]] = set()
        self._is_stopping = False
        self._log = get_logger("control")

    def hear(self, news: News) -> None:
        """Note what was committed."""
        self._feed.hear(news)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve inside the context; the socket is there when it is entered.

        Raises:
            ConfigError: there can be no socket at this path.
        """
        # A request whose client has gone is cancelled: nobody waits for that card any more.
        runner = web.AppRunner(
            self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_S
        )
        self._feed.begin(await self._commits.relaxed(self._views.standing))
        with listening(self._path) as listener:
            listener.setblocking(False)
            await runner.setup()
            try:
                await web.SockSite(runner, listener).start()
                yield
            finally:
                await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=wire.MAX_PAYLOAD_BYTES, middlewares=[self._guard])
        application.add_routes(
            [
                web.get("/v1/health", self._health),
                web.get("/v1/encoders", self._list_encoders),
                web.get("/v1/jobs", self._list_jobs),
                web.get("/v1/jobs/{which}", self._show_jobs),
                web.get("/v1/events", Stream(self._feed, str(self._about["instance"])).serve),
                web.post("/v1/jobs", self._trigger),
                web.post("/v1/requests/{verb}", self._request),
            ],
        )
        application.on_shutdown.append(self._stop)
        return application

    async def _stop(self, _: web.Application) -> None:
        self._is_stopping = True
        self._feed.end()
        for task in self._at_a_device:
            task.cancel()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Refuse what a browser may have been made to send, and answer every error in one shape."""
        try:
            if "Origin" in request.headers:
                return _refused(403, "origin_refused", "Web pages are not served here: use the command line.")
            if request.method == "POST" and request.content_type != "application/json":
                return _refused(415, "content_type_refused", "Send JSON, with Content-Type: application/json.")
            return await handler(request)
        except web.HTTPRequestEntityTooLarge:
            return _refused(
                413, "payload_too_large", f"The message is too large: send at most {wire.MAX_PAYLOAD_BYTES} bytes."
            )
        except web.HTTPMethodNotAllowed:
            return _refused(405, "method_not_allowed", "This is asked for with another method: see docs/control.md.")
        except web.HTTPNotFound:
            return _refused(404, "unknown_path", "There is nothing at this path: see docs/control.md.")
        except StoreError as error:
            return _refused(503, "store_error", str(error))
        except Exception as error:  # noqa: BLE001 - a bug here must not take the desk along
            self._log.exception("request_broke", error)
            return _refused(500, "internal_error", "This request broke the control channel: see the log.")

    async def _health(self, _: web.Request) -> web.StreamResponse:
        await self._commits.relaxed(self._views.jobs, None, 1)
        return web.json_response({"state": "online", **self._about})

    async def _list_encoders(self, _: web.Request) -> web.StreamResponse:
        shown = [
            {
                "name": name,
                **facts,
                **self._board.encoders[name].model_dump(mode="json", exclude_none=True),
                **self._board.abilities.get(name, {}),
            }
            for name, facts in self._encoders.items()
            if name in self._board.encoders
        ]
        return web.json_response({"encoders": shown})

    async def _list_jobs(self, request: web.Request) -> web.StreamResponse:
        state, limit = request.query.get("state"), request.query.get("limit", "50")
        if state is not None and state not in set(State):
            return _refused(400, "invalid_message", f"state: use one of {', '.join(State)}.")
        if not (
            limit.isascii()
            and limit.isdecimal()
            and len(limit) <= len(str(_MOST_JOBS))
            and 1 <= int(limit) <= _MOST_JOBS
        ):
            return _refused(400, "invalid_message", f"limit: use a number from 1 to {_MOST_JOBS}.")
        return web.json_response({"jobs": await self._commits.relaxed(self._views.jobs, state, int(limit))})

    async def _show_jobs(self, request: web.Request) -> web.StreamResponse:
        found = await self._commits.relaxed(self._views.jobs_of, request.match_info["which"])
        if not found:
            return _refused(404, "unknown_job", "No job is known under this id: check it.")
        return web.json_response({"jobs": found})

    async def _trigger(self, request: web.Request) -> web.StreamResponse:
        return await self._take(request, "trigger")

    async def _request(self, request: web.Request) -> web.StreamResponse:
        verb = request.match_info["verb"]
        if verb not in VERBS:
            return _refused(404, "unknown_request", f"No such request: use one of {', '.join(VERBS)}.")
        task = asyncio.current_task()
        if verb not in _AT_A_DEVICE or task is None:
            return await self._take(request, verb)
        self._at_a_device.add(task)
        try:
            return await self._take(request, verb)
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise
            task.uncancel()
            stopping = refusal(problem(texts.problem("bridge_stopping")))
            return _answered(stopping, status_of(stopping))
        finally:
            self._at_a_device.discard(task)

    async def _take(self, request: web.Request, verb: str) -> web.StreamResponse:
        payload = await request.read()
        connection = request.get_extra_info("socket")
        answer = await self._intake.take(
            Envelope(verb=verb, payload=payload, reply=None, requester=peer_of(connection)),
        )
        if answer is None:
            answer = wire.Response(id=wire.id_of(payload), status="ignored")
        return _answered(answer, status_of(answer))


def _answered(answer: wire.Response, status: int) -> web.Response:
    return web.Response(text=answer.model_dump_json(exclude_none=True), status=status, content_type="application/json")


def _refused(status: int, error_type: str, sentence: str) -> web.Response:
    return _answered(refusal(wire.Problem(type=error_type, message=sentence)), status)
