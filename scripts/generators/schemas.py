"""JSON Schemas of what people and programs write."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from encoder_bridge import wire
from encoder_bridge.config import Settings

from .docstrings import describe

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
ASKED: dict[str, type[wire.Asking]] = {
    "claim": wire.Claim,
    "erase": wire.Erase,
    "erase-guest": wire.EraseGuest,
    "operator": wire.Operator,
    "read": wire.Read,
    "request": wire.Request,
    "resolve": wire.Resolve,
}
"""Requests by the name of their schema's file; `request` serves all verbs without a file of their own."""


def trigger_schema() -> str:
    """A message that asks for a card."""
    schema = _schema(wire.Trigger, "Trigger")
    schema["properties"]["id"] = {**schema["properties"]["event_id"], "title": "Id"}
    schema["required"].remove("event_id")
    schema["anyOf"] = [{"required": ["event_id"]}, {"required": ["id"]}]
    return _text(schema)


def credential_schema() -> str:
    """The `credential` block of a trigger."""
    return _text(_schema(wire.CredentialBlock, "Credential"))


def request_schema(name: str) -> str:
    """A request, by its name in `ASKED`."""
    model = ASKED[name]
    return _text(_schema(model, model.__name__))


def configuration_schema() -> str:
    """The configuration's file."""
    schema = _schema(Settings, "Configuration")
    for table in ("encoders", "requesters", "secrets"):
        schema["properties"][table]["additionalProperties"] = False
    return _text(schema)


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    described = describe(model.model_json_schema(), wire.CredentialBlock, wire.Trigger, *ASKED.values())
    return {"$schema": _DIALECT, **described, "title": title}


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
