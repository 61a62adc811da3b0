"""`simulate`: the daemon with simulated encoders, for whoever wants to see it or to test against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from encoder_bridge.cli import faults
from encoder_bridge.cli.command import Command, json_option
from encoder_bridge.cli.faults import Fault
from encoder_bridge.cli.telling import People, Programs, Teller
from encoder_bridge.errors import BrokerError, ConfigError
from encoder_bridge.sandbox import addresses, broker
from encoder_bridge.sandbox.addresses import Address, Protocol
from encoder_bridge.sandbox.plan import Plan
from encoder_bridge.sandbox.workspace import Workspace

_NO_BROKER = "none is installed, so this runs without MQTT: install mosquitto, or encoder-bridge[nats] with pip"


class _Broker(click.ParamType[Address | broker.Kind]):
    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address | broker.Kind:
        """Take the address of a broker, or the name of one that can be started."""
        if value in broker.KINDS:
            return broker.KINDS[value]
        try:
            return value if isinstance(value, Address) else addresses.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _zone(ctx: click.Context, param: click.Parameter, name: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        from encoder_bridge.config.values import nearest_zone

        sentence = f"{name!r} is no time zone this machine knows: {nearest_zone(name)}"
        raise click.BadParameter(sentence, ctx, param) from None
    return name


class _Simulate(Command):
    def tell_programs(self, error: Mapping[str, object]) -> None:
        """One line, as everything else that is told."""
        click.echo(json.dumps({"step": "error", "sentence": error["message"], "error": error}))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List what can go wrong."""
        with formatter.section("Faults for --fail-next"):
            formatter.write_text(faults.HOW)
            formatter.write_paragraph()
            formatter.write_dl(list(faults.listed()))
        super().format_epilog(ctx, formatter)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """The broker of this run."""

    name: str
    where: Callable[[], Address | None]
    protocol: Protocol | None
    ca_file: Path | None
    password_file: Path | None

    def address(self) -> Address | None:
        """Wait until it can be used."""
        found = self.where()
        if found and self.protocol:
            found = replace(found, protocol=self.protocol)
        return replace(found, ca_file=self.ca_file) if found else None


_FOLDER = click.Path(file_okay=False, path_type=Path, resolve_path=True)
_SECONDS = click.FloatRange(min=0, max=3600)


