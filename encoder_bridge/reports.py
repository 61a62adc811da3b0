"""What the world is told about a job: pure functions from a job to messages."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

from encoder_bridge import wire
from encoder_bridge.model import Job, Problem, State, iso

_EVENT_TYPES = {
    State.ISSUED: ("access_method.issued", "The card was written; the access method can be handed out."),
    State.FAILED: ("access_method.failed_to_issue", "No card was issued."),
    State.EXPIRED: ("access_method.failed_to_issue", "No card was issued in time."),
    State.UNSURE: ("encoder_bridge.job_unsure", "A card may carry this access method; it is being looked at."),
    State.HELD: ("encoder_bridge.job_held", "The job waits for something that is missing."),
    State.CANCELLED: ("encoder_bridge.job_cancelled", "The job was cancelled; no card was started."),
    State.SUPERSEDED: ("encoder_bridge.job_superseded", "The card made before already answers this need."),
    State.ISSUED_ELSEWHERE: ("encoder_bridge.job_issued_elsewhere", "Somebody else issued the access method."),
}
_REISSUED = ("access_method.reissued", "The card was written again; the access method can be handed out.")

EVENT_TYPES = tuple(sorted({name for name, _ in _EVENT_TYPES.values()} | {_REISSUED[0]}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyAddress:
    """Where an answer goes.  `topic` None: the default response topic."""

    topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One row of the outbox."""

    kind: str
    """`event`, `state` or `response`."""
    name: str
    """Event type, access method or verb."""
    body: str
    """JSON."""
    reply: ReplyAddress = ReplyAddress()
    report_id: int = 0


def worth_an_event(state: State) -> bool:
    """Whether the world is told when a job comes to stand here."""
    return state in _EVENT_TYPES


def event(job: Job, *, store_id: str, now: int) -> Outgoing:
    """The event that tells of the job's present state.

    The same state of the same attempt has the same id; being held for another reason is another state.
    """
    event_type, description = _EVENT_TYPES[job.state]
    if job.state is State.ISSUED and job.is_reissue:
        event_type, description = _REISSUED
    receipt = job.receipt
    issued = job.state is State.ISSUED
    name = f"{job.job_id}/{job.attempt}/{job.state}"
    if job.state is State.HELD and job.error:
        name += f"/{job.error.type}"
    body = wire.Report(
        event_id=str(uuid.uuid5(uuid.UUID(store_id), name)),
        event_type=event_type,
        event_description=description,
        access_method_id=job.access_method_id,
        created_at=iso(now),
        occurred_at=iso(job.state_at),
        trigger_event_id=job.event_id,
        state=job.state.value,
        is_issued=issued,
        issued_at=iso(job.issued_at) if job.issued_at else None,
        issued_by="bridge" if issued else None,
        evidence=receipt.evidence.value if receipt else None,
        encoder=job.encoder,
        card=_card(job),
        receipt=dict(receipt.note) if receipt else None,
        error=_problem(job.error),
        warnings=[wire.Problem(type=warning.type, message=warning.message) for warning in job.warnings],
        **_origin(job),
    )
    return Outgoing(kind="event", name=event_type, body=body.model_dump_json(exclude_none=True))


def job_state(job: Job) -> Outgoing:
    """The retained state of the access method's newest job."""
    body = wire.JobState(
        access_method_id=job.access_method_id,
        trigger_event_id=job.event_id,
        state=job.state.value,
        since=iso(job.state_at),
        is_issued=job.state is State.ISSUED,
        encoder=job.encoder,
        error=_problem(job.error),
    )
    return Outgoing(kind="state", name=job.access_method_id, body=body.model_dump_json(exclude_none=True))


def response(
    verb: str,
    message_id: str | None,
    status: wire.Status,
    reply: ReplyAddress,
    *,
    job: Job | None = None,
    access_method_id: str | None = None,
    error: Problem | None = None,
) -> Outgoing:
    """The answer to a trigger or a request."""
    body = wire.Response(
        id=message_id,
        status=status,
        access_method_id=job.access_method_id if job else access_method_id,
        state=job.state.value if job else None,
        is_issued=bool(job and job.state is State.ISSUED),
        error=_problem(error or (job.error if job else None)),
    )
    return Outgoing(kind="response", name=verb, body=body.model_dump_json(exclude_none=True), reply=reply)


def final_response(job: Job, message_id: str, reply: ReplyAddress) -> Outgoing:
    """The answer that follows `accepted` when the job has ended or cannot be sure."""
    status: Any = job.state.value
    return response("trigger", message_id, status, reply, job=job)


def being_deleted(job: Job) -> Job:
    """The job with Seam's warning for an access method that was deleted while its card was in the making."""
    warning = Problem(
        type="being_deleted",
        message="The access method was deleted while its card was being written: take the card back.",
    )
    return replace(job, warnings=(*job.warnings, warning))


def _problem(problem: Problem | None) -> wire.Problem | None:
    return wire.Problem(type=problem.type, message=problem.message) if problem else None


def _card(job: Job) -> wire.CardBody | None:
    source = job.receipt or job.intent
    card = source.card if source else None
    return wire.CardBody(technology=card.technology, uid=card.uid) if card else None


def _origin(job: Job) -> dict[str, Any]:
    return dict(job.origin)
