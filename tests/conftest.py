"""Hygiene for every test: nothing may be left running, and nothing may be skipped where skips are refused.

Warnings are errors (pyproject.toml), so an unclosed file or a coroutine nobody awaited fails a test as well.
"""

from __future__ import annotations

import os
import sysconfig
import threading
from collections.abc import Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import pytest

NO_SKIPS = os.environ.get("ENCODER_BRIDGE_NO_SKIPS") == "1"
TEST_WHEEL = os.environ.get("ENCODER_BRIDGE_TEST_WHEEL") == "1"

GRACE_S = 5.0
"""A thread that was told to stop may take this long; one that was not told is found out all the same."""

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_sessionstart() -> None:
    """Refuse to test this source tree where the installed wheel is meant."""
    if not TEST_WHEEL:
        return
    site_packages = Path(sysconfig.get_path("purelib"))
    for name in ("encoder_bridge", "encoder_bridge_cards", "encoder_bridge_pcsc", "encoder_bridge_simulated"):
        origin = import_module(name).__file__
        if origin is None or not Path(origin).is_relative_to(site_packages):
            raise pytest.UsageError(f"{name} comes from {origin}, not from the wheel in {site_packages}")


def pytest_report_header() -> str:
    return f"encoder_bridge: {import_module('encoder_bridge').__file__}"


def without_skip(report: Report) -> Report:
    """Make a failure of a skip; an expected failure is reported as skipped too and stays what it is."""
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skips are refused here: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return without_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return without_skip((yield))


def running_children() -> set[int]:
    """The processes this one has started that still run."""
    found: set[int] = set()
    for children in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(map(int, children.read_text().split()))
        except FileNotFoundError:  # a thread that ended meanwhile
            continue
    return {child for child in found if runs(child)}


def runs(process: int) -> bool:
    """Whether a process has not ended yet; one that waits to be reaped has."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Fail a test that leaves a thread or a process behind; what a wider fixture started is not the test's."""
    threads, children = set(threading.enumerate()), running_children()
    yield
    for thread in set(threading.enumerate()) - threads:
        if not thread.daemon:
            thread.join(GRACE_S)
            if thread.is_alive():
                pytest.fail(f"the test left a thread running: {thread.name}")
    if left := running_children() - children:
        pytest.fail(f"the test left processes running: {sorted(left)}")
