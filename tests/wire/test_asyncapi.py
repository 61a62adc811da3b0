"""docs/asyncapi.json says what is really said: its examples are read by the models, and a life fits its schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from rigs.brokers import Broker
from rigs.tap import Heard, Tap

from encoder_bridge import signatures, wire
from encoder_bridge.intake import REQUESTS
from encoder_bridge.reports import CARD_EVENTS, EVENT_TYPES

from .front_desk import REQUIRED, FrontDesk, need

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "asyncapi.json").read_text("utf-8"))
MESSAGES: dict[str, dict[str, Any]] = DOCUMENT["components"]["messages"]


def validator(message: str) -> Draft202012Validator:
    schema = {"$ref": MESSAGES[message]["payload"]["$ref"], "components": DOCUMENT["components"]}
    return Draft202012Validator(schema)


def channels_of(topic: str) -> list[str]:
    """The channels whose address fits the topic."""
    found = []
    for name, channel in DOCUMENT["channels"].items():
        if channel["address"] is None:
            continue
        pattern = re.sub(r"\\\{(\w+)\\\}", r"[^/]+", re.escape(channel["address"]))
        if re.fullmatch(pattern, topic):
            found.append(name)
    return found


@pytest.mark.parametrize("message", sorted(MESSAGES))
def test_examples_fit_the_schemas_and_the_models(message: str) -> None:
    examples = MESSAGES[message]["examples"]
    assert examples
    for example in examples:
        validator(message).validate(example["payload"])
        if message == "Response":  # what is null is left out
            example = {"payload": {"id": None, **example["payload"]}}
        if message == "Signed":
            assert signatures.unwrap(json.dumps(example["payload"]).encode())
        else:
            getattr(wire, message).model_validate_json(json.dumps(example["payload"]))


@pytest.mark.parametrize("message", sorted(MESSAGES))
def test_a_schema_refuses_what_is_no_such_message(message: str) -> None:
    assert list(validator(message).iter_errors({"state": 7, "status": 7}))


def test_every_verb_and_every_event_has_its_channels() -> None:
    channels = DOCUMENT["channels"]
    assert {name for name in channels if name.startswith("request.")} == {f"request.{verb}" for verb in REQUESTS}
    assert {name for name in channels if name.startswith("event.")} == {
        f"event.{kind}" for kind in (*EVENT_TYPES, *CARD_EVENTS)
    }
    for kind in CARD_EVENTS:
        assert set(channels[f"event.{kind}"]["messages"]) == {"CardReport"}


def test_the_signed_example_can_be_checked_and_holds_a_request() -> None:
    (example,) = MESSAGES["Signed"]["examples"]
    found = signatures.unwrap(json.dumps(example["payload"]).encode())
    assert found
    signature, body = found
    key = b"an example, and no secret"
    kiosk = signatures.Requester(name="kiosk", algorithm="hmac-sha256", key=key, may=frozenset({"cancel"}))
    signed_ms = 1_750_092_860_000
    checks = signatures.Signatures({"kiosk": kiosk}, required=True, window_ms=1)
    topic = "encoder-bridge/harbour-hotel/front-desk/request/cancel"
    assert topic in example["summary"]
    assert checks.verify(signature, "cancel", topic, body, signed_ms) == "kiosk"
    validator("Request").validate(json.loads(body))


def test_a_signature_beside_the_body_is_documented_as_a_whole() -> None:
    for message in "Trigger", "Request", "Claim", "Resolve", "Read", "Erase":
        schema = {**MESSAGES[message]["headers"], "components": DOCUMENT["components"]}
        beside = Draft202012Validator(schema)
        whole = {"requester": "pms", "signed-at": "2025-06-16T16:54:20Z", "signature": "AA=="}
        beside.validate({})
        beside.validate(whole)
        assert signatures.beside(list(whole.items()))
        for name in whole:
            part = {key: value for key, value in whole.items() if key != name}
            assert not beside.is_valid(part)
            with pytest.raises(signatures.SignatureRefused):
                signatures.beside(list(part.items()))


def test_what_is_said_in_a_life_is_what_the_document_says(
    open_desk: Callable[..., FrontDesk], broker: Broker, tap: Tap
) -> None:
    desk = open_desk(broker, tap, encoder={"faults": ["encoding_interrupted", "credential_deleted"]})
    for method in "issued-at-last", "refused", "plain":
        desk.trigger(need(method, credential={"profile": "guest", "fields": {"room": "1"}}))
    desk.event("issued-at-last")
    desk.event("plain")
    desk.event("refused", "access_method.failed_to_issue")
    desk.event("issued-at-last", "encoder_bridge.job_unsure")
    desk.trigger(need("plain"))
    desk.event("plain", "encoder_bridge.job_held")
    for verb in "job", "confirm", "cancel":
        desk.publish(f"request/{verb}", {"id": verb, "access_method_id": "plain"})
        desk.answer(verb)
    desk.answered(b"no JSON")
    desk.stop()
    tap.wait_for(lambda heard: heard.topic == f"{desk.root}/availability" and b'"offline"' in heard.payload)
    said = [heard for heard in desk.on("") if heard.payload and heard.payload != b"no JSON"]
    heard_on = {judge(heard, five=broker.protocol == "5") for heard in said}
    assert {"trigger", "info", "availability", "job", "encoder", "response.trigger", "request.job"} <= heard_on
    assert {"event.access_method.issued", "event.encoder_bridge.job_unsure", "response.cancel"} <= heard_on


def test_a_request_is_read_as_the_document_says(open_desk: Callable[..., FrontDesk], broker: Broker, tap: Tap) -> None:
    desk = open_desk(broker, tap, mqtt={"erase": True}, jobs={"card_wait_s": 0.2}, encoder={"clerk": "absent"})
    for verb in REQUESTS:
        message, _ = DOCUMENT["channels"][f"request.{verb}"]["messages"]
        schema = DOCUMENT["components"]["schemas"][message]
        example = {**MESSAGES[message]["examples"][0]["payload"], "encoder": "desk-1"}
        whole = {key: value for key, value in example.items() if key in schema["properties"] and key != "expires_at"}
        bodies = [{key: whole[key] for key in whole if key != left_out} for left_out in schema["required"]]
        for body in (*bodies, whole):
            desk.publish(f"request/{verb}", body)
        *refused, answer = answers(tap, f"{desk.root}/response/{verb}", len(bodies) + 1)
        assert {each["error"]["type"] for each in refused} == {"missing_field"}
        validator("Response").validate(answer)
        assert answer["error"]["type"] in {"unknown_job", "no_credential_on_encoder"}


def answers(tap: Tap, topic: str, count: int) -> list[Any]:
    return [heard.json() for heard in tap.wait_for_many(count, lambda heard: heard.topic == topic)]


def judge(heard: Heard, *, five: bool) -> str:
    """The one channel it belongs to, once topic, body, quality, retain and expiry are as documented."""
    (channel,) = channels_of(heard.topic)
    message, *_ = DOCUMENT["channels"][channel]["messages"]
    validator(message).validate(heard.json())
    ours = [
        operation
        for operation in DOCUMENT["operations"].values()
        if operation["action"] == "send" and operation["channel"]["$ref"] == f"#/channels/{channel}"
    ]
    for operation in ours if five else []:
        binding = operation["bindings"]["mqtt"]
        assert (heard.qos, heard.retain) == (binding["qos"], binding["retain"])
        ends = message == "JobState" and heard.json()["state"] in {"issued", "failed", "cancelled"}
        expiry = binding["messageExpiryInterval"] if ends else None
        assert heard.properties.get("MessageExpiryInterval") == expiry
    return channel


def test_the_first_documented_trigger_is_an_example() -> None:
    body = MESSAGES["Trigger"]["examples"][0]["payload"]
    assert set(body) == {"event_id", "event_description", "event_type", "acs_system_id", "access_method_id"}
    assert body["event_type"] == REQUIRED
