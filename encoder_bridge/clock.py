"""Whether the wall clock may be believed.

A Raspberry Pi has no clock battery: it starts with the time of its last shutdown and nobody tells it how long that
was.  Until the clock is known to be set, no card is written on its word and nothing expires.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from encoder_bridge.model import iso

FLOOR_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z in milliseconds since 1970 UTC: this program is younger, so no right clock shows less."""
TOLERANCE_MS = 5 * 60_000
"""Milliseconds by which a clock may be put back between two starts of the program."""
RTC_CLASS = Path("/sys/class/rtc")
TIMESYNC_MARKER = Path("/run/systemd/timesync/synchronized")

_TIME_ERROR = 5
_NEVER_SET_US = 16_000_000


class Trust(StrEnum):
    """What has to be known of the clock before it is believed: `clock` in the configuration."""

    AUTO = "auto"
    """A machine with a real-time clock that runs is believed; any other once the kernel calls it synchronized."""
    SYNCHRONIZED = "synchronized"
    """The kernel has to call the clock synchronized, real-time clock or not."""
    TRUSTED = "trusted"
    """The clock is believed as it is, unless it is before `FLOOR_MS`.

    The newest moment on record counts for nothing here: a clock that once was wrongly ahead has left moments in the
    store that would block the machine until then, and this is the way out."""


class ClockTrust:
    """Judges the clock of this machine.

    Once the clock was believed in this process it stays so, unless it falls before `FLOOR_MS`: losing the time server
    later stops no desk, nor does a clock that is put right.

    Args:
        mode: the configuration's word.
        not_before_ms: the newest moment on record, in milliseconds since 1970 UTC; 0: there is none.  A clock more than
            `TOLERANCE_MS` before it is not set, except with `Trust.TRUSTED` or where the kernel calls it synchronized:
            then it was the clock before that was wrong.
        kernel_synchronized: whether the clock was synchronized since boot; an `OSError` counts as no.
        has_rtc: whether a real-time clock that runs is there.
        now: the present, in milliseconds since 1970 UTC.
    """

    def __init__(
        self,
        mode: Trust,
        *,
        not_before_ms: int,
        kernel_synchronized: Callable[[], bool],
        has_rtc: Callable[[], bool],
        now: Callable[[], int],
    ) -> None:
        self._mode = mode
        self._not_before_ms = not_before_ms
        self._kernel_synchronized = kernel_synchronized
        self._has_rtc = has_rtc
        self._now = now
        self._voucher: str | None = None

    def is_set(self) -> bool:
        """Whether the clock may be believed now."""
        return self._judge()[0]

    @property
    def why(self) -> str:
        """A sentence for the log: what is known of the clock now and, unless it is believed, what to do."""
        return self._judge()[1]

    async def wait(self, poll_s: float = 1.0) -> None:
        """Return once the clock may be believed, looking every `poll_s` seconds."""
        while not self.is_set():  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(poll_s)

    def _judge(self) -> tuple[bool, str]:
        now = self._now()
        if now < FLOOR_MS:
            return False, (
                f"The clock shows {iso(now)}, which is long past: "
                "set it, or see that this machine reaches a time server."
            )
        if self._mode is Trust.TRUSTED:
            return True, 'The clock is believed as it is, because clock = "trusted" is set.'
        if self._voucher is not None:
            return True, self._voucher
        is_back = now < self._not_before_ms - TOLERANCE_MS
        return self._vouched(now, is_back=is_back)

    def _vouched(self, now: int, *, is_back: bool) -> tuple[bool, str]:
        if self._mode is Trust.AUTO and not is_back and self._has_rtc():
            self._voucher = "The clock is believed, because this machine has a real-time clock."
        doubt = "the kernel does not call the clock synchronized"
        if self._voucher is None:
            try:
                if self._kernel_synchronized():
                    self._voucher = "The clock is believed, because it was synchronized since this machine started."
            except OSError as error:
                doubt = f"the kernel did not say whether the clock is synchronized ({error.strerror})"
        if self._voucher is not None:
            return True, self._voucher
        if is_back:
            return False, (
                f"The clock shows {iso(now)}, but {iso(self._not_before_ms)} is on record already, and {doubt}: "
                'set the clock, or set clock = "trusted" if it is right.'
            )
        rtc = "" if self._mode is Trust.SYNCHRONIZED else "this machine has no real-time clock that runs and "
        return False, (
            f"Nobody vouches for the clock: {rtc}{doubt}. See that this machine reaches a time server, "
            'or set clock = "trusted" if the clock is right whenever it starts.'
        )


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def has_rtc(root: Path = RTC_CLASS) -> bool:
    """Whether a real-time clock is there that has kept the time.

    One that shows less than `FLOOR_MS` ran dry: a Raspberry Pi 5 has the clock and comes without its battery.
    ``rtc*/since_epoch`` holds seconds since 1970 (Linux, Documentation/ABI/testing/sysfs-class-rtc); reading it fails
    where the clock knows that it stopped.
    """
    for entry in root.glob("rtc*/since_epoch"):
        with contextlib.suppress(OSError, ValueError):
            if int(entry.read_text("ascii")) * 1000 >= FLOOR_MS:
                return True
    return False


def kernel_synchronized(marker: Path = TIMESYNC_MARKER) -> bool:
    """Whether the clock was synchronized since this machine started, as far as can be told.

    `marker` is touched by systemd-timesyncd at every synchronization and gone after a restart of the machine
    (systemd-timesyncd.service(8)); it outlives a restart of this program.  Without it the kernel is asked: adjtimex(2)
    with ``modes`` 0, which needs no privilege, returns TIME_ERROR (5) while the flag STA_UNSYNC is set.  That flag may
    also be kept up on purpose, to keep the kernel from writing the real-time clock (chrony.conf(5) without `rtcsync`);
    then ``maxerror`` tells, which stands at 16 s until somebody disciplines the clock.

    Raises:
        OSError: the kernel may not be asked: ``ProtectClock=yes`` (systemd.exec(5)) forbids reading too.
    """
    if marker.exists():
        return True
    state, maxerror_us = _adjtimex()
    return state != _TIME_ERROR or maxerror_us < _NEVER_SET_US


def _adjtimex() -> tuple[int, int]:
    """The clock's state and ``maxerror`` in microseconds, from the head of C's ``struct timex``.

    ::

        unsigned int modes │ long offset │ long freq │ long maxerror │ long esterror │ int status │ ...
    """
    import ctypes  # only a machine nobody vouches for otherwise pays for it

    class Timex(ctypes.Structure):
        _fields_ = (
            ("modes", ctypes.c_uint),
            ("offset", ctypes.c_long),
            ("freq", ctypes.c_long),
            ("maxerror", ctypes.c_long),
            ("rest", ctypes.c_byte * 256),  # more than any C library's has
        )

    buffer = Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    state: int = libc.adjtimex(ctypes.byref(buffer))
    if state == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return state, buffer.maxerror
