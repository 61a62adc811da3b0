"""nfcpy, libnfc and libfreefare take the NTAGs and Ultralights in software for real ones."""

from __future__ import annotations

from pathlib import Path

import ndef
import nfc.tag.tt2
import pytest

from virtual.outsiders import found, nfcpy, run
from virtual.pn532 import Pn532
from virtual.type2 import CC, STATIC_LOCKS, Ntag

PRODUCTS = {
    "ntag213": "NXP NTAG213",
    "ntag215": "NXP NTAG215",
    "ntag216": "NXP NTAG216",
    "ultralight_ev1_20": "Mifare Ultralight EV1 (MF0UL11)",
    "ultralight_ev1_41": "Mifare Ultralight EV1 (MF0UL21)",
}
NTAGS = ["ntag213", "ntag215", "ntag216"]
SECRET, WRONG = b"passOK", b"noneOK"
RECORDS = [ndef.UriRecord("https://example.com/room/12")]

every_product = pytest.mark.parametrize("product", PRODUCTS)
every_ntag = pytest.mark.parametrize("product", NTAGS)


@every_product
def test_libnfc_lists_it(product: str) -> None:
    with Pn532(Ntag(product)) as reader:
        printed = run(reader, "nfc-list").replace("  ", " ")
    assert "04 11 22 33 44 55 66" in printed
    assert "00 44" in printed


@every_product
def test_libfreefare_takes_it_for_an_ultralight_without_a_key(product: str) -> None:
    with Pn532(Ntag(product)) as reader:
        printed = run(reader, "mifare-ultralight-info")
    assert printed.splitlines() == ["Tag with UID 04112233445566 is a Mifare UltraLight"]


@every_product
def test_nfcpy_names_its_product(product: str) -> None:
    with Pn532(Ntag(product)) as reader, nfcpy(reader) as frontend:
        tag = found(frontend)
        assert tag.product == PRODUCTS[product]
        assert bytes(tag.identifier).hex() == "04112233445566"
        assert len(tag.signature) == 32
        assert any(tag.signature)


@every_product
def test_nfcpy_reads_and_writes_pages(product: str) -> None:
    card = Ntag(product)
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        tag = found(frontend)
        assert tag.write(5, b"page")
        assert bytes(tag.read(5)[:4]) == b"page"
        assert bytes(tag.read(card.pages - 1)) == bytes(4) + b"".join(map(card.peek, range(3)))
        with pytest.raises(nfc.tag.tt2.Type2TagCommandError):
            tag.read(card.pages)
    assert card.peek(5) == b"page"


@every_product
def test_nfcpy_proves_the_password_of_a_new_card(product: str) -> None:
    with Pn532(Ntag(product)) as reader, nfcpy(reader) as frontend:
        assert found(frontend).authenticate(b"\xff\xff\xff\xff\x00\x00")
        assert not found(frontend).authenticate(b"\xff\xff\xff\xfe\x00\x00")


@every_ntag
def test_nfcpy_writes_ndef_and_reads_it_back(product: str) -> None:
    with Pn532(Ntag(product)) as reader, nfcpy(reader) as frontend:
        tag = found(frontend)
        assert tag.ndef.capacity > 100
        tag.ndef.records = RECORDS
        assert found(frontend).ndef.records == RECORDS


@every_ntag
@pytest.mark.parametrize("read_protect", [False, True])
def test_nfcpy_protects_it_with_a_password(product: str, read_protect: bool) -> None:
    """Its order, AUTH0 first, works only where the configuration waits for the next selection."""
    card = Ntag(product, applies_at_once=False)
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        assert found(frontend).protect(SECRET, read_protect=read_protect, protect_from=6)
        assert (card.auth0, card.access >> 7) == (6, read_protect)
        assert card.peek(card.pwd) + card.peek(card.pack)[:2] == SECRET

        tag = found(frontend)
        assert tag.write(5, b"open")
        with pytest.raises(nfc.tag.tt2.Type2TagCommandError):
            tag.write(6, b"shut")

        tag = found(frontend)
        if read_protect:
            assert bytes(tag.read(4)) == b"".join(map(card.peek, (4, 5, 0, 1)))
            with pytest.raises(nfc.tag.tt2.Type2TagCommandError):
                tag.read(6)
        else:
            assert bytes(tag.read(6)) == b"".join(map(card.peek, range(6, 10)))

        assert not found(frontend).authenticate(WRONG)
        tag = found(frontend)
        assert tag.authenticate(SECRET)
        assert tag.write(6, b"ours")
        assert bytes(tag.read(card.pwd)[:8]) == bytes(8)
    assert card.peek(6) == b"ours"


