"""A card that nobody here wrote: libnfc's `nfc-emulate-forum-tag4`, an NFC Forum Type 4 tag with a writable NDEF file.

    with ForumTag4() as card, Slot(stack.port(reader), Reader(ACR122U)) as slot:
        slot.lay(card)

The program drives a PN532 in target mode, and this plays the PN532 on a pseudo-terminal (NXP UM0701-02, sections 7.3.14
to 7.3.18)::

    D4 8C mode atqa[2] uid[3] sak ..
                      TgInitAsTarget    answered D5 8D 08 | what the initiator said first: the card was selected
    D4 86             TgGetData         answered D5 87 00 | command APDU
    D4 8E response    TgSetData         answered D5 8F 00

The program has its ways:

- READ BINARY with Le 00 returns 90 00 and nothing else, and its capability container allows Le up to 54 only;
- it cannot take an APDU of more than 258 bytes, though its capability container allows Lc up to FF: a longer UPDATE
  BINARY reaches it in two pieces;
- it ends, for good, over an APDU it does not know; here such a one is answered as ISO/IEC 7816-4 says and the program
  never sees it, nor what would make it write past its memory;
- it knows no loss of the field: the file that was selected stays selected.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import tempfile
import time
import tty
from collections.abc import Hashable
from types import TracebackType
from typing import Self

from encoder_bridge_cards.link import Activation, Family, NoAnswer

from virtual.card import VirtualCard
from virtual.pn532_frames import ACK, Control, frame, take

PROGRAM = "nfc-emulate-forum-tag4"
ANSWER_S = 10.0
LONGEST_READ = 0x54
LONGEST_APDU = 258
FILE_SIZE = 0xFFFE

INIT_AS_TARGET, GET_DATA, SET_DATA = 0x8C, 0x86, 0x8E
SELECTED_BY_RATS = bytes.fromhex("08E080")
SELECT, READ, UPDATE = 0xA4, 0xB0, 0xD6
SELECT_APPLICATION = bytes.fromhex("00A4040007D276000085010100")
SELECT_NDEF = bytes.fromhex("00A4000C02E104")


def available() -> str | None:
    """Why there is no such card here, in one sentence, or None."""
    return None if shutil.which(PROGRAM) else "libnfc-bin is not installed: no card that somebody else wrote"


class ForumTag4(VirtualCard):
    """The program and the chip it drives.

    Args:
        uid: None: the one the program asks for, 08 and three bytes, which is a random one by its form.
    """

    sak = 0x20
    ats = bytes.fromhex("0575339203")

    def __init__(self, uid: bytes | None = None) -> None:
        self.atqa = b"\x00\x04"
        self._uid = uid
        self._asked = b""
        """What the program waits for: a command of the chip, not answered yet."""

    def __enter__(self) -> Self:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self._received = bytearray()
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [PROGRAM],
            env={**os.environ, "LIBNFC_DEVICE": f"pn532_uart:{os.ttyname(self._slave)}"},
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            start_new_session=True,
        )
        try:
            self._serve_until(INIT_AS_TARGET)
        except NoAnswer:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace")
            self._close()
            raise RuntimeError(f"{PROGRAM} did not become a card:\n{said[-2000:]}") from None
        self.atqa = self._asked[4:2:-1]
        self._uid = self._uid or b"\x08" + self._asked[5:8]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def activate(self) -> Activation:
        if self._process.poll() is not None or self._uid is None:
            raise NoAnswer("the program has ended")
        if self._asked[1] == INIT_AS_TARGET:
            self._answer(SELECTED_BY_RATS)
            self._serve_until(GET_DATA)
        return Activation(family=Family.ISO_DEP, uid=self._uid)

    def exchange(self, frame: bytes) -> bytes:
        if refusal := _refusal(frame):
            return refusal
        if len(frame) > LONGEST_APDU:
            at, data = int.from_bytes(frame[2:4], "big"), frame[5:]
            self._exchange(_update(at, data[:2]))
            return self._exchange(_update(at + 2, data[2:]))
        return self._exchange(frame)

    def _exchange(self, frame: bytes) -> bytes:
        self._answer(b"\x00" + frame)
        self._serve_until(SET_DATA)
        response = self._asked[2:]
        self._answer(b"\x00")
        self._serve_until(GET_DATA)
        return response

    def interrupt(self, frame: bytes) -> None:
        """Half of an update is written."""
        if not _refusal(frame) and frame[1] == UPDATE and (half := frame[4] // 2):
            self.exchange(_update(int.from_bytes(frame[2:4], "big"), frame[5 : 5 + half]))

    def snapshot(self) -> Hashable:
        """The NDEF file up to the end of its message; selects it."""
        self.exchange(SELECT_APPLICATION)
        self.exchange(SELECT_NDEF)
        length = 2 + int.from_bytes(self._read(0, 2), "big")
        return b"".join(self._read(at, min(LONGEST_READ, length - at)) for at in range(0, length, LONGEST_READ))

    def _read(self, at: int, length: int) -> bytes:
        return self.exchange(bytes([0x00, READ]) + at.to_bytes(2, "big") + bytes([length]))[:-2]

    def _serve_until(self, wanted: int) -> None:
        """Answer what the program asks of the chip, up to the command wanted, which is left open.

        Raises:
            NoAnswer: the program ended, or waits for something else.
        """
        deadline = time.monotonic() + ANSWER_S
        while True:
            while (taken := take(self._received)) is not None:
                if isinstance(taken, Control):
                    continue
                os.write(self._master, ACK)
                self._asked = taken
                if taken[1] == wanted:
                    return
                self._answer(_chip(taken[1], taken[2:]))
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NoAnswer("the program does not answer")
            if select.select([self._master], [], [], 0.1)[0]:
                self._received += os.read(self._master, 4096)

    def _answer(self, data: bytes) -> None:
        os.write(self._master, frame(bytes([0xD5, self._asked[1] + 1]) + data))

    def _close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._said.close()
        for descriptor in (self._master, self._slave):
            os.close(descriptor)


def _update(at: int, data: bytes) -> bytes:
    return bytes([0x00, UPDATE]) + at.to_bytes(2, "big") + bytes([len(data)]) + data


def _chip(command: int, data: bytes) -> bytes:
    """What a PN532 answers while a program sets it up."""
    match command:
        case 0x00:  # Diagnose: an echo
            return data
        case 0x02:  # GetFirmwareVersion
            return b"\x32\x01\x06\x07"
        case 0x06:  # ReadRegister
            return bytes(len(data) // 2)
        case 0x16 | 0x44 | 0x52:  # PowerDown, InDeselect, InRelease
            return b"\x00"
        case _:
            return b""


def _refusal(apdu: bytes) -> bytes:
    """The status word for what would end the program or break it; empty for what it can take."""
    if len(apdu) < 5:
        return b"\x67\x00"
    cla, instruction, p1, p2, length = apdu[:5]
    at = p1 << 8 | p2
    if cla:
        return b"\x6e\x00"
    match instruction:
        case _ if instruction == SELECT:
            wrong_way = (p1, p2) not in {(0x00, 0x00), (0x00, 0x0C), (0x04, 0x00)}
            return b"\x6a\x86" if wrong_way else _unless(len(apdu) in {5 + length, 6 + length})
        case _ if instruction == READ:
            return b"\x6b\x00" if at + length > FILE_SIZE else _unless(len(apdu) == 5 and length <= LONGEST_READ)
        case _ if instruction == UPDATE:
            return b"\x6b\x00" if at + length > FILE_SIZE else _unless(len(apdu) == 5 + length)
        case _:
            return b"\x6d\x00"


def _unless(length_is_right: bool) -> bytes:
    return b"" if length_is_right else b"\x67\x00"
