"""What keeps strangers off the pages of a card: the part in which the technologies differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from encoder_bridge_cards.type2.locks import LockBits

Done = Callable[[], object]
"""Told after every page that was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shield:
    """From which page on a card wants its key, and what for."""

    first_page: int
    hides: bool
    """Reading wants it too, not only writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """How a card is guarded."""

    shield: Shield
    counts_tries: bool
    """After some wrong keys it takes none any more, for ever."""
    is_frozen: bool
    """Nobody can change its guard any more."""


class Opening(Enum):
    """What came of a key."""

    REFUSED = "refused"
    PARTLY = "partly"
    """It opens the card, but something that belongs to it is another."""
    OPEN = "open"


class Guard(Protocol):
    """The guard of one card."""

    @property
    def technology(self) -> str:
        """See `Card.technology`."""

    @property
    def last_page(self) -> int:
        """Of the user's memory."""

    @property
    def last_protectable(self) -> int:
        """The highest page from which protection may begin, so that it comprises the guard itself."""

    @property
    def end(self) -> int:
        """The last page of all that can be protected; a shield beyond it protects nothing."""

    @property
    def locks(self) -> tuple[LockBits, ...]:
        """All lock bits of user pages."""

    @property
    def message_size(self) -> int:
        """Bytes that the card's capability container announces for NDEF."""

    @property
    def key_pages(self) -> int:
        """How many pages a key takes."""

    @property
    def may_count_tries(self) -> bool:
        """Whether cards of this kind can be set to take no key any more after some wrong ones."""

    @property
    def takes_keys(self) -> bool:
        """Whether the reader can carry a key to the card."""

    def look(self) -> Configuration | None:
        """How the card is guarded; None where that is hidden, and the card was selected anew."""

    def open(self, key: bytes) -> Opening:
        """Try a key.  Refused, the card was selected anew."""

    def lift(self, done: Done) -> None:
        """Guard nothing any more, after `look`, and see that it is so.

        Raises:
            Mismatch: it is not.
        """

    def put_key(self, key: bytes, done: Done) -> None:
        """Bring a key onto a card that guards nothing, and prove it; the card is open then.

        Raises:
            Mismatch: it does not open the card.
        """

    def put(self, shield: Shield, done: Done) -> None:
        """Guard the card, after `look`."""
