"""A desk whose cards the test lays and lifts, and whose every word is compared with all cards at the end.

with Lobby(broker, tap, folder) as desk:
    desk.trigger(stay("a"))
    desk.lay(desk.blank())
    desk.reports("a")
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from encoder_bridge_simulated import Stock
from rigs.brokers import Broker
from rigs.tap import Heard, Tap
from wire.front_desk import FrontDesk, InProcess, Table, need

from desk import truth
from desk.control import Control

FIRST = "desk-1"
SLOW = {"latency_s": 0.15}
"""A write that takes seconds, for what has to come while it is under way."""
_marks = itertools.count(1)


def stay(access_method_id: str, *, room: str | None = None, **more: object) -> dict[str, object]:
    """A trigger for a stay that has begun and ends in the far future, in a room of its own unless given."""
    block = {
        "profile": "guest",
        "entrances": [room or f"room-{access_method_id}"],
        "starts_at": "2026-01-02T14:00:00Z",
        "ends_at": "2099-07-03T10:00:00Z",
    }
    return need(access_method_id, **{"credential": block, **more})


def about(access_method_id: str, event_type: str, **more: object) -> dict[str, object]:
    """An event that asks for no card."""
    return {**need(access_method_id), "event_type": f"access_method.{event_type}", **more}


class Lobby(FrontDesk):
    """A daemon in a process of its own.

    Args:
        broker, tap, folder: see `FrontDesk`.
        encoders: each encoder's own settings; `desk-1` alone unless given.
        cards: blank ones in the stock.
        more: further tables; all other settings are `FrontDesk`'s.
    """

    def __init__(
        self,
        broker: Broker,
        tap: Tap,
        folder: Path,
        *,
        encoders: Mapping[str, Table] | None = None,
        cards: int = 4,
        more: Mapping[str, Table] | None = None,
        **settings: Any,
    ) -> None:
        self.encoders: dict[str, dict[str, object]] = {
            name: {
                "driver": "simulated",
                "name": name,
                "stock": str(folder / "stock"),
                "clerk": "absent",
                "silence_s": 3.0,
                **own,
            }
            for name, own in (encoders or {FIRST: {}}).items()
        }
        others = {f"encoders.{name}": table for name, table in self.encoders.items() if name != FIRST}
        first = self.encoders[FIRST]
        super().__init__(
            broker, tap, folder, runs=InProcess, encoder=first, more={**others, **(more or {})}, **settings
        )
        self._encoder = first  # so that a test may change it between two starts
        self.control = Control(folder / "control.sock")
        self.plastic = Stock.open(self.stock, cards=cards, seed=1)
        self._blank = iter(self.plastic.uids())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._runs:
            self.stop()
        elif self._runs:
            self.kill()
        if kind is None:
            self.judge()

    def until_it_listens(self) -> None:
        """Return when the control channel is there, for a daemon that is not on the broker."""
        deadline = time.monotonic() + 15
        while True:
            try:
                self.control.get("/v1/health")
            except OSError:
                assert time.monotonic() < deadline, self.bridge.said
                time.sleep(0.02)
            else:
                return

    def judge(self) -> None:
        """Compare all that was told until now with all cards."""
        mark = f"mark/{next(_marks)}"
        self.publish(mark, {})
        self.tap.wait_for(lambda heard: heard.topic == f"{self.root}/{mark}")
        assert truth.lies((heard.json() for heard in self.on("event/")), self.stock) == []

    # The plastic.

    def blank(self) -> str:
        """A card nobody has used yet."""
        return next(self._blank)

    def lay(self, uid: str, encoder: str = FIRST) -> None:
        self.plastic.lay(encoder, uid)

    def lift(self, encoder: str = FIRST) -> None:
        """Lift what lies there; the encoder sees it within 20 ms, so wait for what it shows before laying another."""
        self.plastic.lift(encoder)

    def file(self, uid: str) -> Path:
        return self.stock / f"{uid}.card"

    def plastics(self) -> dict[str, tuple[bytes, int]]:
        """Every byte of every card, and when it was last written."""
        return {path.stem: (path.read_bytes(), path.stat().st_mtime_ns) for path in self.stock.glob("*.card")}

    def make(self, access_method_id: str, uid: str, encoder: str = FIRST, **more: Any) -> dict[str, Any]:
        """Have a card made, up to its lift; the report."""
        after = self.now()
        self.trigger(stay(access_method_id, encoder=encoder, **more))
        self.asks(access_method_id, encoder, after=after)
        self.lay(uid, encoder)
        report = self.reports(access_method_id, after=after)
        self.lift(encoder)
        return report

    # What is heard.

    def now(self) -> int:
        """A moment, for `after`."""
        return len(self.tap.messages)

    def hears(self, below: str, *, after: int = 0, **wanted: Any) -> dict[str, Any]:
        """The body of the first message after a moment on topics that begin so, with these values in it.

        An error is compared by its type, a card by its uid.
        """
        number = itertools.count()

        def fits(heard: Heard) -> bool:
            is_new = next(number) >= after
            if not is_new or not heard.payload or not heard.topic.startswith(f"{self.root}/{below}"):
                return False
            return has(heard.json(), wanted)

        found: dict[str, Any] = self.tap.wait_for(fits).json()
        return found

    def shows(self, encoder: str = FIRST, *, after: int = 0, **wanted: Any) -> dict[str, Any]:
        """What an encoder shows."""
        return self.hears(f"encoder/{encoder}/state", after=after, **wanted)

    def shows_progress(self, encoder: str = FIRST, *, blocks: int | None = None, after: int = 0) -> dict[str, Any]:
        """Return when so many blocks, or all, are said to be written."""
        number = itertools.count()

        def fits(heard: Heard) -> bool:
            if next(number) < after or heard.topic != f"{self.root}/encoder/{encoder}/state":
                return False
            body = heard.json()
            return "total" in body and body["done"] >= (blocks or body["total"])

        found: dict[str, Any] = self.tap.wait_for(fits).json()
        return found

    def asks(self, access_method_id: str, encoder: str = FIRST, *, after: int = 0) -> dict[str, Any]:
        """Return when somebody is asked to lay a card down for this."""
        return self.shows(encoder, after=after, prompt="place_card", access_method_id=access_method_id)

    def job(self, access_method_id: str, *, after: int = 0, **wanted: Any) -> dict[str, Any]:
        """Where a job stands."""
        return self.hears(f"job/{access_method_id}", after=after, **wanted)

    def reports(
        self, access_method_id: str, event_type: str = "access_method.issued", *, after: int = 0, **wanted: Any
    ) -> dict[str, Any]:
        """An event about an access method."""
        return self.hears(f"event/{event_type}", after=after, access_method_id=access_method_id, **wanted)

    def answers(self, message_id: object, *, after: int = 0, **wanted: Any) -> dict[str, Any]:
        """The answer to a message."""
        return self.hears("response/", after=after, id=message_id, **wanted)

    def told(self, body: Mapping[str, object], *options: str, **wanted: Any) -> dict[str, Any]:
        """Publish a trigger and take its answer."""
        after = self.now()
        self.trigger(body, *options)
        return self.answers(body["event_id"], after=after, **wanted)

    def request(self, verb: str, **fields: object) -> dict[str, Any]:
        """Ask over MQTT; the answer."""
        after, message_id = self.now(), f"request-{next(_marks)}"
        self.publish(f"request/{verb}", {"id": message_id, **fields})
        return self.answers(message_id, after=after)

    @contextmanager
    def asking(self, ask: Callable[[], Any]) -> Iterator[Future[Any]]:
        """Ask for something whose answer takes as long as a person does."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(ask)

    def cli(self, *words: str) -> tuple[int, Any]:
        """Give a command: its exit code and what it says, the last line of it where there are more."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ENCODER_BRIDGE_")}
        command = [sys.executable, "-m", "encoder_bridge", *words, "--config", str(self._configuration), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environ)
        assert done.stdout, done.stderr
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            return done.returncode, json.loads(done.stdout.splitlines()[-1])


def has(body: Any, wanted: Mapping[str, object]) -> bool:
    """Whether a body holds these values."""
    for key, value in wanted.items():
        found = body.get(key)
        if isinstance(found, dict) and isinstance(value, str):
            found = found.get("type" if key == "error" else "uid")
        if found != value:
            return False
    return True
