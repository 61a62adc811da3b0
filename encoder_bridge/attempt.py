"""One attempt: a job in the hands of one open device, from the prompt to what became of the card."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from encoder_bridge.board import Board
from encoder_bridge.commits import Commits
from encoder_bridge.desk import AttemptDesk, Clock, is_plain
from encoder_bridge.driver import (
    CardRejected,
    CredentialRejected,
    DeviceUnavailable,
    DriverError,
    Encoder,
    Evidence,
    Intent,
    NoCard,
    Receipt,
    Sensing,
    Signaller,
    Unsure,
    Withdrawn,
)
from encoder_bridge.log import Logger
from encoder_bridge.model import Assignment, Problem
from encoder_bridge.store.work import Work

MAX_FAULTS = 3
"""A driver that breaks on one credential this often has failed it."""
SHUTDOWN_S = 30.0
"""The longest that a started write may hold up a shutdown."""
_PAUSE_MS = 1000
_MOST_DOUBLINGS = 6

_NO_CARD = Problem(
    type="no_credential_on_encoder",
    message="No card was laid on the encoder in time: lay one down and leave it until it is done.",
)
HUNG = Problem(
    type="encoder_communication_timeout",
    message="The encoder does not answer: set the card aside, it is looked at before anything else happens.",
)
GONE = Problem(type="encoder_not_online", message="The encoder is gone: plug it in again.")
BROKEN = Problem(
    type="uncategorized_error",
    message="The encoder's driver broke: see the log; if it happens again, ask its vendor.",
)


class Attempt:
    """Runs one assignment on one device.

    Args:
        device: open, and nobody else's while this runs.
        assignment: the job as it was claimed.
        encoder: the device's name in the configuration.
        commits: makes operations durable.
        work: the operations.
        board: where prompt and progress are shown.
        clock: the present.
        card_wait_s: how long a person may take to lay a card down.
        log: bound to the encoder.
    """

    def __init__(
        self,
        device: Encoder,
        assignment: Assignment,
        encoder: str,
        *,
        commits: Commits,
        work: Work,
        board: Board,
        clock: Clock,
        card_wait_s: float,
        log: Logger,
    ) -> None:
        self.job = assignment.job
        self.verdict: Problem | None = None
        """What the person at the desk should know while the card still lies there."""
        self.is_hung = False
        """The device's call has not come back; `settle` waits for it."""
        self._device = device
        self._credential = assignment.credential
        self._encoder = encoder
        self._commits = commits
        self._work = work
        self._clock = clock
        self._silence_s = device.capabilities.silence_s
        self._time = asyncio.get_running_loop().time
        self._log: Any = log.bind(
            access_method_id=self.job.access_method_id,
            job_id=self.job.job_id,
            attempt=self.job.attempt,
        )
        self._desk = AttemptDesk(
            assignment,
            encoder,
            commits=commits,
            work=work,
            board=board,
            clock=clock,
            card_wait_s=card_wait_s,
            silence_s=self._silence_s,
        )
        self._call: asyncio.Task[Receipt] | None = None
        self._concluding = False

    @property
    def key(self) -> tuple[int, int]:
        """The job's number and its attempt's."""
        return self.job.job_id, self.job.attempt

    def withdraw(self) -> None:
        """Stop asking for a card."""
        self._desk.withdraw()

    def lose(self) -> None:
        """The device is gone: stop asking for a card on it.  A write that has begun is the driver's to end."""
        self._desk.device_lost = not self._desk.begun
        self._desk.withdraw()

    async def run(self) -> bool:
        """Bring the attempt to its end, and that end to disk.

        Returns:
            whether a card may lie on the encoder now.

        Raises:
            DeviceUnavailable: the device has to be opened again.
            Exception: what the driver should not have raised.
        """
        try:
            self._device.check(self._credential)
        except CredentialRejected as error:
            self._log.warning("credential_rejected", sentence=str(error))
            await self._commits(self._work.fail, self.job, _problem(error), self._clock())
            return False
        except Exception:
            self._log.exception("driver_broke")
            await self._blame()
            raise
        self._call = asyncio.create_task(
            self._device.encode(self._credential, self._desk, self.job.intent),
            name=f"{self._encoder} encode",
        )
        try:
            if await self._watch(self._call):
                self._concluding = True
                return await self._conclude(self._call)
            await self._give_up()
        except asyncio.CancelledError:
            if not self._concluding:
                await self._shut_down(self._call)
            raise
        raise DeviceUnavailable(HUNG.message, error_type=HUNG.type)

    async def settle(self) -> None:
        """Wait for a call that hung; if it comes back with a receipt after all, that counts."""
        if self._call:
            await asyncio.wait({self._call})
            await self._accept_late(self._call)

    async def _watch(self, call: asyncio.Task[Receipt]) -> bool:
        """Wait for the call to end.

        Returns:
            False: the device owes a word for longer than it promised.
        """
        desk = self._desk
        while not call.done():
            desk.stirred.clear()
            stirred = asyncio.create_task(desk.stirred.wait())
            try:
                await asyncio.wait(
                    {call, stirred},
                    timeout=max(0.0, desk.limit - self._time()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                stirred.cancel()
            if call.done() or self._time() < desk.limit:
                continue
            if desk.begun or desk.is_off:
                return False
            desk.waited_too_long = True
            desk.withdraw()
        return True

    async def _conclude(self, call: asyncio.Task[Receipt]) -> bool:
        job, now = self.job, self._clock()
        try:
            receipt = _sound(call.result())
        except Withdrawn:
            if not self._desk.is_off:
                await self._broke()
                raise
            if self._desk.device_lost:
                await self._commits(self._work.requeue, job, GONE, now)
                raise DeviceUnavailable(GONE.message, error_type=GONE.type) from None
            if self._desk.waited_too_long:
                self._log.info("no_card_in_time")
                await self._commits(self._work.requeue, job, _NO_CARD, now, yields=True)
            return False
        except NoCard as error:
            self._note("no_card", error)
            problem = _problem(error)
            await self._commits(self._work.requeue, job, problem, now, retry_at=now + _PAUSE_MS, yields=True)
            return False
        except CardRejected as error:
            self._note("card_rejected", error)
            pause = 0 if isinstance(self._device, Sensing) else _PAUSE_MS
            self.verdict = _problem(error)
            await self._commits(self._work.requeue, job, self.verdict, now, retry_at=now + pause)
            await self._signal(ok=False)
            return True
        except CredentialRejected as error:
            self._note("credential_rejected", error)
            await self._commits(self._work.fail, job, _problem(error), now)
            return False
        except Unsure as error:
            self._note("unsure", error)
            self.verdict = _problem(error)
            await self._doubt(self.verdict)
            await self._signal(ok=False)
            return True
        except DeviceUnavailable as error:
            self._note("device_unavailable", error)
            await self._commits(self._work.requeue, job, _problem(error), now)
            raise
        except asyncio.CancelledError as error:  # nobody cancels a call that has ended: this one is the driver's
            self._log.exception("driver_broke")
            await self._broke()
            raise RuntimeError("the driver cancelled itself") from error
        except Exception:
            self._log.exception("driver_broke")
            await self._broke()
            raise
        if await self._commits(self._work.issue, job, receipt, now):
            self._log.info("issued", evidence=receipt.evidence.value)
        await self._signal(ok=True)
        return True

    async def _doubt(self, problem: Problem) -> None:
        """From now on somebody has to look at the card; repeated doubts come slower."""
        now = self._clock()
        if not self._desk.begun and self.job.intent is None:
            await self._commits(self._work.intend, self.job, self._encoder, Intent(card=None), now)
        faults = await self._commits.relaxed(self._work.faults, self.job)
        pause_s = min(60, 2 ** min(faults, _MOST_DOUBLINGS) - 1)
        await self._commits(self._work.doubt, self.job, problem, now, retry_at=now + pause_s * 1000)

    async def _broke(self) -> None:
        """An error that no driver may raise: after an intent anything may be on the card."""
        if self._desk.begun or self.job.intent is not None:
            await self._doubt(BROKEN)
        else:
            await self._blame()

    async def _blame(self) -> None:
        """The driver broke before it intended anything: the others first, and not for ever."""
        if await self._commits.relaxed(self._work.faults, self.job) + 1 >= MAX_FAULTS:
            await self._commits(self._work.fail, self.job, BROKEN, self._clock())
        else:
            await self._commits(self._work.requeue, self.job, BROKEN, self._clock(), blames=True)

    async def _give_up(self) -> None:
        """Go on without a call that hangs."""
        self.is_hung = True
        self._desk.closed = True
        self._log.error("encoder_hung")
        if self._desk.begun or self.job.intent is not None:
            await self._doubt(HUNG)
        else:
            await self._commits(self._work.requeue, self.job, HUNG, self._clock())
        await self._commits(self._work.abandon, self.job, self._clock())  # an intent under way may have been refused

    async def _shut_down(self, call: asyncio.Task[Receipt]) -> None:
        """Await a started write to its end, as long as the device keeps its promise; cancel any other."""
        deadline = self._time() + SHUTDOWN_S
        while self._desk.begun and not call.done() and self._time() < min(self._desk.limit, deadline):
            await asyncio.wait({call}, timeout=min(self._desk.limit, deadline) - self._time())
        call.cancel()
        await asyncio.wait({call}, timeout=self._silence_s)
        await self._accept_late(call)

    async def _accept_late(self, call: asyncio.Task[Receipt]) -> None:
        if call.done() and not call.cancelled() and call.exception() is None:
            with contextlib.suppress(TypeError):
                await self._commits(self._work.issue, self.job, _sound(call.result()), self._clock())

    async def _signal(self, *, ok: bool) -> None:
        """Light and buzzer; what they do changes nothing, but a device that hangs on them is gone.

        Raises:
            DeviceUnavailable: it does not come back.
        """
        if not isinstance(self._device, Signaller):
            return
        signal = asyncio.create_task(self._device.signal(ok), name=f"{self._encoder} signal")
        try:
            await asyncio.wait({signal}, timeout=self._silence_s)
        finally:
            signal.cancel()
        if not signal.done():
            raise DeviceUnavailable(HUNG.message, error_type=HUNG.type)
        if not signal.cancelled() and (error := signal.exception()):
            self._log.warning("no_signal", error_type=type(error).__name__)

    def _note(self, event: str, error: DriverError) -> None:
        raw = type(error.raw).__name__ if isinstance(error.raw, BaseException) else repr(error.raw)
        self._log.warning(event, sentence=str(error), raw=raw)


def _problem(error: DriverError) -> Problem:
    return Problem(type=str(error.error_type), message=str(error))


def _sound(receipt: object) -> Receipt:
    """The receipt, if it is one that can be stored.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(receipt, Receipt) or not isinstance(receipt.evidence, Evidence):
        raise TypeError("the driver returned something that is no receipt")
    if not is_plain(receipt.card, receipt.note):
        raise TypeError("the driver's receipt holds something that is no text")
    return receipt
