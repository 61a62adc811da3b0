"""A PN532 on a serial line, in software, with one or two virtual cards on it (NXP UM0701-02).

    with Pn532(Classic()) as reader:
        ...  # reader.path is what a serial driver opens

It serves whoever opens `Pn532.path`: libnfc as ``LIBNFC_DEVICE=pn532_uart:<path>``, nfcpy as a transport.  Its one
thread ends with the context, and what went wrong in it is raised there.
"""

from __future__ import annotations

import os
import select
import threading
import tty
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from encoder_bridge_cards.link import Family, LinkError, NoAnswer, Refused

from virtual.card import VirtualCard
from virtual.iso_dep import Blocks
from virtual.pn532_frames import ACK, ERROR, Control, frame, take

TX_MODE, RX_MODE, FIFO = 0x6302, 0x6303, 0x6339
CRC_ENABLED = 0x80
"""In TX_MODE: the chip appends the CRC; in RX_MODE: it checks and removes it, and cannot show four bits."""

OK, NOBODY_ANSWERED, BAD_CRC, FRAMING, WRONG_KEY, OUT_OF_CONTEXT = 0x00, 0x01, 0x02, 0x13, 0x14, 0x27
CARD_ACK, CARD_NAK = b"\x0a", b"\x00"
SENS_REQ = 0x26
EXCHANGES: dict[Family, frozenset[int]] = {
    Family.CLASSIC: frozenset({0x30, 0x60, 0x61, 0xA0}),
    Family.TYPE_2: frozenset({0x30, 0xA0, 0xA2}),
}
"""The commands that InDataExchange understands towards a card that is not of ISO/IEC 14443-4."""


