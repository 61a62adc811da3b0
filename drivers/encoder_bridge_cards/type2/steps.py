"""Telling how far the writing of a card is."""

from __future__ import annotations

from encoder_bridge_cards.personalisation import Progress


class Steps:
    """Effects on a card, counted.

    Args:
        total: how many there will be.
        progress: told after each of them.
    """

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._done = 0
        self._progress = progress

    def done(self) -> None:
        """Count one effect and tell."""
        self._done += 1
        self._progress(self._done, self._total)
