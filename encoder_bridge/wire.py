"""The messages: what comes in, what goes out.  The AsyncAPI document and the JSON Schemas are generated from here.

Shapes and words are Seam's where Seam has them (docs.seam.co: access method events, action attempt errors); unknown
extra fields of an event are let through, unknown fields of a block of ours are refused.  Errors never quote what was
sent.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from encoder_bridge.errors import MalformedMessage

CARD_ENCODING_REQUIRED = "access_method.card_encoding_required"
DELETED = "access_method.deleted"
ISSUED_EVENTS = frozenset({"access_method.issued", "access_method.reissued"})
Verb = Literal["trigger", "cancel", "confirm", "retry", "resolve", "claim", "job", "read", "erase"]
"""What may be asked for."""
MAX_PAYLOAD_BYTES = 65_536
"""A longer message is answered with `payload_too_large`; a card holds 8 KiB at the very most."""

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
"""An identifier that is safe as one MQTT topic level and in a file name."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Text = Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
ReplyTopic = Annotated[
    str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f#+$][^\x00-\x1f#+]*$")
]


def _in_range(moment: datetime) -> datetime:
    if not 1970 < moment.year < 9000:
        raise PydanticCustomError("invalid_message", "is out of range: send a moment between 1971 and 8999.")
    return moment


