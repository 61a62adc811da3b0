"""The key of an Ultralight C against published figures, and against cards that have another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from encoder_bridge_cards.link import LinkError, Refused
from encoder_bridge_cards.ultralight_c.authentication import authenticate, challenged
from encoder_bridge_cards.ultralight_c.guard import key_pages
from virtual.ultralight_c import UltralightC

Figures = dict[str, Any]

VECTORS: dict[str, list[Figures]] = json.loads((Path(__file__).parent / "vectors" / "ultralight_c.json").read_text())
KEY = bytes.fromhex("00112233445566778899aabbccddeeff")


def name(figures: Figures) -> str:
    return str(figures["name"])


@pytest.mark.parametrize("figures", VECTORS["authentications"], ids=name)
def test_an_authentication_is_the_published_one(figures: Figures) -> None:
    sent: list[str] = []
    answers = iter(figures["rx"])

    def exchange(frame: bytes) -> bytes:
        sent.append(frame.hex())
        return bytes.fromhex(next(answers))

    key, rnd_a = bytes.fromhex(figures["key"]), bytes.fromhex(figures["rnd_a"])
    assert authenticate(exchange, key, random=lambda length: rnd_a[:length])
    assert sent == figures["tx"]


@pytest.mark.parametrize("figures", VECTORS["keys"], ids=name)
def test_a_key_lies_in_its_pages_as_published(figures: Figures) -> None:
    assert [page.hex() for page in key_pages(bytes.fromhex(figures["key"]))] == figures["pages"]


def test_a_card_with_another_key_refuses() -> None:
    card = UltralightC()
    card.activate()
    with pytest.raises(Refused):
        authenticate(card.exchange, KEY)


def test_a_card_that_does_not_know_the_key_itself_is_not_believed() -> None:
    answers = iter([b"\xaf" + bytes(8), b"\x00" + bytes(8)])
    assert not authenticate(lambda frame: next(answers), KEY)


@pytest.mark.parametrize(
    "answers",
    [[b""], [b"\xaf"], [b"\xaf" + bytes(16)], [b"\x00" + bytes(8)], [b"\xaf" + bytes(8), b""],
     [b"\xaf" + bytes(8), b"\xaf" + bytes(8)], [b"\xaf" + bytes(8), b"\x00" + bytes(16)]],
)  # fmt: skip
def test_an_answer_that_is_none_ends_it(answers: list[bytes]) -> None:
    left = iter(answers)
    with pytest.raises(LinkError):
        authenticate(lambda frame: next(left), KEY)


def test_each_authentication_draws_anew() -> None:
    tokens: set[bytes] = set()

    def exchange(frame: bytes) -> bytes:
        if frame[0] == 0x1A:
            return b"\xaf" + bytes(8)
        tokens.add(frame)
        return b"\x00" + bytes(8)

    for _ in range(8):
        authenticate(exchange, KEY)
    assert len(tokens) == 8


def test_only_an_ultralight_c_challenges_with_eight_bytes() -> None:
    assert challenged(b"\xaf" + bytes(range(8))) == bytes(range(8))
    for answer in (b"", b"\xaf", b"\xaf" + bytes(7), b"\xaf" + bytes(16), b"\x00" + bytes(8)):
        assert challenged(answer) is None
