"""What the bridge relies on in the MQTT client's private parts; a new version of the client has to pass here."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.client import MQTTMessage
from rigs.brokers import Broker, Mosquitto
from rigs.tap import Tap

from encoder_bridge import mqtt
from encoder_bridge.app import bridge
from encoder_bridge.broker import AckClient
from encoder_bridge.config import load
from encoder_bridge.intake import Envelope, Intake

from . import clients
from .addresses import address
from .conftest import run_or_skip
from .front_desk import FrontDesk, InProcess, need

Open = Callable[..., FrontDesk]

DIES_BEFORE_COMMIT = "from encoder_bridge.intake import Intake; Intake.take = die_late"
DIES_BEFORE_ACKNOWLEDGING = "from encoder_bridge.broker import AckClient; AckClient.ack = die"
DIES = """
import asyncio, os, signal, sys
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
async def die_late(*_):
    await asyncio.sleep(0.2)  # time enough for an acknowledgement that came too early
    die()
{patch}
sys.argv = ["encoder-bridge", "run", "--config", sys.argv[1]]
from encoder_bridge.__main__ import main
main()
"""


class Mortal(InProcess):
    """A daemon that kills itself at one place, until `patch` is taken away."""

    patch: str | None = None

    def __init__(self, configuration: Path, environ: Mapping[str, str]) -> None:
        super().__init__(configuration, environ)
        self._whole = self._command
        self._configuration = configuration

    def start(self) -> None:
        dying = [sys.executable, "-c", DIES.format(patch=self.patch), str(self._configuration)]
        self._command = dying if self.patch else self._whole
        super().start()

    def has_died(self) -> bool:
        return self._process.wait(20) == -signal.SIGKILL


@pytest.mark.parametrize("patch", [DIES_BEFORE_COMMIT, DIES_BEFORE_ACKNOWLEDGING], ids=["commit", "acknowledging"])
def test_nothing_is_lost_or_made_twice_by_dying_before(open_desk: Open, broker: Broker, tap: Tap, patch: str) -> None:
    desk = open_desk(broker, tap, runs=Mortal)
    desk.stop()
    methods = [f"{desk.name}-{number}" for number in range(10)]
    for method in methods:
        desk.trigger(need(method))
    desk.bridge.patch = patch
    desk.start(online=False)
    assert desk.bridge.has_died()
    desk.bridge.patch = None
    desk.start()
    for method in methods:
        assert desk.event(method)["is_issued"] is True
        assert len(desk.cards_of(method)) == 1


def test_acknowledgements_go_out_in_the_order_of_arrival(
    open_desk: Open, mosquitto: Broker, mosquitto_tap: Tap, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged: list[bytes] = []
    ack, take = AckClient.ack, Intake.take
    last_is_stored = None

    def count(client: AckClient, message: aiomqtt.Message) -> None:
        if str(message.topic).endswith("/trigger"):
            acknowledged.append(bytes(message.payload))
        ack(client, message)

    async def last_first(intake: Intake, envelope: Envelope) -> None:
        nonlocal last_is_stored
        last_is_stored = last_is_stored or asyncio.Event()
        if b'"order-4"' not in envelope.payload:
            await last_is_stored.wait()
        await take(intake, envelope)
        last_is_stored.set()

    monkeypatch.setattr(AckClient, "ack", count)
    monkeypatch.setattr(Intake, "take", last_first)
    desk = open_desk(mosquitto, mosquitto_tap)
    for number in range(5):
        desk.trigger(need(f"order-{number}"))
    for number in range(5):
        desk.event(f"order-{number}")
    desk.stop()
    assert [int(payload.partition(b"order-")[2][:1]) for payload in acknowledged] == [0, 1, 2, 3, 4]


def test_nothing_is_acknowledged_on_a_connection_that_is_gone() -> None:
    async def scenario(broker: Broker) -> int:
        acknowledged = 0
        client = AckClient(address("careful", broker.host, broker.port), aiomqtt.Will("gone", b""), on_refusal=print)
        send = client._client.ack

        def count(mid: int, qos: int) -> Any:
            nonlocal acknowledged
            acknowledged += 1
            return send(mid, qos)

        client._client.ack = count  # type: ignore[method-assign]
        await client.__aenter__()
        await client.subscribe("in", qos=1)
        await asyncio.to_thread(clients.publish, broker, "in", b"first")
        await asyncio.to_thread(clients.publish, broker, "in", b"second")
        first = await anext(aiter(client.messages))
        second = await anext(aiter(client.messages))
        client.ack(first)
        assert acknowledged == 1
        await asyncio.to_thread(broker.kill)
        with pytest.raises(aiomqtt.MqttError):
            await anext(aiter(client.messages))
        client.ack(second)
        await client.__aexit__(None, None, None)
        return acknowledged

    with run_or_skip(Mosquitto) as broker:
        assert asyncio.run(scenario(broker)) == 1


def test_a_topic_on_which_the_client_breaks_is_not_quoted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        client = AckClient(address("discreet"), aiomqtt.Will("gone", b""), on_refusal=print)
        message = MQTTMessage(mid=1, topic=b"rooms/Miss Marple/#")
        with pytest.raises(ValueError, match="Invalid topic"):
            client._client._handle_on_message(message)

    asyncio.run(scenario())
    assert [record.getMessage() for record in caplog.records] == ["Caught exception in on_message: ValueError"]


def test_every_connection_has_a_client_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[AckClient] = []
    sessions: list[bool] = []

    class Counted(AckClient):
        async def __aenter__(self) -> Any:
            entered.append(self)
            client = await super().__aenter__()
            sessions.append(self.session_present)
            return client

    monkeypatch.setattr(mqtt, "AckClient", Counted)
    monkeypatch.setattr(mqtt, "BACK_OFF_S", (0.05, 0.1))
    with run_or_skip(Mosquitto) as broker, Tap(broker) as tap, FrontDesk(broker, tap, tmp_path) as desk:
        for count in range(3):
            broker.restart(kill=count % 2 == 0)
            desk.wait_online(count + 2)
        desk.serve_one_more()
    assert len({id(client) for client in entered}) == len(entered) >= 4
    assert sessions[0] is False
    assert sessions[-1] is True


@pytest.mark.parametrize("turns", range(6))
def test_a_stop_is_heeded_at_every_turn_of_the_loop_around_an_acknowledgement(
    mosquitto: Broker, mosquitto_tap: Tap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    desk = FrontDesk(mosquitto, mosquitto_tap, tmp_path)
    desk.start()
    desk.stop()
    on_publish = AckClient._on_publish

    async def starting() -> None:
        loop = asyncio.get_running_loop()
        acknowledged = 0

        def stop(left: int) -> None:
            if left:
                loop.call_soon(stop, left - 1)
            else:
                for task in asyncio.all_tasks():
                    if task.get_name() == "reporter":
                        task.cancel()

        def note(client: AckClient, *acknowledgement: Any) -> None:
            nonlocal acknowledged
            acknowledged += 1
            if acknowledged == 1:  # the greeting's first word
                stop(turns)
            on_publish(client, *acknowledgement)

        monkeypatch.setattr(AckClient, "_on_publish", note)
        async with bridge(load(tmp_path / "bridge.toml", {}), listener=lambda _: None):
            (reporter,) = [task for task in asyncio.all_tasks() if task.get_name() == "reporter"]
            await asyncio.wait({reporter}, timeout=10)
            assert reporter.cancelled()

    asyncio.run(starting())
