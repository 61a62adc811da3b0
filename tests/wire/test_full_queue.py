"""More needs than may be open."""

from __future__ import annotations

from collections.abc import Callable

from rigs.brokers import Broker
from rigs.tap import Tap

from .front_desk import FrontDesk, need


def test_one_too_many_is_refused_with_an_answer_and_taken_when_it_comes_again(
    open_desk: Callable[..., FrontDesk], broker: Broker, tap: Tap
) -> None:
    desk = open_desk(broker, tap, jobs={"max_open": 3, "default_profile": "guest"}, encoder={"clerk": "absent"})
    events = [need(f"{desk.name}-{number}") for number in range(4)]
    for event in events:
        desk.trigger(event)
    for event in events[:3]:
        assert desk.answer(event["event_id"])["status"] == "accepted"
    refused = desk.answer(events[3]["event_id"])
    assert (refused["status"], refused["error"]["type"]) == ("refused", "queue_full")
    assert "3 open jobs" in refused["error"]["message"]
    again = need(str(events[0]["access_method_id"]))
    desk.trigger(again)
    assert desk.answer(again["event_id"])["status"] == "accepted", "what is known already takes no place"
    desk.publish("request/cancel", {"id": "room", "access_method_id": events[0]["access_method_id"]})
    assert desk.answer("room")["state"] == "cancelled"
    desk.trigger(events[3])
    assert desk.answer(events[3]["event_id"], "accepted")["state"] == "queued"
