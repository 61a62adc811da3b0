"""`encode`: make one card, now."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from encoder_bridge.cli import moments
from encoder_bridge.cli.asking import conclude
from encoder_bridge.cli.command import Command, config_option, json_option
from encoder_bridge.cli.following import Follower
from encoder_bridge.cli.reach import reach, socket_option

_EVENT_TYPE = "access_method.card_encoding_required"


@click.command(cls=Command)
@click.option(
    "--file",
    type=click.File("rb"),
    help="JSON: a whole trigger, or its credential alone; - for standard input. Options win over it.",
)
@click.option("--access-method", help="Its id; made up unless given.")
@click.option("--encoder", help="Only this encoder; else the routes decide.")
@click.option("--profile", help="Card profile; else the configured one.")
@click.option("--entrance", "entrances", multiple=True, help="What the card opens; give it again for more.")
@click.option("--from", "starts_at", help="Such as 2025-07-12T15:00, in the property's time zone without an offset.")
@click.option("--until", "ends_at", help="Likewise.")
@click.option(
    "--field", "fields", multiple=True, metavar="NAME=VALUE", help="Such as room=101; give it again for more."
)
@click.option("--joins", is_flag=True, help="A copy: earlier cards keep working.")
@click.option("--no-wait", is_flag=True, help="Only put it into the queue.")
@config_option
@socket_option
@json_option
@click.pass_context
def encode(
    ctx: click.Context,
    /,
    *,
    config: Path | None,
    socket: Path | None,
    no_wait: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Make one card and follow it until it has ended; no broker is needed.

    The exit code is 0 where the card was issued. Interrupted, it cancels the job unless the card is begun.
    """
    brought = _read(chosen["file"].read()) if chosen["file"] else {}
    pairs = _pairs(chosen["fields"])
    with reach(config, socket, works=not no_wait) as reached:
        zone = reached.channel.get("/v1/health").body.get("time_zone")
        trigger = _trigger(brought, chosen, pairs, zone)
        if no_wait:
            answer = reached.channel.post("/v1/jobs", trigger)
            ctx.exit(conclude(answer, as_json=as_json))
        ctx.exit(Follower(reached, trigger, as_json=as_json).run())


def _read(text: bytes) -> dict[str, Any]:
    """A trigger from what a file holds."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise click.UsageError("--file: this is no JSON: give a trigger, or its credential.") from None
    if not isinstance(found, dict):
        raise click.UsageError("--file: this is no JSON object: give a trigger, or its credential.")
    is_trigger = not {"event_type", "event_id", "access_method_id", "credential"}.isdisjoint(found)
    return found if is_trigger else {"credential": found}


def _pairs(fields: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for pair in fields:
        name, sign, value = pair.partition("=")
        if not sign:
            raise click.UsageError("--field: this names no value: write it like room=101.")
        pairs[name] = value
    return pairs


def _trigger(
    brought: dict[str, Any], chosen: dict[str, Any], fields: dict[str, str], zone: str | None
) -> dict[str, Any]:
    credential = dict(brought.get("credential") or {})
    if chosen["profile"]:
        credential["profile"] = chosen["profile"]
    if chosen["entrances"]:
        credential["entrances"] = list(chosen["entrances"])
    if chosen["joins"]:
        credential["joins"] = True
    if fields:
        credential["fields"] = {**(credential.get("fields") or {}), **fields}
    for key, option in (("starts_at", "--from"), ("ends_at", "--until")):
        if chosen[key]:
            credential[key] = moments.parse(option, chosen[key], zone).isoformat()
    made_up = {
        "event_id": uuid.uuid4().hex,
        "event_type": _EVENT_TYPE,
        "access_method_id": f"local-{uuid.uuid4().hex[:12]}",
        "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    if "id" in brought:
        del made_up["event_id"]
    asked = {"access_method_id": chosen["access_method"], "encoder": chosen["encoder"]}
    return {**made_up, **brought, **{key: value for key, value in asked.items() if value}, "credential": credential}
