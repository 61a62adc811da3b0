"""Whose turn it is: the next job for an encoder, and what its card has to carry."""

from __future__ import annotations

import json
from datetime import datetime

from encoder_bridge import texts
from encoder_bridge.driver import Credential
from encoder_bridge.model import Assignment, Job, Problem, State
from encoder_bridge.sealing import Unreadable
from encoder_bridge.store.ledger import Ledger
from encoder_bridge.store.pace import Pace

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
_LOOK_AGAIN_MS = 60_000
"""Pause before a card in doubt is asked for again whose contents cannot be read."""
_PASSING = frozenset({"encoder_offline", "handed_over", "rate_limited", "interrupted"})
"""Reasons to wait that are over once an encoder takes the job."""


class Turns:
    """Operations of an encoder that is free."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
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
            self._execute("UPDATE job SET not_before = ? WHERE job_id = ?", (now + _LOOK_AGAIN_MS, job.job_id))
            self._ledger.restate(job, problem)
        else:
            self._ledger.move(job, State.HELD, now, error=problem)

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
