"""At start: what the process before left behind, in a configuration that may be another one by now."""

from __future__ import annotations

from encoder_bridge import texts
from encoder_bridge.model import Job, State
from encoder_bridge.store.cards import Cards
from encoder_bridge.store.ledger import Ledger
from encoder_bridge.store.opening import Opening


class Recovery:
    """Operations of the start."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._opening = Opening(ledger)
        self._cards = Cards(ledger)
        self._execute = ledger.execute

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
            self._ledger.doubt(job, texts.problem("encoding_interrupted"), now)
        self._cards.recover(now)
        self._ledger.sealed.seal_all()
        self._bind_again(now)
        for job in self._ledger.jobs("WHERE open AND state = 'held'"):
            self._let_go(job, now)
        return len(interrupted)

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
            elif has_route and job.state is State.HELD and job.reason == "no_route":
                self._ledger.move(job, State.QUEUED, now)

    def _let_go(self, job: Job, now: int) -> None:
        """Let a held job go on, or say what else it lacks, if it lacks no more what it was held for."""
        profile = self._ledger.rules.default_profile
        self._execute("UPDATE job SET profile = ifnull(profile, ?) WHERE job_id = ?", (profile, job.job_id))
        has_profile = job.reason == "profile_missing" and profile is not None
        has_contents = job.reason == "contents_missing" and self._ledger.sealed.opens(job.job_id)
        if has_profile or has_contents:
            self._opening.let_go(job, now)
