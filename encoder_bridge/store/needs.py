"""Taking in: which triggers are the same need, and what a need becomes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from encoder_bridge import reports, wire
from encoder_bridge.errors import MalformedMessage
from encoder_bridge.model import BEGUN, NOT_BEGUN, Job, Problem, State, to_ms
from encoder_bridge.redaction import reduce_body
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.store.ledger import Ledger
from encoder_bridge.store.rows import COLUMNS, to_job, to_json

_MOST_POISON = 1000
"""So many messages that nobody can act on are kept; an older one makes room."""

PROFILE_MISSING = Problem(
    type="profile_missing",
    message="Neither the message nor jobs.default_profile names a card profile: send one or set it.",
)
CONFIRMATION_REQUIRED = Problem(
    type="confirmation_required",
    message="A card was issued before and this message has no occurred_at: confirm that it is made again.",
)
_STALE = Problem(
    type="stale",
    message="This need is older than the card or the end it was given: nothing is done.",
)
_ID_REUSE = Problem(
    type="id_reuse",
    message="This event_id was used before with other contents: send the new need under a new id.",
)
_DELETED = Problem(type="credential_deleted", message="The access method was deleted: no card is made for it.")
_PAST = Problem(
    type="validity_past",
    message="The window or expires_at is past: send a need that still stands.",
)


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
        self._execute = ledger.execute
        self._rules = ledger.rules

    def accept(self, trigger: wire.Trigger, reply: ReplyAddress, now: int) -> Answer:
        """Make a trigger durable, or say why not; the answer is in the outbox."""
        digest = self._digest(trigger)
        known = self._execute(
            "SELECT digest, job_id FROM event WHERE event_id = ?",
            (trigger.event_id,),
        ).fetchone()
        if known is None:
            answer = self._take(trigger, now)
            if answer.status in {"accepted", "held"}:
                self._remember(trigger, digest, answer, reply, now)
        elif hmac.compare_digest(known[0], digest):
            answer = self._again(trigger, known[1], reply)
        else:
            answer = Answer(status="rejected", error=_ID_REUSE)
        if answer.status != "ignored" or reply.topic:
            response = reports.response(
                "trigger",
                trigger.event_id,
                answer.status,
                reply,
                job=answer.job,
                access_method_id=trigger.access_method_id,
                error=answer.error,
            )
            self._ledger.send(response, now)
        return answer

    def reject(
        self,
        verb: str,
        problem: MalformedMessage,
        payload: bytes,
        reply: ReplyAddress,
        now: int,
    ) -> None:
        """Keep what may be kept of a message that nobody can act on, and answer it."""
        shown = json.dumps(reduce_body(payload, ours=False))
        self._execute(
            "INSERT INTO poison (received_at, verb, size, error, shown) VALUES (?, ?, ?, ?, ?)",
            (now, verb, len(payload), problem.error_type, shown),
        )
        self._execute("DELETE FROM poison WHERE poison_id <= (SELECT max(poison_id) FROM poison) - ?", (_MOST_POISON,))
        error = Problem(type=problem.error_type, message=str(problem))
        self._ledger.send(reports.response(verb, problem.message_id, "rejected", reply, error=error), now)

    def _take(self, trigger: wire.Trigger, now: int) -> Answer:
        if trigger.issued_by == "bridge":
            return Answer(status="ignored")
        if trigger.event_type == wire.CARD_ENCODING_REQUIRED:
            return self._need(trigger, now)
        if trigger.event_type == wire.DELETED:
            return self._delete(trigger, now)
        if trigger.event_type in wire.ISSUED_EVENTS:
            return self._issued_elsewhere(trigger, now)
        return Answer(status="ignored")

    def _need(self, trigger: wire.Trigger, now: int) -> Answer:
        refusal = self._refusal(trigger, now)
        if refusal:
            return Answer(status="rejected", error=refusal)
        history = self._ledger.jobs("WHERE access_method_id = ? ORDER BY job_id", (trigger.access_method_id,))
        issued = self._issued(trigger, history)
        if self._is_stale(trigger, history, issued):
            return Answer(status="stale", job=history[-1] if history else None, error=_STALE)
        waiting = next((job for job in reversed(history) if job.state in NOT_BEGUN), None)
        if waiting:
            job = self._collapse(trigger, waiting, now)
            if job.state is State.HELD:
                job = self._judge_again(job, history, issued, now)
            return Answer(status="held" if job.state is State.HELD else "accepted", job=job)
        if self._ledger.count_open() >= self._rules.max_open:
            full = Problem(
                type="queue_full",
                message=f"{self._rules.max_open} jobs are open already: send this again when some are done.",
            )
            return Answer(status="refused", error=full)
        held = self._held(trigger.occurred_at is not None, self._profile(trigger), history, issued)
        job = self._insert(trigger, held, is_reissue=bool(issued), now=now)
        return Answer(status="held" if held else "accepted", job=job)

    def _refusal(self, trigger: wire.Trigger, now: int) -> Problem | None:
        if self._ledger.is_deleted(trigger.access_method_id):
            return _DELETED
        if trigger.encoder and trigger.encoder not in self._rules.encoders:
            known = ", ".join(sorted(self._rules.encoders))
            return Problem(
                type="unknown_encoder",
                message=f"No encoder here has the name that was asked for: use one of {known}, or leave it out.",
            )
        return _PAST if self._expiry(trigger, now) <= now else None

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
    def _held(has_time: bool, profile: str | None, history: list[Job], issued: list[int]) -> Problem | None:
        """Why a job for this need may not start yet.

        One that comes without a time while a card is written is judged when that card's outcome is known.
        """
        if issued and not has_time and not any(job.state in BEGUN for job in history):
            return CONFIRMATION_REQUIRED
        return None if profile else PROFILE_MISSING

    def _judge_again(self, job: Job, history: list[Job], issued: list[int], now: int) -> Job:
        """Let a held job go, or give it the reason that is left, now that it knows more."""
        has_time, profile = self._execute(
            "SELECT occurred_at IS NOT NULL, profile FROM job WHERE job_id = ?", (job.job_id,)
        ).fetchone()
        held = self._held(has_time, profile, history, issued)
        if held is None:
            return self._ledger.move(job, State.QUEUED, now)
        if held != job.error:
            self._ledger.restate(job, held)
        return self._ledger.job(job.job_id)

    def _collapse(self, trigger: wire.Trigger, job: Job, now: int) -> Job:
        """Let another message for a need that has not begun in: newer contents replace older ones."""
        occurred, *before = self._execute(
            """SELECT occurred_at, credential, profile, fields, data FROM job LEFT JOIN personal USING (job_id)
               LEFT JOIN contents USING (job_id) WHERE job.job_id = ?""",
            (job.job_id,),
        ).fetchone()
        occurs = to_ms(trigger.occurred_at) if trigger.occurred_at else None
        self._execute(
            """UPDATE job SET profile = ifnull(profile, ?1),
                      occurred_at = max(ifnull(occurred_at, ?2), ifnull(?2, occurred_at)) WHERE job_id = ?3""",
            (self._profile(trigger), occurs, job.job_id),
        )
        if occurs is not None and occurred is not None and occurs < occurred:
            return self._ledger.job(job.job_id)
        changes = self._replace_contents(trigger, job, before) if trigger.credential else False
        if trigger.credential or trigger.expires_at:
            expires_at = self._expiry(trigger, now)
            self._execute("UPDATE job SET expires_at = ? WHERE job_id = ?", (expires_at, job.job_id))
        if trigger.encoder and trigger.encoder != job.encoder:
            self._execute("UPDATE job SET encoder = ? WHERE job_id = ?", (trigger.encoder, job.job_id))
            changes = True
        if changes and job.state is State.WAITING_FOR_CARD:
            return self._ledger.move(job, State.QUEUED, now)
        return self._ledger.job(job.job_id)

    def _replace_contents(self, trigger: wire.Trigger, job: Job, before: list[str | None]) -> bool:
        """Let newer contents take the place of those before; False: they are the same."""
        block = trigger.credential or wire.CredentialBlock()
        if before == [_plain(trigger), self._profile(trigger), _fields(block), _data(block)]:
            return False
        self._execute(
            "UPDATE job SET credential = ?, profile = ifnull(?, profile) WHERE job_id = ?",
            (_plain(trigger), self._profile(trigger), job.job_id),
        )
        self._execute("DELETE FROM personal WHERE job_id = ?", (job.job_id,))
        self._ledger.drop_contents(job.job_id)
        self._put_secrets(job.job_id, block)
        self._ledger.news.queue = True
        return True

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
        ended = [self._ledger.give_up(job, _DELETED, now) for job in jobs]
        return Answer(status="accepted", job=ended[-1] if ended else None)

    def _issued_elsewhere(self, trigger: wire.Trigger, now: int) -> Answer:
        issued_at = to_ms(trigger.occurred_at) if trigger.occurred_at else now
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

    def _insert(self, trigger: wire.Trigger, held: Problem | None, *, is_reissue: bool, now: int) -> Job:
        origin = trigger.model_dump(include={"acs_system_id", "workspace_id", "access_grant_ids"}, exclude_none=True)
        row = self._execute(
            f"""INSERT INTO job (access_method_id, state, open, place, encoder, profile, credential, origin, event_id,
                                occurred_at, is_reissue, created_at, state_at, expires_at, error)
               VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING {COLUMNS}""",  # noqa: S608
            (
                trigger.access_method_id,
                State.HELD if held else State.QUEUED,
                now,
                trigger.encoder,
                self._profile(trigger),
                _plain(trigger),
                json.dumps(origin),
                trigger.event_id,
                to_ms(trigger.occurred_at) if trigger.occurred_at else None,
                is_reissue,
                now,
                now,
                self._expiry(trigger, now),
                to_json(held),
            ),
        ).fetchone()
        job = to_job(row)
        if trigger.credential:
            self._put_secrets(job.job_id, trigger.credential)
        self._ledger.added(job, now)
        return job

    def _put_secrets(self, job_id: int, block: wire.CredentialBlock) -> None:
        if block.fields:
            self._execute("INSERT INTO personal VALUES (?, ?)", (job_id, _fields(block)))
        if block.data:
            self._execute("INSERT INTO contents VALUES (?, ?)", (job_id, _data(block)))

    def _remember(self, trigger: wire.Trigger, digest: bytes, answer: Answer, reply: ReplyAddress, now: int) -> None:
        job_id = answer.job.job_id if answer.job else None
        self._execute(
            """INSERT INTO event (event_id, digest, received_at, job_id, reply_to, correlation)
               VALUES (?, ?, ?, ?, ?, ?)""",
            (trigger.event_id, digest, now, job_id, reply.topic, reply.correlation),
        )

    def _again(self, trigger: wire.Trigger, job_id: int | None, reply: ReplyAddress) -> Answer:
        """Answer a repetition from the store; whoever repeats is also told the end."""
        if reply.topic:
            self._execute(
                "UPDATE event SET reply_to = ?, correlation = ? WHERE event_id = ?",
                (reply.topic, reply.correlation, trigger.event_id),
            )
        jobs = self._ledger.jobs("WHERE job_id = ?", (job_id,))
        return Answer(status="duplicate", job=jobs[0] if jobs else None)

    def _digest(self, trigger: wire.Trigger) -> bytes:
        """What was meant, whichever way it came.

        Keyed, so that nothing can be learnt from it about contents that are gone.
        """
        meaning = trigger.model_dump(
            include={"event_type", "access_method_id", "occurred_at", "encoder", "credential"},
            exclude_none=True,
        )
        text = json.dumps(meaning, sort_keys=True, default=str)
        return hmac.digest(self._ledger.digest_key, text.encode(), hashlib.sha256)

    def _expiry(self, trigger: wire.Trigger, now: int) -> int:
        ends_at = trigger.credential.ends_at if trigger.credential else None
        moments = [to_ms(moment) for moment in (trigger.expires_at, ends_at) if moment]
        return min(moments, default=now + self._rules.open_for_ms)

    def _profile(self, trigger: wire.Trigger) -> str | None:
        return (trigger.credential.profile if trigger.credential else None) or self._rules.default_profile


def _plain(trigger: wire.Trigger) -> str:
    """What is neither personal nor secret."""
    block = trigger.credential or wire.CredentialBlock()
    return block.model_dump_json(include={"joins", "entrances", "starts_at", "ends_at"})


def _fields(block: wire.CredentialBlock) -> str | None:
    return json.dumps(block.fields) if block.fields else None


def _data(block: wire.CredentialBlock) -> str | None:
    coded = {name: base64.b64encode(value).decode() for name, value in block.data.items()}
    return json.dumps(coded) if coded else None
