"""Who may do what in a sector: the access bits of its trailer (NXP MF1S50yyX/V1, section 8.7).

Each of the four groups of blocks has three bits C1 C2 C3; group 3 is the trailer.  They are stored twice, once
inverted, in three bytes.  The bit of group i stands at place i of each nibble::

    byte 6        byte 7        byte 8
    ~C2 | ~C1     C1 | ~C3      C3 | C2

Copies that do not agree block the sector for ever, so nothing but `encode` and `decode` makes or believes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class By(Enum):
    """Which of a sector's keys was shown; the value is the command that shows it."""

    A = 0x60
    B = 0x61


class Malformed(ValueError):
    """Three bytes are no access bits: their two copies do not agree."""

    def __init__(self) -> None:
        super().__init__("the two copies of the access bits do not agree")


_NOBODY: frozenset[By] = frozenset()
_A = frozenset({By.A})
_B = frozenset({By.B})
_BOTH = _A | _B

_DATA: Mapping[int, tuple[frozenset[By], frozenset[By]]] = {
    0b000: (_BOTH, _BOTH),
    0b001: (_BOTH, _NOBODY),
    0b010: (_BOTH, _NOBODY),
    0b011: (_B, _B),
    0b100: (_BOTH, _B),
    0b101: (_B, _NOBODY),
    0b110: (_BOTH, _B),
    0b111: (_NOBODY, _NOBODY),
}
"""By C1 C2 C3: who reads and who writes a block of data."""
_TRAILER: Mapping[int, tuple[frozenset[By], frozenset[By], frozenset[By]]] = {
    0b000: (_A, _NOBODY, _A),
    0b001: (_A, _A, _A),
    0b010: (_NOBODY, _NOBODY, _NOBODY),
    0b011: (_B, _B, _B),
    0b100: (_B, _NOBODY, _B),
    0b101: (_NOBODY, _B, _NOBODY),
    0b110: (_NOBODY, _NOBODY, _NOBODY),
    0b111: (_NOBODY, _NOBODY, _NOBODY),
}
"""By C1 C2 C3: who writes key A, the access bits and key B."""
_B_IS_DATA = (0b000, 0b001, 0b010)
"""Trailers whose key B can be read, and therefore opens nothing."""


@dataclass(frozen=True, slots=True)
class AccessBits:
    """The access bits of one sector."""

    groups: tuple[int, int, int, int]
    """C1 C2 C3 of each group as a number from 0 to 7; the last is the trailer's."""

    @classmethod
    def decode(cls, stored: bytes) -> AccessBits:
        """Read three bytes of a trailer.

        Raises:
            Malformed: their copies do not agree: they would block the sector.
        """
        if len(stored) != 3:
            raise Malformed
        c1, c2, c3 = stored[1] >> 4, stored[2] & 0x0F, stored[2] >> 4
        if (stored[0] & 0x0F, stored[0] >> 4, stored[1] & 0x0F) != (c1 ^ 0x0F, c2 ^ 0x0F, c3 ^ 0x0F):
            raise Malformed
        a, b, c, d = ((c1 >> i & 1) << 2 | (c2 >> i & 1) << 1 | (c3 >> i & 1) for i in range(4))
        return cls((a, b, c, d))

    def encode(self) -> bytes:
        """Make the three bytes of a trailer."""
        c1, c2, c3 = (sum((bits >> shift & 1) << i for i, bits in enumerate(self.groups)) for shift in (2, 1, 0))
        return bytes([(c2 ^ 0x0F) << 4 | c1 ^ 0x0F, c1 << 4 | c3 ^ 0x0F, c3 << 4 | c2])

    @property
    def opens_with_b(self) -> bool:
        """Whether key B is a key; where it can be read it opens nothing."""
        return self.groups[3] not in _B_IS_DATA

    def readers(self, group: int) -> frozenset[By]:
        """Which keys read the data of a group."""
        return self._real(_DATA[self.groups[group]][0])

    def writers(self, group: int) -> frozenset[By]:
        """Which keys write the data of a group."""
        return self._real(_DATA[self.groups[group]][1])

    @property
    def changers(self) -> frozenset[By]:
        """Which keys change the whole trailer: both keys and the access bits."""
        key_a, bits, key_b = _TRAILER[self.groups[3]]
        return self._real(key_a & bits & key_b)

    def _real(self, keys: frozenset[By]) -> frozenset[By]:
        return keys if self.opens_with_b else keys - _B


TRANSPORT = AccessBits((0b000, 0b000, 0b000, 0b001))
"""``FF 07 80``: as cards are delivered; key A does everything."""
ISSUED = AccessBits((0b100, 0b100, 0b100, 0b011))
"""``78 77 88``: both keys read, key B writes and changes the trailer."""
NDEF = AccessBits((0b000, 0b000, 0b000, 0b011))
"""``7F 07 88``: both keys read and write, key B changes the trailer (NXP AN1305)."""
