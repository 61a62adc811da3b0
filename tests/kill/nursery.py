"""The tests' side of `kill.daemon`: start daemons in milliseconds, see them die."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TESTS = Path(__file__).parent.parent


class Nursery:
    """One process that forks daemons; any thread may ask it."""

    def __init__(self) -> None:
        self._alone = threading.Lock()

    def __enter__(self) -> Self:
        path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kill.daemon"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def ask(self, order: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._alone:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return int(json.loads(self._process.stdout.readline()))


class Daemon:
    """One running bridge."""

    def __init__(
        self, nursery: Nursery, *, config: Path, points: Path, log: Path, kill: str | None, broken: str | None
    ) -> None:
        self._nursery = nursery
        self._points = points
        order = {"config": str(config), "points": str(points), "log": str(log), "kill": kill, "broken": broken}
        self.pid = nursery.ask(order)
        self._ends = os.pidfd_open(self.pid)
        self._poll = select.poll()
        self._poll.register(self._ends, select.POLLIN)
        self.status: int | None = None
        """Of the end, as `subprocess` counts: -9 was SIGKILL; None while it runs."""

    @property
    def was_killed(self) -> bool:
        return self.status == -signal.SIGKILL

    def is_dead(self, within: float = 0) -> bool:
        """Wait so many seconds at most for its end."""
        if self.status is None and self._poll.poll(within * 1000):
            os.close(self._ends)
            self.status = os.waitstatus_to_exitcode(self._nursery.ask({"reap": self.pid}))
        return self.status is not None

    def end(self, how: signal.Signals, within: float = 10) -> None:
        """Send a signal and see it die of it; one that is dead already stays so.

        Raises:
            TimeoutError: it lives on; it was killed.
        """
        if not self.is_dead():
            os.kill(self.pid, how)
            if not self.is_dead(within):
                os.kill(self.pid, signal.SIGKILL)
                self.is_dead(within)
                raise TimeoutError(f"the daemon did not end on {how.name}")

    def send(self, how: signal.Signals) -> None:
        if not self.is_dead():
            os.kill(self.pid, how)

    def reached(self) -> list[str]:
        """The points it has come by, in order."""
        return self._points.read_text().split("\n")[:-1]
