"""What goes onto a card: against published figures, readers nobody here wrote, and whatever a stranger wrote."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from datetime import UTC, datetime

import ndef
import pytest
from encoder_bridge_cards import keys
from encoder_bridge_cards.formats.ndef import NdefFormat, first_record, message
from encoder_bridge_cards.formats.open_layout import OpenFormat
from encoder_bridge_cards.formats.port import Format
from encoder_bridge_cards.formats.raw import RawFormat
from encoder_bridge_cards.formats.wiegand import LAYOUTS, WiegandFormat
from encoder_bridge_cards.tables import Table, whole

from encoder_bridge.driver import Credential, CredentialRejected, SettingsRejected

UID = bytes.fromhex("04de5f1eacc040")
KEY = "00112233445566778899aabbccddeeff"
NEW_KEY = "2b7e151628aed2a6abf7158809cf4f3c"
METHOD = "d7a3ae6e-1dd7-4b95-8a2c-9e7c3b5e9f10"
DOOR = "11111111-2222-3333-4444-555555555555"

CREDENTIAL = Credential(
    access_method_id=METHOD,
    profile="guest",
    sequence=7,
    entrances=(DOOR, "pool"),
    starts_at=datetime(2026, 11, 23, 14, 0, tzinfo=UTC),
    ends_at=datetime(2026, 11, 25, 11, 0, tzinfo=UTC),
    fields={"room": "101 & 102", "facility_code": "123", "card_number": "4567"},
)


def parse(kind: type[Format], **values: object) -> Format:
    with whole(values, "profiles.guest") as table:
        return kind.parse(table, {"mac": KEY.encode(), "newer": NEW_KEY.encode()}.__getitem__)  # type: ignore[attr-defined, no-any-return]


def image(made: Format, credential: Credential = CREDENTIAL, uid: bytes = UID) -> bytes:
    result = made.image(credential, uid, "block")
    assert isinstance(result, bytes)
    return result


# Wiegand


def test_a_26_bit_number_is_the_published_one() -> None:
    """RfidResearchGroup/proxmark3 tools/pm3_tests.sh: raw 2006f623ae is facility 123, card 4567 under HID's header."""
    assert image(parse(WiegandFormat, layout="h10301")).hex() == "02f623ae"
    assert 0x2006F623AE & ((1 << 26) - 1) == 0x2F623AE


@pytest.mark.parametrize(("layout", "value"), [("h10306", 0xF623AF), ("h10304", 0x7B023AF)])
def test_34_and_37_bit_numbers_are_what_the_public_layouts_give(layout: str, value: int) -> None:
    """Computed from the layouts of RfidResearchGroup/proxmark3 by another program; not published figures."""
    assert int.from_bytes(image(parse(WiegandFormat, layout=layout)), "big") == value


def test_a_35_bit_number_has_the_three_parities_that_two_public_programs_compute_with_masks() -> None:
    """Masks: RfidResearchGroup/proxmark3 client/src/wiegand_formats.c, Pack_C1k35s."""
    for number in range(300):
        drawn = random.Random(number)
        facility, card = drawn.randrange(1 << 12), drawn.randrange(1 << 20)
        value = LAYOUTS["c1k35s"].pack(facility, card)
        low, high = value & 0xFFFFFFFF, value >> 32
        assert (low >> 1) & 0xFFFFF == card
        assert (high & 1) << 11 | low >> 21 == facility
        assert ((high & 1) ^ (low & 0xB6DB6DB6)).bit_count() % 2 == high >> 1 & 1
        assert ((high & 3).bit_count() + (low & 0x6DB6DB6C).bit_count()) % 2 != low & 1
        assert value.bit_count() % 2 == 1


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_number_is_told_again_and_one_flipped_bit_is_noticed(name: str) -> None:
    layout = LAYOUTS[name]
    facility = None if layout.facility is None else 45
    packed = layout.pack(facility or 0, 4567)
    assert layout.unpack(packed) == (facility, 4567)
    for bit in range(layout.bits):
        assert layout.unpack(packed ^ (1 << bit)) is None
    assert layout.unpack(packed | 1 << layout.bits) is None


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_blank_card_carries_no_number(name: str) -> None:
    assert parse(WiegandFormat, layout=name).tells(bytes(48), UID) is None


