"""`jobs`: look at them, and say what is to become of them.  Personal data and card contents are never read."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import click

from encoder_bridge.cli.asking import ask, conclude, method_of, unknown
from encoder_bridge.cli.client import Channel, Nobody, sentence
from encoder_bridge.cli.command import Command, config_option, json_option, say_json
from encoder_bridge.cli.reach import reach, socket_option
from encoder_bridge.cli.words import moment, printable
from encoder_bridge.config import load
from encoder_bridge.errors import StoreError
from encoder_bridge.model import State
from encoder_bridge.sqlite import open_for_reading
from encoder_bridge.store.views import JobView, Views

_which = click.argument("which", metavar="METHOD_OR_JOB")
_WINDOW = (("from", "starts_at"), ("until", "ends_at"))
_Look = Callable[[Channel], list[JobView]]


@click.group()
def jobs() -> None:
    """Look at jobs, and say what is to become of them."""


@jobs.command("list", cls=Command)
@config_option
@socket_option
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@json_option
def list_jobs(config: Path | None, socket: Path | None, state: str | None, limit: int, as_json: bool) -> None:
    """List jobs, the newest first."""
    query = urlencode({"limit": limit, **({"state": state} if state else {})})
    found, zone = _look(
        config,
        socket,
        lambda channel: list(channel.get(f"/v1/jobs?{query}").body["jobs"]),
        lambda views: views.jobs(state, limit),
    )
    if as_json:
        say_json(found)
        return
    if found:
        click.echo(f"{'job':>4}  {'since':<19}  {'state':<16}  access method  (times in {zone})")
    else:
        click.echo("There is no such job.")
    for job in found:
        click.echo(_summary(job, zone))


@jobs.command("show", cls=Command)
@config_option
@socket_option
@_which
@json_option
def show_jobs(config: Path | None, socket: Path | None, which: str, as_json: bool) -> None:
    """Show one job, or all jobs of an access method, with every attempt."""
    found, zone = _look(config, socket, lambda channel: channel.jobs_of(which), lambda views: views.jobs_of(which))
    if not found:
        raise unknown(which)
    if as_json:
        say_json(found)
        return
    for job in found:
        click.echo(_summary(job, zone))
        for line in _facts(job, zone):
            click.echo(f"      {line}")
        for attempt in job["attempts"]:
            click.echo(f"      {_attempt(attempt, zone)}")


def _add_word(verb: str, told: str) -> None:
    """Add a command that says to a job what needs no more than its name."""

    @jobs.command(verb, cls=Command, help=told)
    @_which
    @config_option
    @socket_option
    @json_option
    @click.pass_context
    def say(ctx: click.Context, which: str, config: Path | None, socket: Path | None, as_json: bool) -> None:
        ctx.exit(_say_to(which, verb, config, socket, as_json=as_json))


_add_word("cancel", "Take a job off; of one in doubt this says which card to destroy.")
_add_word("confirm", "Let a job go that is held because a card was issued before.")
_add_word("retry", "Try a job again now, or once more where it ended without a card.")


@jobs.command(cls=Command)
@_which
@click.option("--encoder", required=True, help="Where.")
@config_option
@socket_option
@json_option
@click.pass_context
def claim(
    ctx: click.Context, which: str, encoder: str, config: Path | None, socket: Path | None, as_json: bool
) -> None:
    """Have a job done at this encoder."""
    ctx.exit(_say_to(which, "claim", config, socket, as_json=as_json, encoder=encoder))


@jobs.command(cls=Command)
@_which
@click.option("--gone", "card", flag_value="gone", help="Nobody knows where its card is.")
@click.option("--destroyed", "card", flag_value="destroyed", help="Its card cannot come back.")
@click.option("--again", is_flag=True, help="Have another card made in its place.")
@config_option
@socket_option
@json_option
@click.pass_context
def resolve(
    ctx: click.Context,
    /,
    *,
    which: str,
    card: str | None,
    again: bool,
    config: Path | None,
    socket: Path | None,
    as_json: bool,
) -> None:
    """End a job in doubt whose card will not be laid down again."""
    if card is None:
        raise click.UsageError("Say what became of its card: --gone or --destroyed.")
    ctx.exit(_say_to(which, "resolve", config, socket, as_json=as_json, card=card, again=again))


def _say_to(which: str, verb: str, config: Path | None, socket: Path | None, *, as_json: bool, **body: object) -> int:
    with reach(config, socket, works=False) as reached:
        method = method_of(reached.channel, which)
        answer = ask(reached.channel, verb, {"access_method_id": method, **body})
    return conclude(answer, as_json=as_json)


def _look(
    config: Path | None,
    socket: Path | None,
    over: _Look,
    beside: Callable[[Views], list[JobView]],
) -> tuple[list[JobView], ZoneInfo]:
    """Ask the bridge that runs, else look into the store beside it; and the property's time zone."""
    if socket:
        channel = Channel(socket)
        return over(channel), ZoneInfo(channel.get("/v1/health").body.get("time_zone", "UTC"))
    settings = load(config, os.environ)
    try:
        return over(Channel(settings.control_socket)), settings.zone
    except Nobody:
        with _reading(settings.store) as views:
            return beside(views), settings.zone


@contextmanager
def _reading(store: Path) -> Iterator[Views]:
    with closing(open_for_reading(store)) as connection:
        try:
            yield Views(connection.execute)
        except sqlite3.Error as error:
            raise StoreError(f"The store {store} cannot be read ({error}).") from error


def _summary(job: JobView, zone: ZoneInfo) -> str:
    parts = [f"{job['job_id']:>4}", moment(job["state_at"], zone), f"{job['state']:<16}", job["access_method_id"]]
    if job["encoder"]:
        parts.append(f"on {job['encoder']}")
    if job["card"] and job["card"]["uid"]:
        parts.append(f"card {job['card']['uid']}")
    if job["evidence"]:
        parts.append(job["evidence"])
    if job["error"]:
        parts.append(job["error"]["message"])
    return printable("  ".join(parts))


def _facts(job: JobView, zone: ZoneInfo) -> Iterator[str]:
    if job["entrances"]:
        yield printable(f"opens {', '.join(job['entrances'])}")
    if window := [f"{word} {moment(job[key], zone)}" for word, key in _WINDOW if job[key]]:
        yield " ".join(window)
    if job["joins"]:
        yield "a copy: earlier cards keep working"
    if job["requester"]:
        yield printable(f"asked for by {job['requester']}")
    if job["sequence"] is not None:
        yield f"number {job['sequence']}"
    if job["route"]:
        backup = f", or {', '.join(job['backup'])} where those are offline" if job["backup"] else ""
        yield printable(f"to be made by {', '.join(job['route'])}{backup}")
    for warning in job["warnings"]:
        yield printable(sentence(warning))


def _attempt(attempt: dict[str, Any], zone: ZoneInfo) -> str:
    parts = [f"attempt {attempt['attempt']}", moment(attempt["at"], zone), attempt["what"]]
    if attempt["encoder"]:
        parts.append(f"on {attempt['encoder']}")
    if attempt["card"]:
        parts.append(f"card {attempt['card']}")
    by = [who for who in (attempt["operator"], attempt["requester"]) if who]
    if by:
        parts.append(f"by {' for '.join(by)}")
    if attempt["detail"]:
        parts.append(attempt["detail"].get("message") or json.dumps(attempt["detail"], ensure_ascii=False))
    return printable("  ".join(parts))
