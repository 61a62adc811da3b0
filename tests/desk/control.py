"""The control channel as a stranger's program sees it: HTTP on a Unix socket, with nothing but the standard library."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
from pathlib import Path
from typing import Any

_serial = itertools.count(1)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Control:
    """One desk's channel; each request has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.heard: list[bytes] = []
        """Every answer, as it came."""

    def get(self, path: str) -> Any:
        """The body of an answer that has to be 200."""
        status, body = self._send("GET", path, None)
        assert status == 200, body
        return body

    def ask(self, verb: str, **fields: object) -> tuple[int, Any]:
        """Make a request under an id of its own: status and body."""
        return self._send("POST", f"/v1/requests/{verb}", {"id": f"ask-{next(_serial)}", **fields})

    def trigger(self, body: object) -> tuple[int, Any]:
        """Ask for a card: status and body."""
        return self._send("POST", "/v1/jobs", body)

    def job(self, access_method_id: str) -> Any:
        """The newest job of an access method, with its attempts."""
        return self.get(f"/v1/jobs/{access_method_id}")["jobs"][0]

    def encoder(self, name: str = "desk-1") -> Any:
        """One encoder."""
        (found,) = [each for each in self.get("/v1/encoders")["encoders"] if each["name"] == name]
        return found

    def snapshot(self) -> list[str]:
        """The lines of the events up to where all is told that stands."""
        connection = _Connection(self._path)
        try:
            connection.request("GET", "/v1/events")
            stream = connection.getresponse()
            lines = [line.decode() for line in iter(stream.readline, b"event: snapshot\n")]
        finally:
            connection.close()
        self.heard.append("".join(lines).encode())
        return lines

    def _send(self, method: str, path: str, body: object) -> tuple[int, Any]:
        connection = _Connection(self._path)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        self.heard.append(text)
        return answer.status, json.loads(text)
