"""The real control channel, over a real socket and store, with an intake that answers as a test wants it to."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Self, TypeVar

from encoder_bridge import sqlite, wire
from encoder_bridge.board import Board
from encoder_bridge.commits import Commits
from encoder_bridge.control import Control
from encoder_bridge.intake import Envelope
from encoder_bridge.model import Job, State
from encoder_bridge.store import News
from encoder_bridge.store.views import Views

T = TypeVar("T")
NOON = 1_752_321_600_000  # 2025-07-12T12:00:00Z
SINCE = "2025-07-12T12:00:00.000Z"
ABOUT = {"site": "harbour-hotel", "desk": "front-desk", "time_zone": "Asia/Tokyo"}

Take = Callable[[Envelope], Awaitable[wire.Response | None]]


@dataclass
class Intake:
    """Keeps what arrives and answers by verb."""

    arrived: list[Envelope] = field(default_factory=list)
    answers: dict[str, wire.Response | Exception | Take | None] = field(default_factory=dict)
    waits: threading.Event = field(default_factory=threading.Event)
    withdrawn: threading.Event = field(default_factory=threading.Event)

    async def take(self, envelope: Envelope) -> wire.Response | None:
        self.arrived.append(envelope)
        answer = self.answers.get(envelope.verb)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, wire.Response) or answer is None:
            return answer
        return await answer(envelope)

    async def wait_for_a_card(self, envelope: Envelope) -> wire.Response:
        """For ever, as nobody lays one down."""
        self.waits.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.withdrawn.set()
        raise AssertionError


def job(number: int, state: State = State.QUEUED, method: str | None = None) -> Job:
    return Job(
        job_id=number,
        access_method_id=method or f"am_{number}",
        state=state,
        attempt=0,
        encoder=None,
        event_id=f"ev_{number}",
        is_reissue=False,
        created_at=NOON,
        state_at=NOON,
        expires_at=NOON,
    )


def idle() -> wire.EncoderState:
    return wire.EncoderState(state="idle", since=SINCE)


def store(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    sqlite.prepare(connection)
    return connection


def insert(connection: sqlite3.Connection, job: Job, **columns: object) -> None:
    row = {
        "job_id": job.job_id,
        "access_method_id": job.access_method_id,
        "state": job.state.value,
        "open": 1 if job.state in {State.HELD, State.QUEUED} else None,
        "place": 0,
        "credential": "{}",
        "origin": "{}",
        "event_id": job.event_id,
        "is_reissue": 0,
        "created_at": NOON,
        "state_at": NOON,
        "expires_at": NOON,
        **columns,
    }
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO job ({names}) VALUES ({marks})", tuple(row.values()))


@dataclass
class Running:
    """A control channel that serves."""

    path: Path
    loop: asyncio.AbstractEventLoop
    board: Board
    control: Control
    intake: Intake
    connection: sqlite3.Connection
    stop: Callable[[], None]

    def call(self, function: Callable[[], T]) -> T:
        """Run something in its loop."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def hear(self, *jobs: Job) -> None:
        self.call(lambda: self.control.hear(News(jobs={job.access_method_id: job for job in jobs})))

    def show(self, name: str, **changes: Any) -> None:
        self.call(lambda: self.board.amend(name, **changes))

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        with closing(UnixConnection(self.path)) as connection:
            response = send(connection, method, path, body, headers)
            return response.status, json.loads(response.read())


class UnixConnection(HTTPConnection):
    """The standard library's HTTP client, over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


def send(
    connection: HTTPConnection, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> HTTPResponse:
    payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json"} if payload is not None else {}
    connection.request(method, path, payload, {**given, **(headers or {})})
    return connection.getresponse()


@contextmanager
def serving(folder: Path, *jobs: Job, path: Path | None = None) -> Iterator[Running]:
    """Serve in a thread of its own, with two encoders and these jobs in the store."""
    with closing(store(folder / "jobs.sqlite")) as connection:
        for one in jobs:
            insert(connection, one)
        ready: Future[Running] = Future()

        async def main() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            board = Board()
            board.show("desk-1", idle())
            board.show("desk-2", idle())
            intake = Intake()
            commits = Commits(connection, take_news=lambda: None, on_commit=lambda _: None, when_idle=lambda: None)
            try:
                control = Control(
                    path or folder / "control.sock",
                    intake=intake,
                    board=board,
                    views=Views(connection.execute),
                    commits=commits,
                    encoders={"desk-1": {"driver": "simulated"}, "desk-2": {"driver": "acme"}},
                    about=ABOUT,
                )
                async with control.serving():
                    ready.set_result(
                        Running(
                            path=path or folder / "control.sock",
                            loop=loop,
                            board=board,
                            control=control,
                            intake=intake,
                            connection=connection,
                            stop=lambda: None if loop.is_closed() else stopping(loop, stop),
                        )
                    )
                    await stop.wait()
            finally:
                await commits.close()

        def run() -> None:
            try:
                asyncio.run(main())
            except BaseException as error:
                if not ready.done():
                    ready.set_exception(error)
                else:
                    raise

        thread = threading.Thread(target=run)
        thread.start()
        try:
            running = ready.result(10)
            try:
                yield running
            finally:
                running.stop()
        finally:
            thread.join(10)


def stopping(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    loop.call_soon_threadsafe(stop.set)


@dataclass
class Told:
    """One event of a stream."""

    kind: str
    body: Any
    number: str | None


class Watcher:
    """Reads `/v1/events`, written without a look at the client."""

    def __init__(self, path: Path, last: str | None = None) -> None:
        self.connection = UnixConnection(path)
        headers = {"Last-Event-ID": last} if last else {}
        self.response = send(self.connection, "GET", "/v1/events", headers=headers)
        assert self.response.getheader("Content-Type") == "text/event-stream"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()
        self.connection.close()

    def next(self) -> Told | None:
        """The next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        while line := self.response.readline().decode():
            if line == "\n" and "event" in fields:
                return Told(fields["event"], json.loads(fields["data"]), fields.get("id"))
            if line.startswith(":") or line == "\n":
                continue
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
        return None

    def until(self, kind: str) -> list[Told]:
        """All up to the next event of this kind, with it."""
        found: list[Told] = []
        while told := self.next():
            found.append(told)
            if told.kind == kind:
                return found
        raise AssertionError(f"the stream ended before any {kind}")
