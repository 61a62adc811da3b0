"""What was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NEVER_ISSUED = frozenset({"credential_cannot_be_reissued", "credential_deleted"})
"""Faults after which no card may be made: the job does right when it fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One simulation."""

    jobs: int = 1
    """Triggers to send; none: only what an earlier run has left in the store is finished."""
    encoders: int = 1
    rate: float | None = None
    """Triggers per second; None: all at once."""
    latency_s: float = 0.08
    """Seconds the encoder takes for a block."""
    place_s: float = 0.8
    """Seconds the clerk takes to lay a card."""
    faults: tuple[str, ...] = ()
    """What goes wrong in the next encodes, one by one."""
    cards: Path | None = None
    """Folder of the cards, kept; None: beside a store that is kept, else one that is removed at the end."""
    store: Path | None = None
    """Folder of the jobs, kept; None: one that is removed at the end."""
    once: bool = False
    time_zone: str = "UTC"
    limit_s: float = 60.0
    """Seconds that may pass until a job has ended, counted from the last one's end."""

    @property
    def encoder_names(self) -> list[str]:
        """desk-1, desk-2 and so on."""
        return [f"desk-{number}" for number in range(1, self.encoders + 1)]

    def faults_of(self, index: int) -> tuple[str, ...]:
        """What goes wrong at one encoder: the encoders take their turns as they take the first jobs."""
        return self.faults[index :: self.encoders]
