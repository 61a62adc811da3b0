"""A store without loop or threads: every operation in a transaction of its own, in a time that stands still."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from encoder_bridge import wire
from encoder_bridge.commits import Connection
from encoder_bridge.driver import Card, Evidence, Intent, Receipt
from encoder_bridge.model import Assignment, Job, Problem, State, iso
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.sealing import Seal
from encoder_bridge.sqlite import open_store
from encoder_bridge.store import Rules, Store
from encoder_bridge.store.work import Verdict

P = ParamSpec("P")
T = TypeVar("T")

MINUTE = 60_000
DAY = 86_400_000
START = 1_750_000_000_000
CARD = Card(technology="test", uid="04aa")
SEAL = Seal(bytes(range(32)))
RULES = Rules(encoders={"left": "one", "right": "one"}, default_profile="room", max_open=100, zone=UTC)


class Desk:
    """One store, opened as the daemon opens it."""

    def __init__(
        self,
        path: Path,
        rules: Rules = RULES,
        *,
        now: int = START,
        connect: Callable[[str], Connection] | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.path = path
        self.now = now
        self.connection = open_store(path, connect)
        self.store = Store(self.connection, rules, SEAL)
        self._numbers = itertools.count(1) if numbers is None else numbers

    def close(self) -> None:
        self.connection.close()

    def again(self, rules: Rules = RULES) -> Desk:
        """The next process on the same file; this one is gone without having tidied anything up."""
        return Desk(self.path, rules, now=self.now, numbers=self._numbers)

    def do(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One operation, committed; one that raises leaves nothing behind."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            result = operation(*args, **kwargs)
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return result

    # What comes in.

    def send(self, event_type: str, method: str = "m1", *, reply_to: str | None = None, **fields: Any) -> wire.Response:
        body = {"event_id": f"e{next(self._numbers)}", "event_type": f"access_method.{event_type}", **fields}
        trigger = wire.Trigger.model_validate({"access_method_id": method, **body})
        return self.do(self.store.needs.accept, trigger, ReplyAddress(topic=reply_to), self.now)

    def need(self, method: str = "m1", *, at: int | None = None, **fields: Any) -> wire.Response:
        """A card is required; `at` is when the need arose."""
        if at is not None:
            fields["occurred_at"] = iso(at)
        return self.send("card_encoding_required", method, **fields)

    def delete(self, method: str = "m1") -> wire.Response:
        return self.send("deleted", method)

    def request(self, verb: str, method: str = "m1") -> dict[str, Any]:
        """Cancel, confirm or job; returns the answer that was put into the outbox."""
        operation = {
            "cancel": self.store.requests.cancel,
            "confirm": self.store.requests.confirm,
            "job": self.store.requests.tell,
        }[verb]
        self.do(operation, wire.Request(id="r", access_method_id=method), ReplyAddress(), self.now)
        return self.outbox("response")[-1]

    # What an encoder does.

    def claim(self, encoder: str = "left") -> Assignment:
        assignment, _ = self.do(self.store.work.claim, encoder, self.now)
        assert assignment is not None
        return assignment

    def nothing_to_claim(self, encoder: str = "left") -> bool:
        assignment, _ = self.do(self.store.work.claim, encoder, self.now)
        return assignment is None

    def intend(self, job: Job, encoder: str = "left", card: Card | None = CARD) -> bool:
        return self.do(self.store.work.intend, job, encoder, Intent(card=card), self.now) is Verdict.GO

    def begin(self, encoder: str = "left") -> Job:
        """Claim the next job and commit the intent to write it."""
        job = self.claim(encoder).job
        assert self.intend(job, encoder)
        return job

    def issue(self, job: Job) -> bool:
        return self.do(self.store.work.issue, job, Receipt(evidence=Evidence.READ_BACK, card=CARD), self.now)

    def doubt(self, job: Job, *, retry_at: int = 0) -> None:
        self.do(self.store.work.doubt, job, Problem(type="torn", message="torn"), self.now, retry_at=retry_at)

    def requeue(self, job: Job, *, yields: bool = False) -> None:
        self.do(self.store.work.requeue, job, Problem(type="put_back", message="put back"), self.now, yields=yields)

    # What became of it.

    def job(self, job_id: int = 1) -> Job:
        (job,) = [job for job in self.jobs() if job.job_id == job_id]
        return job

    def jobs(self) -> list[Job]:
        return self.store.work._ledger.jobs("ORDER BY job_id")

    def states(self) -> list[State]:
        return [job.state for job in self.jobs()]

    def outbox(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(message.body) for message in self.store.outbox.pending(10_000) if message.kind == kind]

    def forget_outbox(self) -> None:
        self.do(self.store.outbox.told, [message.report_id for message in self.store.outbox.pending(10_000)])

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        return list(self.connection.execute(f"SELECT * FROM {table}").fetchall())

    def bytes_on_disk(self) -> bytes:
        """Database and write-ahead log, as somebody who takes the disk finds them."""
        files = sorted(file for file in self.path.parent.glob(f"{self.path.name}*") if not file.name.endswith("-shm"))
        return b"".join(file.read_bytes() for file in files)


def rules(**changes: Any) -> Rules:
    return replace(RULES, **changes)


def credential(profile: str | None = "room", **fields: Any) -> dict[str, Any]:
    """A trigger's `credential` block."""
    return {"profile": profile, **fields} if profile else fields
