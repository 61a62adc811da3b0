"""One encoder at work: open it, take the next job, have it written, say what became of it, for ever."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from typing import Any

from encoder_bridge import wire
from encoder_bridge.board import Board
from encoder_bridge.commits import Commits
from encoder_bridge.desk import AttemptDesk, Clock
from encoder_bridge.driver import (
    CardRejected,
    CredentialRejected,
    DeviceUnavailable,
    Driver,
    DriverError,
    Encoder,
    Intent,
    NoCard,
    Receipt,
    Secret,
    Sensing,
    Settings,
    Signaller,
    Unsure,
    Withdrawn,
)
from encoder_bridge.errors import StoreError
from encoder_bridge.log import get_logger
from encoder_bridge.model import Assignment, Job, Problem, iso
from encoder_bridge.store.work import Work

REOPEN_S = (0.5, 30.0)
"""Back-off between attempts to open a device: first, longest."""
MAX_FAULTS = 3
"""A driver that breaks on one credential this often has failed it."""
_PAUSE_MS = 1000

_NO_CARD = Problem(
    type="no_credential_on_encoder",
    message="No card was laid on the encoder in time: lay one down and leave it until it is done.",
)
_HUNG = Problem(
    type="encoder_communication_timeout",
    message="The encoder does not answer: set the card aside, it is looked at before anything else happens.",
)
_BROKEN = Problem(
    type="uncategorized_error",
    message="The encoder's driver broke: see the log; if it happens again, ask its vendor.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What the configuration says of one encoder."""

    name: str
    driver: Driver
    settings: Settings
    secret: Secret
    card_wait_s: float


