"""What the radio between a reader and a card takes at the least, computed from the frames that they exchange.

Bits, bytes and the silences between frames are those of ISO/IEC 14443 at 106 kbit/s, the one speed that every card here
has.  The card's own time, for thinking and for writing, is not in it.
"""

from __future__ import annotations

from collections.abc import Hashable

from encoder_bridge_cards.link import Activation, Family, Refused
from virtual.card import VirtualCard

ETU_S = 128 / 13.56e6
"""One bit at 106 kbit/s (ISO/IEC 14443-2)."""
BYTE_S = 9 * ETU_S
"""With its parity bit (ISO/IEC 14443-3)."""
TURN_S = 2 * 1172 / 13.56e6
"""The least silence before and after an answer: two frame delay times (ISO/IEC 14443-3, 6.2.1)."""
CRC, PCB = 2, 1
FRAME = 64
"""The longest frame either side takes, which is what our DESFire cards' ATS (FSCI 5) and a PN532 say."""
WRITING = frozenset({0xC4, 0xC7, 0xCA, 0xCB, 0xCD, 0x3D, 0x54, 0x5C, 0x5F, 0xDA, 0xDF})
"""DESFire commands that change the card."""


class OnAir(VirtualCard):
    """A card that adds up what its radio would take at 106 kbit/s, and how often it writes."""

    def __init__(self, card: VirtualCard) -> None:
        self._card = card
        self.atqa, self.sak, self.ats = card.atqa, card.sak, card.ats
        self._family = card.activate().family
        self.air_s = 0.0
        self.writes = 0

    def activate(self) -> Activation:
        return self._card.activate()

    def exchange(self, frame: bytes) -> bytes:
        try:
            answer = self._card.exchange(frame)
        except Refused:
            self.air_s += exchange_s(self._family, frame, b"") + selecting_s(self.ats)
            raise
        self.air_s += exchange_s(self._family, frame, answer)
        self.writes += writes(self._family, frame)
        return answer

    def interrupt(self, frame: bytes) -> None:
        self._card.interrupt(frame)

    def snapshot(self) -> Hashable:
        return self._card.snapshot()


def exchange_s(family: Family, frame: bytes, answer: bytes) -> float:
    """A frame, its answer and the silence around that; an empty answer is an acknowledgement of four bits."""
    if family is Family.ISO_DEP:
        sent, turns = _blocks(len(frame))
        received, more = _blocks(len(answer))
        return (sent + received) * BYTE_S + (turns + more + 1) * TURN_S
    acknowledged = len(answer) * BYTE_S + CRC * BYTE_S if answer else 4 * ETU_S
    match family, frame[0]:
        case Family.CLASSIC, 0x60 | 0x61:  # command, nonce; both answers in one, the card's
            return (2 + CRC + 4) * BYTE_S + (8 + 4) * BYTE_S + 2 * TURN_S
        case Family.CLASSIC, 0xA0:
            return (2 + CRC) * BYTE_S + (len(frame) - 2 + CRC) * BYTE_S + 2 * (4 * ETU_S + TURN_S)
        case _:
            return (len(frame) + CRC) * BYTE_S + acknowledged + TURN_S


def _blocks(length: int) -> tuple[int, int]:
    """Bytes on air of a message of ISO/IEC 14443-4, and how often the other side acknowledges a part of it."""
    parts = max(1, -(-length // (FRAME - PCB - CRC)))
    return length + (2 * parts - 1) * (PCB + CRC), parts - 1


def selecting_s(ats: bytes) -> float:
    """Waking up a card, its number of seven bytes and, where it has one, its ATS."""
    wake = 7 * ETU_S + 2 * BYTE_S + TURN_S
    level = (2 + 5) * BYTE_S + TURN_S + (2 + 5 + CRC + 1 + CRC) * BYTE_S + TURN_S
    return wake + 2 * level + (exchange_s(Family.TYPE_2, b"\xe0\x80", ats) if ats else 0.0)


def writes(family: Family, frame: bytes) -> int:
    """How often a frame writes to the card's EEPROM; a command of DESFire counts as one, however much it writes."""
    match family:
        case Family.ISO_DEP if frame[0] == 0x90:
            return int(frame[1] in WRITING)
        case Family.ISO_DEP:
            return int(frame[1] == 0xD6)
        case _:
            return int(frame[0] in {0xA0, 0xA2})
