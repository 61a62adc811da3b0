"""SIGKILL at any moment: nothing acknowledged is lost, nothing is told that is not on a card, nothing is made twice."""

from __future__ import annotations

import pytest

from kill.matrix import record, strike, strike_newborn
from kill.rig import Rig

MUST_BE_THERE = {
    *(
        f"commit.{operation}"
        for operation in ("migrate", "recover", "standing", "accept", "claim", "intend", "issue", "pending", "told")
    ),
    *(f"publish.{kind}" for kind in ("info", "availability", "encoder", "response", "job", "event")),
    *("subscribe", "puback", "intend", "block", "read_back", "stock.lay_fresh", "stock.lift"),
}
"""Boundaries that a run without a kill must come by, so that a renamed method does not silently empty the matrix."""


def names(points: list[str]) -> set[str]:
    return {point.rpartition(".")[0] for point in points}


@pytest.mark.slow
def test_a_kill_at_any_point_of_a_need_costs_nothing(rig: Rig) -> None:
    points = record(rig, "record")
    assert MUST_BE_THERE - names(points) == set()
    count = strike(rig, "once", points)
    print(f"\nkilled anywhere:      {count}")
    assert_complete(points, count.missed)


@pytest.mark.slow
def test_a_kill_at_the_very_first_start_costs_nothing(rig: Rig) -> None:
    count = strike_newborn(rig, "newborn", record(rig, "record"))
    print(f"\nkilled when new:      {count}")
    assert count.missed == []


@pytest.mark.slow
def test_a_second_kill_at_any_point_of_the_recovery_costs_nothing(rig: Rig) -> None:
    points = record(rig, "record", "block.after@5")
    assert {"commit.recover", "commit.claim", "commit.intend", "stock.lay", "block"} - names(points) == set()
    count = strike(rig, "twice", points, "block.after@5")
    print(f"\nkilled in recovery:   {count}")
    assert_complete(points, count.missed)


@pytest.mark.slow
def test_a_second_kill_while_a_finished_card_is_looked_at_again_costs_nothing(rig: Rig) -> None:
    points = record(rig, "record", "commit.issue.before@1")
    assert "block" not in names(points)
    count = strike(rig, "looked", points, "commit.issue.before@1")
    print(f"\nkilled at the look:   {count}")
    assert_complete(points, count.missed)


def assert_complete(points: list[str], missed: list[str]) -> None:
    """How messages and commits were batched decides how often some points come; the first of each always comes."""
    assert [point for point in missed if point.endswith("@1")] == []
    assert len(missed) <= len(points) // 5
