"""What a profile wants of the sectors of one card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from encoder_bridge_cards.classic import access_bits, geometry, mad
from encoder_bridge_cards.classic.access_bits import AccessBits
from encoder_bridge_cards.keys import CardKey

TRANSPORT_KEY = b"\xff" * 6
"""Both keys of every sector of a card as it is delivered."""
TRANSPORT_BYTE = 0x69
"""The general-purpose byte of every sector of a card as it is delivered."""
NDEF_BYTE = 0x40
"""The general-purpose byte of a sector with NDEF (NXP AN1305): version 1, read and write."""
PUBLIC_KEYS = frozenset({TRANSPORT_KEY, bytes(6), mad.KEY_A, mad.NDEF_KEY_A})
"""Keys that say nothing about who wrote a card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How one sector is to be left, and the keys that may open it until then."""

    sector: int
    key_a: tuple[bytes, ...] = field(repr=False)
    """The newest first."""
    key_b: tuple[bytes, ...] = field(repr=False)
    """The newest first."""
    transport: tuple[bytes, ...] = field(repr=False)
    """Keys of a card as it is delivered."""
    access: AccessBits
    general_purpose: int

    def proves(self, key: bytes) -> bool:
        """Whether a key that opens the sector is a secret of ours."""
        return key not in PUBLIC_KEYS and key not in self.transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The table of a profile; no key, only the ways to keys."""

    sectors: tuple[int, ...]
    """Rising."""
    key_a: CardKey | None
    """None: the public one of NDEF."""
    key_b: CardKey | None
    """None: the one cards are delivered with."""
    transport: CardKey | None
    """None: `TRANSPORT_KEY`."""
    aid: int | None
    """Application id in the directory; None: no directory is written."""
    mad_key_b: CardKey | None
    """None: the one cards are delivered with."""
    ndef: bool

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks of the profile's area, in order."""
        return tuple(block for sector in self.sectors for block in geometry.data(sector))

    @property
    def is_diversified(self) -> bool:
        """Whether any key hangs on the card's number."""
        keys = (self.key_a, self.key_b, self.transport, self.mad_key_b)
        return any(key is not None and key.diversify is not None for key in keys)

    @property
    def homes(self) -> tuple[int, ...]:
        """The sectors of the directory: none, 0, or 0 and 16."""
        if self.aid is None:
            return ()
        return (0, 16) if self.sectors[-1] > 16 else (0,)

    def wanted(self, uid: bytes) -> Iterator[Wanted]:
        """The profile's sectors on the card with this number, in order.

        Raises:
            Exception: whatever fetching a secret raises.
        """
        transport = self._transport(uid)
        key_a = _values(self.key_a, uid) or (mad.NDEF_KEY_A,)
        key_b = _values(self.key_b, uid) or transport[:1]
        for sector in self.sectors:
            yield Wanted(
                sector=sector,
                key_a=key_a,
                key_b=key_b,
                transport=transport,
                access=access_bits.NDEF if self.ndef else access_bits.ISSUED,
                general_purpose=NDEF_BYTE if self.ndef else TRANSPORT_BYTE,
            )

    def directory(self, uid: bytes) -> Iterator[Wanted]:
        """The directory's sectors on the card with this number, in order.

        Raises:
            Exception: whatever fetching a secret raises.
        """
        transport = self._transport(uid)
        key_b = _values(self.mad_key_b, uid) or transport[:1]
        for home in self.homes:
            yield Wanted(
                sector=home,
                key_a=(mad.KEY_A,),
                key_b=key_b,
                transport=transport,
                access=access_bits.ISSUED,
                general_purpose=mad.general_purpose_byte(len(self.homes)) if home == 0 else 0,
            )

    def _transport(self, uid: bytes) -> tuple[bytes, ...]:
        return _values(self.transport, uid) or (TRANSPORT_KEY,)


def _values(key: CardKey | None, uid: bytes) -> tuple[bytes, ...]:
    return tuple(one.value for one in key.of(uid)) if key is not None else ()
