"""Checksums against published figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from encoder_bridge_cards.checksums import crc_8, crc_32, crc_a

Figures = dict[str, str]

FIGURES: dict[str, list[Figures]] = json.loads((Path(__file__).parent / "vectors" / "checksums.json").read_text())


def name(figures: Figures) -> str:
    return figures["name"]


@pytest.mark.parametrize("figures", FIGURES["crc_a"], ids=name)
def test_crc_a_is_the_published_one(figures: Figures) -> None:
    assert crc_a(bytes.fromhex(figures["data"])).hex() == figures["crc"]


@pytest.mark.parametrize("figures", FIGURES["crc_32"], ids=name)
def test_the_crc32_of_desfire_is_the_published_one(figures: Figures) -> None:
    assert crc_32(bytes.fromhex(figures["data"])).hex() == figures["crc"]


@pytest.mark.parametrize("figures", FIGURES["crc_8"], ids=name)
def test_the_crc_of_a_directory_is_the_published_one(figures: Figures) -> None:
    assert crc_8(bytes.fromhex(figures["data"])) == int(figures["crc"], 16)
