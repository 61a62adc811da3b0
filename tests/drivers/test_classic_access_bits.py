"""The access bits of a sector: against published trailers and against the tables of the data sheet."""

from __future__ import annotations

from itertools import product

import pytest
from encoder_bridge_cards.classic.access_bits import ISSUED, NDEF, TRANSPORT, AccessBits, By, Malformed
from encoder_bridge_cards.classic.session import Session
from virtual.classic import (
    ACCESS_WRITE,
    DATA_READ,
    DATA_WRITE,
    KEY_B_READ,
    KEYS_WRITE,
    NONE,
    Classic,
    access_conditions,
)

EVERY = [AccessBits((a, b, c, d)) for a, b, c, d in product(range(8), repeat=4)]


def names(keys: frozenset[By]) -> set[str]:
    return {key.name for key in keys}


@pytest.mark.parametrize(
    ("bits", "published"),
    [
        (TRANSPORT, "FF0780"),  # MF1S50yyX/V1, section 8.7: as delivered
        (ISSUED, "787788"),  # AN10787: directory sectors
        (NDEF, "7F0788"),  # AN1305: NDEF sectors, read and write
    ],
)
def test_published_access_bits_are_made_and_understood(bits: AccessBits, published: str) -> None:
    assert bits.encode() == bytes.fromhex(published)
    assert AccessBits.decode(bytes.fromhex(published)) == bits


def test_each_of_the_4096_access_bits_comes_back_from_its_bytes() -> None:
    assert len({bits.encode() for bits in EVERY}) == 4096
    for bits in EVERY:
        assert AccessBits.decode(bits.encode()) == bits
        assert access_conditions(bytes(6) + bits.encode() + bytes(7)) == bits.groups


def test_a_flipped_bit_is_never_believed() -> None:
    for bits in EVERY[::7]:
        stored = int.from_bytes(bits.encode(), "big")
        for place in range(24):
            with pytest.raises(Malformed):
                AccessBits.decode((stored ^ 1 << place).to_bytes(3, "big"))


@pytest.mark.parametrize("stored", [b"", b"\xff\x07", bytes(3), b"\xff" * 3, b"\xff\x07\x80\x69"])
def test_bytes_that_are_no_access_bits_are_refused(stored: bytes) -> None:
    with pytest.raises(Malformed):
        AccessBits.decode(stored)


def test_who_may_do_what_is_what_the_data_sheet_says() -> None:
    for bits in EVERY:
        trailer = bits.groups[3]
        b_is_data = trailer in KEY_B_READ
        assert bits.opens_with_b is not b_is_data
        usable = {"A"} if b_is_data else {"A", "B"}
        assert names(bits.changers) == KEYS_WRITE.get(trailer, NONE) & ACCESS_WRITE.get(trailer, NONE) & usable
        for group in range(3):
            assert names(bits.readers(group)) == DATA_READ[bits.groups[group]] & usable
            assert names(bits.writers(group)) == DATA_WRITE[bits.groups[group]] & usable


def test_of_all_trailers_only_those_that_somebody_may_change_again_are_sent() -> None:
    for bits in (AccessBits((0, 0, 0, trailer)) for trailer in range(8)):
        card = Classic()
        session = Session(card, card.activate())
        assert session.opens(1, By.A, b"\xff" * 6)
        if bits.changers:
            session.write_trailer(1, bytes(6), bits, 0x69, bytes(6))
            assert card.peek(7)[6:9] == bits.encode()
        else:
            before = card.snapshot()
            with pytest.raises(ValueError, match="nobody could change"):
                session.write_trailer(1, bytes(6), bits, 0x69, bytes(6))
            assert card.snapshot() == before


def test_a_trailer_with_a_key_of_another_length_is_not_sent() -> None:
    card = Classic()
    session = Session(card, card.activate())
    assert session.opens(1, By.A, b"\xff" * 6)
    before = card.snapshot()
    with pytest.raises(ValueError, match="no trailer"):
        session.write_trailer(1, bytes(7), ISSUED, 0x69, bytes(5))
    assert card.snapshot() == before


def test_after_its_trailer_was_written_a_sector_is_no_longer_open() -> None:
    card = Classic()
    session = Session(card, card.activate())
    assert session.opens(1, By.A, b"\xff" * 6)
    session.write_trailer(1, b"\x01" * 6, ISSUED, 0x69, b"\x02" * 6)
    assert not session.opens(1, By.A, b"\xff" * 6)


def test_a_block_that_was_written_is_not_known_until_it_is_read() -> None:
    card = Classic()
    session = Session(card, card.activate())
    assert session.opens(1, By.A, b"\xff" * 6)
    session.read(4)
    session.write(4, b"\x01" * 16)
    assert 4 not in session.known
    assert session.read(4) == session.known[4] == b"\x01" * 16


@pytest.mark.parametrize("block", [0, 3, 7, 63])
def test_the_manufacturers_block_and_trailers_are_not_written_as_data(block: int) -> None:
    card = Classic()
    session = Session(card, card.activate())
    assert session.opens(block // 4, By.A, b"\xff" * 6)
    before = card.snapshot()
    with pytest.raises(ValueError, match="not written as data"):
        session.write(block, bytes(16))
    assert card.snapshot() == before
