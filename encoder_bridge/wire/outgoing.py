"""What goes out: answers, reports and what is retained."""

from __future__ import annotations

from typing import Literal

from encoder_bridge.wire.values import Block


class Problem(Block):
    """Why, in the shape of Seam's action attempt errors."""

    type: str
    """Stable word for programs; Seam's encode error type where one fits."""
    message: str
    """One sentence for people: what happened and what to do."""
    clerk: str | None = None
    """The same for the person at the desk, in plain words."""


class CardBody(Block):
    """The plastic, as far as the encoder could tell."""

    technology: str
    uid: str | None = None


class MadeHere(Block):
    """What the store knows of a card: the last that was made with it here."""

    access_method_id: str
    issued_at: str
    starts_at: str | None = None
    ends_at: str | None = None
    entrances: list[str] = []
    is_deleted: bool
    """The access method was deleted."""
    is_valid: bool
    """It is neither deleted nor past its end."""
    is_certain: bool
    """It was issued; else its job ended in doubt, and the card may carry all, part or nothing."""
    operator: str | None = None


Status = Literal[
    "accepted",
    "held",
    "duplicate",
    "stale",
    "ignored",
    "refused",
    "rejected",
    "issued",
    "failed",
    "unsure",
    "cancelled",
    "expired",
    "superseded",
    "issued_elsewhere",
    "job",
    "read",
    "erased",
    "done",
]

StateWord = Literal[
    "held",
    "queued",
    "waiting_for_card",
    "writing",
    "unsure",
    "issued",
    "failed",
    "cancelled",
    "expired",
    "superseded",
    "issued_elsewhere",
]


class Response(Block):
    """Answer to a trigger or a request; `accepted` and every later word are said only after they are on disk."""

    id: str | None = None
    """The `id` or `event_id` of what is answered; left out where it could not be read."""
    status: Status
    access_method_id: str | None = None
    state: StateWord | None = None
    is_issued: bool = False
    error: Problem | None = None
    encoder: str | None = None
    card: CardBody | None = None
    fields: dict[str, str] | None = None
    """What was read from the card."""
    made_here: MadeHere | None = None


class Report(Block):
    """What is told about an access method: Seam's event with what is known added."""

    event_id: str
    """Always the same for the same report, however often it is delivered."""
    event_type: str
    event_description: str
    access_method_id: str
    created_at: str
    occurred_at: str
    acs_system_id: str | None = None
    workspace_id: str | None = None
    access_grant_ids: list[str] | None = None
    trigger_event_id: str
    state: StateWord
    is_issued: bool
    issued_at: str | None = None
    issued_by: Literal["bridge", "seam"] | None = None
    evidence: Literal["read_back", "control_plane", "attested"] | None = None
    encoder: str | None = None
    requester: str | None = None
    sequence: int | None = None
    """The card's number, where one was minted."""
    card: CardBody | None = None
    receipt: dict[str, str] | None = None
    error: Problem | None = None
    warnings: list[Problem] = []


class CardReport(Block):
    """What is told about a card beside its jobs: it was erased, or half so, or carries what nobody wanted any more."""

    event_id: str
    """Always the same for the same report, however often it is delivered."""
    event_type: Literal["encoder_bridge.card_erased", "encoder_bridge.card_unsure", "encoder_bridge.card_not_wanted"]
    event_description: str
    created_at: str
    occurred_at: str
    encoder: str
    card: CardBody | None = None
    access_method_id: str | None = None
    """What the card carried, as far as it was made here."""
    evidence: Literal["read_back", "control_plane", "attested"] | None = None
    error: Problem | None = None


class JobState(Block):
    """Retained: where an access method's job stands; of several open ones, the one that came first."""

    access_method_id: str
    trigger_event_id: str
    state: StateWord
    since: str
    is_issued: bool
    encoder: str | None = None
    error: Problem | None = None


class EncoderState(Block):
    """Retained: what an encoder is doing and what the desk is asked to do."""

    state: Literal["offline", "idle", "waiting_for_card", "writing", "reading", "erasing", "hung"]
    since: str
    access_method_id: str | None = None
    prompt: (
        Literal["place_card", "same_card", "wrong_card", "keep_card", "swipe_to_write", "swipe_to_check", "lift_card"]
        | None
    ) = None
    card: CardBody | None = None
    done: int | None = None
    total: int | None = None
    effect: Literal["replaces_earlier_cards", "joins_earlier_cards", "updates"] | None = None
    """What the card in the making does to earlier ones: they stop working when it is first used; they keep working;
    it is the guest's own card, written again."""
    not_enforced: list[Literal["card_in_use", "lift"]] = []
    """What this encoder cannot see to: that the card is not another guest's, that the last one was lifted."""
    warnings: list[Problem] = []
    error: Problem | None = None


class Availability(Block):
    """Retained, and the broker's last will."""

    state: Literal["online", "offline"]
    since: str | None = None
    instance: str | None = None
    """Drawn anew at every start; two instances on one topic are two daemons with one name."""


class Info(Block):
    """Retained: who answers here."""

    version: str
    driver_port: str
    mqtt_protocol: Literal["5", "3.1.1"]
    instance: str
    encoders: dict[str, str]
    """Encoder name to driver name."""
    default_profile: str | None
    max_open_jobs: int
    triggers: list[str]
    requests: list[str]
