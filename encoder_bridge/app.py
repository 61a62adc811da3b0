"""The composition root: the only module that knows every other."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from zoneinfo import ZoneInfo

from encoder_bridge import __version__, reports, systemd, texts, wire
from encoder_bridge.board import Board
from encoder_bridge.clock import FLOOR_MS, ClockTrust, Trust, has_rtc, kernel_synchronized, now_ms
from encoder_bridge.commits import Commits, Connection
from encoder_bridge.config import MqttSettings, Settings
from encoder_bridge.config.tls import tls_context
from encoder_bridge.control import Control
from encoder_bridge.dispatcher import Dispatcher
from encoder_bridge.driver import (
    PORT,
)
from encoder_bridge.equipment import equip
from encoder_bridge.errors import first_of
from encoder_bridge.intake import REQUESTS, Intake
from encoder_bridge.keys import seal_of, signatures_of
from encoder_bridge.local import LocalReporter
from encoder_bridge.log import get_logger
from encoder_bridge.reports import Outgoing
from encoder_bridge.routing import Route
from encoder_bridge.sqlite import open_alone
from encoder_bridge.station import Station
from encoder_bridge.store import News, Rules, Store
from encoder_bridge.store.views import Views
from encoder_bridge.topics import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """A running daemon, for whoever runs it in this process."""

    intake: Intake
    board: Board
    topics: Topics


DRAIN_S = 2.0
"""How long a shutdown waits for reports to be acknowledged; the others go at the next start."""
_DAY_MS = 86_400_000


def run(settings: Settings) -> None:
    """Run the daemon until SIGTERM or SIGINT.

    Raises:
        BridgeError: it cannot go on.
    """
    asyncio.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Run the daemon in this loop until a signal ends it; see `run`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = get_logger("bridge")
    async with bridge(settings):
        systemd.notify(READY="1", STATUS=f"{len(settings.encoders)} encoders")
        log.info("ready", version=__version__, encoders=sorted(settings.encoders))
        await stop.wait()
        systemd.notify(STOPPING="1")
        log.info("stopping")


@asynccontextmanager
async def bridge(
    settings: Settings,
    *,
    listener: Callable[[Outgoing], None] | None = None,
    hears: bool = True,
    works: bool = True,
) -> AsyncIterator[Bridge]:
    """Everything, running inside the context.

    Args:
        settings: the configuration.
        listener: is told the reports where no broker is configured; without either they wait in the store.
        hears: talks to the broker, if one is configured.
        works: takes jobs from the queue; else an encoder is opened only to read or blank a card that somebody asks for.

    Raises:
        ConfigError: the configuration names what is not to be had.
        StoreError: the store cannot be used, now or later.
    """
    equipment = [equip(settings, name) for name in settings.encoders]
    signed = signatures_of(settings)
    try:
        async with AsyncExitStack() as stack:
            connection = stack.enter_context(open_alone(settings.store))
            trust = _clock_trust(settings, connection)
            sealed = connection.execute("SELECT 1 FROM personal UNION ALL SELECT 1 FROM contents LIMIT 1").fetchone()
            store = Store(connection, _rules(settings), seal_of(settings, is_needed=sealed is not None))
            hearers: list[Callable[[News], None]] = []
            commits = Commits(
                connection,
                take_news=store.take_news,
                on_commit=lambda news: _pass_on(news, hearers),
                when_idle=store.retention.tidy,
            )
            stack.push_async_callback(commits.close)
            unsure = await commits(store.recovery.recover, max(now_ms(), FLOOR_MS))
            if unsure:
                get_logger("bridge").warning("interrupted", unsure=unsure)
            board = Board()
            stations = [
                Station(item, commits=commits, store=store, board=board, clock=now_ms, works=works)
                for item in equipment
            ]
            dispatcher = Dispatcher(
                stations,
                commits=commits,
                store=store,
                board=board,
                clock=now_ms,
                hand_over_s=settings.jobs.hand_over_s if works else None,
            )
            mqtt = settings.mqtt if hears else None
            topics = Topics(settings.topic_root)
            allowed = mqtt.reply_topics if mqtt else ()
            intake = Intake(
                store,
                commits,
                now_ms,
                may_reply=lambda topic: topics.may_reply(topic, allowed),
                signed=signed,
                errands=dispatcher.errand,
                may_erase_from_afar=bool(mqtt and mqtt.erase),
                clock_trust=trust,
            )
            stack.push_async_callback(intake.close)
            reporters: list[Reporter] = []
            if mqtt:
                reporters.append(
                    _link(settings, mqtt, topics, intake=intake, commits=commits, store=store, board=board),
                )
            elif listener:
                reporters.append(LocalReporter(listener, commits=commits, store=store))
            control = Control(
                settings.control_socket,
                intake=intake,
                board=board,
                views=Views(connection.execute),
                commits=commits,
                encoders={name: {"driver": encoder.driver} for name, encoder in settings.encoders.items()},
                about={"site": settings.site, "desk": settings.desk, "time_zone": settings.time_zone},
            )
            hearers += [dispatcher.hear, control.hear, *(reporter.hear for reporter in reporters)]
            if not trust.is_set():
                _say_that_the_clock_is_not_set(board, trust)
            async with control.serving(), asyncio.TaskGroup() as tasks:
                dispatching = tasks.create_task(_when_set(trust, dispatcher.run), name="dispatcher")
                others = [
                    tasks.create_task(_feed_watchdog(commits, store), name="watchdog"),
                    *(tasks.create_task(_when_set(trust, reporter.run), name="reporter") for reporter in reporters),
                ]
                try:
                    yield Bridge(intake=intake, board=board, topics=topics)
                finally:
                    # The desk first: what a started write came to is told before we go.
                    dispatching.cancel()
                    await asyncio.wait({dispatching})
                    for reporter in reporters:
                        await _drain(reporter)
                    for task in others:
                        task.cancel()
    except BaseExceptionGroup as group:
        raise first_of(group) from None


class Reporter(Protocol):
    """Whatever delivers the outbox."""

    async def drain(self) -> None:
        """Return as soon as nothing is owed, or nothing can be delivered."""

    def hear(self, news: News) -> None:
        """Note what was committed."""

    async def run(self) -> None:
        """Deliver until cancelled."""


def _rules(settings: Settings) -> Rules:
    jobs, privacy = settings.jobs, settings.privacy
    return Rules(
        encoders={name: encoder.driver for name, encoder in settings.encoders.items()},
        routes=tuple(Route(**dict(route)) for route in settings.routes),
        default_profile=jobs.default_profile,
        max_open=jobs.max_open,
        open_for_ms=int(jobs.open_for_s * 1000),
        cards_per_minute=jobs.cards_per_minute,
        sequence_window=jobs.sequence_window,
        zone=ZoneInfo(settings.time_zone),
        keep_personal_ms=privacy.keep_personal_days * _DAY_MS,
        keep_history_ms=privacy.keep_history_days * _DAY_MS,
    )


def _clock_trust(settings: Settings, connection: Connection) -> ClockTrust:
    (newest,) = connection.execute("SELECT max(received_at) FROM event").fetchone()
    return ClockTrust(
        Trust(settings.clock),
        not_before_ms=newest or 0,
        kernel_synchronized=kernel_synchronized,
        has_rtc=has_rtc,
        now=now_ms,
    )


async def _when_set(trust: ClockTrust, run: Callable[[], Awaitable[None]]) -> None:
    """Run what needs to know the time, once it is known."""
    await trust.wait()
    await run()


def _say_that_the_clock_is_not_set(board: Board, trust: ClockTrust) -> None:
    get_logger("bridge").warning("clock_not_set", sentence=trust.why)
    for name in board.encoders:
        board.amend(name, error=reports.problem(texts.problem("clock_not_set")))


def _link(
    settings: Settings,
    mqtt: MqttSettings,
    topics: Topics,
    *,
    intake: Intake,
    commits: Commits,
    store: Store,
    board: Board,
) -> Reporter:
    # Only here, so that a bridge without a broker does not pay for the client.
    from encoder_bridge.broker import Broker
    from encoder_bridge.mqtt import Link

    broker = Broker(
        host=mqtt.host,
        port=mqtt.port,
        protocol=mqtt.protocol,
        client_id=mqtt.client_id,
        username=mqtt.username,
        password=settings.mqtt_password,
        tls=(lambda: tls_context(mqtt)) if mqtt.tls else None,
        keepalive_s=mqtt.keepalive_s,
        session_expiry_s=mqtt.session_expiry_s,
        receive_maximum=mqtt.receive_maximum,
        will_delay_s=mqtt.will_delay_s,
        trigger_topics=tuple(mqtt.trigger_topics),
    )
    # What is wrong with them now is a mistake in the configuration; later it is an outage.
    broker.password()
    if broker.tls:
        broker.tls()
    info = wire.Info(
        version=__version__,
        driver_port=".".join(str(part) for part in PORT),
        mqtt_protocol=mqtt.protocol,
        instance=str(uuid.uuid4()),
        encoders={name: encoder.driver for name, encoder in settings.encoders.items()},
        default_profile=settings.jobs.default_profile,
        max_open_jobs=settings.jobs.max_open,
        triggers=[topics.trigger, *mqtt.trigger_topics],
        requests=[topics.request(verb) for verb in REQUESTS],
    )
    return Link(broker, topics, intake=intake, commits=commits, store=store, board=board, info=info, clock=now_ms)


async def _drain(reporter: Reporter) -> None:
    try:
        async with asyncio.timeout(DRAIN_S):
            await reporter.drain()
    except TimeoutError:
        get_logger("bridge").info("reports_wait")


def _pass_on(news: News, hearers: list[Callable[[News], None]]) -> None:
    for hear in hearers:
        hear(news)


async def _feed_watchdog(commits: Commits, store: Store) -> None:
    """Tell the service manager that the loop turns and the store takes commits."""
    within = systemd.watchdog_s()
    if within is None:
        return
    while True:
        await commits.relaxed(store.outbox.pending, 0)
        systemd.notify(WATCHDOG="1")
        await asyncio.sleep(within / 2)
