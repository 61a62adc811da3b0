"""The configuration as it may be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from encoder_bridge.config.model import Settings
from encoder_bridge.redaction import HIDDEN

_SECRET_WORDS = frozenset(
    {"apikey", "code", "codes", "credential", "credentials", "cvv", "key", "keys", "passcode", "passphrase", "passwd"}
    | {"password", "pin", "pins", "puk", "pw", "pwd", "secret", "secrets", "token", "tokens"}
)
_ALWAYS_SECRET = re.compile(r"secret|passw|passphrase|token|apikey", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NAMES_A_FILE = ("file", "path", "dir", "folder")
_USER_OF_A_URL = re.compile(r"://[^/?#\s]*@")


def masked(settings: Settings) -> dict[str, Any]:
    """Plain data for `config show`: what may be a secret among the drivers' own keys is hidden."""
    shown: dict[str, Any] = settings.model_dump(mode="json")
    shown["encoders"] = {
        name: {"driver": encoder.driver, **_masked(encoder.settings)} for name, encoder in settings.encoders.items()
    }
    return {key: _without_users(value) for key, value in shown.items()}


def _masked(table: Mapping[str, object]) -> dict[str, Any]:
    return {key: HIDDEN if _looks_secret(key) else _inside(value) for key, value in table.items()}


def _inside(value: object) -> Any:
    if isinstance(value, Mapping):
        return _masked({str(key): inner for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return [_inside(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _looks_secret(key: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(key)]
    if words and words[-1] in _NAMES_A_FILE:
        return False
    return bool(_SECRET_WORDS.intersection(words) or _ALWAYS_SECRET.search(key))


def _without_users(value: Any) -> Any:
    if isinstance(value, str):
        return _USER_OF_A_URL.sub(f"://{HIDDEN}@", value)
    if isinstance(value, dict):
        return {key: _without_users(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_users(inner) for inner in value]
    return value
