"""Jobs, their states and the legal moves between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from enum import StrEnum

from encoder_bridge.driver import Credential, Intent, Receipt


class State(StrEnum):
    """Where a job stands."""

    HELD = "held"
    """Contents missing, not ready or in want of a confirmation; `Job.error` says which."""
    QUEUED = "queued"
    WAITING_FOR_CARD = "waiting_for_card"
    """An encoder has it and the desk was asked for a card; nothing was written."""
    WRITING = "writing"
    """An intent is on disk: from here on a card may have been changed."""
    UNSURE = "unsure"
    """A card may carry all, part or nothing; only a look at it or a person ends this."""
    ISSUED = "issued"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    ISSUED_ELSEWHERE = "issued_elsewhere"


MOVES: Mapping[State, frozenset[State]] = {
    State.HELD: frozenset(
        {State.QUEUED, State.CANCELLED, State.EXPIRED, State.SUPERSEDED, State.ISSUED_ELSEWHERE},
    ),
    State.QUEUED: frozenset(
        {
            State.HELD,
            State.WAITING_FOR_CARD,
            State.CANCELLED,
            State.EXPIRED,
            State.SUPERSEDED,
            State.ISSUED_ELSEWHERE,
        },
    ),
    State.WAITING_FOR_CARD: frozenset(
        {
            State.QUEUED,
            State.WRITING,
            State.FAILED,
            State.CANCELLED,
            State.EXPIRED,
            State.ISSUED_ELSEWHERE,
        },
    ),
    # Back to the queue only where the driver asserts that the intended card was not changed.
    State.WRITING: frozenset({State.QUEUED, State.ISSUED, State.FAILED, State.UNSURE}),
    State.UNSURE: frozenset({State.WRITING, State.ISSUED, State.FAILED}),
    State.ISSUED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
    State.EXPIRED: frozenset(),
    State.SUPERSEDED: frozenset(),
    State.ISSUED_ELSEWHERE: frozenset(),
}
"""Every legal move; anything else is a bug."""

OPEN = frozenset(state for state, moves in MOVES.items() if moves)
BEGUN = frozenset({State.WRITING, State.UNSURE})
"""States in which a card may have been changed."""
NOT_BEGUN = OPEN - BEGUN


class IllegalMove(Exception):
    """A job was to be moved along no arrow of `MOVES`: a bug here, never the caller's input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a job stands where it stands, in the shape of Seam's action attempt errors."""

    type: str
    message: str
    values: Mapping[str, str] = field(default_factory=dict)
    """What the sentences about it name: neither personal nor secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A trigger made durable.  Times are milliseconds since 1970 UTC, as stored."""

    job_id: int
    access_method_id: str
    state: State
    attempt: int
    """Counts how often an encoder took it; names the running attempt."""
    encoder: str | None
    """The encoder that must serve it: asked for by the trigger, or bound by an intent."""
    event_id: str
    """Of the trigger that made it."""
    is_reissue: bool
    created_at: int
    state_at: int
    expires_at: int
    issued_at: int | None = None
    error: Problem | None = None
    intent: Intent | None = None
    receipt: Receipt | None = None
    origin: Mapping[str, object] = field(default_factory=dict)
    """The trigger's ids that are echoed in reports: acs_system_id, access_grant_ids, workspace_id."""
    warnings: tuple[Problem, ...] = ()
    requester: str | None = None
    """Who asked for the card: a signer's name, or `local:<user>`."""
    sequence: int | None = None
    """The card's number, once an encoder took the job."""
    route: tuple[str, ...] | None = None
    """The encoders that may serve it where `encoder` names none; None: all."""
    card_uid: str | None = None
    """Of the card that carries it or may carry it; None: none does, or its card has no number."""

    @property
    def reason(self) -> str | None:
        """The type of `error`."""
        return self.error.type if self.error else None

    @property
    def was_erased(self) -> bool:
        """Whether the card it was issued with carries it no more."""
        issued_on = uid_of(self.receipt)
        return self.state is State.ISSUED and issued_on is not None and issued_on != self.card_uid

    @property
    def is_issued(self) -> bool:
        """Whether a card carries it, as far as anybody here knows."""
        return self.state is State.ISSUED and not self.was_erased


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A job in an encoder's hands."""

    job: Job
    credential: Credential

    @property
    def resumes(self) -> bool:
        """Whether an earlier attempt may have changed a card."""
        return self.job.intent is not None


def uid_of(told: Intent | Receipt | None) -> str | None:
    """The number of the card that a driver named, where it named one that has a number."""
    return told.card.uid if told and told.card else None


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 UTC of an aware moment."""
    return int(moment.timestamp() * 1000)


def from_ms(ms: int, zone: tzinfo = UTC) -> datetime:
    """The moment of `to_ms`, in `zone`."""
    return datetime.fromtimestamp(ms / 1000, zone)


def iso(ms: int) -> str:
    """RFC 3339 with milliseconds, the way Seam writes moments."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
