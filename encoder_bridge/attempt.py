"""One attempt: a job in the hands of one open device, from the prompt to what became of the card."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

from encoder_bridge import texts
from encoder_bridge.board import Board
from encoder_bridge.call import Call
from encoder_bridge.commits import Commits
from encoder_bridge.desk import AttemptDesk, Clock
from encoder_bridge.driver import (
    CardRejected,
    Credential,
    CredentialRejected,
    DeviceUnavailable,
    DriverError,
    Encoder,
    Intent,
    NoCard,
    Receipt,
    Sensing,
    Signaller,
    Unsure,
    Withdrawn,
)
from encoder_bridge.log import Logger
from encoder_bridge.mishaps import broken, gone, hung, sound, told, unavailable
from encoder_bridge.model import Assignment, Problem
from encoder_bridge.store.work import Work
from encoder_bridge.validity import NothingLeft, rounded_inward

MAX_FAULTS = 3
"""A driver that breaks on one credential this often has failed it."""
_PAUSE_MS = 1000
_MOST_DOUBLINGS = 6


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
            device=device,
        )
        self._call: Call[Receipt] | None = None
        self._rounded: tuple[Problem, ...] = ()
        self._concluding = False

    @property
    def key(self) -> tuple[int, int]:
        """The job's number and its attempt's."""
        return self.job.job_id, self.job.attempt

    def withdraw(self) -> None:
        """Stop asking for a card."""
        self._desk.withdraw()

    def interrupt(self) -> bool:
        """Stop asking for a card because one is to be read; the job goes back to its place in the queue.

        Returns:
            False: a card may be changed already, so that this has to come to its end first.
        """
        if self._desk.begun:
            return False
        self._desk.interrupted = True
        self._desk.withdraw()
        return True

    def lose(self) -> None:
        """The device is gone: stop asking for a card on it.  A write that has begun is the driver's to end."""
        self._desk.device_lost = True
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
            credential = self._as_the_device_can_carry_it()
            self._device.check(credential)
        except CredentialRejected as error:
            self._log.warning("credential_rejected", sentence=str(error))
            await self._commits(self._work.fail, self.job, told(error), self._clock())
            return False
        except Exception:
            self._log.exception("driver_broke")
            await self._blame()
            raise
        self._call = Call(
            self._device.encode(credential, self._desk, self.job.intent),
            self._desk,
            silence_s=self._silence_s,
            name=f"{self._encoder} encode",
        )
        try:
            if await self._call.watch():
                self._concluding = True
                return await self._conclude(self._call.task)
            await self._give_up()
        except asyncio.CancelledError:
            if not self._concluding:
                await self._call.shut_down()
                await self._accept_late(self._call)
            raise
        raise unavailable(hung())

    async def settle(self) -> None:
        """Wait for a call that hung; if it comes back with a receipt after all, that counts."""
        if self._call:
            await self._call.end()
            await self._accept_late(self._call)

    def _as_the_device_can_carry_it(self) -> Credential:
        """The credential with its window rounded inward to what a card can hold.

        Raises:
            CredentialRejected: nothing is left of the window.
        """
        asked = self._credential
        moment = asked.starts_at or asked.ends_at
        if moment is None or moment.tzinfo is None:
            return asked
        try:
            rounded = rounded_inward(asked, self._device.capabilities.time_step_s, moment.tzinfo)
        except NothingLeft:
            problem = texts.problem("invalid_validity")
            raise CredentialRejected(problem.message, error_type=problem.type) from None
        if rounded is not asked:
            window = {
                name: value.isoformat() if value else None
                for name, value in (("starts_at", rounded.starts_at), ("ends_at", rounded.ends_at))
            }
            self._rounded = (texts.problem("validity_rounded", **window),)
        return rounded

    async def _conclude(self, call: asyncio.Task[Receipt]) -> bool:
        job, now = self.job, self._clock()
        try:
            receipt = sound(call.result())
        except Withdrawn:
            if not self._desk.is_off:
                await self._broke()
                raise
            if self._desk.device_lost:
                await self._commits(self._work.requeue, job, gone(), now)
                raise unavailable(gone()) from None
            if self._desk.interrupted and job.intent is None:  # one in doubt stands where it stood
                await self._commits(self._work.requeue, job, texts.problem("interrupted"), now)
            if self._desk.waited_too_long:
                self._log.info("no_card_in_time")
                await self._commits(
                    self._work.requeue, job, texts.problem("no_credential_on_encoder"), now, yields=True
                )
            return False
        except NoCard as error:
            self._note("no_card", error)
            problem = told(error)
            await self._commits(self._work.requeue, job, problem, now, retry_at=now + _PAUSE_MS, yields=True)
            return False
        except CardRejected as error:
            self._note("card_rejected", error)
            pause = 0 if isinstance(self._device, Sensing) else _PAUSE_MS
            self.verdict = told(error)
            await self._commits(self._work.requeue, job, self.verdict, now, retry_at=now + pause)
            await self._signal(ok=False)
            return True
        except CredentialRejected as error:
            self._note("credential_rejected", error)
            await self._commits(self._work.fail, job, told(error), now)
            return False
        except Unsure as error:
            self._note("unsure", error)
            self.verdict = told(error)
            await self._doubt(self.verdict)
            await self._signal(ok=False)
            return True
        except DeviceUnavailable as error:
            self._note("device_unavailable", error)
            await self._commits(self._work.requeue, job, told(error), now)
            raise
        except asyncio.CancelledError as error:  # nobody cancels a call that has ended: this one is the driver's
            self._log.exception("driver_broke")
            await self._broke()
            raise RuntimeError("the driver cancelled itself") from error
        except Exception:
            self._log.exception("driver_broke")
            await self._broke()
            raise
        is_issued = await self._issue(receipt)
        if is_issued:
            self._log.info("issued", evidence=receipt.evidence.value)
        else:
            self._log.error("late_receipt", sentence=texts.log("late_receipt"))
            self.verdict = texts.problem("late_receipt")
        await self._signal(ok=is_issued)
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
            await self._doubt(broken())
        else:
            await self._blame()

    async def _blame(self) -> None:
        """The driver broke before it intended anything: the others first, and not for ever."""
        if await self._commits.relaxed(self._work.faults, self.job) + 1 >= MAX_FAULTS:
            await self._commits(self._work.fail, self.job, broken(), self._clock())
        else:
            await self._commits(self._work.requeue, self.job, broken(), self._clock(), blames=True)

    async def _give_up(self) -> None:
        """Go on without a call that hangs."""
        self.is_hung = True
        self._desk.closed = True
        self._log.error("encoder_hung")
        if self._desk.begun or self.job.intent is not None:
            await self._doubt(hung())
        else:
            await self._commits(self._work.requeue, self.job, hung(), self._clock())
        await self._commits(self._work.abandon, self.job, self._clock())  # an intent under way may have been refused

    async def _accept_late(self, call: Call[Receipt]) -> None:
        if call.late_result is not None:
            with contextlib.suppress(TypeError):
                await self._issue(sound(call.late_result))

    async def _issue(self, receipt: Receipt) -> bool:
        if self._rounded:
            receipt = replace(receipt, note={**receipt.note, **self._rounded[0].values})
        return await self._commits(self._work.issue, self.job, receipt, self._clock(), warnings=self._rounded)

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
            raise unavailable(hung())
        if not signal.cancelled() and (error := signal.exception()):
            self._log.warning("no_signal", error_type=type(error).__name__)

    def _note(self, event: str, error: DriverError) -> None:
        raw = type(error.raw).__name__ if isinstance(error.raw, BaseException) else repr(error.raw)
        self._log.warning(event, sentence=str(error), raw=raw)
