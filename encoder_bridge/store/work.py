"""A job in an encoder's hands, from the claim to its end."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum

from encoder_bridge.driver import Credential, Intent, Receipt
from encoder_bridge.model import BEGUN, Assignment, Job, Problem, State, to_ms
from encoder_bridge.store.ledger import Ledger
from encoder_bridge.store.needs import CONFIRMATION_REQUIRED, PROFILE_MISSING
from encoder_bridge.store.rows import to_json

_CLAIMABLE = """
    WHERE open AND (state = 'unsure' OR (state = 'queued' AND expires_at > ?2)) AND (encoder IS NULL OR encoder = ?1)
      AND (not_before <= ?2 OR not_before > ?2 + 120000) -- a pause is a minute at most: the clock was put back
      AND NOT EXISTS (SELECT 1 FROM job AS older
                      WHERE older.access_method_id = job.access_method_id AND older.open AND older.job_id < job.job_id)
    ORDER BY place, job_id LIMIT 1
"""
_READY_LATER = """
    SELECT min(not_before) FROM job
    WHERE open AND state IN ('queued', 'unsure') AND not_before > ?2 AND (encoder IS NULL OR encoder = ?1)
"""
_MET_MEANWHILE = """
    SELECT 1 FROM job JOIN method USING (access_method_id)
    WHERE job_id = ? AND known_at >= intended_at AND method.issued_at >= ifnull(occurred_at, 0)
"""
_TO_BE_LOOKED_AT = """
    SELECT 1 FROM job WHERE open AND job_id != ? AND state IN ('writing', 'unsure') AND intent ->> '$.card.uid' = ?
"""
_LAST_ISSUED_ON = "SELECT access_method_id, credential FROM job WHERE card_uid = ? ORDER BY issued_at DESC LIMIT 1"
_ENCODER_GONE = Problem(
    type="encoder_gone",
    message="Its card may be half written and its encoder is not configured any more: add it again or cancel the job.",
)
_INTERRUPTED = Problem(
    type="encoding_interrupted",
    message="The bridge was stopped while it wrote: lay the same card down again, do not hand it out.",
)
_EXPIRED = Problem(type="validity_past", message="The time for this card has passed; none was made.")
_DELETED = Problem(type="credential_deleted", message="The access method was deleted.")
_RETRY_MS = 60_000
"""Pause before a card is looked at again for which this device has no use."""
_STALE = Problem(type="stale", message="The card that was being written already answers this need.")


class Verdict(StrEnum):
    """What the store says to an intent."""

    GO = "go"
    OFF = "off"
    """The job is not to be done any more, or not in this attempt."""
    CARD_IN_USE = "card_in_use"
    """The card is to be looked at for another job, or carries another access method's credential, still valid."""


