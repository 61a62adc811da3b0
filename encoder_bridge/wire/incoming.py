"""What comes in: triggers and requests."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from encoder_bridge.wire.values import Block, Contents, Id, Incoming, Label, Moment, Name, ReplyTopic, Text

CARD_ENCODING_REQUIRED = "access_method.card_encoding_required"
DELETED = "access_method.deleted"
ISSUED_EVENTS = frozenset({"access_method.issued", "access_method.reissued"})
Verb = Literal["trigger", "cancel", "confirm", "retry", "resolve", "claim", "job", "read", "erase"]
"""What may be asked for."""


class CredentialBlock(Block):
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


class Trigger(Incoming):
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


class Asking(Incoming):
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
