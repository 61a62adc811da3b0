"""Between rows of the job table and `Job`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from encoder_bridge.driver import Card, Evidence, Intent, Receipt
from encoder_bridge.model import Job, Problem, State

COLUMNS = (
    "job_id, access_method_id, state, attempt, encoder, event_id, is_reissue, created_at, state_at, expires_at, "
    "issued_at, requester, sequence, card_uid, error, intent, receipt, origin, route, warnings"
)


def to_job(row: tuple[Any, ...]) -> Job:
    """Read one row of `COLUMNS`."""
    (job_id, method, state, attempt, encoder, event_id, is_reissue, created, since, expires, issued) = row[:11]
    requester, sequence, card_uid = row[11:14]
    error, intent, receipt, origin, route, warnings = (json.loads(text) if text else None for text in row[14:])
    return Job(
        job_id=job_id,
        access_method_id=method,
        state=State(state),
        attempt=attempt,
        encoder=encoder,
        event_id=event_id,
        is_reissue=bool(is_reissue),
        created_at=created,
        state_at=since,
        expires_at=expires,
        issued_at=issued,
        error=Problem(**error) if error else None,
        intent=to_intent(intent) if intent else None,
        receipt=_receipt(receipt) if receipt else None,
        origin=origin or {},
        warnings=tuple(Problem(**warning) for warning in warnings or ()),
        requester=requester,
        sequence=sequence,
        route=tuple(route) if route is not None else None,
        card_uid=card_uid,
    )


def to_intent(value: dict[str, Any]) -> Intent:
    """Read an intent from its JSON."""
    return Intent(card=_card(value["card"]), note=value["note"])


def to_json(value: Problem | Intent | Receipt | None) -> str | None:
    """Write what `to_job` reads."""
    return None if value is None else json.dumps(asdict(value), default=dict)


def _card(value: dict[str, Any] | None) -> Card | None:
    return Card(**value) if value else None


def _receipt(value: dict[str, Any]) -> Receipt:
    return Receipt(evidence=Evidence(value["evidence"]), card=_card(value["card"]), note=value["note"])
