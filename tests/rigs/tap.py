"""A listener on a broker that keeps every message it hears and loses none itself, whatever happens to the broker."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from rigs.brokers import Broker, User

_serial = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message; `properties` by MQTT's names, such as `ResponseTopic` and `CorrelationData`.

    `retain` is what the publisher set (MQTT 5), or that the message was stored before this listener came (3.1.1).
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool
    properties: dict[str, Any] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(self.payload)


class Tap:
    """Subscribes with QoS 1 in a session that outlives connections, and comes back by itself after every restart.

    Call it from anywhere; inside an event loop wait in a thread: `await asyncio.to_thread(tap.wait_for, ...)`.
    """

    def __init__(self, broker: Broker, topic: str = "#", *, user: User | None = None) -> None:
        self._broker, self._topic = broker, topic
        self._five = broker.protocol == "5"
        self._heard: list[Heard] = []
        self._changed = threading.Condition()
        self._subscribed_to: int | None = None  # the broker's process
        self._refused: str | None = None
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"tap-{os.getpid()}-{next(_serial)}",
            protocol=MQTTv5 if self._five else MQTTv311,
            clean_session=None if self._five else False,
        )
        login = user or (broker.users[0] if broker.users else None)
        if login:
            self._client.username_pw_set(login.name, login.password)
        if broker.certificates:
            self._client.tls_set_context(broker.certificates.client_context())
        self._client.reconnect_delay_set(0.1, 0.1)  # type: ignore[arg-type]  # it sleeps that long, whole or not
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        if self._five:
            forever = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            forever.SessionExpiryInterval = 0xFFFFFFFF
            self._client.connect_async(
                self._broker.host, self._broker.port, keepalive=10, clean_start=False, properties=forever
            )
        else:
            self._client.connect_async(self._broker.host, self._broker.port, keepalive=10)
        self._client.loop_start()
        try:
            self.wait_subscribed()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def messages(self) -> tuple[Heard, ...]:
        """All that was heard so far, in order."""
        with self._changed:
            return tuple(self._heard)

    def wait_subscribed(self, timeout: float = 10.0) -> None:
        """Return when the broker as it now runs holds the subscription and the connection is up.

        Raises:
            TimeoutError: that took more than `timeout` seconds, or the broker refused.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_subscribed() or self._refused, timeout) or self._refused:
                raise TimeoutError(f"no subscription to {self._topic}: {self._refused or 'no answer'}")

    def wait_for(self, predicate: Callable[[Heard], bool], timeout: float = 10.0) -> Heard:
        """The first message ever heard that fits.

        Raises:
            TimeoutError: none came within `timeout` seconds; the message lists the latest heard.
        """
        return self.wait_for_many(1, predicate, timeout)[0]

    def wait_for_many(
        self, count: int, predicate: Callable[[Heard], bool] = lambda _: True, timeout: float = 10.0
    ) -> list[Heard]:
        """At least `count` messages that fit, as soon as there are so many.

        Raises:
            TimeoutError: they did not come within `timeout` seconds; the message lists the latest heard.
        """

        fitting: list[Heard] = []
        seen = 0

        def enough() -> bool:
            nonlocal seen
            fitting.extend(filter(predicate, self._heard[seen:]))
            seen = len(self._heard)
            return len(fitting) >= count

        with self._changed:
            if not self._changed.wait_for(enough, timeout):
                latest = "\n".join(f"  {message.topic} {message.payload[:120]!r}" for message in self._heard[-20:])
                raise TimeoutError(
                    f"{len(fitting)} of {count} in {timeout} s; of {seen} messages the latest:\n{latest}"
                )
        return fitting

    def _is_subscribed(self) -> bool:
        return self._subscribed_to is not None and self._subscribed_to == self._broker.pid

    def _on_connect(
        self, client: Client, context: Any, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        with self._changed:
            self._refused = str(code) if code.is_failure else None
            self._changed.notify_all()
        if code.is_failure:
            return
        if self._five:  # retained messages again only when the broker has forgotten this session
            client.subscribe(self._topic, options=SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=1))
        else:
            client.subscribe(self._topic, qos=1)

    def _on_subscribe(
        self, client: Client, context: Any, mid: int, codes: list[ReasonCode], properties: Properties | None
    ) -> None:
        with self._changed:
            if codes[0].is_failure:
                self._refused = str(codes[0])
            else:
                self._subscribed_to = self._broker.pid
            self._changed.notify_all()

    def _on_disconnect(
        self, client: Client, context: Any, flags: DisconnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        with self._changed:
            self._subscribed_to = None

    def _on_message(self, client: Client, context: Any, message: MQTTMessage) -> None:
        properties = getattr(message, "properties", None)
        heard = Heard(
            topic=message.topic,
            payload=bytes(message.payload),
            qos=message.qos,
            retain=message.retain,
            duplicate=message.dup,
            properties={
                name: getattr(properties, name)
                for name in (each.replace(" ", "") for each in getattr(properties, "names", ()))
                if hasattr(properties, name)
            },
        )
        with self._changed:
            self._heard.append(heard)
            self._changed.notify_all()
