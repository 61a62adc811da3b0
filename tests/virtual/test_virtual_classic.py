"""The MIFARE Classic in software keeps the rules of its data sheet (MF1S50yyX/V1, tables 7 and 8)."""

from __future__ import annotations

import pytest
from encoder_bridge_cards.link import Activation, Family, NoAnswer, Refused

from virtual.card import Tear
from virtual.classic import TRANSPORT_KEY, TRANSPORT_TRAILER, Classic, Torn

KEY_A, KEY_B = b"AAAAAA", b"BBBBBB"
DATA = bytes(range(16))

DATA_BLOCKS = """
    000  AB  AB
    010  AB  -
    100  AB  B
    110  AB  B
    001  AB  -
    011  B   B
    101  B   -
    111  -   -
"""
"""Bits C1 C2 C3 of a data block, the keys that read it, the keys that write it."""

TRAILERS = """
    000  A  A   -  A  A
    010  -  A   -  A  -
    100  B  AB  -  -  B
    110  -  AB  -  -  -
    001  A  A   A  A  A
    011  B  AB  B  -  B
    101  -  AB  B  -  -
    111  -  AB  -  -  -
"""
"""Bits C1 C2 C3 of a trailer; the keys that write key A, read the access bits, write them, read key B, write it."""


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.strip().splitlines()]


def access(data: str, trailer: str) -> bytes:
    """The access bits of a sector whose data blocks all have the same; written from figure 10 of the data sheet."""
    c1, c2, c3 = (int(trailer[i] + 3 * data[i], 2) for i in range(3))
    return bytes([(~c2 & 15) << 4 | ~c1 & 15, c1 << 4 | ~c3 & 15, c3 << 4 | c2])


def sector_with(data: str = "100", trailer: str = "011", *, blocks: int = 64, at: int = 7) -> Classic:
    card = Classic(blocks=blocks)
    card.poke(at, KEY_A + access(data, trailer) + b"\x69" + KEY_B)
    return card


def opened(card: Classic, key: str, block: int = 4) -> Classic:
    activation = card.activate()
    secret = KEY_A if key == "A" else KEY_B
    card.exchange(bytes([0x60 if key == "A" else 0x61, block]) + secret + activation.uid[-4:])
    return card


def is_done(card: Classic, frame: bytes) -> bool:
    try:
        card.exchange(frame)
    except Refused:
        return False
    return True


def read(card: Classic, block: int) -> bytes:
    return card.exchange(bytes([0x30, block]))


def write(block: int, data: bytes) -> bytes:
    return bytes([0xA0, block]) + data


@pytest.mark.parametrize("uid", [b"\x01\x02\x03\x04", b"\x04\x02\x03\x04\x05\x06\x07"])
def test_a_new_card_opens_with_the_transport_key_and_the_last_four_bytes_of_its_number(uid: bytes) -> None:
    card = Classic(uid)
    assert card.activate() == Activation(family=Family.CLASSIC, uid=uid, blocks=64)
    card.exchange(b"\x60\x04" + TRANSPORT_KEY + uid[-4:])
    card.exchange(write(4, DATA))
    assert read(card, 4) == DATA
    assert read(card, 7) == bytes(6) + TRANSPORT_TRAILER[6:]


def test_a_wrong_number_in_an_authentication_is_refused() -> None:
    card = Classic(b"\x01\x02\x03\x04")
    card.activate()
    with pytest.raises(Refused):
        card.exchange(b"\x60\x04" + TRANSPORT_KEY + b"\x01\x02\x03\x05")


@pytest.mark.parametrize(("bits", "may_read", "may_write"), rows(DATA_BLOCKS))
@pytest.mark.parametrize("key", ["A", "B"])
def test_a_data_block_is_read_and_written_by_the_keys_of_its_condition(
    bits: str, may_read: str, may_write: str, key: str
) -> None:
    card = sector_with(bits)
    assert is_done(opened(card, key), b"\x30\x04") == (key in may_read)
    assert is_done(opened(card, key), write(5, DATA)) == (key in may_write)
    assert card.peek(5) == (DATA if key in may_write else bytes(16))


@pytest.mark.parametrize("row", rows(TRAILERS), ids=lambda row: row[0])
@pytest.mark.parametrize("key", ["A", "B"])
def test_a_trailer_is_read_and_written_by_the_keys_of_its_condition(row: list[str], key: str) -> None:
    bits, writes_a, reads_access, writes_access, reads_b, writes_b = row
    card = sector_with("000", bits)
    if key == "B" and reads_b == "A":
        assert not is_done(opened(card, "B"), b"\x30\x07")
        return
    before = card.peek(7)
    seen = read(opened(card, key), 7)
    assert key in reads_access
    assert seen == bytes(6) + before[6:10] + (KEY_B if key in reads_b else bytes(6))

    new = b"aaaaaa" + access("010", bits) + b"\x01" + b"bbbbbb"
    is_written = is_done(opened(card, key), write(7, new))
    after = card.peek(7)
    assert after[:6] == (new if key in writes_a else before)[:6]
    assert after[6:10] == (new if key in writes_access else before)[6:10]
    assert after[10:] == (new if key in writes_b else before)[10:]
    assert is_written == (key in writes_a + writes_access + writes_b)


@pytest.mark.parametrize("bits", ["000", "010", "001"])
def test_a_key_b_that_can_be_read_authenticates_and_opens_nothing(bits: str) -> None:
    card = sector_with("000", bits)
    opened(card, "B")
    with pytest.raises(Refused):
        read(card, 4)


