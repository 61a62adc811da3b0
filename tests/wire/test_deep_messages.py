"""Messages nested deeper than anything that means something, and ones that meet a fault or the end of the daemon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desk import signing
from desk.signing import Signer
from encoder_bridge_simulated.stock import Stock
from rigs.brokers import Broker
from rigs.tap import Tap
from store.desk import Desk as StoreDesk

from encoder_bridge.errors import MalformedMessage
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.store.needs import Needs
from encoder_bridge.store.requests import Requests

from .front_desk import FrontDesk, InProcess, need

Open = Callable[..., FrontDesk]


def nested(opening: bytes, depth: int, closing: bytes) -> bytes:
    return opening * depth + b"1" + closing * depth


DEEP = {
    "cards 400 deep": nested(b'{"card":', 400, b"}"),
    "errors 200 deep": nested(b'{"error":', 200, b"}"),
    "credentials 3000 deep": nested(b'{"credential":', 3000, b"}"),
    "cards in lists": nested(b'{"card":[', 300, b"]}"),
    "an id 500 deep": b'{"id":' + nested(b"[", 500, b"]") + b"}",
    "an event id 150 deep": b'{"event_id":' + nested(b"[", 150, b"]") + b"}",
    "an id 30000 deep": b'{"id":' + nested(b"[", 30_000, b"]") + b"}",
    "a type 500 deep": b'{"event_type":' + nested(b"[", 500, b"]") + b"}",
    "nothing but lists": nested(b"[", 500, b"]"),
    "deep beside a good id": b'{"event_id":"deep","x":' + nested(b"[", 150, b"]") + b"}",
}
EVERY = pytest.mark.parametrize(
    "payload", [pytest.param(body, id=name.replace(" ", "-")) for name, body in DEEP.items()]
)


@pytest.fixture(scope="module")
def desk(broker: Broker, tap: Tap, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One desk takes it all."""
    with FrontDesk(broker, tap, tmp_path_factory.mktemp("deep")) as open_desk:
        yield open_desk


@EVERY
def test_a_deep_trigger_is_answered_and_the_next_one_is_served(desk: FrontDesk, payload: bytes) -> None:
    answer = desk.answered(payload)
    assert answer["status"] == "rejected"
    assert answer["error"]["type"] in {"invalid_json", "invalid_message", "missing_field"}
    desk.serve_one_more()


@pytest.mark.parametrize("verb", ["cancel", "resolve", "job", "read", "nonsense"])
def test_deep_requests_are_answered_and_the_next_trigger_is_served(desk: FrontDesk, verb: str) -> None:
    topic = f"{desk.root}/response/{verb if verb != 'nonsense' else 'trigger'}"
    before = len([heard for heard in desk.tap.messages if heard.topic == topic])
    for payload in DEEP.values():
        desk.publish(f"request/{verb}", payload)
    heard = desk.tap.wait_for_many(before + len(DEEP), lambda heard: heard.topic == topic)
    assert {each.json()["status"] for each in heard[before:]} == {"rejected"}
    desk.serve_one_more()


def test_deep_messages_are_kept_in_brief_and_do_not_come_again(open_desk: Open, broker: Broker, tap: Tap) -> None:
    desk = open_desk(broker, tap)
    for payload in DEEP.values():
        desk.trigger(payload)
    topic = f"{desk.root}/response/trigger"
    tap.wait_for_many(len(DEEP), lambda heard: heard.topic == topic)
    kept = desk.rows("SELECT poison_id, size FROM poison")
    assert len(kept) == len(DEEP)
    assert max(size for (size,) in desk.rows("SELECT length(shown) FROM poison")) < 20_000
    desk.restart()
    desk.serve_one_more()
    assert desk.rows("SELECT poison_id, size FROM poison") == kept


@pytest.mark.skipif(signing.available() is not None, reason=str(signing.available()))
def test_deep_messages_that_nobody_signed_are_refused_or_dropped(
    open_desk: Open, broker: Broker, tap: Tap, tmp_path: Path
) -> None:
    pms = Signer("pms", "hmac-sha256", tmp_path)
    desk = open_desk(broker, tap, more={"signing": {"required": True}, "requesters.pms": pms.table})
    for payload in DEEP.values():
        desk.trigger(payload)
    good = pms.sign(need("signed"), f"{desk.root}/trigger")
    if broker.protocol == "5":
        desk.trigger(good.payload, *good.options)
    else:
        desk.trigger(good.wrapped)
    desk.event("signed")
    refused = [heard.json() for heard in desk.on("response/trigger")]
    refused = [answer for answer in refused if answer["status"] == "rejected"]
    assert {answer["error"]["type"] for answer in refused} <= {"signature_missing", "signature_invalid"}
    assert len(refused) == len(desk.rows("SELECT 1 FROM poison")) >= len(DEEP) - 1


