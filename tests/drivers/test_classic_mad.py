"""The application directory: its checksum and its entries."""

from __future__ import annotations

import pytest
from encoder_bridge_cards.classic import mad
from encoder_bridge_cards.classic.mad import Page
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = bytes.fromhex("01010801080108000000000000040003100310021002100000000000001130")
"""NXP AN10787, the example of the checksum, from the info byte on; it is 89."""


def test_the_checksum_of_the_published_example_is_right() -> None:
    assert mad.crc(EXAMPLE) == 0x89


def test_the_published_directory_comes_back_byte_for_byte() -> None:
    stored = b"\x89" + EXAMPLE
    page = mad.decode(0, stored)
    assert page.encode() == stored
    assert page.info == 1
    assert [page.ids[sector] for sector in (1, 2, 3, 4, 7, 8, 15)] == [0x0801] * 3 + [0, 0x0004, 0x1003, 0x3011]


def test_an_application_is_stored_low_byte_first() -> None:
    stored = Page(home=0).claiming((2,), mad.NDEF_AID).encode()
    assert len(stored) == 32
    assert stored[4:6] == bytes.fromhex("03E1")
    assert Page(home=0).claiming((15,), 0x4811).encode()[30:] == bytes.fromhex("1148")


def test_the_second_page_speaks_of_the_sectors_beyond_16() -> None:
    stored = Page(home=16).claiming((15, 17, 39), 0x4811).encode()
    assert len(stored) == 48
    assert stored[2:4] == stored[46:] == bytes.fromhex("1148")
    assert stored[4:46] == bytes(42)
    assert stored[0] == mad.crc(stored[1:])


def test_the_general_purpose_byte_tells_the_version() -> None:
    assert (mad.general_purpose_byte(1), mad.general_purpose_byte(2)) == (0xC1, 0xC2)
    assert [mad.version_of(byte) for byte in (0xC1, 0xC2, 0x69, 0x42)] == [1, 2, 0, 0]


@pytest.mark.parametrize("home", [0, 16])
@given(data=st.data())
def test_a_page_with_a_right_checksum_comes_back_and_a_damaged_one_shows(home: int, data: st.DataObject) -> None:
    size = 31 if home == 0 else 47
    body = data.draw(st.binary(min_size=size, max_size=size))
    stored = bytes([mad.crc(body)]) + body
    assert mad.decode(home, stored).encode() == stored
    place = data.draw(st.integers(0, 8 * len(stored) - 1))
    damaged = (int.from_bytes(stored, "big") ^ 1 << place).to_bytes(len(stored), "big")
    assert mad.decode(home, damaged).encode() != damaged


def test_bytes_of_another_length_are_no_page() -> None:
    with pytest.raises(ValueError, match="length"):
        mad.decode(0, bytes(48))
