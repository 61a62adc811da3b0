"""The blocks in which a card of ISO/IEC 14443-4 speaks to a reader that leaves them to its host.

::

    I-block  02 or 03, +10 when more follows | APDU or a part of one
    R-block  A2 or A3: go on;  B2 or B3: say that again
    S-block  C2: good bye

Bit 0 is the number of a block, which changes with every block that is new; bit 3 announces a byte with the number of
the card, which follows.
"""

from __future__ import annotations

from encoder_bridge_cards.link import NoAnswer

from virtual.card import VirtualCard

RATS, PPS, DESELECT = 0xE0, 0xD0, 0xC2
FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)


class Blocks:
    """A card behind the block protocol.

    Args:
        card: takes and gives whole APDUs.
    """

    def __init__(self, card: VirtualCard) -> None:
        self._card = card
        self._room = FRAME_SIZES[0] - 3
        self._number = 1
        self._received = b""
        self._left = b""
        self._last = b""

    def answer(self, block: bytes) -> bytes:
        """What the card sends back, CRC apart.

        Raises:
            LinkError: nothing, or nothing of use.
        """
        match block[0] if block else None:
            case 0xE0 if len(block) == 2:
                self._room = FRAME_SIZES[min(block[1] >> 4, 8)] - 3
                self._number = 1
                return self._card.ats
            case int(first) if first & 0xF0 == PPS:
                return block[:1]
            case int(first) if first & 0xF7 == DESELECT:
                return block
            case int(first) if first & 0xE6 == 0x02:
                self._last = self._information(first, block[1 + self._is_numbered(first) :])
                return self._last
            case int(first) if first & 0xE6 == 0xA2:
                self._last = self._receipt(first)
                return self._last
            case _:
                raise NoAnswer("no block")

    def _is_numbered(self, first: int) -> int:
        """1 where the card's own number follows the first byte."""
        return first >> 3 & 1

    def _information(self, first: int, part: bytes) -> bytes:
        self._number = first & 1
        self._received += part
        if first & 0x10:
            return bytes([0xA2 | self._number])
        command, self._received = self._received, b""
        self._left = self._card.exchange(command)
        return self._next_part()

    def _receipt(self, first: int) -> bytes:
        if first & 1 == self._number:
            return self._last
        if first & 0x10:
            return bytes([0xA2 | self._number])
        if not self._left:
            raise NoAnswer("nothing more to say")
        self._number ^= 1
        return self._next_part()

    def _next_part(self) -> bytes:
        part, self._left = self._left[: self._room], self._left[self._room :]
        return bytes([0x02 | self._number | (0x10 if self._left else 0)]) + part
