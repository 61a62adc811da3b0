"""Pages of four bytes: reading them in as few frames as the reader allows, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from encoder_bridge_cards.link import Link, LinkError, NoAnswer, Refused, Unsupported
from encoder_bridge_cards.personalisation import Mismatch

PAGE = 4
"""Bytes of a page."""

_READ, _FAST_READ, _WRITE = 0x30, 0x3A, 0xA2
_AT_ONCE = 4
"""Pages that READ gives."""
_FAST_AT_ONCE = 60
"""Pages that FAST_READ is asked for: with the framing of any reader they stay below 255 bytes."""


class Pages:
    """The memory of one card.

    Args:
        link: where the card lies, just selected.
        uid: its number.
        is_fast: whether it knows FAST_READ.
    """

    def __init__(self, link: Link, uid: bytes, *, is_fast: bool) -> None:
        self._link = link
        self._uid = uid
        self._is_fast = is_fast
        self._known: dict[int, bytes] = {}
        self._reopen: Callable[[], object] | None = None

    @property
    def first(self) -> bytes:
        """What page 0 of this card holds: half of its number, and a check byte."""
        a, b, c = self._uid[:3]
        return bytes([a, b, c, 0x88 ^ a ^ b ^ c])

    def select(self) -> None:
        """Select the card anew: it forgets its session, and what was read counts no more.

        Raises:
            LinkError: it is gone, or another one lies there.
        """
        self._known.clear()
        self._reopen = None
        if self._link.activate().uid != self._uid:
            raise NoAnswer("another card")

    def remember(self, reopen: Callable[[], object]) -> None:
        """Keep until the next selection how the card was opened."""
        self._reopen = reopen

    def send(self, frame: bytes) -> bytes:
        """Send any other frame of the card; see `Link.exchange`."""
        return self._link.exchange(frame)

    def fetch(self, wanted: Iterable[int]) -> dict[int, bytes]:
        """Pages by number, read unless they were since the card was selected and they were written.

        Raises:
            LinkError: they cannot be read.
        """
        pages = sorted(wanted)
        while missing := [page for page in pages if page not in self._known]:
            self._known.update(self._some(missing))
        return {page: self._known[page] for page in pages}

    def peek(self, page: int, last: int) -> dict[int, bytes] | None:
        """Up to four pages, as far as they may be read now; None where the first may not, and the card was selected.

        Where a page is protected against reading, READ goes on at page 0 in its place, which no page but page 0
        resembles.

        Args:
            page: the first.
            last: the last page that is wanted.
        """
        try:
            answer = self._read(page)
        except Refused:
            self.select()
            return None
        found: dict[int, bytes] = {}
        for number, content in zip(range(page, last + 1), _cut(answer), strict=False):
            if content == self.first:
                break
            found[number] = content
        self._known.update(found)
        return found

    def write(self, page: int, data: bytes) -> None:
        """Write a page.

        Raises:
            Mismatch: the card will not.
            LinkError: nobody knows whether it did.
        """
        self._known.pop(page, None)
        try:
            self._link.exchange(bytes([_WRITE, page]) + data)
        except Refused:
            self.select()
            raise Mismatch(f"page {page}") from None

    def _some(self, missing: list[int]) -> dict[int, bytes]:
        """Read the first of some pages, and as many of the others as one frame brings."""
        start = missing[0]
        if self._is_fast:
            last = max(page for page in missing if page < start + _FAST_AT_ONCE)
            answer = self._fast_read(start, last)
            if len(answer) == (last + 1 - start) * PAGE:
                return dict(enumerate(_cut(answer), start))
            self._is_fast = False  # the reader has less room than this takes
        last = max(page for page in missing if page < start + _AT_ONCE)
        return dict(zip(range(start, last + 1), _cut(self._read(start)), strict=False))

    def _fast_read(self, start: int, last: int) -> bytes:
        """Nothing where the reader cannot."""
        try:
            return self._link.exchange(bytes([_FAST_READ, start, last]))
        except Unsupported:
            return b""
        except Refused:
            reopen = self._reopen
            self.select()
            if reopen is not None:
                reopen()
            return b""

    def _read(self, page: int) -> bytes:
        answer = self._link.exchange(bytes([_READ, page]))
        if len(answer) != _AT_ONCE * PAGE:
            raise LinkError(f"{len(answer)} bytes of {_AT_ONCE * PAGE}")
        return answer


def _cut(data: bytes) -> Iterator[bytes]:
    return (data[start : start + PAGE] for start in range(0, len(data), PAGE))
