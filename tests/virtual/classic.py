"""A MIFARE Classic in software (MF1S50yyX/V1 and MF1S70yyX/V1 data sheets, sections 8.6 and 8.7).

A sector's last block is its trailer::

    key A[6] | access bits[3] | user byte | key B[6]

The three access bits of a block stand twice in the trailer, once inverted; bit i belongs to block i of the sector (in
the sectors of 16 blocks of a 4K: to five blocks each), bit 3 to the trailer::

    byte 6: not C2[3..0], not C1[3..0]    byte 7: C1[3..0], not C3[3..0]    byte 8: C3[3..0], C2[3..0]

Where the data sheet is silent this card does what costs a careless writer most:

- access bits count from the moment they are written, also for the session that wrote them;
- a trailer written with a key that may change only parts of it is acknowledged, and the other parts stay as they were;
- a write that loses power leaves a data block half old and half new; nothing is said of the order in which a trailer is
  written, so `Classic.torn_trailer` chooses.

The operations on value blocks are not played: nothing here sends them, and the card refuses them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

from encoder_bridge_cards.link import Activation, Family, NoAnswer, Refused

from virtual.card import VirtualCard

BLOCK_SIZE = 16
KEY_SIZE = 6
SHORT_SECTORS = 32
TRANSPORT_KEY = b"\xff" * KEY_SIZE
TRANSPORT_TRAILER = TRANSPORT_KEY + b"\xff\x07\x80\x69" + TRANSPORT_KEY

AUTHENTICATE_A, AUTHENTICATE_B, READ, WRITE = 0x60, 0x61, 0x30, 0xA0

Key = Literal["A", "B"]
Torn = Literal["old", "new", "mixed", "late", "invalid"]

NONE: frozenset[Key] = frozenset()
A: frozenset[Key] = frozenset({"A"})
B: frozenset[Key] = frozenset({"B"})
EITHER = A | B

DATA_READ: dict[int, frozenset[Key]] = {
    0b000: EITHER,
    0b010: EITHER,
    0b100: EITHER,
    0b110: EITHER,
    0b001: EITHER,
    0b011: B,
    0b101: B,
    0b111: NONE,
}
"""Which keys read a data block, by its bits C1 C2 C3 (table 8)."""

DATA_WRITE: dict[int, frozenset[Key]] = {
    0b000: EITHER,
    0b010: NONE,
    0b100: B,
    0b110: B,
    0b001: NONE,
    0b011: B,
    0b101: NONE,
    0b111: NONE,
}

KEY_B_READ: dict[int, frozenset[Key]] = {0b000: A, 0b010: A, 0b001: A}
"""Which keys read key B, by the trailer's bits C1 C2 C3 (table 7); where anybody does, key B opens nothing."""

KEYS_WRITE: dict[int, frozenset[Key]] = {0b000: A, 0b100: B, 0b001: A, 0b011: B}
"""Which keys write key A, and key B: the two always go together."""

ACCESS_WRITE: dict[int, frozenset[Key]] = {0b001: A, 0b011: B, 0b101: B}
"""Which keys write the access bits and the user byte."""


def access_conditions(trailer: bytes) -> tuple[int, int, int, int] | None:
    """The bits C1 C2 C3 of a sector's four blocks or groups, the trailer's last; None if the format is violated."""
    inverted_2, inverted_1 = divmod(trailer[6], 16)
    c1, inverted_3 = divmod(trailer[7], 16)
    c3, c2 = divmod(trailer[8], 16)
    if (inverted_1 ^ c1, inverted_2 ^ c2, inverted_3 ^ c3) != (15, 15, 15):
        return None
    first, second, third, last = ((c1 >> i & 1) << 2 | (c2 >> i & 1) << 1 | (c3 >> i & 1) for i in range(4))
    return first, second, third, last


