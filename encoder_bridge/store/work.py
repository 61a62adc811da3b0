"""A job in an encoder's hands, from the claim to its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum

from encoder_bridge import texts
from encoder_bridge.driver import Credential, Intent, Receipt
from encoder_bridge.model import BEGUN, Assignment, Job, Problem, State, to_ms
from encoder_bridge.sealing import Unreadable
from encoder_bridge.store.cards import Cards
from encoder_bridge.store.ledger import Ledger
from encoder_bridge.store.opening import Opening
from encoder_bridge.store.pace import Pace
from encoder_bridge.store.rows import to_json

_MAY_SERVE = """
    (encoder = ?1 OR (encoder IS NULL AND (route IS NULL OR ?1 IN (SELECT value FROM json_each(route)))))
"""
_READY = f"""
    WHERE open AND (state = 'unsure' OR (state = 'queued' AND expires_at > ?2)) AND {_MAY_SERVE}
      AND (not_before <= ?2 OR not_before > ?2 + 120000) -- a pause is a minute at most: the clock was put back
      AND NOT EXISTS (SELECT 1 FROM job AS older
                      WHERE older.access_method_id = job.access_method_id AND older.open AND older.job_id < job.job_id)
"""  # noqa: S608 - a constant
_TOO_FAST = """
    (state = 'queued' AND (?3 OR requester IN (SELECT value FROM json_each(?4)))) -- to look at a card again is no card
"""
_CLAIMABLE = f"{_READY} AND NOT ifnull({_TOO_FAST}, 0) ORDER BY place, job_id LIMIT 1"
_TO_BE_TOLD = f"""
    {_READY} AND {_TOO_FAST} AND ifnull(error ->> '$.type', '') != 'rate_limited' ORDER BY place, job_id LIMIT 20
"""
_READY_LATER = f"""
    SELECT min(not_before) FROM job
    WHERE open AND state IN ('queued', 'unsure') AND not_before > ?2 AND {_MAY_SERVE}
"""  # noqa: S608 - a constant
_MET_MEANWHILE = """
    SELECT 1 FROM job JOIN method USING (access_method_id)
    WHERE job_id = ? AND known_at >= intended_at AND method.issued_at >= ifnull(occurred_at, 0)
