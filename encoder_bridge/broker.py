"""One connection to the broker: aiomqtt 2.5 with what it leaves out.

It acknowledges on arrival and drops the broker's reasons; here a message is acknowledged by hand, and a refused topic
has a name.  Both reach into the client it wraps (`_client`, paho-mqtt): the version is pinned, and tests hold it to
this.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, MQTTMessageInfo
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from encoder_bridge.errors import ConfigError

_FAILURE = 0x80
"""Reason codes from here on are failures (MQTT 5.0, section 2.4; 3.1.1, section 3.9.3)."""
_MAX_PACKET_BYTES = 8 * 1024 * 1024
"""A larger message is dropped by an MQTT 5 broker before it fills this machine's memory; smaller ones are answered."""


class TopicRefused(aiomqtt.MqttError):
    """The broker's access list is in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where and as whom to connect."""

    host: str
    port: int
    protocol: Literal["5", "3.1.1"]
    client_id: str
    username: str | None = None
    password: Callable[[], bytes | None]
    tls: Callable[[], ssl.SSLContext] | None = None
    keepalive_s: int
    session_expiry_s: int
    receive_maximum: int
    will_delay_s: int
    trigger_topics: tuple[str, ...] = ()

    @property
    def is_v5(self) -> bool:
        """Whether MQTT 5's properties can be used."""
        return self.protocol == "5"

    def properties(self, packet: int, **values: Any) -> Properties | None:
        """MQTT 5 properties of a packet type, less those that are None; nothing at all before MQTT 5."""
        if not self.is_v5:
            return None
        properties = Properties(packet)  # type: ignore[no-untyped-call]
        for name, value in values.items():
            if value is not None:
                setattr(properties, name, value)
        return properties


class AckClient(aiomqtt.Client):
    """One connection whose incoming messages are acknowledged by hand, and whose refusals are heard.

    Args:
        broker: where and as whom.
        will: what the broker tells when we are gone.
        on_refusal: is told a topic that the broker does not let us write to (MQTT 5), before the publish returns.

    Raises:
        ConfigError: the password or the certificates cannot be had.
    """

    def __init__(self, broker: Broker, will: aiomqtt.Will, *, on_refusal: Callable[[str], None]) -> None:
        properties = broker.properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=broker.session_expiry_s,
            ReceiveMaximum=broker.receive_maximum,
            MaximumPacketSize=_MAX_PACKET_BYTES,
        )
        super().__init__(
            broker.host,
            broker.port,
            username=broker.username,
            password=_text(broker.password()),
            identifier=broker.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if broker.is_v5 else aiomqtt.ProtocolVersion.V311,
            will=will,
            clean_session=None if broker.is_v5 else False,
            clean_start=False if broker.is_v5 else MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
            keepalive=broker.keepalive_s,
            tls_context=broker.tls() if broker.tls else None,
            # Small packets after one another would otherwise wait 40 ms for the other side's delayed acknowledgement.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._client.manual_ack_set(True)
        self.pending_calls_threshold = 10_000  # a batch is told at once; that is no reason for a warning
        self.session_present = False
        self._on_refusal = on_refusal
        self._topics: dict[int, str] = {}
        publish = self._client.publish

        def note_topic(topic: str, *rest: Any, **more: Any) -> MQTTMessageInfo:
            sent = publish(topic, *rest, **more)
            self._topics[sent.mid] = topic
            return sent

        self._client.publish = note_topic  # type: ignore[method-assign]
        on_connect = self._client.on_connect

        def note_session(client: Any, userdata: Any, flags: Any, *rest: Any) -> None:
            self.session_present = flags.session_present
            on_connect(client, userdata, flags, *rest)  # type: ignore[misc]

        self._client.on_connect = note_session

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            MqttError: the broker cannot be reached, or does not want us.
        """
        try:
            return await super().__aenter__()
        except UnicodeError:
            raise aiomqtt.MqttError(f"{self._hostname} cannot be the name of a host") from None

    async def subscribe(self, /, topic: Any, *args: Any, **more: Any) -> Any:
        """Subscribe to one topic filter.

        Raises:
            TopicRefused: the broker answered, and does not let us.
        """
        answers = await super().subscribe(topic, *args, **more)
        for answer in answers:
            if (answer if isinstance(answer, int) else answer.value) >= _FAILURE:
                raise TopicRefused(f"The broker does not let us hear {topic}: allow it in the broker's access list.")
        return answers

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        topic = self._topics.pop(mid, None)
        if topic and reason.is_failure:
            self._on_refusal(topic)
        super()._on_publish(client, userdata, mid, reason, properties)

    def ack(self, message: aiomqtt.Message) -> None:
        """Tell the broker that the message is ours now; in the order of arrival, on this connection only."""
        if message.qos and not self._disconnected.done():
            self._client.ack(message.mid, message.qos)


class _Discreet(logging.Filter):
    """Leaves of an exception that the client's log quotes only the kind: its words may be what somebody sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                type(word).__qualname__ if isinstance(word, Exception) and not isinstance(word, OSError) else word
                for word in record.args
            )
        return True


logging.getLogger("mqtt").addFilter(_Discreet())


def _text(password: bytes | None) -> str | None:
    try:
        return None if password is None else password.decode()
    except UnicodeDecodeError:  # whose words quote the password
        raise ConfigError("mqtt: the password is not UTF-8: save its file as UTF-8.") from None
