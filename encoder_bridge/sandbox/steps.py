"""What a simulation tells: its steps, and how each job ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Tone = Literal["plain", "faint", "good", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened."""

    kind: str
    """Stable word for programs."""
    who: str
    """`trigger`, `bridge`, `broker` or an encoder's name."""
    sentence: str
    tone: Tone = "plain"
    access_method_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """More for programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How it ended for an access method."""

    is_issued: bool
    error_type: str | None = None
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one of the planned jobs did."""

    access_method_id: str
    end: End | None
    """None: it has not ended."""
    is_right: bool
    """Whether it was issued, or failed with a fault that was asked for and allows no card."""

    @property
    def is_issued(self) -> bool:
        """Whether there is a card."""
        return self.end is not None and self.end.is_issued

    @property
    def outcome(self) -> str:
        """One word for it."""
        if self.end is None:
            return "not_ended"
        return "issued" if self.end.is_issued else self.end.error_type or str(self.end.report.get("state"))
