"""What may be shown outside: an allow-list of fields, and a last net for the values of secrets.

Everything that is logged goes through `reduce` (fields, message bodies) and, as finished text, through
`without_secrets`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping

HIDDEN = "…"

_LONGEST_BODY_BYTES = 65_536
_SHORTEST_SECRET_BYTES = 4
"""A shorter one would blot out innocent text; it is kept out by the allow-list alone."""

_IDS = {"access_method_id", "acs_system_id", "action_attempt_id", "client_id", "event_id", "id", "instance", "job_id"}
_MORE_IDS = {"message_id", "pid", "topic", "trigger_event_id", "uid", "workspace_id"}
_NAMES = {"broker", "distribution", "driver", "encoder", "encoders", "profile", "requester", "technologies"}
_MORE_NAMES = {"effect", "not_enforced", "technology"}
_VERSIONS = {"driver_port", "mqtt_protocol", "port", "protocol", "version"}
_KINDS = {"direction", "error_type", "event_type", "kind", "reason", "signal", "type", "verb", "what"}
_STATES = {"evidence", "is_issued", "is_reissue", "issued_by", "joins", "prompt", "session_present", "state", "status"}
_TIMES = {"created_at", "ends_at", "expires_at", "issued_at", "occurred_at", "since", "starts_at"}
_NUMBERS = {"attempt", "attempts", "bytes", "count", "done", "faults", "open", "sequence", "size", "total", "waiting"}
_SECONDS = {"delay_s", "duration_s", "lived_s"}
_PLAIN = frozenset(
    _IDS | _MORE_IDS | _NAMES | _MORE_NAMES | _VERSIONS | _KINDS | _STATES | _TIMES | _NUMBERS | _SECONDS
)
"""Shown where they are numbers or single words: any sender may put a guest where an id is meant."""
_SENTENCES = frozenset({"message", "clerk", "event_description", "sentence", "path", "host", "raw"})
"""Free text, shown only where it is our own."""
_TABLES = frozenset({"card", "credential", "error", "warnings"})

_WORD = re.compile(r"[A-Za-z0-9_.:+/-]{1,128}")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")

_concealed: dict[str, None] = {}


def conceal(secret: bytes) -> None:
    """Never let this value into a log again, in any of the spellings it is likely to take."""
    if len(secret) < _SHORTEST_SECRET_BYTES:
        return
    spellings = {
        secret.hex(),
        secret.hex().upper(),
        secret.hex(" "),
        secret.hex(" ").upper(),
        base64.b64encode(secret).decode(),
        repr(secret)[2:-1],
    }
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        pass
    else:
        spellings |= {text, repr(text)[1:-1], json.dumps(text)[1:-1]}
    spellings |= {json.dumps(spelling, ensure_ascii=False)[1:-1] for spelling in spellings}
    known = {*_concealed, *spellings}
    _concealed.clear()
    _concealed.update(dict.fromkeys(sorted(known, key=len, reverse=True)))


def without_secrets(text: str) -> str:
    """The text with every concealed value replaced."""
    for secret in tuple(_concealed):
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def reduce(fields: Mapping[str, object], *, ours: bool) -> dict[str, object]:
    """The fields with every value hidden that is not on the allow-list.

    Args:
        fields: names and values.
        ours: the values were made here, so that sentences may be shown.
    """
    return {key if _KEY.fullmatch(key) else HIDDEN: _shown(key, value, ours=ours) for key, value in fields.items()}


def reduce_body(payload: bytes, *, ours: bool) -> object:
    """A message's body with every value hidden that is not on the allow-list; its size where it is no JSON object."""
    if len(payload) <= _LONGEST_BODY_BYTES:
        try:
            body = json.loads(payload)
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict):
            try:
                return reduce(body, ours=ours)
            except RecursionError:  # deeper than anything that means something
                return f"({len(payload)} bytes)"
    return f"({len(payload)} bytes)"


def _shown(key: str, value: object, *, ours: bool) -> object:
    if key in _TABLES:
        if isinstance(value, Mapping):
            return reduce({str(name): inner for name, inner in value.items()}, ours=ours)
        if isinstance(value, list):
            return [_shown(key, item, ours=ours) if isinstance(item, Mapping) else HIDDEN for item in value]
        return None if value is None else HIDDEN
    if key in _SENTENCES and ours:
        return str(value)
    if key in _PLAIN:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str) and _WORD.fullmatch(value):
            return str(value)
        if isinstance(value, list | tuple):
            return [_shown(key, item, ours=ours) for item in value]
    return HIDDEN