class Station:
    """Serves one encoder."""

    def __init__(self, equipment: Equipment, *, commits: Commits, work: Work, board: Board, clock: Clock) -> None:
        self.name = equipment.name
        self._equipment = equipment
        self._commits = commits
        self._work = work
        self._board = board
        self._clock = clock
        self._wake = asyncio.Event()
        self._desk: AttemptDesk | None = None
        self._buried: tuple[asyncio.Task[Receipt], AttemptDesk] | None = None
        self._withdrawn: set[tuple[int, int]] = set()
        self._log = get_logger("encoder").bind(encoder=self.name)
        self._show("offline")

    def wake(self) -> None:
        """Look for work again."""
        self._wake.set()

    def withdraw(self, attempts: set[tuple[int, int]]) -> None:
        """Stop asking for a card in these attempts, each a job's number and its own."""
        self._withdrawn |= attempts
        if self._desk and (self._desk.job.job_id, self._desk.job.attempt) in attempts:
            self._desk.withdraw()

    async def run(self) -> None:
        """Serve until cancelled; a dead or missing device is opened again with back-off."""
        first, longest = REOPEN_S
        delay = first
        while True:
            try:
                async with self._equipment.driver.open(self._equipment.settings, self._equipment.secret) as device:
                    if not isinstance(device, Encoder):
                        raise TypeError("the device cannot encode")
                    self._log.info("encoder_online", technologies=sorted(device.capabilities.technologies))
                    delay = first
                    self._show("idle")
                    await self._serve(device)
            except DeviceUnavailable as error:
                self._offline(Problem(type=error.error_type, message=str(error)))
            except StoreError:
                raise
            except Exception:  # noqa: BLE001 - whatever a driver does, the other encoders work on
                self._log.exception("driver_broke")
                self._offline(_BROKEN)
            await self._await_buried()
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            delay = min(delay * 2, longest)

    async def _serve(self, device: Encoder) -> None:
        """Job after job, until the device is lost.

        Raises:
            DeviceUnavailable: it is.
        """
        lost = asyncio.create_task(device.lost(), name=f"{self.name} lost")
        try:
            while not lost.done():
                self._wake.clear()
                self._withdrawn.clear()
                assignment, ready_at = await self._commits.relaxed(self._work.claim, self.name, self._clock())
                if assignment is None:
                    await self._idle(lost, ready_at)
                elif await self._attend(device, assignment):
                    await self._await_lift(device, lost)
            lost.result()
        finally:
            lost.cancel()
        raise DeviceUnavailable("The encoder is gone: plug it in again.")

    async def _idle(self, lost: asyncio.Task[None], ready_at: int | None) -> None:
        timeout = None if ready_at is None else max(0, ready_at - self._clock()) / 1000
        woken = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait({lost, woken}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    async def _await_lift(self, device: Encoder, lost: asyncio.Task[None]) -> None:
        """Arm for the next job only when the last card is off, where the device can tell."""
        if isinstance(device, Sensing):
            self._board.amend(self.name, prompt="lift_card")
            lifted = asyncio.create_task(device.lifted())
            try:
                await asyncio.wait({lost, lifted}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended = not lifted.cancel()
            if ended:
                lifted.result()
            self._show("idle")

    async def _attend(self, device: Encoder, assignment: Assignment) -> bool:
        """Bring one attempt to its end.

        Returns:
            whether a card may lie on the encoder now.

        Raises:
            DeviceUnavailable: the device has to be opened again.
        """
        job = assignment.job
        log = self._log.bind(access_method_id=job.access_method_id, job_id=job.job_id, attempt=job.attempt)
        try:
            device.check(assignment.credential)
        except CredentialRejected as error:
            log.warning("credential_rejected", sentence=str(error))
            await self._commits(self._work.fail, job, _problem(error), self._clock())
            return False
        except Exception:
            await self._blame(job)
            raise
        desk = AttemptDesk(
            assignment,
            self.name,
            commits=self._commits,
            work=self._work,
            board=self._board,
            clock=self._clock,
            card_wait_s=self._equipment.card_wait_s,
            silence_s=device.capabilities.silence_s,
        )
        self._desk = desk
        if (job.job_id, job.attempt) in self._withdrawn:
            desk.withdraw()
        attempt = asyncio.create_task(
            device.encode(assignment.credential, desk, job.intent),
            name=f"{self.name} encode",
        )
        try:
            if not await self._watch(attempt, desk):
                await self._bury(attempt, desk, device.capabilities.silence_s, log)
                raise DeviceUnavailable("The encoder did not answer in time.")
            return await self._conclude(attempt, desk, device, log)
        except asyncio.CancelledError:
            await self._shut_down(attempt, desk, device.capabilities.silence_s)
            raise
        finally:
            self._desk = None
            if not desk.closed:
                self._show("idle", error=desk.verdict)

    async def _watch(self, attempt: asyncio.Task[Receipt], desk: AttemptDesk) -> bool:
        """Wait for the attempt to end.

        Returns:
            False: the device owes a word for longer than it promised.
        """
        time = asyncio.get_running_loop().time
        while not attempt.done():
            desk.stirred.clear()
            stirred = asyncio.create_task(desk.stirred.wait())
            try:
                await asyncio.wait(
                    {attempt, stirred},
                    timeout=max(0.0, desk.limit - time()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                stirred.cancel()
            if attempt.done() or time() < desk.limit:
                continue
            if desk.intended or desk.is_off:
                return False
            desk.waited_too_long = True
            desk.withdraw()
        return True

    async def _conclude(self, attempt: asyncio.Task[Receipt], desk: AttemptDesk, device: Encoder, log: Any) -> bool:
        job, now = desk.job, self._clock()
        try:
            receipt = attempt.result()
        except Withdrawn:
            if not desk.is_off:
                await self._broke(desk)
                raise
            if desk.waited_too_long:
                log.info("no_card_in_time")
                await self._commits(self._work.requeue, job, _NO_CARD, now, yields=True)
            return False
        except NoCard as error:
            log.info("no_card", sentence=str(error))
            problem = _problem(error)
            await self._commits(self._work.requeue, job, problem, now, retry_at=now + _PAUSE_MS, yields=True)
            return False
        except CardRejected as error:
            log.info("card_rejected", sentence=str(error), raw=repr(error.raw))
            pause = 0 if isinstance(device, Sensing) else _PAUSE_MS
            desk.verdict = _problem(error)
            await self._commits(self._work.requeue, job, desk.verdict, now, retry_at=now + pause)
            await self._signal(device, ok=False)
            return True
        except CredentialRejected as error:
            log.warning("credential_rejected", sentence=str(error), raw=repr(error.raw))
            await self._commits(self._work.fail, job, _problem(error), now)
            return False
        except Unsure as error:
            log.warning("unsure", sentence=str(error), raw=repr(error.raw))
            desk.verdict = _problem(error)
            await self._doubt(desk, desk.verdict)
            await self._signal(device, ok=False)
            return True
        except DeviceUnavailable as error:
            log.warning("device_unavailable", sentence=str(error), raw=repr(error.raw))
            await self._commits(self._work.requeue, job, _problem(error), now)
            raise
        except asyncio.CancelledError as error:  # nobody cancels an attempt that has ended: this one is the driver's
            await self._broke(desk)
            raise RuntimeError("the driver cancelled itself") from error
        except Exception:
            log.exception("driver_broke")
            await self._broke(desk)
            raise
        if await self._commits(self._work.issue, job, receipt, now):
            log.info("issued", evidence=receipt.evidence.value)
        await self._signal(device, ok=True)
        return True

    async def _doubt(self, desk: AttemptDesk, problem: Problem) -> None:
        """From now on somebody has to look at the card; repeated doubts come slower."""
        now = self._clock()
        if not desk.intended and desk.job.intent is None:
            await self._commits(self._work.intend, desk.job, self.name, Intent(card=None), now)
        faults = await self._commits.relaxed(self._work.faults, desk.job)
        retry_at = now + min(60, 2**faults - 1) * 1000
        await self._commits(self._work.doubt, desk.job, problem, now, retry_at=retry_at)

    async def _broke(self, desk: AttemptDesk) -> None:
        """An error that no driver may raise: after an intent anything may be on the card."""
        if desk.intended or desk.job.intent is not None:
            await self._doubt(desk, _BROKEN)
        else:
            await self._blame(desk.job)

    async def _blame(self, job: Job) -> None:
        """A driver broke before it intended anything: the others first, and not for ever."""
        if await self._commits.relaxed(self._work.faults, job) + 1 >= MAX_FAULTS:
            await self._commits(self._work.fail, job, _BROKEN, self._clock())
        else:
            await self._commits(self._work.requeue, job, _BROKEN, self._clock(), blames=True)

    async def _bury(self, attempt: asyncio.Task[Receipt], desk: AttemptDesk, grace_s: float, log: Any) -> None:
        """Give up on an attempt that hangs; if it comes back with a receipt after all, that counts."""
        desk.closed = True
        log.error("encoder_hung")
        self._show("hung", error=_HUNG)
        if desk.intended or desk.job.intent is not None:
            await self._doubt(desk, _HUNG)
        else:
            await self._commits(self._work.requeue, desk.job, _HUNG, self._clock())
        self._buried = (attempt, desk)
        await asyncio.wait({attempt}, timeout=grace_s)

    async def _await_buried(self) -> None:
        """One caller at a time: the device is not opened again before the call that hung has come back."""
        if self._buried:
            attempt, desk = self._buried
            await asyncio.wait({attempt})
            await self._accept_late(attempt, desk)
            self._buried = None

    async def _accept_late(self, attempt: asyncio.Task[Receipt], desk: AttemptDesk) -> None:
        if attempt.done() and not attempt.cancelled() and attempt.exception() is None:
            await self._commits(self._work.issue, desk.job, attempt.result(), self._clock())

    async def _shut_down(self, attempt: asyncio.Task[Receipt], desk: AttemptDesk, silence_s: float) -> None:
        """A started write is awaited to its end, within the device's promise."""
        attempt.cancel()
        await asyncio.wait({attempt}, timeout=silence_s)
        await self._accept_late(attempt, desk)

    async def _signal(self, device: Encoder, *, ok: bool) -> None:
        if isinstance(device, Signaller):
            with contextlib.suppress(DriverError):
                await device.signal(ok)

    def _offline(self, problem: Problem) -> None:
        shown = self._board.encoders[self.name]
        if shown.state != "offline" or shown.error is None or shown.error.type != problem.type:
            self._log.warning("encoder_offline", sentence=problem.message)
            self._show("offline", error=problem)

    def _show(self, state: Any, *, error: Problem | None = None) -> None:
        body = wire.Problem(type=error.type, message=error.message) if error else None
        self._board.show(self.name, wire.EncoderState(state=state, since=iso(self._clock()), error=body))


def _problem(error: DriverError) -> Problem:
    return Problem(type=error.error_type, message=str(error))
