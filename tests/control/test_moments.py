"""Moments as they are typed."""

from __future__ import annotations

import click
import pytest

from encoder_bridge.cli.moments import parse


@pytest.mark.parametrize(
    ("text", "zone", "meant"),
    [
        ("2025-07-12T15:00", "Asia/Tokyo", "2025-07-12T15:00:00+09:00"),
        ("2025-07-12 15:00", "Europe/Berlin", "2025-07-12T15:00:00+02:00"),
        ("2025-01-12", "Europe/Berlin", "2025-01-12T00:00:00+01:00"),
        ("2025-10-26T02:30+01:00", "Europe/Berlin", "2025-10-26T02:30:00+01:00"),
        ("2025-07-12T15:00Z", None, "2025-07-12T15:00:00+00:00"),
    ],
)
def test_a_moment_is_the_propertys_unless_it_says_otherwise(text: str, zone: str | None, meant: str) -> None:
    assert parse("--from", text, zone).isoformat() == meant


@pytest.mark.parametrize(
    ("text", "zone", "why"),
    [
        ("2025-03-30T02:30", "Europe/Berlin", "does not exist in Europe/Berlin"),
        ("2025-10-26T02:30", "Europe/Berlin", "comes twice in Europe/Berlin"),
        ("noon", "Europe/Berlin", "'noon' is no moment"),
        ("2025-07-12T15:00", None, "needs an offset"),
    ],
)
def test_a_moment_that_is_not_exactly_one_is_refused(text: str, zone: str | None, why: str) -> None:
    with pytest.raises(click.UsageError, match=why):
        parse("--from", text, zone)
