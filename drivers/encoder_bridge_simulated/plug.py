"""Which simulated encoders are plugged in, and that nobody opens one twice."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from pathlib import Path

from encoder_bridge.driver import DeviceUnavailable
from encoder_bridge_simulated.faults import fault

_back: dict[Path, float] = {}
"""When an unplugged encoder is plugged in again, on the monotonic clock; a new process finds all of them plugged in."""


class Plug:
    """The hold of one process on one encoder: a lock (flock) on ``<stock>/readers/<encoder>.lock``.

    Raises:
        DeviceUnavailable: the encoder is unplugged, or open already, here or in another process.
        OSError: the file cannot be made.
    """

    def __init__(self, stock: Path, name: str) -> None:
        self._path = _lock(stock, name)
        if not is_in(stock, name):
            raise fault("encoder_not_online").error()
        self._file: int | None = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise DeviceUnavailable(
                f"The encoder {name} is in use by another program: close that.", raw=error
            ) from None
        self.out = asyncio.Event()
        """Set once the encoder is unplugged or released."""

    def pull(self, seconds: float) -> None:
        """Unplug the encoder; after so many seconds it can be opened again."""
        _back[self._path] = time.monotonic() + seconds
        self.out.set()

    def release(self) -> None:
        """Let go; doing it again changes nothing."""
        self.out.set()
        if self._file is not None:
            os.close(self._file)
            self._file = None


def is_in(stock: Path, name: str) -> bool:
    """Tell whether an encoder is plugged in."""
    return time.monotonic() >= _back.get(_lock(stock, name), 0)


def _lock(stock: Path, name: str) -> Path:
    return stock.absolute() / "readers" / f"{name}.lock"
