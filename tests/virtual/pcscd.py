"""A private pcscd with virtual readers: its own folder, socket and configuration, and nobody else's pcscd disturbed.

    with PcscStack("ACS ACR122U PICC Interface") as stack, stack.use():
        stack.readers  # ("ACS ACR122U PICC Interface 00 00", "ACS ACR122U PICC Interface 00 01")
        stack.port(stack.readers[0])  # where `virtual.vpcd.Slot` lays a card

A client in a process of its own is started with `env=stack.environment`.  libpcsclite reads PCSCLITE_CSOCK_NAME once
in a process's life, at its first SCardEstablishContext: setting it again does nothing.  So `PcscStack.use` gives this
process one name for good, a symbolic link, and lets it point to the stack in use; outside of `use` it leads nowhere,
and SCardEstablishContext says SCARD_E_NO_SERVICE.  It has to be entered before the process's first PC/SC call.  A
context belongs to the stack it was established with: pyscard's own, which `smartcard.System.readers` keeps for the
process, has to be renewed after a change of stacks, as after a restart of pcscd.

What is played and what is not: a killed and a stopped service are real.  pcscd lets go of a reader of reader.conf in no
other way than by ending (SIGUSR1, which is `pcscd --hotplug`, looks for USB readers only), so a reader is unplugged by
`restart(without=...)`: a client sees the service end and come back without it.  The virtual readers refuse every
SCardControl.
"""

from __future__ import annotations

import atexit
import functools
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

START_S = 20.0
STOP_S = 20.0

SOCKET_NAME = "PCSCLITE_CSOCK_NAME"
VPCD_CONFIGURATION = Path("/etc/reader.conf.d/vpcd")
SLOTS = 2
"""How many readers vpcd makes of each line of its configuration."""

CMD_VERSION = 0x11
PROTOCOL = (4, 4)
"""Of pcsc-lite 1.9; a later one still answers it."""


class PcscError(Exception):
    """pcscd did not start or stop; the message holds the end of its log."""


@functools.cache
def available() -> str | None:
    """Why no private pcscd can run here, in one sentence, or None."""
    for program, package in (("pcscd", "pcscd"), ("unshare", "util-linux"), ("mount", "mount")):
        if _find(program) is None:
            return f"{package} is not installed: no PC/SC service to test with"
    if _driver() is None:
        return "vsmartcard-vpcd is not installed: no virtual reader to test with"
    trial = subprocess.run([*_namespace(), "true"], capture_output=True, timeout=START_S, check=False)
    if trial.returncode != 0:
        return "this system refuses a mount namespace (unshare -rm): no pcscd of our own beside the system's"
    return None


