"""Sentences about a configuration that does not fit its shape; none quotes a value."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from encoder_bridge.config.model import Settings
from encoder_bridge.config.sources import Sources
from encoder_bridge.config.tables import TABLES, EncoderSettings, RequesterSettings, RouteSettings
from encoder_bridge.errors import ConfigError

_MEANT = {
    "site": "a name such as 'harbour-hotel'",
    "desk": "a name such as 'front-desk'",
    "time_zone": "the property's zone, such as 'Europe/Berlin'",
    "encoders": "at least one table such as [encoders.desk-1]",
    "encoders.*.driver": "the name of an installed driver, as 'encoder-bridge drivers' lists it",
    "requesters.*.algorithm": "'ed25519' or 'hmac-sha256'",
    "routes.*.encoders": 'a list of encoders such as ["desk-1"]',
}
_A_LIST = 'put it into brackets, such as ["one", "two"]'
_LISTS = {
    "mqtt.trigger_topics": 'write one such as ["seam/events", "pms/+"]',
    "mqtt.reply_topics": 'write one such as ["pms/answers/#"]',
    "routes": "begin every route with [[routes]]",
}
_MANY: dict[str, type[BaseModel]] = {
    "encoders": EncoderSettings,
    "requesters": RequesterSettings,
    "routes": RouteSettings,
}
"""Tables of which there are many, each under a name or a number."""
_KINDS = {
    "bool_parsing": "is neither true nor false: write one of them, without quotes",
    "bool_type": "is neither true nor false: write one of them, without quotes",
    "dict_type": "is not a table",
    "float_parsing": "is not a number: write digits, without quotes",
    "float_type": "is not a number: write digits, without quotes",
    "int_from_float": "is not a whole number: write digits, without quotes",
    "int_parsing": "is not a whole number: write digits, without quotes",
    "int_type": "is not a whole number: write digits, without quotes",
    "model_type": "is not a table",
    "path_type": "is not text: put the path in quotes",
    "string_type": "is not text: put it in quotes",
}
_NO_FURTHER_NEWS = frozenset({"default_factory_not_called"})


def complain(error: ValidationError, sources: Sources) -> ConfigError:
    """One line for each finding, with the key and who set it."""
    findings = error.errors(include_input=False, include_url=False)
    return ConfigError(
        "\n".join(_line(finding, sources) for finding in findings if finding["type"] not in _NO_FURTHER_NEWS)
    )


def _line(finding: Any, sources: Sources) -> str:
    key = tuple(str(part) for part in finding["loc"] if part != "[key]")
    line = f"{sources.of(key)}: {'.'.join(key) or 'the configuration'} {_sentence(finding, key)}"
    return line if line.endswith("?") else f"{line}."


def _sentence(finding: Any, key: tuple[str, ...]) -> str:
    kind, context = finding["type"], finding.get("ctx", {})
    if kind == "config":
        return str(context["wanted"])
    if kind == "extra_forbidden":
        return f"is no key: {_nearest(key)}"
    if kind == "missing":
        return f"is missing: give {_MEANT[_place(key)]}"
    if kind == "too_short":
        return f"is empty: give {_MEANT[_place(key)]}"
    if kind == "string_pattern_mismatch":
        return "is not a name: use up to 64 letters, digits, '_' and '-'"
    if kind == "literal_error":
        return f"is none of its values: give {context['expected']} in quotes"
    if kind == "tuple_type":
        return f"is not a list: {_LISTS.get(_place(key), _A_LIST)}"
    if kind in _KINDS:
        return _KINDS[kind]
    message: str = finding["msg"]
    return message.replace("Input should", "must").replace("String should", "must").replace("Value should", "must")


def _place(key: tuple[str, ...]) -> str:
    """The key with a star for a name or a number that is nobody's but this configuration's."""
    return ".".join((key[0], "*", *key[2:]) if key[0] in _MANY and len(key) > 1 else key)


def _nearest(key: tuple[str, ...]) -> str:
    """A proposal: the nearest key of the same table, or the same key of another one."""
    *parents, unknown = key
    table = ".".join(parents)
    tables: dict[str, type[BaseModel]] = {"": Settings, **TABLES}
    here = _MANY[key[0]] if key[0] in _MANY else tables[table]
    names = list(here.model_fields)
    if near := get_close_matches(unknown, names, n=1):
        return f"did you mean {'.'.join((*parents, near[0]))}?"
    for other, model in tables.items():
        if unknown in model.model_fields:
            return f"it belongs to {f'the table [{other}]' if other else 'the top of the file'}"
    return f"the nearest is {'.'.join((*parents, *get_close_matches(unknown, names, n=1, cutoff=0)))}"
