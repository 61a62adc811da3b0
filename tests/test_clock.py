"""When the wall clock is believed."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest

from encoder_bridge import clock
from encoder_bridge.clock import FLOOR_MS, TOLERANCE_MS, ClockTrust, Trust

DAY_MS = 86_400_000
NOW_MS = FLOOR_MS + 500 * DAY_MS


@dataclass
class Machine:
    """What a machine knows of the time; tests change it while the clock is judged."""

    rtc: bool = False
    synchronized: bool = False
    refuses: bool = False
    now_ms: int = NOW_MS
    asked: list[str] = field(default_factory=list)

    def trust(self, mode: Trust, *, not_before_ms: int = 0) -> ClockTrust:
        return ClockTrust(
            mode,
            not_before_ms=not_before_ms,
            kernel_synchronized=self.kernel,
            has_rtc=self.has_rtc,
            now=lambda: self.now_ms,
        )

    def kernel(self) -> bool:
        self.asked.append("kernel")
        if self.refuses:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return self.synchronized

    def has_rtc(self) -> bool:
        self.asked.append("rtc")
        return self.rtc


BELIEVED = {
    # mode, real-time clock, synchronized, the store has a later moment
    (Trust.AUTO, False, True, False),
    (Trust.AUTO, True, False, False),
    (Trust.AUTO, True, True, False),
    (Trust.AUTO, False, True, True),
    (Trust.AUTO, True, True, True),
    (Trust.SYNCHRONIZED, False, True, False),
    (Trust.SYNCHRONIZED, True, True, False),
    (Trust.SYNCHRONIZED, False, True, True),
    (Trust.SYNCHRONIZED, True, True, True),
    (Trust.TRUSTED, False, False, False),
    (Trust.TRUSTED, False, False, True),
    (Trust.TRUSTED, False, True, False),
    (Trust.TRUSTED, False, True, True),
    (Trust.TRUSTED, True, False, False),
    (Trust.TRUSTED, True, False, True),
    (Trust.TRUSTED, True, True, False),
    (Trust.TRUSTED, True, True, True),
}


@pytest.mark.parametrize("case", list(product(Trust, [False, True], [False, True], [False, True])))
def test_each_mode_believes_what_it_says(case: tuple[Trust, bool, bool, bool]) -> None:
    mode, rtc, synchronized, is_store_newer = case
    trust = Machine(rtc=rtc, synchronized=synchronized).trust(
        mode, not_before_ms=NOW_MS + (DAY_MS if is_store_newer else -DAY_MS)
    )
    assert trust.is_set() == (case in BELIEVED)
    assert trust.why.startswith("The clock is believed") == (case in BELIEVED)


@pytest.mark.parametrize("mode", Trust)
def test_a_clock_older_than_the_program_is_never_believed(mode: Trust) -> None:
    machine = Machine(rtc=True, synchronized=True, now_ms=FLOOR_MS - 1)
    trust = machine.trust(mode)
    assert not trust.is_set()
    assert trust.why == (
        "The clock shows 2024-12-31T23:59:59.999Z, which is long past: "
        "set it, or see that this machine reaches a time server."
    )
    machine.now_ms = FLOOR_MS
    assert trust.is_set()


def test_a_real_time_clock_may_be_put_back_a_little_between_two_starts() -> None:
    assert Machine(rtc=True, now_ms=NOW_MS - TOLERANCE_MS).trust(Trust.AUTO, not_before_ms=NOW_MS).is_set()
    assert not Machine(rtc=True, now_ms=NOW_MS - TOLERANCE_MS - 1).trust(Trust.AUTO, not_before_ms=NOW_MS).is_set()


@pytest.mark.parametrize("mode", Trust)
def test_a_clock_that_was_wrongly_ahead_and_is_put_right_does_not_stop_the_desk(mode: Trust) -> None:
    machine = Machine(rtc=True, synchronized=True)
    trust = machine.trust(mode, not_before_ms=NOW_MS)
    assert trust.is_set()
    machine.now_ms -= DAY_MS
    assert trust.is_set()


def test_a_clock_that_was_once_believed_stays_so_without_its_time_server() -> None:
    machine = Machine(synchronized=True)
    trust = machine.trust(Trust.SYNCHRONIZED)
    assert trust.is_set()
    machine.synchronized = False
    assert trust.is_set()
    assert machine.asked == ["kernel"]
    assert trust.why == "The clock is believed, because it was synchronized since this machine started."


def test_a_real_time_clock_that_was_once_found_is_not_looked_for_again() -> None:
    machine = Machine(rtc=True)
    trust = machine.trust(Trust.AUTO)
    assert trust.is_set()
    machine.rtc = False
    assert trust.is_set()
    assert machine.asked == ["rtc"]


def test_a_clock_that_is_put_back_into_the_past_while_running_is_doubted_again() -> None:
    machine = Machine(synchronized=True)
    trust = machine.trust(Trust.AUTO)
    assert trust.is_set()
    machine.now_ms = 0
    assert not trust.is_set()


def test_a_kernel_that_may_not_be_asked_counts_as_a_no_and_is_told() -> None:
    machine = Machine(refuses=True)
    trust = machine.trust(Trust.AUTO)
    assert not trust.is_set()
    assert "the kernel did not say whether the clock is synchronized (Operation not permitted)" in trust.why
    machine.refuses, machine.synchronized = False, True
    assert trust.is_set()


def test_the_reason_says_what_was_found_and_what_to_do() -> None:
    assert Machine().trust(Trust.AUTO).why == (
        "Nobody vouches for the clock: this machine has no real-time clock that runs and the kernel does not call the "
        'clock synchronized. See that this machine reaches a time server, or set clock = "trusted" if the clock is '
        "right whenever it starts."
    )
    assert "real-time clock" not in Machine(rtc=True).trust(Trust.SYNCHRONIZED).why
    assert Machine().trust(Trust.AUTO, not_before_ms=NOW_MS + DAY_MS).why == (
        "The clock shows 2026-05-16T00:00:00.000Z, but 2026-05-17T00:00:00.000Z is on record already, and the "
        'kernel does not call the clock synchronized: set the clock, or set clock = "trusted" if it is right.'
    )


def test_waiting_ends_with_the_synchronization_and_not_before() -> None:
    async def scenario() -> None:
        machine = Machine()
        waiting = asyncio.create_task(machine.trust(Trust.AUTO).wait(poll_s=0))
        while machine.asked.count("kernel") < 3:
            await asyncio.sleep(0)
        assert not waiting.done()
        machine.synchronized = True
        async with asyncio.timeout(5):
            await waiting

    asyncio.run(scenario())


def test_waiting_for_a_clock_that_is_set_does_not_wait() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(5):
            await Machine(rtc=True).trust(Trust.AUTO).wait(poll_s=1000)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("shown", "counts"),
    [
        (["1780000000\n"], True),
        (["12\n"], False),
        (["nonsense\n"], False),
        ([], False),
        (["12\n", "1780000000\n"], True),
    ],
)
def test_a_real_time_clock_counts_if_it_kept_the_time(tmp_path: Path, shown: list[str], counts: bool) -> None:
    for number, text in enumerate(shown):
        (tmp_path / f"rtc{number}").mkdir()
        (tmp_path / f"rtc{number}" / "since_epoch").write_text(text)
    (tmp_path / "rtc9").mkdir()
    (tmp_path / "rtc9" / "since_epoch").mkdir()  # cannot be read, like a clock that knows that it stopped
    assert clock.has_rtc(tmp_path) == counts
    assert not clock.has_rtc(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("state", "maxerror_us", "expected"),
    [
        (5, 16_000_000, False),
        (5, 20_000, True),  # disciplined, and the flag kept up on purpose
        (0, 16_000_000, True),
        (0, 20_000, True),
        (1, 20_000, True),  # a leap second is due
    ],
)
def test_the_kernels_answer_is_read(
    state: int, maxerror_us: int, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_adjtimex", lambda: (state, maxerror_us))
    assert clock.kernel_synchronized(tmp_path / "synchronized") is expected


def test_the_mark_of_the_time_service_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[int, int]:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(clock, "_adjtimex", refuse)
    marker = tmp_path / "synchronized"
    with pytest.raises(PermissionError):
        clock.kernel_synchronized(marker)
    marker.touch()
    assert clock.kernel_synchronized(marker)


@dataclass
class FakeLibc:
    """Lays ``struct timex`` out as adjtimex(2) draws it: one int, padded to a long, then longs."""

    result: int

    def adjtimex(self, buffer: object) -> int:
        figures = (ctypes.c_long * 5)(0, 11, 22, 33, 44)  # modes, offset, freq, maxerror, esterror
        ctypes.memmove(buffer, figures, ctypes.sizeof(figures))  # type: ignore[arg-type]
        ctypes.set_errno(errno.EPERM)
        return self.result


def test_the_kernels_answer_is_laid_out_as_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: FakeLibc(0))
    assert clock._adjtimex() == (0, 33)


def test_a_kernel_that_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: FakeLibc(-1))
    with pytest.raises(PermissionError):
        clock.kernel_synchronized(tmp_path / "no marker")


def test_the_real_kernel_answers_as_others_hear_it(tmp_path: Path) -> None:
    """`timedatectl` reads the same ``maxerror`` in its own way; where it cannot be had, an answer has to do."""
    state, maxerror_us = clock._adjtimex()
    assert 0 <= state <= 5
    assert 0 <= maxerror_us <= 16_000_000 + 1000
    answer = clock.kernel_synchronized(tmp_path / "no marker")
    assert answer is (state != 5 or maxerror_us < 16_000_000)
    second = second_opinion()
    assert second is None or second == (maxerror_us < 16_000_000)


def second_opinion() -> bool | None:
    program = shutil.which("timedatectl")
    if program is None:
        return None
    told = subprocess.run(
        [program, "show", "--property=NTPSynchronized", "--value"], capture_output=True, text=True, timeout=20
    )
    return {"yes": True, "no": False}.get(told.stdout.strip()) if told.returncode == 0 else None


def test_the_present_is_in_milliseconds() -> None:
    assert FLOOR_MS < clock.now_ms() < FLOOR_MS + 100 * 365 * DAY_MS


def test_the_configurations_words_are_these() -> None:
    assert [mode.value for mode in Trust] == ["auto", "synchronized", "trusted"]
