"""docs/asyncapi.json: what is said on the broker, as an AsyncAPI 3.1 document with MQTT bindings 0.2.0.

Topics come from `encoder_bridge.topics`, bodies from the models of `encoder_bridge.wire`, event types and verbs from
the code that sends and takes them, the layout of signatures from `encoder_bridge.signatures`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import fields
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from encoder_bridge import __version__, texts, wire
from encoder_bridge.intake import REQUESTS
from encoder_bridge.reports import CARD_ERASED, CARD_EVENTS, CARD_NOT_WANTED, EVENT_TYPES
from encoder_bridge.signatures import Signature, signed_bytes
from encoder_bridge.topics import Topics

from .docstrings import describe

Table = dict[str, Any]

_BINDING = "0.2.0"
_OF_ITS_OWN: dict[str, type[wire.Asking]] = {
    "claim": wire.Claim,
    "resolve": wire.Resolve,
    "read": wire.Read,
    "erase": wire.Erase,
}
"""Requests that say more than which job is meant."""
_ASKING: dict[str, type[wire.Asking]] = {verb: _OF_ITS_OWN.get(verb, wire.Request) for verb in REQUESTS}
_INCOMING: tuple[type[BaseModel], ...] = (wire.Trigger, wire.Request, *_OF_ITS_OWN.values())
_OUTGOING: tuple[type[BaseModel], ...] = (
    wire.Response,
    wire.Report,
    wire.CardReport,
    wire.JobState,
    wire.EncoderState,
    wire.Availability,
    wire.Info,
)
_PARTS: tuple[type[BaseModel], ...] = (wire.CredentialBlock, wire.Problem, wire.CardBody, wire.MadeHere)
_REPORTS: dict[str, str] = {**dict.fromkeys(EVENT_TYPES, "Report"), **dict.fromkeys(CARD_EVENTS, "CardReport")}
"""Event type to the message that tells of it."""
_PURPOSES = {
    "cancel": "Take off all open jobs of an access method but one that is being written; one in doubt is given up.",
    "confirm": "Let a job go although a card was issued before.",
    "retry": "Try again now, or once more from the start where the job ended without a card.",
    "resolve": "End a job in doubt whose card will not come back.",
    "claim": "Have a job done at this encoder.",
    "job": "Where does a job stand?",
    "read": "Whose card is it? Somebody has to lay one down. The answer names no fields of the card and no operator.",
    "erase": "Blank a card that was made here; refused unless `mqtt.erase` is on. Somebody has to lay it down.",
}
_TOPICS = Topics("{base}/{site}/{desk}")
_PARAMETERS = {
    "base": {"description": "`mqtt.base` of the configuration.", "default": "encoder-bridge"},
    "site": {"description": "`site` of the configuration."},
    "desk": {"description": "`desk` of the configuration."},
    "access_method_id": {"description": "The access method that the job is for."},
    "encoder": {"description": "The encoder's name in the configuration."},
}

_METHOD = "c7d8e9f0-1a2b-3c4d-5e6f-7a8b9c0d1e2f"
_EVENT = "22222222-3333-4444-5555-666666666666"
_MOMENT = "2025-06-16T16:54:24.120Z"
_INSTANCE = "1f4e1c0e-8f1d-4a53-9a53-6a1c5d0f7b21"
_UID = "04a1b2c3d4e5f6"
_EXAMPLES: dict[str, list[tuple[str, Table]]] = {
    "Trigger": [
        (
            "as first documented by Seam",
            {
                "event_id": _EVENT,
                "event_description": "An access method representing a physical card requires encoding.",
                "event_type": "access_method.card_encoding_required",
                "acs_system_id": "11111111-1111-1111-1111-111111111111",
                "access_method_id": _METHOD,
            },
        ),
        (
            "with a credential",
            {
                "event_id": "booking-7-card-1",
                "event_type": "access_method.card_encoding_required",
                "occurred_at": "2025-06-16T16:54:20.946606Z",
                "access_method_id": _METHOD,
                "encoder": "desk-1",
                "reply_to": "front-office/7/answers",
                "credential": {
                    "profile": "guest",
                    "entrances": ["101", "pool"],
                    "starts_at": "2025-07-13T15:00:00+01:00",
                    "ends_at": "2025-07-16T11:00:00+01:00",
                    "fields": {"room": "101"},
                    "data": {"sector_1": "AAECAw=="},
                },
            },
        ),
    ],
    "Request": [("a word to a job", {"id": "q-7", "operator": "M. Oliveira", "access_method_id": _METHOD})],
    "Claim": [("make it here", {"id": "q-8", "access_method_id": _METHOD, "encoder": "desk-1"})],
    "Resolve": [
        ("the card is gone", {"id": "q-9", "access_method_id": _METHOD, "card": "gone"}),
        (
            "destroyed, and another one is wanted",
            {"id": "q-10", "access_method_id": _METHOD, "card": "destroyed", "again": True},
        ),
    ],
    "Read": [("whose card is it?", {"id": "q-11", "encoder": "desk-1", "expires_at": "2025-06-16T16:56:00Z"})],
    "Erase": [
        ("blank it", {"id": "q-12", "encoder": "desk-1"}),
        ("the half blanked card will not come back", {"id": "q-13", "encoder": "desk-1", "given_up": True}),
    ],
    "Response": [
        (
            "accepted",
            {"id": _EVENT, "status": "accepted", "access_method_id": _METHOD, "state": "queued", "is_issued": False},
        ),
        (
            "rejected",
            {
                "status": "rejected",
                "is_issued": False,
                "error": {"type": "invalid_json", "message": "The message is not JSON: send one UTF-8 JSON object."},
            },
        ),
        (
            "read",
            {
                "id": "q-11",
                "status": "read",
                "is_issued": False,
                "encoder": "desk-1",
                "card": {"technology": "simulated", "uid": _UID},
                "made_here": {
                    "access_method_id": _METHOD,
                    "issued_at": _MOMENT,
                    "ends_at": "2025-07-16T11:00:00+01:00",
                    "entrances": ["101"],
                    "is_deleted": False,
                    "is_valid": True,
                    "is_certain": True,
                },
            },
        ),
    ],
    "Report": [
        (
            "issued",
            {
                "event_id": "0a6e4d3e-6f0e-5c7f-9f3e-9d3f5c8f0a11",
                "event_type": "access_method.issued",
                "event_description": "The card was written; the access method can be handed out.",
                "access_method_id": _METHOD,
                "created_at": _MOMENT,
                "occurred_at": _MOMENT,
                "trigger_event_id": _EVENT,
                "state": "issued",
                "is_issued": True,
                "issued_at": _MOMENT,
                "issued_by": "bridge",
                "evidence": "read_back",
                "encoder": "desk-1",
                "requester": "pms",
                "sequence": 4,
                "card": {"technology": "simulated", "uid": _UID},
                "warnings": [],
            },
        )
    ],
    "CardReport": [
        (
            "erased",
            {
                "event_id": "5f0c2f6e-0c4e-5d7d-8f3b-2d7b7a1f9c22",
                "event_type": CARD_ERASED,
                "event_description": CARD_EVENTS[CARD_ERASED],
                "created_at": _MOMENT,
                "occurred_at": _MOMENT,
                "encoder": "desk-1",
                "card": {"technology": "simulated", "uid": _UID},
                "access_method_id": _METHOD,
                "evidence": "read_back",
            },
        ),
        (
            "finished after its job had ended otherwise",
            {
                "event_id": "8a3f0d51-2a7e-5b0c-9d61-4c1de2b7a933",
                "event_type": CARD_NOT_WANTED,
                "event_description": CARD_EVENTS[CARD_NOT_WANTED],
                "created_at": _MOMENT,
                "occurred_at": _MOMENT,
                "encoder": "desk-1",
                "card": {"technology": "simulated", "uid": _UID},
                "access_method_id": _METHOD,
                "evidence": "read_back",
                "error": {
                    "type": "late_receipt",
                    "message": texts.log("late_receipt"),
                    "clerk": texts.clerk("late_receipt"),
                },
            },
        ),
    ],
    "JobState": [
        (
            "writing",
            {
                "access_method_id": _METHOD,
                "trigger_event_id": _EVENT,
                "state": "writing",
                "since": _MOMENT,
                "is_issued": False,
                "encoder": "desk-1",
            },
        )
    ],
    "EncoderState": [
        (
            "asks for a card",
            {
                "state": "waiting_for_card",
                "since": _MOMENT,
                "access_method_id": _METHOD,
                "prompt": "place_card",
                "effect": "replaces_earlier_cards",
                "not_enforced": ["lift"],
                "warnings": [],
            },
        )
    ],
    "Availability": [("here", {"state": "online", "since": _MOMENT, "instance": _INSTANCE})],
    "Info": [
        (
            "who answers",
            {
                "version": __version__,
                "driver_port": "1.0",
                "mqtt_protocol": "5",
                "instance": _INSTANCE,
                "encoders": {"desk-1": "simulated"},
                "default_profile": "guest",
                "max_open_jobs": 500,
                "triggers": ["encoder-bridge/harbour-hotel/front-desk/trigger"],
                "requests": [f"encoder-bridge/harbour-hotel/front-desk/request/{verb}" for verb in REQUESTS],
            },
        )
    ],
}
EXAMPLE_KEY = b"an example, and no secret"
"""The key of the requester in the example of a signed message."""
SIGNED_TOPIC = "encoder-bridge/harbour-hotel/front-desk/request/cancel"
"""The topic that is signed in it."""


def document() -> str:
    """The whole document."""
    return json.dumps(_document(), indent=2, ensure_ascii=False) + "\n"


def _document() -> Table:
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "encoder-bridge",
            "version": __version__,
            "description": "Triggers and requests in, answers, reports and states out. Everything is QoS 1 and may"
            " come twice: a trigger is known by its `event_id`, a report too. Bodies are JSON objects in UTF-8. What"
            " comes in may be signed, beside the body (MQTT 5) or around it (`Signed`); docs/signing.md says how.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"mqtt5": _server("5"), "mqtt311": _server("3.1.1")},
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _server(version: str) -> Table:
    will = {"topic": _TOPICS.availability, "qos": 1, "message": '{"state":"offline"}', "retain": True}
    binding: Table = {
        "clientId": "encoder-bridge-{site}-{desk}",
        "cleanSession": False,
        "lastWill": will,
        "keepAlive": 20,
        "bindingVersion": _BINDING,
    }
    if version == "5":
        binding["sessionExpiryInterval"] = 604_800
    return {
        "host": "{host}:{port}",
        "protocol": "mqtt",
        "protocolVersion": version,
        "description": "The property's broker, with or without TLS.",
        "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "1883"}},
        "bindings": {"mqtt": binding},
    }


def _channels() -> Table:
    channels = {
        "trigger": _channel(_TOPICS.trigger, "Trigger", "Needs of cards.", signed=True),
        "furtherTriggers": _channel(
            None, "Trigger", "Needs of cards, on the topics of `mqtt.trigger_topics`.", signed=True
        ),
        "info": _channel(_TOPICS.info, "Info", "Retained: who answers here."),
        "availability": _channel(_TOPICS.availability, "Availability", "Retained, and the last will."),
        "job": _channel(_TOPICS.job("{access_method_id}"), "JobState", "Retained: where the job that is on stands."),
        "encoder": _channel(_TOPICS.encoder("{encoder}"), "EncoderState", "Retained: what an encoder is doing."),
        "response.trigger": _channel(_TOPICS.response("trigger"), "Response", "Answers that name no address."),
    }
    for verb, model in _ASKING.items():
        channels[f"request.{verb}"] = _channel(_TOPICS.request(verb), model.__name__, f"Requests: {verb}.", signed=True)
        channels[f"response.{verb}"] = _channel(_TOPICS.response(verb), "Response", "Answers that name no address.")
    for kind, message in sorted(_REPORTS.items()):
        channels[f"event.{kind}"] = _channel(_TOPICS.event(kind), message, f"Reports: {kind}.")
    return channels


def _channel(address: str | None, message: str, about: str, *, signed: bool = False) -> Table:
    parameters = {name: text for name, text in _PARAMETERS.items() if address and f"{{{name}}}" in address}
    messages = [message, "Signed"] if signed else [message]
    return {
        "address": address,
        "description": about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        **({"parameters": parameters} if parameters else {}),
    }


def _operations() -> Table:
    operations = {
        "takeTrigger": _receive("trigger", "trigger", "Asks for a card, or tells that one is not wanted any more."),
        "takeFurtherTrigger": _receive("furtherTriggers", "trigger", "The same from elsewhere."),
        "tellInfo": _send("info", "At every connect.", retain=True),
        "tellAvailability": _send("availability", "At every connect, and at the end.", retain=True),
        "tellJob": _send("job", "At every change and every connect; an ended one for a day.", retain=True),
        "tellEncoder": _send("encoder", "At every change and every connect.", retain=True),
    }
    operations |= {f"request.{verb}": _receive(f"request.{verb}", verb, _PURPOSES[verb]) for verb in REQUESTS}
    operations |= {f"report.{kind}": _send(f"event.{kind}", "Until the broker has it.") for kind in sorted(_REPORTS)}
    return operations


def _receive(channel: str, verb: str, about: str) -> Table:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": about,
        "description": "Never retained. MQTT 5: Response Topic and Correlation Data count before `reply_to`; an expiry"
        " is heeded. An address outside `mqtt.reply_topics` is answered on the default topic.",
        "reply": {
            "address": {"location": "$message.payload#/reply_to"},
            "channel": {"$ref": f"#/channels/response.{verb}"},
        },
        "bindings": {"mqtt": {"qos": 1, "retain": False, "bindingVersion": _BINDING}},
    }


def _send(channel: str, about: str, *, retain: bool = False) -> Table:
    binding: Table = {"qos": 1, "retain": retain}
    if channel == "job":
        binding["messageExpiryInterval"] = 86_400
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": about,
        "bindings": {"mqtt": {**binding, "bindingVersion": _BINDING}},
    }


def _messages() -> Table:
    messages = {}
    for model in (*_INCOMING, *_OUTGOING):
        name = model.__name__
        binding: Table = {"bindingVersion": _BINDING}
        if model in _INCOMING:
            binding["responseTopic"] = {"type": "string", "maxLength": 256}
        beside = {"headers": {"$ref": "#/components/schemas/UserProperties"}} if model in _INCOMING else {}
        if model in _INCOMING or model is wire.Response:
            binding["correlationData"] = {"type": "string", "maxLength": 1024}
        messages[name] = {
            "name": name,
            "summary": cleandoc(model.__doc__ or "").partition("\n")[0],
            "payload": {"$ref": f"#/components/schemas/{name}"},
            **beside,
            "bindings": {"mqtt": binding},
            "examples": [{"name": title, "payload": body} for title, body in _EXAMPLES[name]],
        }
        for key in ("event_id", "id"):
            if key in model.model_fields:
                messages[name]["correlationId"] = {"location": f"$message.payload#/{key}"}
    messages["Signed"] = {
        "name": "Signed",
        "summary": "A message with its signature around it, for MQTT 3.1.1.",
        "payload": {"$ref": "#/components/schemas/Signed"},
        "bindings": {"mqtt": {"bindingVersion": _BINDING}},
        "examples": [
            {
                "name": "a signed request to cancel",
                "summary": f"It is good on {SIGNED_TOPIC}.",
                "payload": _signed_example(),
            }
        ],
    }
    return messages


def _signed_example() -> Table:
    body = json.dumps(_EXAMPLES["Request"][0][1], ensure_ascii=False)
    signed_at = "2025-06-16T16:54:20Z"
    digest = hmac.digest(EXAMPLE_KEY, signed_bytes("kiosk", SIGNED_TOPIC, signed_at, body.encode()), hashlib.sha256)
    return {
        "requester": "kiosk",
        "signed_at": signed_at,
        "signature": base64.b64encode(digest).decode(),
        "body": body,
    }


def _schemas() -> Table:
    models = (*_INCOMING, *_OUTGOING)
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    described = describe(found, *models, *_PARTS)
    schemas: Table = described["$defs"]
    for model in _OUTGOING:
        schema = schemas[model.__name__]
        null = {name for name, about in schema["properties"].items() if {"type": "null"} in about.get("anyOf", [])}
        schema["required"] = [name for name in schema.get("required", []) if name not in null]  # null is left out
    trigger = schemas["Trigger"]
    trigger["properties"]["id"] = {**trigger["properties"]["event_id"], "title": "Id"}
    trigger["required"].remove("event_id")
    trigger["anyOf"] = [{"required": ["event_id"]}, {"required": ["id"]}]
    return schemas | _signatures()


def _signatures() -> Table:
    parts = {
        "requester": "Name of the requester in the configuration.",
        "signed_at": "Moment of signing, RFC 3339.",
        "signature": "Ed25519 or HMAC-SHA-256 over the layout in docs/signing.md, standard base64.",
    }
    around = {field.name: {"type": "string", "description": parts[field.name]} for field in fields(Signature)}
    beside = {name.replace("_", "-"): about for name, about in around.items()}
    body = {"type": "string", "description": "The message, whose UTF-8 bytes were signed."}
    return {
        "UserProperties": {
            "title": "UserProperties",
            "description": "MQTT 5: the signature of the body; all three, once each, or none.",
            "type": "object",
            "properties": beside,
            "dependentRequired": {name: [other for other in beside if other != name] for name in beside},
        },
        "Signed": {
            "title": "Signed",
            "description": "Exactly these keys; anything else is taken for the message itself.",
            "type": "object",
            "properties": {**around, "body": body},
            "required": [*around, "body"],
            "additionalProperties": False,
        },
    }
