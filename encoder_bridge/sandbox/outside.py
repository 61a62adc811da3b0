"""The integrator: somebody outside who sends triggers and believes only what is told."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from encoder_bridge.board import Board
from encoder_bridge.errors import BrokerError, first_of
from encoder_bridge.intake import Envelope, Intake
from encoder_bridge.reports import Outgoing, ReplyAddress
from encoder_bridge.sandbox.addresses import Address
from encoder_bridge.topics import Topics
from encoder_bridge.wire import EncoderState

_AGAIN_S = 0.5
_SESSION_S = 300
_ONLINE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Something that was told."""

    kind: str
    """The first level of its topic below the desk's: `event`, `response`, `encoder`, `trigger`, `availability`; or
    `broker`, with the name `lost` or `back`."""
    name: str = ""
    """Event type, verb or encoder."""
    body: dict[str, Any]


Hear = Callable[[Heard], None]


class Integrator(Protocol):
    """Whoever asks for cards."""

    async def send(self, payload: bytes) -> None:
        """Send a trigger; return once the other side is responsible for it."""


class Local:
    """Works without a broker, in the daemon's process."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def send(self, payload: bytes) -> None:
        """See `Integrator`."""
        await self._intake.take(Envelope(verb="trigger", payload=payload, reply=ReplyAddress()))


def listen(hear: Hear) -> Callable[[Outgoing], None]:
    """What to give to a daemon without a broker as its listener."""

    def told(message: Outgoing) -> None:
        hear(Heard(kind=message.kind, name=message.name, body=json.loads(message.body)))

    return told


def watch(board: Board, hear: Hear) -> None:
    """Hear what the encoders do, where that is told over no broker."""

    def changed(encoder: str, state: EncoderState) -> None:
        hear(Heard(kind="encoder", name=encoder, body=state.model_dump(exclude_none=True)))

    board.watch(changed)
    for encoder, state in board.encoders.items():
        changed(encoder, state)


class OverMqtt:
    """A client of its own at the broker; it comes back when the connection is lost."""

    def __init__(self, address: Address, topics: Topics, hear: Hear) -> None:
        self._address = address
        self._topics = topics
        self._hear = hear
        self._client: Any = None
        self._connected = asyncio.Event()
        self._online = asyncio.Event()
        self._identifier = f"encoder-bridge-simulate-{secrets.token_hex(4)}"

    async def send(self, payload: bytes) -> None:
        """See `Integrator`."""
        import aiomqtt

        while True:
            await self._connected.wait()
            try:
                await self._client.publish(self._topics.trigger, payload, qos=1)
            except aiomqtt.MqttError:
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    async def daemon_is_online(self) -> None:
        """Return once the daemon has said so since we are here.

        Raises:
            BrokerError: it does not.
        """
        try:
            async with asyncio.timeout(_ONLINE_S):
                await self._online.wait()
        except TimeoutError:
            raise BrokerError(
                f"The daemon does not get through to the broker at {self._address}: see what -v says, and whether "
                "another one uses its name there."
            ) from None

    async def _run(self) -> None:
        import aiomqtt

        while True:
            try:
                async with self._new_client() as client:
                    await client.subscribe(f"{self._topics.root}/#", qos=1)
                    if self._client is not None:
                        self._hear(Heard(kind="broker", name="back", body={}))
                    self._client = client
                    self._connected.set()
                    async for message in client.messages:
                        self._take(str(message.topic), message.payload, retained=message.retain)
            except (aiomqtt.MqttError, OSError) as error:
                if self._client is None:
                    raise BrokerError(_sentence(self._address, error)) from None
                if self._connected.is_set():
                    self._hear(Heard(kind="broker", name="lost", body={}))
                self._connected.clear()
            await asyncio.sleep(_AGAIN_S)

    def _new_client(self) -> Any:
        import aiomqtt
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        address = self._address
        is_v5 = address.protocol == "5"
        properties = Properties(PacketTypes.CONNECT) if is_v5 else None  # type: ignore[no-untyped-call]
        if properties:
            properties.SessionExpiryInterval = _SESSION_S
        return aiomqtt.Client(
            address.host,
            address.port,
            identifier=self._identifier,
            username=address.username,
            password=address.password,
            protocol=aiomqtt.ProtocolVersion.V5 if is_v5 else aiomqtt.ProtocolVersion.V311,
            clean_session=None if is_v5 else True,
            clean_start=False if is_v5 else 3,
            properties=properties,
            tls_context=address.context(),
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    def _take(self, topic: str, payload: object, *, retained: bool) -> None:
        kind, _, name = topic.removeprefix(f"{self._topics.root}/").partition("/")
        try:
            body = json.loads(payload if isinstance(payload, bytes) else b"")
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            body = {}
        if kind == "availability" and body.get("state") == "online" and not retained:
            self._online.set()
        if kind == "encoder" and retained:
            return  # of a daemon that was here before
        self._hear(Heard(kind=kind, name=name.removesuffix("/state"), body=body))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Stay connected inside the context.

        Raises:
            BrokerError: the broker cannot be had.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(self._run(), name="integrator")
                await self._connected.wait()
                try:
                    yield
                finally:
                    running.cancel()
        except BaseExceptionGroup as group:
            raise first_of(group) from None


def _sentence(address: Address, error: Exception) -> str:
    hint = " If it speaks no MQTT 5, add --protocol 3.1.1." if address.protocol == "5" else ""
    return f"The broker at {address} cannot be used ({error}): check the address, the login and that it runs.{hint}"
