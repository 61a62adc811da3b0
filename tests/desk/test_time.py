"""A clock that nobody vouches for, ends that come, and locks that know whole hours only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cards import read_cards

from desk.conftest import OpenLobby
from desk.lobby import SLOW, Lobby, stay
from encoder_bridge.clock import kernel_synchronized

HOURLY = {"desk-1": {"time_step_s": 3600}}


def test_while_the_clock_is_not_set_nothing_is_written_or_acknowledged_and_the_desk_says_why(lobby: OpenLobby) -> None:
    if kernel_synchronized():  # there is no clock to distrust here: see that it is trusted, then
        with lobby() as desk:
            desk.stop()
            desk.clock = "synchronized"
            desk.start()
            desk.make("a", desk.blank())
        return
    with lobby() as desk:  # so that the broker keeps a session
        desk.stop()
        desk.clock = "synchronized"
        desk.trigger(stay("a"))
        before, now = desk.plastics(), desk.now()
        desk.start(online=False)
        desk.until_it_listens()
        desk.lay(desk.blank())
        shown = desk.control.encoder()
        assert (shown["state"], shown["error"]["type"]) == ("offline", "clock_not_set")
        assert shown["error"]["clerk"]
        for verb in ("read", "erase"):
            status, answer = desk.control.ask(verb, encoder="desk-1")
            assert (status, answer["error"]["type"]) == (503, "clock_not_set")
        status, answer = desk.control.trigger(stay("b"))
        assert (status, answer["status"], answer["error"]["type"]) == (503, "refused", "clock_not_set")
        assert desk.control.get("/v1/jobs")["jobs"] == []
        assert desk.plastics() == before
        assert [heard.topic for heard in desk.tap.messages[now:] if heard.topic.startswith(f"{desk.root}/r")] == []
        desk.lift()
        desk.stop()
        desk.clock = "trusted"
        desk.start()
        desk.asks("a")  # the broker had it still
        desk.lay(desk.blank())
        desk.reports("a")
        desk.lift()


def test_what_has_expired_is_never_written(lobby: OpenLobby) -> None:
    with lobby() as desk:
        soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
        window = {"profile": "guest", "starts_at": "2026-01-02T14:00:00Z", "ends_at": soon}
        desk.told(stay("a", credential=window), status="accepted")
        desk.asks("a")
        before, now = desk.plastics(), desk.now()
        assert desk.reports("a", "access_method.failed_to_issue", state="expired")["error"]["type"] == "validity_past"
        desk.shows(state="idle", after=now)
        assert desk.told(stay("a", credential=window))["error"]["type"] == "validity_past"
        desk.lay(desk.blank())
        desk.control.ask("read", encoder="desk-1")
        assert desk.plastics() == before
        assert desk.control.job("a")["state"] == "expired"
        desk.lift()


def test_what_the_card_in_the_making_answers_already_is_never_written(lobby: OpenLobby) -> None:
    with lobby(encoders={"desk-1": SLOW}) as desk:
        desk.trigger(stay("a"))
        desk.asks("a")
        desk.lay(desk.blank())
        desk.shows_progress(blocks=1)
        desk.told(stay("a", room="late", occurred_at="2026-01-01T00:00:00Z"), status="accepted")
        desk.reports("a")
        desk.reports("a", "encoder_bridge.job_superseded")
        before, now = desk.plastics(), desk.now()
        desk.lift()
        desk.shows(state="idle", after=now)
        desk.lay(desk.blank())
        desk.control.ask("read", encoder="desk-1")
        assert desk.plastics() == before
        assert [job["state"] for job in desk.control.get("/v1/jobs/a")["jobs"]] == ["superseded", "issued"]
        desk.lift()


@pytest.mark.parametrize(
    ("asked", "rounded"),
    [
        pytest.param(
            ("2090-03-25T15:20:00+00:00", "2090-03-26T10:40:00+00:00"),
            ("2090-03-25T16:00:00+00:00", "2090-03-26T11:00:00+01:00"),
            id="over the spring change",
        ),
        pytest.param(
            ("2090-03-26T00:10:00+00:00", "2090-03-26T02:50:00+00:00"),
            ("2090-03-26T02:00:00+01:00", "2090-03-26T03:00:00+01:00"),
            id="into the hour that never comes",
        ),
        pytest.param(
            ("2090-10-28T23:50:00+00:00", "2090-10-29T01:40:00+00:00"),
            ("2090-10-29T01:00:00+01:00", "2090-10-29T01:00:00+00:00"),
            id="between the hour that comes twice",
        ),
    ],
)
def test_a_window_is_rounded_inward_and_the_report_says_so(
    lobby: OpenLobby, asked: tuple[str, str], rounded: tuple[str, str]
) -> None:
    """In Lisbon the clocks go forward at 01:00 UTC on 26 March 2090, and back at 01:00 UTC on 29 October."""
    with lobby(encoders=HOURLY) as desk:
        card = desk.blank()
        made = made_for(desk, card, *asked)
        assert (made["receipt"]["starts_at"], made["receipt"]["ends_at"]) == rounded
        assert [warning["type"] for warning in made["warnings"]] == ["validity_rounded"]
        carried = read_cards(desk.stock)[card]
        assert isinstance(carried, dict)
        assert (carried["starts_at"], carried["ends_at"]) == rounded


def test_a_window_that_needs_no_rounding_is_not_said_to_be_rounded(lobby: OpenLobby) -> None:
    with lobby(encoders=HOURLY) as desk:
        made = made_for(desk, desk.blank(), "2090-07-01T12:00:00Z", "2090-07-02T12:00:00Z")
        assert made["warnings"] == []
        assert "starts_at" not in made["receipt"]


def test_a_window_of_which_nothing_is_left_is_refused_before_anybody_lays_a_card(lobby: OpenLobby) -> None:
    with lobby(encoders=HOURLY) as desk:
        before = desk.plastics()
        window = {"profile": "guest", "starts_at": "2090-07-01T12:10:00Z", "ends_at": "2090-07-01T12:50:00Z"}
        desk.trigger(stay("a", credential=window))
        assert desk.reports("a", "access_method.failed_to_issue")["error"]["type"] == "invalid_validity"
        assert desk.plastics() == before


def made_for(desk: Lobby, card: str, starts_at: str, ends_at: str) -> dict[str, Any]:
    return desk.make("a", card, credential={"profile": "guest", "starts_at": starts_at, "ends_at": ends_at})
