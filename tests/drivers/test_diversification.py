"""CMACs and the keys made with them, against published figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from encoder_bridge_cards import cmac
from encoder_bridge_cards.diversification import Cipher, diversified
from hypothesis import given
from hypothesis import strategies as st

Figures = dict[str, Any]

VECTORS = Path(__file__).parent / "vectors"
CMACS: dict[str, list[Figures]] = json.loads((VECTORS / "cmac.json").read_text())
KEYS: list[Figures] = json.loads((VECTORS / "diversification.json").read_text())["keys"]
CIPHERS = {"aes": cmac.aes, "tdea": cmac.tdea}


def name(figures: Figures) -> str:
    return str(figures["name"])


def cipher_of(figures: Figures) -> cmac.BlockCipher:
    return CIPHERS[figures["cipher"]](bytes.fromhex(figures["key"]))


@pytest.mark.parametrize("figures", CMACS["cmacs"], ids=name)
def test_a_cmac_is_the_published_one(figures: Figures) -> None:
    cipher, message = cipher_of(figures), bytes.fromhex(figures["message"])
    assert cmac.cmac(cipher, message).hex() == figures["cmac"]
    assert cmac.chained_cmac(cipher, message, bytes(cmac.block_size(cipher))).hex() == figures["cmac"]


@pytest.mark.parametrize("figures", CMACS["subkeys"], ids=name)
def test_subkeys_are_the_published_ones(figures: Figures) -> None:
    assert [key.hex() for key in cmac.subkeys(cipher_of(figures))] == [figures["k1"], figures["k2"]]


@pytest.mark.parametrize("figures", CMACS["chained"], ids=name)
def test_a_cmac_that_begins_elsewhere_is_the_published_one(figures: Figures) -> None:
    cipher, message = cmac.aes(bytes.fromhex(figures["key"])), bytes.fromhex(figures["message"])
    assert cmac.chained_cmac(cipher, message, bytes.fromhex(figures["iv"]))[:8].hex() == figures["mac"]


@pytest.mark.parametrize("figures", CMACS["transaction_mac_keys"], ids=name)
def test_the_session_keys_of_a_transaction_mac_come_out(figures: Figures) -> None:
    cipher = cmac.aes(bytes.fromhex(figures["tmac_key"]))
    context = b"\x00\x01\x00\x80" + (figures["tmc"] + 1).to_bytes(4, "little") + bytes.fromhex(figures["uid"])
    assert cmac.cmac(cipher, b"\x5a" + context).hex() == figures["ses_tmmac"]
    assert cmac.cmac(cipher, b"\xa5" + context).hex() == figures["ses_tmenc"]


@pytest.mark.parametrize("make", [cmac.aes, cmac.tdea])
@given(key=st.binary(min_size=16, max_size=16), message=st.binary(max_size=70))
def test_a_chain_that_begins_at_zero_is_a_cmac(make: Any, key: bytes, message: bytes) -> None:
    cipher = make(key)
    assert cmac.chained_cmac(cipher, message, bytes(cmac.block_size(cipher))) == cmac.cmac(cipher, message)


@pytest.mark.parametrize("figures", KEYS, ids=name)
def test_a_diversified_key_is_the_published_one(figures: Figures) -> None:
    key = diversified(Cipher(figures["cipher"]), bytes.fromhex(figures["master_key"]), bytes.fromhex(figures["m"]))
    if figures["is_lowest_bit_clear"]:  # where DESFire keeps a key's version
        key = bytes(byte & 0xFE for byte in key)
    assert key.hex() == figures["diversified_key"]


@pytest.mark.parametrize("cipher", Cipher)
def test_every_length_of_input_makes_another_key(cipher: Cipher) -> None:
    longest = 7 + cipher.room
    keys = [diversified(cipher, bytes(cipher.length), bytes(length)) for length in range(1, longest + 1)]
    assert len(set(keys)) == longest
    assert {len(key) for key in keys} == {cipher.length}


@pytest.mark.parametrize("cipher", Cipher)
@pytest.mark.parametrize("excess", [-1, 1])
def test_an_input_that_does_not_fit_is_refused(cipher: Cipher, excess: int) -> None:
    m = b"" if excess < 0 else bytes(7 + cipher.room + excess)
    with pytest.raises(ValueError, match="diversification input"):
        diversified(cipher, bytes(cipher.length), m)