def crc_a(data: bytes) -> bytes:
    """CRC_A of ISO/IEC 14443-3 annex B, low byte first."""
    crc = 0x6363
    for byte in data:
        folded = (byte ^ crc) & 0xFF
        folded = (folded ^ folded << 4) & 0xFF
        crc = crc >> 8 ^ folded << 8 ^ folded << 3 ^ folded >> 4
    return crc.to_bytes(2, "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    card: VirtualCard
    family: Family
    blocks: Blocks


class Chip:
    """What the chip does for each command, apart from the line it came over.

    Args:
        cards: the cards in the field; change `cards` to lift one or to lay another down.
    """

    def __init__(self, *cards: VirtualCard) -> None:
        self.cards = list(cards)
        self.commands: list[int] = []
        """The code of every command so far."""
        self._targets: list[Target] = []
        self._current = 0
        self._halted: list[VirtualCard] = []
        self._selects_iso_dep = True
        self._chained = b""
        self._registers: dict[int, int] = {TX_MODE: CRC_ENABLED, RX_MODE: CRC_ENABLED}

    def answer(self, command: int, data: bytes) -> bytes | None:
        """What follows D5 and the code of the answer; None: the chip does not know this."""
        self.commands.append(command)
        try:
            return self._act(command, data)
        except IndexError:
            return None

    def _act(self, command: int, data: bytes) -> bytes | None:
        match command:
            case 0x00:
                return self._diagnose(data)
            case 0x02:
                return b"\x32\x01\x06\x07"
            case 0x04:
                return bytes([0, 0, len(self._targets)]) + b"".join(
                    bytes([i + 1, 0, 0, 0x10]) for i in range(len(self._targets))
                )
            case 0x06:
                addresses = (int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
                return bytes(self._registers.get(address, 0) for address in addresses)
            case 0x08:
                for i in range(0, len(data), 3):
                    self._registers[int.from_bytes(data[i : i + 2], "big")] = data[i + 2]
                return b""
            case 0x12:
                self._selects_iso_dep = bool(data[0] & 0x10)
                return b""
            case 0x10 | 0x14:
                return b""
            case 0x16:
                return bytes([OK])
            case 0x32:
                if data[:1] == b"\x01" and not data[1] & 1:
                    self._targets = []
                return b""
            case 0x40:
                return self._data_exchange(data)
            case 0x42:
                return self._communicate_thru(data)
            case 0x44 | 0x52 | 0x54:
                return self._choose(command, data[0])
            case 0x4A:
                return self._list_passive_target(data)
            case _:
                return None

    def _diagnose(self, data: bytes) -> bytes | None:
        match data[0]:
            case 0x00:
                return data
            case 0x01 | 0x02:
                return bytes([OK])
            case 0x06:
                is_there = any(card is target.card for target in self._targets for card in self.cards)
                return bytes([OK if is_there else NOBODY_ANSWERED])
            case _:
                return None

    def _list_passive_target(self, data: bytes) -> bytes:
        most, modulation, wanted = data[0], data[1], _uid(data[2:])
        self._targets, self._current, self._chained = [], 0, b""
        answer = b""
        for card in sorted(self.cards, key=self._place) if modulation == 0 else ():
            if len(self._targets) == most:
                break
            with suppress(NoAnswer):
                activation = card.activate()
                uid = activation.uid
                if wanted in {b"", uid}:
                    self._targets.append(Target(card=card, family=activation.family, blocks=Blocks(card)))
                    self._halted = [halted for halted in self._halted if halted is not card]
                    number = len(self._targets)
                    answer += bytes([number, *card.atqa, card.sak, len(uid)]) + uid
                    answer += card.ats if self._selects_iso_dep else b""
        self._registers[FIFO] = 0x00 if self._targets else SENS_REQ
        self._registers[TX_MODE] = self._registers[RX_MODE] = CRC_ENABLED
        return bytes([len(self._targets)]) + answer

    def _place(self, card: VirtualCard) -> int:
        """Cards that nobody has halted answer first, so that a host that halts what it finds meets every card."""
        return next((i + 1 for i, halted in enumerate(self._halted) if halted is card), 0)

    def _choose(self, command: int, number: int) -> bytes:
        """InSelect, InDeselect, InRelease; number 0: all targets."""
        if number > len(self._targets):
            return bytes([OUT_OF_CONTEXT])
        if command in {0x44, 0x52}:
            released = self._targets[number - 1 : number] if number else self._targets
            self._halted += [target.card for target in released]
        if command == 0x52:
            self._targets = []
        elif command == 0x54 and self._target(number) is None:
            return bytes([NOBODY_ANSWERED])
        else:
            self._current = number if command == 0x54 else 0
        return bytes([OK])

    def _target(self, number: int) -> Target | None:
        """A target by its number, woken up when another one was spoken to; None when it is gone."""
        target = self._targets[number - 1]
        if not any(target.card is card for card in self.cards):
            return None
        if self._current not in {0, number}:
            try:
                target.card.activate()
            except LinkError:
                return None
        self._current = number
        return target

    def _data_exchange(self, data: bytes) -> bytes:
        number, has_more = data[0] & 0x0F, data[0] & 0x40
        if not 1 <= number <= len(self._targets):
            return bytes([OUT_OF_CONTEXT])
        sent, self._chained = self._chained + data[1:], b""
        if has_more:
            self._chained = sent
            return bytes([OK])
        if (target := self._target(number)) is None:
            return bytes([NOBODY_ANSWERED])
        if target.family is not Family.ISO_DEP and sent[0] not in EXCHANGES[target.family]:
            return bytes([OUT_OF_CONTEXT])
        try:
            return bytes([OK]) + target.card.exchange(sent)
        except Refused:
            return bytes([WRONG_KEY if sent[0] in {0x60, 0x61} else FRAMING])
        except LinkError:
            return bytes([NOBODY_ANSWERED])

    def _communicate_thru(self, data: bytes) -> bytes:
        """A frame as the host made it, CRC and all where the chip was told to leave that alone."""
        if not self._targets or (target := self._target(self._current or 1)) is None:
            return bytes([NOBODY_ANSWERED])
        if not self._registers[TX_MODE] & CRC_ENABLED:
            if crc_a(data[:-2]) != data[-2:]:
                return bytes([NOBODY_ANSWERED])
            data = data[:-2]
        try:
            answer = self._transceive(target, data)
        except Refused:
            return self._four_bits(CARD_NAK)
        except LinkError:
            return bytes([NOBODY_ANSWERED])
        if not answer:
            return self._four_bits(CARD_ACK)
        return bytes([OK]) + answer + (b"" if self._registers[RX_MODE] & CRC_ENABLED else crc_a(answer))

    def _transceive(self, target: Target, data: bytes) -> bytes:
        match target.family:
            case Family.TYPE_2:
                return target.card.exchange(data)
            case Family.ISO_DEP:
                return target.blocks.answer(data)
            case _:
                raise NoAnswer("the chip alone speaks the cipher of a Classic")

    def _four_bits(self, answer: bytes) -> bytes:
        return bytes([BAD_CRC]) if self._registers[RX_MODE] & CRC_ENABLED else bytes([OK]) + answer


def _uid(initiator: bytes) -> bytes:
    """The uid that a host wants selected, without the cascade tags it has to put in between."""
    match len(initiator):
        case 8:
            return initiator[1:]
        case 12:
            return initiator[1:4] + initiator[5:]
        case _:
            return initiator


class Pn532(Chip):
    """The chip on a serial line of its own; see the module."""

    path: str
    """The device to open."""

    def __enter__(self) -> Self:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._wake, self._bell = os.pipe()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="pn532")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._bell)
        self._thread.join()
        for descriptor in (self._wake, self._master, self._slave):
            os.close(descriptor)
        if self._error is not None and error is None:
            raise self._error

    def _serve(self) -> None:
        try:
            received, last = bytearray(), b""
            while True:
                ready, _, _ = select.select([self._master, self._wake], [], [])
                if self._wake in ready:
                    return
                received += os.read(self._master, 4096)
                while (taken := take(received)) is not None:
                    last = self._heed(taken, last)
        except BaseException as error:
            self._error = error

    def _heed(self, taken: bytes | Control, last: bytes) -> bytes:
        """Answer one frame; returns what would be sent again."""
        if isinstance(taken, Control):
            if taken is Control.NACK:
                os.write(self._master, last)
            return last
        os.write(self._master, ACK)
        answer = self.answer(taken[1], taken[2:]) if taken[0] == 0xD4 and len(taken) > 1 else None
        last = ERROR if answer is None else frame(bytes([0xD5, taken[1] + 1]) + answer)
        os.write(self._master, last)
        return last
