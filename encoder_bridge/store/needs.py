"""Taking in: which triggers are the same need, and what a need becomes."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass

from encoder_bridge import reports, texts, wire
from encoder_bridge.errors import MalformedMessage
from encoder_bridge.model import BEGUN, NOT_BEGUN, Job, Problem, State, to_ms
from encoder_bridge.redaction import reduce_body
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.store.ledger import FORGOTTEN, Ledger
from encoder_bridge.store.opening import Opening

_SKEW_MS = 3_600_000
"""Others' clocks may be ahead; a moment further in the future would make every need that follows look old."""
_MOST_POISON = 1000
"""So many messages that nobody can act on are kept; an older one makes room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a trigger."""

    status: wire.Status
    job: Job | None = None
    error: Problem | None = None


class Needs:
    """Operations of the sources."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._opening = Opening(ledger)
        self._execute = ledger.execute
        self._rules = ledger.rules

    def accept(
        self, trigger: wire.Trigger, reply: ReplyAddress | None, now: int, requester: str | None = None
    ) -> wire.Response:
        """Make a trigger durable, or say why not.

        Args:
            trigger: the need.
            reply: where the answer goes; None: to the caller alone.
            now: the present.
            requester: who asks, as far as that is known.
        """
        digest = self._digest(trigger)
        known = self._execute(
            "SELECT digest, job_id FROM event WHERE event_id = ?",
            (trigger.event_id,),
        ).fetchone()
        if known is None:
            answer = self._take(trigger, requester, now)
            if answer.status in {"accepted", "held"}:
                self._remember(trigger, digest, answer, reply, now)
        elif known[0] == FORGOTTEN or hmac.compare_digest(known[0], digest):
            answer = self._again(trigger, known[1], reply)
        else:
            answer = Answer(status="rejected", error=texts.problem("id_reuse"))
        response = reports.response(
            trigger.event_id,
            answer.status,
            job=answer.job,
            access_method_id=trigger.access_method_id,
            error=answer.error,
        )
        if answer.status == "ignored" and reply and not reply.topic:
            return response
        return self._ledger.answer("trigger", response, reply, now)

    def reject(
        self,
        verb: str,
        problem: MalformedMessage,
        payload: bytes,
        reply: ReplyAddress | None,
        now: int,
    ) -> wire.Response:
        """Keep what may be kept of a message that nobody can act on, and answer it."""
        shown = json.dumps(reduce_body(payload, ours=False))
        self._execute(
            "INSERT INTO poison (received_at, verb, size, error, shown) VALUES (?, ?, ?, ?, ?)",
            (now, verb, len(payload), problem.error_type, shown),
        )
        self._execute("DELETE FROM poison WHERE poison_id <= (SELECT max(poison_id) FROM poison) - ?", (_MOST_POISON,))
        error = Problem(type=problem.error_type, message=str(problem))
        return self._ledger.answer(verb, reports.response(problem.message_id, "rejected", error=error), reply, now)

    def _take(self, trigger: wire.Trigger, requester: str | None, now: int) -> Answer:
        if trigger.issued_by == "bridge":
            return Answer(status="ignored")
        if trigger.event_type == wire.CARD_ENCODING_REQUIRED:
            return self._need(trigger, requester, now)
        if trigger.event_type == wire.DELETED:
            return self._delete(trigger, now)
        if trigger.event_type in wire.ISSUED_EVENTS:
            return self._issued_elsewhere(trigger, now)
        return Answer(status="ignored")

    def _need(self, trigger: wire.Trigger, requester: str | None, now: int) -> Answer:
        refusal = self._refusal(trigger, now)
        if refusal:
            return Answer(status="rejected", error=refusal)
        history = self._ledger.jobs("WHERE access_method_id = ? ORDER BY job_id", (trigger.access_method_id,))
        issued = self._issued(trigger, history)
        if self._is_stale(trigger, history, issued):
            return Answer(status="stale", job=history[-1] if history else None, error=texts.problem("stale"))
        waiting = next((job for job in reversed(history) if job.state in NOT_BEGUN), None)
        if waiting:
            job = self._collapse(trigger, waiting, requester, now)
            if job.state is State.HELD:
                job = self._judge_again(job, history, issued, now)
            return Answer(status="held" if job.state is State.HELD else "accepted", job=job)
        if self._ledger.count_open() >= self._rules.max_open:
            return Answer(status="refused", error=texts.problem("queue_full", max_open=self._rules.max_open))
        held = self._held(
            has_time=trigger.occurred_at is not None,
            profile=self._opening.profile(trigger),
            has_route=self._opening.route(trigger, requester) is not None,
            history=history,
            issued=issued,
        )
        job = self._opening.insert(trigger, held, is_reissue=bool(issued), requester=requester, now=now)
        return Answer(status="held" if held else "accepted", job=job)

    def _refusal(self, trigger: wire.Trigger, now: int) -> Problem | None:
        if self._ledger.is_deleted(trigger.access_method_id):
            return texts.problem("credential_deleted")
        if trigger.encoder and trigger.encoder not in self._rules.encoders:
            return texts.problem("unknown_encoder", known=", ".join(sorted(self._rules.encoders)))
        return texts.problem("validity_past") if self._opening.expiry(trigger, now) <= now else None

    def _issued(self, trigger: wire.Trigger, history: list[Job]) -> list[int]:
        """When cards were issued for this access method, here and elsewhere."""
        elsewhere = self._execute(
            "SELECT issued_at FROM method WHERE access_method_id = ? AND issued_at IS NOT NULL",
            (trigger.access_method_id,),
        ).fetchall()
        return [job.issued_at for job in history if job.issued_at] + [issued_at for (issued_at,) in elsewhere]

    @staticmethod
    def _is_stale(trigger: wire.Trigger, history: list[Job], issued: list[int]) -> bool:
        """Whether the need was met or dropped after it arose."""
        dropped = [job.state_at for job in history[-1:] if job.state in {State.CANCELLED, State.EXPIRED}]
        return trigger.occurred_at is not None and to_ms(trigger.occurred_at) <= max([*issued, *dropped], default=-1)

    @staticmethod
    def _held(
        *, has_time: bool, profile: str | None, has_route: bool, history: list[Job], issued: list[int]
    ) -> Problem | None:
        """Why a job for this need may not start yet.

        One that comes without a time while a card is written is judged when that card's outcome is known.
        """
        if issued and not has_time and not any(job.state in BEGUN for job in history):
            return texts.problem("confirmation_required")
        if not profile:
            return texts.problem("profile_missing")
        return None if has_route else texts.problem("no_route")

    def _judge_again(self, job: Job, history: list[Job], issued: list[int], now: int) -> Job:
        """Let a held job go, or give it the reason that is left, now that it knows more."""
        has_time, profile = self._execute(
            "SELECT occurred_at IS NOT NULL, profile FROM job WHERE job_id = ?", (job.job_id,)
        ).fetchone()
        has_route = job.encoder is not None or self._opening.route_again(job)
        held = self._held(has_time=has_time, profile=profile, has_route=has_route, history=history, issued=issued)
        if held is None:
            return self._ledger.move(job, State.QUEUED, now)
        if held != job.error:
            self._ledger.restate(job, held)
        return self._ledger.job(job.job_id)

    def _collapse(self, trigger: wire.Trigger, job: Job, requester: str | None, now: int) -> Job:
        """Let another message for a need that has not begun in: newer contents replace older ones."""
        (occurred,) = self._execute("SELECT occurred_at FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        occurs = to_ms(trigger.occurred_at) if trigger.occurred_at else None
        self._execute(
            """UPDATE job SET profile = ifnull(profile, ?1),
                      occurred_at = max(ifnull(occurred_at, ?2), ifnull(?2, occurred_at)) WHERE job_id = ?3""",
            (self._opening.profile(trigger), occurs, job.job_id),
        )
        if occurs is not None and occurred is not None and occurs < occurred:
            return self._ledger.job(job.job_id)
        changes = self._opening.replace_contents(trigger, job) if trigger.credential else False
        if changes:
            self._execute("UPDATE job SET requester = ? WHERE job_id = ?", (requester, job.job_id))
            self._ledger.log(self._ledger.job(job.job_id), "contents_replaced", now)
        if trigger.credential or trigger.expires_at:
            self._opening.set_expiry(trigger, job, now)
        if trigger.encoder and trigger.encoder != job.encoder:
            self._execute("UPDATE job SET encoder = ? WHERE job_id = ?", (trigger.encoder, job.job_id))
            changes = True
        job = self._ledger.job(job.job_id)
        if changes and job.state is State.WAITING_FOR_CARD:
            job = self._ledger.move(job, State.QUEUED, now)
        if changes and job.encoder is None and not self._opening.route_again(job) and job.state is State.QUEUED:
            return self._ledger.move(job, State.HELD, now, error=texts.problem("no_route"))
        return self._ledger.job(job.job_id)

    def _delete(self, trigger: wire.Trigger, now: int) -> Answer:
        self._execute(
            """INSERT INTO method (access_method_id, deleted_at, known_at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE
               SET deleted_at = ifnull(deleted_at, excluded.deleted_at), known_at = excluded.known_at""",
            (trigger.access_method_id, now, now),
        )
        jobs = self._ledger.jobs(
            "WHERE access_method_id = ? AND open AND state != 'writing' ORDER BY job_id",
            (trigger.access_method_id,),
        )
        ended = [self._ledger.give_up(job, texts.problem("credential_deleted"), now) for job in jobs]
        return Answer(status="accepted", job=ended[-1] if ended else None)

    def _issued_elsewhere(self, trigger: wire.Trigger, now: int) -> Answer:
        issued_at = min(to_ms(trigger.occurred_at), now + _SKEW_MS) if trigger.occurred_at else now
        self._execute(
            """INSERT INTO method (access_method_id, issued_at, known_at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE
               SET issued_at = max(ifnull(issued_at, 0), excluded.issued_at), known_at = excluded.known_at""",
            (trigger.access_method_id, issued_at, now),
        )
        met = self._ledger.jobs(
            """WHERE access_method_id = ? AND open AND state NOT IN ('writing', 'unsure')
               AND ifnull(occurred_at, 0) <= ?""",
            (trigger.access_method_id, issued_at),
        )
        ended = [self._ledger.move(job, State.ISSUED_ELSEWHERE, now) for job in met]
        return Answer(status="accepted", job=ended[-1] if ended else None)

    def _remember(
        self, trigger: wire.Trigger, digest: bytes, answer: Answer, reply: ReplyAddress | None, now: int
    ) -> None:
        job_id = answer.job.job_id if answer.job else None
        reply = reply or ReplyAddress()
        self._execute(
            """INSERT INTO event (event_id, digest, received_at, job_id, reply_to, correlation)
               VALUES (?, ?, ?, ?, ?, ?)""",
            (trigger.event_id, digest, now, job_id, reply.topic, reply.correlation),
        )

    def _again(self, trigger: wire.Trigger, job_id: int | None, reply: ReplyAddress | None) -> Answer:
        """Answer a repetition from the store; whoever repeated it last is also told the end."""
        if reply and reply.topic:
            self._execute(
                "UPDATE event SET reply_to = ?, correlation = ? WHERE event_id = ?",
                (reply.topic, reply.correlation, trigger.event_id),
            )
        jobs = self._ledger.jobs("WHERE job_id = ?", (job_id,))
        return Answer(status="duplicate", job=jobs[0] if jobs else None)

    def _digest(self, trigger: wire.Trigger) -> bytes:
        """What was meant, whichever way it came."""
        meaning = trigger.model_dump(
            include={"event_type", "access_method_id", "occurred_at", "encoder", "credential"},
            exclude_none=True,
        )
        return self._ledger.digest(json.dumps(meaning, sort_keys=True, default=str))
