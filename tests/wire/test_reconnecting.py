"""A lost connection leaves nothing behind in the task that makes the next one; no broker is needed to see that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import aiomqtt
import pytest

from encoder_bridge import mqtt
from encoder_bridge.board import Board
from encoder_bridge.telling import Teller
from encoder_bridge.topics import Topics
from encoder_bridge.wire import Info

from .addresses import address

ADDRESS = address()
INFO = Info(
    version="1",
    driver_port="1.0",
    mqtt_protocol="5",
    instance="one",
    encoders={},
    default_profile=None,
    max_open_jobs=1,
    triggers=[],
    requests=[],
)


class Broken:
    """A connection of which nothing is heard but its end."""

    session_present = True

    def __init__(self, *_: object, **__: object) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def messages(self) -> AsyncIterator[Any]:
        return self._lost()

    async def _lost(self) -> AsyncIterator[Any]:
        raise aiomqtt.MqttError("lost")
        yield


async def say_goodbye(*_: object) -> None: ...


async def forever(*_: object) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Callable[[], mqtt.Link]:
    monkeypatch.setattr(mqtt, "AckClient", Broken)
    monkeypatch.setattr(mqtt, "BACK_OFF_S", (0.0, 0.0))
    monkeypatch.setattr(Teller, "run", forever)
    monkeypatch.setattr(mqtt.Link, "_part", say_goodbye)
    nothing: Any = None
    return lambda: mqtt.Link(
        ADDRESS,
        Topics("base/site/desk"),
        intake=nothing,
        commits=nothing,
        store=nothing,
        board=Board(),
        info=INFO,
        clock=lambda: 0,
    )


def test_a_broker_lost_in_peace_and_again_in_the_greeting_is_found_again(
    link: Callable[[], mqtt.Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    greetings = 0

    async def scenario() -> None:
        found = asyncio.Event()

        async def greet(*_: object) -> None:
            nonlocal greetings
            greetings += 1
            if greetings > 3:
                found.set()
            if greetings % 2 == 0:  # lost in the middle of it; the others are lost in peace
                await forever()

        monkeypatch.setattr(mqtt.Link, "_greet", greet)
        running, heard = asyncio.create_task(link().run()), asyncio.create_task(found.wait())
        await asyncio.wait({running, heard}, return_when=asyncio.FIRST_COMPLETED)
        assert heard.done(), "it looks for the broker no more"
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(scenario())


@pytest.mark.parametrize("turns", range(12))
def test_a_stop_is_heeded_at_every_turn_of_the_loop_around_a_loss(
    link: Callable[[], mqtt.Link], monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(mqtt.Link, "_greet", forever)
        running = asyncio.create_task(link().run())
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        _, deaf = await asyncio.wait({running}, timeout=5)
        assert not deaf, "it does not hear the stop"

    asyncio.run(scenario())
