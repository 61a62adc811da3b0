"""What a profile may say of cards with pages, and what is laid where."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from encoder_bridge_cards.personalisation import Mismatch
from encoder_bridge_cards.tables import Table
from encoder_bridge_cards.type2 import tlv
from type2_desk import (
    IMAGE,
    KINDS,
    MESSAGE,
    NTAG213,
    NTAGS,
    ULTRALIGHT_C,
    Kind,
    Sly,
    area,
    begin,
    key,
    personalise,
    secret,
)
from virtual.type2 import CC, Ntag

from encoder_bridge.driver import CardRejected, CredentialRejected, SettingsRejected

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
both = pytest.mark.parametrize("kind", [NTAG213, ULTRALIGHT_C], ids=lambda kind: kind.table)
SIZES = {
    "ntag213": 0x12,
    "ntag215": 0x3E,
    "ntag216": 0x6D,
    "ultralight_ev1_20": 0x06,
    "ultralight_ev1_41": 0x10,
    "ultralight_c": 0x12,
}
"""What the capability container says, in units of 8 bytes."""


@both
@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"first_page": 3}, "first_page has to be a whole number from 4"),
        ({"first_page": 300}, "first_page"),
        ({"first_page": 10, "last_page": 9}, "last_page has to be a whole number from 10"),
        ({"last_page": 0xE2}, "last_page"),
        ({"protect_from": 8}, "protect_from protects nothing without a key"),
        ({"read_protected": True}, "read_protected protects nothing without a key"),
        ({"lock": "yes"}, "lock has to be true or false"),
        ({"pages": [4]}, "there is no setting 'pages'"),
    ],
)
def test_a_wrong_setting_is_named(kind: Kind, table: Mapping[str, object], said: str) -> None:
    with pytest.raises(SettingsRejected, match=said) as caught:
        kind.parse(Table(table, f"profiles.guest.{kind.table}"), secret, False)
    assert str(caught.value).startswith(f"profiles.guest.{kind.table}")


@both
@pytest.mark.parametrize("page", [3, 0xE4])
def test_protection_comprises_the_guard_and_never_the_cards_number(kind: Kind, page: int) -> None:
    with pytest.raises(SettingsRejected, match="protect_from"):
        kind.layout(protect_from=page)


@both
def test_a_key_has_to_have_its_length(kind: Kind) -> None:
    with pytest.raises(SettingsRejected, match=r"has to be (6|16) bytes"):
        kind.parse(Table({kind.key: key("short")}, "profiles.guest"), lambda name: b"0011", False)


def test_the_area_is_the_largest_cards_unless_it_is_given() -> None:
    assert NTAG213.layout().capacity == 888
    assert ULTRALIGHT_C.layout().capacity == 144
    assert NTAG213.layout(first_page=8, last_page=9).capacity == 8


@both
def test_an_image_is_filled_with_zeros_to_the_end_of_its_last_page(kind: Kind) -> None:
    assert kind.layout(first_page=6).places(b"abcde", ndef=False) == {6: b"abcd", 7: b"e\0\0\0"}
    assert kind.layout().places(b"", ndef=False) == {}


@both
def test_an_image_that_does_not_fit_is_refused(kind: Kind) -> None:
    made = kind.layout(last_page=7)
    assert list(made.places(bytes(16), ndef=False)) == [4, 5, 6, 7]
    assert list(made.places(bytes(13), ndef=True)) == [3, 4, 5, 6, 7]
    for image, ndef in ((bytes(17), False), (bytes(14), True)):
        with pytest.raises(CredentialRejected, match="room for 16"):
            made.places(image, ndef=ndef)


def test_a_message_ends_where_the_capability_container_says() -> None:
    with pytest.raises(CredentialRejected, match="room for 872"):
        NTAG213.layout().places(bytes(0x6D * 8 - 4), ndef=True)


@both
def test_a_message_begins_at_page_4_and_nowhere_else(kind: Kind) -> None:
    with pytest.raises(SettingsRejected, match="first_page has to be 4"):
        kind.layout(first_page=5, ndef=True)


@pytest.mark.parametrize(
    ("length", "begins"),
    [(0, "0300"), (1, "0301"), (254, "03fe"), (255, "03ff00ff"), (256, "03ff0100"), (860, "03ff035c")],
)
def test_a_message_stands_between_its_length_and_its_end(length: int, begins: str) -> None:
    message = bytes([0xAA]) * length
    assert tlv.wrapped(message).hex() == begins + message.hex() + "fe"


@pytest.mark.parametrize(
    ("area", "is_blank"),
    [
        ("", True),
        ("0000000000000000", True),
        ("0300fe0000000000", True),
        ("0103a00c340300fe", True),
        ("0103a00c340300fe0000", True),
        ("0103a00c340203aabbcc0300fe", True),
        ("0300fe0000000001", False),
        ("0103a00c34", False),
        ("0103a00c34000000", False),
        ("0103a00c340301aafe", False),
        ("0301aafe", False),
        ("01", False),
    ],
)
def test_a_new_card_is_blank_and_nothing_else_is(area: str, is_blank: bool) -> None:
    assert tlv.is_blank(bytes.fromhex(area)) == is_blank


@both
def test_raw_pages_are_taken_inside_the_area_only(kind: Kind) -> None:
    made = kind.layout(first_page=6, last_page=9)
    assert list(made.raw({9: b"nine", 6: b"six!"}).items()) == [(6, b"six!"), (9, b"nine")]
    for page in (*range(6), 10, kind.last + 1, kind.last + 2, -1):
        with pytest.raises(CredentialRejected, match=f"Page {page} is none"):
            made.raw({page: bytes(4)})
    for data in (b"", bytes(3), bytes(5), bytes(16)):
        with pytest.raises(CredentialRejected, match="has to be 4 bytes"):
            made.raw({6: data})


@every_kind
def test_raw_pages_beyond_this_very_card_are_not_written(kind: Kind) -> None:
    card, made = kind.make(), kind.layout()
    work, before = begin(made, card), card.snapshot()
    for page in (0, 2, kind.last + 1):
        with pytest.raises(CardRejected, match="too small"):
            work.write({4: b"data", page: b"data"}, lambda done, total: None)
    assert card.snapshot() == before


@every_kind
def test_a_message_is_found_by_whoever_reads_the_card(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(ndef=True)
    personalise(made, card, made.places(MESSAGE, ndef=True))
    assert card.peek(CC) == bytes([0xE1, 0x10, SIZES[kind.name], 0x00])
    assert area(card, len(MESSAGE) + 3) == b"\x03" + bytes([len(MESSAGE)]) + MESSAGE + b"\xfe"


@every_kind
def test_the_largest_message_fits_and_a_larger_one_is_refused(kind: Kind) -> None:
    room = min(SIZES[kind.name] * 8, 4 * (kind.last - 3))
    message = bytes([0xAA]) * (room - (5 if room > 256 else 3))
    card, made = kind.make(), kind.layout(ndef=True)
    personalise(made, card, made.places(message, ndef=True))
    card = kind.make()
    work, before = begin(made, card), card.snapshot()
    with pytest.raises((CardRejected, CredentialRejected)):
        work.write(made.places(message + b"\xaa", ndef=True), lambda done, total: None)
    assert card.snapshot() == before


@pytest.mark.parametrize("kind", [*NTAGS[3:], ULTRALIGHT_C], ids=lambda kind: kind.name)
def test_page_3_stays_as_it_is_without_a_message(kind: Kind) -> None:
    card, made = kind.make(), kind.layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.peek(CC) == bytes(4)


@every_kind
@pytest.mark.parametrize("page_3", ["00000001", "e1101f0f", "e1201f00", "e2101f00", "ffffffff"])
def test_a_page_3_that_says_something_else_is_not_written_over(kind: Kind, page_3: str) -> None:
    card, made = kind.make(), kind.layout(ndef=True)
    card.poke(CC, bytes.fromhex(page_3))
    before = card.snapshot()
    with pytest.raises(CardRejected) as caught:
        begin(made, card)
    assert caught.value.raw == "capability_container"
    assert card.snapshot() == before
    made = kind.layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.peek(CC).hex() == page_3


@every_kind
def test_a_card_that_announces_less_than_the_message_takes_is_left_alone(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(ndef=True)
    card.poke(CC, bytes.fromhex("e1100100"))
    work, before = begin(made, card), card.snapshot()
    with pytest.raises(CardRejected) as caught:
        work.write(made.places(MESSAGE, ndef=True), lambda done, total: None)
    assert caught.value.raw == "capability_container"
    assert card.snapshot() == before
    personalise(made, card, made.places(MESSAGE[:5], ndef=True))


@pytest.mark.parametrize("kind", [*NTAGS[3:], ULTRALIGHT_C], ids=lambda kind: kind.name)
def test_a_locked_page_3_that_would_have_to_change_refuses_the_card(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(ndef=True)
    card.poke(2, card.peek(2)[:2] + b"\x08\x00")
    work, before = begin(made, card), card.snapshot()
    with pytest.raises(CardRejected, match="locked"):
        work.write(made.places(MESSAGE, ndef=True), lambda done, total: None)
    assert card.snapshot() == before


@every_kind
@pytest.mark.parametrize("keyed", [True, False])
def test_the_area_is_locked_on_request_and_only_the_area(kind: Kind, keyed: bool) -> None:
    last = 15 if kind.locks is None else 0x1F
    card, made = kind.make(), kind.layout(first_page=5, last_page=last, lock=True, keyed=keyed)
    for page in (4, 5):
        card.poke(page, bytes(4))
    contents = made.places(IMAGE[:40], ndef=False)
    personalise(made, card, contents)
    assert card.peek(2)[2:] == b"\xe0\xff"
    locked = {*card._locked_pages()}
    assert locked == set(range(5, last + 1))
    with pytest.raises(CardRejected, match="locked"):
        begin(made, card)
    assert personalise(made, card, contents, resuming=True) == []
    work = begin(made, card, resuming=True)
    with pytest.raises(CardRejected, match="locked"):
        work.write(made.places(IMAGE[1:41], ndef=False), lambda done, total: None)


@every_kind
def test_nothing_is_locked_before_everything_else_is_proven(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(lock=True, last_page=15)
    auth0 = card.cfg_0 if isinstance(card, Ntag) else 0x2A
    link = Sly(card, lambda frame: frame[0] == 0xA2 and frame[1] == auth0)
    with pytest.raises(Mismatch, match="protection"):
        personalise(made, link, made.places(IMAGE, ndef=False))
    assert not {*card._locked_pages()}


@pytest.mark.parametrize("kind", [*NTAGS[3:], ULTRALIGHT_C], ids=lambda kind: kind.name)
def test_page_3_that_cannot_be_taken_back_is_written_after_the_message(kind: Kind) -> None:
    made = kind.layout(keyed=False)
    written: list[int] = []
    link = Sly(kind.make(), lambda frame: frame[0] == 0xA2 and bool(written.append(frame[1])))  # type: ignore[func-returns-value]
    personalise(made, link, made.places(MESSAGE, ndef=True))
    assert written == [4, 5, 6, 7, 3]


@every_kind
def test_nothing_is_locked_unasked(kind: Kind) -> None:
    card, made = kind.make(), kind.layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert not {*card._locked_pages()}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.locks is not None], ids=lambda kind: kind.name)
def test_pages_that_are_only_locked_together_with_others_are_not_locked_by_halves(kind: Kind) -> None:
    card = kind.make()
    before = card.snapshot()
    with pytest.raises(CardRejected) as caught:
        begin(kind.layout(last_page=16, lock=True), card)
    assert caught.value.raw == "not_lockable"
    assert card.snapshot() == before


@every_kind
@pytest.mark.parametrize("blocking", [2, 4])
def test_lock_bits_that_can_no_more_be_set_refuse_the_card(kind: Kind, blocking: int) -> None:
    card = kind.make()
    card.poke(2, card.peek(2)[:2] + bytes([blocking, 0]))
    with pytest.raises(CardRejected) as caught:
        begin(kind.layout(last_page=15, lock=True), card)
    assert caught.value.raw == "not_lockable"
    made = kind.layout(last_page=15)
    personalise(made, card, made.places(IMAGE, ndef=False))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.locks is not None], ids=lambda kind: kind.name)
def test_the_whole_memory_can_be_locked(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(lock=True)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert {*card._locked_pages()} == set(range(4, kind.last + 1))


def test_lock_bits_that_were_not_set_are_noticed() -> None:
    card, made = NTAG213.make(), NTAG213.layout(lock=True)
    contents = made.places(IMAGE, ndef=False)
    personalise(made, card, contents)
    work = begin(made, card, resuming=True)
    card.poke(0x28, b"\xff\x07\x00\xbd")
    with pytest.raises(Mismatch, match="lock bits"):
        work.verify(contents)
