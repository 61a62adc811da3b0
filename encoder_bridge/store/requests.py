"""Words to a job from outside: cancel, confirm, retry, claim, resolve, and where it stands."""

from __future__ import annotations

from collections.abc import Callable

from encoder_bridge import reports, texts, wire
from encoder_bridge.model import NOT_BEGUN, Job, Problem, State
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.store.ledger import Ledger
from encoder_bridge.store.opening import Opening

Reply = ReplyAddress | None
"""Where the answer goes; None: to the caller alone."""

_ONCE_MORE = frozenset({State.FAILED, State.CANCELLED, State.EXPIRED})
"""Ends without a card, after which a person may start over."""


class Requests:
    """Operations of the people.  Each answers; each but `tell` does its work once for an id, however often it comes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._opening = Opening(ledger)
        self._execute = ledger.execute

    def cancel(self, request: wire.Request, reply: Reply, now: int, requester: str | None = None) -> wire.Response:
        """Take a job off: one that has not begun is cancelled, an unsure one is given up."""

        def cancel() -> Job | Problem:
            job = self._ledger.cancellable(request.access_method_id)
            if job is None:
                return self._nothing_open(request)
            if job.state is State.WRITING:
                return texts.problem("card_being_written")
            self._note(job, "cancelled", request, requester, now)
            return self._ledger.give_up(job, texts.problem("cancelled"), now)

        return self._once("cancel", request, reply, now, cancel)

    def confirm(self, request: wire.Request, reply: Reply, now: int, requester: str | None = None) -> wire.Response:
        """Let a job go that was held for a confirmation; on any other job it changes nothing."""

        def confirm() -> Job | Problem:
            job = self._ledger.newest_open(request.access_method_id)
            if job is None:
                return self._nothing_open(request)
            if job.state is not State.HELD:
                return job
            if not self._has_profile(job):
                return texts.problem("profile_missing")
            if job.error is None or job.error.type != "confirmation_required":
                return job.error or job
            self._note(job, "confirmed", request, requester, now)
            if job.encoder is None and not self._opening.route_again(job):
                self._ledger.restate(job, texts.problem("no_route"))
                return self._ledger.job(job.job_id)
            return self._ledger.move(job, State.QUEUED, now)

        return self._once("confirm", request, reply, now, confirm)

    def retry(self, request: wire.Request, reply: Reply, now: int, requester: str | None = None) -> wire.Response:
        """Have an open job done next, or open one again that ended without a card."""

        def retry() -> Job | Problem:
            job = self._ledger.cancellable(request.access_method_id)
            if job is None:
                return self._start_over(request, requester, now)
            if job.state is State.WRITING:
                return texts.problem("card_being_written")
            if job.state is State.HELD:
                return job.error or job
            self._note(job, "retried", request, requester, now)
            self._put_first(job)
            return self._ledger.job(job.job_id)

        return self._once("retry", request, reply, now, retry)

    def claim(self, request: wire.Claim, reply: Reply, now: int, requester: str | None = None) -> wire.Response:
        """Have a job done at one encoder, next: one not begun, or one in doubt where the device is of the same kind."""

        def claim() -> Job | Problem:
            drivers = self._ledger.rules.encoders
            if request.encoder not in drivers:
                return texts.problem("unknown_encoder", known=", ".join(sorted(drivers)))
            job = self._ledger.cancellable(request.access_method_id)
            if job is None:
                return self._nothing_open(request)
            if job.state is State.WRITING:
                return texts.problem("card_being_written")
            is_of_kind = job.encoder is None or drivers.get(job.encoder) == drivers[request.encoder]
            if job.state not in NOT_BEGUN and not is_of_kind:
                return texts.problem("not_claimable")
            self._note(job, "claimed", request, requester, now, encoder=request.encoder)
            self._execute("UPDATE job SET encoder = ? WHERE job_id = ?", (request.encoder, job.job_id))
            self._put_first(job)
            if job.state is State.UNSURE and job.encoder != request.encoder:
                self._ledger.news.withdrawn.add((job.job_id, job.attempt))  # nobody looks at a card at two encoders
            is_elsewhere = job.state is State.WAITING_FOR_CARD and job.encoder != request.encoder
            waits_for_this = job.state is State.HELD and job.error is not None and job.error.type == "no_route"
            if is_elsewhere or waits_for_this:
                return self._ledger.move(job, State.QUEUED, now)
            return self._ledger.job(job.job_id)

        return self._once("claim", request, reply, now, claim)

    def resolve(self, request: wire.Resolve, reply: Reply, now: int, requester: str | None = None) -> wire.Response:
        """End a job in doubt whose card will not come back, and ask for another card where that is wanted."""

        def resolve() -> Job | Problem:
            job = self._ledger.cancellable(request.access_method_id)
            if job is None:
                return self._nothing_open(request)
            if job.state is not State.UNSURE:
                return texts.problem("not_unsure")
            follows = self._ledger.newest_open(request.access_method_id)
            again: Job | Problem | None = None
            if request.again and follows and follows.job_id == job.job_id:
                again = self._opening.again(job, f"request/resolve/{request.id}", requester, now)
                if isinstance(again, Problem):
                    return again
            self._note(job, f"card_{request.card}", request, requester, now)
            card = job.intent.card if job.intent else None
            problem = texts.problem(f"card_{request.card}", card=card.uid if card else None)
            ended = self._ledger.move(job, State.FAILED, now, error=problem)
            return again or ended

        return self._once("resolve", request, reply, now, resolve)

    def tell(
        self,
        request: wire.Request,
        reply: Reply,
        now: int,
        requester: str | None = None,  # noqa: ARG002 - all requests have one signature
    ) -> wire.Response:
        """Answer where the newest job of an access method stands."""
        job = self._newest(request)
        return self._answer("job", request, reply, now, job or texts.problem("unknown_job"))

    def _once(
        self, verb: str, request: wire.Request, reply: Reply, now: int, work: Callable[[], Job | Problem]
    ) -> wire.Response:
        if self.is_repeated(verb, request.id, now):
            return self._answer(verb, request, reply, now, self._newest(request) or texts.problem("unknown_job"))
        return self._answer(verb, request, reply, now, work())

    def is_repeated(self, verb: str, request_id: str, now: int) -> bool:
        """Note a request that changes something; the same id asks for the same once, however often it is delivered."""
        noted = self._execute(
            """INSERT INTO event (event_id, digest, received_at) VALUES (?, x'', ?)
               ON CONFLICT DO NOTHING RETURNING 1""",
            (f"request/{verb}/{request_id}", now),
        ).fetchone()
        return noted is None

    def answer(self, verb: str, response: wire.Response, reply: ReplyAddress, now: int) -> wire.Response:
        """Send an answer that somebody else found."""
        return self._ledger.answer(verb, response, reply, now)

    def _start_over(self, request: wire.Request, requester: str | None, now: int) -> Job | Problem:
        job = self._newest(request)
        if job is None:
            return texts.problem("unknown_job")
        if self._ledger.is_deleted(job.access_method_id):
            return texts.problem("credential_deleted")
        if job.state not in _ONCE_MORE:
            return texts.problem("cannot_retry")
        again = self._opening.again(job, f"request/retry/{request.id}", requester, now)
        if isinstance(again, Job):
            self._note(again, "retried", request, requester, now)
        return again

    def _put_first(self, job: Job) -> None:
        self._execute(
            """UPDATE job SET not_before = 0, place = (SELECT min(place) FROM job WHERE open) - 1 WHERE job_id = ?""",
            (job.job_id,),
        )
        self._ledger.news.queue = True

    def _nothing_open(self, request: wire.Request) -> Problem:
        return texts.problem("job_ended" if self._newest(request) else "unknown_job")

    def _newest(self, request: wire.Request) -> Job | None:
        jobs = self._ledger.jobs(
            "WHERE access_method_id = ? ORDER BY job_id DESC LIMIT 1",
            (request.access_method_id,),
        )
        return jobs[0] if jobs else None

    def _note(
        self,
        job: Job,
        what: str,
        request: wire.Request,
        requester: str | None,
        now: int,
        *,
        encoder: str | None = None,
    ) -> None:
        self._ledger.log(job, what, now, encoder=encoder, requester=requester, operator=request.operator)

    def _has_profile(self, job: Job) -> bool:
        (profile,) = self._execute("SELECT profile FROM job WHERE job_id = ?", (job.job_id,)).fetchone()
        return profile is not None

    def _answer(self, verb: str, request: wire.Request, reply: Reply, now: int, found: Job | Problem) -> wire.Response:
        error = found if isinstance(found, Problem) else None
        job = self._newest(request) if isinstance(found, Problem) else found
        response = reports.response(
            request.id,
            "rejected" if error else "job",
            job=job,
            access_method_id=request.access_method_id,
            error=error,
        )
        return self._ledger.answer(verb, response, reply, now)
