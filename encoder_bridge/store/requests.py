"""Words to a job from outside: cancel, confirm, retry, claim, resolve, and where it stands."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from encoder_bridge import reports, texts, wire
from encoder_bridge.model import NOT_BEGUN, Job, Problem, State, uid_of
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
        """Take all jobs of an access method off: what has not begun is cancelled, what is in doubt is given up.

        A card that is being written is not stopped; what waits behind it is cancelled all the same.
        """

        def cancel() -> Job | Problem:
            jobs = self._ledger.open_jobs(request.access_method_id)
            mine = [job for job in jobs if job.state is not State.WRITING]
            if not mine:
                return texts.problem("card_being_written") if jobs else self._nothing_open(request)
            for job in mine:
                self._note(job, "cancelled", request, requester, now)
            # The one in doubt, if there is one, is the first: its end names a card.
            return [self._ledger.give_up(job, texts.problem("cancelled"), now) for job in reversed(mine)][-1]

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
            if job.reason != "confirmation_required":
                return job.error or job
            self._note(job, "confirmed", request, requester, now)
            return self._opening.let_go(job, now)

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
            waits_for_this = job.state is State.HELD and job.reason == "no_route"
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
            problem = texts.problem(f"card_{request.card}", card=uid_of(job.intent))
            ended = self._ledger.move(job, State.FAILED, now, error=problem)
            if request.card == "destroyed":
                self._execute("UPDATE job SET card_uid = NULL WHERE job_id = ?", (job.job_id,))
            return again or ended

        return self._once("resolve", request, reply, now, resolve)

    def tell(
        self,
        request: wire.Request,
        reply: Reply,
        now: int,
        requester: str | None = None,  # noqa: ARG002 - all requests have one signature
    ) -> wire.Response:
        """Answer where an access method's job stands: the open one that is on, else the last."""
        job = next(iter(self._ledger.open_jobs(request.access_method_id)), None) or self._newest(request)
        return self._answer("job", request, reply, now, job or texts.problem("unknown_job"))

    def _once(
        self, verb: str, request: wire.Request, reply: Reply, now: int, work: Callable[[], Job | Problem]
    ) -> wire.Response:
        digest = self._digest(verb, request)
        before = self._noted(verb, request.id)
        if before is None:
            found = work()
            if isinstance(found, Job):  # what was refused may be asked for again
                self._note_id(verb, request.id, digest, now)
            return self._answer(verb, request, reply, now, found)
        if not hmac.compare_digest(before, digest):
            return self._answer(verb, request, reply, now, texts.problem("id_reuse"))
        return self._answer(verb, request, reply, now, self._newest(request) or texts.problem("unknown_job"))

    def is_done(self, verb: str, asked: wire.Read | wire.Erase) -> bool:
        """Whether an errand of this id has had its answer."""
        return self._noted(verb, asked.id) is not None

    def done(
        self, verb: str, asked: wire.Read | wire.Erase, response: wire.Response, reply: ReplyAddress, now: int
    ) -> None:
        """Answer an errand, once and for all."""
        self._note_id(verb, asked.id, self._digest(verb, asked), now)
        self._ledger.answer(verb, response, reply, now)

    def _noted(self, verb: str, request_id: str) -> bytes | None:
        key = f"request/{verb}/{request_id}"
        found = self._execute("SELECT digest FROM event WHERE event_id = ?", (key,)).fetchone()
        return found[0] if found else None

    def _note_id(self, verb: str, request_id: str, digest: bytes, now: int) -> None:
        self._execute(
            "INSERT INTO event (event_id, digest, received_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (f"request/{verb}/{request_id}", digest, now),
        )

    def _digest(self, verb: str, request: wire.Asking) -> bytes:
        """What was meant, so that the same id for something else is noticed."""
        meaning = request.model_dump_json(exclude={"reply_to", "expires_at", "operator"})
        return self._ledger.digest(f"{verb} {meaning}")

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
        return self._ledger.newest(request.access_method_id)

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
        return self._ledger.answer(verb, self._response(request, found), reply, now)

    def _response(self, request: wire.Request, found: Job | Problem) -> wire.Response:
        error = found if isinstance(found, Problem) else None
        job = self._newest(request) if isinstance(found, Problem) else found
        return reports.response(
            request.id,
            "rejected" if error else "job",
            job=job,
            access_method_id=request.access_method_id,
            error=error,
        )
