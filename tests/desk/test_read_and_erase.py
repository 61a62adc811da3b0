"""A card is to be read or blanked while the desk is busy."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from desk.conftest import OpenLobby
from desk.lobby import SLOW, Lobby, stay


def asked(desk: Lobby, way: str, verb: str) -> dict[str, Any]:
    """Ask, over either way; the body of the answer."""
    if way == "mqtt":
        return desk.request(verb, encoder="desk-1")
    body: dict[str, Any] = desk.control.ask(verb, encoder="desk-1")[1]
    return body


WAYS = pytest.mark.parametrize("way", ["mqtt", "control"])


@WAYS
def test_a_read_interrupts_a_job_that_waits_and_the_job_comes_back(lobby: OpenLobby, way: str) -> None:
    with lobby() as desk:
        one, two = desk.blank(), desk.blank()
        desk.make("a", one)
        desk.trigger(stay("b"))
        desk.asks("b")
        before, now = desk.plastics(), desk.now()
        with desk.asking(lambda: asked(desk, way, "read")) as answer:
            desk.shows(state="reading", after=now)
            assert desk.control.job("b")["state"] == "queued"
            desk.lay(one)
            read = answer.result()
        assert (read["status"], read["card"]["uid"], read["made_here"]["access_method_id"]) == ("read", one, "a")
        assert read["made_here"]["is_valid"] is True
        assert desk.plastics() == before
        now = desk.now()
        desk.lift()
        desk.asks("b", after=now)
        desk.lay(two)
        desk.reports("b")
        desk.lift()


@WAYS
@pytest.mark.parametrize("verb", ["read", "erase"])
def test_nobody_interrupts_a_job_that_has_begun(lobby: OpenLobby, way: str, verb: str) -> None:
    with lobby(encoders={"desk-1": SLOW}, mqtt={"erase": True}) as desk:
        desk.trigger(stay("a"))
        desk.asks("a")
        desk.lay(desk.blank())
        desk.shows_progress(blocks=1)
        answer = asked(desk, way, verb)
        assert (answer["status"], answer["error"]["type"]) == ("rejected", "encoder_busy")
        desk.reports("a")
        assert [line["what"] for line in desk.control.job("a")["attempts"]] == ["prompted", "intended", "issued"]
        desk.lift()


def test_erase_over_mqtt_is_refused_unless_it_is_switched_on(lobby: OpenLobby) -> None:
    with lobby() as desk:
        card = desk.blank()
        desk.make("a", card)
        desk.lay(card)
        before = desk.plastics()
        answer = desk.request("erase", encoder="desk-1", even_if_valid=True)
        assert (answer["status"], answer["error"]["type"]) == ("rejected", "erase_not_allowed")
        desk.control.ask("read", encoder="desk-1")
        assert desk.plastics() == before
        desk.lift()


def test_erase_over_mqtt_blanks_where_it_is_switched_on(lobby: OpenLobby) -> None:
    with lobby(mqtt={"erase": True}) as desk:
        card = desk.blank()
        desk.make("a", card)
        desk.lay(card)
        answer = desk.request("erase", encoder="desk-1")
        assert (answer["status"], answer["error"]["type"]) == ("failed", "card_still_valid")
        answer = desk.request("erase", encoder="desk-1", even_if_valid=True)
        assert (answer["status"], answer["card"]["uid"]) == ("erased", card)
        desk.hears("event/encoder_bridge.card_erased", card=card)
        desk.lift()


@contextmanager
def torn_erasure(lobby: OpenLobby) -> Iterator[tuple[Lobby, str]]:
    """A desk that was killed while it blanked guest a's card, and runs again; the card."""
    with lobby(encoders={"desk-1": SLOW}) as desk:
        card = desk.blank()
        desk.make("a", card)
        desk.lay(card)
        with desk.asking(lambda: desk.control.ask("erase", encoder="desk-1", even_if_valid=True)) as answer:
            desk.shows_progress(blocks=2, after=desk.now())
            desk.kill()
            assert isinstance(answer.exception(), OSError | http.client.HTTPException)
        desk.lift()
        desk.start()
        torn = desk.hears("event/encoder_bridge.card_unsure", card=card)
        assert (torn["error"]["type"], torn["access_method_id"]) == ("erase_unsure", "a")
        desk.judge()
        yield desk, card


def test_an_erasure_torn_by_a_kill_is_taken_up_again_with_the_same_card(lobby: OpenLobby) -> None:
    with torn_erasure(lobby) as (desk, card):
        before, other = desk.plastics(), desk.blank()
        desk.trigger(stay("b"))
        now = desk.now()
        desk.asks("b")
        desk.lay(card)
        desk.shows(error="card_in_use", after=now)  # half a card is nobody's blank
        now = desk.now()
        desk.lift()
        desk.asks("b", after=now)
        now = desk.now()
        with desk.asking(lambda: desk.control.ask("erase", encoder="desk-1", even_if_valid=True)) as answer:
            desk.shows(state="erasing", prompt="same_card", card=card, after=now)
            desk.lay(other)
            desk.shows(prompt="wrong_card", after=now)
            assert desk.plastics() == before
            desk.lay(card)
            status, body = answer.result()
        assert (status, body["status"], body["card"]["uid"]) == (200, "erased", card)
        now = desk.now()
        desk.lift()
        desk.asks("b", after=now)
        desk.lay(card)
        desk.reports("b")
        desk.lift()


def test_a_torn_erasure_whose_card_will_not_come_back_is_given_up(lobby: OpenLobby) -> None:
    with torn_erasure(lobby) as (desk, card):
        now = desk.now()
        assert desk.control.ask("erase", encoder="desk-1", given_up=True)[1]["status"] == "done"
        desk.hears("event/encoder_bridge.card_unsure", after=now, card=card, error="card_gone")
        other = desk.blank()
        desk.make("b", other)
        desk.lay(other)
        status, body = desk.control.ask("erase", encoder="desk-1", even_if_valid=True)
        assert (status, body["status"], body["card"]["uid"]) == (200, "erased", other)
        desk.lift()
