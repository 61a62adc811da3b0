"""`drivers`: what is installed and whether it can be used."""

from __future__ import annotations

import click

from encoder_bridge.cli.command import Command, json_option, say_json


@click.command(cls=Command)
@json_option
def drivers(as_json: bool) -> None:
    """List the installed drivers and whether each can be used."""
    from encoder_bridge.plugins import LoadStatus, load_all

    found = load_all()
    if as_json:
        say_json(
            [
                {
                    "name": loaded.name,
                    "status": loaded.status.value,
                    "distribution": loaded.distribution,
                    "version": loaded.version,
                    "port": ".".join(map(str, loaded.driver.port)) if loaded.driver else None,
                    "message": loaded.sentence,
                }
                for loaded in found
            ]
        )
        return
    if not found:
        click.echo("No driver is installed.")
    width = max((len(loaded.name) for loaded in found), default=0)
    for loaded in found:
        about = loaded.sentence
        if loaded.status is LoadStatus.USABLE:
            about = f"{loaded.distribution} {loaded.version}"
        click.echo(f"{loaded.name:<{width}}  {loaded.status:<12}  {about}")