class Work:
    """Operations of the dispatcher.

    Those that end an attempt take the job as it was claimed; where that attempt is not the running one any more they
    leave a line in the attempts log and change nothing.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._execute = ledger.execute

    def claim(self, encoder: str, now: int) -> tuple[Assignment | None, int | None]:
        """Give the next job to an encoder.

        A successor waits until its predecessor has ended.

        Returns:
            the assignment, or None and the moment at which a job becomes ready by itself.
        """
        found = self._ledger.jobs(_CLAIMABLE, (encoder, now))
        if not found:
            (ready,) = self._execute(_READY_LATER, (encoder, now)).fetchone()
            return None, ready
        job = found[0]
        self._execute("UPDATE job SET attempt = attempt + 1 WHERE job_id = ?", (job.job_id,))
        if job.state is State.QUEUED:
            self._ledger.move(job, State.WAITING_FOR_CARD, now, error=job.error)
        job = self._ledger.job(job.job_id)
        self._ledger.log(job, "resumed" if job.intent else "prompted", now, encoder=encoder)
        return Assignment(job=job, credential=self._credential(job)), None

    def intend(self, job: Job, encoder: str, intent: Intent, now: int) -> Verdict:
        """Put on disk that a card is about to be changed, if it may be."""
        current = self._ledger.current(job, BEGUN | {State.WAITING_FOR_CARD})
        if current is None or (current.state is not State.WRITING and self._ledger.is_deleted(job.access_method_id)):
            return Verdict.OFF
        if current.state is State.WAITING_FOR_CARD and current.expires_at <= now:
            return Verdict.OFF
        uid = intent.card.uid if intent.card else None
        if current.state is not State.WRITING and uid is not None and self._is_in_use(uid, job, now):
            return Verdict.CARD_IN_USE
        self._execute(
            "UPDATE job SET intent = ?, encoder = ?, intended_at = ifnull(intended_at, ?) WHERE job_id = ?",
            (to_json(intent), encoder, now, job.job_id),
        )
        if current.state is not State.WRITING:
            self._ledger.move(current, State.WRITING, now)
        self._ledger.log(current, "intended", now, encoder=encoder, card=intent.card, detail=intent.note)
        return Verdict.GO

    def issue(self, job: Job, receipt: Receipt, now: int) -> bool:
        """End a job with a card that carries it.

        Returns:
            False: the job had ended otherwise.
        """
        current = self._ledger.current(job, BEGUN | {State.WAITING_FOR_CARD})
        self._ledger.log(job, "issued" if current else "late_receipt", now, card=receipt.card, detail=receipt.note)
        if current is None:
            return False
        if current.state is State.WAITING_FOR_CARD:
            current = self._ledger.move(current, State.WRITING, now)
        self._execute(
            "UPDATE job SET receipt = ?, issued_at = ?, card_uid = ? WHERE job_id = ?",
            (to_json(receipt), now, receipt.card.uid if receipt.card else None, job.job_id),
        )
        self._ledger.move(current, State.ISSUED, now)
        self._judge_successors(current, now)
        return True

    def fail(self, job: Job, problem: Problem, now: int) -> None:
        """End a job without a card, where none was changed in this attempt or an earlier one."""
        if job.intent is not None:
            self.doubt(job, problem, now, retry_at=now + _RETRY_MS)
            return
        current = self._ledger.current(job, BEGUN | {State.WAITING_FOR_CARD})
        self._ledger.log(job, "failed", now, detail=asdict(problem))
        if current:
            self._ledger.move(current, State.FAILED, now, error=problem)

    def doubt(self, job: Job, problem: Problem, now: int, *, retry_at: int) -> None:
        """Nobody knows what is on the card: look again, after the others and not before `retry_at`."""
        current = self._ledger.current(job, BEGUN)
        self._ledger.log(job, "unsure", now, detail=asdict(problem))
        if current is None:
            return
        self._execute(
            "UPDATE job SET not_before = ?, faults = faults + 1, place = ? WHERE job_id = ?",
            (retry_at, now, job.job_id),
        )
        if current.state is State.UNSURE:
            self._ledger.restate(current, problem)
        else:
            self._unsure(current, problem, now)

    def requeue(
        self, job: Job, problem: Problem, now: int, *, retry_at: int = 0, yields: bool = False, blames: bool = False
    ) -> None:
        """Put a job back into the queue, no card changed; if an earlier attempt may have changed one, it stays unsure.

        Args:
            job: as it was claimed.
            problem: why.
            now: the present.
            retry_at: not before.
            yields: behind the others, because its person did not come.
            blames: the driver broke on it.
        """
        if job.intent is not None:
            self.doubt(job, problem, now, retry_at=retry_at)
            return
        current = self._ledger.current(job, {State.WAITING_FOR_CARD, State.WRITING})
        self._ledger.log(job, problem.type, now, detail=asdict(problem))
        if current is None:
            return
        met = self._execute(_MET_MEANWHILE, (job.job_id,)).fetchone()
        self._execute(
            """UPDATE job SET not_before = ?, faults = faults + ?, place = iif(?, ?, place), intent = NULL,
                      intended_at = NULL, encoder = ? WHERE job_id = ?""",
            (retry_at, blames, yields, now, job.encoder, job.job_id),
        )
        current = self._ledger.move(current, State.QUEUED, now, error=problem)
        if self._ledger.is_deleted(job.access_method_id):
            self._ledger.give_up(current, _DELETED, now)
        elif met:
            self._ledger.move(current, State.ISSUED_ELSEWHERE, now)

    def faults(self, job: Job) -> int:
        """How many attempts ended in doubt or with a driver that broke."""
        (faults,) = self._execute("SELECT faults FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        return int(faults)

    def abandon(self, job: Job, now: int) -> None:
        """Let go of an attempt that ended in no way of its own: what is not settled is asked for again or in doubt."""
        current = self._ledger.current(job, {State.WAITING_FOR_CARD, State.WRITING})
        if current and current.state is State.WRITING:
            self._unsure(current, _INTERRUPTED, now)
        elif current:
            self._ledger.move(current, State.QUEUED, now, error=current.error)

    def recover(self, now: int) -> int:
        """At start: what was being asked for is queued, what was being written is unsure.

        Jobs that were held for want of a profile go on if the configuration names one by now; those that wanted an
        encoder that is not configured any more may go to any.

        Returns:
            how many jobs became unsure.
        """
        for job in self._ledger.jobs("WHERE open AND state = 'waiting_for_card'"):
            self._ledger.move(job, State.QUEUED, now, error=job.error)
        interrupted = self._ledger.jobs("WHERE open AND state = 'writing'")
        for job in interrupted:
            self._ledger.log(job, "interrupted", now)
            self._unsure(job, _INTERRUPTED, now)
        self._unbind()
        profile = self._ledger.rules.default_profile
        if profile:
            for job in self._ledger.jobs("WHERE open AND state = 'held'"):
                self._execute("UPDATE job SET profile = ifnull(profile, ?) WHERE job_id = ?", (profile, job.job_id))
                if job.error and job.error.type == PROFILE_MISSING.type:
                    self._ledger.move(job, State.QUEUED, now)
        return len(interrupted)

    def expire(self, now: int) -> int | None:
        """End what has waited past its time.

        Returns:
            the next moment at which there is something to expire.
        """
        for job in self._ledger.jobs("WHERE open AND expires_at <= ? AND state NOT IN ('writing', 'unsure')", (now,)):
            self._ledger.move(job, State.EXPIRED, now, error=_EXPIRED)
        (soonest,) = self._execute("SELECT min(expires_at) FROM job WHERE open AND expires_at > ?", (now,)).fetchone()
        return None if soonest is None else int(soonest)

    def _unbind(self) -> None:
        configured = self._ledger.rules.encoders
        for job in self._ledger.jobs("WHERE open AND encoder IS NOT NULL"):
            if job.encoder in configured:
                continue
            self._ledger.log(job, "encoder_gone", job.state_at)
            if job.state is State.UNSURE:
                self._ledger.restate(job, _ENCODER_GONE)
            else:
                self._execute("UPDATE job SET encoder = NULL WHERE job_id = ?", (job.job_id,))

    def _is_in_use(self, uid: str, job: Job, now: int) -> bool:
        """Whether a card must not be overwritten for this job."""
        if self._execute(_TO_BE_LOOKED_AT, (job.job_id, uid)).fetchone():
            return True
        last = self._execute(_LAST_ISSUED_ON, (uid,)).fetchone()
        if last is None or last[0] == job.access_method_id or self._ledger.is_deleted(last[0]):
            return False
        ends_at = json.loads(last[1])["ends_at"]
        return ends_at is not None and to_ms(datetime.fromisoformat(ends_at)) > now

    def _unsure(self, job: Job, problem: Problem, now: int) -> None:
        job = self._ledger.move(job, State.UNSURE, now, error=problem)
        if self._ledger.is_deleted(job.access_method_id):
            self._ledger.give_up(job, _DELETED, now)

    def _judge_successors(self, issued: Job, now: int) -> None:
        """A need that came while its card was written stands only if it arose after the contents were fixed."""
        (fixed_at,) = self._execute(
            "SELECT ifnull(intended_at, ?) FROM job WHERE job_id = ?", (now, issued.job_id)
        ).fetchone()
        successors = self._execute(
            "SELECT job_id, occurred_at FROM job WHERE access_method_id = ? AND open AND job_id > ?",
            (issued.access_method_id, issued.job_id),
        ).fetchall()
        for job_id, occurred in successors:
            self._execute("UPDATE job SET is_reissue = 1 WHERE job_id = ?", (job_id,))
            job = self._ledger.job(job_id)
            if occurred is not None and occurred <= fixed_at:
                self._ledger.move(job, State.SUPERSEDED, now, error=_STALE)
            elif occurred is None and job.state is State.HELD:
                self._ledger.restate(job, CONFIRMATION_REQUIRED)
            elif occurred is None:
                self._ledger.move(job, State.HELD, now, error=CONFIRMATION_REQUIRED)

    def _credential(self, job: Job) -> Credential:
        profile, text, fields, data = self._execute(
            """SELECT profile, credential, fields, data FROM job LEFT JOIN personal USING (job_id)
               LEFT JOIN contents USING (job_id) WHERE job.job_id = ?""",
            (job.job_id,),
        ).fetchone()
        plain = json.loads(text)
        return Credential(
            access_method_id=job.access_method_id,
            profile=profile,
            sequence=job.job_id,
            joins=plain["joins"],
            entrances=tuple(plain["entrances"]),
            starts_at=self._local(plain["starts_at"]),
            ends_at=self._local(plain["ends_at"]),
            fields=json.loads(fields) if fields else {},
            data={name: base64.b64decode(value) for name, value in json.loads(data).items()} if data else {},
        )

    def _local(self, moment: str | None) -> datetime | None:
        return datetime.fromisoformat(moment).astimezone(self._ledger.rules.zone) if moment else None
