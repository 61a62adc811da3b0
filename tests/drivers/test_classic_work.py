"""MIFARE Classic cards written one after the other: fresh, reused, rolled over, and those that are left alone."""

from __future__ import annotations

from classic_desk import KEY_A, KEY_B, OURS, layout, personalise
from virtual.card import Tear
from virtual.classic import Classic

IMAGE = OURS + bytes(range(40))


def test_a_fresh_card_carries_the_contents_under_our_keys() -> None:
    card, made = Classic(), layout()
    told = personalise(made, card, made.places(IMAGE, ndef=False))
    assert b"".join(map(card.peek, (4, 5, 6))) == IMAGE.ljust(48, b"\0")
    assert card.peek(7) == KEY_A + bytes.fromhex("78778869") + KEY_B
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_one_fresh_sector_costs_so_many_exchanges() -> None:
    link, made = Tear(Classic()), layout()
    personalise(made, link, made.places(IMAGE, ndef=False))
    assert link.exchanges == 21
