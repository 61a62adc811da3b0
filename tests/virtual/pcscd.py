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

What is real and what is played: a killed, a stopped and a restarted service are real.  One reader may be a USB reader
(`usb=`, see `virtual.usb`), which pcscd sees being plugged in and pulled out while it serves.  The other readers are of
reader.conf, of which pcscd lets go only by ending (SIGUSR1, which is `pcscd --hotplug`, looks for USB readers only);
`restart(without=...)` brings the service back without them.  The virtual readers refuse every SCardControl.  Real
readers on this machine's USB are not seen.
"""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from virtual import pcscd_host as host
from virtual.pcscd_host import available
from virtual.usb import SECOND_SLOT, UsbBus
from virtual.vpcd import Port

__all__ = ["PcscError", "PcscStack", "available"]

START_S = 20.0
STOP_S = 20.0

SOCKET_NAME = "PCSCLITE_CSOCK_NAME"

CMD_VERSION, CMD_GET_READERS_STATE = 0x11, 0x12
PROTOCOL = (4, 4)
"""Of pcsc-lite 1.9; a later one still answers it."""
MOST_READERS = 16
STATE_SIZE = 184


class PcscError(Exception):
    """pcscd did not start or stop; the message holds the end of its log."""


class PcscStack:
    """A pcscd with two virtual readers for each name, on loopback ports that stay theirs over every restart.

    Args:
        names: what the readers call themselves, each another name; pcscd adds `` 00 00`` for the first slot of each
            and `` 00 01`` for the second.
        usb: the name of one more reader, which `plug` plugs in and `unplug` pulls out; it is out at first.
    """

    def __init__(self, *names: str, usb: str = "") -> None:
        if len(set(names)) < len(names):
            raise ValueError("pcscd does not number virtual readers of the same name, so their names must differ")
        self._names = names if names or usb else ("Virtual PCD",)
        self._usb_name = usb
        self._usb: UsbBus | None = None
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
            folder = Path(self._folder.name)
            (folder / "conf").mkdir()
            (folder / "run/udev").mkdir(parents=True)
            (folder / "run/udev/control").touch()  # tells libudev that somebody speaks on the netlink group
            if self._usb_name:
                self._usb = UsbBus(folder, self._usb_name, host.driver() or Path())
            else:
                (folder / "drivers").mkdir()
        return Path(self._folder.name)

    @property
    def socket_path(self) -> Path:
        """Where clients connect; kept over every restart."""
        return self.folder / "run/pcscd/pcscd.comm"

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, led to this stack: for a client in a process of its own."""
        return {**os.environ, SOCKET_NAME: str(self.socket_path)}

    @property
    def readers(self) -> tuple[str, ...]:
        """The readers as PC/SC names them, without the unplugged ones."""
        return (*self._of_configuration(), *self._usb_readers())

    @property
    def pid(self) -> int | None:
        """The running pcscd, None while it is down."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """All that pcscd has said, over every start."""
        file = self.folder / "pcscd.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def port(self, reader: str) -> Port:
        """Where a virtual card connects that lies on this reader; it may be unplugged, and plugged in again.

        Raises:
            KeyError: there never was such a reader in this stack.
        """
        if reader not in self._slots() and not (self._usb_name and reader.startswith(self._usb_name)):
            raise KeyError(reader)
        network = None if self._usb is None else self._usb.network
        return Port(reader=reader, number=lambda: self._slots().get(reader), network=network)

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
        if self._usb is not None:
            self._usb.close()
            self._usb = None
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
            link.parent.mkdir(mode=0o700)
        except FileExistsError:
            raise PcscError("this process is the client of another stack already") from None
        link.symlink_to(self.socket_path)
        os.environ[SOCKET_NAME] = str(link)
        try:
            yield self
        finally:
            link.unlink()
            link.parent.rmdir()

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
            self._ports = host.free_ports(len(self._names))
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
        """Stop or kill if it runs, then start.

        Args:
            kill: end it as a crash does.
            without: those of the constructor's names whose readers are not there this time.
        """
        if self._process is not None:
            self._end(signal.SIGKILL if kill else signal.SIGTERM)
        self._present = tuple(each for each, name in enumerate(self._names) if name not in without)
        self.start()

    def plug(self, serial: str = "") -> None:
        """Plug the USB reader in; return when clients see it, if pcscd runs.

        Args:
            serial: pcscd puts it into the reader's name: ``name (serial) 00 00``.

        Raises:
            PcscError: pcscd does not see it.
        """
        self._bus.plug(serial)
        self._wait_for_readers()

    def unplug(self) -> None:
        """Pull the USB reader out; return when clients do not see it any more, if pcscd runs.

        An exchange under way is not cut off: pcscd lets it end first, and so does this.

        Raises:
            PcscError: pcscd still sees it.
        """
        self._bus.unplug()
        self._wait_for_readers()

    def knock(self, timeout: float = 5.0) -> None:
        """Ask pcscd for its version, which it answers only after all of reader.conf was started.

        Asked and answered::

            size u32 | command u32 | major u32 | minor u32 | rv u32     native byte order
                                     major u32 | minor u32 | rv u32

        Raises:
            OSError: nobody answered within `timeout` seconds.
        """
        with self._greeted(timeout):
            return

    @contextmanager
    def _greeted(self, timeout: float = 5.0) -> Iterator[socket.socket]:
        body = struct.pack("=III", *PROTOCOL, 0)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(str(self.socket_path))
            client.sendall(struct.pack("=II", len(body), CMD_VERSION) + body)
            _receive(client, len(body))
            yield client

    def _known(self) -> set[str]:
        """The readers as pcscd tells them to clients: sixteen states, each of which begins with a name of 128 bytes."""
        with self._greeted() as client:
            client.sendall(struct.pack("=II", 0, CMD_GET_READERS_STATE))
            states = _receive(client, MOST_READERS * STATE_SIZE)
        names = (states[at : at + 128].partition(b"\0")[0] for at in range(0, len(states), STATE_SIZE))
        return {name.decode() for name in names if name}

    @property
    def _bus(self) -> UsbBus:
        if self._usb is None:
            raise PcscError("this stack has no USB reader, or was never started")
        return self._usb

    def _usb_readers(self) -> list[str]:
        if self._usb is None or self._usb.serial is None:
            return []
        full = f"{self._usb.name} ({self._usb.serial})" if self._usb.serial else self._usb.name
        return [f"{full} 00 {slot:02X}" for slot in range(host.SLOTS)]

    def _wait_for_readers(self) -> None:
        """Return when clients see the readers that are present, and no other."""
        if self._process is None:
            return
        deadline = time.monotonic() + START_S
        while True:
            with suppress(OSError):
                if self._known() == set(self.readers):
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PcscError(f"pcscd does not show the readers that are there:\n{self.log[-2000:]}")
            time.sleep(0.005)

    def _of_configuration(self) -> dict[str, int]:
        """The readers of reader.conf that are present, and their ports."""
        return {
            f"{self._names[each]} 00 {slot:02X}": self._ports[each] + slot
            for each in self._present
            for slot in range(host.SLOTS)
        }

    def _slots(self) -> dict[str, int]:
        """All readers that are present, and their ports."""
        found = self._of_configuration()
        listening = set() if self._process is None else host.listening(self._process.pid)
        first = listening - set(found.values()) - {SECOND_SLOT}
        if len(first) == 1 and SECOND_SLOT in listening:
            found |= zip(self._usb_readers(), (*first, SECOND_SLOT), strict=False)
        return found

    def _launch(self) -> None:
        (self.folder / "conf/readers").write_text("".join(map(self._line, self._present)))
        mounts = [(self.folder / "drivers", host.usb_drivers()), (self.folder / "run", "/run")]
        command, network, environment = host.namespace(), [], dict(os.environ)
        if self._usb is not None:
            mounts.insert(0, (self._usb.sys, "/sys"))
            network = [self._usb.network]
            command = [host.find("nsenter") or "nsenter", f"--net=/proc/self/fd/{self._usb.network}", *command]
            environment["SYSTEMD_DEVICE_VERIFY_SYSFS"] = "0"
        run = "".join(f'mount --bind "{here}" "{there}" && ' for here, there in mounts) + 'exec "$@"'
        command += ["sh", "-c", run, "sh", host.find("pcscd") or "pcscd"]
        command += ["--foreground", "--info", "--config", str(self.folder / "conf"), *host.without_polkit()]
        with (self.folder / "pcscd.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=network,
                start_new_session=True,
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
                listening = host.listening(self._process.pid)
            except OSError:
                time.sleep(0.005)
                continue
            if not set(self._of_configuration().values()) <= listening:
                break
            self._wait_for_readers()
            return
        code = self._process.poll()
        self.kill()
        how = "did not serve with all of its readers" if code is None else f"ended with {code}"
        raise PcscError(f"pcscd {how}:\n{self.log[-2000:]}")

    def _line(self, each: int) -> str:
        """One entry of reader.conf; each device has its copy of the driver, whose slots are global variables."""
        driver = self.folder / f"libifdvpcd-{each}.so"
        if not driver.exists():
            shutil.copyfile(host.driver() or "", driver)
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
    """The one name under which this process looks for pcscd, in a folder that is there while a stack is in use."""
    return Path(tempfile.gettempdir()) / f"pcsc-client-{os.getpid()}-{secrets.token_hex(8)}" / "pcscd.comm"


def _receive(client: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        piece = client.recv(length - len(received))
        if not piece:
            raise ConnectionResetError("pcscd closed the connection without an answer")
        received += piece
    return received
