"""How the suite calls a driver: in a loop of its own, never longer than it has patience, and again when unsure."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import pytest

from encoder_bridge.driver import Credential, DriverError, Encoder, Evidence, Intent, Receipt, Unsure

from ._desk import Crash, RigDesk
from ._rig import Rig

NO_IDENTITY = "nobody can tell one card of this device from another"
"""Why a behaviour is skipped."""

T = TypeVar("T")
Self = TypeVar("Self")

LAST_STEP = 1000
"""More steps than any driver takes with one card."""

RESUMES = 4
"""How often the suite calls again before it takes `Unsure` for an answer."""


def in_loop(test: Callable[[Self, Rig], Coroutine[Any, Any, None]]) -> Callable[[Self, Rig], None]:
    """Make a plain test of a coroutine.  Unlike `asyncio.run`, it ends even if the driver ignores cancellation."""

    @functools.wraps(test)
    def plain(self: Self, rig: Rig) -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(test(self, rig))
        finally:
            leftover = asyncio.all_tasks(loop)
            for task in leftover:
                task.cancel()
            if leftover:
                loop.run_until_complete(asyncio.wait(leftover, timeout=1.0))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return plain


async def within(limit_s: float, what: str, call: Coroutine[Any, Any, T]) -> T:
    """Await `call`, failing the test by name when it takes longer."""
    return await ended(limit_s, what, asyncio.ensure_future(call))


async def ended(limit_s: float, what: str, task: asyncio.Task[T]) -> T:
    """Await a started task, failing the test by name when it takes longer."""
    done, _ = await asyncio.wait({task}, timeout=limit_s)
    if not done:
        task.cancel()
        pytest.fail(f"{what} did not end within {limit_s:g} s")
    return task.result()


@asynccontextmanager
async def opened(rig: Rig) -> AsyncIterator[Encoder]:
    """Open the rig's device."""
    async with rig.driver.open(rig.settings, rig.secret) as device:
        assert isinstance(device, Encoder), "the device that the rig opens is no Encoder"
        yield device


async def encode(
    rig: Rig,
    device: Encoder,
    credential: Credential,
    desk: RigDesk,
    resume: Intent | None = None,
) -> Receipt:
    """Encode with the rig's patience."""
    call = asyncio.ensure_future(device.encode(credential, desk, resume))
    desk.call = call
    try:
        return await ended(rig.patience_s, "encode", call)
    finally:
        desk.ended_at = asyncio.get_running_loop().time()


async def outcome(
    rig: Rig,
    device: Encoder,
    credential: Credential,
    desk: RigDesk,
    resume: Intent | None = None,
) -> Receipt | DriverError:
    """Encode with the rig's patience, and take what a driver may raise for an answer."""
    try:
        return await encode(rig, device, credential, desk, resume)
    except DriverError as error:
        return error


@contextmanager
def outlived() -> Iterator[None]:
    """Go on after the call inside has died of a crash or a shutdown, also where a task group wrapped that."""
    try:
        yield
    except (Crash, asyncio.CancelledError):
        pass
    except BaseExceptionGroup as group:
        if group.split((Crash, asyncio.CancelledError))[1] is not None:
            raise


async def resolve(rig: Rig, credential: Credential, resume: Intent | None) -> None:
    """Reopen the device and call again until the outcome is known, as the core does; expect one good card.

    A device that cannot tell what is on a card may stay unsure, but then it writes nothing more.
    """
    before = rig.snapshot()
    for _ in range(RESUMES):
        desk = RigDesk(rig)
        async with opened(rig) as device:
            evidence = device.capabilities.evidence
            try:
                await encode(rig, device, credential, desk, resume)
            except Unsure:
                resume = desk.intent or resume
            else:
                assert rig.carries(credential) == 1, "resumed to the end, and not exactly one good card"
                return
    assert evidence is Evidence.ATTESTED, f"still unsure after {RESUMES} calls with the last intent"
    assert rig.snapshot() == before, "unsure, and written to blindly"
