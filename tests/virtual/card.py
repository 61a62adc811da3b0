"""What every virtual card offers: the frames of `encoder_bridge_cards.link`, and a way to lose power."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from encoder_bridge_cards.link import Activation, Link, NoAnswer


class VirtualCard(Link, Protocol):
    """A card in software that enforces what the plastic enforces.

    `activate` selects it (sessions and authentications end), `exchange` acts on one frame at once and answers; a
    refusal raises `Refused` and costs the session.  Its memory outlives both.
    """

    atqa: bytes
    sak: int
    ats: bytes
    """Empty for a card that is not of ISO/IEC 14443-4; else TL first, as the card sends it."""

    def interrupt(self, frame: bytes) -> None:
        """Lose power in the middle of acting on `frame`, in the worst way its data sheet allows."""

    def snapshot(self) -> Hashable:
        """All that outlives a loss of power and that a reader could ever notice."""


class Tear(Link):
    """A link to a virtual card that breaks at one exchange and stays broken until the card is laid down again.

    Args:
        card: the card.
        at: the number of the exchange that breaks, counted from 0; None: none does.
        how: ``before``: the card never saw the frame; ``during``: it lost power while it acted; ``after``: it acted,
            and the reply was lost.
    """

    def __init__(self, card: VirtualCard, at: int | None = None, how: str = "before") -> None:
        self.card = card
        self.exchanges = 0
        self.sent = 0
        """Bytes of all frames so far."""
        self.received = 0
        self._at = at
        self._how = how
        self._is_torn = False

    @property
    def is_torn(self) -> bool:
        return self._is_torn

    def activate(self) -> Activation:
        if self._is_torn:
            raise NoAnswer
        return self.card.activate()

    def exchange(self, frame: bytes) -> bytes:
        if self._is_torn:
            raise NoAnswer
        number, self.exchanges = self.exchanges, self.exchanges + 1
        if number == self._at:
            self._is_torn = True
            if self._how == "during":
                self.card.interrupt(frame)
            elif self._how == "after":
                self._act(frame)
            raise NoAnswer
        self.sent += len(frame)
        answer = self.card.exchange(frame)
        self.received += len(answer)
        return answer

    def _act(self, frame: bytes) -> None:
        try:
            self.card.exchange(frame)
        except Exception:
            return