"""
_RETRY_MS = 60_000
"""Pause before a card is looked at again for which this device has no use."""
_PASSING = frozenset({"encoder_offline", "handed_over", "rate_limited", "interrupted"})
"""Reasons to wait that are over once an encoder takes the job."""


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
        self._opening = Opening(ledger)
        self._cards = Cards(ledger)
        self._pace = Pace(ledger)
        self._execute = ledger.execute

    def claim(self, encoder: str, now: int) -> tuple[Assignment | None, int | None]:
        """Give the next job to an encoder.

        A successor waits until its predecessor has ended.

        Returns:
            the assignment, or None and the moment at which a job becomes ready by itself.
        """
        while True:
            job, ready = self._next(encoder, now)
            if job is None:
                return None, ready
            self._execute("UPDATE job SET attempt = attempt + 1 WHERE job_id = ?", (job.job_id,))
            self._ledger.sequences.mint(job.job_id, now)
            try:
                credential = self._credential(self._ledger.job(job.job_id))
                break
            except Unreadable:
                self._set_aside(job, now)
        if job.state is State.QUEUED:
            self._ledger.move(job, State.WAITING_FOR_CARD, now, error=_lasting(job.error))
        job = self._ledger.job(job.job_id)
        self._ledger.log(job, "resumed" if job.intent else "prompted", now, encoder=encoder)
        return Assignment(job=job, credential=credential), None

    def intend(self, job: Job, encoder: str, intent: Intent, now: int) -> Verdict:
        """Put on disk that a card is about to be changed, if it may be."""
        current = self._ledger.current(job, BEGUN | {State.WAITING_FOR_CARD})
        if current is None or (current.state is not State.WRITING and self._ledger.is_deleted(job.access_method_id)):
            return Verdict.OFF
        if current.state is not State.WRITING and current.expires_at <= now:
            if current.state is State.UNSURE:  # what was begun in time is not finished after it
                self._ledger.give_up(current, texts.problem("validity_past"), now)
            return Verdict.OFF
        uid = intent.card.uid if intent.card else None
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
                receipt.card.uid if receipt.card else None,
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
            self._unsure(current, job.error or problem, now)

    def faults(self, job: Job) -> int:
        """How many attempts ended in doubt or with a driver that broke."""
        (faults,) = self._execute("SELECT faults FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        return int(faults)

    def abandon(self, job: Job, now: int) -> None:
        """Let go of an attempt that ended in no way of its own: what is not settled is asked for again or in doubt."""
        current = self._ledger.current(job, {State.WAITING_FOR_CARD, State.WRITING})
        if current and current.state is State.WRITING:
            self._unsure(current, texts.problem("encoding_interrupted"), now)
        elif current:
            self._ledger.move(current, State.QUEUED, now, error=current.error)

    def recover(self, now: int) -> int:
        """At start: what was being asked for is queued, what was being written is unsure.

        Jobs that were held go on if the configuration by now names the profile or the route they want, or if the key
        that opens their contents is back; those that wanted an encoder that is not configured any more may go to any.

        Returns:
            how many jobs became unsure.
        """
        for job in self._ledger.jobs("WHERE open AND state = 'waiting_for_card'"):
            self._ledger.move(job, State.QUEUED, now, error=job.error)
        interrupted = self._ledger.jobs("WHERE open AND state = 'writing'")
        for job in interrupted:
            self._ledger.log(job, "interrupted", now)
            self._unsure(job, texts.problem("encoding_interrupted"), now)
        self._cards.recover(now)
        self._ledger.sealed.seal_all()
        self._bind_again(now)
        for job in self._ledger.jobs("WHERE open AND state = 'held'"):
            self._let_go(job, now)
        return len(interrupted)

    def expire(self, now: int) -> int | None:
        """End what has waited past its time.

        Returns:
            the next moment at which there is something to expire.
        """
        for job in self._ledger.jobs("WHERE open AND expires_at <= ? AND state NOT IN ('writing', 'unsure')", (now,)):
            self._ledger.move(job, State.EXPIRED, now, error=texts.problem("validity_past"))
        (soonest,) = self._execute("SELECT min(expires_at) FROM job WHERE open AND expires_at > ?", (now,)).fetchone()
        return None if soonest is None else int(soonest)

    def reconsider(self, offline: AbstractSet[str], dead: AbstractSet[str], now: int) -> None:
        """Say of queued jobs that they wait for encoders that are offline, and hand over those that waited long.

        Args:
            offline: the encoders that cannot be reached.
            dead: those that could not for so long that others take over.
            now: the present.
        """
        for job in self._ledger.jobs("WHERE open AND state = 'queued'"):
            mine = {job.encoder} if job.encoder else set(job.route or self._ledger.rules.encoders)
            says_so = job.error is not None and job.error.type == "encoder_offline"
            if job.encoder is None and mine <= dead and self._hand_over(job, now):
                continue
            if mine <= offline and not says_so:
                self._ledger.restate(job, texts.problem("encoder_offline", encoders=", ".join(sorted(mine))))
            elif says_so and not mine <= offline:
                self._ledger.restate(job, None)

    def _hand_over(self, job: Job, now: int) -> bool:
        (backup,) = self._execute("SELECT backup FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        if backup is None:
            return False
        route = [*(job.route or ()), *json.loads(backup)]
        self._execute("UPDATE job SET route = ?, backup = NULL WHERE job_id = ?", (json.dumps(route), job.job_id))
        self._ledger.log(job, "handed_over", now, detail={"to": backup})
        self._ledger.restate(job, texts.problem("handed_over"))
        return True

    def _next(self, encoder: str, now: int) -> tuple[Job | None, int | None]:
        """The job whose turn it is at this encoder, or when there may be one."""
        paced_until = self._pace.of_encoder(encoder, now)
        hurried = self._pace.requesters(now)
        parameters = (encoder, now, paced_until is not None, json.dumps([*hurried]))
        if paced_until or hurried:
            for job in self._ledger.jobs(_TO_BE_TOLD, parameters):
                self._ledger.restate(job, texts.problem("rate_limited", limit=self._ledger.rules.cards_per_minute))
        found = self._ledger.jobs(_CLAIMABLE, parameters)
        if found:
            return found[0], None
        (ready,) = self._execute(_READY_LATER, (encoder, now)).fetchone()
        return None, min((at for at in (ready, paced_until, *hurried.values()) if at), default=None)

    def _set_aside(self, job: Job, now: int) -> None:
        """What was sealed with another key cannot be put onto a card."""
        problem = texts.problem("contents_missing")
        if job.state is State.UNSURE:
            self._execute("UPDATE job SET not_before = ? WHERE job_id = ?", (now + _RETRY_MS, job.job_id))
            self._ledger.restate(job, problem)
        else:
            self._ledger.move(job, State.HELD, now, error=problem)

    def _bind_again(self, now: int) -> None:
        """Look at who may serve the open jobs in a configuration that may be another one by now."""
        configured = self._ledger.rules.encoders
        for job in self._ledger.jobs("WHERE open"):
            if job.encoder is not None and job.encoder not in configured:
                self._ledger.log(job, "encoder_gone", job.state_at)
                if job.state is State.UNSURE:
                    self._ledger.restate(job, texts.problem("encoder_gone"))
                    continue
                self._execute("UPDATE job SET encoder = NULL WHERE job_id = ?", (job.job_id,))
            elif job.encoder is not None:
                continue
            has_route = self._opening.route_again(job)
            if not has_route and job.state is State.QUEUED:
                self._ledger.move(job, State.HELD, now, error=texts.problem("no_route"))
            elif has_route and job.state is State.HELD and job.error and job.error.type == "no_route":
                self._ledger.move(job, State.QUEUED, now)

    def _let_go(self, job: Job, now: int) -> None:
        """Let a held job go on, or say what else it lacks, if it lacks no more what it was held for."""
        profile = self._ledger.rules.default_profile
        self._execute("UPDATE job SET profile = ifnull(profile, ?) WHERE job_id = ?", (profile, job.job_id))
        reason = job.error.type if job.error else None
        has_profile = reason == "profile_missing" and profile is not None
        has_contents = reason == "contents_missing" and self._ledger.sealed.opens(job.job_id)
        if not has_profile and not has_contents:
            return
        if job.encoder is not None or self._opening.route_again(job):
            self._ledger.move(job, State.QUEUED, now)
        else:
            self._ledger.restate(job, texts.problem("no_route"))

    def _valid_from(self, job: Job, now: int) -> int:
        (text,) = self._execute("SELECT credential FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        starts_at = json.loads(text)["starts_at"]
        return max(now, to_ms(datetime.fromisoformat(starts_at))) if starts_at else now

    def _unsure(self, job: Job, problem: Problem, now: int) -> None:
        job = self._ledger.move(job, State.UNSURE, now, error=problem)
        if self._ledger.is_deleted(job.access_method_id):
            self._ledger.give_up(job, texts.problem("credential_deleted"), now)

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

    def _credential(self, job: Job) -> Credential:
        profile, text = self._execute("SELECT profile, credential FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        plain = json.loads(text)
        return Credential(
            access_method_id=job.access_method_id,
            profile=profile,
            sequence=job.sequence or 0,
            joins=plain["joins"],
            entrances=tuple(plain["entrances"]),
            starts_at=self._local(plain["starts_at"]),
            ends_at=self._local(plain["ends_at"]),
            fields=self._ledger.sealed.fields(job.job_id),
            data=self._ledger.sealed.data(job.job_id),
        )

    def _local(self, moment: str | None) -> datetime | None:
        return datetime.fromisoformat(moment).astimezone(self._ledger.rules.zone) if moment else None


def _lasting(problem: Problem | None) -> Problem | None:
    return None if problem and problem.type in _PASSING else problem
