"""What all commands have in common: how they end, and the options that several of them take."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from encoder_bridge.errors import BridgeError

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, readable=False),  # whoever reads it says in one sentence what is wrong
    help="Configuration file; else the one that ENCODER_BRIDGE_CONFIG names, else "
    "/etc/encoder-bridge/encoder-bridge.toml.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


class Negative(BridgeError):
    """The command did its work and the answer is no."""

    exit_code = 1


class Command(click.Command):
    """A command whose errors end in one sentence and an exit code of the table in ``--help``."""

    def tell_programs(self, error: Mapping[str, object]) -> None:
        """Print an error for programs, in the form of the command's other answers.

        Args:
            error: its `type`, `message` and `exit_code`.
        """
        say_json({"error": error})

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            click.exceptions.Exit: with the code.
        """
        try:
            return super().invoke(ctx)
        except BridgeError as error:
            self._tell(error, as_json=bool(ctx.params.get("as_json")))
            ctx.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - a bug is logged, whatever it is
            _log(error)
            ctx.exit(os.EX_SOFTWARE)

    def _tell(self, error: BridgeError, *, as_json: bool) -> None:
        if as_json:
            kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
            self.tell_programs({"type": kind, "message": str(error), "exit_code": error.exit_code})
        else:
            click.echo(str(error), err=True)


def say_json(answer: object) -> None:
    """Print an answer for programs."""
    click.echo(json.dumps(answer, indent=2))


def _log(error: Exception) -> None:
    from encoder_bridge import log

    if not logging.getLogger().handlers:
        log.configure("info", "auto")
    log.get_logger("encoder_bridge").exception("this program has a fault: please report it", error)
