"""NTAG, Ultralight EV1 and Ultralight C: fresh ones, those that come back, and those that are left alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from encoder_bridge_cards.link import Activation, Family, Link, LinkError, NoAnswer, Refused, Unsupported
from encoder_bridge_cards.personalisation import Mismatch
from type2_desk import (
    IMAGE,
    KINDS,
    MESSAGE,
    NTAG213,
    NTAGS,
    OTHER,
    OURS,
    SECRETS,
    ULTRALIGHT_C,
    AnyCard,
    Kind,
    Plain,
    Sly,
    area,
    begin,
    personalise,
)
from virtual.card import Tear
from virtual.type2 import CC, STATIC_LOCKS, Ntag
from virtual.ultralight_c import UltralightC, key_pages

from encoder_bridge.driver import CardRejected

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
every_ntag = pytest.mark.parametrize("kind", NTAGS, ids=lambda kind: kind.name)
SHUT = b"\x12\x34\x56\x78"
"""Somebody else's password."""


def secret(name: str) -> bytes:
    return bytes.fromhex(SECRETS[name])


def shut(kind: Kind, access: int = 0x00) -> AnyCard:
    """A card that somebody else guards, from page 4 on; `access` for NTAG alone."""
    card = kind.make()
    if isinstance(card, UltralightC):
        card.poke(0x2C, SHUT)
        card.poke(0x2A, b"\x04\0\0\0")
    else:
        card.poke(card.pwd, SHUT)
        card.poke(card.cfg_1, bytes([access, 5, 0, 0]))
        card.poke(card.cfg_0, b"\0\0\0\x04")
    return card


def refused(made: object, card: AnyCard, *, raw: str, link: Link | None = None, resuming: bool = False) -> CardRejected:
    before = card.snapshot()
    with pytest.raises(CardRejected) as caught:
        begin(made, link or card, resuming=resuming)  # type: ignore[arg-type]
    assert card.snapshot() == before
    assert caught.value.raw == raw
    return caught.value


def frames(link: Link, kind: bytes) -> Counter[bytes]:
    """Count the frames of some kinds that go over a link from now on."""
    seen: Counter[bytes] = Counter()
    pass_on = link.exchange

    def exchange(frame: bytes) -> bytes:
        if frame[0] in kind:
            seen[frame] += 1
        return pass_on(frame)

    link.exchange = exchange  # type: ignore[method-assign]
    return seen


@every_kind
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("hides", [True, False])
def test_a_fresh_card_carries_the_contents_under_our_key(kind: Kind, at_once: bool, hides: bool) -> None:
    card, made = kind.make(applies_at_once=at_once), kind.layout(read_protected=hides)
    told = personalise(made, card, made.places(IMAGE, ndef=False))
    assert area(card, len(IMAGE)) == IMAGE
    assert (kind.auth0(card), kind.hides(card), kind.key_of(card)) == (4, hides, secret(kind.key))
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]


