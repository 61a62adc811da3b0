"""Moments at which the daemon may be killed, put around the real code from outside; every one is logged when reached.

A point is called ``what.before`` or ``what.after``, and ``name@n`` is the n-th time a process reaches it:

    commit.<operation>    COMMIT of the group that this store operation is in; `migrate` is the schema's
    puback, subscribe     the acknowledgement of an incoming message; a subscription
    publish.<kind>        one message out, by the first level below the desk's root; `after` is the broker's PUBACK
    intend                the desk's journal, as the driver calls it
    block, read_back      one block onto the card; the read after the first of them
    read                  any other look at a card
    stock.<deed>          a card laid, lifted or set aside
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from encoder_bridge_simulated.plastic import Plastic
from encoder_bridge_simulated.stock import Stock

from encoder_bridge import sqlite
from encoder_bridge.broker import AckClient
from encoder_bridge.commits import Connection
from encoder_bridge.desk import AttemptDesk
from encoder_bridge.store.cards import Cards
from encoder_bridge.store.needs import Needs
from encoder_bridge.store.outbox import Outbox
from encoder_bridge.store.recovery import Recovery
from encoder_bridge.store.requests import Requests
from encoder_bridge.store.retention import Retention
from encoder_bridge.store.turns import Turns
from encoder_bridge.store.waiting import Waiting
from encoder_bridge.store.work import Work
from encoder_bridge.telling import Teller

Name = Callable[..., str]


class Points:
    """Counts, logs and, at the chosen one, kills this process."""

    def __init__(self, log: int, kill: str | None) -> None:
        self._log = log
        self._kill = kill
        self._counts: Counter[str] = Counter()
        self._alone = threading.Lock()

    def reach(self, name: str) -> None:
        with self._alone:
            self._counts[name] += 1
            point = f"{name}@{self._counts[name]}"
            os.write(self._log, f"{point}\n".encode())
            if point == self._kill:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)

    def around(self, owner: Any, method: str, name: str | Name) -> None:
        """Put a point before and one after every call of a method, whether that is awaited or not."""
        real = getattr(owner, method)

        def label(args: tuple[Any, ...]) -> str:
            return name if isinstance(name, str) else name(*args)

        @functools.wraps(real)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            self.reach(f"{label(args)}.before")
            result = await real(*args, **kwargs)
            self.reach(f"{label(args)}.after")
            return result

        @functools.wraps(real)
        def called(*args: Any, **kwargs: Any) -> Any:
            self.reach(f"{label(args)}.before")
            result = real(*args, **kwargs)
            self.reach(f"{label(args)}.after")
            return result

        setattr(owner, method, awaited if inspect.iscoroutinefunction(real) else called)


class Transactions:
    """A connection whose COMMITs are points, named after the operations that they make durable."""

    def __init__(self, real: sqlite3.Connection, points: Points, group: list[str]) -> None:
        self._real = real
        self._points = points
        self._group = group

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        if sql.startswith("BEGIN"):
            self._group.clear()
        if sql != "COMMIT":
            return self._real.execute(sql, parameters)
        names = list(dict.fromkeys(self._group)) or ["migrate"]
        for name in names:
            self._points.reach(f"commit.{name}.before")
        result = self._real.execute(sql, parameters)
        for name in names:
            self._points.reach(f"commit.{name}.after")
        return result

    def close(self) -> None:
        self._real.close()


def install(points: Points) -> None:
    """Put every point into this process."""
    _name_commits(points)
    for method in ("lay", "lay_fresh", "lift", "set_aside"):
        points.around(Stock, method, f"stock.{method}")
    written: set[int] = set()
    points.around(Plastic, "write", "block")
    points.around(Plastic, "read", lambda plastic: "read_back" if id(plastic) in written else "read")
    _note_writes(written)
    points.around(AttemptDesk, "intend", "intend")
    points.around(AckClient, "ack", "puback")
    points.around(AckClient, "subscribe", "subscribe")
    points.around(Teller, "publish", _kind)


def _name_commits(points: Points) -> None:
    group: list[str] = []

    def note(operation: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(operation)
        def noted(*args: Any, **kwargs: Any) -> Any:
            group.append(operation.__name__)
            return operation(*args, **kwargs)

        return noted

    for part in (Needs, Turns, Work, Waiting, Recovery, Cards, Requests, Outbox, Retention):
        for name, operation in list(vars(part).items()):
            if inspect.isfunction(operation) and not name.startswith("_"):
                setattr(part, name, note(operation))

    def connect(path: str) -> Connection:
        real: Any = sqlite._connect(path)
        return Transactions(real, points, group)

    real_open = sqlite.open_store

    def open_store(path: Path) -> Connection:
        return real_open(path, connect)

    sqlite.open_store = open_store  # type: ignore[assignment]


def _note_writes(written: set[int]) -> None:
    make, write = Plastic.__init__, Plastic.write

    def made(self: Plastic, uid: str, file: int) -> None:
        written.discard(id(self))
        make(self, uid, file)

    def noted(self: Plastic, index: int, block: bytes) -> None:
        written.add(id(self))
        write(self, index, block)

    Plastic.__init__ = made  # type: ignore[method-assign]
    Plastic.write = noted  # type: ignore[method-assign]


def _kind(teller: Teller, client: AckClient, topic: str, *_: Any) -> str:
    return "publish." + topic.removeprefix(teller._topics.root + "/").partition("/")[0]
