"""One card as a file.

It is a head of 64 bytes and then its blocks of 16 bytes, integers big-endian::

    ┌──────────┬────────────┬────────┬───────┬─────────┬─────────┬─────────┬─
    │ EBSTOCK1 │ technology │ blocks │ flags │ 0 ... 0 │ block 0 │ block 1 │ ...
    └──────────┴────────────┴────────┴───────┴─────────┴─────────┴─────────┴─
      8          16 (ASCII)   2        2       36        16        16

Flag bit 0: locked.  A block is written in place by one ``pwrite``, so a process that is killed leaves whole blocks:
old ones and new ones.
"""

from __future__ import annotations

import os
import struct

from encoder_bridge_simulated.codec import BLOCK

TECHNOLOGY = "simulated"
"""The technology that the simulated encoder writes."""

BLOCKS = 256
"""Blocks of an ordinary card: 4 KiB, as large as the largest of its kind."""

_HEAD = struct.Struct(">8s16sHH36x")
_MAGIC = b"EBSTOCK1"
_LOCKED = 1


class Plastic:
    """One card, open for reading and writing its blocks."""

    def __init__(self, uid: str, file: int) -> None:
        head = os.pread(file, _HEAD.size, 0).ljust(_HEAD.size, b"\0")
        magic, technology, self.blocks, flags = _HEAD.unpack(head)
        if magic != _MAGIC:
            raise OSError(f"card {uid} has no head")
        self.uid = uid
        self.technology = technology.rstrip(b"\0").decode("ascii", "replace")
        self.locked = bool(flags & _LOCKED)
        self._file = file

    def read(self) -> bytes:
        """Return all blocks."""
        return os.pread(self._file, self.blocks * BLOCK, _HEAD.size)

    def write(self, index: int, block: bytes) -> None:
        """Write one block in place.

        Raises:
            ValueError: there is no such block, or the data is not one block long.
        """
        if len(block) != BLOCK or not 0 <= index < self.blocks:
            raise ValueError(f"{len(block)} bytes do not fit block {index} of {self.blocks}")
        os.pwrite(self._file, block, _HEAD.size + index * BLOCK)


def new(technology: str, blocks: int, *, locked: bool, content: bytes) -> bytes:
    """Return the file of a card that carries `content` and zeros after it."""
    head = _HEAD.pack(_MAGIC, technology.encode("ascii"), blocks, _LOCKED * locked)
    return head + content.ljust(blocks * BLOCK, b"\0")
