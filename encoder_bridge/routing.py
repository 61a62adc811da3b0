"""Which encoders make a card that names none: rules over what is known of it, the first that fits counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One rule.  A condition is a set of patterns (`*`, `?`), met if one of them fits; one that is empty is met."""

    encoders: tuple[str, ...]
    """Any of these makes the card."""
    backup: tuple[str, ...] = ()
    """These take over when all of `encoders` are offline."""
    entrances: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    acs_systems: tuple[str, ...] = ()
    requesters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a rule can look at."""

    entrances: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    acs_system: str | None = None
    requester: str | None = None


def find(routes: Sequence[Route], facts: Facts) -> Route | None:
    """The first rule that fits; None: none does."""
    return next((route for route in routes if _fits(route, facts)), None)


def _fits(route: Route, facts: Facts) -> bool:
    return (
        _meets(route.entrances, facts.entrances)
        and _meets(route.spaces, facts.spaces)
        and _meets(route.acs_systems, (facts.acs_system,))
        and _meets(route.requesters, (facts.requester,))
    )


def _meets(patterns: Iterable[str], values: Iterable[str | None]) -> bool:
    wanted = tuple(patterns)
    return not wanted or any(fnmatchcase(value, pattern) for value in values if value for pattern in wanted)
