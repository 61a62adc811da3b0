"""A finished card that nobody takes away, and a daemon that starts again over it."""

from __future__ import annotations

from pathlib import Path

import cards
from encoder_bridge_simulated.stock import Stock
from rigs.brokers import Broker
from rigs.tap import Tap

from .front_desk import FrontDesk, InProcess, need


def test_a_card_left_lying_is_not_the_next_guests_blank_even_after_a_restart(
    mosquitto: Broker, mosquitto_tap: Tap, tmp_path: Path
) -> None:
    nobody = {"clerk": "absent", "name": "left"}
    with FrontDesk(mosquitto, mosquitto_tap, tmp_path, runs=InProcess, encoder=nobody) as desk:
        stock = Stock.open(desk.stock, cards=2)
        first, second = sorted(stock.uids())[:2]
        desk.trigger(need("a"))
        desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/job/a" and b"waiting_for_card" in heard.payload)
        stock.lay("left", first)
        desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/job/a" and b'"issued"' in heard.payload)
        desk.trigger(need("b"))
        desk.kill()
        desk.start()
        desk.tap.wait_for_many(
            2, lambda heard: heard.topic == f"{desk.root}/encoder/desk-1/state" and b"lift_card" in heard.payload
        )
        assert guest_of(desk, first) == "a"
        stock.lift("left")
        desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/job/b" and b"waiting_for_card" in heard.payload)
        stock.lay("left", second)
        desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/job/b" and b'"issued"' in heard.payload)
        assert (guest_of(desk, first), guest_of(desk, second)) == ("a", "b")


def guest_of(desk: FrontDesk, uid: str) -> str:
    card = cards.read_cards(desk.stock)[uid]
    assert isinstance(card, dict)
    return str(card["access_method_id"])
