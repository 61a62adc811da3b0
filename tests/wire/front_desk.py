"""A desk with a running bridge and a stock of cards, watched from outside: by the broker, the cards and the store.

with FrontDesk(broker, tap, folder) as desk:
    desk.trigger(need("one"))
    desk.event("one")
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import sqlite3
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cards import read_cards
from rigs.brokers import Broker
from rigs.tap import Heard, Tap

from encoder_bridge.app import bridge
from encoder_bridge.config import Settings, load

from . import clients

REQUIRED = "access_method.card_encoding_required"
_serial = itertools.count(1)

Table = Mapping[str, object]


def need(access_method_id: str, **more: object) -> dict[str, object]:
    """A trigger with an event id of its own."""
    return {
        "event_id": f"event-{next(_serial)}",
        "event_type": REQUIRED,
        "access_method_id": access_method_id,
        **more,
    }


class Lines(logging.Handler):
    """Keeps what the bridge logs, as it leaves the redaction."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        line = dict(record.msg) if isinstance(record.msg, dict) else {"event": record.getMessage()}
        with self._changed:
            self._lines.append(line)
            if record.levelno >= logging.WARNING:
                self.warnings.append(f"{record.name}: {line['event']}")
            self._changed.notify_all()

    def of(self, event: str) -> list[dict[str, Any]]:
        with self._changed:
            return [line for line in self._lines if line["event"] == event]

    @property
    def all(self) -> list[dict[str, Any]]:
        with self._changed:
            return list(self._lines)

    def wait_for(self, event: str, count: int = 1, timeout: float = 10.0) -> dict[str, Any]:
        """The latest line of this event, once there are so many."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: sum(each["event"] == event for each in self._lines) >= count, timeout
            ):
                raise TimeoutError(f"{event} was not logged {count} times; {[each['event'] for each in self._lines]}")
        return self.of(event)[-1]


class Running(ABC):
    """A bridge that runs."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None:
        """End it as a service manager does."""


class InThread(Running):
    """The bridge in a loop and thread of its own; quick, and its log is at hand."""

    def __init__(self, configuration: Path, environ: Mapping[str, str]) -> None:
        self._configuration = configuration
        self._environ = environ
        self.lines = Lines()

    def start(self) -> None:
        settings = load(self._configuration, self._environ)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(settings,), name="bridge")
        root = logging.getLogger()
        root.addHandler(self.lines)
        self._level = root.level
        root.setLevel(logging.INFO)
        self._thread.start()
        if not self._ready.wait(20) or self._error:
            self.stop()
            raise TimeoutError("the bridge did not come up")

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # it ended by itself
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the bridge does not end"
        root = logging.getLogger()
        root.removeHandler(self.lines)
        root.setLevel(self._level)
        if self._error:
            raise self._error

    def _run(self, settings: Settings) -> None:
        try:
            asyncio.run(self._serve(settings))
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        async with bridge(settings, listener=lambda _: None):
            self._ready.set()
            await self._ending.wait()


class InProcess(Running):
    """The daemon as it is run at a desk, to be killed; what it says is kept in a file."""

    def __init__(self, configuration: Path, environ: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-m", "encoder_bridge", "run", "--config", str(configuration)]
        self._environ = dict(environ)
        self._output = configuration.with_suffix(".log")

    @property
    def said(self) -> str:
        """All it wrote to standard output and standard error, over every start."""
        return self._output.read_text()

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._environ
            )

    def stop(self) -> None:
        self._process.terminate()
        self._end()

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def _end(self) -> None:
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


