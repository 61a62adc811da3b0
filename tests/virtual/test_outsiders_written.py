"""What whole encoders write, programs nobody here wrote read from the very same card; and what those write is not ours.

A card goes through `CardEncoder` as at a front desk, from a profile of the configuration on; then it lies on a PN532
that nfcpy, libnfc or libfreefare drive.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import ndef
import pytest
from encoder_bridge_cards.encoder import CardEncoder
from encoder_bridge_cards.profile import parse_profiles

from encoder_bridge.driver import Card, CardRejected, Credential, Intent, Prompt, Receipt
from virtual.card import VirtualCard
from virtual.classic import TRANSPORT_KEY, Classic
from virtual.counter import Counter
from virtual.outsiders import PATIENCE_S, found, nfcpy, run
from virtual.pn532 import Pn532
from virtual.type2 import PRODUCTS, Ntag
from virtual.ultralight_c import UltralightC

SECRETS = {
    "password": "a1b2c3d4e5f6",
    "key": "00112233445566778899aabbccddeeff",
    "a": "0a0a0a0a0a01",
    "b": "0b0b0b0b0b01",
    "mac": "2b7e151628aed2a6abf7158809cf4f3c",
}
METHOD = "d7a3ae6e-1dd7-4b95-8a2c-9e7c3b5e9f10"
DOOR = "11111111-2222-3333-4444-555555555555"
STARTS, ENDS = datetime(2026, 11, 23, 14, tzinfo=UTC), datetime(2026, 11, 25, 11, tzinfo=UTC)

ON_NTAG: Mapping[str, object] = {"ntag": {}}
ON_NTAG_WITH_PASSWORD = {"ntag": {"password": {"secret": "password"}}}
ON_ULTRALIGHT_C: Mapping[str, object] = {"ultralight_c": {}}
ON_ULTRALIGHT_C_WITH_KEY = {"ultralight_c": {"key": {"secret": "key"}}}
ISSUED_CLASSIC = {"classic": {"sectors": [1, 2], "key_a": {"secret": "a"}, "key_b": {"secret": "b"}}}

URI = {"format": "ndef", "uri": "https://keys.example.com/{access_method_id}?r={fields.room}&s={sequence}"}
SHORT_URI = {"format": "ndef", "uri": "https://e.co/{sequence}"}
TEXT = {"format": "ndef", "external_type": "example.com:key", "payload": "{fields.room} {sequence}"}
WIEGAND = {"format": "wiegand", "layout": "h10301"}
OPEN = {"format": "open", "key": {"secret": "mac", "version": 3}}

URI_MEANT = f"https://keys.example.com/{METHOD}?r=101%20%26%20102&s=7"
TEXT_MEANT = b"101 & 102 7"
WIEGAND_MEANT = bytes.fromhex("02f623ae")
"""Facility 123, card 4567 (RfidResearchGroup/proxmark3 tools/pm3_tests.sh: 2006f623ae, under HID's header)."""

THEIRS = "https://hotel.example.org/room/12"


class Clerk:
    """A desk that lets everything happen."""

    def ask(self, prompt: Prompt, card: Card | None = None) -> None:
        pass

    def progress(self, done: int, total: int) -> None:
        pass

    async def intend(self, intent: Intent) -> None:
        pass

    async def withdrawn(self) -> None:
        await asyncio.Event().wait()


def encoder(card: VirtualCard, profile: Mapping[str, object]) -> CardEncoder:
    counter = Counter()
    counter.lay(card)
    return CardEncoder(counter, parse_profiles({"guest": profile}, lambda name: SECRETS[name].encode()))


def encode(card: VirtualCard, profile: Mapping[str, object], *, sequence: int = 7) -> Receipt:
    credential = Credential(
        access_method_id=METHOD,
        profile="guest",
        sequence=sequence,
        entrances=(DOOR, "pool"),
        starts_at=STARTS,
        ends_at=ENDS,
        fields={"room": "101 & 102", "facility_code": "123", "card_number": "4567"},
        data={"page-4": b"made elsewhere.."},
    )
    return asyncio.run(encoder(card, profile).encode(credential, Clerk()))


def erase(card: VirtualCard, profile: Mapping[str, object]) -> Receipt:
    return asyncio.run(encoder(card, profile).erase(Clerk()))


def read(card: VirtualCard, profile: Mapping[str, object]) -> Mapping[str, str]:
    return asyncio.run(encoder(card, profile).read(Clerk())).fields


def leaves_alone(card: VirtualCard, profile: Mapping[str, object]) -> bool:
    """Whether a card is refused for writing and for erasing, and is afterwards what it was, byte for byte."""
    before = card.snapshot()
    for act in (encode, erase):
        with pytest.raises(CardRejected):
            act(card, profile)
    return card.snapshot() == before


def classic(**table: object) -> Mapping[str, object]:
    return {"classic": table}


# Cards with pages


NTAGS = [name for name, product in PRODUCTS.items() if product.is_ntag]
ULTRALIGHTS = [name for name in PRODUCTS if name not in NTAGS]
WITH_PAGES = [
    *(pytest.param(lambda name=name: Ntag(name), ON_NTAG, id=name) for name in PRODUCTS),
    *(
        pytest.param(lambda name=name: Ntag(name), ON_NTAG_WITH_PASSWORD, id=f"{name} with a password")
        for name in PRODUCTS
    ),
    pytest.param(UltralightC, ON_ULTRALIGHT_C, id="ultralight_c"),
    pytest.param(UltralightC, ON_ULTRALIGHT_C_WITH_KEY, id="ultralight_c with a key"),
]


def records(card: VirtualCard, key: str | None = None) -> list[ndef.Record] | None:
    """What nfcpy reads and ndeflib decodes; None: it is no NDEF card to them."""
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        tag = found(frontend)
        if key is not None:
            assert tag.authenticate(bytes.fromhex(SECRETS[key]))
        return None if tag.ndef is None else list(tag.ndef.records)


@pytest.mark.parametrize(("make", "where"), WITH_PAGES)
def test_nfcpy_reads_the_uri_that_was_meant(make: Any, where: Mapping[str, object]) -> None:
    card = make()
    is_small = card.pages < 0x20
    assert encode(card, {**(SHORT_URI if is_small else URI), **where}).note == {"profile": "guest", "written": "true"}
    assert records(card) == [ndef.UriRecord("https://e.co/7" if is_small else URI_MEANT)]


@pytest.mark.parametrize(("make", "where"), WITH_PAGES)
def test_nfcpy_reads_the_external_record_that_was_meant(make: Any, where: Mapping[str, object]) -> None:
    card = make()
    encode(card, {**TEXT, **where})
    assert records(card) == [ndef.Record("urn:nfc:ext:example.com:key", "", TEXT_MEANT)]


@pytest.mark.parametrize(("make", "where"), WITH_PAGES)
def test_nfcpy_reads_the_latest_message_and_none_once_it_is_erased(make: Any, where: Mapping[str, object]) -> None:
    card = make()
    profile = {"format": "ndef", "uri": "https://e.co/{sequence}", **where}
    for sequence in (1234567, 8):
        encode(card, profile, sequence=sequence)
        assert records(card) == [ndef.UriRecord(f"https://e.co/{sequence}")]
    erase(card, profile)
    assert records(card) == []


@pytest.mark.parametrize(
    ("make", "table", "key"),
    [(lambda: Ntag("ntag215"), "ntag", "password"), (UltralightC, "ultralight_c", "key")],
    ids=["ntag215", "ultralight_c"],
)
def test_nfcpy_reads_a_hidden_message_with_our_key_and_not_without(make: Any, table: str, key: str) -> None:
    card = make()
    encode(card, {**URI, table: {key: {"secret": key}, "read_protected": True}})
    assert records(card) is None
    assert records(card, key) == [ndef.UriRecord(URI_MEANT)]


def test_nfcpy_reads_a_message_whose_length_takes_three_bytes() -> None:
    card = Ntag("ntag216")
    encode(card, {"format": "ndef", "uri": "https://e.co/" + "x" * 300 + "{sequence}", **ON_NTAG_WITH_PASSWORD})
    assert records(card) == [ndef.UriRecord("https://e.co/" + "x" * 300 + "7")]


def test_libfreefare_sees_that_the_key_of_delivery_is_gone() -> None:
    card = UltralightC()
    encode(card, {**URI, **ON_ULTRALIGHT_C_WITH_KEY})
    with Pn532(card) as reader:
        assert "Authentication with default key: fail" in run(reader, "mifare-ultralight-info")


@pytest.mark.parametrize("product", PRODUCTS)
def test_libnfc_dumps_the_message_that_was_meant(product: str, tmp_path: Path) -> None:
    card = Ntag(product)
    encode(card, {**SHORT_URI, **ON_NTAG_WITH_PASSWORD})
    with Pn532(card) as reader:
        run(reader, "nfc-mfultralight", "r", tmp_path / "dump")
    kind, length, *area = (tmp_path / "dump").read_bytes()[16:]
    assert (kind, area[length]) == (0x03, 0xFE)
    assert list(ndef.message_decoder(bytes(area[:length]))) == [ndef.UriRecord("https://e.co/7")]


# The open layout: docs/formats/open-card-layout.md, taken apart by hand, and its MAC by OpenSSL


def cmac(key: bytes, data: bytes, folder: Path) -> bytes:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (folder / "data").write_bytes(data)
    done = subprocess.run(
        ["openssl", "mac", "-cipher", "AES-128-CBC", "-macopt", f"hexkey:{key.hex()}", "-in", folder / "data", "CMAC"],
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return bytes.fromhex(done.stdout.decode())


@pytest.mark.parametrize("product", NTAGS)
@pytest.mark.parametrize("hides", [False, True])
def test_a_lock_takes_the_open_layout_from_what_libnfc_reads(product: str, hides: bool, tmp_path: Path) -> None:
    card = Ntag(product)
    encode(card, {**OPEN, "ntag": {"password": {"secret": "password"}, "read_protected": hides}})
    with Pn532(card) as reader:
        run(reader, "nfc-mfultralight", "r", tmp_path / "dump", "--pw", SECRETS["password"][:8])
    dump = (tmp_path / "dump").read_bytes()
    uid, stored = dump[:3] + dump[4:8], dump[16:]
    assert uid == card.uid
    names = b"\x10" + UUID(METHOD).bytes + b"\x10" + UUID(DOOR).bytes + b"\x84pool"
    body = b"EB\x01\x00" + (20 + len(names) + 8).to_bytes(2, "big") + b"\x03\x02" + (7).to_bytes(4, "big")
    body += b"".join(int(moment.timestamp()).to_bytes(4, "big") for moment in (STARTS, ENDS)) + names
    assert stored[: len(body)] == body
    assert stored[len(body) :][:8] == cmac(bytes.fromhex(SECRETS["mac"]), b"\x07" + uid + body, tmp_path)[:8]


# MIFARE Classic


def message(card: Classic, folder: Path) -> bytes:
    """The NDEF message as libfreefare finds it through the card's directory, with the public keys."""
    with Pn532(card) as reader:
        run(reader, "mifare-classic-read-ndef", "-y", "-o", folder / "message")
    return (folder / "message").read_bytes()


CLASSICS = [
    pytest.param(64, classic(sectors=[1, 2, 3]), id="1k"),
    pytest.param(
        64, classic(sectors=[5, 6, 7], key_b={"secret": "b"}, mad_key_b={"secret": "b"}), id="1k with a key B"
    ),
    pytest.param(256, classic(sectors=[1, 2, 3]), id="4k"),
    pytest.param(256, classic(sectors=[17, 18, 19], key_b={"secret": "b"}), id="4k in its second directory"),
    pytest.param(256, classic(sectors=[32]), id="4k, a long sector"),
]


@pytest.mark.parametrize(("blocks", "where"), CLASSICS)
@pytest.mark.parametrize("uid", [b"\x3e\x11\x22\x33", b"\x04\x11\x22\x33\x44\x55\x66"], ids=["4", "7"])
def test_libfreefare_reads_the_uri_that_was_meant(
    blocks: int, where: Mapping[str, object], uid: bytes, tmp_path: Path
) -> None:
    card = Classic(uid, blocks)
    encode(card, {**URI, **where})
    assert list(ndef.message_decoder(message(card, tmp_path))) == [ndef.UriRecord(URI_MEANT)]


@pytest.mark.parametrize(("blocks", "where"), CLASSICS)
def test_libfreefare_reads_the_external_record_that_was_meant(
    blocks: int, where: Mapping[str, object], tmp_path: Path
) -> None:
    card = Classic(blocks=blocks)
    encode(card, {**TEXT, **where})
    assert list(ndef.message_decoder(message(card, tmp_path))) == [
        ndef.Record("urn:nfc:ext:example.com:key", "", TEXT_MEANT)
    ]


@pytest.mark.parametrize(("blocks", "where"), CLASSICS)
def test_libfreefare_reads_the_latest_message_and_an_empty_one_once_it_is_erased(
    blocks: int, where: Mapping[str, object], tmp_path: Path
) -> None:
    card = Classic(blocks=blocks)
    for profile in (URI, SHORT_URI):
        card = Classic(blocks=blocks)
        encode(card, {**profile, **where}, sequence=1234567)
        encode(card, {**profile, **where}, sequence=8)
        (record,) = ndef.message_decoder(message(card, tmp_path))
        assert record.uri.endswith("8")
        erase(card, {**profile, **where})
        assert message(card, tmp_path) == b""


def keyed(keys: Mapping[int, bytes], path: Path) -> Path:
    """A file of libnfc with the keys of a card of 1K: these for these sectors, the one of delivery for the others."""
    sectors = (keys.get(sector, TRANSPORT_KEY) for sector in range(16))
    path.write_bytes(b"".join(bytes(48) + key + bytes(4) + key for key in sectors))
    return path


def dumped(card: Classic, by: str, path: Path, keys: Path) -> bytes:
    """What libnfc reads with these keys; blocks that it may not read are zeros."""
    with Pn532(card) as reader:
        printed = run(reader, "nfc-mfclassic", "r", by, "u", path, keys, "f")
    assert "authentication failed" not in printed
    return path.read_bytes()


@pytest.mark.parametrize(("by", "key"), [("A", "a"), ("B", "b")])
def test_libnfc_reads_the_wiegand_number_with_our_keys_and_with_no_others(by: str, key: str, tmp_path: Path) -> None:
    card, ours = Classic(), bytes.fromhex(SECRETS[key])
    encode(card, {**WIEGAND, **ISSUED_CLASSIC})
    dump = dumped(card, by, tmp_path / "dump", keyed({1: ours, 2: ours}, tmp_path / "keys"))
    assert dump[64:80] == WIEGAND_MEANT.ljust(16, b"\0")
    for wrong in ({}, {1: ours}, {2: ours}):
        with pytest.raises(AssertionError, match="authentication failed"):
            dumped(card, by, tmp_path / "dump", keyed(wrong, tmp_path / "keys"))


def test_libnfc_cannot_forge_the_number_with_the_key_of_a_lock(tmp_path: Path) -> None:
    card, ours = Classic(), bytes.fromhex(SECRETS["a"])
    encode(card, {**WIEGAND, **ISSUED_CLASSIC})
    before, keys = card.snapshot(), keyed({1: ours, 2: ours}, tmp_path / "keys")
    dump = dumped(card, "A", tmp_path / "dump", keys)
    (tmp_path / "forged").write_bytes(dump[:64] + b"\xff" * 4 + dump[68:])
    with Pn532(card) as reader:
        printed = run(reader, "nfc-mfclassic", "w", "A", "u", tmp_path / "forged", keys, "f")
    assert "Failure to write to data block 4" in printed
    assert card.snapshot() == before


# The other way round: what others wrote


PROFILES = [
    pytest.param({**URI, **ON_NTAG}, id="uri"),
    pytest.param({**URI, **ON_NTAG_WITH_PASSWORD}, id="uri with a password"),
    pytest.param({**TEXT, **ON_NTAG}, id="external"),
    pytest.param({**WIEGAND, **ON_NTAG_WITH_PASSWORD}, id="wiegand"),
    pytest.param({**OPEN, **ON_NTAG}, id="open"),
    pytest.param({"format": "raw", **ON_NTAG_WITH_PASSWORD}, id="raw"),
]


def write_by_nfcpy(card: VirtualCard, *uris: str) -> None:
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        found(frontend).ndef.records = [ndef.UriRecord(uri) for uri in uris]


@pytest.mark.parametrize("product", NTAGS)
@pytest.mark.parametrize("profile", PROFILES)
def test_what_nfcpy_wrote_is_foreign_and_stays_byte_for_byte(product: str, profile: Mapping[str, object]) -> None:
    card = Ntag(product)
    write_by_nfcpy(card, THEIRS)
    assert read(card, profile) == {"state": "foreign"}
    assert leaves_alone(card, profile)
    assert records(card) == [ndef.UriRecord(THEIRS)]


@pytest.mark.parametrize("profile", PROFILES)
def test_what_nfcpy_protected_stays_byte_for_byte(profile: Mapping[str, object]) -> None:
    card = Ntag(applies_at_once=False)
    write_by_nfcpy(card, URI_MEANT)
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        assert found(frontend).protect(b"theirs", read_protect=True)
    assert read(card, profile) == {"state": "foreign"}
    before = card.peek(card.cfg_0), card.peek(card.pwd), card.peek(card.pack), records(card)
    for act in (encode, erase):
        with pytest.raises(CardRejected):
            act(card, profile)
    assert (card.peek(card.cfg_0), card.peek(card.pwd), card.peek(card.pack), records(card)) == before
    assert not card.is_locked_out


@pytest.mark.parametrize("product", NTAGS)
def test_what_nfcpy_wrote_after_our_template_is_ours(product: str) -> None:
    card, profile = Ntag(product), {**URI, **ON_NTAG}
    write_by_nfcpy(card, URI_MEANT)
    assert read(card, profile) == {"state": "whole", "profile": "guest", "uri": URI_MEANT}
    encode(card, profile, sequence=8)
    assert records(card) == [ndef.UriRecord(URI_MEANT.replace("s=7", "s=8"))]


def test_a_message_of_two_records_is_foreign_though_the_first_could_be_ours() -> None:
    card = Ntag()
    write_by_nfcpy(card, URI_MEANT, "https://e.co")
    assert read(card, {**URI, **ON_NTAG}) == {"state": "foreign"}
    assert leaves_alone(card, {**URI, **ON_NTAG})


@pytest.mark.parametrize("product", NTAGS)
@pytest.mark.parametrize("profile", PROFILES[:5])
def test_a_card_that_nfcpy_emptied_is_blank_and_may_be_used(product: str, profile: Mapping[str, object]) -> None:
    card = Ntag(product)
    write_by_nfcpy(card, THEIRS)
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        assert found(frontend).format(wipe=0)
    assert read(card, profile) == {"state": "blank"}
    assert encode(card, profile).note["written"] == "true"


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param({**URI, **classic(sectors=[1, 2, 3])}, id="uri"),
        pytest.param({**URI, **classic(sectors=[1, 2, 3], key_b={"secret": "b"})}, id="uri with a key B"),
        pytest.param({**WIEGAND, **ISSUED_CLASSIC}, id="wiegand"),
    ],
)
def test_what_libfreefare_wrote_is_foreign_and_stays_byte_for_byte(
    profile: Mapping[str, object], tmp_path: Path
) -> None:
    card = Classic()
    (tmp_path / "theirs").write_bytes(b"".join(ndef.message_encoder([ndef.UriRecord(THEIRS)])))
    with Pn532(card) as reader:
        run(reader, "mifare-classic-write-ndef", "-y", "-i", tmp_path / "theirs")
    assert read(card, profile) == {"state": "foreign"}
    assert leaves_alone(card, profile)
    assert message(card, tmp_path) == (tmp_path / "theirs").read_bytes()
