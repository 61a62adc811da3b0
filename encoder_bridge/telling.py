"""Telling over a broker: what is owed goes out in order, then how things stand."""

from __future__ import annotations

import asyncio
from itertools import islice

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from encoder_bridge import wire
from encoder_bridge.board import Board
from encoder_bridge.broker import AckClient, Broker, TopicRefused
from encoder_bridge.commits import Commits
from encoder_bridge.log import get_logger
from encoder_bridge.model import Job
from encoder_bridge.reports import Outgoing, job_state
from encoder_bridge.store import News, Store
from encoder_bridge.topics import Topics

_BATCH = 20
_ENDED_STATE_EXPIRY_S = 86_400


class Teller:
    """Knows what is still to be told, over however many connections that takes."""

    def __init__(self, broker: Broker, topics: Topics, *, commits: Commits, store: Store, board: Board) -> None:
        self._broker = broker
        self._topics = topics
        self._commits = commits
        self._store = store
        self._board = board
        self._live: dict[str, Job | wire.EncoderState] = {}
        self._refused: set[str] = set()
        self._changed = asyncio.Event()
        self._log = get_logger("broker")
        board.watch(self._encoder_changed)

    def hear(self, news: News) -> None:
        """Note what was committed."""
        for access_method_id, job in news.jobs.items():
            topic = self._topics.job(access_method_id)
            if job is None:
                self._live.pop(topic, None)
            else:
                self._live[topic] = job
        if news.outbox or news.jobs:
            self._changed.set()

    def note_refusal(self, topic: str) -> None:
        """The broker acknowledged a message only to say that it threw it away; some close the connection as well."""
        self._refused.add(topic)
        self._log.error(
            "topic_refused",
            sentence=f"The broker does not let us write to {topic}: allow it in the broker's access list.",
        )

    async def say_how_things_stand(self, client: AckClient) -> None:
        """Retain every encoder's and every open job's state on a broker that may have forgotten them."""
        standing = await self._commits.relaxed(self._store.outbox.standing)
        self._live |= {self._topics.job(method): job for method, job in standing.items()}
        self._live |= {self._topics.encoder(name): state for name, state in self._board.encoders.items()}
        await self._say_live(client)

    async def run(self, client: AckClient) -> None:
        """Tell over this connection until cancelled.

        Raises:
            MqttError: the connection is lost.
            StoreError: the store is.
        """
        while True:
            self._changed.clear()
            owed = await self._commits.relaxed(self._store.outbox.pending, _BATCH)
            if owed:
                async with asyncio.TaskGroup() as tasks:
                    for message in owed:
                        tasks.create_task(self._tell(client, message))
                await self._commits.relaxed(self._store.outbox.told, [message.report_id for message in owed])
            if len(owed) < _BATCH:
                # What is owed goes first: the retained state of an ended job must not overwrite its successor's.
                await self._say_live(client)
                await self._changed.wait()

    async def publish(
        self,
        client: AckClient,
        topic: str,
        body: str,
        *,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Say it and wait until the broker has it."""
        self._log.traffic("out", topic, body.encode())
        self._refused.discard(topic)
        await client.publish(topic, body, qos=1, retain=retain, properties=properties)
        if topic in self._refused:
            raise TopicRefused(f"the broker does not let us write to {topic}")

    async def _tell(self, client: AckClient, message: Outgoing) -> None:
        if message.kind == "event":
            await self.publish(client, self._topics.event(message.name), message.body)
        elif message.kind == "response":
            topic = message.reply.topic
            if topic is None or topic in self._refused:
                topic = self._topics.response(message.name)
            properties = self._broker.properties(PacketTypes.PUBLISH, CorrelationData=message.reply.correlation)
            await self.publish(client, topic, message.body, properties=properties)
        elif self._broker.is_v5:
            properties = self._broker.properties(PacketTypes.PUBLISH, MessageExpiryInterval=_ENDED_STATE_EXPIRY_S)
            await self.publish(client, self._topics.job(message.name), message.body, retain=True, properties=properties)
        else:
            # 3.1.1 cannot let a retained message expire: say the last state, then clear what is retained.
            await self.publish(client, self._topics.job(message.name), message.body)
            await self.publish(client, self._topics.job(message.name), "", retain=True)

    async def _say_live(self, client: AckClient) -> None:
        while self._live:
            some = [(topic, self._live.pop(topic)) for topic in list(islice(self._live, _BATCH))]
            async with asyncio.TaskGroup() as tasks:
                for topic, what in some:
                    body = job_state(what).body if isinstance(what, Job) else what.model_dump_json(exclude_none=True)
                    tasks.create_task(self.publish(client, topic, body, retain=True))

    def _encoder_changed(self, encoder: str, state: wire.EncoderState) -> None:
        self._live[self._topics.encoder(encoder)] = state
        self._changed.set()