def test_a_refusal_costs_the_session_and_the_selection() -> None:
    card = opened(sector_with("111"), "A")
    with pytest.raises(Refused):
        read(card, 4)
    with pytest.raises(NoAnswer):
        read(card, 7)
    opened(card, "A")
    assert read(card, 7)


def test_a_failed_authentication_costs_the_selection() -> None:
    card = Classic(b"\x01\x02\x03\x04")
    card.activate()
    with pytest.raises(Refused):
        card.exchange(b"\x60\x04" + KEY_A + b"\x01\x02\x03\x04")
    with pytest.raises(NoAnswer):
        card.exchange(b"\x60\x04" + TRANSPORT_KEY + b"\x01\x02\x03\x04")


def test_nothing_happens_before_a_selection_or_an_authentication() -> None:
    card = Classic()
    with pytest.raises(NoAnswer):
        read(card, 4)
    card.activate()
    with pytest.raises(Refused):
        read(card, 4)


def test_an_authentication_opens_one_sector() -> None:
    card = opened(sector_with(), "A")
    with pytest.raises(Refused):
        read(card, 8)


def test_selecting_ends_the_session() -> None:
    card = opened(sector_with(), "A")
    card.activate()
    with pytest.raises(Refused):
        read(card, 4)


def test_the_manufacturer_block_is_read_only_whatever_the_access_bits_say() -> None:
    card = sector_with("000", at=3)
    before = card.peek(0)
    assert read(opened(card, "A", 1), 0) == before
    assert not is_done(card, write(0, DATA))
    assert card.peek(0) == before


def test_the_late_sectors_of_a_4k_have_sixteen_blocks_in_groups_of_five() -> None:
    card = Classic(blocks=256)
    trailer = 32 * 4 + 15
    assert card.trailer(32) == trailer
    only_the_second_group_is_closed = bytes([0xDD, 0x2D, 0x22])
    card.poke(trailer, KEY_A + only_the_second_group_is_closed + b"\x69" + KEY_B)
    for block in range(128, trailer):
        assert is_done(opened(card, "A", block), bytes([0x30, block])) == (not 133 <= block < 138)


@pytest.mark.parametrize("flip", range(24))
def test_a_trailer_with_one_wrong_access_bit_blocks_its_sector_for_good(flip: int) -> None:
    card = sector_with("000", "001")
    good = access("000", "001")
    bad = (int.from_bytes(good, "big") ^ 1 << flip).to_bytes(3, "big")
    assert is_done(opened(card, "A"), write(7, KEY_A + bad + b"\x69" + KEY_B))
    assert card.is_blocked(1)
    for key in "AB":
        with pytest.raises(Refused):
            opened(card, key)
    assert not card.is_blocked(0)


def test_new_access_bits_count_at_once() -> None:
    card = opened(sector_with("000", "001"), "A")
    card.exchange(write(7, KEY_A + access("111", "001") + b"\x69" + KEY_B))
    with pytest.raises(Refused):
        read(card, 4)


@pytest.mark.parametrize("frame", [b"", b"\x30", b"\x30\x04\x00", write(4, DATA[1:]), b"\xc0\x04", b"\x60\x04" + KEY_A])
def test_a_frame_it_does_not_know_is_refused(frame: bytes) -> None:
    with pytest.raises(Refused):
        opened(sector_with(), "A").exchange(frame)


def test_a_torn_data_block_is_half_old_and_half_new() -> None:
    card = opened(sector_with("000"), "A")
    card.interrupt(write(4, DATA))
    assert card.peek(4) == DATA[:8] + bytes(8)
    with pytest.raises(NoAnswer):
        read(card, 4)


@pytest.mark.parametrize(
    ("torn", "opens", "is_blocked"),
    [
        ("old", KEY_A, False),
        ("new", b"aaaaaa", False),
        ("mixed", b"aaaaaa", False),
        ("late", b"aaaaaa", False),
        ("invalid", b"aaaaaa", True),
    ],
)
def test_a_torn_trailer_holds_what_the_test_chose(torn: Torn, opens: bytes, is_blocked: bool) -> None:
    card = sector_with("000", "001")
    card.torn_trailer = torn
    old, new = card.peek(7), b"aaaaaa" + access("100", "011") + b"\x69" + b"bbbbbb"
    opened(card, "A").interrupt(write(7, new))
    left = card.peek(7)
    assert left[:6] == opens
    assert card.is_blocked(1) == is_blocked
    assert (left == old) == (torn == "old")
    assert (left == new) == (torn == "new")


def test_a_tear_leaves_alone_what_the_card_would_have_refused() -> None:
    card = opened(sector_with("010"), "A")
    before = card.snapshot()
    card.interrupt(write(4, DATA))
    assert card.snapshot() == before


@pytest.mark.parametrize(("how", "left"), [("before", bytes(16)), ("during", DATA[:8] + bytes(8)), ("after", DATA)])
def test_a_torn_link_leaves_the_card_as_the_moment_says(how: str, left: bytes) -> None:
    card = sector_with("000")
    link = Tear(card, 1, how)
    link.activate()
    link.exchange(b"\x60\x04" + KEY_A + card.uid)
    with pytest.raises(NoAnswer):
        link.exchange(write(4, DATA))
    with pytest.raises(NoAnswer):
        link.activate()
    assert card.peek(4) == left
