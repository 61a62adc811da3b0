"""One encoder at work: open it, take the next job, have it written, say what became of it, for ever."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from encoder_bridge import texts, wire
from encoder_bridge.attempt import Attempt
from encoder_bridge.board import Board
from encoder_bridge.commits import Commits
from encoder_bridge.desk import Clock, not_enforced
from encoder_bridge.driver import DeviceUnavailable, Driver, Encoder, Eraser, Reader, Secret, Sensing, Settings
from encoder_bridge.errand import Errand
from encoder_bridge.errors import ConfigError, StoreError
from encoder_bridge.log import get_logger
from encoder_bridge.mishaps import broken, gone, hung, told, unavailable
from encoder_bridge.model import Assignment, Problem, iso
from encoder_bridge.reports import problem as wire_problem
from encoder_bridge.store import Store

REOPEN_S = (0.5, 30.0)
"""Back-off between attempts to open a device: first, longest."""
OPEN_S = 60.0
"""The longest that opening a device may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What the configuration says of one encoder."""

    name: str
    driver: Driver
    settings: Settings
    secret: Secret
    card_wait_s: float


class Station:
    """Serves one encoder.

    Args:
        equipment: the encoder.
        commits: makes operations durable.
        store: the operations.
        board: where the desk looks.
        clock: the present.
        works: takes jobs from the queue; else it does errands alone and opens the device for the first of them.
    """

    def __init__(
        self, equipment: Equipment, *, commits: Commits, store: Store, board: Board, clock: Clock, works: bool = True
    ) -> None:
        self.name = equipment.name
        self._equipment = equipment
        self._commits = commits
        self._turns = store.turns
        self._work = store.work
        self._works = works
        self._board = board
        self._clock = clock
        self._wake = asyncio.Event()
        self._attempt: Attempt | None = None
        self._errand: Errand | None = None
        self._ordered = asyncio.Event()
        self._hung: Attempt | Errand | None = None
        self._delay = REOPEN_S[0]
        self._withdrawn: set[tuple[int, int]] = set()
        self._log = get_logger("encoder").bind(encoder=self.name)
        self._show("offline")

    def wake(self) -> None:
        """Look for work again."""
        self._wake.set()

    def withdraw(self, attempts: set[tuple[int, int]]) -> None:
        """Stop asking for a card in these attempts, each a job's number and its own."""
        self._withdrawn |= attempts
        if self._attempt and self._attempt.key in attempts:
            self._attempt.withdraw()

    def send(self, errand: Errand) -> None:
        """Do an errand next; it interrupts a job that waits for its card, never one that has begun."""
        state = self._board.encoders[self.name]
        if self._errand or (self._attempt and not self._attempt.interrupt()):
            errand.refuse(texts.problem("encoder_busy", encoder=self.name))
        elif self._works and state.state in {"offline", "hung"}:
            errand.refuse(texts.problem("encoder_not_online"))
        else:
            self._errand = errand
            self._ordered.set()
            self._wake.set()

    async def run(self) -> None:
        """Serve until cancelled; a dead or missing device is opened again with back-off."""
        while True:
            if not self._works:
                await self._ordered.wait()
            try:
                async with AsyncExitStack() as stack:
                    async with asyncio.timeout(OPEN_S):
                        device = await stack.enter_async_context(
                            self._equipment.driver.open(self._equipment.settings, self._equipment.secret),
                        )
                    if not isinstance(device, Encoder):
                        raise TypeError("the device cannot encode")
                    self._log.info("encoder_online", technologies=sorted(device.capabilities.technologies))
                    self._board.abilities[self.name] = _abilities(device)
                    self._show("idle")
                    await self._serve(device)
            except DeviceUnavailable as error:
                self._offline(told(error))
            except TimeoutError:
                self._offline(texts.problem("encoder_not_online"))
            except StoreError:
                raise
            except ConfigError as error:
                self._offline(Problem(type="settings_rejected", message=str(error)))
            except Exception:  # noqa: BLE001 - whatever a driver does, the other encoders work on
                self._log.exception("driver_broke")
                self._offline(broken())
            finally:
                self._board.abilities.pop(self.name, None)
            await self._await_hung()
            await asyncio.sleep(self._delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
            self._delay = min(self._delay * 2, REOPEN_S[1])

    async def _serve(self, device: Encoder) -> None:
        """Job after job, until the device is lost.

        Raises:
            DeviceUnavailable: it is.
        """
        lost = asyncio.create_task(device.lost(), name=f"{self.name} lost")
        lost.add_done_callback(self._lose)
        try:
            # A card may have been left lying when the device or the daemon went: it is nobody's blank.
            await self._await_lift(device, lost)
            while not lost.done():
                self._wake.clear()
                self._withdrawn.clear()
                if self._errand:
                    await self._do_errand(device)
                    await self._await_lift(device, lost)  # what was read is nobody's blank
                    continue
                if not self._works:
                    await self._idle(lost, None)
                    continue
                assignment, ready_at = await self._commits.relaxed(self._turns.claim, self.name, self._clock())
                if assignment is None:
                    await self._idle(lost, ready_at)
                    continue
                may_lie = await self._attend(device, assignment)
                self._delay = REOPEN_S[0]
                if may_lie:
                    await self._await_lift(device, lost)
            lost.result()
        finally:
            lost.cancel()
        raise unavailable(gone())

    def _lose(self, _: asyncio.Task[None]) -> None:
        if self._attempt:
            self._attempt.lose()
        elif self._errand:
            self._errand.lose()

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
            verdict = self._board.encoders[self.name].error
            while True:
                if self._errand:  # the card that lies there may be the very one to be read
                    await self._do_errand(device)
                self._board.amend(self.name, prompt="lift_card", error=verdict)
                lifted = asyncio.create_task(device.lifted())
                ordered = asyncio.create_task(self._ordered.wait())
                try:
                    await asyncio.wait({lost, lifted, ordered}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    ordered.cancel()
                    ended = not lifted.cancel()
                if ended:
                    lifted.result()
                if ended or lost.done() or self._errand is None:
                    break
                await asyncio.wait({lifted})  # one caller at a time
            self._show("idle")

    async def _do_errand(self, device: Encoder) -> None:
        """Bring an errand to its end.

        Raises:
            DeviceUnavailable: the device has to be opened again.
        """
        errand = self._errand
        if errand is None:
            return
        try:
            if not await errand.run(device, self._board, card_wait_s=self._equipment.card_wait_s, log=self._log):
                self._hung = errand
                raise unavailable(hung())
        finally:
            self._errand = None
            self._ordered.clear()
            self._show("idle")

    async def _attend(self, device: Encoder, assignment: Assignment) -> bool:
        """Bring one attempt to its end.

        Returns:
            whether a card may lie on the encoder now.

        Raises:
            DeviceUnavailable: the device has to be opened again.
        """
        attempt = Attempt(
            device,
            assignment,
            self.name,
            commits=self._commits,
            work=self._work,
            board=self._board,
            clock=self._clock,
            card_wait_s=self._equipment.card_wait_s,
            log=self._log,
        )
        self._attempt = attempt
        if attempt.key in self._withdrawn:
            attempt.withdraw()
        if self._errand:  # somebody came while the job was claimed
            attempt.interrupt()
        try:
            return await attempt.run()
        except (DeviceUnavailable, StoreError, asyncio.CancelledError):
            raise
        except Exception:  # noqa: BLE001 - the attempt has logged it
            # Whatever went wrong, nobody holds this job now: somebody has to be told where it stands.
            await self._commits(self._work.abandon, attempt.job, self._clock())
            raise unavailable(broken()) from None
        finally:
            self._attempt = None
            self._show("idle", error=attempt.verdict)
            if attempt.is_hung:
                self._hung = attempt

    async def _await_hung(self) -> None:
        """One caller at a time: the device is not opened again before the call that hung has come back."""
        if self._hung:
            self._show("hung", error=hung())
            await self._hung.settle()
            self._hung = None

    def _offline(self, problem: Problem) -> None:
        if self._errand:
            self._errand.refuse(problem)
            self._errand = None
        self._ordered.clear()
        shown = self._board.encoders[self.name]
        if shown.state != "offline" or shown.error is None or shown.error.type != problem.type:
            self._log.warning("encoder_offline", sentence=problem.message)
            self._show("offline", error=problem)

    def _show(self, state: Any, *, error: Problem | None = None) -> None:
        body = wire_problem(error, encoder=self.name) if error else None
        self._board.show(self.name, wire.EncoderState(state=state, since=iso(self._clock()), error=body))


def _abilities(device: Encoder) -> dict[str, object]:
    """What people may expect of an open device."""
    capabilities = device.capabilities
    can = {"encode": True, "read": isinstance(device, Reader), "erase": isinstance(device, Eraser)}
    return {
        "can": [name for name, does in can.items() if does],
        "technologies": sorted(capabilities.technologies),
        "evidence": capabilities.evidence.value,
        "not_enforced": not_enforced(device),
        "time_step_s": capabilities.time_step_s,
    }
