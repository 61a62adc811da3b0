"""A desk, a credential and a way to open the simulated encoder, for its own tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import cast

from encoder_bridge_simulated import SensingEncoder, driver

from encoder_bridge.driver import Card, Credential, DriverError, Intent, Prompt

CEST = timezone(timedelta(hours=2))


class PaperDesk:
    """Writes down what it is told; `intending` is called in `intend` and may raise."""

    def __init__(
        self, *, intending: Callable[[], None] = lambda: None, stepping: Callable[[int], None] = lambda _: None
    ) -> None:
        self.prompts: list[tuple[Prompt, Card | None]] = []
        self.steps: list[tuple[int, int]] = []
        self.intents: list[Intent] = []
        self.off = asyncio.Event()
        self.asked = asyncio.Event()
        self._intending = intending
        self._stepping = stepping

    def ask(self, prompt: Prompt, card: Card | None = None) -> None:
        self.prompts.append((prompt, card))
        self.asked.set()

    def progress(self, done: int, total: int) -> None:
        self.steps.append((done, total))
        self._stepping(done)

    async def intend(self, intent: Intent) -> None:
        self._intending()
        self.intents.append(intent)

    async def withdrawn(self) -> None:
        await self.off.wait()


def credential(sequence: int = 1, **more: object) -> Credential:
    plain: dict[str, object] = {
        "access_method_id": f"method-{sequence}",
        "profile": "guest",
        "sequence": sequence,
        "entrances": ("room 101", "pool"),
        "starts_at": datetime(2026, 7, 1, 15, tzinfo=CEST),
        "ends_at": datetime(2026, 7, 3, 11, tzinfo=CEST),
        "fields": {"guest": "Zoë Ångström", "room": "101"},
        "data": {"block": bytes(range(64))},
    }
    return Credential(**(plain | more))  # type: ignore[arg-type]


def secret(name: str) -> bytes:
    raise LookupError(name)


def opened(stock: Path, **settings: object) -> AbstractAsyncContextManager[SensingEncoder]:
    context = driver.open({"stock": str(stock), **settings}, secret)
    return cast("AbstractAsyncContextManager[SensingEncoder]", context)


async def failed(device: SensingEncoder, desk: PaperDesk, resume: Intent | None = None) -> DriverError:
    """The error that an encode ends in."""
    try:
        await device.encode(credential(), desk, resume)
    except DriverError as error:
        return error
    raise AssertionError("the encode did not fail")


def plastic(stock: Path) -> dict[str, bytes]:
    """Every byte of every card."""
    return {path.name: path.read_bytes() for path in stock.glob("*.card")}


async def come_true(condition: Callable[[], object]) -> None:
    """Let the loop run until something holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)
