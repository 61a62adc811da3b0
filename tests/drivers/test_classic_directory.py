"""The application directory and NDEF on whole MIFARE Classic cards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from classic_desk import (
    IMAGE,
    KEY_A,
    KEY_B,
    MAD_B,
    OLD_MAD_B,
    OURS,
    begin,
    key,
    layout,
    ndef_layout,
    personalise,
)
from encoder_bridge_cards.classic import mad
from encoder_bridge_cards.classic.layout import ClassicLayout
from encoder_bridge_cards.classic.mad import Page
from encoder_bridge_cards.personalisation import Mismatch
from virtual.card import Tear
from virtual.classic import TRANSPORT_KEY, Classic

from encoder_bridge.driver import CardRejected

OTHER = 0x1234
"""Somebody else's application."""
MESSAGE = bytes.fromhex("D1010A55046578616D706C652E")


def mad_layout(**settings: object) -> ClassicLayout:
    return layout(**{"mad": "4811", "mad_key_b": key("mad"), **settings})


def poke_page(card: Classic, page: Page, key_b: bytes = OLD_MAD_B, general_purpose: int = 0xC1) -> None:
    """Give a card a directory that somebody else has made."""
    stored = page.encode()
    for i, block in enumerate(page.blocks):
        card.poke(block, stored[16 * i : 16 * i + 16])
    card.poke(card.trailer(page.home), mad.KEY_A + bytes.fromhex("787788") + bytes([general_purpose]) + key_b)


def page_of(card: Classic, home: int = 0) -> Page:
    stored = b"".join(map(card.peek, Page(home=home).blocks))
    page = mad.decode(home, stored)
    assert page.encode() == stored
    return page


def entries(page: Page) -> dict[int, int]:
    return {sector: aid for sector, aid in page.ids.items() if aid}


def test_a_fresh_card_gets_a_directory() -> None:
    card, made = Classic(), mad_layout(sectors=[1, 2])
    told = personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.peek(1)[2:6] == bytes.fromhex("11481148")
    assert entries(page_of(card)) == {1: 0x4811, 2: 0x4811}
    assert card.peek(3) == mad.KEY_A + bytes.fromhex("787788C1") + MAD_B
    assert told[-1] == (7, 7)  # three blocks, one page of the directory, three trailers


def test_entries_of_others_are_kept() -> None:
    card, made = Classic(), mad_layout(sectors=[2, 9], mad_key_b=key("old-mad"))
    poke_page(card, Page(home=0, info=5, ids={1: OTHER, 8: OTHER, 15: 0x0002}))
    trailer = card.peek(3)
    personalise(made, card, made.places(IMAGE, ndef=False))
    page = page_of(card)
    assert page.info == 5
    assert entries(page) == {1: OTHER, 2: 0x4811, 8: OTHER, 9: 0x4811, 15: 0x0002}
    assert card.peek(3) == trailer


def test_a_directory_of_others_that_names_us_already_is_left_as_it_is() -> None:
    card, made = Classic(), mad_layout()
    poke_page(card, Page(home=0, ids={1: 0x4811, 3: OTHER}), key_b=b"\x77" * 6)
    before = [card.peek(block) for block in range(4)]
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert [card.peek(block) for block in range(4)] == before


def test_the_directorys_key_is_rolled_over() -> None:
    card, made = Classic(), mad_layout(mad_key_b=key("mad", "old-mad"))
    poke_page(card, Page(home=0, ids={1: 0x4811, 3: OTHER}))
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.peek(3) == mad.KEY_A + bytes.fromhex("787788C1") + MAD_B
    assert entries(page_of(card)) == {1: 0x4811, 3: OTHER}
    personalise(made, card, made.places(IMAGE, ndef=False))


def test_a_card_that_comes_back_keeps_its_directory_untouched() -> None:
    card, made = Classic(), mad_layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert personalise(made, card, made.places(OURS, ndef=False)) == [(1, 2)]


def test_a_4k_gets_both_pages_where_a_sector_beyond_16_is_ours() -> None:
    card, made = Classic(blocks=256), mad_layout(sectors=[15, 17, 32])
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert entries(page_of(card)) == {15: 0x4811}
    assert entries(page_of(card, 16)) == {17: 0x4811, 32: 0x4811}
    assert card.peek(3) == mad.KEY_A + bytes.fromhex("787788C2") + MAD_B
    assert card.peek(67) == mad.KEY_A + bytes.fromhex("78778800") + MAD_B


