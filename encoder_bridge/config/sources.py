"""Where the configuration comes from: one TOML file, and the environment, which wins.

A variable is ``ENCODER_BRIDGE_`` and the key in capitals, with two underscores between table and key::

    ENCODER_BRIDGE_MQTT__HOST = broker.example.com
    ENCODER_BRIDGE_MQTT__TRIGGER_TOPICS = '["seam/events"]'
    ENCODER_BRIDGE_ENCODERS__DESK_1__LATENCY_S = 0.1  # also finds an encoder called desk-1

Lists and tables are JSON and replace the file's.  Other text becomes a number or a truth value where the key is one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from encoder_bridge.config.model import Settings
from encoder_bridge.config.tables import TABLES
from encoder_bridge.config.values import Untyped
from encoder_bridge.errors import ConfigError

PREFIX = "ENCODER_BRIDGE_"
FILE_VARIABLE = "ENCODER_BRIDGE_CONFIG"
DEFAULT_FILE = Path("/etc/encoder-bridge/encoder-bridge.toml")

_NAMED_TABLES = frozenset({"encoders", "requesters", "secrets"})
"""Tables whose keys are names that somebody chose."""


_OF_KUBERNETES = ("tcp://", "udp://", "sctp://")
"""Beginnings of ``ENCODER_BRIDGE_MQTT_PORT`` where a service is called encoder-bridge-mqtt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The raw configuration and who says what in it."""

    file: Path | None
    """None: the environment says everything."""
    values: dict[str, Any]
    variables: dict[tuple[str, ...], str] = field(default_factory=dict)
    """Key to the variable that set it."""

    def of(self, key: tuple[str, ...]) -> str:
        """Who to blame for this key: a variable, the file or the environment."""
        for length in range(len(key), 0, -1):
            if variable := self.variables.get(key[:length]):
                return variable
        return str(self.file) if self.file else "the environment"


def gather(path: Path | None, environ: Mapping[str, str]) -> Sources:
    """Read the file and lay the environment over it.

    Raises:
        ConfigError: there is no file, it is not TOML, or a variable cannot be read or lacks an underscore.
    """
    if slips := [line for variable in sorted(environ) for line in _slips(variable, environ[variable])]:
        raise ConfigError("\n".join(slips))
    settings = {key: value for key, value in environ.items() if _is_ours(key)}
    file = path or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if file is None and (not settings or _is_there(DEFAULT_FILE)):
        file = DEFAULT_FILE
    sources = Sources(file=file, values=_read(file) if file else {})
    for variable in sorted(settings):
        _lay_over(sources, variable, settings[variable])
    return sources


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode())
    except FileNotFoundError:
        raise ConfigError(f"There is no configuration at {file}: write one or name another with --config.") from None
    except IsADirectoryError:
        raise ConfigError(f"The configuration {file} is a folder: name the file in it.") from None
    except OSError as error:
        sentence = f"The configuration {file} cannot be read ({error.strerror}): let this user read it or name another."
        raise ConfigError(sentence) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{file}: line {line} is not UTF-8: save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}.") from None


def _is_there(file: Path) -> bool:
    """Whether there is a file, even one that cannot be looked at."""
    try:
        return file.exists()
    except OSError:
        return True


def _slips(variable: str, value: str) -> Iterator[str]:
    """The sentence about a variable that with one more underscore would name a key."""
    rest = variable.removeprefix(PREFIX)
    if rest == variable or variable == FILE_VARIABLE or value.startswith(_OF_KUBERNETES):
        return
    table, _, key = rest.lower().partition("_")
    is_key = table in TABLES and key in TABLES[table].model_fields
    # An encoder or a requester may have any name, but nobody else writes two underscores.
    is_named = table in _NAMED_TABLES and not key.startswith("_") and "__" in key
    if is_key or is_named:
        yield f"{variable} is no key: did you mean {PREFIX}{rest.replace('_', '__', 1)}?"


def _is_ours(variable: str) -> bool:
    """Whether a variable is meant as a key; other programs name theirs after this one too (Kubernetes does)."""
    if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
        return False
    first = variable.removeprefix(PREFIX).lower().partition("__")[0]
    return bool(get_close_matches(first, Settings.model_fields, n=1, cutoff=0.7))


def _lay_over(sources: Sources, variable: str, text: str) -> None:
    parts = variable.removeprefix(PREFIX).lower().split("__")
    table, key = sources.values, tuple(_keys(sources.values, parts))
    for part in key[:-1]:
        if not isinstance(table.get(part), dict):
            table[part] = {}
        table = table[part]
    is_drivers_own = key[0] == "encoders" and len(key) > 2 and key[-1] != "driver"
    value = _value(variable, text, any_json=is_drivers_own)
    table[key[-1]] = Untyped(value) if isinstance(value, str) and not is_drivers_own else value
    sources.variables[key] = variable


def _keys(values: dict[str, Any], parts: list[str]) -> Iterator[str]:
    """The keys that the parts of a variable mean; a name may hold what a variable cannot."""
    table: Any = values
    for place, part in enumerate(parts):
        key = part
        if place == 1 and parts[0] in _NAMED_TABLES and isinstance(table, dict):
            key = next((name for name in table if name.lower().replace("-", "_") == part), part)
        yield key
        table = table.get(key) if isinstance(table, dict) else None


def _value(variable: str, text: str, *, any_json: bool) -> object:
    """What a variable says.  A driver's own number must become one here, since nobody later knows that it is one."""
    is_structure = text.lstrip().startswith(("[", "{"))
    if not is_structure and not any_json:
        return text
    try:
        return json.loads(text)
    except ValueError:
        if not is_structure:
            return text
        raise ConfigError(f"{variable} is not JSON: write lists and tables as JSON.") from None
