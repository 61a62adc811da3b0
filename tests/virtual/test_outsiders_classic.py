"""libnfc and libfreefare of Debian take the MIFARE Classic in software for a real one."""

from __future__ import annotations

from pathlib import Path

import ndef
import pytest

from virtual.classic import TRANSPORT_TRAILER, Classic
from virtual.outsiders import run
from virtual.pn532 import Pn532

MAD_KEY, NDEF_KEY = bytes.fromhex("a0a1a2a3a4a5"), bytes.fromhex("d3f7d3f7d3f7")
MESSAGE = b"".join(ndef.message_encoder([ndef.UriRecord("https://example.com/room/12")]))

both_sizes = pytest.mark.parametrize("blocks", [64, 256])


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "message"
    path.write_bytes(MESSAGE)
    return path


@pytest.mark.parametrize("uid", [b"\x3e\x11\x22\x33", b"\x04\x11\x22\x33\x44\x55\x66"], ids=["4", "7"])
@pytest.mark.parametrize(("blocks", "sak"), [(20, "09"), (64, "08"), (256, "18")])
def test_libnfc_lists_it(uid: bytes, blocks: int, sak: str) -> None:
    card = Classic(uid, blocks)
    with Pn532(card) as reader:
        lines = {key.strip(): value.split() for key, _, value in map(_halves, run(reader, "nfc-list").splitlines())}
    assert bytes.fromhex("".join(lines["UID (NFCID1)"])) == uid
    assert bytes.fromhex("".join(lines["ATQA (SENS_RES)"])) == card.atqa
    assert lines["SAK (SEL_RES)"] == [sak]


def _halves(line: str) -> tuple[str, str, str]:
    return line.partition(":")


@both_sizes
def test_libfreefare_writes_ndef_and_reads_it_back(blocks: int, message: Path, tmp_path: Path) -> None:
    card = Classic(blocks=blocks)
    with Pn532(card) as reader:
        run(reader, "mifare-classic-write-ndef", "-y", "-i", message)
        run(reader, "mifare-classic-read-ndef", "-y", "-o", tmp_path / "read")
    assert (tmp_path / "read").read_bytes() == MESSAGE
    assert card.peek(3)[:6] == MAD_KEY
    assert card.peek(7)[:6] == NDEF_KEY
    assert card.peek(1)[2:4] == b"\x03\xe1"
    assert MESSAGE[:14] in card.peek(4)
    assert not any(card.is_blocked(card.sector(block)) for block in range(blocks))


@both_sizes
def test_libfreefare_formats_what_it_wrote(blocks: int, message: Path) -> None:
    card = Classic(blocks=blocks)
    fresh = card.snapshot()
    with Pn532(card) as reader:
        run(reader, "mifare-classic-write-ndef", "-y", "-i", message)
        assert card.snapshot() != fresh
        run(reader, "mifare-classic-format", "-y")
    assert card.snapshot() == fresh
    assert card.peek(7) == TRANSPORT_TRAILER


def test_libfreefare_leaves_a_card_with_unknown_keys_alone(message: Path) -> None:
    card = Classic()
    for sector in range(16):
        card.poke(card.trailer(sector), b"secret\xff\x07\x80\x69secret")
    before = card.snapshot()
    with Pn532(card) as reader, pytest.raises(AssertionError):
        run(reader, "mifare-classic-write-ndef", "-y", "-i", message)
    assert card.snapshot() == before


def test_libnfc_dumps_it(message: Path, tmp_path: Path) -> None:
    """All but the keys: the program puts those into its dump that it used."""
    card = Classic()
    with Pn532(card) as reader:
        run(reader, "mifare-classic-write-ndef", "-y", "-i", message)
        run(reader, "nfc-mfclassic", "r", "A", "u", tmp_path / "dump")
    dump = (tmp_path / "dump").read_bytes()
    shown = [dump[16 * block : 16 * block + 16] for block in range(64)]
    for block in range(64):
        part = slice(6, 10) if card.is_trailer(block) else slice(16)
        assert shown[block][part] == card.peek(block)[part]


@pytest.mark.parametrize("key", ["A", "B"])
def test_libnfc_writes_with_the_key_that_may(key: str, tmp_path: Path) -> None:
    """Sectors of 78 77 88: key A and key B read, key B alone writes.  The program writes one block of each."""
    card = Classic()
    for sector in range(16):
        card.poke(card.trailer(sector), NDEF_KEY + b"\x78\x77\x88\x69" + NDEF_KEY)
    before = card.snapshot()
    image = [card.peek(block) if card.is_trailer(block) or not block else bytes([block]) * 16 for block in range(64)]
    (tmp_path / "image").write_bytes(b"".join(image))
    with Pn532(card) as reader:
        printed = run(reader, "nfc-mfclassic", "w", key, "u", tmp_path / "image", tmp_path / "image")
    written = [card.peek(block) == image[block] for block in range(4, 64, 4)]
    if key == "B":
        assert all(written)
    else:
        assert card.snapshot() == before
        assert printed.count("Failure to write") == len(written)
