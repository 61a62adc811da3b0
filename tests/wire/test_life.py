"""From a trigger to an answer, a card and a report, with MQTT 5 and with 3.1.1."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rigs.brokers import Broker
from rigs.tap import Tap

from . import clients
from .front_desk import REQUIRED, FrontDesk, InProcess, need

Open = Callable[..., FrontDesk]

AS_FIRST_DOCUMENTED = {
    "event_id": "22222222-3333-4444-5555-666666666666",
    "event_description": "An access method representing a physical card requires encoding.",
    "event_type": REQUIRED,
    "acs_system_id": "11111111-1111-1111-1111-111111111111",
    "access_method_id": "c7d8e9f0-1a2b-3c4d-5e6f-7a8b9c0d1e2f",
}
AS_SENT_TODAY = {
    "event_id": "5b8d5a24-0a3c-4e3b-9f57-9a3a0f1f6a11",
    "event_type": REQUIRED,
    "workspace_id": "8d7e0b3a-3c0e-4f0e-8a52-6a2b1d9c4f10",
    "created_at": "2025-06-16T16:54:21.000000Z",
    "occurred_at": "2025-06-16T16:54:20.946606Z",
    "access_method_id": "9f1c2d3e-4b5a-6978-8776-a5b4c3d2e1f0",
    "access_grant_ids": ["6a1d2b3c-4d5e-6f70-8192-a3b4c5d6e7f8"],
    "access_grant_keys": ["reservation-1042"],
    "something_yet_unheard_of": {"nested": [1, 2.5, None]},
}


def iso(**from_now: float) -> str:
    return (datetime.now(UTC) + timedelta(**from_now)).isoformat()


@pytest.mark.parametrize("event", [AS_FIRST_DOCUMENTED, AS_SENT_TODAY], ids=["first documented", "sent today"])
def test_an_event_as_it_stands_becomes_a_card_and_a_report(
    open_desk: Open, broker: Broker, tap: Tap, event: dict[str, object]
) -> None:
    desk = open_desk(broker, tap, runs=InProcess)
    desk.trigger(event)
    method = str(event["access_method_id"])
    assert desk.answer(event["event_id"]) == {
        "id": event["event_id"],
        "status": "accepted",
        "access_method_id": method,
        "state": "queued",
        "is_issued": False,
    }
    report = desk.event(method)
    assert (report["is_issued"], report["evidence"], report["issued_by"]) == (True, "read_back", "bridge")
    assert report["trigger_event_id"] == event["event_id"]
    for key in ("acs_system_id", "workspace_id", "access_grant_ids"):
        assert report.get(key) == event.get(key)
    (card,) = desk.cards_of(method)
    assert card["profile"] == "guest"
    uids = [path.stem for path in desk.stock.glob("*.card") if method.encode() in path.read_bytes()]
    assert uids == [report["card"]["uid"]]


def test_a_credential_block_is_what_the_card_carries(desk: FrontDesk) -> None:
    block = {
        "profile": "suite",
        "joins": True,
        "entrances": ["101", "Pool"],
        "starts_at": "2025-07-13T15:00:00+01:00",
        "ends_at": iso(days=3),
        "fields": {"room": "101"},
        "data": {"sector_1": "AAECAw=="},
    }
    desk.trigger(need("with-block", encoder="desk-1", credential=block))
    desk.event("with-block")
    (card,) = desk.cards_of("with-block")
    assert (card["profile"], card["joins"], card["entrances"]) == ("suite", True, ["101", "Pool"])
    assert card["fields"] == {"room": "101"}
    assert card["starts_at"].startswith("2025-07-13T15:00:00")


def test_a_repeated_trigger_is_answered_and_makes_nothing_twice(desk: FrontDesk) -> None:
    event = need("repeated")
    desk.trigger(event)
    desk.event("repeated")
    desk.trigger(event)
    desk.trigger({**event, "event_description": "the same need in other words"})
    again = desk.answer(event["event_id"], "duplicate")
    assert (again["state"], again["is_issued"]) == ("issued", True)
    desk.serve_one_more()
    assert len(desk.cards_of("repeated")) == 1
    assert len([heard for heard in desk.on("event/") if heard.json()["access_method_id"] == "repeated"]) == 1
    assert [heard.json()["status"] for heard in desk.on("response/trigger")][:3] == [
        "accepted",
        "duplicate",
        "duplicate",
    ]


def test_two_events_for_one_method_that_waits_make_one_card(open_desk: Open, broker: Broker, tap: Tap) -> None:
    desk = open_desk(broker, tap, jobs={})
    first, second = need("awaited"), need("awaited")
    desk.trigger(first)
    desk.trigger(second)
    assert desk.answer(second["event_id"])["status"] == "held"
    desk.jobs = {"default_profile": "guest"}
    desk.restart()
    desk.event("awaited")
    desk.serve_one_more()
    assert len(desk.cards_of("awaited")) == 1


def test_answers_go_where_the_body_says(open_desk: Open, broker: Broker, tap: Tap) -> None:
    desk = open_desk(broker, tap, mqtt={"reply_topics": ["front-office/+/answers"]})
    event = need("body-reply", reply_to="front-office/7/answers")
    desk.trigger(event)
    assert desk.answer(event["event_id"], "accepted", topic="front-office/7/answers")
    assert desk.answer(event["event_id"], "issued", topic="front-office/7/answers")["is_issued"] is True
    assert not desk.on("response/")


@pytest.mark.parametrize("below", ["trigger", "request/cancel", "job/x", "availability"])
def test_no_answer_goes_into_a_topic_of_ours_that_is_not_for_answers(desk: FrontDesk, below: str) -> None:
    event = need(f"misdirected-{below.replace('/', '-')}", reply_to=f"{desk.root}/{below}")
    desk.trigger(event)
    assert desk.answer(event["event_id"])["status"] == "accepted"
    desk.serve_one_more()
    assert not [
        heard
        for heard in desk.on(below)
        if heard.topic == f"{desk.root}/{below}" and b'"id":"' + str(event["event_id"]).encode() in heard.payload
    ]


def test_an_answer_that_is_asked_for_elsewhere_goes_to_the_default_topic(desk: FrontDesk) -> None:
    event = need("astray", reply_to="somebody/else/valve")
    desk.trigger(event)
    assert desk.answer(event["event_id"])["status"] == "accepted"
    desk.event("astray")
    assert not [heard for heard in desk.tap.messages if heard.topic.startswith("somebody/")]
    assert desk.bridge.lines.of("reply_topic_refused")


def test_a_job_is_found_cancelled_and_told_about_by_request(open_desk: Open, broker: Broker, tap: Tap) -> None:
    desk = open_desk(broker, tap, encoder={"clerk": "absent"})
    desk.trigger(need("unwanted"))
    desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/job/unwanted" and b"waiting_for_card" in heard.payload)
    desk.publish("request/job", {"id": "q1", "access_method_id": "unwanted"})
    assert desk.answer("q1") == {
        "id": "q1",
        "status": "job",
        "access_method_id": "unwanted",
        "state": "waiting_for_card",
        "is_issued": False,
    }
    desk.publish("request/cancel", {"id": "q2", "access_method_id": "unwanted"})
    assert desk.answer("q2")["state"] == "cancelled"
    assert desk.event("unwanted", "encoder_bridge.job_cancelled")["is_issued"] is False
    desk.publish("request/cancel", {"id": "q3", "access_method_id": "unwanted"})
    assert desk.answer("q3")["error"]["type"] == "job_ended"
    desk.publish("request/job", {"id": "q4", "access_method_id": "never-heard-of"})
    assert desk.answer("q4")["error"]["type"] == "unknown_job"
    assert [heard.topic for heard in desk.on("response/")][-4:] == [
        f"{desk.root}/response/{verb}" for verb in ("job", "cancel", "cancel", "job")
    ]


def test_a_second_card_without_a_time_waits_for_a_word(desk: FrontDesk) -> None:
    desk.trigger(need("again"))
    desk.event("again")
    later = need("again")
    desk.trigger(later)
    held = desk.answer(later["event_id"])
    assert (held["status"], held["error"]["type"]) == ("held", "confirmation_required")
    desk.publish("request/confirm", {"id": "yes", "access_method_id": "again"})
    assert desk.answer("yes")["state"] == "queued"
    assert desk.event("again", "access_method.reissued")["is_issued"] is True


def test_an_unknown_request_is_answered_with_the_known_ones(desk: FrontDesk) -> None:
    desk.publish("request/open_the_doors", {"id": "q", "access_method_id": "m"})
    answer = desk.tap.wait_for(lambda heard: heard.topic.startswith(f"{desk.root}/response/")).json()
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "unknown_request")
    assert "cancel, confirm, retry, resolve, claim, job, read, erase" in answer["error"]["message"]


def test_a_trigger_among_the_requests_is_an_unknown_request(desk: FrontDesk) -> None:
    desk.publish("request/trigger", need("smuggled"))
    answer = desk.tap.wait_for(lambda heard: heard.topic.startswith(f"{desk.root}/response/")).json()
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "unknown_request")
    desk.serve_one_more()
    assert not desk.cards_of("smuggled")


def test_a_request_that_has_expired_changes_nothing(open_desk: Open, broker: Broker, tap: Tap) -> None:
    desk = open_desk(broker, tap, jobs={})
    desk.trigger(need("kept"))
    desk.publish("request/cancel", {"id": "late", "access_method_id": "kept", "expires_at": iso(seconds=-5)})
    assert desk.answer("late")["error"]["type"] == "expired"
    desk.publish("request/job", {"id": "q", "access_method_id": "kept"})
    assert desk.answer("q")["state"] == "held"


def test_a_held_job_says_what_is_missing_and_goes_on_when_it_is_there(
    open_desk: Open, broker: Broker, tap: Tap
) -> None:
    desk = open_desk(broker, tap, jobs={})
    event = need("no-profile")
    desk.trigger(event)
    answer = desk.answer(event["event_id"])
    assert (answer["status"], answer["error"]["type"]) == ("held", "profile_missing")
    assert "jobs.default_profile" in answer["error"]["message"]
    assert desk.event("no-profile", "encoder_bridge.job_held")["error"]["type"] == "profile_missing"
    desk.jobs = {"default_profile": "staff"}
    desk.restart()
    desk.event("no-profile")
    assert desk.cards_of("no-profile")[0]["profile"] == "staff"


def test_a_retained_trigger_from_before_makes_nothing(broker: Broker, tap: Tap, open_desk: Open) -> None:
    with_topic = {"trigger_topics": ["old-events/retained"]}
    clients.publish(broker, "old-events/retained", need("left-behind"), "-r")
    desk = open_desk(broker, tap, mqtt=with_topic)
    desk.serve_one_more()
    assert not desk.cards_of("left-behind")
    assert not desk.rows("SELECT 1 FROM job WHERE access_method_id = 'left-behind'")
    desk.restart()
    desk.serve_one_more()
    assert not desk.rows("SELECT 1 FROM job WHERE access_method_id = 'left-behind'")


def test_further_topics_bring_triggers_too(open_desk: Open, broker: Broker, tap: Tap) -> None:
    desk = open_desk(broker, tap, mqtt={"trigger_topics": ["seam/+/events", "vendor/#"]})
    event = need("from-seam")
    clients.publish(broker, "seam/workspace-1/events", event)
    clients.publish(broker, "vendor/a/b/c", need("from-vendor"))
    assert desk.answer(event["event_id"])["status"] == "accepted"
    desk.event("from-seam")
    desk.event("from-vendor")


@pytest.mark.parametrize("everything", ["#", "encoder-bridge/#"])
def test_two_bridges_that_hear_everything_do_not_answer_what_bridges_say(
    open_desk: Open, broker: Broker, tap: Tap, tmp_path: Path, everything: str
) -> None:
    one = open_desk(broker, tap, mqtt={"trigger_topics": [everything]})
    folder = tmp_path / "other"
    folder.mkdir()
    with FrontDesk(broker, tap, folder, mqtt={"trigger_topics": [everything]}) as other:
        one.trigger(need("overheard", encoder="desk-1"))
        one.event("overheard")
        one.serve_one_more()
        other.serve_one_more()
        one.serve_one_more()
        for desk in (one, other):
            assert not desk.rows("SELECT error, shown FROM poison WHERE shown NOT LIKE '%left-behind%'")
            assert len(desk.on("response/")) <= 24, "at most a word on each of four needs, however often it was heard"
            assert len(desk.on("event/")) <= 8
    assert len(one.cards_of("overheard")) == 1


def test_reports_that_come_back_as_triggers_make_nothing(open_desk: Open, broker: Broker, tap: Tap) -> None:
    name = "mirror"
    root = f"encoder-bridge/hotel/{name}"
    desk = open_desk(broker, tap, name=name, mqtt={"trigger_topics": [f"{root}/event/#"]})
    desk.trigger(need("echoed"))
    desk.event("echoed")
    desk.serve_one_more()
    desk.serve_one_more()
    assert len(desk.cards_of("echoed")) == 1
    assert len(desk.rows("SELECT 1 FROM job")) == 3
    assert not desk.rows("SELECT error, shown FROM poison")
    assert [heard.json()["status"] for heard in desk.on("response/")] == ["accepted"] * 3


def test_triggers_for_a_bridge_that_is_away_wait_for_it(desk: FrontDesk) -> None:
    desk.stop()
    methods = [f"away-{number}" for number in range(5)]
    for method in methods:
        desk.trigger(need(method))
    end = datetime.now(UTC) + timedelta(seconds=0.3)
    desk.trigger(need("too-late", expires_at=end.isoformat()))
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()))
    desk.start()
    for method in methods:
        desk.event(method)
        assert len(desk.cards_of(method)) == 1
    desk.serve_one_more()
    assert not desk.bridge.lines.warnings
    assert not desk.cards_of("too-late")
    late = [heard.json() for heard in desk.on("response/") if heard.json().get("access_method_id") == "too-late"]
    assert [answer["error"]["type"] for answer in late] == ["validity_past"]


def test_a_deleted_access_method_gets_no_card(open_desk: Open, broker: Broker, tap: Tap) -> None:
    desk = open_desk(broker, tap, jobs={})
    desk.trigger(need("gone"))
    event = need("gone", event_type="access_method.deleted")
    desk.trigger(event)
    assert desk.answer(event["event_id"])["state"] == "cancelled"
    late = need("gone")
    desk.trigger(late)
    assert desk.answer(late["event_id"])["error"]["type"] == "credential_deleted"
    desk.jobs = {"default_profile": "guest"}
    desk.restart()
    desk.serve_one_more()
    assert not desk.cards_of("gone")


def test_what_an_encoder_does_and_where_a_job_stands_can_be_watched(desk: FrontDesk) -> None:
    method = desk.serve_one_more()
    desk.tap.wait_for_many(
        2, lambda heard: heard.topic == f"{desk.root}/encoder/desk-1/state" and heard.json()["state"] == "idle"
    )
    states = [heard.json()["state"] for heard in desk.on("encoder/desk-1/state")]
    assert states[-1] == "idle"
    last = desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/job/{method}" and b'"issued"' in heard.payload)
    assert last.json()["is_issued"] is True
    with Tap(desk.broker, f"{desk.root}/#") as latecomer:
        info = latecomer.wait_for(lambda heard: heard.topic == f"{desk.root}/info")
        assert info.json()["encoders"] == {"desk-1": "simulated"}
        assert info.json()["triggers"] == [f"{desk.root}/trigger"]
        latecomer.wait_for(lambda heard: heard.topic == f"{desk.root}/availability" and b'"online"' in heard.payload)
        latecomer.wait_for(lambda heard: heard.topic == f"{desk.root}/encoder/desk-1/state")
        if desk.broker.protocol == "5":
            job = latecomer.wait_for(lambda heard: heard.topic == f"{desk.root}/job/{method}")
            assert (job.json()["state"], job.properties["MessageExpiryInterval"]) == ("issued", 86_400)
