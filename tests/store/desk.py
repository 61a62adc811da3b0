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
OTHER_CARD = Card(technology="test", uid="04bb")
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
        seal: Seal = SEAL,
        connect: Callable[[str], Connection] | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.path = path
        self.now = now
        self.connection = open_store(path, connect)
        self.store = Store(self.connection, rules, seal)
        self._numbers = itertools.count(1) if numbers is None else numbers

    def close(self) -> None:
        self.connection.close()

    def again(self, rules: Rules = RULES, *, seal: Seal = SEAL) -> Desk:
        """The next process on the same file; this one is gone without having tidied anything up."""
        return Desk(self.path, rules, now=self.now, seal=seal, numbers=self._numbers)

    def restart(self, rules: Rules = RULES, *, seal: Seal = SEAL) -> Desk:
        """The next process, after it has looked at what the one before left."""
        desk = self.again(rules, seal=seal)
        desk.do(desk.store.recovery.recover, desk.now)
        self.close()
        return desk

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

    def send(
        self,
        event_type: str,
        method: str = "m1",
        *,
        reply_to: str | None = None,
        requester: str | None = None,
        **fields: Any,
    ) -> wire.Response:
        body = {"event_id": f"e{next(self._numbers)}", "event_type": f"access_method.{event_type}", **fields}
        trigger = wire.Trigger.model_validate({"access_method_id": method, **body})
        return self.do(self.store.needs.accept, trigger, ReplyAddress(topic=reply_to), self.now, requester)

    def need(self, method: str = "m1", *, at: int | None = None, **fields: Any) -> wire.Response:
        """A card is required; `at` is when the need arose."""
        if at is not None:
            fields["occurred_at"] = iso(at)
        return self.send("card_encoding_required", method, **fields)

    def delete(self, method: str = "m1") -> wire.Response:
        return self.send("deleted", method)

    def request(self, verb: str, method: str = "m1", *, requester: str | None = None, **fields: Any) -> dict[str, Any]:
        """A word to a job, with an id that nobody used before; returns the answer that was put into the outbox."""
        requests = self.store.requests
        words: dict[str, tuple[type[wire.Request], Any]] = {
            "cancel": (wire.Request, requests.cancel),
            "confirm": (wire.Request, requests.confirm),
            "retry": (wire.Request, requests.retry),
            "claim": (wire.Claim, requests.claim),
            "resolve": (wire.Resolve, requests.resolve),
            "job": (wire.Request, requests.tell),
        }
        model, operation = words[verb]
        asked = model.model_validate({"id": f"r{next(self._numbers)}", "access_method_id": method, **fields})
        self.do(operation, asked, ReplyAddress(), self.now, requester)
        (body,) = self.connection.execute(
            "SELECT body FROM outbox WHERE kind = 'response' ORDER BY report_id DESC LIMIT 1"
        ).fetchone()
        answer: dict[str, Any] = json.loads(body)
        return answer

    # What an encoder does.

    def claim(self, encoder: str = "left") -> Assignment:
        assignment, _ = self.do(self.store.turns.claim, encoder, self.now)
        assert assignment is not None
        return assignment

    def nothing_to_claim(self, encoder: str = "left") -> bool:
        assignment, _ = self.do(self.store.turns.claim, encoder, self.now)
        return assignment is None

    def intend(self, job: Job, encoder: str = "left", card: Card | None = CARD) -> bool:
        return self.do(self.store.work.intend, job, encoder, Intent(card=card), self.now) is Verdict.GO

    def begin(self, encoder: str = "left", card: Card | None = CARD) -> Job:
        """Claim the next job and commit the intent to write it."""
        job = self.claim(encoder).job
        assert self.intend(job, encoder, card)
        return job

    def issue(self, job: Job, card: Card | None = None) -> bool:
        """End a job with a card, the intended one unless it is named."""
        intent = self.job(job.job_id).intent
        receipt = Receipt(evidence=Evidence.READ_BACK, card=card or (intent.card if intent else CARD))
        return self.do(self.store.work.issue, job, receipt, self.now)

    def fail(self, job: Job) -> None:
        """End a job without a card; none was changed."""
        self.do(self.store.work.fail, job, Problem(type="no", message="no"), self.now)

    def doubt(self, job: Job, *, retry_at: int = 0) -> None:
        self.do(self.store.work.doubt, job, Problem(type="torn", message="torn"), self.now, retry_at=retry_at)

    def requeue(self, job: Job, *, yields: bool = False) -> None:
        self.do(self.store.work.requeue, job, Problem(type="put_back", message="put back"), self.now, yields=yields)

    # What became of it.

    def job(self, job_id: int = 1) -> Job:
        (job,) = [job for job in self.jobs() if job.job_id == job_id]
        return job

    def newest(self, method: str = "m1") -> Job:
        """The newest job of an access method."""
        return [job for job in self.jobs() if job.access_method_id == method][-1]

    def jobs(self) -> list[Job]:
        return self.store.work._ledger.jobs("ORDER BY job_id")

    def states(self) -> list[State]:
        return [job.state for job in self.jobs()]

    def outbox(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(message.body) for message in self.store.outbox.pending(10_000) if message.kind == kind]

    def forget_outbox(self) -> None:
        self.do(self.store.outbox.told, [message.report_id for message in self.store.outbox.pending(10_000)])

    def problem(self, job_id: int = 1) -> str | None:
        """The type of what is told about a job."""
        error = self.job(job_id).error
        return error.type if error else None

    def log(self, job_id: int = 1) -> list[dict[str, Any]]:
        """The attempts log of one job."""
        columns = ("job_id", "attempt", "what", "encoder", "card", "requester", "operator")
        rows = self.connection.execute(
            f"SELECT {', '.join(columns)} FROM attempt WHERE job_id = ? ORDER BY attempt_id", (job_id,)
        )
        return [dict(zip(columns, row, strict=True)) for row in rows.fetchall()]

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
