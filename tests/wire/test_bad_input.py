"""Messages that nobody can act on: each is answered, kept aside, acknowledged, and the next good one is served."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rigs.brokers import Broker
from rigs.tap import Tap
from store.desk import Desk

from encoder_bridge.errors import MalformedMessage
from encoder_bridge.reports import ReplyAddress

from . import clients
from .front_desk import REQUIRED, FrontDesk, need

Open = Callable[..., FrontDesk]

CANARY = "Canary-Miss-Marple-3f9c"
"""Stands in what is sent; nothing that is answered may repeat it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A message and how it is refused; `knows_id` tells whether the answer can name it."""

    name: str
    payload: bytes
    error: str
    knows_id: bool = True
    says: str = ""


def raw(**changes: object) -> bytes:
    body = {"event_id": "bad", "event_type": REQUIRED, "access_method_id": "bad-method", "note": CANARY, **changes}
    return json.dumps({key: value for key, value in body.items() if value is not ...}).encode()


def credential(**block: object) -> bytes:
    return raw(credential={"fields": {"guest": CANARY}, **block})


def anonymous(name: str, payload: bytes, error: str = "invalid_json", says: str = "") -> Bad:
    return Bad(name=name, payload=payload, error=error, knows_id=False, says=says)


def wrong(name: str, payload: bytes, says: str = "", error: str = "invalid_message") -> Bad:
    return Bad(name=name, payload=payload, error=error, says=says)


ENORMOUS = b'{"event_id":"bad","event_type":"access_method.deleted","access_method_id":"m","occurred_at":%s}'

BAD = [
    anonymous("no JSON", CANARY.encode()),
    anonymous("cut off", raw()[:-1]),
    anonymous("two objects", raw() + raw()),
    anonymous("empty", b""),
    anonymous("blanks", b"  \n"),
    anonymous("no UTF-8", b'{"event_id": "\xff\xfe"}'),
    anonymous("UTF-16", raw().decode().encode("utf-16")),
    anonymous("a byte order mark", b"\xef\xbb\xbf" + raw()),
    anonymous("half a surrogate", b'{"event_id": "\\ud800"}'),
    anonymous("an array", b"[" + raw() + b"]", "invalid_message"),
    anonymous("a string", json.dumps(CANARY).encode(), "invalid_message"),
    anonymous("null", b"null", "invalid_message"),
    anonymous("a number", b"7", "invalid_message"),
    anonymous("70 KB", raw(note="x" * 70_000), "payload_too_large", "65536"),
    anonymous("900 KB", raw(note="x" * 900_000), "payload_too_large", "65536"),
    anonymous("nested deeply", b'{"event_id": "bad", "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    anonymous("NaN without quotes in an id", b'{"event_id": NaN}', "invalid_message"),
    anonymous("no event id", raw(event_id=...), "missing_field", "event_id"),
    anonymous("an id that is a number", raw(event_id=7), "invalid_message", "event_id"),
    anonymous("an id that is null", raw(event_id=None), "invalid_message"),
    anonymous("an id with slashes", raw(event_id="a/b"), "invalid_message"),
    anonymous("an id with a wildcard", raw(event_id="a+b"), "invalid_message"),
    anonymous("an id with NUL", raw(event_id="a\0b"), "invalid_message"),
    anonymous("an id beyond ASCII", raw(event_id="a\u00e9"), "invalid_message"),
    anonymous("an id with a line break", raw(event_id="a\n"), "invalid_message"),
    anonymous("an empty id", raw(event_id=""), "invalid_message"),
    anonymous("an endless id", raw(event_id="a" * 65), "invalid_message"),
    wrong("no event type", raw(event_type=...), "event_type", "missing_field"),
    wrong("no access method", raw(access_method_id=...), "access_method_id", "missing_field"),
    wrong("a type that is a list", raw(event_type=[REQUIRED]), "event_type"),
    wrong("a method with slashes", raw(access_method_id="../../etc/passwd"), "access_method_id"),
    wrong("a method with a wildcard", raw(access_method_id="#"), "access_method_id"),
    wrong("a method with NUL", raw(access_method_id="m\0"), "access_method_id"),
    wrong("a method beyond ASCII", raw(access_method_id="m\u00f6"), "access_method_id"),
    wrong("a method that is a number", raw(access_method_id=12), "access_method_id"),
    wrong("grants that are text", raw(access_grant_ids=CANARY), "access_grant_ids"),
    wrong("too many grants", raw(access_grant_ids=["g"] * 65), "access_grant_ids"),
    wrong("a date without zone", raw(occurred_at="2025-07-13T15:00:00"), "time zone", "missing_time_zone"),
    wrong("a day", raw(occurred_at="2025-07-13"), "Z or an offset", "missing_time_zone"),
    wrong("a date that is none", raw(occurred_at=CANARY), "occurred_at"),
    wrong("the 30th of February", raw(occurred_at="2025-02-30T00:00:00Z"), "occurred_at"),
    wrong("a date of the first century", raw(expires_at="0001-01-01T00:00:00Z"), "expires_at"),
    wrong("the last moment there is", raw(expires_at="9999-12-31T23:59:59-23:59"), "expires_at"),
    wrong("an enormous number", ENORMOUS % b"1e400", "occurred_at"),
    wrong("an enormous whole number", ENORMOUS % (b"9" * 4000), "occurred_at"),
    wrong("a date that is no number", ENORMOUS % b"NaN", "occurred_at"),
    wrong("a date that is true", ENORMOUS % b"true", "occurred_at"),
    wrong("a past expiry", raw(expires_at="2020-01-01T00:00:00Z"), error="validity_past"),
    wrong("a past stay", credential(ends_at="2020-01-01T00:00:00Z"), error="validity_past"),
    wrong(
        "an end before the start",
        credential(starts_at="2099-01-02T00:00:00Z", ends_at="2099-01-01T00:00:00Z"),
        "ends_at",
        "invalid_validity",
    ),
    wrong(
        "no time between start and end",
        credential(starts_at="2099-01-01T00:00:00Z", ends_at="2099-01-01T01:00:00+01:00"),
        "ends_at",
        "invalid_validity",
    ),
    wrong("an unknown encoder", raw(encoder="desk-99"), "desk-1", "unknown_encoder"),
    wrong("an encoder that is a path", raw(encoder="../desk"), "encoder"),
    wrong("a credential that is text", raw(credential=CANARY), "credential"),
    wrong("an unknown field of a credential", credential(guest_name=CANARY), "known field"),
    wrong("a field that is a number", raw(credential={"fields": {"room": 12}}), "credential.fields.room"),
    wrong("a field that is NaN", b'{"event_id":"bad","credential":{"fields":{"a":NaN}}}', error="missing_field"),
    wrong("a field name with blanks", raw(credential={"fields": {f"{CANARY} x": "1"}}), "credential.fields"),
    wrong("a field with control characters", raw(credential={"fields": {"room": f"{CANARY}\x1b[2J"}}), "fields"),
    wrong("an endless field", raw(credential={"fields": {"room": CANARY * 20}}), "credential.fields.room"),
    wrong("bad base64", raw(credential={"data": {"key": f"{CANARY}!"}}), "base64"),
    wrong("base64 without padding", raw(credential={"data": {"key": "AAE"}}), "base64"),
    wrong("base64 beyond ASCII", raw(credential={"data": {"key": "\u00e4\u00e4\u00e4\u00e4"}}), "base64"),
    wrong("contents that are a list", raw(credential={"data": {"key": [1, 2]}}), "base64"),
    wrong("joins with a word", raw(credential={"joins": CANARY}), "joins"),
    wrong("too many entrances", raw(credential={"entrances": ["e"] * 257}), "entrances"),
    wrong("an answer to a wildcard", raw(reply_to="a/#"), "reply_to"),
    wrong("an answer to the broker", raw(reply_to="$SYS/broker"), "reply_to"),
    wrong("an answer to NUL", raw(reply_to="a\0b"), "reply_to"),
]


@pytest.fixture(scope="module")
def desk(broker: Broker, tap: Tap, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontDesk]:
    """One desk takes it all."""
    with FrontDesk(broker, tap, tmp_path_factory.mktemp("desk")) as open_desk:
        yield open_desk


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.name.replace(" ", "-")) for bad in BAD])
def test_bad_input_is_answered_and_the_next_trigger_is_served(desk: FrontDesk, bad: Bad) -> None:
    kept = len(desk.rows("SELECT 1 FROM poison"))
    answer = desk.answered(bad.payload)
    assert (answer["status"], answer["error"]["type"]) == ("rejected", bad.error), answer
    assert answer.get("id") == ("bad" if bad.knows_id else None)
    assert bad.says in answer["error"]["message"]
    desk.serve_one_more()
    refused_on_sight = bad.error in {"validity_past", "unknown_encoder"}  # it was understood: there is nothing to keep
    assert len(desk.rows("SELECT 1 FROM poison")) == kept + (not refused_on_sight)
    assert not desk.rows("SELECT 1 FROM job WHERE access_method_id IN ('bad-method', 'm')")


def test_nothing_bad_comes_twice_and_nothing_of_it_is_repeated(open_desk: Open, broker: Broker, tap: Tap) -> None:
    desk = open_desk(broker, tap)
    for bad in BAD:
        desk.trigger(bad.payload)
    topic = f"{desk.root}/response/trigger"
    desk.tap.wait_for_many(len(BAD), lambda heard: heard.topic == topic)
    kept = desk.rows("SELECT poison_id, error FROM poison")
    assert len(kept) > 60
    desk.restart()
    desk.serve_one_more()
    assert desk.rows("SELECT poison_id, error FROM poison") == kept
    said = [heard for heard in desk.on("") if heard.topic != f"{desk.root}/trigger"]
    assert len(said) > len(BAD)
    assert not [heard for heard in said if CANARY.encode() in heard.payload]
    assert CANARY not in str(desk.bridge.lines.all)


def test_one_id_with_two_contents_is_refused_and_the_first_one_stands(desk: FrontDesk) -> None:
    first = need("first-meaning")
    desk.trigger(first)
    desk.event("first-meaning")
    other = desk.answered({**first, "access_method_id": "second-meaning"})
    assert (other["status"], other["error"]["type"]) == ("rejected", "id_reuse")
    desk.serve_one_more()
    assert not desk.cards_of("second-meaning")
    assert len(desk.cards_of("first-meaning")) == 1


def test_of_two_values_under_one_key_the_last_counts(desk: FrontDesk) -> None:
    answer = desk.answered(
        b'{"event_id":"twice","event_id":"twofold","event_type":"%s","access_method_id":"a","access_method_id":"b-twofold"}'
        % REQUIRED.encode()
    )
    assert (answer["id"], answer["status"], answer["access_method_id"]) == ("twofold", "accepted", "b-twofold")
    desk.event("b-twofold")


def test_an_event_of_another_kind_is_let_pass(desk: FrontDesk) -> None:
    before = len(desk.on("response/"))
    desk.trigger(need("other", event_type="access_method.created"))
    desk.serve_one_more()
    assert len(desk.on("response/")) == before + 1
    assert not desk.cards_of("other")


def test_topics_with_too_many_levels_are_nobodys(desk: FrontDesk) -> None:
    kept = len(desk.rows("SELECT 1 FROM poison"))
    body = {"id": "lost", "access_method_id": "m"}
    for below in ("request/job/now", "request", "trigger/now"):
        desk.publish(below, body)
    clients.publish(desk.broker, f"{desk.root}-2/trigger", need("next-door"))
    desk.serve_one_more()
    assert not [heard for heard in desk.on("response/") if heard.json().get("id") == "lost"]
    assert not desk.cards_of("next-door")
    assert len(desk.rows("SELECT 1 FROM poison")) == kept


@pytest.mark.parametrize("verb", ["cancel", "confirm", "job"])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_json"),
        (b"[]", "invalid_message"),
        (b"{}", "missing_field"),
        (b'{"id": "q/1", "access_method_id": "m"}', "invalid_message"),
        (b'{"id": "q", "access_method_id": "+"}', "invalid_message"),
        (b'{"id": "q", "access_method_id": "m", "expires_at": "soon"}', "invalid_message"),
        (b'{"id": "q", "access_method_id": "m", "expires_at": "2025-07-13T15:00:00"}', "missing_time_zone"),
    ],
)
def test_a_bad_request_is_answered_under_its_verb(desk: FrontDesk, verb: str, body: bytes, error: str) -> None:
    topic = f"{desk.root}/response/{verb}"
    before = len([heard for heard in desk.on("response/") if heard.topic == topic])
    desk.publish(f"request/{verb}", body)
    answer = desk.tap.wait_for_many(before + 1, lambda heard: heard.topic == topic)[before].json()
    assert (answer["status"], answer["error"]["type"]) == ("rejected", error)


def test_five_megabytes_are_refused_by_size(open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap) -> None:
    desk = open_desk(mosquitto, mosquitto_tap)
    answer = desk.answered(raw(note="x" * 5_000_000))
    assert answer["error"]["type"] == "payload_too_large"
    assert desk.rows("SELECT size > 5000000, length(shown) < 100 FROM poison") == [(1, 1)]
    desk.serve_one_more()


def test_correlation_data_of_60_kb_is_refused(open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap) -> None:
    desk = open_desk(mosquitto, mosquitto_tap)
    desk.trigger(need("burdened"), "-D", "publish", "correlation-data", "x" * 60_000)
    answer = desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/response/trigger")
    assert answer.json()["error"]["type"] == "correlation_too_large"
    assert "CorrelationData" not in answer.properties
    desk.serve_one_more()
    assert not desk.cards_of("burdened")


@pytest.mark.parametrize("wanted", ["response/+", "response/#"])
def test_a_response_topic_with_wildcards_is_not_written_to(
    open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap, wanted: str, tmp_path: Path
) -> None:
    """A broker should not let it through; ours must not fall over one that does."""
    desk = open_desk(mosquitto, mosquitto_tap)
    event = need("wild", reply_to=f"{desk.root}/response/x")
    desk.trigger(event, "-D", "publish", "response-topic", f"{desk.root}/{wanted}")
    assert desk.answer(event["event_id"], topic=f"{desk.root}/response/trigger")["status"] == "accepted"
    desk.serve_one_more()


def test_of_the_messages_that_nobody_can_act_on_the_newest_thousand_are_kept(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "jobs.sqlite")

    def refuse_many() -> None:
        for size in range(1003):
            problem = MalformedMessage("invalid_json", "The message is not JSON.")
            desk.store.needs.reject("trigger", problem, b"x" * size, ReplyAddress(), desk.now)

    desk.do(refuse_many)
    kept = desk.connection.execute("SELECT count(*), min(size), max(size) FROM poison").fetchone()
    desk.close()
    assert kept == (1000, 3, 1002)
