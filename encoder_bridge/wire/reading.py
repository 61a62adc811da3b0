"""From the bytes of a message to its model; errors never quote what was sent."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, Field, ValidationError

from encoder_bridge.errors import MalformedMessage
from encoder_bridge.wire.incoming import CARD_ENCODING_REQUIRED, DELETED, ISSUED_EVENTS
from encoder_bridge.wire.values import Id, Incoming

MAX_PAYLOAD_BYTES = 65_536
"""A longer message is answered with `payload_too_large`; a card holds 8 KiB at the very most."""

_Model = TypeVar("_Model", bound=Incoming)
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


class _Typed(Incoming):
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


class _Identified(Incoming):
    id: Annotated[Id, Field(validation_alias=AliasChoices("event_id", "id"))]


def id_of(payload: bytes) -> str | None:
    """The id of a message that cannot be read as a whole, if that can."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        return _Identified.model_validate_json(payload).id
    except ValidationError:
        return None
