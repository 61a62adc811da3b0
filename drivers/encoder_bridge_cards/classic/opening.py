"""Finding out which key opens a sector, and what it may do there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from encoder_bridge.driver import CardRejected
from encoder_bridge_cards.classic import geometry
from encoder_bridge_cards.classic.access_bits import AccessBits, By, Malformed
from encoder_bridge_cards.classic.plan import Wanted
from encoder_bridge_cards.classic.session import Session
from encoder_bridge_cards.link import Refused
from encoder_bridge_cards.personalisation import Mismatch

Try = tuple[By, bytes]
"""One way that may open a sector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A sector under one of its keys."""

    sector: int
    by: By
    key: bytes = field(repr=False)
    access: AccessBits
    general_purpose: int

    @property
    def reads_all(self) -> bool:
        """Whether every block of data can be read."""
        return all(self.by in self.access.readers(geometry.group(block)) for block in geometry.data(self.sector))

    @property
    def writes_all(self) -> bool:
        """Whether every block of data can be read and written."""
        return self.reads_all and all(
            self.by in self.access.writers(geometry.group(block)) for block in geometry.data(self.sector)
        )

    @property
    def changes_all(self) -> bool:
        """Whether data, keys and access bits can be written."""
        return self.writes_all and self.by in self.access.changers


def tries(wanted: Wanted, *, is_likely_ours: bool) -> tuple[Try, ...]:
    """The ways into a sector, the likeliest first.

    Args:
        wanted: the sector.
        is_likely_ours: it was begun, or the card's directory says that it is ours: there are our keys or a mixture.
    """
    fresh = [(By.A, key) for key in wanted.transport]
    key_a = [(By.A, key) for key in wanted.key_a]
    key_b = [(By.B, key) for key in wanted.key_b]
    ways = key_b[:1] + key_a[:1] + key_b[1:] + key_a[1:] + fresh if is_likely_ours else fresh + key_b + key_a
    return tuple(dict.fromkeys(ways + [(By.B, key) for key in wanted.transport]))


def openings(session: Session, sector: int, ways: Iterable[Try]) -> Iterator[Opened]:
    """Open a sector in one way after the other.

    Raises:
        CardRejected: its access bits are damaged.
        LinkError: the link broke off.
    """
    for by, key in ways:
        if not session.opens(sector, by, key):
            continue
        try:
            trailer = session.read(geometry.trailer(sector))
        except Refused:  # a key B that can be read opens a sector and then nothing in it
            continue
        try:
            access = AccessBits.decode(trailer[6:9])
        except Malformed:
            raise locked(sector) from None
        yield Opened(sector=sector, by=by, key=key, access=access, general_purpose=trailer[9])


def find(session: Session, wanted: Wanted, ways: tuple[Try, ...], *, resuming: bool) -> Opened:
    """Open a sector with a key that may do everything there.

    Raises:
        CardRejected: there is no such key among ours, or on the card at all.
        LinkError: the link broke off.
    """
    for opened in openings(session, wanted.sector, ways):
        if opened.changes_all:
            return opened
        if opened.by in opened.access.changers or not opened.access.changers:
            raise locked(wanted.sector)
    raise unknown(session, wanted.sector, resuming=resuming)


def reopen(session: Session, opened: Opened) -> None:
    """Open a sector once more.

    Raises:
        Mismatch: its key does not open it any more.
        LinkError: the link broke off.
    """
    if not session.opens(opened.sector, opened.by, opened.key):
        session.select()
        raise Mismatch(f"key of sector {opened.sector}")


def unknown(session: Session, sector: int, *, resuming: bool) -> CardRejected:
    """What to say of a sector that none of our keys opens.

    Raises:
        LinkError: no key opened it because the card is gone.
    """
    session.select()
    if resuming:
        return CardRejected(
            f"The keys of sector {sector} were lost when this card was lifted: set it aside and take another one.",
            raw="keys_lost",
        )
    return CardRejected(
        f"This card has keys in sector {sector} that are not ours: take another one.", raw="unknown_key"
    )


def locked(sector: int) -> CardRejected:
    """What to say of a sector that nobody can change."""
    return CardRejected(f"Sector {sector} of this card is locked: take another one.", raw="card_locked")


def foreign(sector: int) -> CardRejected:
    """What to say of a sector with somebody else's data."""
    return CardRejected(
        f"Sector {sector} of this card is used by another system: take another card.", raw="foreign_content"
    )
