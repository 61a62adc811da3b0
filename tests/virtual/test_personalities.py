"""The readers' behaviour, held against published figures and against the virtual cards, without a PC/SC service."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import pytest
from encoder_bridge_cards.link import Activation, Family

from virtual.card import VirtualCard
from virtual.classic import Classic
from virtual.personalities import (
    ACR122U,
    ACR1252U,
    IDENTIV_3700F,
    LIAR,
    OMNIKEY_5422,
    PLAIN,
    Model,
    Reader,
    iso_dep_atr,
    storage_card_atr,
)
from virtual.type2 import Ntag

MODELS = pytest.mark.parametrize(
    "model", [ACR122U, ACR1252U, OMNIKEY_5422, IDENTIV_3700F, PLAIN], ids=lambda model: model.name
)

STORAGE_ATRS = [
    # ACR122U API 2.04, section 3.1; a reader's list of MIFARE Classic 4K; Keyple's PcscSupportedContactlessProtocol;
    # ACR122U API 2.04, appendix B; Keyple again
    (0x03, "0001", "00000000", "3b8f8001804f0ca000000306030001000000006a"),
    (0x03, "0002", "00000000", "3b8f8001804f0ca0000003060300020000000069"),
    (0x03, "0003", "00000000", "3b8f8001804f0ca0000003060300030000000068"),
    (0x03, "f011", "00000000", "3b8f8001804f0ca00000030603f011000000008a"),
    (0x07, "0007", "d0020c00", "3b8f8001804f0ca000000306070007d0020c00b6"),
]

LOAD_KEY = {  # a form that works, then those that do not
    ACR122U.name: ("FF820000 06", "FF822000 06", "FF820002 06", "FF820060 06"),
    ACR1252U.name: ("FF820001 06", "FF822000 06", "FF820060 06"),
    OMNIKEY_5422.name: ("FF822000 06", "FF820060 06", "FF822020 06"),
    IDENTIV_3700F.name: ("FF820060 06", "FF820000 06", "FF822060 06"),
    PLAIN.name: ("FF820000 06", "FF822000 06"),
}
GET_VERSION = "0004040201001103"
"""NTAG215 data sheet, section 10.1."""


class IsoDep(VirtualCard):
    atqa = b"\x03\x44"
    sak = 0x20
    ats = bytes.fromhex("067577810280")

    def activate(self) -> Activation:
        return Activation(family=Family.ISO_DEP, uid=bytes.fromhex("04112233445566"))

    def exchange(self, frame: bytes) -> bytes:
        return frame + b"\x91\x00"

    def interrupt(self, frame: bytes) -> None:
        raise NotImplementedError

    def snapshot(self) -> Hashable:
        return None


def on(model: Model, card: VirtualCard) -> Reader:
    reader = Reader(model)
    reader.power_up(card)
    return reader


def say(reader: Reader, apdu: str) -> str:
    return reader.transmit(bytes.fromhex(apdu)).hex()


def open_sector(reader: Reader, key: str = "FF" * 6) -> str:
    """Load a key in the model's form and authenticate block 4 with it; returns the last status word."""
    load = LOAD_KEY[reader.model.name][0]
    assert say(reader, load + key) == "9000"
    slot = "01" if reader.model is IDENTIV_3700F else load.split()[0][-2:]
    return say(reader, f"FF86000005 01000460{slot}")


@pytest.mark.parametrize(("standard", "name", "rest", "atr"), STORAGE_ATRS)
def test_a_storage_card_has_the_published_atr(standard: int, name: str, rest: str, atr: str) -> None:
    assert storage_card_atr(standard, bytes.fromhex(name), bytes.fromhex(rest)).hex() == atr


def test_a_card_with_one_historical_byte_has_the_published_atr() -> None:
    assert iso_dep_atr(IsoDep.ats).hex() == "3b8180018080"  # Keyple


@pytest.mark.parametrize(
    ("card", "atr"),
    [(Classic(), STORAGE_ATRS[0][3]), (Classic(blocks=256), STORAGE_ATRS[1][3]), (Ntag(), STORAGE_ATRS[2][3])],
)
def test_a_reader_makes_the_atr_of_the_card_that_lies_there(card: VirtualCard, atr: str) -> None:
    assert Reader(ACR122U).power_up(card).hex() == atr


@MODELS
def test_every_reader_tells_the_uid(model: Model) -> None:
    card = Ntag()
    assert say(on(model, card), "FFCA000000") == card.uid.hex() + "9000"
    assert say(on(model, card), "FFCA000004") == "6c07"


def test_the_ats_is_told_by_those_who_know_it() -> None:
    assert say(on(ACR122U, IsoDep()), "FFCA010000") == "0675778102809000"
    assert say(on(IDENTIV_3700F, IsoDep()), "FFCA010000") == "6a81"
    assert say(on(ACR122U, Ntag()), "FFCA010000") == "6a81"


@MODELS
def test_a_key_is_loaded_in_the_form_of_the_model_and_in_no_other(model: Model) -> None:
    good, *bad = LOAD_KEY[model.name]
    reader = on(model, Classic())
    assert {say(reader, load + "FF" * 6)[:2] for load in bad} <= {"63", "69"}
    assert say(reader, good + "FF" * 6) == "9000"