def test_a_facility_code_of_the_profile_goes_before_the_trigger_s() -> None:
    made = parse(WiegandFormat, layout="h10301", facility_code=45)
    assert made.tells(image(made) + bytes(12), UID) == {"facility_code": "45", "card_number": "4567"}
    assert made.tells(image(parse(WiegandFormat, layout="h10301")), UID) is None


@pytest.mark.parametrize("number", ["", "-1", "65536", "4 5", "0x10", "٣", "9" * 30])
def test_a_card_number_that_does_not_fit_is_refused_without_being_quoted(number: str) -> None:
    with pytest.raises(CredentialRejected) as refused:
        image(
            parse(WiegandFormat, layout="h10301"),
            replace(CREDENTIAL, fields={"facility_code": "1", "card_number": number}),
        )
    assert "card_number" in str(refused.value)
    assert not number or number not in str(refused.value).replace("65535", "")


# NDEF


def test_a_uri_is_read_by_a_library_nobody_here_wrote() -> None:
    made = parse(NdefFormat, uri="https://keys.example.com/{access_method_id}?r={fields.room}")
    (record,) = ndef.message_decoder(image(made))
    assert (record.type, record.data[:1]) == ("urn:nfc:wkt:U", b"\x04")
    assert record.data[1:].decode() == f"keys.example.com/{METHOD}?r=101%20%26%20102"


def test_an_external_record_is_read_by_a_library_nobody_here_wrote() -> None:
    made = parse(NdefFormat, external_type="example.com:key", payload="{fields.room} {sequence}")
    (record,) = ndef.message_decoder(image(made))
    assert (record.type, record.data) == ("urn:nfc:ext:example.com:key", b"101 & 102 7")


def test_a_long_record_is_read_by_a_library_nobody_here_wrote() -> None:
    made = parse(NdefFormat, external_type="example.com:key", payload="x" * 300)
    (record,) = ndef.message_decoder(image(made))
    assert record.data == b"x" * 300
    assert first_record(image(made)) == (4, b"example.com:key", b"x" * 300)


@pytest.mark.parametrize("size", [10, 254, 255, 300])
def test_a_message_is_found_among_tlv_blocks_of_any_length(size: int) -> None:
    length = bytes([size]) if size < 255 else b"\xff" + size.to_bytes(2, "big")
    assert message(b"\x00\x01\x03\xa0\x0c\x34\x03" + length + b"m" * size + b"\xfe") == b"m" * size
    assert message(b"\x03" + length + b"m" * (size - 1)) == b""


def test_an_ndef_card_is_ours_only_if_the_template_could_have_made_it() -> None:
    made = parse(NdefFormat, uri="https://keys.example.com/{access_method_id}/s{sequence}e")
    ours, theirs = image(made), b"".join(ndef.message_encoder([ndef.UriRecord("https://example.org/x")]))
    on_tag = b"\x03" + bytes([len(ours)]) + ours + b"\xfe" + bytes(20)
    assert made.tells(on_tag, UID) == {"uri": f"https://keys.example.com/{METHOD}/s7e"}
    assert made.tells(b"\x03" + bytes([len(theirs)]) + theirs + b"\xfe", UID) is None
    assert made.tells(bytes(100), UID) is None


def test_a_missing_field_of_a_template_is_named() -> None:
    with pytest.raises(CredentialRejected, match="The field suite is missing"):
        image(parse(NdefFormat, uri="https://example.com/{fields.suite}"))


@pytest.mark.parametrize("uri", ["https://e/{unknown}", "https://e/{", "https://e/{fields.}", "{access_method_id.x}"])
def test_an_unknown_placeholder_is_refused(uri: str) -> None:
    with pytest.raises(SettingsRejected, match="placeholder"):
        parse(NdefFormat, uri=uri)


# The open layout


def mac_key(**more: object) -> dict[str, object]:
    return {"secret": "mac", **more}


def test_the_open_layout_is_the_one_of_its_specification() -> None:
    """The vector of docs/formats/open-card-layout.md, whose MAC was computed with OpenSSL."""
    assert image(parse(OpenFormat, key=mac_key(version=3))).hex(" ") == (
        "45 42 01 00 00 43 03 02 00 00 00 07 6b 04 46 e0 6b 06 bf b0 "
        "10 d7 a3 ae 6e 1d d7 4b 95 8a 2c 9e 7c 3b 5e 9f 10 "
        "10 11 11 11 11 22 22 33 33 44 44 55 55 55 55 55 55 "
        "84 70 6f 6f 6c "
        "83 0e 8c 76 eb 72 50 33"
    )


