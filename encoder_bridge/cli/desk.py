"""`encoders` and `operator`: what stands on the desk, and who stands at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from encoder_bridge.cli.asking import ask, conclude
from encoder_bridge.cli.client import sentence
from encoder_bridge.cli.command import Command, config_option, json_option, say_json
from encoder_bridge.cli.reach import reach, socket_option
from encoder_bridge.cli.words import DOES, limits, printable, prompt


@click.command(cls=Command)
@click.option("--attached", is_flag=True, help="What is plugged in, configured or not, and how to configure it.")
@config_option
@socket_option
@json_option
def encoders(attached: bool, config: Path | None, socket: Path | None, as_json: bool) -> None:
    """List the encoders, what each is doing and what it cannot see to."""
    if attached:
        from encoder_bridge.cli.attached import list_attached

        list_attached(as_json=as_json)
        return
    with reach(config, socket, works=False) as reached:
        found = reached.channel.get("/v1/encoders").body["encoders"]
    if as_json:
        say_json(found)
        return
    width = max((len(encoder["name"]) for encoder in found), default=0)
    for encoder in found:
        click.echo(_line(encoder, width))
        for limit in limits(encoder):
            click.echo(f"{'':<{width}}  {limit}")
    if reached.is_own:
        click.echo("No bridge runs, so no encoder is open: start it with 'encoder-bridge run'.", err=True)


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--nobody", is_flag=True, help="Nobody in particular is at the desk.")
@config_option
@socket_option
@json_option
@click.pass_context
def operator(
    ctx: click.Context, name: str | None, nobody: bool, config: Path | None, socket: Path | None, as_json: bool
) -> None:
    """Say who is at the desk, for the history of every card from now on."""
    if (name is None) != nobody:
        raise click.UsageError("Say who: give a NAME, or --nobody.")
    with reach(config, socket, works=False) as reached:
        answer = ask(reached.channel, "operator", {"operator": name})
    done = f"{printable(name)} is at the desk." if name else "Nobody in particular is at the desk."
    ctx.exit(conclude(answer, as_json=as_json, done=done))


def _line(encoder: dict[str, Any], width: int) -> str:
    parts = [
        f"{encoder['name']:<{width}}",
        f"{encoder.get('driver', ''):<12}",
        DOES.get(encoder["state"], encoder["state"]),
    ]
    if can := encoder.get("can"):
        parts.append(f"can {', '.join(can)}")
    if method := encoder.get("access_method_id"):
        parts.append(f"for {method}")
    if asked := prompt(encoder):
        parts.append(asked)
    if error := encoder.get("error"):
        parts.append(sentence(error))
    return printable("  ".join(parts))
