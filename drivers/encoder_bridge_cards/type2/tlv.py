"""The blocks in which a Type 2 Tag keeps an NDEF message (NFC Forum Type 2 Tag 1.2, sections 2.3 and 6.1).

::

    03 length message FE         length: one byte below FF, else FF and two bytes, high byte first
    01 03 lock-control           which NTAG213 comes with; 02 03 memory-control

Page 3, the capability container, says ``E1``, version ``10``, an eighth of the bytes there are, access ``00``.
"""

from __future__ import annotations

CONTAINER = 3
"""The page of the capability container."""
FIRST = 4
"""The page where the blocks begin."""

_LOCKS, _MEMORY, _MESSAGE, _END = 0x01, 0x02, 0x03, 0xFE
_EIGHTH = 8


def wrapped(message: bytes) -> bytes:
    """A message between its tag and the end."""
    length = bytes([len(message)]) if len(message) < 0xFF else b"\xff" + len(message).to_bytes(2, "big")
    return bytes([_MESSAGE]) + length + message + bytes([_END])


def container(size: int) -> bytes:
    """The capability container of a card with so many bytes for blocks."""
    return bytes([0xE1, 0x10, -(-size // _EIGHTH), 0x00])


def holds(have: bytes, need: bytes) -> bool:
    """Whether a card with the container `have` takes what a card with `need` just takes."""
    return have[:2] == need[:2] and have[2] >= need[2] and have[3] == need[3]


def is_blank(area: bytes) -> bool:
    """Whether there are zeros only, or what a new NTAG carries: control blocks, an empty message and its end."""
    at = 0
    while area[at : at + 2] in {bytes([_LOCKS, 3]), bytes([_MEMORY, 3])}:
        at += 5
    rest = area[at:]
    if rest[:3] == bytes([_MESSAGE, 0, _END]):
        rest = rest[3:]
    elif at:
        return False
    return not any(rest)
