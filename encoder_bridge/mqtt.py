"""The connection to a broker: triggers and requests in, reports out, nothing lost on either way.

aiomqtt 2.5 acknowledges on arrival; here an incoming message is acknowledged only after what it means is on disk, and
in the order of arrival.  Every connection is a client object of its own: packet ids restart with a session, so that an
old acknowledgement could otherwise hit a message that nobody stored.  QoS 1 throughout, the rest is idempotency.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Literal

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from encoder_bridge import wire
from encoder_bridge.board import Board
from encoder_bridge.broker import AckClient, Broker, TopicRefused
from encoder_bridge.commits import Commits
from encoder_bridge.errors import ConfigError, first_of
from encoder_bridge.intake import Envelope, Intake
from encoder_bridge.log import get_logger
from encoder_bridge.model import iso
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.store import News, Store
from encoder_bridge.telling import Teller
from encoder_bridge.topics import Topics

BACK_OFF_S = (1.0, 60.0)
"""Full jitter between zero and this: first, longest."""
_LOGIN_REFUSED = {0x86, 0x87}
"""Bad user name or password, not authorized (MQTT 5.0, section 3.2.2.2; paho gives 3.1.1's codes the same values)."""
STEADY_S = 30.0
"""A connection that lived shorter does not reset the back-off: the other side may be a second bridge with our name."""


class Link:
    """Keeps a connection, takes in what arrives and tells what is owed."""

    def __init__(
        self,
        broker: Broker,
        topics: Topics,
        *,
        intake: Intake,
        commits: Commits,
        store: Store,
        board: Board,
        info: wire.Info,
        clock: Callable[[], int],
    ) -> None:
        self._broker = broker
        self._topics = topics
        self._intake = intake
        self._commits = commits
        self._store = store
        self._teller = Teller(broker, topics, commits=commits, store=store, board=board)
        self._info = info
        self._clock = clock
        self._announced_at: str | None = None
        self._log = get_logger("broker")  # aiomqtt sets the level of the logger called mqtt
        self.connected = asyncio.Event()

    def hear(self, news: News) -> None:
        """Note what was committed."""
        self._teller.hear(news)

    async def drain(self) -> None:
        """Return as soon as nothing is owed any more, at once when there is no connection; see `Teller.drain`."""
        await self._teller.drain()

    async def run(self) -> None:
        """Stay connected until cancelled.

        Raises:
            StoreError: what arrives cannot be stored.
        """
        first, longest = BACK_OFF_S
        time = asyncio.get_running_loop().time
        delay = first
        while True:
            started = time()
            try:
                # A task of its own: up to Python 3.12 a TaskGroup that fails leaves its task marked as cancelled.
                await asyncio.create_task(self._connection(), name="mqtt connection")
            except* (aiomqtt.MqttError, ConfigError) as group:
                lived = time() - started if self.connected.is_set() else 0.0
                self._log.warning("broker_lost", sentence=_sentence(group, self._broker), lived_s=round(lived))
                if lived >= STEADY_S:
                    delay = first
            finally:
                self.connected.clear()
            # A stop that meets the loss of the connection would be lost with the task of that connection.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError
            await asyncio.sleep(random.uniform(0, delay))  # noqa: S311 - jitter
            delay = min(delay * 2, longest)

    async def _connection(self) -> None:
        will = aiomqtt.Will(
            self._topics.availability,
            self._availability("offline"),
            qos=1,
            retain=True,
            properties=self._broker.properties(PacketTypes.WILLMESSAGE, WillDelayInterval=self._broker.will_delay_s),
        )
        async with AckClient(self._broker, will, on_refusal=self._teller.note_refusal) as client:
            self._log.info("broker_connected", host=self._broker.host, session_present=client.session_present)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._receive(client), name="mqtt receive")
                    await self._greet(client)
                    # Python 3.11's wait_for, which the client uses, drops a cancellation that meets the awaited answer.
                    if (task := asyncio.current_task()) and task.cancelling():
                        raise asyncio.CancelledError
                    self.connected.set()
                    tasks.create_task(self._teller.run(client), name="mqtt send")
            except asyncio.CancelledError:
                await self._part(client)
                raise

    async def _greet(self, client: AckClient) -> None:
        """Subscribe, then say everything that is retained, then say that we are here."""
        await self._subscribe(client)
        await self._retain(client, self._topics.info, self._info.model_dump_json())
        await self._teller.say_how_things_stand(client)
        self._announced_at = self._announced_at or iso(self._clock())
        await self._retain(client, self._topics.availability, self._availability("online"))

    async def _subscribe(self, client: AckClient) -> None:
        """Hear what is configured now, and nothing that the session still holds from before."""
        must = (self._topics.trigger, self._topics.request("+"))
        may = (self._topics.availability, *self._broker.trigger_topics)
        subscriptions, wanted = self._store.subscriptions, {*must, *may}
        known = await self._commits.relaxed(subscriptions.known)
        if known != wanted:
            await self._commits(subscriptions.note, known | wanted)
        for topic in sorted(known - wanted):
            await client.unsubscribe(topic)
        for topic in must:
            await client.subscribe(topic, **self._subscription(topic))
        for topic in may:
            try:
                await client.subscribe(topic, **self._subscription(topic))
            except TopicRefused as refusal:
                self._log.error("topic_refused", sentence=str(refusal))
        if known != wanted:
            await self._commits(subscriptions.note, wanted)

    async def _part(self, client: AckClient) -> None:
        """Say goodbye; a clean end makes the broker drop the will."""
        try:
            async with asyncio.timeout(2):
                await self._retain(client, self._topics.availability, self._availability("offline"))
        except (aiomqtt.MqttError, TimeoutError):
            self._log.info("goodbye_not_heard")

    async def _receive(self, client: AckClient) -> None:
        arrived: asyncio.Queue[tuple[aiomqtt.Message, asyncio.Task[None]]] = asyncio.Queue(self._broker.receive_maximum)

        async def acknowledge() -> None:
            while True:
                message, taken = await arrived.get()
                await taken
                client.ack(message)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(acknowledge(), name="mqtt acknowledge")
            async for message in client.messages:
                taken = asyncio.create_task(self._take(message), name="mqtt take")
                await arrived.put((message, taken))

    async def _take(self, message: aiomqtt.Message) -> None:
        topic = str(message.topic)
        payload = message.payload if isinstance(message.payload, bytes) else b""
        self._log.traffic("in", topic, payload)
        if topic == self._topics.availability:
            self._notice_namesake(payload)
            return
        if self._topics.is_said_by_a_bridge(topic):
            return
        properties = message.properties
        envelope = Envelope(
            verb=self._topics.verb_of(topic),
            address=topic,
            payload=payload,
            reply=ReplyAddress(
                topic=getattr(properties, "ResponseTopic", None),
                correlation=getattr(properties, "CorrelationData", None),
            ),
            properties=getattr(properties, "UserProperty", ()),
            retained=message.retain,
            expires_in_s=getattr(properties, "MessageExpiryInterval", None),
        )
        await self._intake.take(envelope)

    def _notice_namesake(self, payload: bytes) -> None:
        if not payload:
            return
        try:
            other = wire.Availability.model_validate_json(payload)
        except ValueError:
            return
        is_later = self._announced_at is not None and (other.since or "") > self._announced_at
        if other.instance != self._info.instance and is_later:  # an earlier word is that of our own last life
            self._log.error(
                "namesake",
                sentence="Another bridge answers under this site and desk: give one of them another desk.",
            )

    async def _retain(self, client: AckClient, topic: str, body: str) -> None:
        await self._teller.publish(client, topic, body, retain=True)

    def _availability(self, state: Literal["online", "offline"]) -> str:
        return wire.Availability(
            state=state,
            since=iso(self._clock()),
            instance=self._info.instance,
        ).model_dump_json()

    def _subscription(self, topic: str) -> dict[str, Any]:
        if self._broker.is_v5:
            # A namesake that took our session over has heard its own words; what it left retained is ours to hear.
            handling = 0 if topic == self._topics.availability else 2
            return {"options": SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=handling)}
        return {"qos": 1}


def _sentence(group: BaseExceptionGroup[aiomqtt.MqttError | ConfigError], broker: Broker) -> str:
    error = first_of(group)
    if isinstance(error, ConfigError | TopicRefused):
        return str(error)
    where, then = f"{broker.host}:{broker.port}", "cards are still made, reports wait"
    code = getattr(error, "rc", None)
    if isinstance(code, ReasonCode) and code.value in _LOGIN_REFUSED:
        return f"The broker at {where} refuses the login: check mqtt.username and mqtt.password_file; {then}."
    return f"The broker at {where} cannot be used ({error}): {then}."
