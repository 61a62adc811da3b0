"""What a contactless reader's ATR tells of the card.

A reader makes one up (PC/SC part 3, sections 3.1.3.2.3.1 and 3.1.3.2.3.2; names of cards in its supplement)::

    3B 8F 80 01 | 80 4F 0C | A0 00 00 03 06 | standard | name[2] | rest[4] | TCK     a storage card
    3B 8n 80 01 | historical bytes[n] | TCK                                          a card of ISO/IEC 14443-4
"""

from __future__ import annotations

from encoder_bridge_cards.link import Family

_STORAGE = bytes.fromhex("80 4F 0C A0 00 00 03 06")
_ISO_14443_A = 0x03

_NAMES: dict[int, tuple[Family, int]] = {
    0x0001: (Family.CLASSIC, 64),
    0x0002: (Family.CLASSIC, 256),
    0x0026: (Family.CLASSIC, 20),
    0x0003: (Family.TYPE_2, 0),  # Ultralight, Ultralight C and every NTAG21x
    0x003A: (Family.TYPE_2, 0),  # Ultralight C where a reader tells it
    0x003D: (Family.TYPE_2, 0),  # Ultralight EV1 where a reader tells it
}
_SAKS: dict[int, tuple[Family, int]] = {
    0x00: (Family.TYPE_2, 0),
    0x08: (Family.CLASSIC, 64),
    0x88: (Family.CLASSIC, 64),
    0x18: (Family.CLASSIC, 256),
    0x09: (Family.CLASSIC, 20),
}
_BY_SAK = 0xFF
"""First byte of a name that ACS readers make of a SAK (ACR122U API 2.04, section 3.1)."""


def told(atr: bytes) -> tuple[Family, int]:
    """The card's family, and for a Classic its blocks."""
    if atr[4:12] == _STORAGE and len(atr) >= 15:
        standard, name = atr[12], int.from_bytes(atr[13:15], "big")
        if standard != _ISO_14443_A:
            return Family.OTHER, 0
        if name >> 8 == _BY_SAK:
            return _SAKS.get(name & 0xFF, (Family.OTHER, 0))
        return _NAMES.get(name, (Family.OTHER, 0))
    return Family.ISO_DEP, 0