def test_a_directory_grows_a_second_page() -> None:
    card, made = Classic(blocks=256), mad_layout(sectors=[17], mad_key_b=key("old-mad"))
    poke_page(card, Page(home=0, ids={3: OTHER}))
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert entries(page_of(card)) == {3: OTHER}
    assert entries(page_of(card, 16)) == {17: 0x4811}
    assert card.peek(3)[9] == 0xC2


def test_a_rolled_over_directory_keeps_its_version() -> None:
    card, made = Classic(blocks=256), mad_layout(mad_key_b=key("mad", "old-mad"))
    poke_page(card, Page(home=0, ids={3: OTHER}), general_purpose=0xC2)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.peek(3) == mad.KEY_A + bytes.fromhex("787788C2") + MAD_B


def test_a_second_page_of_others_is_kept() -> None:
    card, made = Classic(blocks=256), mad_layout(sectors=[18], mad_key_b=key("old-mad"))
    poke_page(card, Page(home=0, ids={3: OTHER}), general_purpose=0xC2)
    poke_page(card, Page(home=16, ids={17: OTHER, 39: OTHER}), general_purpose=0)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert entries(page_of(card)) == {3: OTHER}
    assert entries(page_of(card, 16)) == {17: OTHER, 18: 0x4811, 39: OTHER}


def test_a_small_profile_on_a_4k_leaves_the_second_page_alone() -> None:
    card, made = Classic(blocks=256), mad_layout(mad_key_b=key("old-mad"))
    poke_page(card, Page(home=0, ids={3: OTHER}), general_purpose=0xC2)
    poke_page(card, Page(home=16, ids={17: OTHER}), general_purpose=0)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.peek(3)[9] == 0xC2
    assert entries(page_of(card, 16)) == {17: OTHER}


def rejected(made: ClassicLayout, card: Classic, sentence: str) -> None:
    before = card.snapshot()
    with pytest.raises(CardRejected, match=sentence):
        begin(made, card)
    assert card.snapshot() == before


@pytest.mark.parametrize("make", [layout, mad_layout, ndef_layout])
@pytest.mark.parametrize("resuming", [False, True])
def test_a_sector_that_the_directory_gives_to_others_is_left_alone(
    make: Callable[[], ClassicLayout], resuming: bool
) -> None:
    card = Classic()
    poke_page(card, Page(home=0, ids={1: OTHER}))
    if resuming and make is layout:  # no directory is kept, and the card was judged before it was begun
        begin(make(), card, resuming=True)
        return
    with pytest.raises(CardRejected, match="Sector 1 of this card is used by another system"):
        begin(make(), card, resuming=resuming)


def test_a_sector_beyond_16_that_the_directory_gives_to_others_is_left_alone() -> None:
    for make in (layout, mad_layout):
        card = Classic(blocks=256)
        poke_page(card, Page(home=0), general_purpose=0xC2)
        poke_page(card, Page(home=16, ids={20: OTHER}), general_purpose=0)
        rejected(make(sectors=[18, 20]), card, "Sector 20 of this card is used by another system")


def test_a_profile_without_a_directory_takes_a_card_whose_directory_leaves_its_sectors_free() -> None:
    card, made = Classic(), layout()
    poke_page(card, Page(home=0, ids={2: OTHER}))
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert entries(page_of(card)) == {2: OTHER}


def test_a_profile_without_a_directory_heeds_the_entries_of_a_damaged_one() -> None:
    card = Classic()
    poke_page(card, Page(home=0, ids={1: OTHER}))
    card.poke(2, b"\x01" * 16)
    rejected(layout(), card, "Sector 1 of this card is used by another system")


@pytest.mark.parametrize("access", ["787788", "0F00FF"])
def test_sector_0_without_a_directory_says_nothing(access: str) -> None:
    card, made = Classic(), layout()
    card.poke(1, b"\x01" * 16)
    card.poke(3, mad.KEY_A + bytes.fromhex(access) + (b"\x69" if access == "787788" else b"\xc1") + OLD_MAD_B)
    personalise(made, card, made.places(IMAGE, ndef=False))


def test_a_directory_that_nobody_may_read_is_left_alone() -> None:
    card = Classic()
    card.poke(3, mad.KEY_A + bytes.fromhex("0F00FFC1") + OLD_MAD_B)
    rejected(mad_layout(), card, "keys in sector 0 that are not ours")


def test_a_directory_torn_on_a_fresh_card_is_made_anew() -> None:
    card, made = Classic(), mad_layout()
    card.poke(1, b"\xff" * 16)
    personalise(made, card, made.places(IMAGE, ndef=False), resuming=True)
    assert entries(page_of(card)) == {1: 0x4811}


