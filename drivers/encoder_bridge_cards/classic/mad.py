"""The MIFARE Application Directory, which says whose each sector is (NXP AN10787).

Version 1 speaks of sectors 1 to 15 and lies in sector 0; version 2 adds sectors 17 to 39 in sector 16::

    sector 0,  blocks 1 and 2:     CRC | info | 15 application ids of 2 bytes
    sector 16, blocks 64 to 66:    CRC | info | 23 application ids of 2 bytes

An application id is stored low byte (application code) first, then its function cluster code.  The CRC (polynomial
1D, preset C7, most significant bit first) runs over all that follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from encoder_bridge_cards.classic import geometry
from encoder_bridge_cards.classic.geometry import BLOCK

KEY_A = bytes.fromhex("A0A1A2A3A4A5")
"""Opens the directory's own sectors to everyone."""
NDEF_KEY_A = bytes.fromhex("D3F7D3F7D3F7")
"""Opens the sectors of NDEF to everyone."""
NDEF_AID = 0xE103
FREE = 0x0000
"""The id of a sector that is nobody's."""
LARGEST_RESERVED = 0x00FF
"""Ids up to here are the directory's own: free, defect, reserved, card holder and so on."""

AVAILABLE = 0x80
"""Bit of the general-purpose byte of sector 0: there is a directory."""
MANY = 0x40
"""Bit of the general-purpose byte: the card may carry several applications."""


def crc(followers: bytes) -> int:
    """The checksum over the info byte and the ids."""
    value = 0xC7
    for byte in followers:
        value ^= byte
        for _ in range(8):
            value = value << 1 ^ (0x11D if value & 0x80 else 0)
    return value


def general_purpose_byte(version: int) -> int:
    """What sector 0 says about the directory."""
    return AVAILABLE | MANY | version


def version_of(general_purpose: int) -> int:
    """The version of a directory, by the general-purpose byte of sector 0; 0: there is none."""
    return general_purpose & 0x03 if general_purpose & AVAILABLE else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The part of a directory that lies in one sector."""

    home: int
    """The sector it lies in: 0 or 16."""
    info: int = 0
    """The card publisher's sector, 0 where none is named."""
    ids: Mapping[int, int] = field(default_factory=dict)
    """By sector; a sector that is not named is free."""

    @property
    def speaks_of(self) -> range:
        """The sectors it has an entry for."""
        return range(1, 16) if self.home == 0 else range(17, 40)

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks it lies in."""
        return geometry.data(self.home)

    def encode(self) -> bytes:
        """Its bytes, checksum first: 32 or 48."""
        ids = (self.ids.get(sector, FREE).to_bytes(2, "little") for sector in self.speaks_of)
        body = bytes([self.info]) + b"".join(ids)
        return bytes([crc(body)]) + body

    def claiming(self, sectors: tuple[int, ...], aid: int) -> Page:
        """The same page with those of `sectors` that it speaks of given to an application."""
        return replace(self, ids={**self.ids, **{sector: aid for sector in sectors if sector in self.speaks_of}})


def decode(home: int, stored: bytes) -> Page:
    """Read a page whatever its checksum says; the caller compares byte 0 with what `Page.encode` makes of it."""
    empty = Page(home=home)
    if len(stored) != len(empty.blocks) * BLOCK:
        raise ValueError("a page of a directory has another length")
    ids = {sector: int.from_bytes(stored[2 * i + 2 : 2 * i + 4], "little") for i, sector in enumerate(empty.speaks_of)}
    return replace(empty, info=stored[1], ids=ids)
