"""The PN532 in software keeps to its user manual (NXP UM0701-02), frame by frame and command by command."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Hashable
from pathlib import Path

import ndef
import pytest
from encoder_bridge_cards.link import Activation, Family, NoAnswer

from virtual.card import VirtualCard
from virtual.classic import TRANSPORT_KEY, Classic
from virtual.outsiders import found, nfcpy
from virtual.pn532 import Chip, Pn532, crc_a
from virtual.pn532_frames import ACK, ERROR, NACK, Control, frame, take
from virtual.type2 import Ntag

GET_FIRMWARE = bytes.fromhex("0000ff02fed4022a00")
FIRMWARE = bytes.fromhex("0000ff06fad50332010607e800")
LIST_ONE = b"\x01\x00"


class Type4(VirtualCard):
    """Files that are selected, read and written: the least that NFC Forum calls a Type 4 tag."""

    atqa, sak, ats = b"\x03\x44", 0x20, bytes.fromhex("067577810280")

    def __init__(self) -> None:
        self.files = {b"\xe1\x03": bytearray.fromhex("000f20003b00340406e104040000 00"), b"\xe1\x04": bytearray(1024)}
        self._file = b""

    def activate(self) -> Activation:
        return Activation(family=Family.ISO_DEP, uid=b"\x04\x01\x02\x03\x04\x05\x06")

    def exchange(self, frame: bytes) -> bytes:
        offset, size = int.from_bytes(frame[2:4], "big"), frame[4] if len(frame) > 4 else 0
        match frame[1]:
            case 0xA4 if frame[2] == 0x04 or frame[5 : 5 + size] in self.files:
                self._file = frame[5 : 5 + size]
                return b"\x90\x00"
            case 0xB0 if self._file in self.files:
                return bytes(self.files[self._file][offset : offset + size]) + b"\x90\x00"
            case 0xD6 if self._file in self.files:
                self.files[self._file][offset : offset + size] = frame[5:]
                return b"\x90\x00"
            case _:
                return b"\x6a\x82"

    def interrupt(self, frame: bytes) -> None:
        pass

    def snapshot(self) -> Hashable:
        return tuple(map(bytes, self.files.values()))


@pytest.mark.parametrize(("data", "crc"), [("0000", "a01e"), ("1234", "26cf"), ("1a00", "4176"), ("5000", "57cd")])
def test_crc_a_is_that_of_the_standard_and_of_recorded_cards(data: str, crc: str) -> None:
    assert crc_a(bytes.fromhex(data)).hex() == crc


@pytest.mark.parametrize("size", [1, 2, 254, 255, 256, 300])
def test_a_frame_is_taken_out_whole_or_byte_by_byte_or_after_garbage(size: int) -> None:
    body = bytes(i & 0xFF for i in range(size))
    sent = frame(body)
    for ahead in (b"", b"\x55\x55" + bytes(14), b"\xff\x00\xfe", frame(b"\xd4\x02")[:-2] + b"\x99\x00"):
        received = bytearray()
        taken = []
        for byte in ahead + sent + ACK + NACK:
            received.append(byte)
            while (one := take(received)) is not None:
                taken.append(one)
        assert taken == [body, Control.ACK, Control.NACK]
        received = bytearray(ahead + sent + sent)
        assert take(received) == body
        assert take(received) == body
        assert take(received) is None


def test_the_frames_of_the_manual_come_out() -> None:
    assert frame(b"\xd4\x02") == GET_FIRMWARE
    assert frame(b"\xd5\x03\x32\x01\x06\x07") == FIRMWARE
    assert frame(bytes(255))[:6].hex() == "0000ffff0100"
    assert frame(bytes(256))[:8].hex() == "0000ffffff0100ff"


def test_a_frame_with_a_wrong_sum_is_dropped() -> None:
    for at in (3, 4, 7):
        broken = bytearray(GET_FIRMWARE)
        broken[at] ^= 0x10
        received = broken + GET_FIRMWARE
        assert take(received) == b"\xd4\x02"


def ask(line: int, sent: bytes, expected: bytes) -> None:
    os.write(line, sent)
    received = b""
    while len(received) < len(expected):
        assert select.select([line], [], [], 5)[0], received.hex()
        received += os.read(line, 4096)
    assert received == expected


def test_it_answers_on_its_line_after_an_acknowledgement_and_again_on_request() -> None:
    with Pn532() as reader:
        line = os.open(reader.path, os.O_RDWR | os.O_NOCTTY)
        try:
            ask(line, b"\x55\x55" + bytes(14) + GET_FIRMWARE, ACK + FIRMWARE)
            ask(line, NACK, FIRMWARE)
            ask(line, ACK + GET_FIRMWARE, ACK + FIRMWARE)
            ask(line, frame(b"\xd4\x99"), ACK + ERROR)
            ask(line, frame(b"\xd4\x4a"), ACK + ERROR)
            echo = bytes(i & 0xFF for i in range(260))
            ask(line, frame(b"\xd4\x00\x00" + echo), ACK + frame(b"\xd5\x01\x00" + echo))
        finally:
            os.close(line)


def test_no_thread_and_no_descriptor_outlives_it() -> None:
    threads, descriptors = threading.active_count(), open_descriptors()
    with Pn532(Classic()):
        assert threading.active_count() == threads + 1
    assert threading.active_count() == threads
    assert open_descriptors() == descriptors


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_what_goes_wrong_in_a_card_is_raised_where_the_reader_is_used() -> None:
    class Broken(Classic):
        def activate(self) -> Activation:
            raise ZeroDivisionError

    def use() -> None:
        with Pn532(Broken()) as reader:
            line = os.open(reader.path, os.O_RDWR | os.O_NOCTTY)
            ask(line, frame(b"\xd4\x4a" + LIST_ONE), ACK)
            os.close(line)

    with pytest.raises(ZeroDivisionError):
        use()


def test_an_empty_field_lists_nothing() -> None:
    chip = Chip()
    assert chip.answer(0x4A, LIST_ONE) == b"\x00"
    assert chip.answer(0x40, b"\x01\x30\x00") == b"\x27"
    assert chip.answer(0x42, b"\x30\x00") == b"\x01"


def test_a_card_is_listed_as_its_kind() -> None:
    assert Chip(Classic()).answer(0x4A, LIST_ONE) == bytes.fromhex("01 01 0004 08 04 3e112233")
    assert Chip(Ntag()).answer(0x4A, LIST_ONE) == bytes.fromhex("01 01 0044 00 07 04112233445566")
    iso_dep = Chip(Type4())
    assert iso_dep.answer(0x4A, LIST_ONE) == bytes.fromhex("01 01 0344 20 07 04010203040506 067577810280")
    iso_dep.answer(0x12, b"\x00")
    assert iso_dep.answer(0x4A, LIST_ONE) == bytes.fromhex("01 01 0344 20 07 04010203040506")
    assert iso_dep.answer(0x4A, b"\x01\x03\x00") == b"\x00"


@pytest.mark.parametrize("wanted", ["3e112233", "8804112233445566"])
def test_a_card_is_selected_by_its_number(wanted: str) -> None:
    chip = Chip(Classic(), Ntag())
    listed = chip.answer(0x4A, LIST_ONE + bytes.fromhex(wanted))
    assert listed is not None
    assert listed[0] == 1
    assert listed[6:].hex() == wanted[-2 * listed[5] :]


def test_two_cards_are_listed_and_spoken_to_by_their_numbers() -> None:
    ntag = Ntag()
    chip = Chip(Classic(), ntag)
    listed = chip.answer(0x4A, b"\x02\x00")
    assert listed is not None
    assert listed[0] == 2
    assert chip.answer(0x40, b"\x01\x60\x04" + TRANSPORT_KEY + b"\x3e\x11\x22\x33") == b"\x00"
    assert chip.answer(0x40, b"\x01\x30\x04") == bytes(17)
    assert chip.answer(0x40, b"\x02\xa2\x04data") == b"\x00"
    assert ntag.peek(4) == b"data"
    assert chip.answer(0x40, b"\x03\x30\x04") == b"\x27"
    assert chip.answer(0x40, b"\x01\x30\x04") == b"\x13", "the session ended when the other card was spoken to"


def test_a_wrong_key_has_a_status_of_its_own_and_costs_the_selection() -> None:
    chip = Chip(Classic())
    chip.answer(0x4A, LIST_ONE)
    assert chip.answer(0x40, b"\x01\x60\x04secret\x3e\x11\x22\x33") == b"\x14"
    assert chip.answer(0x40, b"\x01\x60\x04" + TRANSPORT_KEY + b"\x3e\x11\x22\x33") == b"\x01"
    chip.answer(0x4A, LIST_ONE)
    assert chip.answer(0x40, b"\x01\x60\x04" + TRANSPORT_KEY + b"\x3e\x11\x22\x33") == b"\x00"


def test_a_card_that_is_lifted_answers_no_more() -> None:
    chip = Chip(Ntag())
    chip.answer(0x4A, LIST_ONE)
    chip.cards.clear()
    assert chip.answer(0x40, b"\x01\x30\x00") == b"\x01"
    assert chip.answer(0x42, b"\x60") == b"\x01"
    assert chip.answer(0x00, b"\x06") == b"\x01"
    assert chip.answer(0x54, b"\x01") == b"\x01"
    assert chip.answer(0x4A, LIST_ONE) == b"\x00"


def test_switching_the_field_off_forgets_the_cards() -> None:
    chip = Chip(Ntag())
    chip.answer(0x4A, LIST_ONE)
    chip.answer(0x32, b"\x01\x00")
    assert chip.answer(0x40, b"\x01\x30\x00") == b"\x27"


@pytest.mark.parametrize("command", [0x44, 0x52])
def test_a_host_that_halts_what_it_finds_meets_every_card(command: int) -> None:
    chip = Chip(Classic(), Ntag())
    met = []
    for _ in range(3):
        listed = chip.answer(0x4A, LIST_ONE)
        assert listed is not None
        met.append(listed[4])
        assert chip.answer(command, b"\x01") == b"\x00"
    assert met == [0x08, 0x00, 0x08]


def test_frames_beyond_mifare_pass_in_communicate_thru_only() -> None:
    chip = Chip(Ntag())
    chip.answer(0x4A, LIST_ONE)
    assert chip.answer(0x40, b"\x01\x60") == b"\x27"
    assert chip.answer(0x42, b"\x60") == b"\x00" + bytes.fromhex("0004040201000f03")


def test_four_bits_are_seen_only_where_the_crc_is_left_to_the_host() -> None:
    chip = Chip(Ntag())
    chip.answer(0x4A, LIST_ONE)
    assert chip.answer(0x42, b"\xa2\x04data") == b"\x02"
    chip.answer(0x08, b"\x63\x03\x00")
    assert chip.answer(0x06, b"\x63\x03") == b"\x00"
    assert chip.answer(0x42, b"\xa2\x04data") == b"\x00\x0a"
    assert chip.answer(0x42, b"\x39\x02") == b"\x00\x00"
    chip.answer(0x4A, LIST_ONE)
    chip.answer(0x08, b"\x63\x03\x00\x63\x02\x00")
    seen = chip.answer(0x42, b"\x30\x04" + crc_a(b"\x30\x04"))
    assert seen is not None
    assert seen[1:5] == b"data"
    assert crc_a(seen[1:-2]) == seen[-2:]
    assert chip.answer(0x42, b"\x30\x04\x00\x00") == b"\x01"


def test_a_command_may_come_in_parts() -> None:
    chip = Chip(Type4())
    chip.answer(0x4A, LIST_ONE)
    assert chip.answer(0x40, b"\x41\x00\xa4\x04\x00") == b"\x00"
    assert chip.answer(0x40, b"\x01\x02\x01\x02") == b"\x00\x90\x00"


def test_nfcpy_reads_and_writes_a_type_4_tag_in_blocks_of_its_own() -> None:
    """Messages longer than a frame either way, so that both sides chain."""
    card = Type4()
    records = [ndef.TextRecord("long " * 100)]
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        tag = found(frontend)
        tag.ndef.records = records
        assert found(frontend).ndef.records == records
    assert b"long long" in card.files[b"\xe1\x04"]


def test_the_block_protocol_repeats_what_was_lost() -> None:
    chip = Chip(Type4())
    chip.answer(0x12, b"\x00")
    chip.answer(0x4A, LIST_ONE)
    assert chip.answer(0x42, b"\xe0\x00") == b"\x00" + Type4.ats
    select_file = chip.answer(0x42, b"\x02\x00\xa4\x00\x0c\x02\xe1\x03")
    assert select_file == b"\x00\x02\x90\x00"
    assert chip.answer(0x42, b"\xb2") == select_file
    assert chip.answer(0x42, b"\xb3") == b"\x00\xa2"
    part = chip.answer(0x42, b"\x03\x00\xb0\x00\x00\x0f")
    assert part is not None
    assert part[1] == 0x13
    rest = chip.answer(0x42, b"\xa2")
    assert rest is not None
    assert rest[1] == 0x02
    assert part[2:] + rest[2:] == bytes(card_file()) + b"\x90\x00"
    assert chip.answer(0x42, b"\xc2") == b"\x00\xc2"
    assert chip.answer(0x42, b"\x77") == b"\x01"


def card_file() -> bytearray:
    return Type4().files[b"\xe1\x03"]


def test_a_card_that_falls_silent_in_a_command_is_a_timeout() -> None:
    class Silent(Type4):
        def exchange(self, frame: bytes) -> bytes:
            raise NoAnswer

    chip = Chip(Silent())
    chip.answer(0x4A, LIST_ONE)
    assert chip.answer(0x40, b"\x01\x00\xa4\x04\x00") == b"\x01"