def test_the_order_of_nfcpy_fails_where_the_configuration_counts_at_once() -> None:
    card = Ntag(applies_at_once=True)
    with Pn532(card) as reader, nfcpy(reader) as frontend, pytest.raises(nfc.tag.tt2.Type2TagCommandError):
        found(frontend).protect(SECRET, protect_from=6)
    assert card.peek(card.pwd) == b"\xff\xff\xff\xff"


@every_ntag
def test_nfcpy_makes_it_read_only_for_good(product: str) -> None:
    card = Ntag(product)
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        tag = found(frontend)
        tag.ndef.records = RECORDS
        assert tag.protect()
        tag = found(frontend)
        assert tag.ndef.records == RECORDS
        assert not tag.ndef.is_writeable
    assert card.peek(CC)[3] == 0x0F
    assert card.peek(STATIC_LOCKS)[2:] == b"\xff\xff"
    for page in (CC, 4, 15, 16, card.cfg_0 - 2, card.cfg_0, card.cfg_1):
        with Pn532(card) as reader, nfcpy(reader) as frontend, pytest.raises(nfc.tag.tt2.Type2TagCommandError):
            found(frontend).write(page, b"late")


@every_product
def test_libnfc_dumps_it_and_writes_the_dump_onto_another(product: str, tmp_path: Path) -> None:
    card, other = Ntag(product), Ntag(product, b"\x04\x99\x99\x99\x99\x99\x99")
    for page in range(4, 16):
        card.poke(page, bytes([page, 1, 2, 3]))
    with Pn532(card) as reader:
        run(reader, "nfc-mfultralight", "r", tmp_path / "dump")
    dump = (tmp_path / "dump").read_bytes()
    hidden = bytes(4) + bytes(4)
    assert dump == b"".join(map(card.peek, range(card.pwd))) + hidden
    with Pn532(other) as reader:
        run(reader, "nfc-mfultralight", "w", tmp_path / "dump")
    assert [other.peek(page) for page in range(4, 16)] == [card.peek(page) for page in range(4, 16)]


@every_product
def test_libnfc_needs_the_password_of_a_protected_card(product: str, tmp_path: Path) -> None:
    card = Ntag(product)
    card.poke(5, b"data")
    card.poke(card.pwd, SECRET[:4])
    card.poke(card.pack, SECRET[4:] + bytes(2))
    card.poke(card.cfg_1, b"\x80\x00\x00\x00")
    card.poke(card.cfg_0, b"\x00\x00\x00\x04")
    unprotected = b"".join(map(card.peek, range(4)))
    with Pn532(card) as reader:
        run(reader, "nfc-mfultralight", "r", tmp_path / "closed")
        assert (tmp_path / "closed").read_bytes() == unprotected
        printed = run(reader, "nfc-mfultralight", "r", tmp_path / "open", "--pw", SECRET[:4].hex())
        assert f"Success - PACK: {SECRET[4:].hex()}" in printed

        dump = (tmp_path / "open").read_bytes()
        assert dump[20:24] == b"data"
        (tmp_path / "changed").write_bytes(dump[:20] + b"else" + dump[24:])
        run(reader, "nfc-mfultralight", "w", tmp_path / "changed")
        assert card.peek(5) == b"data"
        run(reader, "nfc-mfultralight", "w", tmp_path / "changed", "--pw", SECRET[:4].hex())
    assert card.peek(5) == b"else"
