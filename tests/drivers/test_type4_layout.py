"""What a profile says of Type 4 Tags, and what it may put there."""

from __future__ import annotations

import pytest
from encoder_bridge_cards.formats.ndef import message
from encoder_bridge_cards.link import Activation, Family
from encoder_bridge_cards.tables import Table
from encoder_bridge_cards.type4.area import PLACE
from encoder_bridge_cards.type4.layout import Type4Layout
from type4_desk import LONG
from virtual.desfire import Desfire
from virtual.type4 import Type4

from encoder_bridge.driver import CredentialRejected, SettingsRejected


def secret(name: str) -> bytes:
    raise AssertionError


def layout(**table: object) -> Type4Layout:
    return Type4Layout.parse(Table(table, "profiles.guest.type4"), secret, True)


def test_the_table_has_no_keys_of_its_own() -> None:
    assert layout().technologies == {"nfc_type_4"}
    assert layout().unit == "file"
    with pytest.raises(SettingsRejected, match=r"profiles\.guest\.type4: there is no setting 'file'"):
        layout(file=1)


@pytest.mark.parametrize("size", [1, 254, 255, 256, 8190])
def test_the_formats_find_a_message_of_any_size_in_its_area(size: int) -> None:
    sent = bytes(at % 251 for at in range(size))
    assert message(layout().places(sent, ndef=True)[PLACE]) == sent


def test_an_empty_message_is_an_empty_area() -> None:
    assert layout().places(b"", ndef=True) == {PLACE: b""}


def test_a_message_is_refused_that_no_card_has_room_for() -> None:
    made = layout()
    assert made.capacity == 8190
    with pytest.raises(CredentialRejected, match=r"8191 bytes long and .* 8190"):
        made.places(bytes(8191), ndef=True)


def test_nothing_but_ndef_is_taken() -> None:
    with pytest.raises(CredentialRejected, match="Only NDEF messages"):
        layout().places(LONG, ndef=False)
    with pytest.raises(CredentialRejected, match="computed elsewhere"):
        layout().raw({PLACE: LONG})


@pytest.mark.parametrize("family", [Family.CLASSIC, Family.TYPE_2, Family.OTHER])
def test_a_card_of_another_family_is_not_asked(family: Family) -> None:
    activation = Activation(family=family, uid=bytes(7))
    assert not layout().fits(activation)
    assert layout().on(Type4(), activation) is None


def test_a_card_without_the_ndef_application_is_of_another_technology() -> None:
    card = Desfire()
    before = card.snapshot()
    assert layout().fits(card.activate())
    assert layout().on(card, card.activate()) is None
    assert card.snapshot() == before


def test_a_card_with_it_is_not_asked_for_more_before_the_survey() -> None:
    card = Type4()
    work = layout().on(card, card.activate())
    assert work is not None
    assert work.card.technology == "nfc_type_4"
    assert work.card.uid == "04a1b2c3d4e5f6"
