"""One desk under test: its folder, its broker session, its stock of cards, and the daemon that is killed again and
again."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rigs.brokers import Broker
from rigs.tap import Tap

from encoder_bridge.sqlite import open_for_reading
from kill.hearing import Hearing
from kill.nursery import Daemon, Nursery
from kill.requester import Requester

_LOOK_EVERY_S = 0.004

CREDENTIAL = {
    "profile": "guest",
    "joins": True,
    "entrances": ["101", "gym"],
    "starts_at": "2026-01-02T14:00:00Z",
    "ends_at": "2099-07-03T10:00:00Z",
    "fields": {"room": "101"},
    "data": {"key": "AAEC"},
}


class Violation(AssertionError):
    """What is on the plastic and what the world was told disagree, or something was lost."""


class Desk:
    """Use as a context; `start` runs a daemon, `trigger` asks it for cards.

    Args:
        folder: the desk's own.
        name: level of its topics.
        faults: what goes wrong at its encoders, see `encoder_bridge_simulated.faults`.
        encoders: how many it has.
        fault_rate: share of the encodes that meet a random fault.
        seed: of these.
        clerk: `absent` if the test lays the cards.
        broken: a promise that its daemons break, see `kill.broken`.
        patience_s: how long anything may take.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        broker: Broker,
        nursery: Nursery,
        requester: Requester,
        faults: Sequence[str] = (),
        encoders: int = 1,
        fault_rate: float = 0.0,
        seed: int = 0,
        clerk: str = "automatic",
        broken: str | None = None,
        patience_s: float = 15.0,
    ) -> None:
        self.folder = folder
        self.name = name
        self.root = f"encoder-bridge/kill/{name}"
        self.stock = folder / "stock"
        self.triggers: dict[str, dict[str, Any]] = {}
        """By access method."""
        self._nursery = nursery
        self._broken = broken
        self._patience_s = patience_s
        self._requester = requester
        self._tap = Tap(broker, f"{self.root}/#")
        self.hearing = Hearing(self._tap, self.root)
        self.daemon: Daemon | None = None
        self._marks = 0
        self._was_online = 0
        self.has_session = False
        """Whether the broker keeps messages for this desk."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            'site = "kill"',
            f'desk = "{name}"',
            'time_zone = "Europe/Lisbon"',
            'clock = "trusted"',
            'store = "jobs.sqlite"',
            f"[mqtt]\nport = {broker.port}",
            "[jobs]\ncards_per_minute = 0",
        ]
        for number in range(encoders):
            lines += [
                f"[encoders.desk-{number}]",
                'driver = "simulated"',
                f"name = {json.dumps(f'desk-{number}')}",
                f"stock = {json.dumps(str(self.stock))}",
                f"faults = {json.dumps(list(faults))}",
                f'clerk = "{clerk}"',
                f"fault_rate = {fault_rate}",
                f"seed = {seed + number}",
                "replug_s = 0.05",
            ]
        (folder / "bridge.toml").write_text("\n".join(lines) + "\n")

    def __enter__(self) -> Self:
        self._tap.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.daemon is not None:
            self.daemon.end(signal.SIGKILL)
        self._tap.__exit__(kind, error, trace)

    def launch(self, kill: str | None = None) -> Daemon:
        """Start the daemon."""
        self.hearing.listen()
        self._was_online = self.hearing.online
        self.daemon = Daemon(
            self._nursery,
            config=self.folder / "bridge.toml",
            points=self.folder / "points",
            log=self.folder / "log",
            kill=kill,
            broken=self._broken,
        )
        return self.daemon

    def wait_online(self) -> None:
        """Wait until the daemon is on the broker or dead."""
        if self.until(lambda: self.hearing.online > self._was_online, "the daemon did not come up"):
            self.has_session = True

    def start(self, kill: str | None = None) -> Daemon:
        """Start the daemon and wait until it is on the broker or dead."""
        daemon = self.launch(kill)
        self.wait_online()
        return daemon

    def trigger(self, access_method_id: str) -> None:
        """Ask for a card, or ask again in the same words."""
        body = self.triggers.setdefault(
            access_method_id,
            {
                "event_id": f"need-{access_method_id}",
                "event_type": "access_method.card_encoding_required",
                "access_method_id": access_method_id,
                "credential": CREDENTIAL,
            },
        )
        self._requester.publish(
            f"{self.root}/trigger",
            body,
            answer_to=f"{self.root}/response/mine",
            correlation=body["event_id"].encode(),
        )

    def until(self, condition: Callable[[], bool], failing: str) -> bool:
        """Listen until a condition holds or the daemon is dead; returns whether it holds.

        Raises:
            Violation: neither came true in time, or the daemon died of itself.
        """
        deadline = time.monotonic() + self._patience_s
        while True:
            died = self.daemon is None or self.daemon.is_dead(_LOOK_EVERY_S)
            self.hearing.listen()
            if condition():
                return True
            if died:
                if self.daemon is not None and self.daemon.status not in {-signal.SIGKILL, 0}:
                    raise self.violation(f"the daemon ended with {self.daemon.status}")
                return False
            if time.monotonic() > deadline:
                raise self.violation(failing)

    def catch_up(self) -> None:
        """Hear everything that the broker had from the daemon until now."""
        self._marks += 1
        mark = f"{self.root}/mark/{self._marks}"
        self._requester.publish(mark, {})
        self._tap.wait_for(lambda heard: heard.topic == mark)
        self.hearing.listen()

    def is_told(self, access_method_id: str) -> bool:
        """Whether the end of the need was reported, retained and answered."""
        event_id = self.triggers[access_method_id]["event_id"]
        ended = {event["state"] for event in self.hearing.events[access_method_id]} & {"issued", "failed"}
        retained = self.hearing.states.get(access_method_id, {}).get("state")
        answered = any(answer.get("state") == retained for answer in self.hearing.answers[event_id])
        return bool(ended) and retained in ended and answered

    def owes_nothing(self) -> bool:
        """Whether the outbox is empty."""
        connection = open_for_reading(self.folder / "jobs.sqlite")
        try:
            (owed,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
        finally:
            connection.close()
        return bool(owed == 0)

    def violation(self, what: str) -> Violation:
        """What is wrong, with all that helps to find out why."""
        log = self.folder / "log"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:]) if log.exists() else ""
        reached = " ".join(self.daemon.reached()[-12:]) if self.daemon else ""
        return Violation(f"{self.name}: {what}\nfolder: {self.folder}\nlast points: {reached}\nlog:\n{tail}")
