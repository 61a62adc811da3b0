"""Jobs that wait: until their time is over, or for encoders that are not there."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet

from encoder_bridge import texts
from encoder_bridge.model import Job, State
from encoder_bridge.store.ledger import Ledger


class Waiting:
    """Operations of the dispatcher."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._execute = ledger.execute

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
            says_so = job.reason == "encoder_offline"
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
        others = json.loads(backup)
        route = [*(job.route or ()), *others]
        self._execute("UPDATE job SET route = ?, backup = NULL WHERE job_id = ?", (json.dumps(route), job.job_id))
        self._ledger.log(job, "handed_over", now, detail={"to": backup})
        self._ledger.restate(job, texts.problem("handed_over", encoder=" or ".join(others)))
        return True
