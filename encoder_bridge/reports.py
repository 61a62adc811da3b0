"""What the world is told about a job: pure functions from a job to messages."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from encoder_bridge import texts, wire
from encoder_bridge.driver import Card, Intent, Receipt
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

CardEventType = Literal["encoder_bridge.card_erased", "encoder_bridge.card_unsure", "encoder_bridge.card_not_wanted"]
CARD_ERASED: CardEventType = "encoder_bridge.card_erased"
CARD_UNSURE: CardEventType = "encoder_bridge.card_unsure"
CARD_NOT_WANTED: CardEventType = "encoder_bridge.card_not_wanted"
CARD_EVENTS: Mapping[CardEventType, str] = {
    CARD_ERASED: "The card was blanked; what it carried it carries no more.",
    CARD_UNSURE: "The card may be half blanked; what it carried may not open any more.",
    CARD_NOT_WANTED: "The card carries an access method whose job had ended otherwise; destroy it or blank it.",
}

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


def event_id(store_id: str, name: str) -> str:
    """The id under which a store tells of what has this name: always the same, and no other store's."""
    return str(uuid.uuid5(uuid.UUID(store_id), name))


def event(job: Job, *, store_id: str, now: int) -> Outgoing:
    """The event that tells of the job's present state.

    The same state of the same attempt has the same id; being held for another reason is another state.
    """
    event_type, description = _EVENT_TYPES[job.state]
    if job.state is State.ISSUED and job.is_reissue:
        event_type, description = _REISSUED
    receipt = job.receipt
    name = f"{job.job_id}/{job.attempt}/{job.state}"
    if job.state is State.HELD and job.reason:
        name += f"/{job.reason}"
    body = wire.Report(
        event_id=event_id(store_id, name),
        event_type=event_type,
        event_description=description,
        access_method_id=job.access_method_id,
        created_at=iso(now),
        occurred_at=iso(job.state_at),
        trigger_event_id=job.event_id,
        state=job.state.value,
        is_issued=job.is_issued,
        issued_at=iso(job.issued_at) if job.issued_at else None,
        issued_by="bridge" if job.is_issued else None,
        evidence=receipt.evidence.value if receipt else None,
        encoder=job.encoder,
        requester=job.requester,
        sequence=job.sequence,
        card=card_body(card_of(job)),
        receipt=dict(receipt.note) if receipt else None,
        error=told(job),
        warnings=[problem(warning) for warning in job.warnings],
        **_origin(job),
    )
    return Outgoing(kind="event", name=event_type, body=body.model_dump_json(exclude_none=True))


def card_event(
    event_type: CardEventType,
    *,
    store_id: str,
    name: str,
    now: int,
    encoder: str,
    card: Card | None,
    access_method_id: str | None,
    receipt: Receipt | None,
    error: Problem | None,
) -> Outgoing:
    """The event that tells of a card what no job's event tells; the same `name` is the same event."""
    body = wire.CardReport(
        event_id=event_id(store_id, name),
        event_type=event_type,
        event_description=CARD_EVENTS[event_type],
        created_at=iso(now),
        occurred_at=iso(now),
        encoder=encoder,
        card=card_body(card),
        access_method_id=access_method_id,
        evidence=receipt.evidence.value if receipt else None,
        error=problem(error, encoder=encoder, card=card) if error else None,
    )
    return Outgoing(kind="event", name=event_type, body=body.model_dump_json(exclude_none=True))


def job_state(job: Job) -> Outgoing:
    """The retained state of an access method's job."""
    body = wire.JobState(
        access_method_id=job.access_method_id,
        trigger_event_id=job.event_id,
        state=job.state.value,
        since=iso(job.state_at),
        is_issued=job.is_issued,
        encoder=job.encoder,
        error=told(job),
    )
    return Outgoing(kind="state", name=job.access_method_id, body=body.model_dump_json(exclude_none=True))


def response(
    message_id: str | None,
    status: wire.Status,
    *,
    job: Job | None = None,
    access_method_id: str | None = None,
    error: Problem | None = None,
) -> wire.Response:
    """The answer to a trigger or a request."""
    return wire.Response(
        id=message_id,
        status=status,
        access_method_id=job.access_method_id if job else access_method_id,
        state=job.state.value if job else None,
        is_issued=bool(job and job.is_issued),
        error=problem(error) if error else told(job) if job else None,
    )


def final_response(job: Job, message_id: str) -> wire.Response:
    """The answer that follows `accepted` when the job has ended or cannot be sure."""
    status: Any = job.state.value
    return response(message_id, status, job=job)


def answer(verb: str, body: wire.Response, reply: ReplyAddress) -> Outgoing:
    """An answer on its way."""
    return Outgoing(kind="response", name=verb, body=body.model_dump_json(exclude_none=True), reply=reply)


def being_deleted(job: Job) -> Job:
    """The job with Seam's warning for an access method that was deleted while its card was in the making."""
    return replace(job, warnings=(*job.warnings, texts.problem("being_deleted")))


def problem(what: Problem, *, encoder: str | None = None, card: Card | None = None) -> wire.Problem:
    """A problem with its sentence for the person at the desk."""
    return wire.Problem(
        type=what.type,
        message=what.message,
        clerk=_for_clerk(what, **{"encoder": encoder, "card": card.uid if card else None} | dict(what.values)),
    )


def _for_clerk(what: Problem, **values: object) -> str:
    if what.type not in texts.KNOWN:
        return f"{what.message} {texts.clerk(what.type)}"  # a driver's own word for it says more than we know
    said = texts.clerk(what.type, **values)
    if "destroy" in what.values:
        said = f"{said} {texts.clerk('card_to_destroy', card=what.values['destroy'])}"
    return said


def told(job: Job) -> wire.Problem | None:
    """Why a job stands where it stands, or that its card does not carry it any more."""
    error = texts.problem("card_erased") if job.was_erased else job.error
    return problem(error, encoder=job.encoder, card=card_of(job)) if error else None


def card_of(job: Job) -> Card | None:
    """The card that a job was issued with, else the one that was meant for it."""
    source: Receipt | Intent | None = job.receipt or job.intent
    return source.card if source else None


def card_body(card: Card | None) -> wire.CardBody | None:
    """A card as it is told."""
    return wire.CardBody(technology=card.technology, uid=card.uid) if card else None


def _origin(job: Job) -> dict[str, Any]:
    return dict(job.origin)
