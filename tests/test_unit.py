"""The systemd unit, judged by systemd itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from encoder_bridge.config import Settings

UNIT = Path(__file__).resolve().parent.parent / "systemd" / "encoder-bridge.service"
EXPOSURE_AT_MOST = 2.0
"""By `systemd-analyze security`, from 0 (sealed) to 10; 1.9 on systemd 252, of which 0.4 are the question to the kernel
whether the clock is synchronized."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs the Debian package systemd")


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def verify(unit: str, directory: Path) -> tuple[int, str]:
    """Verify a unit whose program need not be installed."""
    stub = directory / UNIT.name
    stub.write_text(unit.replace("ExecStart=/usr/bin/encoder-bridge ", "ExecStart=/bin/true "))
    ended = analyze("verify", "--man=no", "--recursive-errors=no", stub)
    return ended.returncode, ended.stdout + ended.stderr


@needs_systemd
def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    assert verify(UNIT.read_text(), tmp_path) == (0, "")


@needs_systemd
def test_a_misspelt_key_would_be_found(tmp_path: Path) -> None:
    _, said = verify(UNIT.read_text().replace("WatchdogSec=", "WatchdogSecs="), tmp_path)
    assert "WatchdogSecs" in said


@needs_systemd
def test_the_service_is_exposed_no_more_than_measured() -> None:
    judged = analyze("security", "--offline=yes", f"--threshold={round(EXPOSURE_AT_MOST * 10)}", UNIT)
    assert judged.returncode == 0, judged.stdout


def test_the_service_tells_systemd_when_it_is_ready_and_that_it_lives() -> None:
    lines = UNIT.read_text().splitlines()
    assert "Type=notify" in lines
    assert "WatchdogSec=30" in lines
    assert "Restart=always" in lines
    assert "StartLimitIntervalSec=0" in lines
    assert "RestartPreventExitStatus=78" in lines
    assert "StateDirectoryMode=0700" in lines


def test_no_core_file_and_no_other_user_gets_what_the_service_knows() -> None:
    lines = UNIT.read_text().splitlines()
    assert "LimitCORE=0" in lines
    assert "UMask=0077" in lines


def test_the_kernel_may_be_asked_about_the_clock_which_nobody_may_set() -> None:
    lines = UNIT.read_text().splitlines()
    filters = [line for line in lines if line.startswith("SystemCallFilter=")]
    assert filters.index("SystemCallFilter=adjtimex clock_adjtime clock_adjtime64") > filters.index(
        "SystemCallFilter=~@privileged @resources"
    )
    assert not any(line.startswith("ProtectClock=") for line in lines)
    assert "CapabilityBoundingSet=" in lines
    assert "AmbientCapabilities=" in lines


def test_the_control_socket_lies_where_the_service_may_write() -> None:
    lines = UNIT.read_text().splitlines()
    assert "ProtectSystem=strict" in lines
    assert "StateDirectory=encoder-bridge" in lines
    settings = Settings.model_validate(
        {
            "site": "a",
            "desk": "b",
            "time_zone": "UTC",
            "encoders": {"c": {"driver": "d"}},
            "store": "/var/lib/encoder-bridge/jobs.sqlite",
        }
    )
    assert settings.control_socket.parent == Path("/var/lib/encoder-bridge")
