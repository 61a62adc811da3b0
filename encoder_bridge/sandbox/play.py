"""A simulation from its start to its last report."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing

from encoder_bridge.app import bridge
from encoder_bridge.config import Settings
from encoder_bridge.reports import Outgoing
from encoder_bridge.sandbox import events
from encoder_bridge.sandbox.addresses import Address
from encoder_bridge.sandbox.outside import Heard, Integrator, Local, OverMqtt, listen, watch
from encoder_bridge.sandbox.plan import NEVER_ISSUED, Plan
from encoder_bridge.sandbox.steps import Step, Verdict
from encoder_bridge.sandbox.story import Story
from encoder_bridge.sqlite import open_for_reading
from encoder_bridge.topics import Topics

_INTERRUPTED = 130
_LEFT_OVER = """
SELECT access_method_id FROM job WHERE open AND state != 'held'
UNION SELECT json_extract(body, '$.access_method_id') FROM outbox WHERE kind = 'event'
"""


class Play:
    """Sends what was planned, follows it and judges it.

    Args:
        plan: what was asked for.
        settings: the daemon's configuration.
        address: the broker, as the integrator reaches it; None: without one.
        tell: is told each step.
    """

    def __init__(self, plan: Plan, settings: Settings, address: Address | None, tell: Callable[[Step], None]) -> None:
        self._plan = plan
        self._settings = settings
        self._address = address
        self._tell = tell
        self._wanted: list[str] = []
        self._moved = asyncio.Event()
        self._stop = asyncio.Event()
        self._is_over = False
        self._story = Story(tell)

    async def run(self, summarise: Callable[[Sequence[Verdict]], None]) -> int:
        """Play it.

        Args:
            summarise: is told how the planned jobs did, once they have ended or were given up.

        Returns:
            the process's exit code.

        Raises:
            BridgeError: it cannot be played.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._interrupt)
        self._wanted += _left_over(self._settings)
        if self._wanted:
            sentence = f"{len(self._wanted)} left by an earlier run: first of all that is brought to its end"
            self._tell(Step(kind="left_over", who="bridge", sentence=sentence, facts={"access_methods": self._wanted}))
        async with self._together() as integrator:
            sending = asyncio.create_task(self._send(integrator))
            sending.add_done_callback(lambda _: self._moved.set())
            try:
                done = await self._all_ended(sending)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            verdicts = list(self._judge())
            stays = done and not self._plan.once
            self._is_over = not stays
            summarise(verdicts)
            if stays:
                await self._stay(integrator)
        if self._stop.is_set() and not done:
            return _INTERRUPTED
        return 0 if all(verdict.is_right for verdict in verdicts) else 1

    @asynccontextmanager
    async def _together(self) -> AsyncIterator[Integrator]:
        """The daemon and the integrator, at work."""
        if self._address is None:
            async with bridge(self._settings, listener=listen(self._hear)) as running:
                watch(running.board, self._hear)
                yield Local(running.intake)
            return
        outside = OverMqtt(self._address, Topics(self._settings.topic_root), self._hear)
        async with outside.connected(), bridge(self._settings, listener=_not_called):
            await outside.daemon_is_online()
            yield outside

    async def _send(self, integrator: Integrator) -> None:
        for number in range(self._plan.jobs):
            if number and self._plan.rate:
                await asyncio.sleep(1 / self._plan.rate)
            need = await self._ask(integrator)
            self._wanted.append(need)
            self._moved.set()

    async def _ask(self, integrator: Integrator) -> str:
        """Send one more trigger; the access method it is for."""
        need = events.new_need()
        self._story.sent(need.event_id, need.access_method_id)
        self._tell(
            Step(
                kind="trigger_sent",
                who="trigger",
                sentence=f"sent: {events.EVENT_TYPE}",
                access_method_id=need.access_method_id,
                facts={"event": json.loads(need.payload)},
            )
        )
        await integrator.send(need.payload)
        return need.access_method_id

    async def _all_ended(self, sending: asyncio.Task[None]) -> bool:
        """Wait for the ends of all that was sent.

        Returns:
            False: it was interrupted, or nothing ended for too long.
        """
        while not sending.done() or self._open():
            self._moved.clear()
            try:
                async with asyncio.timeout(self._plan.limit_s if self._open() else None):
                    await self._moved.wait()
            except TimeoutError:
                sentence = f"no job has come to its end for {self._plan.limit_s:g} s, given up"
                self._tell(Step(kind="time_limit", who="bridge", sentence=sentence, tone="bad"))
                return False
            if self._stop.is_set():
                return False
        sending.result()
        return True

    async def _stay(self, integrator: Integrator) -> None:
        """Go on telling what others ask for, and ask again at each Enter, until it is interrupted."""
        asks = sys.stdin is not None and sys.stdin.isatty()
        if not asks and self._address is None:
            self._tell(Step(kind="over", who="bridge", sentence="without a broker nobody else can ask for a card"))
            return
        more = "Enter for another card, " if asks else ""
        self._tell(Step(kind="staying", who="bridge", sentence=f"waiting for more; {more}Ctrl-C to end"))
        loop = asyncio.get_running_loop()
        sending: set[asyncio.Task[str]] = set()

        def typed() -> None:
            if not sys.stdin.readline():
                loop.remove_reader(sys.stdin)
                self._stop.set()
                return
            task = asyncio.create_task(self._ask(integrator))
            sending.add(task)
            task.add_done_callback(sending.discard)

        if asks:
            loop.add_reader(sys.stdin, typed)
        try:
            await self._stop.wait()
        finally:
            if asks:
                loop.remove_reader(sys.stdin)
        self._tell(Step(kind="stopping", who="bridge", sentence="stopping"))

    def _hear(self, heard: Heard) -> None:
        if self._is_over:  # the summary is the last word; an encoder may still ask to have its card lifted
            return
        ended = len(self._story.ends)
        self._story.hear(heard)
        if len(self._story.ends) != ended:
            self._moved.set()

    def _interrupt(self) -> None:
        self._stop.set()
        self._moved.set()

    def _open(self) -> bool:
        return any(method not in self._story.ends for method in self._wanted)

    def _judge(self) -> Iterator[Verdict]:
        names = (name.partition("@")[0] for name in self._plan.faults)
        allowed = Counter(name for name in names if name in NEVER_ISSUED)
        for method in self._wanted:
            end = self._story.ends.get(method)
            is_allowed = end is not None and allowed[str(end.error_type)] > 0
            if end and is_allowed:
                allowed[str(end.error_type)] -= 1
            yield Verdict(access_method_id=method, end=end, is_right=is_allowed or bool(end and end.is_issued))


def _left_over(settings: Settings) -> list[str]:
    """The access methods for which an earlier run left a job, or a report that nobody has heard."""
    if not settings.store.exists():
        return []
    with closing(open_for_reading(settings.store)) as connection:
        return [method for (method,) in connection.execute(_LEFT_OVER)]


def _not_called(_message: Outgoing) -> None:
    """With a broker nothing is told in this process."""
