"""Reads every card of a simulated stock; shares no code with the driver, so that a test has a second opinion.

file   "EBSTOCK1" | technology 16 | blocks u16 | flags u16 | 36 zeros | blocks of 16 bytes
blocks "EBSC" | layout u8 = 1 | u8 | size u16 | sequence u64 | JSON of size bytes | CRC-32 | zeros
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any


def read_cards(stock: Path) -> dict[str, dict[str, Any] | str]:
    """uid -> what the card carries (the credential with its `sequence`), "blank" or "torn"."""
    return {path.stem: read_card(path.read_bytes()) for path in sorted(stock.glob("*.card"))}


def read_card(file: bytes) -> dict[str, Any] | str:
    blocks = int.from_bytes(file[24:26], "big")
    content = file[64:]
    if file[:8] != b"EBSTOCK1" or len(content) != 16 * blocks:
        return "torn"
    if content.count(0) == len(content):
        return "blank"
    magic, layout, size, sequence = struct.unpack(">4sBxHQ", content[:16])
    body, check, rest = content[16 : 16 + size], content[16 + size : 20 + size], content[20 + size :]
    crc = zlib.crc32(content[: 16 + size]).to_bytes(4, "big")
    if (magic, layout, check) != (b"EBSC", 1, crc) or rest.count(0) != len(rest):
        return "torn"
    return {**json.loads(body), "sequence": sequence}
