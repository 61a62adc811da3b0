"""The NTAGs and the Ultralight EV1 in software keep the rules of their data sheets."""

from __future__ import annotations

import pytest
from encoder_bridge_cards.link import Activation, Family, NoAnswer, Refused

from virtual.type2 import CC, PRODUCTS, STATIC_LOCKS, Ntag, Torn

PASSWORD, PACK = b"pass", b"ok"

PAGES = {"ntag213": 0x2D, "ntag215": 0x87, "ntag216": 0xE7, "ultralight_ev1_20": 0x14, "ultralight_ev1_41": 0x29}
USER_END = {"ntag213": 0x28, "ntag215": 0x82, "ntag216": 0xE2, "ultralight_ev1_20": 0x10, "ultralight_ev1_41": 0x24}

every_product = pytest.mark.parametrize("product", PAGES)
at_once = pytest.mark.parametrize("applies_at_once", [False, True])


def selected(product: str = "ntag213", *, applies_at_once: bool = True) -> Ntag:
    card = Ntag(product, applies_at_once=applies_at_once)
    card.activate()
    return card


def protected(product: str = "ntag213", *, auth0: int = 6, access: int = 0x80) -> Ntag:
    card = Ntag(product)
    for page in range(4, USER_END[product]):
        card.poke(page, bytes([page]) * 4)
    card.poke(card.pwd, PASSWORD)
    card.poke(card.pack, PACK + bytes(2))
    card.poke(card.cfg_1, bytes([access, 0, 0, 0]))
    card.poke(card.cfg_0, bytes([0, 0, 0, auth0]))
    card.activate()
    return card


def read(card: Ntag, page: int) -> bytes:
    return card.exchange(bytes([0x30, page]))


def write(card: Ntag, page: int, data: bytes = b"data") -> None:
    assert card.exchange(bytes([0xA2, page]) + data) == b""


def authenticate(card: Ntag, password: bytes = PASSWORD) -> bytes:
    return card.exchange(b"\x1b" + password)


@every_product
def test_a_new_card_says_what_it_is_and_lets_its_pages_be_written(product: str) -> None:
    card = Ntag(product, b"\x04ABCDEF")
    assert card.activate() == Activation(family=Family.TYPE_2, uid=b"\x04ABCDEF")
    assert card.exchange(b"\x60") == PRODUCTS[product].version
    for page in range(4, USER_END[product]):
        write(card, page, bytes([page]) * 4)
    assert read(card, 4) == bytes([4] * 4 + [5] * 4 + [6] * 4 + [7] * 4)
    assert len(card.exchange(b"\x3c\x00")) == 32


def test_the_number_stands_in_the_first_pages_with_its_check_bytes() -> None:
    assert read(selected(), 0)[:10] == bytes.fromhex("04112233445566")[:3] + bytes.fromhex("bf334455664448")


@every_product
def test_reading_rolls_over_at_the_end_and_not_beyond(product: str) -> None:
    card = selected(product)
    end = PAGES[product]
    first = read(card, 0)
    assert read(card, end - 2)[8:] == first[:8]
    for page in (end, 0xFF):
        card.activate()
        with pytest.raises(Refused):
            read(card, page)


@every_product
def test_a_fast_read_gives_the_pages_asked_for_and_no_others(product: str) -> None:
    card = selected(product)
    end = PAGES[product]
    assert card.exchange(bytes([0x3A, 0, end - 1])) == b"".join(
        bytes(4) if page >= card.pwd else card.peek(page) for page in range(end)
    )
    for first, last in ((0, end), (5, 4)):
        card.activate()
        with pytest.raises(Refused):
            card.exchange(bytes([0x3A, first, last]))


def test_the_password_and_its_answer_read_as_nothing() -> None:
    card = protected(access=0x00)
    assert authenticate(card) == PACK
    assert read(card, card.pwd)[:8] == bytes(8)
    assert card.peek(card.pwd) == PASSWORD


@every_product
def test_a_protected_page_is_written_with_the_password_only(product: str) -> None:
    card = protected(product, access=0x00)
    write(card, 5)
    assert read(card, 6)[:4] == bytes([6] * 4)
    with pytest.raises(Refused):
        write(card, 6)
    card.activate()
    assert authenticate(card) == PACK
    write(card, 6)
    assert card.peek(6) == b"data"


@every_product
def test_a_page_protected_for_reading_is_where_reading_rolls_over(product: str) -> None:
    card = protected(product)
    assert read(card, 4) == bytes([4] * 4 + [5] * 4) + card.peek(0) + card.peek(1)
    with pytest.raises(Refused):
        read(card, 6)
    card.activate()
    with pytest.raises(Refused):
        card.exchange(b"\x3a\x04\x06")
    card.activate()
    authenticate(card)
    assert read(card, 6)[:4] == bytes([6] * 4)
    assert card.exchange(b"\x3a\x04\x06") == bytes([4] * 4 + [5] * 4 + [6] * 4)


