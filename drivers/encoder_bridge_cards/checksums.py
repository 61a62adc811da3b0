"""The checksums of contactless cards, as their bytes stand on the wire or on the card."""

from __future__ import annotations

import zlib


def crc_a(data: bytes) -> bytes:
    """CRC_A of ISO/IEC 14443-3 annex B: two bytes, the low one first."""
    crc = 0x6363
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def crc_32(data: bytes) -> bytes:
    """The CRC32 of DESFire: that of IEEE 802.3 without its last complement (JAMCRC); four bytes, the low one first."""
    return (zlib.crc32(data) ^ 0xFFFFFFFF).to_bytes(4, "little")


def crc_8(data: bytes) -> int:
    """The CRC of a MIFARE application directory: from its info byte to its end (AN10787, section 3.8)."""
    crc = 0xC7
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x11D if crc & 0x80 else 0)) & 0xFF
    return crc
