"""The Ultralight C in software keeps the rules of its data sheet (MF0ICU2)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from encoder_bridge_cards.link import NoAnswer, Refused

from virtual.type2 import Torn
from virtual.ultralight_c import AUTH0, AUTH1, COUNTER, KEY, LOCKS, TRANSPORT_KEY, UltralightC, key_pages

NEW_KEY = bytes(range(16))
OURS = b"reader!?"


def cbc(key: bytes, start: bytes, data: bytes, *, is_encrypting: bool) -> bytes:
    cipher = Cipher(TripleDES(key + key[:8]), modes.CBC(start))
    context = cipher.encryptor() if is_encrypting else cipher.decryptor()
    return context.update(data) + context.finalize()


def authenticate(card: UltralightC, key: bytes = TRANSPORT_KEY) -> None:
    """The reader's side, written from table 8 of the data sheet."""
    token = answered(card.exchange(b"\x1a\x00"), key)
    answer = card.exchange(b"\xaf" + token)
    assert answer[:1] == b"\x00"
    assert cbc(key, token[8:], answer[1:], is_encrypting=False) == OURS[1:] + OURS[:1]


def answered(challenge: bytes, key: bytes) -> bytes:
    assert challenge[:1] == b"\xaf"
    theirs = cbc(key, bytes(8), challenge[1:], is_encrypting=False)
    return cbc(key, challenge[1:], OURS + theirs[1:] + theirs[:1], is_encrypting=True)


def selected(*, auth0: int = 0x30, auth1: int = 0, applies_at_once: bool = True) -> UltralightC:
    card = UltralightC(applies_at_once=applies_at_once)
    card.poke(AUTH0, bytes([auth0, 0, 0, 0]))
    card.poke(AUTH1, bytes([auth1, 0, 0, 0]))
    card.activate()
    return card


def write(card: UltralightC, page: int, data: bytes = b"data") -> None:
    assert card.exchange(bytes([0xA2, page]) + data) == b""


def test_the_figures_of_the_data_sheet_come_out() -> None:
    """MF0ICU2 section 7.5.6, table 9."""
    card = UltralightC(random=lambda _: bytes.fromhex("51e764602678df2b"))
    card.activate()
    assert card.exchange(b"\x1a\x00").hex() == "af577293fd2f34ca51"
    assert card.exchange(bytes.fromhex("af0a638559fc7737f9f15d7862ebbe967a")).hex() == "003b884fa07c137ce1"


def test_the_key_of_a_new_card_lies_in_its_pages_as_the_data_sheet_prints_it() -> None:
    """MF0ICU2 section 7.5.10, table 13."""
    card = UltralightC()
    assert b"".join(card.peek(KEY + i) for i in range(4)) == b"BREAKMEIFYOUCAN!"
    assert card.stored_key == TRANSPORT_KEY


def test_a_key_goes_back_to_front_into_its_pages() -> None:
    """MF0ICU2 section 7.5.7, table 11."""
    assert [page.hex() for page in key_pages(NEW_KEY)] == ["07060504", "03020100", "0f0e0d0c", "0b0a0908"]


def test_a_wrong_key_is_refused_and_costs_the_selection() -> None:
    card = selected()
    with pytest.raises(Refused):
        authenticate(card, NEW_KEY)
    with pytest.raises(NoAnswer):
        card.exchange(b"\x30\x00")


def test_an_answer_without_a_challenge_is_refused() -> None:
    card = selected()
    with pytest.raises(Refused):
        card.exchange(b"\xaf" + bytes(16))
    for between in (b"\x30\x00", None):
        card.activate()
        token = answered(card.exchange(b"\x1a\x00"), TRANSPORT_KEY)
        card.exchange(between or b"\xaf" + token)
        with pytest.raises(Refused):
            card.exchange(b"\xaf" + token)


@pytest.mark.parametrize("is_authenticated", [False, True])
def test_the_key_is_never_read(is_authenticated: bool) -> None:
    card = selected()
    if is_authenticated:
        authenticate(card)
    assert card.exchange(bytes([0x30, 0x29])) == b"".join(map(card.peek, (0x29, 0x2A, 0x2B, 0x00)))
    with pytest.raises(Refused):
        card.exchange(bytes([0x30, KEY]))


def test_a_new_key_counts_from_the_next_selection() -> None:
    card = selected()
    for page, data in enumerate(key_pages(NEW_KEY), KEY):
        write(card, page, data)
    authenticate(card, TRANSPORT_KEY)
    card.activate()
    authenticate(card, NEW_KEY)


