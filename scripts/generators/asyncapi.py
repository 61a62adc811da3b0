"""docs/asyncapi.json: what is said on the broker, as an AsyncAPI 3.1 document with MQTT bindings 0.2.0.

Topics come from `encoder_bridge.topics`, bodies from the models of `encoder_bridge.wire`, event types and verbs from
the code that sends and takes them.
"""

from __future__ import annotations

import json
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from encoder_bridge import __version__, wire
from encoder_bridge.intake import REQUESTS
from encoder_bridge.reports import EVENT_TYPES
from encoder_bridge.topics import Topics

from .docstrings import describe

Table = dict[str, Any]

_BINDING = "0.2.0"
_INCOMING: tuple[type[BaseModel], ...] = (wire.Trigger, wire.Request)
_OUTGOING: tuple[type[BaseModel], ...] = (
    wire.Response,
    wire.Report,
    wire.JobState,
    wire.EncoderState,
    wire.Availability,
    wire.Info,
)
_PARTS: tuple[type[BaseModel], ...] = (wire.CredentialBlock, wire.Problem, wire.CardBody)
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
    "Request": [("a word to a job", {"id": "q-7", "access_method_id": _METHOD})],
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
                "card": {"technology": "simulated", "uid": _UID},
                "warnings": [],
            },
        )
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
                "requests": ["encoder-bridge/harbour-hotel/front-desk/request/job"],
            },
        )
    ],
}


def document() -> str:
    """The whole document."""
    return json.dumps(_document(), indent=2, ensure_ascii=False) + "\n"


def _document() -> Table:
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "encoder-bridge",
            "version": __version__,
            "description": "Triggers and requests in, answers, reports and states out. Everything is QoS 1 and may come"
            " twice: a trigger is known by its `event_id`, a report too. Bodies are JSON objects in UTF-8.",
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
        "trigger": _channel(_TOPICS.trigger, "Trigger", "Needs of cards."),
        "furtherTriggers": {
            **_channel(None, "Trigger", "Needs of cards, on the topics of `mqtt.trigger_topics`."),
        },
        "info": _channel(_TOPICS.info, "Info", "Retained: who answers here."),
        "availability": _channel(_TOPICS.availability, "Availability", "Retained, and the last will."),
        "job": _channel(_TOPICS.job("{access_method_id}"), "JobState", "Retained: where the newest job stands."),
        "encoder": _channel(_TOPICS.encoder("{encoder}"), "EncoderState", "Retained: what an encoder is doing."),
        "response.trigger": _channel(_TOPICS.response("trigger"), "Response", "Answers that name no address."),
    }
    for verb in REQUESTS:
        channels[f"request.{verb}"] = _channel(_TOPICS.request(verb), "Request", f"Word to a job: {verb}.")
        channels[f"response.{verb}"] = _channel(_TOPICS.response(verb), "Response", "Answers that name no address.")
    for kind in EVENT_TYPES:
        channels[f"event.{kind}"] = _channel(_TOPICS.event(kind), "Report", f"Reports: {kind}.")
    return channels


def _channel(address: str | None, message: str, about: str) -> Table:
    parameters = {name: text for name, text in _PARAMETERS.items() if address and f"{{{name}}}" in address}
    return {
        "address": address,
        "description": about,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
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
    operations |= {f"request.{verb}": _receive(f"request.{verb}", verb, f"`{verb}` a job.") for verb in REQUESTS}
    operations |= {f"report.{kind}": _send(f"event.{kind}", "Until the broker has it.") for kind in EVENT_TYPES}
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
        if model in _INCOMING or model is wire.Response:
            binding["correlationData"] = {"type": "string", "maxLength": 1024}
        messages[name] = {
            "name": name,
            "summary": cleandoc(model.__doc__ or "").partition("\n")[0],
            "payload": {"$ref": f"#/components/schemas/{name}"},
            "bindings": {"mqtt": binding},
            "examples": [{"name": title, "payload": body} for title, body in _EXAMPLES[name]],
        }
    for name, key in (("Trigger", "event_id"), ("Request", "id"), ("Response", "id"), ("Report", "event_id")):
        messages[name]["correlationId"] = {"location": f"$message.payload#/{key}"}
    return messages


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
    return schemas