def test_the_open_layout_tells_what_was_written() -> None:
    made = parse(OpenFormat, key=mac_key())
    assert made.tells(image(made) + bytes(40), UID) == {
        "access_method_id": METHOD,
        "sequence": "7",
        "joins": "false",
        "entrances": f"{DOOR},pool",
        "starts_at": "2026-11-23T14:00:00+00:00",
        "ends_at": "2026-11-25T11:00:00+00:00",
    }
    bare = Credential(access_method_id="am.1", profile="guest", sequence=1, joins=True)
    assert made.tells(image(made, bare), UID) == {"access_method_id": "am.1", "sequence": "1", "joins": "true"}


def test_no_changed_byte_and_no_other_card_passes_for_ours() -> None:
    made = parse(OpenFormat, key=mac_key())
    whole_card = image(made)
    for at in range(len(whole_card)):
        changed = bytearray(whole_card)
        changed[at] ^= 0x01
        if at != 6:  # the key's version is covered as well
            assert made.tells(bytes(changed), UID) is None, at
    assert made.tells(whole_card, UID[::-1]) is None
    assert made.tells(whole_card, UID[:4]) is None


def test_a_card_made_with_the_key_before_is_still_ours() -> None:
    older = image(parse(OpenFormat, key=mac_key()))
    assert parse(OpenFormat, key={"secret": "newer", "previous": "mac"}).tells(older, UID) is not None
    assert parse(OpenFormat, key={"secret": "newer"}).tells(older, UID) is None


def test_whatever_a_stranger_wrote_tells_nothing_and_breaks_nothing() -> None:
    formats = (
        parse(OpenFormat, key=mac_key()),
        parse(NdefFormat, uri="https://e.com/{sequence}"),
        parse(WiegandFormat, layout="h10302"),
    )
    valid = [image(made, replace(CREDENTIAL, fields={"card_number": "1"})) for made in formats]
    drawn = random.Random(4)
    for _ in range(3000):
        base = bytearray(drawn.choice([*valid, os.urandom(60), bytes(60)]))
        for _ in range(drawn.randrange(1, 6)):
            base[drawn.randrange(len(base))] = drawn.randrange(256)
        for made in formats:
            made.tells(bytes(base[: drawn.randrange(len(base) + 1)]), UID)


@pytest.mark.parametrize("name", ["x" * 128, "é" * 64])
def test_a_name_too_long_for_the_card_is_refused(name: str) -> None:
    with pytest.raises(CredentialRejected, match="127 bytes"):
        image(parse(OpenFormat, key=mac_key()), replace(CREDENTIAL, entrances=(name,)))


def test_no_key_shows_in_a_repr() -> None:
    made = parse(OpenFormat, key=mac_key(diversify=""))
    assert KEY not in repr(made)
    assert repr(bytes.fromhex(KEY)) not in repr(made)


@pytest.mark.parametrize("secret", ["zz" * 16, "00" * 15, ""])
def test_a_secret_that_is_no_key_is_refused_without_being_quoted(secret: str) -> None:
    table = Table({"secret": "mac"}, "key")
    with pytest.raises(SettingsRejected, match=r"^secrets\.mac ") as refused:
        keys.parse(table, lambda _: secret.encode(), length=16)
    assert not secret or secret not in str(refused.value)


# Raw


def test_raw_data_goes_where_its_name_says_and_spreads_over_places() -> None:
    credential = replace(CREDENTIAL, data={"block-5": bytes(range(32)), "page-16": b"abcd", "file-1": b"xyz"})
    made = parse(RawFormat)
    assert made.image(credential, UID, "block") == {5: bytes(range(16)), 6: bytes(range(16, 32))}
    assert made.image(credential, UID, "page") == {16: b"abcd"}
    assert made.image(credential, UID, "file") == {1: b"xyz"}


@pytest.mark.parametrize(
    "data", [{}, {"page-4": b"abc"}, {"page-4": b""}, {"sector-1": b"x"}, {"page-4": b"abcdefgh", "page-5": b"abcd"}]
)
def test_raw_data_that_fits_nowhere_is_refused(data: dict[str, bytes]) -> None:
    with pytest.raises(CredentialRejected):
        parse(RawFormat).image(replace(CREDENTIAL, data=data), UID, "page")