@EVERY
def test_a_deep_message_can_be_kept(tmp_path: Path, payload: bytes) -> None:
    store = StoreDesk(tmp_path / "store.db")
    problem = MalformedMessage("invalid_json", "too deep")
    store.do(store.store.needs.reject, "trigger", problem, payload, ReplyAddress(), store.now)
    assert len(store.rows("poison")) == 1
    store.close()


# A fault of the daemon's own.


def test_a_message_that_meets_a_fault_is_rejected_and_the_next_one_is_served(
    open_desk: Open, broker: Broker, tap: Tap, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = Needs.accept

    def faulty(self: Needs, trigger: Any, *rest: Any) -> Any:
        if trigger.access_method_id == "fault":
            raise ZeroDivisionError("a guest's name")
        return accept(self, trigger, *rest)

    monkeypatch.setattr(Needs, "accept", faulty)
    desk = open_desk(broker, tap)
    desk.trigger({**need("fault"), "event_id": "broken"})
    answer = desk.answer("broken")
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "internal_error")
    assert "guest" not in str(answer)
    assert desk.rows("SELECT error, size FROM poison") == [("internal_error", 0)]
    desk.serve_one_more()
    desk.restart()
    desk.serve_one_more()
    assert len(desk.rows("SELECT 1 FROM poison")) == 1, "it was acknowledged"


@pytest.mark.parametrize("is_allowed", [False, True])
def test_the_answer_of_a_message_that_met_a_fault_goes_where_answers_may_go(
    open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap, monkeypatch: pytest.MonkeyPatch, is_allowed: bool
) -> None:
    def faulty(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Requests, "tell", faulty)
    where = "elsewhere/answers"
    desk = open_desk(mosquitto, mosquitto_tap, mqtt={"reply_topics": [where]} if is_allowed else {})
    asked = {"id": f"broken-{is_allowed}", "access_method_id": "m"}
    desk.publish("request/job", asked, "-D", "publish", "response-topic", where)
    topic = where if is_allowed else f"{desk.root}/response/job"
    assert desk.answer(asked["id"], topic=topic)["error"]["type"] == "internal_error"


def test_a_fault_of_a_request_is_answered_under_its_id(
    open_desk: Open, broker: Broker, tap: Tap, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr(Requests, "cancel", faulty)
    desk = open_desk(broker, tap)
    desk.publish("request/cancel", {"id": "c", "access_method_id": "m"})
    assert desk.answer("c")["error"]["type"] == "internal_error"
    desk.serve_one_more()


# An errand that came to nothing.


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_read_whose_daemon_ended_before_a_card_came_may_be_asked_again_under_its_id(
    open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap, end: str
) -> None:
    nobody = {"clerk": "absent", "name": f"left-{end}"}
    desk = open_desk(mosquitto, mosquitto_tap, runs=InProcess, encoder=nobody)
    stock = Stock.open(desk.stock, cards=1)
    asked = {"id": f"once-{end}", "encoder": "desk-1"}
    desk.publish("request/read", asked)
    reads(desk, 1)
    desk.publish("request/read", asked)
    assert desk.answer(asked["id"])["status"] == "duplicate", "it is under way"
    desk.stop() if end == "stop" else desk.kill()
    desk.start()
    desk.publish("request/read", asked)
    reads(desk, 2)
    uid = stock.uids()[0]
    stock.lay(nobody["name"], uid)
    assert desk.answer(asked["id"], "read")["card"]["uid"] == uid
    before = len(answers(desk, 1))
    desk.publish("request/read", asked)
    assert answers(desk, before + 1)[-1] == "duplicate", "now it has its answer"


def test_a_read_that_was_refused_because_of_another_one_may_be_asked_again_under_its_id(
    open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap
) -> None:
    desk = open_desk(mosquitto, mosquitto_tap, encoder={"clerk": "absent", "name": "busy"})
    stock = Stock.open(desk.stock, cards=1)
    first, second = ({"id": name, "encoder": "desk-1"} for name in ("busy-1", "busy-2"))
    desk.publish("request/read", first)
    reads(desk, 1)
    desk.publish("request/read", second)
    assert desk.answer(second["id"])["error"]["type"] == "encoder_busy"
    stock.lay("busy", stock.uids()[0])
    desk.answer(first["id"], "read")
    desk.publish("request/read", second)
    assert desk.answer(second["id"], "read")["status"] == "read"


def reads(desk: FrontDesk, times: int) -> None:
    """Return once the encoder has asked so many times for a card to be read."""
    topic = f"{desk.root}/encoder/desk-1/state"
    desk.tap.wait_for_many(
        times,
        lambda heard: heard.topic == topic and b'"reading"' in heard.payload and b"place_card" in heard.payload,
    )


def answers(desk: FrontDesk, count: int) -> list[str]:
    """What the answers to reads say, once there are so many."""
    topic = f"{desk.root}/response/read"
    return [heard.json()["status"] for heard in desk.tap.wait_for_many(count, lambda heard: heard.topic == topic)]