def _from_base64(text: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else b"\0", validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("invalid_message", "is not base64: send standard base64 with padding.") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
Contents = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class _Incoming(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")


class CredentialBlock(_Block):
    """What the card has to carry.  Moments carry their zone (`Z` or an offset)."""

    profile: Name | None = None
    """Card profile of the configuration; without it `jobs.default_profile` decides."""
    joins: bool = False
    """True: earlier cards keep working (a copy)."""
    entrances: Annotated[list[Label], Field(max_length=256)] = []
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    fields: Annotated[dict[Name, Text], Field(max_length=32, repr=False)] = {}
    """Room, guest and the like: personal, never logged."""
    data: Annotated[dict[Name, Contents], Field(max_length=32, repr=False)] = {}
    """Contents computed elsewhere, base64: secret, dropped when the job ends."""

    @model_validator(mode="after")
    def _window_has_a_length(self) -> Self:
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise PydanticCustomError(
                "invalid_validity",
                "ends_at is not after starts_at: send a window that has a length.",
            )
        return self


class Trigger(_Incoming):
    """A message that asks for a card, or tells about one: Seam's event as it stands, or ours with `credential`."""

    event_id: Annotated[Id, Field(validation_alias=AliasChoices("event_id", "id"))]
    """Idempotency key: the same id is the same need, for 90 days."""
    event_type: Annotated[str, StringConstraints(max_length=128)]
    """`access_method.card_encoding_required` asks for a card; `.deleted`, `.issued` and `.reissued` are heeded too."""
    access_method_id: Id
    occurred_at: Moment | None = None
    """When the need arose; decides after an issue whether this is a re-encode or an old message."""
    created_at: Moment | None = None
    acs_system_id: Id | None = None
    workspace_id: Id | None = None
    access_grant_ids: Annotated[list[Id], Field(max_length=64)] | None = None
    space_ids: Annotated[list[Id], Field(max_length=64)] | None = None
    encoder: Name | None = None
    """Encoder that must serve it; without it the routes of the configuration decide."""
    expires_at: Moment | None = None
    """After this moment no card is started."""
    reply_to: Annotated[ReplyTopic | None, Field(repr=False)] = None
    """Topic for answers where MQTT 5's Response Topic is not to be had."""
    credential: CredentialBlock | None = None
    issued_by: Text | None = None
    """`bridge` in our own reports, so that one that comes back is known as an echo."""


class Asking(_Incoming):
    """What every request brings."""

    id: Id
    """Repeated in the response; the same id asks for the same once, however often it is delivered."""
    operator: Text | None = None
    """Who asks, for the history."""
    reply_to: Annotated[ReplyTopic | None, Field(repr=False)] = None
    """Topic for the answer where MQTT 5's Response Topic is not to be had."""
    expires_at: Moment | None = None


class Request(Asking):
    """A word to a job.

    `request/cancel`: take it off.  `request/confirm`: let it go although a card was issued before.  `request/retry`:
    try again now, or once more from the start where it ended without a card.  `request/job`: where does it stand?
    """

    access_method_id: Id


class Claim(Request):
    """`request/claim`: have a job that has not begun, or one in doubt, done at this encoder."""

    encoder: Name


class Resolve(Request):
    """`request/resolve`: end a job in doubt whose card will not come back."""

    card: Literal["gone", "destroyed"]
    """`gone`: nobody knows where it is; it may turn up and open doors.  `destroyed`: it cannot come back."""
    again: bool = False
    """Ask for another card in its place."""


class Read(Asking):
    """`request/read`: tell whose card it is."""

    encoder: Name


class Erase(Asking):
    """`request/erase`: blank a card that was made here."""

    encoder: Name
    even_if_valid: bool = False
    """Also where it is still another guest's."""
    given_up: bool = False
    """No card is laid down: the one that was half blanked will not come back."""


class EraseGuest(Asking):
    """Forget a guest, named by access method or by any value that a trigger brought (a name).  Not over MQTT."""

    who: Annotated[str, StringConstraints(min_length=1, max_length=256), Field(repr=False)]


class Operator(Asking):
    """Who is at the desk from now on; None: nobody in particular.  Not over MQTT."""


class Problem(_Block):
    """Why, in the shape of Seam's action attempt errors."""

    type: str
    """Stable word for programs; Seam's encode error type where one fits."""
    message: str
    """One sentence for people: what happened and what to do."""
    clerk: str | None = None
    """The same for the person at the desk, in plain words."""


class CardBody(_Block):
    """The plastic, as far as the encoder could tell."""

    technology: str
    uid: str | None = None


class MadeHere(_Block):
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


class Response(_Block):
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


class Report(_Block):
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


class CardReport(_Block):
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


class JobState(_Block):
    """Retained: where an access method's job stands; of several open ones, the one that came first."""

    access_method_id: str
    trigger_event_id: str
    state: StateWord
    since: str
    is_issued: bool
    encoder: str | None = None
    error: Problem | None = None


class EncoderState(_Block):
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


class Availability(_Block):
    """Retained, and the broker's last will."""

    state: Literal["online", "offline"]
    since: str | None = None
    instance: str | None = None
    """Drawn anew at every start; two instances on one topic are two daemons with one name."""


class Info(_Block):
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


_Model = TypeVar("_Model", bound=_Incoming)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}|\[key\]")
"""A key that an error may name; any other may hold anything."""


def parse(model: type[_Model], payload: bytes) -> _Model:
    """Read one incoming message.

    Raises:
        MalformedMessage: with the id of the message where one can be read, and no quotation from it.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MalformedMessage(
            "payload_too_large",
            f"The message has {len(payload)} bytes; send at most {MAX_PAYLOAD_BYTES}.",
        )
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        raise _malformed(error, payload) from None
    except RecursionError:
        raise MalformedMessage("invalid_json", "The message is nested too deeply to be read.") from None


def _malformed(error: ValidationError, payload: bytes) -> MalformedMessage:
    first: Any = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return MalformedMessage("invalid_json", "The message is not JSON: send one UTF-8 JSON object.")
    where = ".".join(str(part) if _PLAIN_KEY.fullmatch(str(part)) else "…" for part in first["loc"]) or "the message"
    kind = "missing_field" if first["type"] == "missing" else "invalid_message"
    if first["type"] in {"invalid_message", "invalid_validity"}:
        kind, sentence = first["type"], f"{where}: {first['msg']}"
    elif first["type"] == "timezone_aware":
        kind = "missing_time_zone"
        sentence = f"{where} has no time zone: send it with Z or an offset, such as 2025-07-13T15:00:00Z."
    elif first["type"] == "missing":
        sentence = f"{where} is missing: send it."
    elif first["type"] == "extra_forbidden":
        sentence = f"{where} is not a known field: leave it out or mend its name."
    else:
        sentence = f"{where} cannot be used: {_lower(first['msg'])}."
    return MalformedMessage(kind, sentence, message_id=id_of(payload))


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


class _Typed(_Incoming):
    event_type: str


def is_of_no_concern(payload: bytes) -> bool:
    """Whether a message is an event that a desk has no use for, whatever else is in it.

    A source that sends all of Seam's events sends many that name no access method.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        return False
    try:
        event_type = _Typed.model_validate_json(payload).event_type
    except ValidationError:
        return False
    return event_type not in {CARD_ENCODING_REQUIRED, DELETED, *ISSUED_EVENTS}


class _Identified(_Incoming):
    id: Annotated[Id, Field(validation_alias=AliasChoices("event_id", "id"))]


def id_of(payload: bytes) -> str | None:
    """The id of a message that cannot be read as a whole, if that can."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        return _Identified.model_validate_json(payload).id
    except ValidationError:
        return None
