"""A nursery of daemons: imports the bridge once, then forks a process for each that is asked for.

    python -m kill.daemon

Reads JSON lines: ``{"config": path, "points": path, "log": path, "kill": "name@n" or null, "broken": name or null}``
starts a daemon that runs the real `encoder_bridge.app.serve` and answers with its process id; ``{"reap": pid}`` waits
for its end and answers with the wait status.  The daemons die with the nursery, and the nursery ends with its standard
input.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import encoder_bridge_simulated  # noqa: F401 - so that the daemons need not import it

from encoder_bridge import app, log, mqtt, station
from encoder_bridge.config import load
from kill.broken import BREAK
from kill.points import Points, install

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def main() -> None:
    running: set[int] = set()
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        if "reap" in order:
            _, answer = os.waitpid(order["reap"], 0)
            running.discard(order["reap"])
        else:
            answer = os.fork()
            if not answer:
                _live(order)
            running.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _live(order: dict[str, Any]) -> None:
    """Be a daemon, and never return."""
    status = 70
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for number, path in ((0, os.devnull), (1, os.devnull), (2, order["log"])):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(file, number)
            os.close(file)
        points = os.open(order["points"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        if order["broken"]:
            BREAK[order["broken"]]()
        install(Points(points, order["kill"]))
        mqtt.BACK_OFF_S = (0.05, 0.2)
        station.REOPEN_S = (0.05, 0.2)
        settings = load(Path(order["config"]), {})
        log.configure(settings.log.level, settings.log.format)
        asyncio.run(app.serve(settings))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
