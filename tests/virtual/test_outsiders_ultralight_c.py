"""nfcpy, libnfc and libfreefare take the Ultralight C in software for a real one."""

from __future__ import annotations

import nfc.tag.tt2
import pytest

from virtual.outsiders import found, nfcpy, run
from virtual.pn532 import Pn532
from virtual.type2 import STATIC_LOCKS
from virtual.ultralight_c import AUTH0, AUTH1, COUNTER, KEY, LOCKS, TRANSPORT_KEY, UltralightC, key_pages

SECRET, WRONG = b"sixteen bytes...", b"none of the keys"


def test_libfreefare_knows_it_and_proves_the_key_of_a_new_card() -> None:
    with Pn532(UltralightC()) as reader:
        assert run(reader, "mifare-ultralight-info").splitlines() == [
            "Tag with UID 04aabbccddeeff is a Mifare UltraLightC",
            "Authentication with default key: success",
        ]


def test_libfreefare_fails_to_prove_another_key() -> None:
    card = UltralightC()
    for page, data in enumerate(key_pages(SECRET), KEY):
        card.poke(page, data)
    with Pn532(card) as reader:
        assert "Authentication with default key: fail" in run(reader, "mifare-ultralight-info")


def test_nfcpy_knows_it_and_reads_and_writes_its_pages() -> None:
    card = UltralightC()
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        tag = found(frontend)
        assert tag.product == "Mifare Ultralight C (MF01CU2)"
        assert tag.authenticate(TRANSPORT_KEY)
        tag.write(5, b"page")
        assert bytes(tag.read(5)[:4]) == b"page"
        with pytest.raises(nfc.tag.tt2.Type2TagCommandError):
            tag.read(KEY)
    assert card.peek(5) == b"page"


@pytest.mark.parametrize("read_protect", [False, True])
def test_nfcpy_gives_it_a_key_and_protects_it(read_protect: bool) -> None:
    """Its order, AUTH0 before AUTH1, works only where the configuration waits for the next selection."""
    card = UltralightC(applies_at_once=False)
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        assert found(frontend).protect(SECRET, read_protect=read_protect, protect_from=6)
        assert card.stored_key == SECRET
        assert (card.peek(AUTH0)[0], card.peek(AUTH1)[0]) == (6, not read_protect)

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
    assert card.peek(6) == b"ours"


def test_nfcpy_makes_it_read_only_for_good() -> None:
    card = UltralightC()
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        assert found(frontend).protect()
        for page in (3, 4, 15, 16, 0x27, COUNTER, AUTH0, AUTH1, KEY, KEY + 3):
            with pytest.raises(nfc.tag.tt2.Type2TagCommandError):
                found(frontend).write(page, b"\x01\x00\x00\x00")
    assert card.peek(STATIC_LOCKS)[2:] + card.peek(LOCKS)[:2] == b"\xff\xff\xff\xff"
