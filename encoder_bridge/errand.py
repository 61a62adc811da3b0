"""One errand for a person: read the card that lies there, or blank it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from encoder_bridge import texts, wire
from encoder_bridge.board import Board
from encoder_bridge.call import Call
from encoder_bridge.commits import Commits
from encoder_bridge.desk import CallDesk, Clock, ErasingDesk, ReadingDesk
from encoder_bridge.driver import (
    Contents,
    Device,
    DeviceUnavailable,
    DriverError,
    Eraser,
    Intent,
    Reader,
    Unsure,
    Withdrawn,
)
from encoder_bridge.log import Logger
from encoder_bridge.mishaps import broken, gone, hung, is_plain, sound, told, unavailable
from encoder_bridge.model import Problem, iso
from encoder_bridge.reports import card_body, problem
from encoder_bridge.store.cards import Cards, Erasure

Asked = wire.Read | wire.Erase


class Errand:
    """Runs between two jobs, on a device that nobody else uses meanwhile; whoever asked awaits `response`.

    Args:
        asked: what is wanted.
        requester: who asks.
        commits: makes operations durable.
        cards: the operations.
        clock: the present.
    """

    def __init__(self, asked: Asked, requester: str | None, *, commits: Commits, cards: Cards, clock: Clock) -> None:
        self.asked = asked
        self.response: asyncio.Future[wire.Response] = asyncio.get_running_loop().create_future()
        self._requester = requester
        self._desk: CallDesk | None = None
        self._call: Call[Any] | None = None
        self._erasure: Erasure | None = None
        self._commits = commits
        self._cards = cards
        self._clock = clock

    def withdraw(self) -> None:
        """Whoever asked waits no longer."""
        self.response.cancel()
        if self._desk:
            self._desk.withdraw()

    def lose(self) -> None:
        """The device is gone."""
        if self._desk:
            self._desk.device_lost = True
            self._desk.withdraw()

    def refuse(self, why: Problem) -> None:
        """Answer that nothing comes of it."""
        self._answer("rejected", error=why)

    async def run(self, device: Device, board: Board, *, card_wait_s: float, log: Logger) -> bool:
        """Do it.

        Returns:
            False: the device hangs; `settle` waits for it.

        Raises:
            DeviceUnavailable: the device has to be opened again.
        """
        if self.response.done():  # whoever asked has gone
            return True
        encoder = self.asked.encoder
        silence_s = device.capabilities.silence_s
        is_erasure = isinstance(self.asked, wire.Erase)
        shown = wire.EncoderState(state="erasing" if is_erasure else "reading", since=iso(self._clock()))
        if isinstance(self.asked, wire.Erase) and isinstance(device, Eraser):
            # Before the first wait: whoever asked, or the device, may go during it.
            desk = self._desk = ErasingDesk(
                encoder, shown, begin=self._begin, board=board, card_wait_s=card_wait_s, silence_s=silence_s
            )
            self._erasure = await self._commits.relaxed(self._cards.unsettled, encoder)
            resume = self._erasure.intent if self._erasure else None
            self._call = Call(device.erase(desk, resume), desk, silence_s=silence_s, name=f"{encoder} erase")
        elif not is_erasure and isinstance(device, Reader):
            reading = self._desk = ReadingDesk(
                encoder, shown, board=board, card_wait_s=card_wait_s, silence_s=silence_s
            )
            self._call = Call(device.read(reading), reading, silence_s=silence_s, name=f"{encoder} read")
        else:
            self.refuse(texts.problem("not_supported", encoder=encoder))
            return True
        return await self._see_through(self._call, self._desk, log)

    async def settle(self) -> None:
        """Wait for a call that hung; if a card was blanked after all, that counts."""
        if self._call:
            await self._call.end()
            await self._accept_late(self._call)

    async def _see_through(self, call: Call[Any], desk: CallDesk, log: Logger) -> bool:
        try:
            is_done = await call.watch()
        except asyncio.CancelledError:
            await call.shut_down()
            await self._part(call, desk, log)
            raise
        if not is_done:
            log.error("encoder_hung")
            desk.closed = True
            await self._doubt(hung())
            self._answer("failed", error=hung())
            return False
        await self._conclude(call, desk, log)
        return True

    async def _part(self, call: Call[Any], desk: CallDesk, log: Logger) -> None:
        """The bridge stops: what the call came to counts, else a card that was begun is in doubt."""
        has_ended = call.task.done() and not call.task.cancelled()
        if has_ended and (desk.begun or call.late_result is not None):
            with contextlib.suppress(DeviceUnavailable):
                await self._conclude(call, desk, log)
        elif desk.begun:
            await self._doubt(texts.problem("erase_unsure"))
            self._answer("unsure", error=texts.problem("erase_unsure"))
        else:
            self.refuse(texts.problem("bridge_stopping"))

    async def _conclude(self, call: Call[Any], desk: CallDesk, log: Logger) -> None:
        """Store what a call that has ended came to, and answer it.

        Raises:
            DeviceUnavailable: the device has to be opened again.
        """
        try:
            await self._take(call.task.result())
        except Withdrawn:
            await self._withdraw()
            why = gone() if desk.device_lost else texts.problem("no_credential_on_encoder")
            self._answer("failed", error=why)
        except Unsure as error:
            await self._doubt(told(error))
            self._answer("unsure", error=told(error))
        except DeviceUnavailable as error:
            await self._withdraw()
            self._answer("failed", error=told(error))
            raise
        except DriverError as error:
            await self._withdraw()
            self._answer("failed", error=told(error))
        except (Exception, asyncio.CancelledError) as error:
            log.exception("driver_broke")
            await self._doubt(broken())
            self._answer("failed", error=broken())
            raise unavailable(broken()) from error

    async def _begin(self, intent: Intent) -> Problem | None:
        asked = self.asked
        begun = await self._commits(
            self._cards.begin_erasure,
            asked.encoder,
            intent,
            self._clock(),
            resumes=self._erasure,
            even_if_valid=isinstance(asked, wire.Erase) and asked.even_if_valid,
            requester=self._requester,
            operator=asked.operator,
        )
        if isinstance(begun, Problem):
            return begun
        self._erasure = begun
        return None

    async def _take(self, result: object) -> None:
        if isinstance(self.asked, wire.Read):
            if not isinstance(result, Contents) or not is_plain(result.card, result.fields):
                raise TypeError("the driver returned something that is no contents")
            made = await self._commits.relaxed(self._cards.made_here, result.card.uid, self._clock())
            self._answer("read", card=card_body(result.card), fields=dict(result.fields), made_here=made)
            return
        receipt = sound(result)
        if self._erasure:
            await self._commits(self._cards.erased, self._erasure, receipt, self._clock())
        self._answer("erased", card=card_body(receipt.card))

    async def _doubt(self, why: Problem) -> None:
        """An erasure that began, now or in an earlier call, is to be looked at again."""
        if self._erasure:
            await self._commits(self._cards.doubt_erasure, self._erasure, why, self._clock())

    async def _withdraw(self) -> None:
        if self._erasure:
            await self._commits(self._cards.withdraw_erasure, self._erasure)

    async def _accept_late(self, call: Call[Any]) -> None:
        if self._erasure and call.late_result is not None:
            with contextlib.suppress(TypeError):
                await self._commits(self._cards.erased, self._erasure, sound(call.late_result), self._clock())

    def _answer(self, status: wire.Status, *, error: Problem | None = None, **more: Any) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):
            self.response.set_result(
                wire.Response(
                    id=self.asked.id,
                    status=status,
                    encoder=self.asked.encoder,
                    error=problem(error, encoder=self.asked.encoder) if error else None,
                    **more,
                )
            )
