"""JSON Schemas of what people and programs write."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from encoder_bridge.config import Settings
from encoder_bridge.wire import CredentialBlock, Trigger

from .docstrings import describe

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def trigger_schema() -> str:
    """A message that asks for a card."""
    schema = _schema(Trigger, "Trigger")
    schema["properties"]["id"] = {**schema["properties"]["event_id"], "title": "Id"}
    schema["required"].remove("event_id")
    schema["anyOf"] = [{"required": ["event_id"]}, {"required": ["id"]}]
    return _text(schema)


def credential_schema() -> str:
    """The `credential` block of a trigger."""
    return _text(_schema(CredentialBlock, "Credential"))


def configuration_schema() -> str:
    """The configuration's file."""
    schema = _schema(Settings, "Configuration")
    for table in ("encoders", "secrets"):
        schema["properties"][table]["additionalProperties"] = False
    return _text(schema)


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    described = describe(model.model_json_schema(), CredentialBlock, Trigger)
    return {"$schema": _DIALECT, **described, "title": title}


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
