"""The daemon is killed after the last block, before the receipt is on disk, and other cards lie there afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cards import read_cards

from desk.conftest import OpenLobby
from desk.lobby import Lobby, stay

ALL_BLOCKS = "hung@999"


@contextmanager
def killed_after_the_last_block(lobby: OpenLobby) -> Iterator[tuple[Lobby, str, str]]:
    """A desk that was killed and runs again: b stands on the first card, and the second is guest a's."""
    settings = {"desk-1": {"faults": [ALL_BLOCKS], "silence_s": 60.0}, "desk-2": {}}
    with lobby(encoders=settings) as desk:
        first, others = desk.blank(), desk.blank()
        desk.make("a", others, "desk-2")
        desk.trigger(stay("b", encoder="desk-1"))
        desk.asks("b")
        desk.lay(first)
        desk.shows_progress()
        desk.kill()
        carried = read_cards(desk.stock)[first]
        assert isinstance(carried, dict)
        assert carried["access_method_id"] == "b", "the last block was not written"
        assert "access_method.issued" not in [
            heard.json()["event_type"] for heard in desk.on("event/") if heard.json()["access_method_id"] == "b"
        ]
        desk.lay(others)
        now = desk.now()
        desk.start()
        desk.shows(prompt="lift_card", after=now)
        now = desk.now()
        desk.lift()
        assert desk.shows(prompt="same_card", access_method_id="b", after=now)["card"]["uid"] == first
        assert desk.job("b", state="unsure")["error"]["type"] == "encoding_interrupted"
        before = desk.plastics()
        for wrong in (others, desk.blank()):
            now = desk.now()
            desk.lay(wrong)
            desk.shows(prompt="wrong_card", card=wrong, after=now)
            now = desk.now()
            desk.lift()
            desk.shows(prompt="same_card", card=first, after=now)
        assert desk.plastics() == before
        yield desk, first, desk.blank()


@pytest.mark.parametrize("fate", ["gone", "destroyed"])
def test_when_the_first_card_will_not_come_back_another_is_made_with_a_higher_number(
    lobby: OpenLobby, fate: str
) -> None:
    with killed_after_the_last_block(lobby) as (desk, first, second):
        before = desk.plastics()
        if fate == "destroyed":
            desk.file(first).unlink()
            del before[first]
        now = desk.now()
        status, answer = desk.control.ask("resolve", access_method_id="b", card=fate, again=True, operator="Ana")
        assert (status, answer["status"], answer["state"]) == (200, "job", "queued")
        ended = desk.reports("b", "access_method.failed_to_issue", error=f"card_{fate}")
        assert ended["card"]["uid"] == first
        desk.asks("b", after=now)
        assert desk.plastics() == before
        desk.lay(second)
        made = desk.reports("b")
        assert (made["card"]["uid"], made["sequence"]) == (second, ended["sequence"] + 1)
        desk.lift()
        *_, resolved = desk.control.get("/v1/jobs/b")["jobs"][-1]["attempts"]
        assert (resolved["what"], resolved["operator"]) == (f"card_{fate}", "Ana")


def test_the_first_card_laid_down_again_is_issued_without_a_byte_being_written(lobby: OpenLobby) -> None:
    with killed_after_the_last_block(lobby) as (desk, first, _):
        before = desk.plastics()
        unsure = desk.reports("b", "encoder_bridge.job_unsure")
        desk.lay(first)
        made = desk.reports("b")
        assert (made["card"]["uid"], made["sequence"]) == (first, unsure["sequence"])
        assert desk.plastics() == before
        desk.lift()


def test_a_card_that_was_gone_and_turns_up_may_serve_another_guest(lobby: OpenLobby) -> None:
    """Nothing better can happen to it: it does not open the first guest's door any more, and the reports say so."""
    with killed_after_the_last_block(lobby) as (desk, first, second):
        now = desk.now()
        desk.control.ask("resolve", access_method_id="b", card="gone", again=True)
        desk.asks("b", after=now)
        desk.lay(second)
        desk.reports("b")
        desk.lift()
        desk.judge()
        assert desk.make("c", first)["card"]["uid"] == first
