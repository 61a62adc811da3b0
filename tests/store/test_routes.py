"""Which encoder makes a card that names none, who may take it from there, and what the desk is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge import texts
from encoder_bridge.model import Job, State
from encoder_bridge.routing import Route
from encoder_bridge.store import Rules

from .desk import OTHER_CARD, START, Desk, credential, rules

ENCODERS = {"left": "one", "right": "one", "tower": "two", "spare": "one"}
TOWER = Route(encoders=("tower",), entrances=("tower/*",))
LOBBY = Route(encoders=("left", "right"), backup=("spare",), entrances=("lobby/*",))
SPACE = Route(encoders=("tower",), spaces=("space-t",))
SYSTEM = Route(encoders=("right",), acs_systems=("system-r",))
BOOKING = Route(encoders=("left",), requesters=("booking",))


def routed(*routes: Route, **changes: Any) -> Rules:
    return rules(**{"encoders": ENCODERS, "routes": routes, **changes})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    desk = Desk(path, routed(TOWER, LOBBY, SPACE, SYSTEM, BOOKING))
    yield desk
    desk.close()


def to(desk: Desk, method: str, entrance: str, **fields: Any) -> Job:
    """A need for one entrance."""
    desk.need(method, credential=credential(entrances=[entrance]), **fields)
    return desk.newest(method)


def takers(desk: Desk) -> list[str]:
    """The encoders that would be given a job now."""
    found = []
    for encoder in desk.store.work._ledger.rules.encoders:
        desk.connection.execute("BEGIN")
        assignment, _ = desk.store.turns.claim(encoder, desk.now)
        desk.connection.execute("ROLLBACK")
        found += [encoder] if assignment else []
    desk.store.take_news()
    return found


# Rules.


@pytest.mark.parametrize(
    ("need", "encoders"),
    [
        ({"credential": credential(entrances=["tower/7"])}, ["tower"]),
        ({"credential": credential(entrances=["garden", "lobby/1"])}, ["left", "right"]),
        ({"space_ids": ["space-x", "space-t"]}, ["tower"]),
        ({"acs_system_id": "system-r"}, ["right"]),
        ({"requester": "booking"}, ["left"]),
        ({"requester": "booking", "acs_system_id": "system-r"}, ["right"]),
        ({"requester": "booking", "credential": credential(entrances=["tower/7"])}, ["tower"]),
    ],
)
def test_the_first_rule_that_fits_says_which_encoders_make_the_card(
    desk: Desk, need: dict[str, Any], encoders: list[str]
) -> None:
    assert desk.need(**need).status == "accepted"
    assert takers(desk) == encoders


def test_a_default_makes_what_no_other_rule_wants(path: Path) -> None:
    desk = Desk(path, routed(TOWER, Route(encoders=("spare",))))
    to(desk, "m1", "garden")
    assert takers(desk) == ["spare"]
    desk.close()


def test_without_rules_every_encoder_makes_every_card(path: Path) -> None:
    desk = Desk(path, routed())
    to(desk, "m1", "tower/1")
    assert takers(desk) == list(ENCODERS)
    desk.close()


@pytest.mark.parametrize("entrance", ["tower/1", "garden"])
def test_a_named_encoder_beats_the_rules(desk: Desk, entrance: str) -> None:
    assert to(desk, "m1", entrance, encoder="spare").state is State.QUEUED
    assert takers(desk) == ["spare"]


def test_a_job_that_is_put_back_goes_by_its_route_again(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    desk.requeue(desk.begin("left"))
    assert takers(desk) == ["left", "right"]


def test_a_card_in_doubt_is_looked_at_where_it_was_written(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    desk.doubt(desk.begin("right"))
    assert takers(desk) == ["right"]


# No rule.


def test_a_need_that_no_rule_fits_is_held_and_told(desk: Desk) -> None:
    assert desk.need(credential=credential(entrances=["garden"])).status == "held"
    assert (desk.job().state, desk.problem()) == (State.HELD, "no_route")
    assert takers(desk) == []
    (event,) = desk.outbox("event")
    assert (event["event_type"], event["error"]["type"]) == ("encoder_bridge.job_held", "no_route")
    assert event["error"]["clerk"]


def test_a_job_that_no_rule_fits_goes_to_the_encoder_that_claims_it(desk: Desk) -> None:
    to(desk, "m1", "garden")
    assert desk.request("claim", encoder="spare")["state"] == "queued"
    assert takers(desk) == ["spare"]


@pytest.mark.parametrize("verb", ["confirm", "retry"])
def test_no_other_word_lets_a_job_go_that_no_rule_fits(desk: Desk, verb: str) -> None:
    to(desk, "m1", "garden")
    answer = desk.request(verb)
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "no_route")
    assert takers(desk) == []


def test_what_wanted_a_confirmation_and_has_no_route_wants_the_route_after_it(desk: Desk) -> None:
    desk.send("issued")
    to(desk, "m1", "garden")
    assert desk.problem() == "confirmation_required"
    desk.request("confirm")
    assert (desk.job().state, desk.problem()) == (State.HELD, "no_route")


def test_a_cancelled_job_that_no_rule_fits_is_not_let_go_by_a_retry(desk: Desk) -> None:
    to(desk, "m1", "garden")
    desk.request("cancel")
    answer = desk.request("retry")
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "no_route")
    assert desk.states() == [State.CANCELLED]


def test_a_job_that_is_opened_again_goes_by_its_route(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    desk.request("cancel")
    assert desk.request("retry")["state"] == "queued"
    assert takers(desk) == ["left", "right"]


# New contents.


def test_new_contents_are_routed_anew(desk: Desk) -> None:
    to(desk, "m1", "lobby/1", at=START)
    asked = desk.claim("left").job
    to(desk, "m1", "tower/1", at=START + 1)
    assert takers(desk) == ["tower"]
    assert not desk.intend(asked, "left")


@pytest.mark.parametrize("is_asked_for", [False, True])
def test_new_contents_that_no_rule_fits_are_held_and_told(desk: Desk, is_asked_for: bool) -> None:
    to(desk, "m1", "lobby/1", at=START)
    if is_asked_for:
        desk.claim("left")
        desk.store.take_news()
    answer = desk.need("m1", at=START + 1, credential=credential(entrances=["garden"]))
    assert (answer.status, desk.job().state, desk.problem()) == ("held", State.HELD, "no_route")
    assert takers(desk) == []
    assert [event["error"]["type"] for event in desk.outbox("event")] == ["no_route"]


def test_new_contents_withdraw_the_prompt_where_no_rule_fits_them(desk: Desk) -> None:
    to(desk, "m1", "lobby/1", at=START)
    job = desk.claim("left").job
    desk.store.take_news()
    to(desk, "m1", "garden", at=START + 1)
    news = desk.store.take_news()
    assert news is not None
    assert news.withdrawn == {(job.job_id, job.attempt)}


def test_new_contents_that_a_rule_fits_let_a_held_job_go(desk: Desk) -> None:
    to(desk, "m1", "garden", at=START)
    assert to(desk, "m1", "tower/1", at=START + 1).state is State.QUEUED
    assert takers(desk) == ["tower"]


def test_a_later_message_that_names_an_encoder_lets_a_held_job_go(desk: Desk) -> None:
    to(desk, "m1", "garden", at=START)
    desk.need("m1", at=START + 1, encoder="spare")
    assert takers(desk) == ["spare"]


def test_what_an_earlier_message_told_still_routes_newer_contents(desk: Desk) -> None:
    desk.need("m1", at=START, space_ids=["space-t"])
    to(desk, "m1", "garden", at=START + 1)
    assert takers(desk) == ["tower"]


def test_where_a_newer_message_says_the_card_belongs_is_remembered_after_a_restart(desk: Desk) -> None:
    desk.need("m1", at=START, space_ids=["space-t"])
    to(desk, "m1", "garden", at=START + 1, space_ids=["space-x"], acs_system_id="system-r")
    assert takers(desk) == ["right"]
    later = desk.restart(routed(TOWER, LOBBY, SPACE, SYSTEM, BOOKING))
    assert takers(later) == ["right"]
    later.close()


# Another configuration.


def test_open_jobs_are_routed_anew_when_the_configuration_changed(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    desk.claim("left")
    later = desk.restart(routed(Route(encoders=("spare",), entrances=("lobby/*",))))
    assert takers(later) == ["spare"]
    later.close()


def test_a_job_that_no_rule_fits_any_more_is_held_and_told(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    later = desk.restart(routed(TOWER))
    assert (later.job().state, later.problem()) == (State.HELD, "no_route")
    assert [event["error"]["type"] for event in later.outbox("event")] == ["no_route"]
    again = later.restart(routed(LOBBY))
    assert again.job().state is State.QUEUED
    assert takers(again) == ["left", "right"]
    again.close()


def test_a_job_that_no_rule_fitted_goes_anywhere_once_there_are_no_rules(desk: Desk) -> None:
    to(desk, "m1", "garden")
    later = desk.restart(routed())
    assert takers(later) == list(ENCODERS)
    later.close()


def test_a_claimed_job_stays_where_it_was_claimed_whatever_the_rules_say(desk: Desk) -> None:
    to(desk, "m1", "garden")
    desk.request("claim", encoder="spare")
    later = desk.restart(routed(TOWER))
    assert takers(later) == ["spare"]
    later.close()


def test_a_job_that_was_claimed_by_an_encoder_that_is_gone_goes_by_the_rules(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    desk.request("claim", encoder="spare")
    later = desk.restart(routed(TOWER, LOBBY, encoders={"left": "one", "right": "one", "tower": "two"}))
    assert takers(later) == ["left", "right"]
    assert "encoder_gone" in [line["what"] for line in later.log()]
    later.close()


def test_a_job_whose_encoder_is_gone_is_held_where_no_rule_fits_it(desk: Desk) -> None:
    to(desk, "m1", "garden", encoder="spare")
    later = desk.restart(routed(TOWER, encoders={"tower": "two"}))
    assert (later.job().state, later.problem()) == (State.HELD, "no_route")
    later.close()


def test_a_card_in_doubt_is_not_held_by_new_rules(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    desk.doubt(desk.begin("left"))
    later = desk.restart(routed(TOWER))
    assert later.job().state is State.UNSURE
    assert takers(later) == ["left"]
    later.close()


def test_a_job_that_wanted_a_profile_and_has_no_route_either_stays_held_when_it_gets_the_profile(path: Path) -> None:
    desk = Desk(path, routed(TOWER, default_profile=None))
    desk.need("m1", credential=credential(None, entrances=["garden"]))
    assert desk.problem() == "profile_missing"
    later = desk.restart(routed(TOWER))
    assert (later.job().state, later.problem()) == (State.HELD, "no_route")
    assert takers(later) == []
    later.request("claim", encoder="spare")
    assert later.claim("spare").credential.profile == "room"
    later.close()


# Encoders that cannot be reached.


def reconsider(desk: Desk, offline: set[str], dead: set[str] | None = None) -> None:
    desk.do(desk.store.waiting.reconsider, offline, dead or set(), desk.now)


def test_a_job_says_that_it_waits_for_an_encoder_until_that_is_back(desk: Desk) -> None:
    to(desk, "m1", "tower/1")
    reconsider(desk, {"left"})
    assert desk.problem() is None
    reconsider(desk, {"tower"})
    assert (desk.job().state, desk.problem()) == (State.QUEUED, "encoder_offline")
    error = desk.job().error
    assert error is not None
    assert "tower" in error.message
    reconsider(desk, set())
    assert desk.problem() is None


def test_a_job_that_one_of_its_encoders_can_make_waits_for_none(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    reconsider(desk, {"left"})
    assert desk.problem() is None
    reconsider(desk, {"left", "right"})
    assert desk.problem() == "encoder_offline"


def test_a_job_for_anybody_waits_only_when_everybody_is_away(path: Path) -> None:
    desk = Desk(path, routed())
    desk.need()
    reconsider(desk, {"left", "right", "tower"})
    assert desk.problem() is None
    reconsider(desk, set(ENCODERS))
    assert desk.problem() == "encoder_offline"
    desk.close()


def test_a_job_that_an_encoder_takes_waits_for_none_any_more(desk: Desk) -> None:
    to(desk, "m1", "tower/1")
    reconsider(desk, {"tower"})
    assert desk.claim("tower").job.error is None


def test_people_see_that_a_job_waits_for_an_encoder(desk: Desk) -> None:
    to(desk, "m1", "tower/1")
    desk.store.take_news()
    reconsider(desk, {"tower"})
    news = desk.store.take_news()
    assert news is not None
    error = news.jobs["m1"].error
    assert error is not None
    assert error.type == "encoder_offline"
    reconsider(desk, {"tower"})
    assert desk.store.take_news() is None, "they are told once"


def test_the_backup_takes_over_once_when_all_encoders_of_a_route_are_dead(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    away = {"left", "right"}
    reconsider(desk, away, {"left"})
    assert takers(desk) == ["left", "right"]
    for _ in range(3):
        reconsider(desk, away, away)
    assert takers(desk) == ["left", "right", "spare"], "whoever comes first"
    assert [line["what"] for line in desk.log()] == ["handed_over"]
    assert desk.job().error == texts.problem("handed_over", encoder="spare")
    assert desk.claim("spare").job.error is None


def test_a_job_that_was_handed_over_to_an_encoder_that_is_away_as_well_says_so(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    away = {"left", "right", "spare"}
    reconsider(desk, away, {"left", "right"})
    reconsider(desk, away, {"left", "right"})
    assert desk.problem() == "encoder_offline"


def test_a_job_whose_backup_is_dead_as_well_is_handed_over_once(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    away = {"left", "right", "spare"}
    for _ in range(3):
        reconsider(desk, away, away)
    assert [line["what"] for line in desk.log()] == ["handed_over"]
    assert desk.job().route == ("left", "right", "spare")


def test_a_job_that_waits_for_something_else_keeps_its_reason_when_encoders_are_away(desk: Desk) -> None:
    to(desk, "m1", "garden")
    to(desk, "m2", "lobby/1")
    desk.doubt(desk.begin("left"))
    reconsider(desk, set(ENCODERS), set(ENCODERS))
    assert [desk.problem(1), desk.problem(2)] == ["no_route", "torn"]


def test_a_job_without_a_backup_waits(desk: Desk) -> None:
    to(desk, "m1", "tower/1")
    reconsider(desk, {"tower"}, {"tower"})
    assert takers(desk) == ["tower"]
    assert desk.problem() == "encoder_offline"


def test_a_job_for_one_encoder_is_not_handed_over(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    desk.request("claim", encoder="left")
    reconsider(desk, {"left", "right"}, {"left", "right"})
    assert takers(desk) == ["left"]
    assert desk.problem() == "encoder_offline"
    assert "handed_over" not in [line["what"] for line in desk.log()]


def test_a_card_in_doubt_is_not_handed_over(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    desk.doubt(desk.begin("left", OTHER_CARD))
    reconsider(desk, {"left", "right"}, {"left", "right"})
    assert takers(desk) == ["left"]


def test_a_job_that_was_handed_over_stays_so_until_the_next_start(desk: Desk) -> None:
    to(desk, "m1", "lobby/1")
    reconsider(desk, {"left", "right"}, {"left", "right"})
    reconsider(desk, set(), set())
    assert takers(desk) == ["left", "right", "spare"]
    later = desk.restart(routed(LOBBY))
    assert takers(later) == ["left", "right"]
    later.close()
