"""One card, its sectors opened one at a time."""

from __future__ import annotations

from collections.abc import Mapping

from encoder_bridge_cards.classic import geometry
from encoder_bridge_cards.classic.access_bits import AccessBits, By
from encoder_bridge_cards.classic.geometry import BLOCK
from encoder_bridge_cards.link import Activation, Link, LinkError, NoAnswer, Refused


class Session:
    """The frames of a Classic card, sent no more often than needed.

    Args:
        link: where the card lies, just selected.
        activation: what selecting it told.
    """

    def __init__(self, link: Link, activation: Activation) -> None:
        self._link = link
        self._card = activation
        self._opened: tuple[int, By, bytes] | None = None
        self._is_lost = False
        self._known: dict[int, bytes] = {}

    @property
    def known(self) -> Mapping[int, bytes]:
        """Blocks as they were last read, by number; none that was written since."""
        return self._known

    def select(self) -> None:
        """Select the card anew; no sector is open then.

        Raises:
            LinkError: it is gone, or another one lies there.
        """
        self._opened = None
        activation = self._link.activate()
        if not self._card.has_random_uid and activation.uid != self._card.uid:
            raise NoAnswer("another card")
        self._card = activation
        self._is_lost = False

    def opens(self, sector: int, by: By, key: bytes) -> bool:
        """Open a sector, if the key does; at no cost where it is open under this key."""
        if self._opened == (sector, by, key):
            return True
        if self._is_lost:
            self.select()
        self._opened = None
        try:
            self._send(bytes([by.value, geometry.first(sector)]) + key + self._card.uid[-4:])
        except Refused:
            return False
        self._opened = (sector, by, key)
        return True

    def read(self, block: int) -> bytes:
        """Read a block of the open sector."""
        answer = self._send(bytes([0x30, block]))
        if len(answer) != BLOCK:
            raise LinkError(f"{len(answer)} bytes of {BLOCK}")
        self._known[block] = answer
        return answer

    def write(self, block: int, data: bytes) -> None:
        """Write a block of data of the open sector."""
        if block not in geometry.data(geometry.sector_of(block)) or len(data) != BLOCK:
            raise ValueError(f"block {block} is not written as data")
        self._write(block, data)

    def write_trailer(self, sector: int, key_a: bytes, access: AccessBits, general_purpose: int, key_b: bytes) -> None:
        """Write keys and access bits, in one write that ends the sector's session.

        Raises:
            ValueError: what was put together would lock the sector for ever; nothing was sent.
        """
        trailer = key_a + access.encode() + bytes([general_purpose]) + key_b
        if len(key_a) != 6 or len(key_b) != 6 or len(trailer) != BLOCK:
            raise ValueError("this is no trailer")
        if AccessBits.decode(trailer[6:9]) != access or not access.changers:
            raise ValueError("nobody could change this trailer again")
        try:
            self._write(geometry.trailer(sector), trailer)
        finally:
            self._opened = None

    def _write(self, block: int, data: bytes) -> None:
        self._known.pop(block, None)
        self._send(bytes([0xA0, block]) + data)

    def _send(self, frame: bytes) -> bytes:
        try:
            return self._link.exchange(frame)
        except Refused:
            self._opened = None
            self._is_lost = True
            raise
