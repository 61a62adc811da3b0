"""`completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from encoder_bridge.cli import PROGRAM, cli
from encoder_bridge.cli.command import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a completion script.

    For bash: encoder-bridge completion bash > /etc/bash_completion.d/encoder-bridge
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(kind(cli, {}, PROGRAM, "_ENCODER_BRIDGE_COMPLETE").source())
