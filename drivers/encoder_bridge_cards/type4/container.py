"""The capability container: what a Type 4 Tag says of its NDEF file (NFC Forum Type 4 Tag 2.0, section 5.1).

::

    ┌──────────┬─────────┬────────┬────────┬──────┬──────┬────────┬─────────┬──────┬───────┐
    │ length   │ version │ MLe    │ MLc    │ 04   │ 06   │ file   │ size    │ read │ write │
    └──────────┴─────────┴────────┴────────┴──────┴──────┴────────┴─────────┴──────┴───────┘
      2          1         2        2        1      1      2        2         1      1

MLe is how much one READ BINARY may ask for, MLc how much one UPDATE BINARY may bring; access 00 is free.  What follows
are files of others.  Version 3.0 differs in files larger than two bytes can say, which have another tag than 04.
"""

from __future__ import annotations

from dataclasses import dataclass

FILE = 0xE103
"""Where the container lies."""
SIZE = 15
LARGEST_FILE = 8192
"""Bytes of an NDEF file that are used: no card sold has a larger one, and a stranger's card may claim anything.

All of them are within the 15 bits that READ BINARY has for a place."""

_VERSIONS = (2, 3)
_NDEF_FILE = b"\x04\x06"
_SHORTEST_READ = SIZE
_SHORTEST_UPDATE = 2
_LONGEST = 0xFF
_SMALLEST_FILE, _LARGEST_SIZE = 5, 0xFFFE
_RESERVED_FILES = frozenset((0x0000, 0x3F00, 0x3FFF, 0xE102, FILE, 0xFFFF))
_FREE = b"\x00\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What matters of a capability container."""

    file: int
    """Identifier of the NDEF file."""
    size: int
    """Bytes of it that are used, the two of its length included."""
    longest_read: int
    """Bytes that one command reads."""
    longest_update: int
    """Bytes that one command writes; two at least, so that a message's length changes in one."""
    is_free: bool
    """Whether everybody may read and write it."""

    @classmethod
    def decode(cls, data: bytes) -> Container | None:
        """Read the first `SIZE` bytes; None: they are no container that this library knows."""
        length, longest_read, longest_update = (int.from_bytes(data[at : at + 2], "big") for at in (0, 3, 5))
        file, size = (int.from_bytes(data[at : at + 2], "big") for at in (9, 11))
        if (
            not SIZE <= length <= _LARGEST_SIZE
            or data[2] >> 4 not in _VERSIONS
            or data[7:9] != _NDEF_FILE
            or longest_read < _SHORTEST_READ
            or longest_update < _SHORTEST_UPDATE
            or file in _RESERVED_FILES
            or not _SMALLEST_FILE <= size <= _LARGEST_SIZE
        ):
            return None
        return cls(
            file=file,
            size=min(size, LARGEST_FILE),
            longest_read=min(longest_read, _LONGEST),
            longest_update=min(longest_update, _LONGEST),
            is_free=data[13:15] == _FREE,
        )
