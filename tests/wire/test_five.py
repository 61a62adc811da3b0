"""What only MQTT 5 can do."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from rigs.brokers import Broker
from rigs.tap import Tap

from . import clients
from .front_desk import FrontDesk, InProcess, need

Open = Callable[..., FrontDesk]


@pytest.fixture
def desk(open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap) -> FrontDesk:
    return open_desk(mosquitto, mosquitto_tap, mqtt={"reply_topics": ["answers/#"]})


def test_a_requester_is_answered_on_its_topic_with_its_correlation_data(desk: FrontDesk) -> None:
    event = need("asked")
    correlation, answer = clients.request(desk.broker, f"{desk.root}/trigger", event, "answers/rr", "visit-7/1")
    assert (correlation, answer["id"], answer["status"]) == ("visit-7/1", event["event_id"], "accepted")
    desk.event("asked")
    last = desk.tap.wait_for(lambda heard: heard.topic == "answers/rr" and heard.json()["status"] == "issued")
    assert (last.properties["CorrelationData"], last.json()["id"]) == (b"visit-7/1", event["event_id"])
    question = {"id": "q-7", "access_method_id": "asked"}
    correlation, answer = clients.request(desk.broker, f"{desk.root}/request/job", question, "answers/rr2", "x")
    assert (correlation, answer["id"], answer["state"]) == ("x", "q-7", "issued")


def test_the_response_topic_counts_before_the_body(desk: FrontDesk) -> None:
    event = need("both", reply_to="answers/body")
    _, answer = clients.request(desk.broker, f"{desk.root}/trigger", event, "answers/property", "c")
    assert answer["status"] == "accepted"
    desk.event("both")
    assert not [heard for heard in desk.tap.messages if heard.topic == "answers/body"]


def test_a_response_topic_outside_the_list_is_not_written_to(desk: FrontDesk) -> None:
    event = need("outside")
    desk.trigger(event, "-D", "publish", "response-topic", "valves/1", "-D", "publish", "correlation-data", "c")
    topic = f"{desk.root}/response/trigger"
    answer = desk.tap.wait_for(lambda heard: heard.topic == topic and heard.json()["id"] == event["event_id"])
    assert answer.properties["CorrelationData"] == b"c"
    desk.event("outside")
    assert not [heard for heard in desk.tap.messages if heard.topic == "valves/1"]


def test_a_retained_trigger_is_refused_as_it_comes(desk: FrontDesk) -> None:
    event = need("retained")
    desk.trigger(event, "-r")
    topic = f"{desk.root}/response/trigger"
    answer = desk.tap.wait_for(lambda heard: heard.topic == topic).json()
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "retained")
    desk.publish("request/cancel", {"id": "q", "access_method_id": "retained"}, "-r")
    answer = desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/response/cancel").json()
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "retained")
    desk.restart()
    desk.serve_one_more()
    assert not desk.cards_of("retained")
    assert desk.rows("SELECT error FROM poison") == [("retained",), ("retained",)]


def test_a_trigger_that_expires_while_the_bridge_is_away_makes_no_card(desk: FrontDesk) -> None:
    desk.stop()
    desk.trigger(need("short-lived"), "-D", "publish", "message-expiry-interval", "1")
    desk.trigger(need("long-lived"), "-D", "publish", "message-expiry-interval", "100")
    time.sleep(2.1)  # the broker counts whole seconds
    desk.start()
    desk.event("long-lived")
    desk.serve_one_more()
    assert not desk.cards_of("short-lived")
    assert not desk.rows("SELECT 1 FROM job WHERE access_method_id = 'short-lived'")


def test_a_trigger_keeps_its_expiry_when_it_waits_in_the_queue(
    open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap
) -> None:
    desk = open_desk(mosquitto, mosquitto_tap, encoder={"clerk": "absent"})
    event = need("waits-for-nobody")
    desk.trigger(event, "-D", "publish", "message-expiry-interval", "1")
    report = desk.event("waits-for-nobody", "access_method.failed_to_issue")
    assert (report["state"], report["is_issued"]) == ("expired", False)


def test_the_end_of_a_job_is_kept_for_a_day(desk: FrontDesk) -> None:
    method = desk.serve_one_more()
    ended = desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/job/{method}" and b'"issued"' in heard.payload)
    assert (ended.retain, ended.properties["MessageExpiryInterval"]) == (True, 86_400)


def test_a_bridge_that_comes_back_at_once_was_never_away(
    open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap
) -> None:
    desk = open_desk(mosquitto, mosquitto_tap, runs=InProcess, mqtt={"will_delay_s": 60})
    desk.kill()
    desk.start()
    desk.kill()
    desk.start()
    desk.serve_one_more()
    assert [heard.json()["state"] for heard in desk.on("availability")] == ["online"] * 3


def test_a_bridge_that_stays_away_is_reported_offline(open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap) -> None:
    desk = open_desk(mosquitto, mosquitto_tap, runs=InProcess, mqtt={"will_delay_s": 1})
    desk.kill()
    here = desk.on("availability")[-1].json()
    gone = desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/availability" and b'"offline"' in heard.payload)
    assert (gone.retain, gone.json()["instance"]) == (True, here["instance"])
    desk.start()
    assert [heard.json()["state"] for heard in desk.on("availability")] == ["online", "offline", "online"]


def test_an_orderly_end_says_goodbye_once(desk: FrontDesk) -> None:
    desk.stop()
    desk.start()
    assert [heard.json()["state"] for heard in desk.on("availability")] == ["online", "offline", "online"]
