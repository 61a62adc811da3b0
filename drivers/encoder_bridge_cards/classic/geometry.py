"""Where sectors and blocks are (NXP MF1S50yyX/V1 and MF1S70yyX/V1, memory organisation).

Sectors 0 to 31 have 4 blocks, sectors 32 to 39 have 16.  The last block of a sector is its trailer; block 0 is the
manufacturer's.
"""

from __future__ import annotations

from collections.abc import Mapping

BLOCK = 16
"""Bytes of a block."""
SECTORS: Mapping[int, int] = {20: 5, 64: 16, 256: 40}
"""How many sectors a card with so many blocks has."""
TECHNOLOGIES: Mapping[int, str] = {20: "mifare_classic_mini", 64: "mifare_classic_1k", 256: "mifare_classic_4k"}

_SHORT = 32
"""So many sectors of 4 blocks come first."""


def first(sector: int) -> int:
    """The first block of a sector."""
    return sector * 4 if sector < _SHORT else _SHORT * 4 + (sector - _SHORT) * 16


def trailer(sector: int) -> int:
    """The last block of a sector: its keys and access bits."""
    return first(sector + 1) - 1


def data(sector: int) -> tuple[int, ...]:
    """The blocks of a sector that hold data: neither its trailer nor the manufacturer's block."""
    return tuple(range(max(first(sector), 1), trailer(sector)))


def sector_of(block: int) -> int:
    """The sector that a block belongs to."""
    return block // 4 if block < _SHORT * 4 else _SHORT + (block - _SHORT * 4) // 16


def group(block: int) -> int:
    """Which of a sector's four groups of access bits rules a block; 3 is the trailer's."""
    within = block - first(sector_of(block))
    return within if block < _SHORT * 4 else within // 5
