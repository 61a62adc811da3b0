"""What a private pcscd needs of this machine: programs, drivers, a mount namespace, free ports."""

from __future__ import annotations

import functools
import os
import random
import shutil
import socket
import subprocess
from pathlib import Path

PROBE_S = 20.0

VPCD_CONFIGURATION = Path("/etc/reader.conf.d/vpcd")
SLOTS = 2
"""How many readers vpcd makes of each line of its configuration."""


@functools.cache
def available() -> str | None:
    """Why no private pcscd can run here, in one sentence, or None."""
    for program, package in (("pcscd", "pcscd"), ("unshare", "util-linux"), ("mount", "mount")):
        if find(program) is None:
            return f"{package} is not installed: no PC/SC service to test with"
    if driver() is None:
        return "vsmartcard-vpcd is not installed: no virtual reader to test with"
    trial = subprocess.run([*namespace(), "true"], capture_output=True, timeout=PROBE_S, check=False)
    if trial.returncode != 0:
        return "this system refuses a mount namespace (unshare -rm): no pcscd of our own beside the system's"
    return None


def namespace() -> list[str]:
    """The start of a command that may mount what nobody else sees."""
    return [find("unshare") or "unshare", "-m" if os.geteuid() == 0 else "-rm"]


def driver() -> Path | None:
    """vpcd's driver for pcscd, where its own configuration says it is."""
    if not VPCD_CONFIGURATION.exists():
        return None
    words = (line.split() for line in VPCD_CONFIGURATION.read_text().splitlines())
    paths = (Path(line[1]) for line in words if line[:1] == ["LIBPATH"] and len(line) == 2)
    return next(filter(Path.exists, paths), None)


@functools.cache
def usb_drivers() -> str:
    """Where pcscd looks for the drivers of USB readers, as it says itself."""
    words = _ask_pcscd("--version").split()
    return next(word.partition("=")[2] for word in words if word.startswith("usbdropdir="))


@functools.cache
def without_polkit() -> list[str]:
    """The option of a pcscd that asks polkit whom to serve: the system's answers for none that it did not start."""
    option = "--disable-polkit"
    return [option] if option in _ask_pcscd("--help") else []


def _ask_pcscd(option: str) -> str:
    command = [find("pcscd") or "pcscd", option]
    return subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=True).stdout


def find(program: str) -> str | None:
    """Where a program is, also one for administrators."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))


def free_ports(devices: int) -> dict[int, int]:
    """For each device a free port whose next is free too, none that the kernel gives to outgoing connections.

    Raises:
        OSError: there are not so many.
    """
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
        raise OSError("no free ports for the virtual readers")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def listening(pid: int) -> set[int]:
    """The IPv4 ports at which this process listens, in whatever network it is."""
    held = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(str(each.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held}
