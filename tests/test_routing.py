"""Which rule a card falls under."""

from __future__ import annotations

from typing import Any

import pytest

from encoder_bridge.routing import Facts, Route, find

FACTS = Facts(entrances=("tower/101", "spa"), spaces=("space-1", "space-2"), acs_system="system-1", requester="booking")


def rule(**conditions: tuple[str, ...]) -> Route:
    return Route(encoders=("left",), **conditions)


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"entrances": ("tower/101",)},
        {"entrances": ("tower/*",)},
        {"entrances": ("tower/10?",)},
        {"entrances": ("*",)},
        {"entrances": ("garage", "spa")},
        {"spaces": ("space-2",)},
        {"acs_systems": ("system-*",)},
        {"requesters": ("booking", "reception")},
        {"entrances": ("spa",), "spaces": ("space-1",), "acs_systems": ("system-1",), "requesters": ("book*",)},
    ],
)
def test_a_rule_fits_whose_every_condition_is_met_by_one_pattern(conditions: dict[str, Any]) -> None:
    assert find([rule(**conditions)], FACTS) == rule(**conditions)


@pytest.mark.parametrize(
    "conditions",
    [
        {"entrances": ("tower",)},
        {"entrances": ("TOWER/*",)},
        {"entrances": ("tower/10",)},
        {"spaces": ("tower/101",)},
        {"acs_systems": ("system-2",)},
        {"requesters": ("",)},
        {"entrances": ("spa",), "spaces": ("space-3",)},
        {"entrances": ("spa",), "requesters": ("reception",)},
    ],
)
def test_a_rule_does_not_fit_of_which_one_condition_is_not_met(conditions: dict[str, Any]) -> None:
    assert find([rule(**conditions)], FACTS) is None


@pytest.mark.parametrize("kind", ["entrances", "spaces", "acs_systems", "requesters"])
def test_what_is_not_known_of_a_card_meets_no_pattern(kind: str) -> None:
    assert find([rule(**{kind: ("*",)})], Facts()) is None


def test_the_first_rule_that_fits_counts() -> None:
    rules = [
        Route(encoders=("attic",), entrances=("attic/*",)),
        Route(encoders=("left",), entrances=("tower/*",)),
        Route(encoders=("right",), entrances=("spa",)),
        Route(encoders=("any",)),
    ]
    assert find(rules, FACTS) == rules[1]
    assert find(rules, Facts(entrances=("spa", "pool"))) == rules[2]
    assert find(rules, Facts()) == rules[3]


def test_without_a_default_a_card_may_fall_under_no_rule() -> None:
    assert find([], FACTS) is None
    assert find([rule(entrances=("attic",))], FACTS) is None
