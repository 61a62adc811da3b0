"""Triggers that come twice, late or in the wrong order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cards import read_cards

from desk.conftest import OpenLobby
from desk.lobby import Lobby, about, stay


def in_minutes(minutes: int) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def room(desk: Lobby, uid: str) -> object:
    card = read_cards(desk.stock)[uid]
    assert isinstance(card, dict)
    return card["entrances"]


def test_a_card_that_is_required_after_its_deletion_is_never_asked_for(lobby: OpenLobby) -> None:
    with lobby() as desk:
        desk.told(about("a", "deleted"), status="accepted")
        assert desk.told(stay("a"))["error"]["type"] == "credential_deleted"
        status, answer = desk.control.trigger(stay("a"))
        assert (status, answer["error"]["type"]) == (409, "credential_deleted")
        desk.make("b", desk.blank())
        assert [job["access_method_id"] for job in desk.control.get("/v1/jobs")["jobs"]] == ["b"]


def test_a_card_that_was_issued_elsewhere_is_not_made_here(lobby: OpenLobby) -> None:
    with lobby() as desk:
        desk.trigger(stay("a"))
        desk.asks("a")
        before, now = desk.plastics(), desk.now()
        desk.told(about("a", "issued", occurred_at=in_minutes(30)), status="accepted")
        desk.reports("a", "encoder_bridge.job_issued_elsewhere")
        desk.shows(state="idle", after=now)
        desk.lay(desk.blank())  # what lies there now is the blank of whoever is next
        assert desk.told(stay("a", occurred_at=in_minutes(20)))["status"] == "stale"
        assert desk.plastics() == before
        desk.lift()


def test_one_event_three_times_over_both_ways_is_one_card(lobby: OpenLobby) -> None:
    with lobby() as desk:
        event = stay("a")
        desk.told(event, status="accepted")
        assert desk.control.trigger(event)[1]["status"] == "duplicate"
        desk.asks("a")
        desk.told(event, status="duplicate")
        desk.lay(desk.blank())
        desk.reports("a")
        now = desk.now()
        desk.lift()
        assert desk.control.trigger(event)[1] | {"id": ""} == {
            "id": "",
            "status": "duplicate",
            "access_method_id": "a",
            "state": "issued",
            "is_issued": True,
        }
        desk.told(event, status="duplicate", state="issued")
        desk.make("b", desk.blank())
        shown = [heard.payload for heard in desk.tap.messages[now:] if "/encoder/" in heard.topic]
        assert not [payload for payload in shown if b'"a"' in payload], "it is asked for again"
        assert len(desk.control.get("/v1/jobs/a")["jobs"]) == 1


def test_an_older_event_does_not_replace_what_a_newer_one_said(lobby: OpenLobby) -> None:
    with lobby() as desk:
        card = desk.blank()
        desk.trigger(stay("z"))
        desk.asks("z")  # so that a waits
        desk.told(stay("a", room="new", occurred_at="2080-01-02T00:00:00Z"), status="accepted")
        desk.told(stay("a", room="old", occurred_at="2080-01-01T00:00:00Z"), status="accepted")
        desk.lay(desk.blank())
        desk.reports("z")
        desk.lift()
        desk.asks("a")
        now = desk.now()
        desk.told(stay("a", room="newest", occurred_at="2080-01-03T00:00:00Z"), status="accepted")
        desk.told(stay("a", room="oldest", occurred_at="2079-01-01T00:00:00Z"), status="accepted")
        desk.asks("a", after=now)
        desk.lay(card)
        desk.reports("a")
        assert room(desk, card) == ["newest"]
        now = desk.now()
        desk.lift()
        desk.shows(state="idle", after=now)
        assert len(desk.control.get("/v1/jobs/a")["jobs"]) == 1


def test_after_the_card_an_older_event_is_stale_one_without_a_time_is_held_and_a_newer_one_makes_it_again(
    lobby: OpenLobby,
) -> None:
    with lobby() as desk:
        card = desk.blank()
        desk.make("a", card)
        before = desk.plastics()
        desk.told(stay("a", occurred_at="2020-01-01T00:00:00Z"), status="stale")
        assert desk.told(stay("a"), status="held")["error"]["type"] == "confirmation_required"
        assert desk.plastics() == before
        desk.told(stay("a", room="next", occurred_at=in_minutes(30)), status="accepted")
        desk.shows(prompt="place_card", effect="updates")
        desk.lay(card)
        desk.reports("a", "access_method.reissued")
        assert room(desk, card) == ["next"]
        desk.lift()