def test_a_key_torn_between_its_pages_is_neither_the_old_nor_the_new_one() -> None:
    card = selected()
    write(card, KEY, key_pages(NEW_KEY)[0])
    card.interrupt(bytes([0xA2, KEY + 1]) + key_pages(NEW_KEY)[1])
    assert card.stored_key not in {TRANSPORT_KEY, NEW_KEY}
    for key in (TRANSPORT_KEY, NEW_KEY):
        card.activate()
        with pytest.raises(Refused):
            authenticate(card, key)


def test_writing_needs_the_key_from_auth0_on() -> None:
    card = selected(auth0=6, auth1=1)
    write(card, 5)
    assert len(card.exchange(b"\x30\x06")) == 16
    with pytest.raises(Refused):
        write(card, 6)
    card.activate()
    authenticate(card)
    write(card, 6)
    assert card.peek(6) == b"data"


def test_reading_needs_the_key_too_unless_auth1_says_otherwise() -> None:
    card = selected(auth0=6)
    assert card.exchange(b"\x30\x05") == b"".join(map(card.peek, (5, 0, 1, 2)))
    with pytest.raises(Refused):
        card.exchange(b"\x30\x06")
    card.activate()
    authenticate(card)
    card.exchange(b"\x30\x06")


@pytest.mark.parametrize("applies_at_once", [False, True])
def test_protection_counts_at_once_or_from_the_next_selection(applies_at_once: bool) -> None:
    card = selected(applies_at_once=applies_at_once)
    write(card, AUTH0, b"\x04\x00\x00\x00")
    if applies_at_once:
        with pytest.raises(Refused):
            write(card, 4)
    else:
        write(card, 4)
    card.activate()
    with pytest.raises(Refused):
        write(card, 4)


@pytest.mark.parametrize(
    ("locks", "expected"),
    [
        (b"\x02\x00", range(0x10, 0x14)),
        (b"\xe0\x00", range(0x1C, 0x28)),
        (b"\x00\x10", range(COUNTER, COUNTER + 1)),
        (b"\x00\x20", range(AUTH0, AUTH0 + 1)),
        (b"\x00\x40", range(AUTH1, AUTH1 + 1)),
        (b"\x00\x80", range(KEY, KEY + 4)),
    ],
)
def test_a_lock_bit_makes_its_pages_read_only(locks: bytes, expected: range) -> None:
    card = selected()
    write(card, LOCKS, locks + b"\x00\x00")
    for page in range(4, 0x30):
        card.activate()
        data = b"\x01\x00\x00\x00" if page == COUNTER else b"\x30\x00\x00\x00"
        if page in expected:
            with pytest.raises(Refused):
                write(card, page, data)
        elif page != LOCKS:
            write(card, page, data)


def test_a_block_locking_bit_freezes_its_lock_bits() -> None:
    card = selected()
    write(card, LOCKS, b"\x11\x0f\x00\x00")
    write(card, LOCKS, b"\xff\xff\x00\x00")
    assert card.peek(LOCKS)[:2] == b"\x11\x0f"


def test_the_counter_starts_anywhere_and_then_goes_up_by_small_steps() -> None:
    card = selected()
    write(card, COUNTER, b"\xfe\xff\x00\x00")
    write(card, COUNTER, b"\xf1\x00\x00\x00")
    assert card.peek(COUNTER) == b"\xff\xff\x00\x00"
    with pytest.raises(Refused):
        write(card, COUNTER, b"\x01\x00\x00\x00")


@pytest.mark.parametrize(("torn", "is_new"), [("old", False), ("first", False), ("last", True), ("new", True)])
@pytest.mark.parametrize("page", [2, 3, LOCKS, COUNTER])
def test_locks_page_3_and_counter_are_written_whole_or_not_at_all(torn: Torn, is_new: bool, page: int) -> None:
    card, whole = selected(), selected()
    write(whole, page, b"\x11\x22\x33\x44")
    card.torn = torn
    before = card.peek(page)
    card.interrupt(bytes([0xA2, page]) + b"\x11\x22\x33\x44")
    assert card.peek(page) == (whole.peek(page) if is_new else before)


def test_it_has_no_version_and_no_password() -> None:
    for frame in (b"\x60", b"\x1b\xff\xff\xff\xff", b"\x3a\x00\x01"):
        with pytest.raises(Refused):
            selected().exchange(frame)
