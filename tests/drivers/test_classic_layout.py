"""Where contents go on a MIFARE Classic, and which profiles and contents are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from classic_desk import SECRETS, key, layout, ndef_layout, secret
from encoder_bridge_cards.classic.layout import ClassicLayout
from encoder_bridge_cards.link import Activation, Family
from encoder_bridge_cards.tables import Table
from virtual.classic import Classic

from encoder_bridge.driver import CredentialRejected, SettingsRejected


def test_an_image_fills_data_blocks_and_never_a_trailer() -> None:
    places = layout(sectors=[1, 3]).places(bytes(range(80)), ndef=False)
    assert list(places) == [4, 5, 6, 12, 13]
    assert b"".join(places.values()) == bytes(range(80))


def test_the_last_block_is_padded_with_zeros_and_later_ones_are_left_alone() -> None:
    assert layout().places(b"\x01" * 17, ndef=False) == {4: b"\x01" * 16, 5: b"\x01" + bytes(15)}


def test_sector_0_offers_two_blocks() -> None:
    made = layout(sectors=[0])
    assert made.capacity == 32
    assert list(made.places(bytes(32), ndef=False)) == [1, 2]


def test_a_sector_beyond_31_offers_fifteen_blocks() -> None:
    made = layout(sectors=[31, 32, 39])
    assert made.capacity == 48 + 2 * 240
    assert list(made.places(bytes(made.capacity), ndef=False)) == [
        *range(124, 127),
        *range(128, 143),
        *range(240, 255),
    ]


@pytest.mark.parametrize("made", [layout(), ndef_layout(), ndef_layout(sectors=[1, 2, 3, 4, 5, 6])])
def test_the_largest_image_fits_and_one_byte_more_does_not(made: ClassicLayout) -> None:
    ndef = made.capacity % 16 != 0
    assert made.places(bytes(made.capacity), ndef=ndef)
    with pytest.raises(CredentialRejected, match=f"room for {made.capacity}"):
        made.places(bytes(made.capacity + 1), ndef=ndef)


def test_an_ndef_message_is_wrapped() -> None:
    assert ndef_layout().places(b"\xd1\x01\x00", ndef=True) == {4: bytes.fromhex("0303D10100FE").ljust(16, b"\0")}


def test_a_long_ndef_message_has_a_length_of_three_bytes() -> None:
    made = ndef_layout(sectors=[1, 2, 3, 4, 5, 6])
    assert made.capacity == 6 * 48 - 5
    area = b"".join(made.places(b"\x55" * 255, ndef=True).values())
    assert area[:4] == bytes.fromhex("03FF00FF")
    assert area[4:260] == b"\x55" * 255 + b"\xfe"
    assert b"".join(made.places(b"\x55" * 254, ndef=True).values())[:2] == bytes.fromhex("03FE")


@pytest.mark.parametrize(("made", "ndef"), [(layout(), True), (ndef_layout(), False)])
def test_ndef_goes_only_where_the_table_says_so(made: ClassicLayout, ndef: bool) -> None:
    with pytest.raises(CredentialRejected, match="has to say ndef"):
        made.places(b"", ndef=ndef)


def test_contents_that_others_computed_are_taken_in_the_order_of_the_area() -> None:
    assert list(layout().raw({6: bytes(16), 4: b"\x01" * 16})) == [4, 6]


@pytest.mark.parametrize("block", [-1, 0, 1, 3, 7, 8, 64, 255, 256])
def test_contents_that_others_computed_go_to_the_profiles_data_blocks_alone(block: int) -> None:
    with pytest.raises(CredentialRejected, match=f"Block {block} is none"):
        layout().raw({block: bytes(16)})


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_block_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(CredentialRejected, match="has to be 16 bytes"):
        layout().raw({4: bytes(length)})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"sectors": None}, "sectors is missing"),
        ({"sectors": []}, "different whole numbers"),
        ({"sectors": [40]}, "from 0 to 39"),
        ({"sectors": [1, 1]}, "different whole numbers"),
        ({"sectors": [2, 1]}, "rising order"),
        ({"key_a": None}, "key_a is missing"),
        ({"key_b": None}, "key_b is missing"),
        ({"mad": "48"}, "has to be 2 bytes"),
        ({"mad": "0004"}, "application of your own"),
        ({"mad": "4811", "sectors": [0, 1]}, "directory lies there"),
        ({"mad": "4811", "sectors": [15, 16]}, "directory lies there"),
        ({"mad_key_b": key("mad")}, "no setting 'mad_key_b'"),
        ({"ndef": True}, "no setting 'key_a'"),
        ({"ndef": True, "key_a": None, "mad": "4811"}, "no setting 'mad'"),
        ({"ndef": True, "key_a": None, "sectors": [0]}, "directory lies there"),
        ({"ndef": True, "key_a": None, "sectors": [1, 3]}, "leave out a sector"),
        ({"colour": "red"}, "no setting 'colour'"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsRejected, match=sentence) as refused:
        layout(**settings)
    assert str(refused.value).startswith("profiles.guest.classic")


def test_a_key_of_another_length_is_refused() -> None:
    values = {"sectors": [1], "key_a": key("a"), "key_b": key("b")}
    with pytest.raises(SettingsRejected, match="6 bytes"):
        ClassicLayout.parse(Table(values, "profiles.guest.classic"), lambda name: b"00" * 16, False)


def test_ndef_may_go_around_sector_16() -> None:
    assert ndef_layout(sectors=[14, 15, 17, 18]).capacity > 0


@pytest.mark.parametrize(
    ("family", "blocks", "fits"),
    [
        (Family.CLASSIC, 20, True),
        (Family.CLASSIC, 64, True),
        (Family.CLASSIC, 256, True),
        (Family.CLASSIC, 0, False),
        (Family.CLASSIC, 255, False),
        (Family.TYPE_2, 64, False),
        (Family.ISO_DEP, 256, False),
    ],
)
def test_only_classic_cards_fit(family: Family, blocks: int, fits: bool) -> None:
    activation = Activation(family=family, uid=bytes(4), blocks=blocks)
    assert layout().fits(activation) is fits
    assert (layout().on(Classic(), activation) is not None) is fits


@pytest.mark.parametrize(("blocks", "name"), [(20, "mini"), (64, "1k"), (256, "4k")])
def test_a_card_is_named_by_its_size_and_number(blocks: int, name: str) -> None:
    card = Classic(uid=bytes.fromhex("04112233445566"), blocks=blocks)
    work = layout().on(card, card.activate())
    assert work is not None
    assert (work.card.technology, work.card.uid) == (f"mifare_classic_{name}", "04112233445566")
    assert work.card.technology in layout().technologies


def test_a_number_that_is_drawn_anew_names_no_card() -> None:
    card = Classic(uid=bytes.fromhex("08112233"))
    work = layout().on(card, card.activate())
    assert work is not None
    assert work.card.uid is None


@pytest.mark.parametrize("made", [layout, ndef_layout])
def test_no_key_is_in_what_a_layout_and_a_work_show(made: Callable[[], ClassicLayout]) -> None:
    card = Classic()
    own = made()
    work = own.on(card, card.activate())
    assert work is not None
    work.survey(lambda area: False, resuming=False)
    shown = repr((own, work, vars(own), vars(work))).lower()
    for value in SECRETS.values():
        assert value.hex() not in shown
        assert repr(value)[2:-1] not in shown
    assert secret("a").decode() not in shown
