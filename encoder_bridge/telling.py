"""Telling over a broker: what is owed goes out in order, then how things stand."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import islice

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from encoder_bridge import wire
from encoder_bridge.board import Board
from encoder_bridge.broker import AckClient, Broker
from encoder_bridge.commits import Commits
from encoder_bridge.log import get_logger
from encoder_bridge.model import OPEN, Job
from encoder_bridge.reports import Outgoing, job_state
from encoder_bridge.store import News, Store
from encoder_bridge.topics import Topics

TRY_AGAIN_S = 60.0
"""A topic that the broker refused is left alone so long: at every refusal some brokers close the connection."""
_WIDEST = 20
"""So many messages are under way at most."""
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
        self._refused: dict[str, float] = {}
        """Topic, or the filter that covers it, to the loop's time from which on it is tried again."""
        self._aside: set[int] = set()
        """Reports that wait for a refused topic."""
        self._width = 1
        """Messages that may be under way together.

        A connection begins with one: a broker that closes it at a refusal while more is on its way may take its own
        answer along, and then nobody learns what was refused.
        """
        self._changed = asyncio.Event()
        self._is_telling = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._time = asyncio.get_running_loop().time
        self._log = get_logger("broker")
        board.watch(self._encoder_changed)

    def hear(self, news: News) -> None:
        """Note what was committed."""
        for access_method_id, job in news.jobs.items():
            topic = self._topics.job(access_method_id)
            if job.state not in OPEN:  # the outbox tells it
                self._live.pop(topic, None)
            else:
                self._live[topic] = job
        if news.outbox or news.jobs:
            self._wake()

    def note_refusal(self, topic: str) -> None:
        """The broker acknowledged a message only to say that it threw it away; some close the connection as well."""
        if not self._is_refused(topic):
            self._log.error(
                "topic_refused",
                topic=topic,  # not in the sentence: it may be what a sender put down for its answer
                sentence="The broker does not let us write to this topic: allow it in the broker's access list.",
            )
        self._refused[self._topics.rule_for(topic)] = self._time() + TRY_AGAIN_S

    async def say_how_things_stand(self, client: AckClient) -> None:
        """Retain every encoder's and every open job's state on a broker that may have forgotten them."""
        self._width = 1
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
        self._is_telling = True
        self._idle.clear()
        try:
            while True:
                self._changed.clear()
                self._give_another_chance()
                width = self._width
                owed = await self._commits.relaxed(self._store.outbox.pending, width, [*self._aside])
                if owed:
                    await self._tell_all(client, owed)
                if len(owed) < width:
                    # What is owed goes first: an ended job's retained state must not overwrite its successor's.
                    await self._say_live(client)
                    await self._rest()
        finally:
            self._is_telling = False
            self._idle.set()

    async def drain(self) -> None:
        """Return when all is told that can be told over this connection; at once where there is none."""
        await self._idle.wait()

    async def publish(
        self,
        client: AckClient,
        topic: str,
        body: str,
        *,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> bool:
        """Say it and wait until the broker has it.

        Returns:
            False: the broker does not let us write to this topic, or did not a short while ago.
        """
        if self._is_refused(topic):
            return False
        self._log.traffic("out", topic, body.encode())
        await client.publish(topic, body, qos=1, retain=retain, properties=properties)
        return not self._is_refused(topic)

    async def _tell_all(self, client: AckClient, owed: list[Outgoing]) -> None:
        told: list[int] = []

        async def tell(message: Outgoing) -> None:
            if await self._tell(client, message):
                told.append(message.report_id)
            else:
                self._aside.add(message.report_id)

        try:
            async with asyncio.TaskGroup() as tasks:
                for message in owed:
                    tasks.create_task(tell(message))
            self._widen()
        finally:  # a connection that one refusal ended has told the others all the same
            await self._commits.relaxed(self._store.outbox.told, told)

    async def _tell(self, client: AckClient, message: Outgoing) -> bool:
        if message.kind == "event":
            return await self.publish(client, self._topics.event(message.name), message.body)
        if message.kind == "response":
            default = self._topics.response(message.name)
            properties = self._broker.properties(PacketTypes.PUBLISH, CorrelationData=message.reply.correlation)
            asked = message.reply.topic
            if asked and await self.publish(client, asked, message.body, properties=properties):
                return True
            return await self.publish(client, default, message.body, properties=properties)
        topic = self._topics.job(message.name)
        if self._broker.is_v5:
            properties = self._broker.properties(PacketTypes.PUBLISH, MessageExpiryInterval=_ENDED_STATE_EXPIRY_S)
            return await self.publish(client, topic, message.body, retain=True, properties=properties)
        # 3.1.1 cannot let a retained message expire: say the last state, then clear what is retained.
        await self.publish(client, topic, message.body)
        return await self.publish(client, topic, "", retain=True)

    async def _say_live(self, client: AckClient) -> None:
        while topics := list(islice((topic for topic in self._live if not self._is_refused(topic)), self._width)):
            async with asyncio.TaskGroup() as tasks:
                for topic in topics:
                    tasks.create_task(self._say(client, topic, self._live[topic]))
            self._widen()

    async def _say(self, client: AckClient, topic: str, what: Job | wire.EncoderState) -> None:
        body = job_state(what).body if isinstance(what, Job) else what.model_dump_json(exclude_none=True)
        if await self.publish(client, topic, body, retain=True) and self._live.get(topic) is what:
            del self._live[topic]

    async def _rest(self) -> None:
        """Wait for news, or until a refused topic that something waits for is worth another try."""
        if not self._changed.is_set():
            self._idle.set()
        until = min(self._refused.values(), default=None) if self._aside or self._live else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._changed.wait()

    def _widen(self) -> None:
        self._width = min(_WIDEST, 2 * self._width)

    def _is_refused(self, topic: str) -> bool:
        return self._refused.get(self._topics.rule_for(topic), 0.0) > self._time()

    def _give_another_chance(self) -> None:
        now = self._time()
        over = [topic for topic, until in self._refused.items() if until <= now]
        if over:
            self._aside.clear()
        for topic in over:
            del self._refused[topic]

    def _encoder_changed(self, encoder: str, state: wire.EncoderState) -> None:
        self._live[self._topics.encoder(encoder)] = state
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        if self._is_telling:
            self._idle.clear()
