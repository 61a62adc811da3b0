"""The commands of the desk, on real PC/SC."""

from __future__ import annotations

import json

from virtual.desfire import Desfire
from virtual.type2 import Ntag

from readers.conftest import OpenDesk
from readers.desk import stay

UID = bytes.fromhex("04112233445566")


def test_read_says_whose_card_it_is_and_erase_makes_it_blank(desk: OpenDesk) -> None:
    with desk() as running:
        card = Desfire(uid=UID)
        running.trigger(stay("one", "desfire"))
        running.asks("one")
        running.slot.lay(card)
        running.event("one")
        running.slot.lift()

        running.slot.lay(card)
        read = running.run("read")
        assert read.returncode == 0, read.stderr
        for told in (UID.hex(), "state: whole", "profile: desfire", "access_method_id: one", "Made here", "valid"):
            assert told in read.stdout
        refused = running.run("erase")
        assert refused.returncode != 0
        erased = running.run("erase", "--even-if-valid")
        assert erased.returncode == 0, erased.stderr
        assert f"Card {UID.hex()} is blank." in erased.stdout
        assert not any(card.memory.applications[0xF51234].files[1].data)
        again = running.run("read")
        assert "state: blank" in again.stdout


def test_a_foreign_card_is_told_and_neither_read_nor_erased(desk: OpenDesk) -> None:
    with desk() as running:
        card = Ntag("ntag213", uid=UID)
        card.poke(4, b"what")
        untouched = card.snapshot()
        running.slot.lay(card)
        read = running.run("read")
        assert "state: foreign" in read.stdout
        assert "It was not made here." in read.stdout
        erased = running.run("erase")
        assert erased.returncode != 0
        assert "not made here" in erased.stdout + erased.stderr
        assert card.snapshot() == untouched


def test_attached_readers_are_listed_with_the_lines_that_configure_them(desk: OpenDesk) -> None:
    with desk() as running:
        listed = running.run("encoders", "--attached", "--json")
        assert listed.returncode == 0, listed.stderr
        found = json.loads(listed.stdout)
        assert {each["driver"] for each in found} == {"pcsc"}
        assert found[0]["settings"]["reader"].startswith("ACS ACR122U")
        assert found[0]["about"]["model"]


def test_a_card_is_made_from_a_file_with_only_a_reader_attached(desk: OpenDesk) -> None:
    with desk() as running:
        running.stop()
        file = running.folder / "stay.json"
        file.write_text(json.dumps(stay("from-a-file", "desfire")))
        card = Desfire(uid=UID)
        with running.running("encode", "--file", str(file)) as encoding:
            assert encoding.stdout is not None
            said = next(line for line in encoding.stdout if "Lay a card" in line)
            running.slot.lay(card)
            said += encoding.stdout.read()
        assert encoding.returncode == 0, said
        assert card.memory.applications[0xF51234].files[1].data[:2] == b"EB"
