"""What people are told, as data: `en.toml` beside this module is the only place where these sentences stand.

Every error type has two: `clerk` for the person at the front desk (what happened and what to do, in plain words) and
`log` for the IT person and the integrator (the same, and it may name a key of the configuration).  A type that is not
in `KNOWN`, such as one that an access system comes up with tomorrow, gets the default pair, which shows the type.

A sentence may hold placeholders, such as ``{encoder}``.  A value that is missing, None or empty is told as the phrase
that the file keeps for it ("the encoder"), so a text always comes out, whole.  Values go in as they are to be shown:
nothing in them is ever taken for a placeholder, and what cannot be printed in one line is shown as ``�``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from encoder_bridge.model import Problem

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    clerk: str
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phrase:
    """How a placeholder is told."""

    known: str
    """Holds the placeholder itself, where the value goes."""
    unknown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Texts:
    default: _Pair
    errors: Mapping[str, _Pair]
    placeholders: Mapping[str, _Phrase]
    prompts: Mapping[str, str]
    effects: Mapping[str, str]
    not_enforced: Mapping[str, str]


def _load() -> _Texts:
    tables = tomllib.loads((files(__name__) / "en.toml").read_text(encoding="utf-8"))
    return _Texts(
        default=_Pair(**tables.pop("default")),
        errors={type_: _Pair(**pair) for type_, pair in tables.pop("errors").items()},
        placeholders={name: _Phrase(**phrase) for name, phrase in tables.pop("placeholders").items()},
        **tables,
    )


_TEXTS = _load()

KNOWN: frozenset[str] = frozenset(_TEXTS.errors)
"""Every error type that has sentences of its own."""


def clerk(type: str, /, **values: object) -> str:  # noqa: A002 - the name it has in every message
    """Say to the person at the desk what happened and what to do."""
    return _fill(_TEXTS.errors.get(type, _TEXTS.default).clerk, {**values, "type": type})


def log(type: str, /, **values: object) -> str:  # noqa: A002 - the name it has in every message
    """Say to the IT person and the integrator what happened and what to do."""
    return _fill(_TEXTS.errors.get(type, _TEXTS.default).log, {**values, "type": type})


def problem(type: str, /, **values: object) -> Problem:  # noqa: A002 - the name it has in every message
    """Return the problem of this type, with the sentence of `log` and the values for that of `clerk`."""
    known = {name: str(value) for name, value in values.items() if value is not None}
    return Problem(type=type, message=log(type, **values), values=known)


def prompt(name: str, /, **values: object) -> str:
    """Say what the person at the desk is to do now.

    Args:
        name: a `driver.Prompt`, or ``lift_card``.
        values: `encoder`, and as `card` the uid of the card beside the prompt.

    Raises:
        KeyError: there is no such prompt.
    """
    return _fill(_TEXTS.prompts[name], values)


def effect(name: str, /) -> str:
    """Say what a card does to earlier ones: `replaces_earlier_cards`, `joins_earlier_cards` or `updates`.

    Raises:
        KeyError: there is no such effect.
    """
    return _TEXTS.effects[name]


def not_enforced(name: str, /) -> str:
    """Say what this encoder leaves to the person at the desk: `card_in_use` or `lift`.

    Raises:
        KeyError: there is no such rule.
    """
    return _TEXTS.not_enforced[name]


def _fill(template: str, values: Mapping[str, object]) -> str:
    """Put phrases where the placeholders are, in one pass, so that no value is read as a template."""

    def told(match: re.Match[str]) -> str:
        phrase = _TEXTS.placeholders[match[1]]
        value = values.get(match[1])
        shown = "" if value is None else "".join(char if char.isprintable() else "�" for char in str(value))
        return phrase.known.replace(match[0], shown) if shown else phrase.unknown

    return _PLACEHOLDER.sub(told, template)
