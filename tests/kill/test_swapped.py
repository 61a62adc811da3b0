"""After a kill in the middle of a write the desk wants that very card, whatever else is laid down."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from cards import read_cards
from encoder_bridge_simulated import Stock

from kill.desk import Desk
from kill.judge import Judge
from kill.rig import Rig


def prompted(desk: Desk, prompt: str) -> int:
    """How often the desk was asked for this."""
    return sum(state.get("prompt") == prompt for state in desk.hearing.encoder)


def prompted_again(desk: Desk, prompt: str) -> Callable[[], bool]:
    before = prompted(desk, prompt)
    return lambda: prompted(desk, prompt) > before


@pytest.mark.parametrize("point", ["intend.after@1", "block.after@4", "commit.issue.before@1"])
def test_after_a_kill_a_swapped_card_is_left_alone(rig: Rig, point: str) -> None:
    with rig.desk("swapped", clerk="absent") as desk:
        judge = Judge(desk)
        stock = Stock.open(desk.stock, cards=3)
        blank, begun, others = stock.uids()
        first = desk.start()
        desk.trigger("other")
        stock.lay("desk-0", others)
        assert desk.until(lambda: desk.is_told("other"), "the first card was not made")
        stock.lift("desk-0")
        first.end(signal.SIGTERM)
        judge.at_the_end("other")

        desk.start(point)
        desk.trigger("need")
        stock.lay("desk-0", begun)
        assert not desk.until(lambda: False, f"{point} was not reached")
        stock.lift("desk-0")
        judge.at_any_moment("need", "other")

        desk.start()
        assert desk.until(lambda: prompted(desk, "same_card") > 0, "nobody asks for the card that was begun")
        assert desk.hearing.encoder[-1]["card"]["uid"] == begun
        for wrong in (others, blank):
            again = prompted_again(desk, "wrong_card")
            stock.lay("desk-0", wrong)
            assert desk.until(again, "the wrong card is not seen")
            judge.at_any_moment("need", "other")
        stock.lay("desk-0", begun)
        assert desk.until(lambda: desk.is_told("need"), "the card was not made good")
        judge.at_the_end("other", "need")
        (report,) = {event["event_id"]: event for event in desk.hearing.issued("need")}.values()
        assert report["card"]["uid"] == begun
        assert read_cards(desk.stock)[blank] == "blank"
