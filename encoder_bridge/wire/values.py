"""The kinds of value in a message, and the two kinds of block."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

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


class Incoming(BaseModel):
    """What others send: unknown extra fields are let through."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")


class Block(BaseModel):
    """What is ours: unknown fields are refused."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")
