"""Run the contract without pytest's collection: one behaviour against one bench, told as a word."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from encoder_bridge.testing import EncoderContract, Rig

BEHAVIOURS = tuple(sorted(name for name in dir(EncoderContract) if name.startswith("test_")))


def failure(name: str, bench: Callable[[], Rig]) -> str | None:
    """What one behaviour says against a new bench; None if it passes.

    Raises:
        pytest.skip.Exception: the device has no such ability.
    """
    try:
        getattr(EncoderContract(), name)(bench())
    except pytest.skip.Exception:
        raise
    except (Exception, pytest.fail.Exception) as error:
        return f"{type(error).__name__}: {error}"
    return None


def judge(bench: Callable[[], Rig], behaviours: Iterable[str] = BEHAVIOURS) -> tuple[dict[str, str], dict[str, str]]:
    """All behaviours that fail and all that do not apply, with what they say."""
    failed, skipped = {}, {}
    for name in behaviours:
        try:
            said = failure(name, bench)
        except pytest.skip.Exception as reason:
            skipped[name] = str(reason)
            continue
        if said is not None:
            failed[name] = said
    return failed, skipped
