"""Noticing cards and losses, with a service in software whose every change is chosen."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
from contextlib import suppress
from typing import Any

import pytest
from encoder_bridge_cards.link import NoAnswer, ReaderGone
from encoder_bridge_pcsc.reader import PcscReader
from encoder_bridge_pcsc.watching import Watch
from encoder_bridge_pcsc.winscard import AccessDenied, Busy, Cancelled, PcscError, ReaderMissing, ServiceGone, Share
from encoder_bridge_pcsc.worker import Worker

PATIENCE_S = 20.0
EMPTY, PRESENT = 0x12, 0x22


class Service:
    """Stands in for a context: states come from a queue, and a connection is refused with an error."""

    def __init__(self, *states: int | PcscError) -> None:
        self.states: queue.Queue[int | PcscError] = queue.Queue()
        self.known: list[int] = []
        self.cancels = 0
        self.lost_cancels = 0
        self.connects = 0
        self.refuses: PcscError = ServiceGone("SCARD_E_NO_SERVICE")
        for state in states:
            self.states.put(state)

    def wait(self, reader: str, known: int) -> int:
        self.known.append(known)
        state = self.states.get(timeout=PATIENCE_S)
        if isinstance(state, PcscError):
            raise state
        return state

    def cancel(self) -> None:
        self.cancels += 1
        if self.lost_cancels:
            self.lost_cancels -= 1
            raise ServiceGone("SCARD_E_NO_SERVICE")
        self.states.put(Cancelled("SCARD_E_CANCELLED"))

    def connect(self, reader: str, share: Share) -> Any:
        self.connects += 1
        raise self.refuses


class Heard:
    """What a watch has told."""

    def __init__(self, service: Any) -> None:
        self.told: queue.Queue[bool | str] = queue.Queue()
        self.watch = Watch(service, "reader", self.told.put, self.told.put)

    def next(self) -> bool | str:
        return self.told.get(timeout=PATIENCE_S)


def test_a_card_that_comes_and_goes_is_told() -> None:
    service = Service(EMPTY, 0x1_0000 | PRESENT, 0x2_0000 | EMPTY)
    heard = Heard(service)
    assert [heard.next() for _ in range(3)] == [False, True, False]
    heard.watch.stop()
    assert service.known[:3] == [0, EMPTY, 0x1_0000 | PRESENT]


def test_a_card_that_was_swapped_between_two_looks_is_told_as_gone_first() -> None:
    heard = Heard(Service(0x1_0000 | PRESENT, 0x3_0000 | PRESENT))
    assert [heard.next() for _ in range(3)] == [True, False, True]
    heard.watch.stop()


def test_a_card_that_somebody_uses_is_the_same_card() -> None:
    heard = Heard(Service(0x1_0000 | PRESENT, 0x1_0100 | PRESENT, EMPTY))
    assert [heard.next() for _ in range(3)] == [True, True, False]
    heard.watch.stop()


@pytest.mark.parametrize("error", [ServiceGone("SCARD_F_COMM_ERROR"), ReaderMissing("SCARD_STATE_UNAVAILABLE")])
def test_the_end_is_told_with_its_word_and_once(error: PcscError) -> None:
    heard = Heard(Service(EMPTY, error))
    assert [heard.next(), heard.next()] == [False, error.raw]
    heard.watch.stop()
    assert heard.told.empty()


def test_a_watch_that_is_stopped_tells_no_end_and_leaves_no_thread() -> None:
    before = threading.active_count()
    heard = Heard(Service(EMPTY))
    assert heard.next() is False
    heard.watch.stop()
    assert heard.told.empty()
    assert threading.active_count() == before


def test_a_cancel_that_came_too_early_or_failed_is_repeated() -> None:
    service = Service(EMPTY)
    service.lost_cancels = 3
    heard = Heard(service)
    heard.watch.stop()
    assert service.cancels > 3


async def _reader(service: Any) -> tuple[PcscReader, Worker]:
    worker = Worker("test")
    return PcscReader("ACS ACR122U PICC Interface 00 00", service, worker), worker


@pytest.mark.parametrize("error", [ServiceGone("SCARD_E_NO_SERVICE"), ReaderMissing("SCARD_E_READER_UNAVAILABLE")])
def test_a_reader_that_is_found_gone_by_work_is_lost_for_everybody(error: PcscError) -> None:
    async def story() -> None:
        service = Service()
        service.refuses = error
        reader, worker = await _reader(service)
        waiting = asyncio.ensure_future(reader.present())
        try:
            for _ in range(2):
                with pytest.raises(ReaderGone) as gone:
                    async with reader.hold():
                        pass
                assert gone.value.raw == error.raw
            await asyncio.wait_for(reader.lost(), PATIENCE_S)
            with pytest.raises(ReaderGone):
                await asyncio.wait_for(waiting, PATIENCE_S)
            assert service.connects == 1
        finally:
            worker.close()

    asyncio.run(story())


def test_a_card_that_another_program_keeps_is_asked_for_several_times() -> None:
    async def story() -> None:
        service = Service()
        service.refuses = Busy("SCARD_E_SHARING_VIOLATION")
        reader, worker = await _reader(service)
        try:
            with pytest.raises(NoAnswer) as refused:
                async with reader.hold():
                    pass
            assert refused.value.raw == "SCARD_E_SHARING_VIOLATION"
            assert service.connects > 1
        finally:
            worker.close()

    asyncio.run(story())


@pytest.mark.parametrize("error", [AccessDenied("SCARD_W_SECURITY_VIOLATION"), PcscError("SCARD_E_NO_MEMORY")])
def test_a_signal_that_fails_in_any_way_is_no_error(error: PcscError) -> None:
    async def story() -> None:
        service = Service()
        service.refuses = error
        reader, worker = await _reader(service)
        try:
            await reader.signal(True)
        finally:
            worker.close()
        assert service.connects == 1

    asyncio.run(story())


def test_a_change_that_comes_after_the_loop_has_ended_is_nobody_s() -> None:
    service = Service(EMPTY)

    async def story() -> Watch:
        reader, worker = await _reader(service)
        worker.close()
        return reader.watch(service)  # type: ignore[arg-type]

    watch = asyncio.run(story())
    service.states.put(0x1_0000 | PRESENT)
    watch.stop()


def test_a_work_that_fails_after_its_caller_was_cancelled_ends_in_the_cancellation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    has_begun, may_go_on = threading.Event(), threading.Event()

    def work() -> None:
        has_begun.set()
        assert may_go_on.wait(PATIENCE_S)
        raise ZeroDivisionError

    async def story() -> None:
        worker = Worker("test")
        try:
            task = asyncio.ensure_future(worker.do(work))
            await asyncio.to_thread(has_begun.wait, PATIENCE_S)
            task.cancel()
            await asyncio.sleep(0)
            may_go_on.set()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
        finally:
            worker.close()

    asyncio.run(story())
    gc.collect()
    assert not caplog.records