@click.command(cls=_Simulate)
@click.option(
    "--broker",
    "chosen_broker",
    type=_Broker(),
    help="Use this broker, mqtt[s]://[user@]host[:port]; or start a private one, mosquitto or nats.",
)
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path, resolve_path=True),
    help="File with the password for --broker, for your eyes only (chmod 600).",
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path, resolve_path=True),
    help="Certificates (PEM) to check the broker of an mqtts:// address against.",
)
@click.option("--protocol", type=click.Choice(["5", "3.1.1"]), help="MQTT's version; 5 unless given, but for NATS.")
@click.option("--no-broker", is_flag=True, help="Run without MQTT.")
@click.option(
    "--jobs",
    type=click.IntRange(0, 10_000),
    default=1,
    show_default=True,
    help="Triggers to send; with 0 only what an earlier run left in --store is brought to its end.",
)
@click.option("--encoders", type=click.IntRange(1, 64), default=1, show_default=True, help="Encoders on the desk.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Triggers per second; all at once unless given."
)
@click.option("--latency", type=_SECONDS, default=0.08, show_default=True, help="Seconds to write a block.")
@click.option("--place", type=_SECONDS, default=0.8, show_default=True, help="Seconds the clerk takes to lay a card.")
@click.option(
    "--fail-next",
    type=Fault(),
    multiple=True,
    help="What goes wrong next, NAME or NAME@K for after K blocks; give it again for the one after.",
)
@click.option("--card-stock", type=_FOLDER, help="Folder to keep the cards in; else they are removed at the end.")
@click.option("--store", type=_FOLDER, help="Folder to keep the jobs in (and the cards): a killed run is resumed.")
@click.option(
    "--time-zone",
    default="UTC",
    show_default=True,
    callback=_zone,
    help="The property's time zone, such as Europe/Berlin.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the next job's end.",
)
@click.option("--once", is_flag=True, help="Exit when the jobs have ended, instead of waiting for more.")
@click.option("-v", "--verbose", is_flag=True, help="Show the daemon's own log as well, on standard error.")
@json_option
@click.pass_context
def simulate(
    ctx: click.Context,
    /,
    *,
    chosen_broker: Address | broker.Kind | None,
    password_file: Path | None,
    ca_file: Path | None,
    no_broker: bool,
    verbose: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Watch a trigger become a verified card: the real daemon with simulated encoders.

    Without --broker a private mosquitto is started, else a NATS server, else it runs without MQTT.  Nothing needs to be
    configured.  The exit code is 1 when a job did not end as it should have.
    """
    if chosen_broker and no_broker:
        raise click.UsageError("--broker and --no-broker contradict each other: give one of them.")
    if (password_file or ca_file) and not isinstance(chosen_broker, Address):
        raise click.UsageError("--password-file and --ca-file belong to the --broker of an address: give that as well.")
    if isinstance(chosen_broker, Address):
        if ca_file and not chosen_broker.tls:
            raise click.UsageError("--ca-file needs mqtts://: write the address of --broker so, or leave the file out.")
        if password_file and chosen_broker.username is None:
            raise click.UsageError("--password-file needs a name to log in with: give --broker mqtt://NAME@host.")
    plan = Plan(
        jobs=chosen["jobs"],
        encoders=chosen["encoders"],
        rate=chosen["rate"],
        latency_s=chosen["latency"],
        place_s=chosen["place"],
        faults=chosen["fail_next"],
        cards=chosen["card_stock"],
        store=chosen["store"],
        once=chosen["once"],
        time_zone=chosen["time_zone"],
        limit_s=chosen["time_limit"],
    )
    teller: Teller = Programs() if as_json else People()
    with ExitStack() as stack:
        workspace = stack.enter_context(Workspace.open(plan))
        name, where = _choose(stack, chosen_broker, no_broker=no_broker)
        opened = _Opened(
            name=name, where=where, protocol=chosen["protocol"], ca_file=ca_file, password_file=password_file
        )
        ctx.exit(_play(plan, teller, workspace, opened, verbose=verbose))


def _choose(
    stack: ExitStack, chosen: Address | broker.Kind | None, *, no_broker: bool
) -> tuple[str, Callable[[], Address | None]]:
    """What to call the broker, and what to call for its address once everything else is ready."""
    if isinstance(chosen, Address):
        return "yours", lambda: chosen
    if no_broker:
        return "none, as you wish", lambda: None
    found = broker.find(chosen)
    if found is None and chosen is not None:
        raise BrokerError(f"{chosen.name} is not installed: {chosen.install}.")
    if found is None:
        return _NO_BROKER, lambda: None
    kind, program = found
    return f"a private {kind.name}", stack.enter_context(broker.private(kind, program))


def _play(plan: Plan, teller: Teller, workspace: Workspace, opened: _Opened, *, verbose: bool) -> int:
    # The slow imports, while a private broker starts.
    import asyncio

    from encoder_bridge import log
    from encoder_bridge.config.tls import tls_context
    from encoder_bridge.sandbox.play import Play
    from encoder_bridge.sandbox.settings import settings_for
    from encoder_bridge.topics import Topics

    log.configure("info" if verbose else "error", "text")
    address = opened.address()
    store, cards = workspace.store, workspace.cards
    settings = settings_for(plan, address, store=store, cards=cards, password=opened.password_file)
    if settings.mqtt and settings.mqtt.tls:
        tls_context(settings.mqtt)  # a wrong file is not the broker's fault
    secret = settings.mqtt_password()
    if address and secret is not None:
        try:
            address = replace(address, password=secret.decode())
        except UnicodeDecodeError:  # whose words quote the password
            raise ConfigError("--password-file: the password is not UTF-8: save the file as UTF-8.") from None
    teller.broker(
        opened.name,
        address,
        Topics(settings.topic_root),
        cards,
        kept=workspace.keeps_cards,
        control=settings.control_socket,
    )

    async def play() -> int:
        return await Play(plan, settings, address, teller.step).run(teller.summary)

    return asyncio.run(play())
