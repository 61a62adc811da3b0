"""The messages that an integrator sends: Seam's events, field by field (docs.seam.co, access method events)."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

EVENT_TYPE = "access_method.card_encoding_required"
_DESCRIPTION = "An access method representing a physical card requires encoding."
_WORKSPACE = "750fc0bc-4450-4356-8d9f-18c6a3a6b2c7"
_SYSTEM = "11111111-1111-1111-1111-111111111111"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One request for a card, as it is sent."""

    event_id: str
    access_method_id: str
    payload: bytes


def new_need() -> Need:
    """Ask for a card for an access method that nobody has heard of before."""
    event_id, access_method_id = str(uuid.uuid4()), str(uuid.uuid4())
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {
        "event_id": event_id,
        "event_description": _DESCRIPTION,
        "event_type": EVENT_TYPE,
        "workspace_id": _WORKSPACE,
        "acs_system_id": _SYSTEM,
        "access_method_id": access_method_id,
        "access_grant_ids": [str(uuid.uuid4())],
        "created_at": now,
        "occurred_at": now,
    }
    return Need(event_id=event_id, access_method_id=access_method_id, payload=json.dumps(body).encode())
