"""Talking to a bridge over its control channel; the standard library is enough for that."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote

from encoder_bridge.errors import BridgeError
from encoder_bridge.socket_address import address_of

ANSWER_S = 30.0
"""Seconds within which a bridge answers what needs no person."""
SILENCE_S = 45.0
"""Seconds; three heartbeats of a stream."""
_AGAIN_S = 1.0


class Unreachable(BridgeError):
    """No bridge answers."""

    exit_code = 69


class Nobody(Unreachable):
    """Nobody listens at the socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a bridge said."""

    status: int
    """Of HTTP."""
    body: dict[str, Any]

    @property
    def is_no(self) -> bool:
        """Whether it did not do what it was asked for."""
        return self.status >= 400

    @property
    def sentence(self) -> str:
        """Why not, for people."""
        return sentence(self.body.get("error") or {}) or f"The bridge answered with HTTP status {self.status}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something a bridge told by itself."""

    kind: str
    """`encoder`, `job`, `snapshot`; or `lost`: the connection broke and is tried again."""
    body: dict[str, Any] = field(default_factory=dict)
    number: str | None = None


class Channel:
    """The control channel of one bridge; every request has a connection of its own.

    Args:
        path: its socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, path: str) -> Answer:
        """Ask for what stands at a path.

        Raises:
            Unreachable: no bridge answers.
        """
        return self._ask("GET", path, None, ANSWER_S)

    def jobs_of(self, which: str) -> list[dict[str, Any]]:
        """All jobs of an access method, or the one with this number, the newest first.

        Raises:
            Unreachable: no bridge answers.
        """
        found: list[dict[str, Any]] = self.get(f"/v1/jobs/{quote(which, safe='')}").body.get("jobs", [])
        return found

    def post(self, path: str, body: object, *, timeout_s: float | None = ANSWER_S) -> Answer:
        """Ask for something to be done.

        Args:
            path: what.
            body: JSON.
            timeout_s: None: somebody has to lay down a card first, which may take any time.

        Raises:
            Unreachable: no bridge answers, or it went before it did; `body` can be sent again.
        """
        return self._ask("POST", path, json.dumps(body).encode(), timeout_s)

    def changes(self) -> Iterator[Event]:
        """What stands, then what changes, for ever; a lost connection is told and made again.

        Raises:
            Unreachable: no bridge answers the first time.
        """
        last: str | None = None
        events = self._events(last)
        first = next(events)
        while True:
            try:
                yield first
                last = first.number or last
                for event in events:
                    last = event.number or last
                    yield event
            except Unreachable:
                pass
            finally:
                events.close()
            yield Event(kind="lost")
            events, first = self._again(last)

    def _again(self, last: str | None) -> tuple[Generator[Event], Event]:
        while True:
            events = self._events(last)
            try:
                return events, next(events)
            except (Unreachable, StopIteration):
                time.sleep(_AGAIN_S)

    def _events(self, last: str | None) -> Generator[Event]:
        with closing(_Connection(self.path, SILENCE_S)) as connection:
            headers = {"Last-Event-ID": last} if last else {}
            response = self._sent(connection, "GET", "/v1/events", None, headers)
            lines: list[str] = []
            while line := self._line(response):
                text = line.decode().rstrip("\n")
                if text:
                    lines.append(text)
                elif event := _event(lines):
                    lines = []
                    yield event
                else:
                    lines = []

    def _line(self, response: HTTPResponse) -> bytes:
        try:
            return response.readline()
        except (OSError, HTTPException) as error:
            raise self._gone(error) from None

    def _ask(self, method: str, path: str, body: bytes | None, timeout_s: float | None) -> Answer:
        with closing(_Connection(self.path, timeout_s)) as connection:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            response = self._sent(connection, method, path, body, headers)
            try:
                told = response.read()
                answer = Answer(status=response.status, body=json.loads(told))
            except (OSError, HTTPException, ValueError) as error:
                raise self._gone(error) from None
        if answer.status == 503:
            raise Unreachable(answer.sentence)
        return answer

    def _sent(
        self, connection: HTTPConnection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HTTPResponse:
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            raise Nobody(f"No bridge listens at {self.path}: start it with 'encoder-bridge run'.") from None
        except PermissionError:
            raise Unreachable(f"This user may not use {self.path}: run this as the bridge's user.") from None
        except OSError as error:
            raise Unreachable(f"{self.path} cannot be used ({error.strerror or error}): name the socket.") from None
        try:
            connection.request(method, path, body, dict(headers))
            return connection.getresponse()
        except (OSError, HTTPException) as error:
            raise self._gone(error) from None

    def _gone(self, error: Exception) -> Unreachable:
        if isinstance(error, TimeoutError):
            return Unreachable(f"The bridge at {self.path} does not answer: look at its log, or start it again.")
        return Unreachable(f"The bridge at {self.path} went before it had answered: ask again.")


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect.

        Raises:
            OSError: nobody is there.
        """
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self.sock.settimeout(self.timeout)
            with address_of(self._path) as address:
                self.sock.connect(address)
        except BaseException:
            self.sock.close()
            raise


def sentence(problem: Mapping[str, Any]) -> str:
    """A problem as the person at the desk is told of it."""
    return str(problem.get("clerk") or problem.get("message") or "")


def _event(lines: list[str]) -> Event | None:
    """Read one event; comments are none."""
    fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":") and ": " in line)
    if "event" not in fields:
        return None
    return Event(kind=fields["event"], body=json.loads(fields.get("data", "{}")), number=fields.get("id"))
