"""What we write on cards with pages, others read, and open with our keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ndef
import nfc.tag.tt2
import pytest
from type2_desk import IMAGE, KINDS, SECRETS, AnyCard, Kind, personalise
from virtual.outsiders import found, nfcpy
from virtual.pn532 import Pn532

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@contextmanager
def read_by_nfcpy(card: AnyCard) -> Iterator[Any]:
    with Pn532(card) as reader, nfcpy(reader) as frontend:
        yield found(frontend)


@every_kind
@pytest.mark.parametrize("uri", ["https://e.co", "https://keys.example.com/4711"])
def test_nfcpy_reads_the_message_we_wrote(kind: Kind, uri: str) -> None:
    card, made = kind.make(), kind.layout(ndef=True)
    record = ndef.UriRecord(uri)
    personalise(made, card, made.places(b"".join(ndef.message_encoder([record])), ndef=True))
    with read_by_nfcpy(card) as tag:
        assert [one.uri for one in tag.ndef.records] == [uri]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.last > 0x27], ids=lambda kind: kind.name)
def test_nfcpy_reads_a_message_whose_length_takes_three_bytes(kind: Kind) -> None:
    card, made = kind.make(), kind.layout(ndef=True)
    uri = "https://keys.example.com/" + "4711" * 80
    personalise(made, card, made.places(b"".join(ndef.message_encoder([ndef.UriRecord(uri)])), ndef=True))
    with read_by_nfcpy(card) as tag:
        assert [one.uri for one in tag.ndef.records] == [uri]


@every_kind
@pytest.mark.parametrize("hides", [True, False])
def test_nfcpy_opens_the_card_with_our_key_and_with_no_other(kind: Kind, hides: bool) -> None:
    card, made = kind.make(), kind.layout(read_protected=hides)
    personalise(made, card, made.places(IMAGE, ndef=False))
    key, old = bytes.fromhex(SECRETS[kind.key]), bytes.fromhex(SECRETS[f"old-{kind.key}"])
    with read_by_nfcpy(card) as tag:
        assert not tag.authenticate(old)
    with read_by_nfcpy(card) as tag, pytest.raises(nfc.tag.tt2.Type2TagCommandError):
        tag.write(4, b"else")
    with read_by_nfcpy(card) as tag:
        assert tag.authenticate(key)
        assert bytes(tag.read(4)) == IMAGE[:16]
        assert tag.write(4, IMAGE[:4])
