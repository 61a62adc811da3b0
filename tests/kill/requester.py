"""Whoever asks for cards: publishes triggers with QoS 1 and an address for the answer."""

from __future__ import annotations

import json
import os
import threading
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from rigs.brokers import Broker


class Requester:
    """A publisher that comes back by itself; `publish` does not wait."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"requester-{os.getpid()}-{id(self)}", protocol=MQTTv5
        )
        self._client.reconnect_delay_set(0.1, 0.1)  # type: ignore[arg-type]
        self._up = threading.Event()
        self._client.on_connect = lambda *_: self._up.set()

    def __enter__(self) -> Self:
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=10, clean_start=False)
        self._client.loop_start()
        if not self._up.wait(10):
            self.__exit__(None, None, None)
            raise TimeoutError("the requester finds no broker")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, body: dict[str, Any], *, answer_to: str = "", correlation: bytes = b"") -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if answer_to:
            properties.ResponseTopic = answer_to
            properties.CorrelationData = correlation
        self._client.publish(topic, json.dumps(body), qos=1, properties=properties)
