"""Which reader is meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from encoder_bridge_cards.tables import whole
from encoder_bridge_pcsc.names import NoSuchReader, ReaderName, Wanted, choose, identified
from encoder_bridge_pcsc.settings import wanted as parse

from encoder_bridge.driver import SettingsRejected

ACR122U = "ACS ACR122U PICC Interface 00 00"
SECOND_ACR122U = "ACS ACR122U PICC Interface 01 00"
PICC = "ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] 00 00"
SAM = "ACS ACR1252 Dual Reader [ACR1252 Dual Reader SAM] 00 01"
CL = "HID Global OMNIKEY 5422CL Smartcard Reader [OMNIKEY 5422CL Smartcard Reader] (KL001) 01 00"
CONTACT = "Identiv uTrust 4701 F Dual Interface Reader [uTrust 4701 F Contact Reader] (5355) 00 00"
CONTACTLESS = "Identiv uTrust 4701 F Dual Interface Reader [uTrust 4701 F CL Reader] (5355) 01 00"


def told(name: str) -> str | None:
    """What readers answer that have no serial number in their name."""
    return {ACR122U: "RR1", SECOND_ACR122U: "RR2"}.get(name)


def nobody(name: str) -> str | None:
    raise AssertionError(f"{name} need not be asked")


def chosen(
    *names: str,
    reader: str | None = None,
    serial: str | None = None,
    slot: int | None = None,
    serial_of: Callable[[str], str | None] = told,
) -> str:
    return choose(names, Wanted(reader=reader, serial=serial, slot=slot), serial_of)


def test_a_name_is_taken_apart() -> None:
    name = ReaderName.parse(CL)
    assert (name.product, name.serial, name.slot) == ("HID Global OMNIKEY 5422CL Smartcard Reader", "KL001", 0)
    assert name.stable == CL[:-6]
    assert name.is_contactless


def test_a_name_that_pcscd_did_not_make_is_left_whole() -> None:
    name = ReaderName.parse("ACS ACR122 0")
    assert (name.stable, name.product, name.serial, name.slot) == ("ACS ACR122 0", "ACS ACR122 0", None, 0)


@pytest.mark.parametrize("name", ["", " 00 00", "[", "] (", "\n", "x" * 5000, "a [b] (c) 0G 00"])
def test_no_name_is_too_odd(name: str) -> None:
    assert ReaderName.parse(name).full == name


@pytest.mark.parametrize("name", [ACR122U, "ACS ACR122U PICC Interface"])
def test_a_reader_is_found_by_its_name_with_and_without_numbers(name: str) -> None:
    assert chosen(PICC, SAM, ACR122U, reader=name) == ACR122U


def test_a_reader_is_found_wherever_it_was_plugged_in() -> None:
    assert chosen(PICC, SECOND_ACR122U, reader="ACS ACR122U PICC Interface") == SECOND_ACR122U


def test_two_readers_of_a_name_are_refused_with_their_names() -> None:
    with pytest.raises(NoSuchReader) as refused:
        chosen(ACR122U, SECOND_ACR122U, PICC, reader="ACS ACR122U PICC Interface")
    assert ACR122U in str(refused.value)
    assert SECOND_ACR122U in str(refused.value)
    assert PICC not in str(refused.value)


def test_two_readers_of_a_name_are_told_apart_by_what_they_answer() -> None:
    assert chosen(ACR122U, SECOND_ACR122U, reader="ACS ACR122U PICC Interface", serial="RR2") == SECOND_ACR122U


def test_a_serial_number_is_enough() -> None:
    assert chosen(ACR122U, PICC, CL, serial="KL001") == CL


def test_a_reader_whose_name_tells_its_serial_number_is_not_asked() -> None:
    assert chosen(CL, serial="KL001", serial_of=nobody) == CL


def test_a_reader_that_is_not_meant_by_name_is_not_asked() -> None:
    assert chosen(ACR122U, CL, reader=ReaderName.parse(CL).product, serial="KL001", serial_of=nobody) == CL


def test_a_wrong_serial_number_finds_nothing() -> None:
    with pytest.raises(NoSuchReader, match="not plugged in"):
        chosen(ACR122U, reader="ACS ACR122U PICC Interface", serial="RR9")


@pytest.mark.parametrize("names", [(PICC, SAM), (SAM, PICC)])
def test_the_contactless_slot_is_taken_and_not_the_security_module(names: tuple[str, ...]) -> None:
    assert chosen(*names, reader="ACS ACR1252 Dual Reader") == PICC


@pytest.mark.parametrize("names", [(CONTACT, CONTACTLESS), (CONTACTLESS, CONTACT)])
def test_the_contactless_slot_is_taken_and_not_the_contacts(names: tuple[str, ...]) -> None:
    assert chosen(*names, serial="5355") == CONTACTLESS


def test_a_security_module_is_never_taken_silently() -> None:
    with pytest.raises(NoSuchReader, match="no slot for contactless cards"):
        chosen(SAM, reader="ACS ACR1252 Dual Reader")
    assert chosen(PICC, SAM, reader=SAM) == SAM
    assert chosen(PICC, SAM, reader="ACS ACR1252 Dual Reader", slot=1) == SAM


def test_slots_of_the_same_name_are_told_apart_by_number() -> None:
    names = ("Virtual PCD 00 00", "Virtual PCD 00 01")
    with pytest.raises(NoSuchReader, match="Several"):
        chosen(*names, reader="Virtual PCD")
    assert chosen(*names, reader="Virtual PCD", slot=1) == names[1]
    assert chosen(*names, reader=names[0]) == names[0]


def test_where_no_reader_is_nothing_is_offered() -> None:
    with pytest.raises(NoSuchReader) as refused:
        chosen(reader="ACS ACR122U PICC Interface")
    assert str(refused.value) == "The card reader ('ACS ACR122U PICC Interface') is not plugged in: plug it in."


def test_a_reader_is_identified_by_no_more_than_it_takes() -> None:
    def least(name: str, *others: str) -> Wanted:
        return identified(ReaderName.parse(name), {each: ReaderName.parse(each).serial for each in (name, *others)})

    stable = "Virtual PCD"
    assert least("Virtual PCD 00 00") == Wanted(reader=stable)
    assert least("Virtual PCD 00 00", "Virtual PCD 00 01") == Wanted(reader=stable, slot=0)
    assert least("Virtual PCD 00 00", "Virtual PCD 01 00") == Wanted(reader="Virtual PCD 00 00")
    assert least(PICC, SAM) == Wanted(reader=PICC[:-6])


def test_readers_of_one_name_are_identified_by_what_they_answer() -> None:
    serials: dict[str, str | None] = {ACR122U: "RR1", SECOND_ACR122U: "RR2"}
    assert identified(ReaderName.parse(SECOND_ACR122U), serials) == Wanted(reader=ACR122U[:-6], serial="RR2")


def test_settings_choose_a_reader() -> None:
    with whole({"reader": " Virtual PCD ", "serial": "RR1", "slot": 1}, "encoder") as table:
        assert parse(table) == Wanted(reader="Virtual PCD", serial="RR1", slot=1)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "reader"),
        ({"slot": 1}, "reader"),
        ({"reader": " "}, "reader"),
        ({"reader": 7}, "reader"),
        ({"serial": ""}, "serial"),
        ({"reader": "x", "slot": "0"}, "slot"),
        ({"reader": "x", "slot": -1}, "slot"),
        ({"reader": "x", "port": 1}, "port"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(settings: dict[str, object], key: str) -> None:
    with pytest.raises(SettingsRejected, match=key), whole(settings, "encoder") as table:
        parse(table)