@every_kind
def test_nothing_but_the_area_and_the_guard_is_changed(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(first_page=6, last_page=9, protect_from=8)
    if isinstance(card, Ntag):
        for page in (4, 5):
            card.poke(page, bytes(4))
    before = [card.peek(page) for page in range(card.pages)]
    personalise(made, card, made.places(b"\xaa" * 16, ndef=False))
    changed = {page for page in range(card.pages) if card.peek(page) != before[page]}
    guard = set(range(0x2A, 0x30)) if isinstance(card, UltralightC) else {card.cfg_0, card.pwd, card.pack}
    assert changed == {6, 7, 8, 9, *guard}
    if isinstance(card, Ntag):
        assert card.peek(card.cfg_0) == card.product.cfg_0[:3] + b"\x08"


def test_without_a_key_a_card_stays_open() -> None:
    card, made = NTAG213.make(), NTAG213.layout(keyed=False)
    before = [card.peek(page) for page in range(0x28, card.pages)]
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert [card.peek(page) for page in range(0x28, card.pages)] == before
    assert area(card, len(IMAGE)) == IMAGE


@pytest.mark.parametrize(
    ("kind", "fresh", "again", "unchanged"),
    [
        (NTAGS[0], 23, 21, 8),
        (NTAGS[1], 25, 21, 8),
        (NTAGS[2], 26, 21, 8),
        (NTAGS[3], 23, 21, 8),
        (NTAGS[4], 23, 21, 8),
        (ULTRALIGHT_C, 41, 29, 14),
    ],
    ids=[kind.name for kind in KINDS],
)
def test_a_card_costs_so_many_exchanges(kind: Kind, fresh: int, again: int, unchanged: int) -> None:
    """NTAG213 with 48 bytes: 1 to identify, 2 to look, 12 + 1 to write and read back, 4 to guard, 3 to prove."""
    card, made = kind.make(), kind.layout()
    counts = []
    for image in (IMAGE, bytes(255 - byte for byte in IMAGE), bytes(255 - byte for byte in IMAGE)):
        link = Tear(card)
        personalise(made, link, made.places(image, ndef=False))
        counts.append(link.exchanges)
    assert counts == [fresh, again, unchanged]


@every_kind
def test_a_card_that_carries_everything_already_is_only_looked_at_and_proven(kind: Kind) -> None:
    card, made = kind.make(), kind.layout()
    contents = made.places(IMAGE, ndef=False)
    personalise(made, card, contents)
    writes = frames(card, b"\xa2")
    assert personalise(made, card, contents) == []
    assert not writes


@every_kind
def test_a_card_of_ours_is_written_again_without_touching_its_guard(kind: Kind) -> None:
    card, made = kind.make(), kind.layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    writes = frames(card, b"\xa2")
    personalise(made, card, made.places(IMAGE[:44] + b"last", ndef=False))
    assert [frame[1] for frame in writes] == [15]


@every_kind
def test_a_card_of_ours_without_a_guard_gets_one(kind: Kind) -> None:
    card = kind.make()
    personalise(kind.layout(keyed=False), card, kind.layout().places(IMAGE, ndef=False))
    made = kind.layout()
    personalise(made, card, made.places(OTHER, ndef=False))
    assert (kind.auth0(card), kind.key_of(card)) == (4, secret(kind.key))


@every_kind
@pytest.mark.parametrize("at_once", [True, False])
def test_a_card_under_the_old_key_gets_the_new_one(kind: Kind, at_once: bool) -> None:
    card, before, made = kind.make(applies_at_once=at_once), kind.layout(old=True), kind.layout(previous=True)
    personalise(before, card, before.places(IMAGE, ndef=False))
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert kind.key_of(card) == secret(kind.key)
    assert kind.auth0(card) == 4
    refused(before, card, raw="unknown_key")


@every_kind
def test_a_changed_protection_is_brought_onto_a_card_of_ours(kind: Kind) -> None:
    card, before = kind.make(), kind.layout()
    personalise(before, card, before.places(IMAGE, ndef=False))
    made = kind.layout(protect_from=8, read_protected=True)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert (kind.auth0(card), kind.hides(card)) == (8, True)
    personalise(before, card, before.places(IMAGE, ndef=False))
    assert (kind.auth0(card), kind.hides(card)) == (4, False)


def test_a_password_whose_answer_is_another_is_put_right() -> None:
    card, made = NTAG213.make(), NTAG213.layout()
    contents = made.places(IMAGE, ndef=False)
    personalise(made, card, contents)
    card.poke(0x2C, b"\0\0\0\0")
    work = begin(made, card)
    with pytest.raises(Mismatch, match="key"):
        work.verify(contents)
    personalise(made, card, contents)
    assert NTAG213.key_of(card) == secret("password")


@every_kind
def test_a_card_read_with_its_key_alone_shows_nothing_without_it(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(read_protected=True)
    personalise(made, card, made.places(IMAGE, ndef=False))
    card.activate()
    with pytest.raises(Refused):
        card.exchange(b"\x30\x04")
    assert b"".join(begin(made, card).read().values()).startswith(IMAGE)


@every_kind
@pytest.mark.parametrize("page", [4, 9, 15])
def test_a_card_used_by_others_is_left_alone(kind: Kind, page: int) -> None:
    card = kind.make()
    card.poke(page, b"else")
    refused(kind.layout(), card, raw="foreign_content")
    refused(kind.layout(keyed=False), card, raw="foreign_content")


@every_kind
def test_an_empty_message_is_what_a_new_card_carries_at_page_4_and_nowhere_else(kind: Kind) -> None:
    card = kind.make()
    card.poke(6, b"\x03\x00\xfe\x00")
    refused(kind.layout(first_page=6), card, raw="foreign_content")


@every_kind
def test_others_are_not_locked_out_of_their_pages_beside_ours(kind: Kind) -> None:
    card = kind.make()
    card.poke(4, bytes(4))
    card.poke(5, bytes(4))
    card.poke(15, b"else")
    refused(kind.layout(first_page=6, last_page=9), card, raw="foreign_content")
    made = kind.layout(first_page=6, last_page=9, keyed=False)
    personalise(made, card, made.places(b"\xaa" * 16, ndef=False))
    assert card.peek(15) == b"else"


@every_kind
def test_others_are_not_locked_out_of_their_pages_before_ours(kind: Kind) -> None:
    card = kind.make()
    card.poke(4, bytes(4))
    card.poke(5, b"else")
    refused(kind.layout(first_page=6, protect_from=4), card, raw="foreign_content")
    made = kind.layout(first_page=6)
    personalise(made, card, made.places(IMAGE[:40], ndef=False))
    assert kind.auth0(card) == 6


@every_kind
def test_a_card_under_a_foreign_key_is_left_alone_after_two_tries(kind: Kind) -> None:
    card = shut(kind)
    tries = frames(card, b"\x1b\xaf")
    refused(kind.layout(previous=True), card, raw="unknown_key")
    assert tries.total() == 2
    refused(kind.layout(keyed=False), card, raw="unknown_key")
    assert tries.total() == 2


@every_ntag
def test_a_card_that_counts_wrong_passwords_is_given_none_unless_it_looks_like_ours(kind: Kind) -> None:
    card = shut(kind, access=0x01)
    assert isinstance(card, Ntag)
    refused(kind.layout(previous=True), card, raw="untried_key")
    assert card.failed_passwords == 0


@every_ntag
def test_a_card_of_ours_that_counts_wrong_passwords_is_given_the_newest_alone(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(previous=True)
    assert isinstance(card, Ntag)
    card.poke(card.cfg_1, b"\x03\x05\0\0")
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.peek(card.cfg_1)[0] & 7 == 3
    personalise(made, card, made.places(OTHER, ndef=False))
    assert card.failed_passwords == 0
    card.poke(card.pwd, SHUT)
    refused_tries = frames(card, b"\x1b")
    with pytest.raises(CardRejected, match="count wrong passwords"):
        begin(made, card)
    assert refused_tries.total() == card.failed_passwords == 1


@every_ntag
def test_a_card_that_hides_whether_it_counts_is_given_the_newest_password_alone(kind: Kind) -> None:
    card = shut(kind, access=0x82)
    assert isinstance(card, Ntag)
    tries = frames(card, b"\x1b")
    with pytest.raises(CardRejected, match="count wrong passwords"):
        begin(kind.layout(previous=True), card)
    assert tries.total() == card.failed_passwords == 1
    assert not card.is_locked_out


def test_a_hidden_ultralight_c_is_given_the_old_key_too_since_it_counts_nothing() -> None:
    card, before = UltralightC(), ULTRALIGHT_C.layout(old=True, read_protected=True)
    personalise(before, card, before.places(IMAGE, ndef=False))
    made = ULTRALIGHT_C.layout(previous=True, read_protected=True)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.stored_key == secret("key")


@every_ntag
@pytest.mark.parametrize("first", range(1, 4))
def test_a_configuration_that_is_hidden_in_part_is_not_mistaken(kind: Kind, first: int) -> None:
    """READ goes on at page 0 where reading is protected: what stands there is no configuration."""
    card = kind.make()
    assert isinstance(card, Ntag)
    card.poke(card.cfg_1, b"\x80\x05\0\0")
    card.poke(card.cfg_0, bytes([0, 0, 0, (kind.locks or card.cfg_0) + first]))
    card.poke(card.pwd, secret("password")[:4])
    card.poke(card.pack, secret("password")[4:] + bytes(2))
    made = kind.layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert (kind.auth0(card), kind.hides(card)) == (4, False)


@pytest.mark.parametrize("first", [0x29, 0x2A, 0x2B])
@pytest.mark.parametrize("hides", [True, False])
def test_a_configuration_of_an_ultralight_c_that_is_hidden_in_part_is_not_mistaken(first: int, hides: bool) -> None:
    card = UltralightC()
    for page, data in enumerate(key_pages(secret("key")), 0x2C):
        card.poke(page, data)
    card.poke(0x2A, bytes([first, 0, 0, 0]))
    made = ULTRALIGHT_C.layout(read_protected=hides)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert (ULTRALIGHT_C.auth0(card), ULTRALIGHT_C.hides(card)) == (4, hides)


def test_what_is_reserved_beside_auth0_and_auth1_stays_as_it_is() -> None:
    card, made = UltralightC(), ULTRALIGHT_C.layout()
    card.poke(0x2A, b"\x30\x01\x02\x03")
    card.poke(0x2B, b"\x40\x04\x05\x06")
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.peek(0x2A) + card.peek(0x2B) == b"\x04\x01\x02\x03\x41\x04\x05\x06"


@every_kind
@pytest.mark.parametrize("page", [4, 11, 15])
def test_a_locked_page_of_the_area_refuses_the_card(kind: Kind, page: int) -> None:
    card = kind.make()
    card.poke(STATIC_LOCKS, card.peek(STATIC_LOCKS)[:2] + (1 << page).to_bytes(2, "little"))
    refused(kind.layout(), card, raw="card_locked")
    made = kind.layout(first_page=5, last_page=10, keyed=False)
    for blank in (4, 5):
        card.poke(blank, bytes(4))
    personalise(made, card, made.places(b"\xaa" * 24, ndef=False))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.locks is not None], ids=lambda kind: kind.name)
def test_a_dynamic_lock_bit_refuses_the_card(kind: Kind) -> None:
    card = kind.make()
    card.poke(kind.locks or 0, b"\x02\x00\x00\x00")
    refused(kind.layout(), card, raw="card_locked")
    made = kind.layout(last_page=15)
    personalise(made, card, made.places(IMAGE, ndef=False))


@every_ntag
def test_a_frozen_configuration_refuses_the_card_unless_it_is_as_it_should_be(kind: Kind) -> None:
    card, made = kind.make(), kind.layout()
    assert isinstance(card, Ntag)
    contents = made.places(IMAGE, ndef=False)
    card.poke(card.cfg_1, b"\x40\x05\0\0")
    refused(made, card, raw="card_locked")
    card.poke(card.cfg_1, b"\0\x05\0\0")
    personalise(made, card, contents)
    card.poke(card.cfg_1, b"\x40\x05\0\0")
    personalise(made, card, made.places(OTHER, ndef=False))
    refused(kind.layout(read_protected=True), card, raw="card_locked")
    card.poke(card.pwd, secret("old-password")[:4])
    card.poke(card.pack, secret("old-password")[4:] + bytes(2))
    refused(kind.layout(previous=True), card, raw="card_locked")


@pytest.mark.parametrize("bit", [13, 14, 15])
def test_a_locked_guard_of_an_ultralight_c_refuses_it(bit: int) -> None:
    card = UltralightC()
    card.poke(0x28, (1 << bit).to_bytes(2, "little") + bytes(2))
    refused(ULTRALIGHT_C.layout(), card, raw="card_locked")
    made = ULTRALIGHT_C.layout(keyed=False)
    personalise(made, card, made.places(IMAGE, ndef=False))


@every_kind
def test_a_card_without_the_profiles_pages_is_too_small(kind: Kind) -> None:
    larger = NTAGS[2] if kind.table == "ntag" else kind
    if kind.last == larger.last:
        return
    refused(kind.layout(last_page=kind.last + 1), kind.make(), raw="too_small")
    refused(kind.layout(first_page=kind.last + 1, keyed=False), kind.make(), raw="too_small")
    refused(kind.layout(protect_from=kind.last + 4), kind.make(), raw="too_small")


@every_ntag
def test_contents_that_are_too_long_for_this_very_card_are_not_begun(kind: Kind) -> None:
    card, made = kind.make(), kind.layout()
    if kind.name == "ntag216":
        return
    work, before = begin(made, card), card.snapshot()
    with pytest.raises(CardRejected, match="too small"):
        work.write(made.places(bytes(4 * (kind.last - 3) + 1), ndef=False), lambda done, total: None)
    assert card.snapshot() == before


@every_ntag
def test_a_reader_without_raw_frames_tells_an_ntag_and_writes_it_without_a_password(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(keyed=False)
    work = made.on(Plain(card), card.activate())
    if "ultralight" in kind.name:
        assert work is None
        return
    assert work is not None
    assert work.card.technology == kind.name
    personalise(made, Plain(card), made.places(IMAGE, ndef=False))
    assert area(card, len(IMAGE)) == IMAGE


def test_a_reader_without_raw_frames_refuses_a_profile_with_a_password() -> None:
    card = NTAG213.make()
    error = refused(NTAG213.layout(), card, raw="no_raw_frames", link=Plain(card))
    assert "reader" in str(error)


def test_a_reader_without_raw_frames_does_not_take_an_ultralight_c_for_an_ntag213() -> None:
    card = UltralightC()
    card.poke(CC, bytes.fromhex("e1101200"))
    assert NTAG213.layout(keyed=False).on(Plain(card), card.activate()) is None
    assert ULTRALIGHT_C.layout(keyed=False).on(Plain(card), card.activate()) is None


def test_a_reader_without_raw_frames_does_not_know_a_card_that_hides_its_end() -> None:
    assert NTAG213.layout(keyed=False).on(Plain(card := shut(NTAG213, access=0x80)), card.activate()) is None


@every_kind
def test_each_layout_claims_its_own_cards_only(kind: Kind) -> None:
    card = kind.make()
    for other in (NTAG213, ULTRALIGHT_C):
        work = other.layout().on(card, card.activate())
        assert (work is not None) == (other.table == kind.table)
        card.exchange(b"\x30\x00")  # whoever claims it or not, it is left selected
        if work is not None:
            assert work.card.technology in other.layout().technologies
            assert work.card.uid == card.uid.hex()


class Stranger(Link):
    """A card that says one thing."""

    def __init__(self, answer: bytes | LinkError) -> None:
        self.answer = answer

    def activate(self) -> Activation:
        return Activation(family=Family.TYPE_2, uid=bytes.fromhex("04112233445566"))

    def exchange(self, frame: bytes) -> bytes:
        if isinstance(self.answer, LinkError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        Refused(),
        b"",
        bytes(8),
        bytes.fromhex("0004030104000f03"),  # Ultralight AES
        bytes.fromhex("0004040502021303"),  # NTAG I2C plus
        b"\xaf" + bytes(16),  # Ultralight AES, asked for its key
        b"\x00" + bytes(8),
    ],
)
def test_another_technology_is_not_claimed(answer: bytes | LinkError) -> None:
    link = Stranger(answer)
    for kind in (NTAG213, ULTRALIGHT_C):
        assert kind.layout().on(link, link.activate()) is None


@pytest.mark.parametrize("family", [Family.CLASSIC, Family.ISO_DEP, Family.OTHER, Family.TYPE_2])
def test_another_family_or_a_number_that_does_not_stay_is_not_even_asked(family: Family) -> None:
    activation = Activation(family=family, uid=bytes.fromhex("08112233"))
    for kind in (NTAG213, ULTRALIGHT_C):
        assert not kind.layout().fits(activation)
        assert kind.layout().on(Stranger(AssertionError()), activation) is None  # type: ignore[arg-type]


def writes_to(*pages: int) -> Callable[[bytes], bool]:
    return lambda frame: frame[0] == 0xA2 and frame[1] in pages


def eaten(kind: Kind) -> list[tuple[Callable[[bytes], bool], str]]:
    card = kind.make()
    if isinstance(card, UltralightC):
        guard = [(0x2A, "protection"), (0x2B, "protection"), (0x2C, "key"), (0x2F, "key")]
    else:
        guard = [(card.cfg_0, "protection"), (card.pwd, "password"), (card.pack, "password")]
    return [(writes_to(9), "page 9"), *((writes_to(page), what) for page, what in guard)]


@every_kind
def test_a_reader_that_lies_about_a_write_is_found_out(kind: Kind) -> None:
    for eats, what in eaten(kind):
        card, made = kind.make(), kind.layout()
        contents = made.places(IMAGE, ndef=False)
        with pytest.raises(Mismatch) as caught:
            personalise(made, Sly(card, eats), contents)
        assert caught.value.what == what
        if what.startswith("page"):
            assert kind.auth0(card) == kind.off
        personalise(made, card, contents, resuming=True)
        assert (kind.auth0(card), kind.key_of(card)) == (4, secret(kind.key))


@every_kind
def test_an_old_key_is_not_touched_where_the_protection_was_not_lifted(kind: Kind) -> None:
    card, before, made = kind.make(), kind.layout(old=True), kind.layout(previous=True)
    personalise(before, card, before.places(IMAGE, ndef=False))
    auth0 = 0x2A if isinstance(card, UltralightC) else card.cfg_0
    with pytest.raises(Mismatch, match=f"page {auth0}"):
        personalise(made, Sly(card, writes_to(auth0)), made.places(IMAGE, ndef=False))
    assert kind.key_of(card) == secret(f"old-{kind.key}")


@every_kind
def test_a_page_that_refuses_to_be_written_is_named(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(keyed=False)
    work = begin(made, card)
    card.poke(STATIC_LOCKS, card.peek(STATIC_LOCKS)[:2] + b"\x00\x04")
    card.activate()
    with pytest.raises(Mismatch, match="page 10"):
        work.write(made.places(IMAGE, ndef=False), lambda done, total: None)


def changes(kind: Kind, *, hides: bool) -> list[tuple[int, bytes, str]]:
    """A page, what somebody writes there, and what is said of it."""
    card = kind.make()
    if isinstance(card, UltralightC):
        return [
            (0x08, b"else", "page 8"),
            (0x2A, b"\x30\0\0\0", "protection"),
            (0x2A, b"\x05\0\0\0", "protection"),
            (0x2B, bytes([hides, 0, 0, 0]), "protection"),
            (0x2D, b"else", "key"),
        ]
    return [
        (0x08, b"else", "page 8"),
        (card.cfg_0, b"\0\0\0\xff", "protection"),
        (card.cfg_0, b"\0\0\0\x05", "protection"),
        (card.cfg_1, bytes([0 if hides else 0x80, 0, 0, 0]), "protection"),
        (card.pwd, b"else", "key"),
        (card.pack, b"else", "key"),
    ]


@every_kind
@pytest.mark.parametrize("hides", [True, False])
def test_whatever_is_changed_afterwards_is_noticed(kind: Kind, hides: bool) -> None:
    made = kind.layout(read_protected=hides)
    contents = made.places(IMAGE, ndef=False)
    for page, data, what in changes(kind, hides=hides):
        card = kind.make()
        personalise(made, card, contents)
        work = begin(made, card)
        card.poke(page, data)
        with pytest.raises(Mismatch) as caught:
            work.verify(contents)
        assert caught.value.what == what


@every_kind
def test_protection_that_begins_too_early_is_noticed(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(protect_from=8, read_protected=True)
    contents = made.places(IMAGE, ndef=False)
    personalise(made, card, contents)
    work = begin(made, card)
    page = 0x2A if isinstance(card, UltralightC) else card.cfg_0
    card.poke(page, bytes(3) + b"\x06" if isinstance(card, Ntag) else b"\x06\0\0\0")
    with pytest.raises(Mismatch, match="protection"):
        work.verify(contents)


class Told(Sly):
    """Makes a card tell what it should hide."""

    def exchange(self, frame: bytes) -> bytes:
        if frame[0] == 0x30:
            return b"".join(self._card.peek((frame[1] + i) % self._card.pages) for i in range(4))
        return super().exchange(frame)


@every_kind
def test_a_card_that_tells_what_it_should_hide_is_found_out(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(read_protected=True)
    with pytest.raises(Mismatch, match="protection"):
        personalise(made, Told(card, lambda frame: False), made.places(IMAGE, ndef=False))


class Garbled(Sly):
    """Gives answers to some frames another length."""

    def __init__(self, card: AnyCard, eats: Callable[[bytes], bool], answer: bytes) -> None:
        super().__init__(card, eats)
        self._answer = answer

    def exchange(self, frame: bytes) -> bytes:
        return self._answer if self._eats(frame) else self._card.exchange(frame)


@every_kind
@pytest.mark.parametrize("answer", [b"", bytes(1), bytes(3), bytes(15), bytes(17)])
def test_an_answer_of_a_wrong_length_ends_it(kind: Kind, answer: bytes) -> None:
    card, made = kind.make(), kind.layout()
    contents = made.places(IMAGE, ndef=False)
    personalise(made, card, contents)
    for eaten_kind in [0x30, 0x1B] if kind.table == "ntag" else [0x30, 0xAF]:
        with pytest.raises(LinkError):
            begin(made, Garbled(card, lambda frame, eaten=eaten_kind: frame[0] == eaten, answer))  # type: ignore[misc]


class Lifted(Sly):
    """A reader that calls it a refusal when a card is lifted while it is written."""

    is_gone = False

    def activate(self) -> Activation:
        if self.is_gone:
            raise NoAnswer
        return super().activate()

    def exchange(self, frame: bytes) -> bytes:
        if self._eats(frame):
            self.is_gone = True
            raise Refused
        return super().exchange(frame)


@every_kind
def test_a_refusal_of_a_card_that_is_gone_is_none(kind: Kind) -> None:
    card, made = kind.make(), kind.layout()
    with pytest.raises(NoAnswer):
        personalise(made, Lifted(card, writes_to(9)), made.places(IMAGE, ndef=False))
    personalise(made, card, made.places(IMAGE, ndef=False), resuming=True)


class Small(Link):
    """A reader that cannot take what FAST_READ brings, and says so in one of three ways."""

    def __init__(self, card: AnyCard, how: str) -> None:
        self._card = card
        self._how = how

    def activate(self) -> Activation:
        return self._card.activate()

    def exchange(self, frame: bytes) -> bytes:
        if frame[0] != 0x3A:
            return self._card.exchange(frame)
        if self._how == "unsupported":
            raise Unsupported
        if self._how == "refused":
            self._card.interrupt(b"")
            raise Refused
        return self._card.exchange(frame)[:16]


@every_ntag
@pytest.mark.parametrize("how", ["unsupported", "refused", "short"])
@pytest.mark.parametrize("hides", [True, False])
def test_where_the_reader_takes_no_fast_read_pages_are_read_by_fours(kind: Kind, how: str, hides: bool) -> None:
    card, made = kind.make(), kind.layout(read_protected=hides)
    for image in (IMAGE, OTHER):
        personalise(made, Small(card, how), made.places(image, ndef=False))
        assert area(card, len(image)) == image
    assert b"".join(begin(made, Small(card, how)).read().values())[: len(OTHER)] == OTHER


@every_kind
def test_a_card_that_is_swapped_in_between_is_left_alone(kind: Kind) -> None:
    card, other, made = kind.make(), kind.make(uid=bytes.fromhex("04999999999999")), kind.layout()

    class Swapping(Sly):
        def activate(self) -> Activation:
            return other.activate()

    contents, before = made.places(IMAGE, ndef=False), other.snapshot()
    work = begin(made, card)
    work.write(contents, lambda done, total: None)
    personalise(made, card, contents)
    link = Swapping(card, lambda frame: False)
    again = made.on(link, card.activate()) if kind.table == "ntag" else None
    if again is not None:
        again.survey(lambda area: True, resuming=False)
        with pytest.raises(NoAnswer):
            again.verify(contents)
    else:
        with pytest.raises(NoAnswer):
            made.on(link, card.activate())
    assert other.snapshot() == before


@every_kind
def test_an_erased_card_keeps_our_key_and_is_blank(kind: Kind) -> None:
    card, made = kind.make(), kind.layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    personalise(made, card, begin(made, card).blank())
    assert not any(area(card, 4 * (kind.last - 3)))
    assert kind.auth0(card) == 4
    assert begin(made, card).blank() == begin(made, card).read()


@every_kind
def test_an_erased_message_leaves_an_empty_one(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(ndef=True)
    personalise(made, card, made.places(MESSAGE, ndef=True))
    personalise(made, card, begin(made, card).blank())
    assert area(card, 4 * (kind.last - 3)).rstrip(b"\0") == b"\x03\x00\xfe"
    assert begin(made, card).blank() == begin(made, card).read()


@every_kind
def test_what_only_looks_like_a_message_is_erased_to_zeros(kind: Kind) -> None:
    card, made = kind.make(), kind.layout()
    personalise(made, card, made.places(b"\x03\x01\xaa\xfe", ndef=False))
    assert not any(b"".join(begin(made, card).blank().values()))


@every_kind
def test_nothing_is_to_be_erased_on_a_new_card(kind: Kind) -> None:
    work = begin(kind.layout(), kind.make())
    assert work.blank() == work.read()


def test_no_key_is_told_by_anything_that_can_be_printed() -> None:
    for kind in (NTAG213, ULTRALIGHT_C):
        card, made = kind.make(), kind.layout(previous=True)
        work = begin(made, card)
        told = repr([made, work, vars(made), vars(work), *vars(work).values()])
        for value in SECRETS.values():
            assert value not in told
        assert repr(secret(kind.key))[2:-1] not in told


class Babbling(Link):
    """A card that answers like a real one now and then, else with anything or nothing."""

    def __init__(self, card: AnyCard, dice: random.Random) -> None:
        self._card = card
        self._dice = dice

    def activate(self) -> Activation:
        return self._card.activate()

    def exchange(self, frame: bytes) -> bytes:
        match self._dice.randrange(24):
            case 0:
                raise Refused
            case 1:
                return self._dice.randbytes(self._dice.choice([0, 1, 2, 4, 8, 9, 16, 17, 240]))
            case 2:
                raise Unsupported
            case _:
                answer = self._card.exchange(frame)
                return self._dice.randbytes(len(answer)) if self._dice.randrange(12) == 0 else answer


@every_kind
def test_whatever_a_card_says_only_what_the_contract_names_comes_of_it(kind: Kind) -> None:
    ends: Counter[str] = Counter()
    for seed in range(300):
        dice = random.Random(seed)
        card = kind.make()
        ndef = seed % 7 == 0
        made = kind.layout(previous=True, read_protected=seed % 2 == 0, lock=seed % 5 == 0, ndef=ndef)
        if seed % 3 == 0:
            personalise(kind.layout(old=True), card, made.places(IMAGE, ndef=False))
        link = Babbling(card, dice)
        try:
            work = made.on(link, link.activate())
            if work is None:
                ends["not ours"] += 1
                continue
            work.survey(lambda area: area.startswith(OURS), resuming=seed % 4 == 0)
            work.write(made.places(OTHER, ndef=ndef), lambda done, total: None)
            work.verify(made.places(OTHER, ndef=ndef))
            work.blank()
            ends["whole"] += 1
        except (CardRejected, Mismatch, LinkError) as error:
            ends[type(error).__name__] += 1
    print(kind.name, dict(ends))
    assert len(ends) >= 4