@MODELS
def test_a_classic_block_is_written_and_read(model: Model) -> None:
    reader = on(model, card := Classic())
    assert say(reader, "FFB0000410") in {"6300", "6982"}
    assert open_sector(reader) == "9000"
    assert say(reader, "FFD6000410" + "000102030405060708090a0b0c0d0e0f") == "9000"
    assert say(reader, "FFB0000410") == "000102030405060708090a0b0c0d0e0f9000"
    assert say(reader, "FFB0000810") == "6300"
    assert card.peek(4) == bytes(range(16))


@MODELS
@pytest.mark.parametrize("reselects", [True, False])
def test_after_a_wrong_key_a_card_is_selected_again_or_stays_mute(model: Model, reselects: bool) -> None:
    card = Classic()
    reader = Reader(replace(model, reselects=reselects))
    reader.power_up(card)
    load = LOAD_KEY[model.name][0]
    say(reader, load + "A0A1A2A3A4A5")
    slot = "01" if model is IDENTIV_3700F else load.split()[0][-2:]
    assert say(reader, f"FF86000005 01000460{slot}") == "6300"
    say(reader, load + "FF" * 6)
    assert say(reader, f"FF86000005 01000460{slot}") == ("9000" if reselects else "6300")
    reader.power_up(card)
    assert say(reader, f"FF86000005 01000460{slot}") == "9000"


@MODELS
def test_a_page_is_written_and_read(model: Model) -> None:
    reader = on(model, card := Ntag())
    assert say(reader, "FFD6000404" + "00010203") == "9000"
    assert say(reader, "FFB0000404") == "000102039000"
    assert len(reader.transmit(bytes.fromhex("FFB0000410"))) == 18
    assert card.peek(4) == bytes(range(4))


@pytest.mark.parametrize(
    ("model", "asked", "answered"),
    [
        (ACR122U, "FF00000003 D44260", f"d54300{GET_VERSION}9000"),
        (ACR122U, "FF00000001 60", "6300"),
        (ACR1252U, "FF00000001 60", f"{GET_VERSION}9000"),
        (ACR1252U, "FF00000003 D44260", "6300"),
        (OMNIKEY_5422, "FF00000003 D44260", "6a81"),
        (PLAIN, "FF00000001 60", "6a81"),
        (PLAIN, "FFC2000002 8100 00", "6a81"),
    ],
)
def test_a_native_frame_takes_the_model_s_own_way(model: Model, asked: str, answered: str) -> None:
    assert say(on(model, Ntag("ntag215")), asked) == answered


def test_a_transparent_session_carries_frames_while_it_is_open() -> None:
    reader = on(OMNIKEY_5422, Ntag("ntag215"))
    exchange = "FFC200010A 5F4604A0860100 950160 00"
    assert say(reader, exchange) == "6a81"
    assert say(reader, "FFC2000002 8100 00") == "c0030090009000"
    assert say(reader, exchange) == f"c003009000 920100 96020000 9708{GET_VERSION}9000".replace(" ", "")
    assert say(reader, "FFC2000104 9502FFFF 00") == "c0030164019000"
    assert say(reader, "FFC2000204 8F020003 00") == "c0030090009000"
    assert say(reader, "FFC2000103 950160 00").endswith(f"9708{GET_VERSION}9000")
    assert say(reader, "FFC2000002 8200 00") == "c0030090009000"
    assert say(reader, exchange) == "6a81"


def test_what_the_lights_were_told_is_kept() -> None:
    reader = on(ACR122U, Ntag())
    assert say(reader, "FF00400C04 00000000") == "9000"  # ACR122U API 2.04: both lights off
    assert say(reader, "FF00400F04 01010101") == "9003"
    assert say(reader, "FF00400404 00000000") == "9002"
    assert reader.signals[0].hex() == "ff00400c0400000000"
    assert len(reader.signals) == 3
    assert say(on(OMNIKEY_5422, Ntag()), "FF00400C04 00000000") == "6a81"


def test_the_firmware_is_told_without_a_status_word() -> None:
    assert Reader(ACR122U).transmit(bytes.fromhex("FF00480000")) == b"ACR122U215"


def test_a_liar_writes_nothing_and_says_it_did() -> None:
    reader = on(LIAR, card := Ntag())
    before = card.snapshot()
    assert say(reader, "FFD6000404 00010203") == "9000"
    assert say(reader, "FF00000006 A20400010203") == "9000"
    assert card.snapshot() == before
    assert say(reader, "FFB0000404") == card.peek(4).hex() + "9000"


def test_a_card_of_part_4_gets_its_apdus_as_they_are() -> None:
    reader = on(ACR122U, IsoDep())
    assert say(reader, "9060000000") == "90600000009100"
    assert say(reader, "FFB0000410") == "6300"
    assert say(on(ACR122U, Ntag()), "00A4040000") == "6300"


@pytest.mark.parametrize("apdu", ["", "FF", "FFCA00", "FFD6000404", "FFD6000404000102030405", "FF86000005010004"])
def test_a_broken_apdu_is_refused(apdu: str) -> None:
    assert say(on(OMNIKEY_5422, Ntag()), apdu) in {"6700", "6e00"}
