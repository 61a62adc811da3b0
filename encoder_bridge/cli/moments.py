"""A moment as it is typed: with an offset, or by the clock on the property's wall."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click


def parse(option: str, text: str, zone: str | None) -> datetime:
    """Read a moment; without an offset it is the property's local time.

    Args:
        option: what it was typed for.
        text: ISO 8601, such as 2025-07-12T15:00.
        zone: the property's; None: not known.

    Raises:
        click.UsageError: it is no moment, or not exactly one.
    """
    try:
        typed = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{option}: {text!r} is no moment: write it like 2025-07-12T15:00.") from None
    if typed.tzinfo is not None:
        return typed
    if zone is None:
        raise click.UsageError(f"{option}: {text} needs an offset, such as {text}+02:00: the time zone is not known.")
    local = typed.replace(tzinfo=ZoneInfo(zone))
    if local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) != typed:
        raise click.UsageError(
            f"{option}: {text} does not exist in {zone}, where clocks are put forward: take another."
        )
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        raise click.UsageError(f"{option}: {text} comes twice in {zone}, where clocks are put back: add the offset.")
    return local
