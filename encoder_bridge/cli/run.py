"""`run`: the daemon."""

from __future__ import annotations

import os
from pathlib import Path

import click

from encoder_bridge.cli.command import Command, config_option


@click.command(cls=Command)
@config_option
def run(config: Path | None) -> None:
    """Run the daemon in the foreground until it is told to stop (SIGTERM, SIGINT)."""
    from encoder_bridge import app, log
    from encoder_bridge.config import load

    settings = load(config, os.environ)
    log.configure(settings.log.level, settings.log.format)
    app.run(settings)
