"""What is said before a bridge goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from rigs.brokers import Broker
from rigs.tap import Tap
from store.desk import RULES

from encoder_bridge.board import Board
from encoder_bridge.commits import Commits
from encoder_bridge.local import LocalReporter
from encoder_bridge.reports import Outgoing, ReplyAddress
from encoder_bridge.sealing import Seal
from encoder_bridge.sqlite import open_store
from encoder_bridge.store import News, Store
from encoder_bridge.telling import Teller
from encoder_bridge.topics import Topics
from encoder_bridge.wire import Trigger

from .addresses import address
from .front_desk import FrontDesk, InProcess, need


def test_a_job_that_ends_while_stopping_is_told_before_the_process_ends(
    open_desk: Callable[..., FrontDesk], broker: Broker, tap: Tap
) -> None:
    desk = open_desk(broker, tap, runs=InProcess, encoder={"latency_s": 0.1})
    desk.trigger(need("last-one"))
    desk.stands("last-one", "writing")
    desk.stop()
    assert desk.event("last-one")["is_issued"] is True
    assert not desk.rows("SELECT kind, name FROM outbox")


@asynccontextmanager
async def open_commits(path: Path, hearers: list[Callable[[News], None]]) -> AsyncIterator[tuple[Store, Commits]]:
    connection = open_store(path)
    store = Store(connection, RULES, Seal(bytes(32)))
    commits = Commits(
        connection,
        take_news=store.take_news,
        on_commit=lambda news: [hear(news) for hear in hearers].clear(),
        when_idle=store.retention.tidy,
    )
    try:
        yield store, commits
    finally:
        await commits.close()
        connection.close()


async def take(store: Store, commits: Commits, number: int) -> None:
    trigger = Trigger.model_validate(
        {"event_id": f"e{number}", "event_type": "access_method.card_encoding_required", "access_method_id": "m"}
    )
    await commits(store.needs.accept, trigger, ReplyAddress(), 1_750_000_000_000)


def test_where_nobody_is_connected_a_stop_does_not_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        hearers: list[Callable[[News], None]] = []
        async with open_commits(tmp_path / "jobs.sqlite", hearers) as (store, commits):
            teller = Teller(address(), Topics("base/site/desk"), commits=commits, store=store, board=Board())
            hearers.append(teller.hear)
            await take(store, commits, 1)
            await asyncio.wait_for(teller.drain(), 5)
            assert await commits.relaxed(store.outbox.pending, 1)

    asyncio.run(scenario())


def test_a_listener_in_the_process_has_heard_all_before_a_stop(tmp_path: Path) -> None:
    async def scenario() -> list[Outgoing]:
        heard: list[Outgoing] = []
        hearers: list[Callable[[News], None]] = []
        async with open_commits(tmp_path / "jobs.sqlite", hearers) as (store, commits):
            reporter = LocalReporter(heard.append, commits=commits, store=store)
            hearers.append(reporter.hear)
            await reporter.drain()
            running = asyncio.create_task(reporter.run())
            for number in range(3):
                await take(store, commits, number)
                await asyncio.wait_for(reporter.drain(), 5)
                assert not await commits.relaxed(store.outbox.pending, 1)
            running.cancel()
            await asyncio.wait({running})
            await asyncio.wait_for(reporter.drain(), 5)
            assert not await commits.relaxed(store.outbox.pending, 1)
        return heard

    assert len(asyncio.run(scenario())) >= 3
