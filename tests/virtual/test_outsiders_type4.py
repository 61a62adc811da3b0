"""nfcpy and libfreefare read what the card library writes on Type 4 Tags, and it reads what they write."""

from __future__ import annotations

from pathlib import Path

import ndef
import nfc.tag.tt4
import pytest
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.type4.layout import Type4Layout
from encoder_bridge_cards.type4.work import Type4Work

from virtual.desfire import Desfire
from virtual.outsiders import found, nfcpy, run
from virtual.pn532 import Pn532
from virtual.type4 import CONTAINER, Type4

SHORT, LONG = "https://example.com/room/12", "https://example.com/" + 30 * "room/"
LIMITS = [(15, 2), (59, 52), (255, 255)]


def message(uri: str) -> bytes:
    return b"".join(ndef.message_encoder([ndef.UriRecord(uri)]))


def places(uri: str) -> Contents:
    return Type4Layout().places(message(uri), ndef=True)


def surveyed(card: Type4) -> Type4Work:
    work = Type4Layout().on(card, card.activate())
    assert work is not None
    work.survey(lambda area: b"example.com" in area, resuming=False)
    return work


def write(card: Type4, contents: Contents) -> None:
    work = surveyed(card)
    work.write(contents, lambda done, total: None)
    work.verify(contents)


@pytest.mark.parametrize(("longest_read", "longest_update"), LIMITS)
def test_nfcpy_reads_what_we_write_and_we_read_what_nfcpy_writes(longest_read: int, longest_update: int) -> None:
    card = Type4(longest_read=longest_read, longest_update=longest_update)
    for uri in (LONG, SHORT):
        write(card, places(uri))
        with Pn532(card) as reader, nfcpy(reader) as frontend:
            tag = found(frontend)
            assert isinstance(tag, nfc.tag.tt4.Type4Tag)
            assert [record.uri for record in tag.ndef.records] == [uri]
            tag.ndef.records = [ndef.UriRecord(uri + "/b")]
        assert surveyed(card).read() == places(uri + "/b")
    write(card, surveyed(card).blank())
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        assert found(frontend).ndef.records == []


@pytest.mark.parametrize("version", ["ev1", "ev2", "ev3"])
def test_libfreefare_reads_what_we_write_on_a_card_that_it_prepared(version: str, tmp_path: Path) -> None:
    """The virtual DESFire knows no ISO file commands, so its two files are carried to a card that does, and back."""
    desfire, back = Desfire(version=version), tmp_path / "message"
    with Pn532(desfire) as reader:
        run(reader, "mifare-desfire-create-ndef", "-y")
        (application,) = desfire.memory.applications.values()
        container, file = (application.files[number] for number in (1, 2))
        longest_read, longest_update = (int.from_bytes(container.data[at : at + 2], "big") for at in (3, 5))
        card = Type4(desfire.state.uid, len(file.data), longest_read, longest_update)
        card.files[CONTAINER][:] = container.data
        card.ndef[:] = file.data
        for uri in (LONG, SHORT):
            write(card, places(uri))
            file.data = bytes(card.ndef)
            run(reader, "mifare-desfire-read-ndef", "-y", "-o", back)
            assert back.read_bytes() == message(uri)
