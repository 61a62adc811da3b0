"""What is plugged in: every installed driver looks for its devices, with or without a configuration."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import click

from encoder_bridge import plugins
from encoder_bridge.cli.command import say_json
from encoder_bridge.cli.words import printable
from encoder_bridge.driver import DriverError, Found
from encoder_bridge.tracebacks import brief


def list_attached(*, as_json: bool) -> None:
    """Show the devices that the drivers find, what they can do, and the lines that configure them."""
    found = [(name, device) for name, devices in _look() for device in devices]
    if as_json:
        say_json(
            [
                {"driver": name, "identity": device.identity, "settings": device.settings, "about": device.about}
                for name, device in found
            ]
        )
        return
    if not found:
        click.echo("Nothing is plugged in that an installed driver knows.", err=True)
    for name, device in found:
        click.echo(printable(device.identity))
        for what, told in device.about.items():
            click.echo(printable(f"  {what}: {told}"))
        click.echo("  [encoders.NAME]")
        for key, value in {"driver": name, **device.settings}.items():
            click.echo(printable(f"  {key} = {json.dumps(value)}"))


def _look() -> Iterator[tuple[str, tuple[Found, ...]]]:
    for loaded in plugins.load_all():
        if loaded.driver is None:
            click.echo(loaded.sentence, err=True)
            continue
        try:
            yield loaded.name, tuple(asyncio.run(loaded.driver.discover({}, _no_secret)))
        except DriverError as error:
            click.echo(f"{loaded.name}: {error}", err=True)
        except Exception as error:  # noqa: BLE001 - one driver that breaks leaves the others alone
            click.echo(f"{loaded.name}: the driver fails while it looks ({brief(error)}): tell its vendor.", err=True)


def _no_secret(name: str) -> bytes:
    raise LookupError(name)
