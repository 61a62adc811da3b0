"""Talking to the service manager: readiness, status and the watchdog (sd_notify(3))."""

from __future__ import annotations

import os
import socket


def notify(**states: str) -> None:
    """Send states such as ``READY="1"`` or ``STATUS="3 queued"``; does nothing without a service manager."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    message = "\n".join(f"{name}={value}" for name, value in states.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(message.encode(), address)
        except OSError:
            return


def watchdog_s() -> float | None:
    """Seconds within which the service manager wants to hear from this process; None: it does not."""
    microseconds = os.environ.get("WATCHDOG_USEC")
    addressee = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds or addressee != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000
