"""`config check` and `config show`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from encoder_bridge.cli.command import Command, config_option, json_option, say_json
from encoder_bridge.errors import ConfigError


@click.group()
def config() -> None:
    """Check or show the configuration."""


@config.command(cls=Command)
@config_option
@json_option
@click.pass_context
def check(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """Check the configuration, the secrets' files and the drivers' own settings, touching no device."""
    from encoder_bridge.cli.checks import findings
    from encoder_bridge.config import load
    from encoder_bridge.redaction import without_secrets

    try:
        settings = load(config, os.environ)
    except ConfigError as error:
        wrong = str(error).splitlines()
    else:
        wrong = [without_secrets(sentence) for sentence in findings(settings)]
    if as_json:
        say_json({"is_valid": not wrong, "findings": wrong})
    else:
        for sentence in wrong or ["The configuration is in order."]:
            click.echo(sentence, err=bool(wrong))
    ctx.exit(ConfigError.exit_code if wrong else 0)


@config.command(cls=Command)
@config_option
@json_option
def show(config: Path | None, as_json: bool) -> None:
    """Show every setting, defaults and the environment's included; secrets are masked."""
    from encoder_bridge.config import load, masked

    shown = masked(load(config, os.environ))
    if as_json:
        say_json(shown)
        return
    for key, value in _flat(shown):
        click.echo(f"# {key} is not set" if value is None else f"{key} = {json.dumps(value, ensure_ascii=False)}")


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """One dotted key, as TOML writes them, for each value."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