class FrontDesk:
    """One desk of the site `hotel`, by default under a name of its own, with one encoder `desk-1`."""

    def __init__(
        self,
        broker: Broker,
        tap: Tap,
        folder: Path,
        *,
        name: str | None = None,
        runs: Callable[[Path, Mapping[str, str]], Any] = InThread,
        environ: Mapping[str, str] | None = None,
        mqtt: Table | None = None,
        jobs: Table | None = None,
        encoder: Table | None = None,
        more: Mapping[str, Table] | None = None,
        routes: Sequence[Table] = (),
        clock: str = "trusted",
    ) -> None:
        self.broker, self.tap, self.folder = broker, tap, folder
        self.name = name or f"desk-{next(_serial)}"
        self.root = f"encoder-bridge/hotel/{self.name}"
        self.stock, self.store = folder / "stock", folder / "jobs.sqlite"
        self._mqtt = {"port": broker.port, "protocol": broker.protocol, **(mqtt or {})}
        self._encoder = {"driver": "simulated", "stock": str(self.stock), **(encoder or {})}
        self._more = more or {}
        self._routes = routes
        self.clock = clock
        self.jobs: Table = {"default_profile": "guest"} if jobs is None else jobs
        self._configuration = folder / "bridge.toml"
        self.bridge = runs(self._configuration, environ or {})
        self._runs = False

    @classmethod
    @contextlib.contextmanager
    def idle(cls, *arguments: Any, **settings: Any) -> Iterator[FrontDesk]:
        """A desk that is not started yet."""
        desk = cls(*arguments, **settings)
        try:
            yield desk
        finally:
            desk.__exit__(None, None, None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runs:
            self.stop()

    def start(self, *, online: bool = True) -> None:
        """Start the bridge; return when it has said on the broker that it is there."""
        self._write()
        before = self.times_online()
        self.bridge.start()
        self._runs = True
        if online:
            try:
                self.wait_online(before + 1)
            except TimeoutError:
                self.stop()
                raise

    def stop(self) -> None:
        self._runs = False
        self.bridge.stop()

    def kill(self) -> None:
        self._runs = False
        self.bridge.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def times_online(self) -> int:
        return len({heard.payload for heard in self.tap.messages if self._is_online(heard)})

    def wait_online(self, count: int, timeout: float = 20.0) -> None:
        """Return when the bridge has said so many times that it is online, redeliveries not counted."""
        said: set[bytes] = set()

        def enough(heard: Heard) -> bool:
            if self._is_online(heard):
                said.add(heard.payload)
            return len(said) >= count

        self.tap.wait_for(enough, timeout)

    def publish(self, below: str, body: object, *options: str) -> None:
        """Publish below the desk's topics."""
        clients.publish(self.broker, f"{self.root}/{below}", body, *options)

    def trigger(self, body: object, *options: str) -> None:
        self.publish("trigger", body, *options)

    def on(self, below: str) -> list[Heard]:
        """What was heard on topics that begin so, echoes of retained messages left out."""
        return [heard for heard in self.tap.messages if heard.topic.startswith(f"{self.root}/{below}")]

    def event(self, access_method_id: str, event_type: str = "access_method.issued", timeout: float = 15.0) -> Any:
        """The body of the event of this type about this access method."""
        topic = f"{self.root}/event/{event_type}"
        heard = self.tap.wait_for(
            lambda heard: heard.topic == topic and heard.json()["access_method_id"] == access_method_id, timeout
        )
        return heard.json()

    def answer(self, message_id: object, status: str | None = None, topic: str | None = None) -> Any:
        """The body of the answer to this message, on the default topics unless given."""

        def fits(heard: Heard) -> bool:
            right = heard.topic == topic if topic else heard.topic.startswith(f"{self.root}/response/")
            if not right or not heard.payload:
                return False
            body = heard.json()
            return body.get("id") == message_id and status in (None, body["status"])

        return self.tap.wait_for(fits).json()

    def stands(self, access_method_id: str, state: str) -> Any:
        """The body of the state of this access method's job, once it stands there."""
        topic, word = f"{self.root}/job/{access_method_id}", f'"state":"{state}"'.encode()
        return self.tap.wait_for(lambda heard: heard.topic == topic and word in heard.payload).json()

    def answer_of(self, access_method_id: str) -> Any:
        """The body of the first answer about this access method."""
        word = f'"access_method_id":"{access_method_id}"'.encode()
        return self.tap.wait_for(
            lambda heard: heard.topic.startswith(f"{self.root}/response/") and word in heard.payload
        ).json()

    def answered(self, body: object, *options: str) -> Any:
        """Publish a trigger and take the next answer on the default topic, whatever its id; for use one at a time."""
        before = len(self.on("response/trigger"))
        self.trigger(body, *options)
        topic = f"{self.root}/response/trigger"
        return self.tap.wait_for_many(before + 1, lambda heard: heard.topic == topic)[before].json()

    def serve_one_more(self) -> str:
        """Let a good trigger through to its card: whatever was sent before has been dealt with then."""
        access_method_id = f"sentinel-{next(_serial)}"
        self.trigger(need(access_method_id))
        self.event(access_method_id)
        return access_method_id

    def cards_of(self, access_method_id: str) -> list[dict[str, Any]]:
        """What lies in the stock for this access method."""
        cards = [card for card in read_cards(self.stock).values() if isinstance(card, dict)]
        return [card for card in cards if card["access_method_id"] == access_method_id]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Look into the store's file, read-only."""
        with contextlib.closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as store:
            return store.execute(sql).fetchall()

    def _is_online(self, heard: Heard) -> bool:
        is_ours = heard.topic == f"{self.root}/availability" and bool(heard.payload)
        return is_ours and heard.json()["state"] == "online"

    def _write(self) -> None:
        tables = {
            "mqtt": self._mqtt,
            "jobs": {"cards_per_minute": 0, **self.jobs},
            "encoders.desk-1": self._encoder,
            **self._more,
        }
        lines = [
            'site = "hotel"',
            f"desk = {json.dumps(self.name)}",
            'time_zone = "Europe/Lisbon"',
            f"clock = {json.dumps(self.clock)}",
            f"store = {json.dumps(str(self.store))}",
        ]
        sections = [(f"[{name}]", table) for name, table in tables.items()]
        for head, table in [*sections, *(("[[routes]]", route) for route in self._routes)]:
            lines += [head, *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        self._configuration.write_text("\n".join(lines) + "\n")