def test_selecting_ends_what_the_password_opened() -> None:
    card = protected()
    authenticate(card)
    card.activate()
    with pytest.raises(Refused):
        read(card, 6)


def test_a_refusal_costs_the_session_and_the_selection() -> None:
    card = protected()
    authenticate(card)
    with pytest.raises(Refused):
        card.exchange(b"\x99")
    with pytest.raises(NoAnswer):
        read(card, 4)
    card.activate()
    with pytest.raises(Refused):
        read(card, 6)


def test_nothing_answers_before_a_selection() -> None:
    with pytest.raises(NoAnswer):
        read(Ntag(), 0)


@at_once
def test_protection_counts_at_once_or_from_the_next_selection(applies_at_once: bool) -> None:
    card = selected(applies_at_once=applies_at_once)
    write(card, card.cfg_0, b"\x04\x00\x00\x04")
    if applies_at_once:
        with pytest.raises(Refused):
            write(card, 4)
    else:
        write(card, 4)
    card.activate()
    with pytest.raises(Refused):
        write(card, 4)


def test_without_a_limit_any_number_of_wrong_passwords_may_be_tried() -> None:
    card = protected()
    before = card.snapshot()
    for _ in range(20):
        card.activate()
        with pytest.raises(Refused):
            authenticate(card, b"nope")
    card.activate()
    assert authenticate(card) == PACK
    assert card.snapshot() == before


@pytest.mark.parametrize("limit", range(1, 8))
def test_at_its_limit_the_card_takes_not_even_the_right_password(limit: int) -> None:
    card = protected(access=0x80 | limit)
    for _ in range(2):
        for _ in range(limit - 1):
            card.activate()
            with pytest.raises(Refused):
                authenticate(card, b"nope")
        card.activate()
        assert authenticate(card) == PACK

    for _ in range(limit):
        card.activate()
        with pytest.raises(Refused):
            authenticate(card, b"nope")
    for _ in range(2):
        card.activate()
        with pytest.raises(Refused):
            authenticate(card)
    assert card.is_locked_out


def test_a_wrong_password_counts_even_when_the_card_is_lifted_meanwhile() -> None:
    card = protected(access=0x81)
    card.interrupt(b"\x1bnope")
    card.activate()
    with pytest.raises(Refused):
        authenticate(card)


def test_a_locked_configuration_stays_while_password_and_answer_can_be_changed() -> None:
    card = protected(auth0=0xFF, access=0x40)
    for page in (card.cfg_0, card.cfg_1):
        card.activate()
        with pytest.raises(Refused):
            write(card, page, bytes(4))
    card.activate()
    write(card, card.pwd, b"PASS")
    write(card, card.pack, b"OK!!")
    assert card.exchange(b"\x1bPASS") == b"OK"


@every_product
def test_page_3_only_gains_bits(product: str) -> None:
    card = selected(product)
    before = card.peek(CC)
    write(card, CC, b"\x00\x00\x00\x0f")
    write(card, CC, b"\x00\x00\x00\x80")
    assert card.peek(CC) == before[:3] + b"\x8f"


def test_the_pages_of_the_number_cannot_be_written() -> None:
    card = selected()
    before = card.snapshot()
    for page in (0, 1):
        card.activate()
        with pytest.raises(Refused):
            write(card, page)
    card.activate()
    write(card, STATIC_LOCKS, b"\xff\xff\x00\x00")
    assert card.snapshot() == before


@pytest.mark.parametrize("page", range(3, 16))
def test_a_static_lock_bit_makes_its_page_read_only_from_the_next_selection_on(page: int) -> None:
    card = selected()
    write(card, STATIC_LOCKS, b"\x00\x00" + (1 << page).to_bytes(2, "little"))
    write(card, page, b"same")
    card.activate()
    for other in range(4, 16):
        if other != page:
            write(card, other)
    with pytest.raises(Refused):
        write(card, page)


def test_lock_bits_never_go_away() -> None:
    card = selected()
    write(card, STATIC_LOCKS, b"\x00\x00\xf0\xff")
    write(card, STATIC_LOCKS, bytes(4))
    assert card.peek(STATIC_LOCKS)[2:] == b"\xf0\xff"


@pytest.mark.parametrize(("blocking", "frozen"), [(0x01, 0x0008), (0x02, 0x03F0), (0x04, 0xFC00)])
def test_a_block_locking_bit_freezes_its_lock_bits(blocking: int, frozen: int) -> None:
    card = selected()
    write(card, STATIC_LOCKS, bytes([0, 0, blocking, 0]))
    write(card, STATIC_LOCKS, b"\x00\x00\xff\xff")
    assert int.from_bytes(card.peek(STATIC_LOCKS)[2:], "little") == 0xFFFF & ~frozen


