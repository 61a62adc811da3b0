"""The command line.  A command's module is imported when the command is used, so that `run` pays for no other."""

from __future__ import annotations

import sys
from importlib import import_module
from io import TextIOWrapper

import click

from encoder_bridge import __version__

PROGRAM = "encoder-bridge"

COMMANDS = {
    "completion": "encoder_bridge.cli.completion:completion",
    "config": "encoder_bridge.cli.config:config",
    "drivers": "encoder_bridge.cli.drivers:drivers",
    "encode": "encoder_bridge.cli.encode:encode",
    "encoders": "encoder_bridge.cli.desk:encoders",
    "erase": "encoder_bridge.cli.cards:erase",
    "jobs": "encoder_bridge.cli.jobs:jobs",
    "operator": "encoder_bridge.cli.desk:operator",
    "read": "encoder_bridge.cli.cards:read",
    "run": "encoder_bridge.cli.run:run",
    "simulate": "encoder_bridge.cli.simulate:simulate",
    "store": "encoder_bridge.cli.store:store",
    "watch": "encoder_bridge.cli.watch:watch",
}
"""Name of a command: where it is, as ``module:attribute``."""

EXIT_CODES = {
    0: "all well",
    1: "a negative result, such as an access method without a job, or no card",
    2: "the command line is wrong",
    65: "a message is wrong",
    69: "the broker, or the running bridge, cannot be had",
    70: "a fault of this program; its stack is logged",
    74: "the store cannot be used or trusted",
    78: "the configuration is wrong",
    130: "interrupted before the jobs had ended",
}

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>2}  {meaning}" for code, meaning in EXIT_CODES.items())


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands without importing one."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Turn requests for plastic cards into verified cards and honest reports."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
