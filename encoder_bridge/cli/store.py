"""`store`: what is kept."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from encoder_bridge.cli.asking import ask, conclude
from encoder_bridge.cli.command import Command, config_option, json_option
from encoder_bridge.cli.reach import reach, socket_option


@click.group()
def store() -> None:
    """Look after what is kept of guests."""


@store.command("erase-guest", cls=Command)
@click.argument("who")
@config_option
@socket_option
@json_option
@click.pass_context
def erase_guest(ctx: click.Context, who: str, config: Path | None, socket: Path | None, as_json: bool) -> None:
    """Forget a guest: WHO is an access method, or a value that a trigger brought, such as a name.

    With - it is read from standard input, where no history and no list of processes shows it.  The history of cards
    stays, without it.
    """
    if who == "-":
        who = sys.stdin.readline().strip()
    if not who:
        raise click.UsageError("Say whom to forget: an access method, or a value that a trigger brought.")
    with reach(config, socket, works=False) as reached:
        answer = ask(reached.channel, "erase-guest", {"who": who})
    ctx.exit(conclude(answer, as_json=as_json, done="What was known of this guest is erased."))
