"""`read` and `erase`: whose card is this, and make it blank."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from encoder_bridge.cli.asking import ask, conclude, encoder_of
from encoder_bridge.cli.client import Answer, Channel, Unreachable
from encoder_bridge.cli.command import Command, config_option, json_option
from encoder_bridge.cli.reach import reach, socket_option
from encoder_bridge.cli.words import moment, printable, prompt

_INTERRUPTED = 130
_encoder_option = click.option("--encoder", help="Where; not needed where there is only one.")


@click.command(cls=Command)
@_encoder_option
@config_option
@socket_option
@json_option
@click.pass_context
def read(ctx: click.Context, encoder: str | None, config: Path | None, socket: Path | None, as_json: bool) -> None:
    """Tell whose card this is, changing nothing."""
    with reach(config, socket, works=False) as reached:
        channel = reached.channel
        answer = _at(channel, "read", encoder_of(channel, encoder), {}, as_json=as_json)
        zone = ZoneInfo(channel.get("/v1/health").body.get("time_zone", "UTC"))
    if answer is None:
        click.echo("Nothing was read.", err=True)
        ctx.exit(_INTERRUPTED)
    ctx.exit(conclude(answer, as_json=as_json, done="\n".join(_card(answer.body, zone))))


@click.command(cls=Command)
@_encoder_option
@click.option("--even-if-valid", is_flag=True, help="Also a card that still opens somebody's door.")
@click.option("--given-up", is_flag=True, help="The card that was half blanked will not come back: forget about it.")
@config_option
@socket_option
@json_option
@click.pass_context
def erase(
    ctx: click.Context,
    /,
    *,
    encoder: str | None,
    even_if_valid: bool,
    given_up: bool,
    config: Path | None,
    socket: Path | None,
    as_json: bool,
) -> None:
    """Make a card blank that was made here."""
    with reach(config, socket, works=False) as reached:
        channel = reached.channel
        body = {"even_if_valid": even_if_valid, "given_up": given_up}
        answer = _at(channel, "erase", encoder_of(channel, encoder), body, as_json=as_json)
    if answer is None:
        click.echo("Interrupted: 'encoder-bridge watch' tells whether the card was begun.", err=True)
        ctx.exit(_INTERRUPTED)
    uid = (answer.body.get("card") or {}).get("uid")
    done = "That card is given up." if given_up else f"{_name(uid)} is blank."
    ctx.exit(conclude(answer, as_json=as_json, done=done))


def _at(channel: Channel, verb: str, encoder: str, body: Mapping[str, object], *, as_json: bool) -> Answer | None:
    """Have it done at an encoder, with its prompts shown; None: somebody at the terminal did not want to wait."""
    with _prompts(channel, encoder, on_stderr=as_json):
        try:
            return ask(channel, verb, {"encoder": encoder, **body}, timeout_s=None)
        except KeyboardInterrupt:
            return None


@contextmanager
def _prompts(channel: Channel, encoder: str, *, on_stderr: bool) -> Iterator[None]:
    """Show what the desk is asked to do at an encoder from now on."""
    begun, turn = threading.Event(), threading.Lock()
    is_over = False

    def show() -> None:
        shown = None
        try:
            for event in channel.changes():
                if event.kind == "snapshot":
                    begun.set()
                asked = prompt(event.body) if event.kind == "encoder" and event.body["name"] == encoder else shown
                with turn:
                    if is_over:
                        return
                    if begun.is_set() and asked and asked != shown:
                        click.echo(asked, err=on_stderr)
                shown = asked
        except Unreachable:
            return
        finally:
            begun.set()

    # It waits for events that may never come: nothing but a daemon thread ends with the program.
    threading.Thread(target=show, name="prompts", daemon=True).start()
    begun.wait()
    try:
        yield
    finally:
        with turn:  # which it may hold as it prints, and must not at the end of the program
            is_over = True


def _card(body: Mapping[str, Any], zone: tzinfo) -> Iterator[str]:
    card = body.get("card") or {}
    yield printable(f"{_name(card.get('uid'))} ({card.get('technology', 'unknown')})")
    for name, value in (body.get("fields") or {}).items():
        yield printable(f"  {name}: {value}")
    made = body.get("made_here")
    if made is None:
        yield "It was not made here."
        return
    valid = "valid" if made["is_valid"] else "not valid any more"
    if made["is_deleted"]:
        valid = "deleted since"
    when = moment(made["issued_at"], zone)
    if made["is_certain"]:
        yield printable(f"Made here {when} for {made['access_method_id']}, {valid}.")
    else:
        yield printable(
            f"Begun here for {made['access_method_id']}, given up {when}: it may carry it. Erase it or use it."
        )
    for name, key in (("From", "starts_at"), ("Until", "ends_at")):
        if made.get(key):
            yield f"  {name} {moment(made[key], zone)}"
    if made.get("entrances"):
        yield printable(f"  Opens {', '.join(made['entrances'])}")
    if made.get("operator"):
        yield printable(f"  By {made['operator']}")


def _name(uid: str | None) -> str:
    return f"Card {uid}" if uid else "The card"
