"""An NFC Forum Type 4 Tag in software: a capability container and an NDEF file (NFC Forum Type 4 Tag 2.0)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal, get_args

from encoder_bridge_cards.link import Activation, Family

from virtual.card import VirtualCard

Torn = Literal["nothing", "first half", "last half", "erased"]
"""What an update that lost power leaves of its bytes."""
TORN: tuple[Torn, ...] = get_args(Torn)

UID = bytes.fromhex("04A1B2C3D4E5F6")
NAME = bytes.fromhex("D2760000850101")
CONTAINER = 0xE103
SELECT, READ, UPDATE = 0xA4, 0xB0, 0xD6

DONE = bytes.fromhex("9000")
WRONG_LENGTH, NOT_ALLOWED, NO_FILE_SELECTED = (bytes.fromhex(word) for word in ("6700", "6982", "6986"))
NOT_FOUND, WRONG_PARAMETERS, OUTSIDE = (bytes.fromhex(word) for word in ("6A82", "6A86", "6B00"))
NO_INSTRUCTION, NO_CLASS = (bytes.fromhex(word) for word in ("6D00", "6E00"))


class Type4(VirtualCard):
    """A tag that takes its own capability container at its word.

    Args:
        uid: its number.
        size: bytes of its NDEF file.
        longest_read: MLe.
        longest_update: MLc.
        access: to the NDEF file, reading and writing; 00 is free.
        file: identifier of the NDEF file.
    """

    atqa = bytes.fromhex("0344")
    sak = 0x20
    ats = bytes.fromhex("067577810280")

    def __init__(
        self,
        uid: bytes = UID,
        size: int = 256,
        longest_read: int = 59,
        longest_update: int = 52,
        access: bytes = b"\0\0",
        file: int = 0xE104,
    ) -> None:
        self.torn: Torn = "nothing"
        self._uid = uid
        self._ndef = file
        self._longest = {READ: longest_read, UPDATE: longest_update}
        self._access = access
        limits = longest_read.to_bytes(2, "big") + longest_update.to_bytes(2, "big")
        control = b"\x04\x06" + file.to_bytes(2, "big") + size.to_bytes(2, "big") + access
        self.files = {CONTAINER: bytearray(b"\x00\x0f\x20" + limits + control), file: bytearray(size)}
        self._is_open = False
        self._selected: int | None = None

    @property
    def ndef(self) -> bytearray:
        """The NDEF file, to look at and to prepare."""
        return self.files[self._ndef]

    @property
    def shown(self) -> bytes | None:
        """The message that a reader finds; None: it finds a length that cannot be."""
        length = int.from_bytes(self.ndef[:2], "big")
        return bytes(self.ndef[2 : 2 + length]) if length <= len(self.ndef) - 2 else None

    def activate(self) -> Activation:
        self._is_open, self._selected = False, None
        return Activation(family=Family.ISO_DEP, uid=self._uid)

    def exchange(self, frame: bytes) -> bytes:
        if len(frame) < 5:
            return WRONG_LENGTH
        if frame[0]:
            return NO_CLASS
        at, length, data = int.from_bytes(frame[2:4], "big"), frame[4], frame[5:]
        match frame[1]:
            case 0xA4:
                return self._select(at, data[:length])
            case 0xB0:
                return self._refusal(frame, at, length or 0x100) or self._read(at, length or 0x100)
            case 0xD6:
                return self._refusal(frame, at, length) or self._update(at, data)
            case _:
                return NO_INSTRUCTION

    def interrupt(self, frame: bytes) -> None:
        at, data = int.from_bytes(frame[2:4], "big"), frame[5:]
        if frame[1] != UPDATE or self._selected is None or self._refusal(frame, at, len(data)):
            return
        held, half = bytes(self.files[self._selected][at : at + len(data)]), len(data) // 2
        left = {
            "nothing": held,
            "first half": data[:half] + held[half:],
            "last half": held[:half] + data[half:],
            "erased": b"\xff" * len(data),
        }
        self._update(at, left[self.torn])

    def snapshot(self) -> Hashable:
        return tuple((number, bytes(file)) for number, file in self.files.items())

    def _select(self, how: int, name: bytes) -> bytes:
        if how == 0x0400:
            self._is_open, self._selected = name == NAME, None
            return DONE if self._is_open else NOT_FOUND
        if how != 0x000C or len(name) != 2:
            return WRONG_PARAMETERS
        number = int.from_bytes(name, "big")
        if not self._is_open or number not in self.files:
            return NOT_FOUND
        self._selected = number
        return DONE

    def _refusal(self, frame: bytes, at: int, length: int) -> bytes:
        """The status word for what the card will not do; empty for what it will."""
        if self._selected is None:
            return NO_FILE_SELECTED
        is_update = frame[1] == UPDATE
        access = self._access if self._selected == self._ndef else b"\x00\xff"
        if access[is_update]:
            return NOT_ALLOWED
        if length > self._longest[frame[1]] or len(frame) != 5 + is_update * length:
            return WRONG_LENGTH
        return OUTSIDE if at > 0x7FFF or at + length > len(self.files[self._selected]) else b""

    def _read(self, at: int, length: int) -> bytes:
        assert self._selected is not None
        return bytes(self.files[self._selected][at : at + length]) + DONE

    def _update(self, at: int, data: bytes) -> bytes:
        assert self._selected is not None
        self.files[self._selected][at : at + len(data)] = data
        return DONE
