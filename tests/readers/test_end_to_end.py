"""From a message over MQTT to a written card and back, through a real pcscd."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from virtual.card import VirtualCard
from virtual.classic import Classic
from virtual.desfire import Desfire
from virtual.type2 import Ntag
from virtual.ultralight_c import UltralightC

from readers.conftest import OpenDesk
from readers.desk import Desk, stay

CARDS: Mapping[str, Callable[[bytes], VirtualCard]] = {
    "ntag": lambda uid: Ntag("ntag213", uid=uid),
    "classic": lambda uid: Classic(uid=uid),
    "ultralight_c": lambda uid: UltralightC(uid),
    "desfire": lambda uid: Desfire(uid=uid, version="ev2"),
}
IN_THE_MIDDLE = {"ntag": 14, "classic": 10, "ultralight_c": 16, "desfire": 16}
"""An exchange after the first effect and before the last."""
UID = bytes.fromhex("04112233445566")
OTHER = bytes.fromhex("04998877665544")


def made(desk: Desk, access_method_id: str, profile: str, card: VirtualCard) -> Any:
    """Have a card made and lifted; the event."""
    desk.trigger(stay(access_method_id, profile))
    desk.asks(access_method_id)
    desk.slot.lay(card)
    event = desk.event(access_method_id)
    desk.slot.lift()
    return event


@pytest.mark.parametrize("profile", CARDS)
def test_a_message_becomes_a_card_that_was_read_back(desk: OpenDesk, profile: str) -> None:
    with desk() as running:
        card = CARDS[profile](UID)
        blank = card.snapshot()
        event = made(running, "one", profile, card)
        assert (event["is_issued"], event["evidence"], event["card"]["uid"]) == (True, "read_back", UID.hex())
        assert (event["receipt"]["profile"], event["receipt"]["written"]) == (profile, "true")
        assert card.snapshot() != blank


def test_a_card_s_number_is_enough_where_the_profile_says_so(desk: OpenDesk) -> None:
    with desk() as running:
        card = Ntag("ntag213", uid=UID)
        blank = card.snapshot()
        event = made(running, "one", "number", card)
        assert (event["is_issued"], event["card"]["uid"], event["receipt"]["written"]) == (True, UID.hex(), "false")
        assert card.snapshot() == blank


@pytest.mark.parametrize("how", ["before", "during", "after"])
@pytest.mark.parametrize("profile", CARDS)
def test_a_card_lifted_in_the_middle_is_unsure_until_it_is_back(desk: OpenDesk, profile: str, how: str) -> None:
    with desk() as running:
        card, other = CARDS[profile](UID), CARDS[profile](OTHER)
        running.slot.lay(other)
        blank = other.snapshot()
        running.slot.lift()
        running.trigger(stay("one", profile))
        running.asks("one")
        running.slot.lay(card, waits=False)
        running.slot.tear(IN_THE_MIDDLE[profile], how)
        running.stands("one", "unsure")
        asked = running.asks("one", "same_card")
        assert asked["card"]["uid"] == UID.hex()
        running.slot.lay(other)
        running.asks("one", "wrong_card")
        running.slot.lift()
        running.slot.lay(card)
        assert running.event("one")["is_issued"] is True
        assert other.snapshot() == blank


def test_a_card_of_another_guest_is_refused_and_another_one_taken(desk: OpenDesk) -> None:
    with desk() as running:
        first, second = Ntag("ntag213", uid=UID), Ntag("ntag213", uid=OTHER)
        made(running, "one", "ntag", first)
        written = first.snapshot()
        running.trigger(stay("two", "ntag"))
        running.asks("two")
        before = running.now()
        running.slot.lay(first)
        running.shows(prompt="lift_card", after=before)
        running.slot.swap(second)
        assert running.event("two")["card"]["uid"] == OTHER.hex()
        assert first.snapshot() == written


def test_a_card_swapped_while_it_is_looked_at_is_found_out(desk: OpenDesk) -> None:
    with desk() as running:
        first, second = Desfire(uid=UID, version="ev2"), Desfire(uid=OTHER, version="ev2")
        blank = first.snapshot()
        running.trigger(stay("one", "desfire"))
        running.asks("one")
        running.slot.lay(first, waits=False)
        running.slot.tear(3)
        running.until(lambda: running.slot.is_torn)
        running.slot.lay(second)
        assert running.event("one")["card"]["uid"] == OTHER.hex()
        assert first.snapshot() == blank
