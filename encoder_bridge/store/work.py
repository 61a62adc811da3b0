"""A job in an encoder's hands, from the claim to its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum

from encoder_bridge import texts
from encoder_bridge.driver import Intent, Receipt
from encoder_bridge.model import BEGUN, Job, Problem, State, to_ms, uid_of
from encoder_bridge.store.cards import Cards
from encoder_bridge.store.ledger import Ledger
from encoder_bridge.store.pace import Pace
from encoder_bridge.store.rows import to_json

_MET_MEANWHILE = """
    SELECT 1 FROM job JOIN method USING (access_method_id)
    WHERE job_id = ? AND known_at >= intended_at AND method.issued_at >= ifnull(occurred_at, 0)
"""
_RETRY_MS = 60_000
"""Pause before a card is looked at again for which this device has no use."""


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
        self._cards = Cards(ledger)
        self._pace = Pace(ledger)
        self._execute = ledger.execute

    def intend(self, job: Job, encoder: str, intent: Intent, now: int) -> Verdict:
        """Put on disk that a card is about to be changed, if it may be."""
        current = self._ledger.current(job, BEGUN | {State.WAITING_FOR_CARD})
        if current is None or (current.state is not State.WRITING and self._ledger.is_deleted(job.access_method_id)):
            return Verdict.OFF
        if current.state is not State.WRITING and current.expires_at <= now:
            if current.state is State.UNSURE:  # what was begun in time is not finished after it
                self._ledger.give_up(current, texts.problem("validity_past"), now)
            return Verdict.OFF
        uid = uid_of(intent)
        if current.state is not State.WRITING and uid is not None and self._cards.is_in_use(uid, job, now):
            return Verdict.CARD_IN_USE
        if current.state is State.WAITING_FOR_CARD and self._ledger.sequences.is_overtaken(job.job_id):
            self._ledger.sequences.take_back(job.job_id, is_other=True)
            self._ledger.move(current, State.QUEUED, now, error=current.error)
            return Verdict.OFF
        if current.state is State.WAITING_FOR_CARD:
            self._ledger.sequences.spend(job.job_id)
            self._pace.note(encoder, job.requester, now)
        self._execute(
            "UPDATE job SET intent = ?, encoder = ?, intended_at = ifnull(intended_at, ?) WHERE job_id = ?",
            (to_json(intent), encoder, now, job.job_id),
        )
        if current.state is not State.WRITING:
            self._ledger.move(current, State.WRITING, now)
        self._ledger.log(current, "intended", now, encoder=encoder, card=intent.card, detail=intent.note)
        return Verdict.GO

    def issue(self, job: Job, receipt: Receipt, now: int, *, warnings: Sequence[Problem] = ()) -> bool:
        """End a job with a card that carries it, and with what people should know of that card.

        Returns:
            False: the job had ended otherwise.
        """
        current = self._ledger.current(job, BEGUN | {State.WAITING_FOR_CARD})
        self._ledger.log(job, "issued" if current else "late_receipt", now, card=receipt.card, detail=receipt.note)
        if current is None:
            self._cards.came_late(self._ledger.job(job.job_id), receipt, now)
            return False
        if current.state is State.WAITING_FOR_CARD:
            self._ledger.sequences.spend(job.job_id)
            current = self._ledger.move(current, State.WRITING, now)
        self._execute(
            "UPDATE job SET receipt = ?, issued_at = ?, card_uid = ?, warnings = ? WHERE job_id = ?",
            (
                to_json(receipt),
                now,
                uid_of(receipt),
                json.dumps([asdict(warning) for warning in (*current.warnings, *warnings)]),
                job.job_id,
            ),
        )
        self._ledger.sequences.issued(job.job_id, self._valid_from(job, now), now)
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
            self._execute("UPDATE job SET intent = NULL WHERE job_id = ?", (job.job_id,))  # that card is as it was
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
            self._ledger.doubt(current, problem, now)

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
            self._look_again(job, problem, now, retry_at=retry_at)
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
            self._ledger.give_up(current, texts.problem("credential_deleted"), now)
        elif met:
            self._ledger.move(current, State.ISSUED_ELSEWHERE, now)

    def _look_again(self, job: Job, problem: Problem, now: int, *, retry_at: int) -> None:
        """A look at a card in doubt came to nothing: why it is in doubt is what people have to know."""
        current = self._ledger.current(job, BEGUN)
        self._ledger.log(job, problem.type, now, detail=asdict(problem))
        if current is None:
            return
        self._execute("UPDATE job SET not_before = ?, place = ? WHERE job_id = ?", (retry_at, now, job.job_id))
        if current.state is State.UNSURE:
            self._ledger.restate(current, current.error)
        else:
            self._ledger.doubt(current, job.error or problem, now)

    def faults(self, job: Job) -> int:
        """How many attempts ended in doubt or with a driver that broke."""
        (faults,) = self._execute("SELECT faults FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        return int(faults)

    def abandon(self, job: Job, now: int) -> None:
        """Let go of an attempt that ended in no way of its own: what is not settled is asked for again or in doubt."""
        current = self._ledger.current(job, {State.WAITING_FOR_CARD, State.WRITING})
        if current and current.state is State.WRITING:
            self._ledger.doubt(current, texts.problem("encoding_interrupted"), now)
        elif current:
            self._ledger.move(current, State.QUEUED, now, error=current.error)

    def _valid_from(self, job: Job, now: int) -> int:
        (text,) = self._execute("SELECT credential FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        starts_at = json.loads(text)["starts_at"]
        return max(now, to_ms(datetime.fromisoformat(starts_at))) if starts_at else now

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
                self._ledger.move(job, State.SUPERSEDED, now, error=texts.problem("stale"))
            elif occurred is None and job.state is State.HELD:
                self._ledger.restate(job, texts.problem("confirmation_required"))
            elif occurred is None:
                self._ledger.move(job, State.HELD, now, error=texts.problem("confirmation_required"))
