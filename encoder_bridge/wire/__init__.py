"""The messages: what comes in, what goes out.  The AsyncAPI document and the JSON Schemas are generated from here.

Shapes and words are Seam's where Seam has them (docs.seam.co: access method events, action attempt errors); unknown
extra fields of an event are let through, unknown fields of a block of ours are refused.  Errors never quote what was
sent.
"""

from __future__ import annotations

from encoder_bridge.wire.incoming import (
    CARD_ENCODING_REQUIRED,
    DELETED,
    ISSUED_EVENTS,
    Asking,
    Claim,
    CredentialBlock,
    Erase,
    EraseGuest,
    Operator,
    Read,
    Request,
    Resolve,
    Trigger,
    Verb,
)
from encoder_bridge.wire.outgoing import (
    Availability,
    CardBody,
    CardReport,
    EncoderState,
    Info,
    JobState,
    MadeHere,
    Problem,
    Report,
    Response,
    StateWord,
    Status,
)
from encoder_bridge.wire.reading import MAX_PAYLOAD_BYTES, id_of, is_of_no_concern, parse
from encoder_bridge.wire.values import Id, Label, Name

__all__ = [
    "CARD_ENCODING_REQUIRED",
    "DELETED",
    "ISSUED_EVENTS",
    "MAX_PAYLOAD_BYTES",
    "Asking",
    "Availability",
    "CardBody",
    "CardReport",
    "Claim",
    "CredentialBlock",
    "EncoderState",
    "Erase",
    "EraseGuest",
    "Id",
    "Info",
    "JobState",
    "Label",
    "MadeHere",
    "Name",
    "Operator",
    "Problem",
    "Read",
    "Report",
    "Request",
    "Resolve",
    "Response",
    "StateWord",
    "Status",
    "Trigger",
    "Verb",
    "id_of",
    "is_of_no_concern",
    "parse",
]