class Classic(VirtualCard):
    """A MIFARE Classic as it leaves the factory.

    Args:
        uid: 4 or 7 bytes.
        blocks: 20 (Mini), 64 (1K) or 256 (4K).
    """

    ats = b""

    def __init__(self, uid: bytes = b"\x3e\x11\x22\x33", blocks: int = 64) -> None:
        if len(uid) not in {4, 7} or blocks not in {20, 64, 256}:
            raise ValueError("a MIFARE Classic has 4 or 7 bytes of uid and 20, 64 or 256 blocks")
        self.uid = uid
        self.blocks = blocks
        self.sak = {20: 0x09, 64: 0x08, 256: 0x18}[blocks]
        self.atqa = bytes([0, (0x02 if blocks == 256 else 0x04) | (0x40 if len(uid) == 7 else 0)])
        self.torn_trailer: Torn = "mixed"
        """What a trailer holds whose write lost power: all that was there (``old``), all that was to be (``new``), the
        new key A before the old rest (``mixed``), the old key B after the new rest (``late``), or the new key A before
        an access field that is neither (``invalid``), which blocks the sector for good."""
        self._memory = bytearray(BLOCK_SIZE * blocks)
        self._is_selected = False
        self._session: tuple[int, Key] | None = None
        for block in range(blocks):
            if self.is_trailer(block):
                self.poke(block, TRANSPORT_TRAILER)
        manufacturer = uid if len(uid) == 7 else uid + bytes([uid[0] ^ uid[1] ^ uid[2] ^ uid[3]])
        self.poke(0, (manufacturer + bytes([self.sak]) + self.atqa[::-1]).ljust(BLOCK_SIZE, b"\x62"))

    def peek(self, block: int) -> bytes:
        """What is really in a block, keys and all; no reader can do that."""
        return bytes(self._memory[BLOCK_SIZE * block : BLOCK_SIZE * (block + 1)])

    def poke(self, block: int, data: bytes) -> None:
        """Put something into a block past every rule, as somebody else who had the card before."""
        if len(data) != BLOCK_SIZE or not 0 <= block < self.blocks:
            raise ValueError("a block has 16 bytes and the card holds so many of them")
        self._memory[BLOCK_SIZE * block : BLOCK_SIZE * (block + 1)] = data

    def sector(self, block: int) -> int:
        return block // 4 if block < 4 * SHORT_SECTORS else SHORT_SECTORS + (block - 4 * SHORT_SECTORS) // 16

    def trailer(self, sector: int) -> int:
        """The number of a sector's last block."""
        return 4 * sector + 3 if sector < SHORT_SECTORS else 4 * SHORT_SECTORS + 16 * (sector - SHORT_SECTORS) + 15

    def is_trailer(self, block: int) -> bool:
        return block == self.trailer(self.sector(block))

    def is_blocked(self, sector: int) -> bool:
        """Whether the trailer's access field violates its format: nothing opens this sector any more."""
        return access_conditions(self.peek(self.trailer(sector))) is None

    def activate(self) -> Activation:
        self._session = None
        self._is_selected = True
        return Activation(family=Family.CLASSIC, uid=self.uid, blocks=self.blocks)

    def exchange(self, frame: bytes) -> bytes:
        if not self._is_selected:
            raise NoAnswer("nobody selected the card")
        try:
            return self._act(frame)
        except Refused:
            self._lose_session()
            raise

    def interrupt(self, frame: bytes) -> None:
        if self._is_selected and frame[:1] == bytes([WRITE]):
            try:
                block, new = self._written(frame)
            except Refused:
                pass
            else:
                self.poke(block, self._torn(block, new))
        self._lose_session()

    def snapshot(self) -> Hashable:
        return bytes(self._memory)

    def _lose_session(self) -> None:
        self._session = None
        self._is_selected = False

    def _act(self, frame: bytes) -> bytes:
        match frame[0] if frame else None:
            case 0x60 | 0x61 if len(frame) == 2 + KEY_SIZE + 4:
                self._authenticate("A" if frame[0] == AUTHENTICATE_A else "B", frame[1], frame[2:8], frame[8:])
                return b""
            case 0x30 if len(frame) == 2:
                return self._read(frame[1])
            case 0xA0 if len(frame) == 2 + BLOCK_SIZE:
                self.poke(*self._written(frame))
                return b""
            case _:
                raise Refused("unknown command")

    def _authenticate(self, key: Key, block: int, secret: bytes, uid: bytes) -> None:
        self._session = None
        if block >= self.blocks:
            raise Refused("no such block")
        sector = self.sector(block)
        trailer = self.peek(self.trailer(sector))
        held = trailer[:KEY_SIZE] if key == "A" else trailer[-KEY_SIZE:]
        if self.is_blocked(sector) or uid != self.uid[-4:] or secret != held:
            raise Refused("authentication")
        self._session = sector, key

    def _conditions(self, block: int) -> tuple[Key, int, int]:
        """The key of the session, the bits of the block and those of its trailer."""
        if self._session is None or block >= self.blocks or self._session[0] != self.sector(block):
            raise Refused("not authenticated")
        sector, key = self._session
        conditions = access_conditions(self.peek(self.trailer(sector)))
        if conditions is None:
            raise Refused("the sector is blocked")
        if key == "B" and conditions[3] in KEY_B_READ:
            raise Refused("key B can be read here, so it opens nothing")
        inside = block % 4 if sector < SHORT_SECTORS else (block - 4 * SHORT_SECTORS) % 16 // 5
        return key, conditions[inside], conditions[3]

    def _read(self, block: int) -> bytes:
        key, bits, trailer_bits = self._conditions(block)
        data = self.peek(block)
        if self.is_trailer(block):
            key_b = data[-KEY_SIZE:] if key in KEY_B_READ.get(trailer_bits, NONE) else bytes(KEY_SIZE)
            return bytes(KEY_SIZE) + data[KEY_SIZE:-KEY_SIZE] + key_b
        if key not in DATA_READ[bits]:
            raise Refused("read")
        return data

    def _written(self, frame: bytes) -> tuple[int, bytes]:
        """The block that a write changes and what it will hold."""
        if len(frame) != 2 + BLOCK_SIZE:
            raise Refused("unknown command")
        block, new = frame[1], frame[2:]
        key, bits, trailer_bits = self._conditions(block)
        if not self.is_trailer(block):
            if block == 0 or key not in DATA_WRITE[bits]:
                raise Refused("write")
            return block, new
        old = self.peek(block)
        may_keys = key in KEYS_WRITE.get(trailer_bits, NONE)
        may_access = key in ACCESS_WRITE.get(trailer_bits, NONE)
        if not (may_keys or may_access):
            raise Refused("write")
        keys, access = (new if may_keys else old), (new if may_access else old)
        return block, keys[:KEY_SIZE] + access[KEY_SIZE:-KEY_SIZE] + keys[-KEY_SIZE:]

    def _torn(self, block: int, new: bytes) -> bytes:
        old = self.peek(block)
        if not self.is_trailer(block):
            return new[:8] + old[8:]
        match self.torn_trailer:
            case "old":
                return old
            case "new":
                return new
            case "mixed":
                return new[:KEY_SIZE] + old[KEY_SIZE:]
            case "late":
                return new[:-KEY_SIZE] + old[-KEY_SIZE:]
            case "invalid":
                return new[:KEY_SIZE] + b"\x00\x00\x00" + old[9:]
