"""The one place where a job changes its state: the move, the log, the outbox and the news belong together."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from encoder_bridge import reports, texts, wire
from encoder_bridge.commits import Connection
from encoder_bridge.driver import Card
from encoder_bridge.model import MOVES, OPEN, IllegalMove, Job, Problem, State, uid_of
from encoder_bridge.reports import Outgoing, ReplyAddress
from encoder_bridge.routing import Route
from encoder_bridge.sealing import Seal
from encoder_bridge.store.rows import COLUMNS, to_job, to_json
from encoder_bridge.store.sealed import Sealed
from encoder_bridge.store.sequences import Sequences

FORGOTTEN = b""
"""In place of a message's digest, when the guest it named was forgotten: a guess at it proves nothing then."""
_SELECT = f"SELECT {COLUMNS} FROM job "  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decides about a trigger, from the configuration."""

    encoders: Mapping[str, str]
    """Encoder name to driver name."""
    routes: tuple[Route, ...] = ()
    """Without any, every encoder makes every card."""
    default_profile: str | None = None
    max_open: int = 500
    open_for_ms: int = 7 * 86_400_000
    """How long a need without any end of its own stays open."""
    cards_per_minute: int = 0
    """So many cards one encoder, or one requester, starts at most; 0: no limit."""
    sequence_window: int | None = None
    """How many new cards a lock can skip."""
    zone: tzinfo
    """The property's."""
    keep_personal_ms: int = 30 * 86_400_000
    """Guests' data, after the end of its job."""
    keep_history_ms: int = 90 * 86_400_000
    """Jobs that have ended, their attempts and the ids of messages."""


@dataclass(slots=True)
class News:
    """What committed operations want announced."""

    queue: bool = False
    """A job became ready, ended or changed."""
    outbox: bool = False
    withdrawn: set[tuple[int, int]] = field(default_factory=set)
    """Job and attempt, for which an encoder may still be asking for a card, and must not."""
    jobs: dict[str, Job] = field(default_factory=dict)
    """Access method to its job that is on; of one that has ended the outbox tells as well."""


