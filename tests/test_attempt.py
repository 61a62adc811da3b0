"""What a station makes of devices that vanish, hang, return nonsense or are still at work when it is time to go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from encoder_bridge import station, wire
from encoder_bridge.board import Board
from encoder_bridge.commits import Commits
from encoder_bridge.driver import Capabilities, Card, Evidence, Intent, Prompt, Receipt, Withdrawn
from encoder_bridge.model import Job, State
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.sealing import Seal
from encoder_bridge.sqlite import open_for_reading, open_store
from encoder_bridge.station import Equipment, Station
from encoder_bridge.store import Rules, Store

CARD = Card(technology="test", uid="04aa")
GOOD = Receipt(evidence=Evidence.READ_BACK, card=CARD)
Encode = Callable[["Device", Any], Awaitable[Any]]


class Device:
    """Encodes as the test says."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self.gone = asyncio.Event()
        self.capabilities = Capabilities(technologies=frozenset({"test"}), evidence=Evidence.READ_BACK, silence_s=0.3)

    async def lost(self) -> None:
        await self.gone.wait()

    def check(self, credential: object) -> None:
        pass

    async def encode(self, credential: object, desk: Any, resume: Intent | None = None) -> Any:
        desk.ask(Prompt.PLACE_CARD)
        return await self._encode(self, desk)


class Scene:
    """One station at work on one job."""

    def __init__(self, device: Device, store: Store, board: Board, task: asyncio.Task[None]) -> None:
        self.device, self.store, self.board, self.task = device, store, board, task

    def job(self) -> Job:
        return self.store.work._ledger.job(1)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so():
                await asyncio.sleep(0.01)

    async def shows(self, state: str) -> None:
        await self.until(lambda: self.board.encoders["left"].state == state)

    async def comes_to(self, state: State) -> None:
        await self.until(lambda: self.job().state is state)


@asynccontextmanager
async def scene(folder: Path, device: Device) -> AsyncIterator[Scene]:
    @asynccontextmanager
    async def opened(*_: object) -> AsyncIterator[Device]:
        if device.gone.is_set():
            await asyncio.Event().wait()
        yield device

    connection = open_store(folder / "jobs.sqlite")
    reader = open_for_reading(folder / "jobs.sqlite")
    rules = Rules(encoders={"left": "one"}, default_profile="p", zone=UTC)
    store = Store(connection, rules, Seal(bytes(32)))
    commits = Commits(connection, take_news=store.take_news, on_commit=lambda _: None, when_idle=store.retention.tidy)
    trigger = wire.Trigger.model_validate(
        {"event_id": "e", "event_type": wire.CARD_ENCODING_REQUIRED, "access_method_id": "m"}
    )
    await commits(store.needs.accept, trigger, ReplyAddress(), 1000)
    board = Board()
    equipment = Equipment(
        name="left",
        driver=SimpleNamespace(open=opened),
        settings={},
        secret=lambda _: b"",
        card_wait_s=60,
    )
    working = Station(equipment, commits=commits, store=store, board=board, clock=lambda: 1000)
    task = asyncio.create_task(working.run())
    try:
        yield Scene(device, Store(reader, rules, Seal(bytes(32))), board, task)
    finally:
        task.cancel()
        await asyncio.wait({task})
        await commits.close()
        reader.close()
        connection.close()


async def waits(device: Device, desk: Any) -> Any:
    await desk.withdrawn()
    raise Withdrawn("withdrawn")


def test_a_device_that_goes_while_it_waits_for_a_card_is_offline_at_once(tmp_path: Path) -> None:
    async def go() -> None:
        async with scene(tmp_path, Device(waits)) as desk:
            await desk.shows("waiting_for_card")
            desk.device.gone.set()
            await desk.shows("offline")
            job = desk.job()
            assert job.error is not None
            assert (job.state, job.error.type) == (State.QUEUED, "encoder_not_online")

    asyncio.run(go())


@pytest.mark.parametrize(
    "returned",
    [
        None,
        Receipt(evidence=Evidence.READ_BACK, card=CARD, note={"blocks": 12}),  # type: ignore[dict-item]
        Receipt(evidence="sure", card=None),  # type: ignore[arg-type]
        Receipt(evidence=Evidence.READ_BACK, card=Card(technology="t", uid=["04"])),  # type: ignore[arg-type]
    ],
    ids=["nothing", "a number in the note", "unknown evidence", "a uid that is no text"],
)
def test_a_receipt_that_cannot_be_kept_leaves_the_job_unsure_and_not_for_ever_writing(
    tmp_path: Path, returned: object
) -> None:
    async def writes(device: Device, desk: Any) -> Any:
        await desk.intend(Intent(card=CARD))
        return returned

    async def go() -> None:
        async with scene(tmp_path, Device(writes)) as desk:
            await desk.comes_to(State.UNSURE)
            await desk.shows("offline")

    asyncio.run(go())


def test_an_intent_that_cannot_be_kept_begins_nothing(tmp_path: Path) -> None:
    async def intends(device: Device, desk: Any) -> Any:
        await desk.intend(Intent(card=Card(technology="t", uid=["04"])))  # type: ignore[arg-type]

    async def go() -> None:
        async with scene(tmp_path, Device(intends)) as desk:
            await desk.shows("offline")
            assert desk.job().state in {State.QUEUED, State.FAILED}

    asyncio.run(go())


def test_a_write_that_has_begun_is_finished_before_a_shutdown(tmp_path: Path) -> None:
    async def writes(device: Device, desk: Any) -> Any:
        await desk.intend(Intent(card=CARD))
        for block in range(5):
            desk.progress(block, 5)
            await asyncio.sleep(0.1)
        return GOOD

    async def go() -> None:
        async with scene(tmp_path, Device(writes)) as desk:
            await desk.shows("writing")
            desk.task.cancel()
            await asyncio.wait({desk.task})
            assert desk.job().state is State.ISSUED

    asyncio.run(go())


def test_a_device_that_does_not_come_up_is_said_to_be_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(station, "OPEN_S", 0.05)

    async def go() -> None:
        device = Device(waits)
        device.gone.set()
        async with scene(tmp_path, device) as desk:
            await desk.until(lambda: desk.board.encoders["left"].error is not None)
            assert desk.board.encoders["left"].state == "offline"

    asyncio.run(go())


def test_a_signal_that_never_returns_costs_the_device_and_not_the_card(tmp_path: Path) -> None:
    class Mute(Device):
        async def signal(self, ok: bool) -> None:
            await asyncio.Event().wait()

    async def writes(device: Device, desk: Any) -> Any:
        await desk.intend(Intent(card=CARD))
        return GOOD

    async def go() -> None:
        async with scene(tmp_path, Mute(writes)) as desk:
            await desk.comes_to(State.ISSUED)
            await desk.shows("offline")

    asyncio.run(go())


def test_an_intent_still_on_its_way_to_a_slow_disk_counts_as_begun(tmp_path: Path) -> None:
    async def writes(device: Device, desk: Any) -> Any:
        commits = desk._commits

        async def stalled(*operation: Any) -> Any:
            await commits(*operation)
            await asyncio.Event().wait()

        desk._commits = stalled
        await desk.intend(Intent(card=CARD))

    async def go() -> None:
        async with scene(tmp_path, Device(writes)) as desk:
            await desk.comes_to(State.UNSURE)

    asyncio.run(go())