def test_a_torn_directory_of_others_is_mended_where_its_old_checksum_proves_it() -> None:
    card, made = Classic(), mad_layout(sectors=[2, 9], mad_key_b=key("old-mad"))
    page = Page(home=0, ids={1: OTHER, 15: OTHER})
    poke_page(card, page)
    card.poke(2, page.claiming((2, 9), 0x4811).encode()[16:])
    personalise(made, card, made.places(IMAGE, ndef=False), resuming=True)
    assert entries(page_of(card)) == {1: OTHER, 2: 0x4811, 9: 0x4811, 15: OTHER}


def test_a_damaged_directory_is_left_alone() -> None:
    card = Classic()
    poke_page(card, Page(home=0, ids={3: OTHER}))
    card.poke(2, b"\x01" * 16)
    rejected(mad_layout(mad_key_b=key("old-mad")), card, "directory in sector 0 of this card is damaged")


def test_a_directory_that_is_closed_to_us_is_left_alone() -> None:
    card = Classic()
    poke_page(card, Page(home=0, ids={3: OTHER}))
    rejected(mad_layout(), card, "keys in sector 0 that are not ours")


def test_data_of_others_where_the_directory_would_lie_is_left_alone() -> None:
    card = Classic()
    card.poke(2, b"\x01" * 16)
    rejected(mad_layout(), card, "Sector 0 of this card is used by another system")


@pytest.mark.parametrize(
    ("block", "data", "what"),
    [
        (1, bytes(16), "directory in sector 0"),
        (3, mad.KEY_A + bytes.fromhex("78778869") + MAD_B, "general-purpose byte of sector 0"),
        (3, KEY_A + bytes.fromhex("787788C1") + MAD_B, "key A of sector 0"),
    ],
)
def test_a_proof_names_what_is_wrong_with_the_directory(block: int, data: bytes, what: str) -> None:
    card, made = Classic(), mad_layout()
    contents = made.places(IMAGE, ndef=False)
    personalise(made, card, contents)
    card.poke(block, data)
    work = made.on(card, card.activate())
    assert work is not None
    with pytest.raises(Mismatch, match=what):
        work.verify(contents)


def test_an_ndef_card_is_readable_by_everyone() -> None:
    card, made = Classic(), ndef_layout(sectors=[1, 2])
    personalise(made, card, made.places(MESSAGE, ndef=True))
    assert card.peek(4) == (b"\x03\x0d" + MESSAGE + b"\xfe").ljust(16, b"\0")
    assert card.peek(7) == card.peek(11) == mad.NDEF_KEY_A + bytes.fromhex("7F078840") + TRANSPORT_KEY
    assert card.peek(3) == mad.KEY_A + bytes.fromhex("787788C1") + TRANSPORT_KEY
    assert card.peek(1)[2:6] == bytes.fromhex("03E103E1")


def test_the_keys_b_of_an_ndef_card_are_ours_where_the_profile_has_them() -> None:
    card, made = Classic(), ndef_layout(key_b=key("b"), mad_key_b=key("mad"))
    personalise(made, card, made.places(MESSAGE, ndef=True))
    assert card.peek(7)[10:] == KEY_B
    assert card.peek(3)[10:] == MAD_B


@pytest.mark.parametrize("settings", [{}, {"key_b": key("b"), "mad_key_b": key("mad")}])
def test_an_erased_ndef_card_carries_an_empty_message_and_is_taken_again(settings: dict[str, object]) -> None:
    card, made = Classic(), ndef_layout(**settings)
    contents = made.places(MESSAGE, ndef=True)
    personalise(made, card, contents)
    work = made.on(card, card.activate())
    assert work is not None
    work.survey(lambda area: area.startswith(b"\x03\x0d"), resuming=False)
    work.write(work.blank(), lambda done, total: None)
    work.verify(work.blank())
    assert card.peek(4) == bytes.fromhex("0300FE").ljust(16, b"\0")
    personalise(made, card, contents)


def test_an_ndef_card_of_others_is_left_alone_unless_its_message_is_recognised() -> None:
    card, made = Classic(), ndef_layout()
    personalise(made, card, made.places(MESSAGE, ndef=True))
    rejected(made, card, "used by another system")


def test_a_fresh_sector_with_a_directory_costs_34_exchanges() -> None:
    link, made = Tear(Classic()), mad_layout()
    personalise(made, link, made.places(IMAGE, ndef=False))
    assert link.exchanges == 34