class Ledger:
    """Jobs as rows, and every consequence of moving one."""

    def __init__(self, connection: Connection, rules: Rules, seal: Seal) -> None:
        self.execute = connection.execute
        self.rules = rules
        self.news = News()
        self.sealed = Sealed(self.execute, seal)
        self.sequences = Sequences(self.execute, rules.sequence_window)
        meta = dict(self.execute("SELECT name, value FROM meta").fetchall())
        self._digest_key = bytes.fromhex(meta["digest_key"])
        self.store_id: str = meta["store_id"]
        self.operator: str | None = meta.get("operator")
        """Who is at the desk."""
        self._open: int | None = None

    def take_news(self) -> News | None:
        """What happened since the last call; None if nothing."""
        news, self.news = self.news, News()
        return news if news.queue or news.outbox or news.withdrawn or news.jobs else None

    def digest(self, meaning: str) -> bytes:
        """What tells one message from another, keyed, so that nothing can be learnt from it about what is gone."""
        return hmac.digest(self._digest_key, meaning.encode(), hashlib.sha256)

    def jobs(self, where: str, parameters: tuple[Any, ...] = ()) -> list[Job]:
        """The jobs that a WHERE clause, a constant of this package, finds."""
        return [to_job(row) for row in self.execute(_SELECT + where, parameters).fetchall()]

    def job(self, job_id: int) -> Job:
        """The job as it stands now."""
        return self.jobs("WHERE job_id = ?", (job_id,))[0]

    def current(self, job: Job, states: Iterable[State]) -> Job | None:
        """The job as it stands, if the attempt in hand is still the running one and it is in one of `states`."""
        current = self.job(job.job_id)
        return current if current.attempt == job.attempt and current.state in states else None

    def newest(self, access_method_id: str) -> Job | None:
        """The last job of an access method, whatever became of it."""
        jobs = self.jobs("WHERE access_method_id = ? ORDER BY job_id DESC LIMIT 1", (access_method_id,))
        return jobs[0] if jobs else None

    def newest_open(self, access_method_id: str) -> Job | None:
        """The open job that a word about this access method means."""
        jobs = self.jobs("WHERE access_method_id = ? AND open ORDER BY job_id DESC LIMIT 1", (access_method_id,))
        return jobs[0] if jobs else None

    def cancellable(self, access_method_id: str) -> Job | None:
        """The open job that a cancellation means: the one in doubt before a successor that waits for it."""
        jobs = self.jobs(
            "WHERE access_method_id = ? AND open ORDER BY state = 'unsure' DESC, job_id DESC LIMIT 1",
            (access_method_id,),
        )
        return jobs[0] if jobs else None

    def open_jobs(self, access_method_id: str) -> list[Job]:
        """All open jobs of an access method, the oldest first: one that was begun before a successor that waits."""
        return self.jobs("WHERE access_method_id = ? AND open ORDER BY job_id", (access_method_id,))

    def count_open(self) -> int:
        """How many jobs have not ended; counted once, then kept."""
        if self._open is None:
            (self._open,) = self.execute("SELECT count(*) FROM job WHERE open").fetchone()
        return int(self._open or 0)

    def is_deleted(self, access_method_id: str) -> bool:
        """Whether the access method was deleted, as far as anybody said."""
        found = self.execute(
            "SELECT 1 FROM method WHERE access_method_id = ? AND deleted_at IS NOT NULL",
            (access_method_id,),
        ).fetchone()
        return found is not None

    def added(self, job: Job, now: int) -> None:
        """Announce a job that was just inserted."""
        if self._open is not None:
            self._open += 1
        self._tell(job, now)

    def move(self, job: Job, to: State, now: int, *, error: Problem | None = None) -> Job:
        """Move a job along one arrow of `MOVES` and tell the world.

        Raises:
            IllegalMove: there is no such arrow.
        """
        if to not in MOVES[job.state]:
            raise IllegalMove(f"job {job.job_id}: {job.state} -> {to}")
        ended = to not in OPEN
        self.execute(
            "UPDATE job SET state = ?, state_at = ?, error = ?, open = ? WHERE job_id = ?",
            (to, now, to_json(error), None if ended else 1, job.job_id),
        )
        if job.state is State.UNSURE and to is State.FAILED:  # wherever it is, it may carry the credential
            self.execute("UPDATE job SET card_uid = ? WHERE job_id = ?", (uid_of(job.intent), job.job_id))
        if ended:
            if self._open is not None:
                self._open -= 1
            self.sealed.forget_data(job.job_id)
            if to is not State.ISSUED:
                self.sequences.take_back(job.job_id)
        if (job.state is State.WAITING_FOR_CARD and to is not State.WRITING) or (job.state is State.UNSURE and ended):
            self.news.withdrawn.add((job.job_id, job.attempt))
        moved = self.job(job.job_id)
        self._tell(moved, now)
        return moved

    def doubt(self, job: Job, problem: Problem, now: int) -> None:
        """Nobody knows any more what is on a job's card; where nobody wants that card, that is its end."""
        job = self.move(job, State.UNSURE, now, error=problem)
        if self.is_deleted(job.access_method_id):
            self.give_up(job, texts.problem("credential_deleted"), now)

    def give_up(self, job: Job, problem: Problem, now: int) -> Job:
        """End a job that is not wanted any more; where a card may carry it, say which one to destroy."""
        if job.state is not State.UNSURE:
            return self.move(job, State.CANCELLED, now, error=problem)
        uid = uid_of(job.intent)
        which = f"Card {uid}" if uid else "The card that was used last"
        message = f"{problem.message} {which} may carry it all the same: destroy that card."
        values = {**problem.values, "destroy": uid or ""}
        return self.move(job, State.FAILED, now, error=Problem(type=problem.type, message=message, values=values))

    def restate(self, job: Job, problem: Problem | None) -> None:
        """Give the present state another reason, or none."""
        self.execute("UPDATE job SET error = ? WHERE job_id = ?", (to_json(problem), job.job_id))
        self.news.queue = True
        self._announce(self.job(job.job_id))

    def tell_again(self, job: Job, now: int) -> None:
        """Say anew where an ended job stands, unless a later one of its access method is what counts."""
        newest = self.newest(job.access_method_id)
        if newest is None or newest.job_id != job.job_id or newest.state in OPEN:
            return
        self.send(reports.job_state(newest), now)
        self._announce(newest)

    def log(
        self,
        job: Job,
        what: str,
        now: int,
        *,
        encoder: str | None = None,
        card: Card | None = None,
        detail: Mapping[str, str] | None = None,
        requester: str | None = None,
        operator: str | None = None,
    ) -> None:
        """Add a line to the attempts log; who asked for the card and who is at the desk, unless others did this."""
        self.execute(
            """INSERT INTO attempt (job_id, attempt, at, what, encoder, card, detail, requester, operator)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                job.job_id,
                job.attempt,
                now,
                what,
                encoder or job.encoder,
                card.uid if card else None,
                json.dumps(dict(detail)) if detail else None,
                requester or job.requester,
                operator or self.operator,
            ),
        )

    def answer(self, verb: str, response: wire.Response, reply: ReplyAddress | None, now: int) -> wire.Response:
        """Put an answer into the outbox; without an address whoever asked takes it from here."""
        if reply is not None:
            self.send(reports.answer(verb, response, reply), now)
        return response

    def send(self, message: Outgoing, now: int) -> None:
        """Put a message into the outbox."""
        self.execute(
            "INSERT INTO outbox (kind, name, reply_to, correlation, body, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            (message.kind, message.name, message.reply.topic, message.reply.correlation, message.body, now),
        )
        self.news.outbox = True

    def _tell(self, job: Job, now: int) -> None:
        self.news.queue = True
        ended = job.state not in OPEN
        if reports.worth_an_event(job.state):
            if job.state is State.ISSUED and self.is_deleted(job.access_method_id):
                job = reports.being_deleted(job)
            self.send(reports.event(job, store_id=self.store_id, now=now), now)
            self._answer_all(job, now)
        if ended:
            self.send(reports.job_state(job), now)
        self._announce(job)

    def _announce(self, job: Job) -> None:
        """Tell of the open job that is on, not of one that waits behind it; where none is open, of this one."""
        self.news.jobs[job.access_method_id] = next(iter(self.open_jobs(job.access_method_id)), job)

    def _answer_all(self, job: Job, now: int) -> None:
        """Answer everybody who asked for this job and named an address."""
        waiting = self.execute(
            "SELECT event_id, reply_to, correlation FROM event WHERE job_id = ? AND reply_to IS NOT NULL",
            (job.job_id,),
        ).fetchall()
        for event_id, topic, correlation in waiting:
            self.answer(
                "trigger",
                reports.final_response(job, event_id),
                ReplyAddress(topic=topic, correlation=correlation),
                now,
            )
