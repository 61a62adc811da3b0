"""Bits that make pages read only for ever, and bits that keep such bits as they are.

Both kinds are only ever set.  The static ones of every Type 2 card are the last two bytes of page 2 (NTAG213/215/216
data sheet, section 8.5.2; MF0ICU2 data sheet, section 7.5.2)::

    L7 L6 L5 L4 LCC BL15-10 BL9-4 BLCC    L15 L14 L13 L12 L11 L10 L9 L8
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LockBits:
    """The lock bits of one page, counted from the lowest bit of the first of their bytes."""

    page: int
    offset: int
    """Bytes of the page before them."""
    length: int
    """Bytes."""
    locks: Mapping[int, range]
    """Which pages each bit makes read only."""
    freezes: Mapping[int, range]
    """Which of the bits each block-locking bit keeps as they are."""

    def locked(self, content: bytes) -> frozenset[int]:
        """The pages that nobody can write any more."""
        bits = self._bits(content)
        return frozenset(page for bit, pages in self.locks.items() if bits >> bit & 1 for page in pages)

    def locking(self, content: bytes, area: Collection[int]) -> bytes | None:
        """What to write so that the pages of `area` among its pages are locked; None where they are.

        Raises:
            ValueError: a bit would lock pages outside the area as well, or can no more be set.
        """
        bits = self._bits(content)
        wanted = 0
        for bit, pages in self.locks.items():
            inside = [page in area for page in pages]
            if any(inside) and not bits >> bit & 1:
                if not all(inside):
                    raise ValueError("pages are locked together")
                if any(bits >> blocking & 1 and bit in frozen for blocking, frozen in self.freezes.items()):
                    raise ValueError("frozen")
                wanted |= 1 << bit
        if not wanted:
            return None
        return (bytes(self.offset) + wanted.to_bytes(self.length, "little")).ljust(4, b"\0")

    def _bits(self, content: bytes) -> int:
        return int.from_bytes(content[self.offset : self.offset + self.length], "little")


STATIC = LockBits(
    page=2,
    offset=2,
    length=2,
    locks={page: range(page, page + 1) for page in range(3, 16)},
    freezes={0: range(3, 4), 1: range(4, 10), 2: range(10, 16)},
)


def dynamic(page: int, *, last: int, step: int) -> LockBits:
    """Three bytes: one lock bit for each `step` pages from 16 to `last`; a bit of the third keeps two of them.

    Source: NTAG213/215/216 data sheet, section 8.5.3; MF0ULx1 data sheet, section 8.5.3.
    """
    starts = range(16, last + 1, step)
    return LockBits(
        page=page,
        offset=0,
        length=3,
        locks={bit: range(start, min(start + step, last + 1)) for bit, start in enumerate(starts)},
        freezes={16 + i: range(2 * i, 2 * i + 2) for i in range((len(starts) + 1) // 2)},
    )
