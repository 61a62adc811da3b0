"""Words to a job from outside: cancel, confirm, and where does it stand."""

from __future__ import annotations

from encoder_bridge import reports, wire
from encoder_bridge.model import Job, Problem, State
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.store.ledger import Ledger
from encoder_bridge.store.needs import CONFIRMATION_REQUIRED, PROFILE_MISSING

_CANCELLED = Problem(type="cancelled", message="The job was cancelled by request.")
_ENDED = Problem(type="job_ended", message="The job has ended already, as its state says: nothing is changed.")
_UNKNOWN = Problem(type="unknown_job", message="No job is known for this access method: check its id.")
_BEING_WRITTEN = Problem(
    type="card_being_written",
    message="Its card is being written at this moment: wait for the outcome, then take the card back.",
)


class Requests:
    """Operations of the people; each answers through the outbox."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def cancel(self, request: wire.Request, reply: ReplyAddress, now: int) -> None:
        """Take a job off: one that has not begun is cancelled, an unsure one is given up."""
        if self._is_repeated("cancel", request, now):
            self._answer("cancel", request, reply, now, job=self._newest(request))
            return
        job = self._ledger.cancellable(request.access_method_id)
        if job is None:
            self._refuse("cancel", request, reply, now)
        elif job.state is State.WRITING:
            self._answer("cancel", request, reply, now, job=job, error=_BEING_WRITTEN)
        else:
            self._answer("cancel", request, reply, now, job=self._ledger.give_up(job, _CANCELLED, now))

    def confirm(self, request: wire.Request, reply: ReplyAddress, now: int) -> None:
        """Let a job go that was held for a confirmation; on any other job it changes nothing."""
        if self._is_repeated("confirm", request, now):
            self._answer("confirm", request, reply, now, job=self._newest(request))
            return
        job = self._ledger.newest_open(request.access_method_id)
        if job is None:
            self._refuse("confirm", request, reply, now)
        elif job.state is not State.HELD:
            self._answer("confirm", request, reply, now, job=job)
        elif not self._has_profile(job):
            self._answer("confirm", request, reply, now, job=job, error=PROFILE_MISSING)
        elif job.error and job.error.type == CONFIRMATION_REQUIRED.type:
            self._answer("confirm", request, reply, now, job=self._ledger.move(job, State.QUEUED, now))
        else:
            self._answer("confirm", request, reply, now, job=job, error=job.error)

    def tell(self, request: wire.Request, reply: ReplyAddress, now: int) -> None:
        """Answer where the newest job of an access method stands."""
        job = self._newest(request)
        if job:
            self._answer("job", request, reply, now, job=job)
        else:
            self._refuse("job", request, reply, now)

    def _is_repeated(self, verb: str, request: wire.Request, now: int) -> bool:
        """Note a request that changes something; the same id asks for the same once, however often it is delivered."""
        noted = self._ledger.execute(
            """INSERT INTO event (event_id, digest, received_at) VALUES (?, x'', ?)
               ON CONFLICT DO NOTHING RETURNING 1""",
            (f"request/{verb}/{request.id}", now),
        ).fetchone()
        return noted is None

    def _newest(self, request: wire.Request) -> Job | None:
        jobs = self._ledger.jobs(
            "WHERE access_method_id = ? ORDER BY job_id DESC LIMIT 1",
            (request.access_method_id,),
        )
        return jobs[0] if jobs else None

    def _refuse(self, verb: str, request: wire.Request, reply: ReplyAddress, now: int) -> None:
        job = self._newest(request)
        self._answer(verb, request, reply, now, job=job, error=_ENDED if job else _UNKNOWN)

    def _has_profile(self, job: Job) -> bool:
        (profile,) = self._ledger.execute("SELECT profile FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        return profile is not None

    def _answer(
        self,
        verb: str,
        request: wire.Request,
        reply: ReplyAddress,
        now: int,
        *,
        job: Job | None = None,
        error: Problem | None = None,
    ) -> None:
        response = reports.response(
            verb,
            request.id,
            "rejected" if error else "job",
            reply,
            job=job,
            access_method_id=request.access_method_id,
            error=error,
        )
        self._ledger.send(response, now)