class PcscStack:
    """A pcscd with two virtual readers for each name, on loopback ports that stay theirs over every restart.

    Args:
        names: what the readers call themselves, each another name; pcscd adds `` 00 00`` for the first slot of each
            and `` 00 01`` for the second.
    """

    def __init__(self, *names: str) -> None:
        if len(set(names)) < len(names):
            raise ValueError("pcscd does not number virtual readers of the same name, so their names must differ")
        self._names = names or ("Virtual PCD",)
        self._ports: dict[int, int] = {}
        self._present: tuple[int, ...] = tuple(range(len(self._names)))
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """Configuration, socket and log."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="pcscd-")
            for name in ("conf", "run"):
                (Path(self._folder.name) / name).mkdir()
        return Path(self._folder.name)

    @property
    def socket(self) -> Path:
        """Where clients connect; kept over every restart."""
        return self.folder / "run/pcscd/pcscd.comm"

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, led to this stack: for a client in a process of its own."""
        return {**os.environ, SOCKET_NAME: str(self.socket)}

    @property
    def readers(self) -> tuple[str, ...]:
        """The readers as PC/SC names them, without the unplugged ones."""
        return tuple(self._slots())

    @property
    def pid(self) -> int | None:
        """The running pcscd, None while it is down."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """All that pcscd has said, over every start."""
        file = self.folder / "pcscd.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def port(self, reader: str) -> int:
        """Where a virtual card connects that lies on this reader.

        Raises:
            KeyError: there is no such reader, or it is unplugged.
        """
        return self._slots()[reader]

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
        """Kill pcscd if it runs and remove its folder."""
        if self._process is not None:
            self.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @contextmanager
    def use(self) -> Iterator[Self]:
        """Let this very process be the stack's client; see the module for what that asks of it.

        Raises:
            PcscError: another stack is in use.
        """
        link = _process_socket()
        try:
            link.symlink_to(self.socket)
        except FileExistsError:
            raise PcscError("this process is the client of another stack already") from None
        os.environ[SOCKET_NAME] = str(link)
        try:
            yield self
        finally:
            link.unlink()

    def start(self) -> None:
        """Start, or start again with readers, ports and socket kept; return when it serves.

        Raises:
            PcscError: it ended, stayed silent or did not get its ports.
        """
        if self._process is not None:
            raise PcscError("pcscd already runs")
        if self._ports:
            self._launch()
            return
        for attempt in range(5):
            self._ports = _free_ports(len(self._names))
            try:
                self._launch()
            except PcscError:
                self._ports = {}
                if attempt == 4 or "Could not initialize connection" not in self.log:
                    raise
            else:
                return

    def stop(self) -> None:
        """End pcscd as a system does that shuts down (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End pcscd as a crash does (SIGKILL): its socket stays behind and refuses."""
        self._end(signal.SIGKILL)

    def restart(self, *, kill: bool = False, without: Collection[str] = ()) -> None:
        """Stop or kill if it runs, then start without the named devices, which are those given to the constructor."""
        if self._process is not None:
            self._end(signal.SIGKILL if kill else signal.SIGTERM)
        self._present = tuple(each for each, name in enumerate(self._names) if name not in without)
        self.start()

    def knock(self, timeout: float = 5.0) -> None:
        """Ask pcscd for its version, which it answers only after all of reader.conf was started.

        Asked and answered::

            size u32 | command u32 | major u32 | minor u32 | rv u32     native byte order
                                     major u32 | minor u32 | rv u32

        Raises:
            OSError: nobody answered within `timeout` seconds.
        """
        body = struct.pack("=III", *PROTOCOL, 0)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(str(self.socket))
            client.sendall(struct.pack("=II", len(body), CMD_VERSION) + body)
            if not client.recv(len(body)):
                raise ConnectionResetError("pcscd closed the connection without an answer")

    def _slots(self) -> dict[str, int]:
        """The port of each reader by its full name."""
        found: dict[str, int] = {}
        for each in self._present:
            for slot in range(SLOTS):
                found[f"{self._names[each]} 00 {slot:02X}"] = self._ports[each] + slot
        return found

    def _launch(self) -> None:
        (self.folder / "conf/readers").write_text("".join(map(self._line, self._present)))
        run = f'mount --bind "{self.folder}/run" /run && exec "$@"'
        command = [*_namespace(), "sh", "-c", run, "sh", _find("pcscd") or "pcscd"]
        command += ["--foreground", "--info", "--config", str(self.folder / "conf")]
        with (self.folder / "pcscd.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        # Ends pcscd when this process ends, however it ends: the pipe closes then.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", 'read _; kill -KILL "$0"', str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.knock()
            except OSError:
                time.sleep(0.005)
                continue
            if all(_listens(self._process.pid, port) for port in self._slots().values()):
                return
            break
        code = self._process.poll()
        self.kill()
        how = "did not serve with all of its readers" if code is None else f"ended with {code}"
        raise PcscError(f"pcscd {how}:\n{self.log[-2000:]}")

    def _line(self, each: int) -> str:
        """One entry of reader.conf; each device has its copy of the driver, whose slots are global variables."""
        driver = self.folder / f"libifdvpcd-{each}.so"
        if not driver.exists():
            shutil.copyfile(_driver() or "", driver)
        port = self._ports[each]
        return (
            f'FRIENDLYNAME "{self._names[each]}"\nDEVICENAME /dev/null:{port}\nLIBPATH {driver}\nCHANNELID {port}\n\n'
        )

    def _end(self, how: signal.Signals) -> None:
        process, guard = self._process, self._guard
        if process is None:
            raise PcscError("pcscd is not running")
        if guard is not None:
            guard.kill()
            guard.communicate()
        self._process = self._guard = None
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise PcscError(f"pcscd ignored {how.name}:\n{self.log[-2000:]}") from None


@functools.cache
def _process_socket() -> Path:
    """The one name under which this process looks for pcscd."""
    folder = tempfile.mkdtemp(prefix="pcsc-client-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder) / "pcscd.comm"


def _namespace() -> list[str]:
    """The start of a command that may mount what nobody else sees."""
    return [_find("unshare") or "unshare", "-m" if os.geteuid() == 0 else "-rm"]


def _driver() -> Path | None:
    """vpcd's driver for pcscd, where its own configuration says it is."""
    if not VPCD_CONFIGURATION.exists():
        return None
    words = (line.split() for line in VPCD_CONFIGURATION.read_text().splitlines())
    paths = (Path(line[1]) for line in words if line[:1] == ["LIBPATH"] and len(line) == 2)
    return next(filter(Path.exists, paths), None)


def _find(program: str) -> str | None:
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))


def _free_ports(devices: int) -> dict[int, int]:
    """For each device a free port whose next is free too, none that the kernel gives to outgoing connections."""
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        lowest = 32768
    candidates = range(max(1026, lowest - 12000) & ~1, lowest - 1, 2)
    found: dict[int, int] = {}
    for port in random.SystemRandom().sample(candidates, k=min(400, len(candidates))):
        if len(found) == devices:
            break
        if all(_is_free(port + slot) for slot in range(SLOTS)):
            found[len(found)] = port
    if len(found) < devices:
        raise PcscError("no free ports for the virtual readers")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def _listens(pid: int, port: int) -> bool:
    """Whether this process holds a listening IPv4 socket on the port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    held = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(str(each.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return any(f"socket:[{inode}]" in held for inode in inodes)
