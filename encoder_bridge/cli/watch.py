"""`watch`: what happens at the desk, as it happens."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from encoder_bridge.cli.client import Channel
from encoder_bridge.cli.command import Command, config_option
from encoder_bridge.cli.reach import socket_option
from encoder_bridge.cli.screen import Lines, Screen, View


@click.command(cls=Command)
@config_option
@socket_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def watch(ctx: click.Context, config: Path | None, socket: Path | None, as_json: bool) -> None:
    """Watch encoders and open jobs of a running bridge until interrupted; a bridge that starts again is found again."""
    if socket is None:
        from encoder_bridge.config import load

        socket = load(config, os.environ).control_socket
    channel = Channel(socket)
    about = channel.get("/v1/health").body
    zone = ZoneInfo(about.get("time_zone", "UTC"))
    view: View = Screen(zone) if sys.stdout.isatty() else Lines()
    try:
        for event in channel.changes():
            if as_json:
                click.echo(json.dumps({"event": event.kind, **event.body}))
            else:
                view.note(event)
    except KeyboardInterrupt:
        ctx.exit(0)