@pytest.mark.parametrize(
    ("product", "locks", "expected"),
    [
        ("ntag213", b"\x03\x00\x00", range(16, 20)),
        ("ntag213", b"\x00\x08\x00", range(38, 40)),
        ("ntag213", b"\xff\xff\x00", range(16, 40)),
        ("ntag215", b"\x01\x00\x00", range(16, 32)),
        ("ntag215", b"\x80\x00\x00", range(128, 130)),
        ("ntag216", b"\x00\x20\x00", range(224, 226)),
        ("ntag216", b"\xff\x3f\x00", range(16, 226)),
        ("ultralight_ev1_41", b"\x00\x02\x00", range(34, 36)),
    ],
)
def test_dynamic_lock_bits_make_their_pages_read_only(product: str, locks: bytes, expected: range) -> None:
    card = selected(product)
    write(card, USER_END[product], locks + b"\x00")
    assert card.peek(USER_END[product])[3] == 0xBD
    for page in range(4, USER_END[product]):
        card.activate()
        if page in expected:
            with pytest.raises(Refused):
                write(card, page)
        else:
            write(card, page)


def test_a_dynamic_block_locking_bit_freezes_its_lock_bits() -> None:
    card = selected()
    write(card, 0x28, b"\x00\x00\x01\x00")
    write(card, 0x28, b"\xff\xff\x00\x00")
    assert card.peek(0x28) == b"\xfc\x0f\x01\xbd"


def test_the_counter_of_an_ntag_counts_readings_once_it_is_switched_on() -> None:
    card = protected(auth0=0xFF, access=0x00)
    with pytest.raises(Refused):
        card.exchange(b"\x39\x02")
    card = protected(auth0=0xFF, access=0x10)
    for _ in range(3):
        card.activate()
        read(card, 0)
        read(card, 0)
    assert card.exchange(b"\x39\x02") == b"\x03\x00\x00"


def test_the_counter_of_an_ntag_can_be_kept_behind_the_password() -> None:
    card = protected(access=0x18)
    with pytest.raises(Refused):
        card.exchange(b"\x39\x02")
    card.activate()
    authenticate(card)
    assert card.exchange(b"\x39\x02") == bytes(3)


def test_the_counters_of_an_ultralight_ev1_only_go_up() -> None:
    card = selected("ultralight_ev1_20")
    card.exchange(b"\xa5\x01\x02\x00\x00\x00")
    assert card.exchange(b"\x39\x01") == b"\x02\x00\x00"
    assert card.exchange(b"\x3e\x01") == b"\xbd"
    with pytest.raises(Refused):
        card.exchange(b"\xa5\x01\xff\xff\xff\x00")
    card.activate()
    assert card.exchange(b"\x39\x01") == b"\x02\x00\x00"
    with pytest.raises(Refused):
        card.exchange(b"\x39\x03")


def test_a_compatibility_write_takes_the_first_four_bytes() -> None:
    card = selected()
    assert card.exchange(b"\xa0\x04" + bytes(range(16))) == b""
    assert card.peek(4) == b"\x00\x01\x02\x03"


@pytest.mark.parametrize("frame", [b"", b"\x30", b"\x30\x00\x00", b"\xa2\x04abc", b"\x60\x00", b"\x1babc", b"\x1a\x00"])
def test_a_frame_it_does_not_know_is_refused(frame: bytes) -> None:
    with pytest.raises(Refused):
        selected().exchange(frame)


@pytest.mark.parametrize(("torn", "left"), [("old", b"old."), ("new", b"NEW!"), ("first", b"NEd."), ("last", b"olW!")])
def test_a_torn_page_holds_what_the_test_chose(torn: Torn, left: bytes) -> None:
    card = selected()
    card.torn = torn
    for page in (4, card.pwd):
        card.poke(page, b"old.")
        card.activate()
        card.interrupt(bytes([0xA2, page]) + b"NEW!")
        assert card.peek(page) == left


@pytest.mark.parametrize(("torn", "is_new"), [("old", False), ("first", False), ("last", True), ("new", True)])
@pytest.mark.parametrize("page", [STATIC_LOCKS, CC, 0x28])
def test_locks_and_page_3_are_written_whole_or_not_at_all(torn: Torn, is_new: bool, page: int) -> None:
    card = selected()
    whole = selected()
    write(whole, page, b"\xff\xff\x3f\xff")
    card.torn = torn
    before = card.peek(page)
    card.interrupt(bytes([0xA2, page]) + b"\xff\xff\x3f\xff")
    assert card.peek(page) == (whole.peek(page) if is_new else before)


def test_a_tear_leaves_alone_what_the_card_would_have_refused() -> None:
    card = protected()
    card.torn = "new"
    before = card.snapshot()
    card.interrupt(b"\xa2\x06NEW!")
    assert card.snapshot() == before
    with pytest.raises(NoAnswer):
        read(card, 0)


def test_a_configuration_torn_in_the_middle_counts_from_the_next_selection() -> None:
    card = selected(applies_at_once=False)
    card.torn = "last"
    card.interrupt(bytes([0xA2, card.cfg_0]) + b"\x04\x00\x00\x04")
    card.activate()
    with pytest.raises(Refused):
        write(card, 4)
