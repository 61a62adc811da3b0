"""Readers through a real pcscd: cards come and go, pcscd ends, and nothing hangs or is left behind."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TypeVar

import pytest
from encoder_bridge_cards.link import Link, NoAnswer, ReaderGone
from encoder_bridge_pcsc.listing import listed
from encoder_bridge_pcsc.names import Wanted
from encoder_bridge_pcsc.opening import opened
from encoder_bridge_pcsc.reader import PcscReader
from virtual import pcscd
from virtual.card import VirtualCard
from virtual.classic import Classic
from virtual.desfire import Desfire
from virtual.pcscd import PcscStack
from virtual.personalities import ACR122U, OMNIKEY_5422, Model, Reader
from virtual.type2 import Ntag
from virtual.vpcd import Slot

from encoder_bridge.driver import DeviceUnavailable

scard = pytest.importorskip("smartcard.scard", reason="pyscard is not installed: no PC/SC client")

pytestmark = pytest.mark.skipif(pcscd.available() is not None, reason=str(pcscd.available()))

UID, OTHER_UID = bytes.fromhex("04112233445566"), bytes.fromhex("04665544332211")
SERIAL = replace(ACR122U, name="ACS ACR122U PICC Interface (RR123456)")
SAM = replace(ACR122U, name="ACS ACR1252 Dual Reader [ACR1252 Dual Reader SAM]")
PATIENCE_S = 20.0
Result = TypeVar("Result")


@pytest.fixture
def stack() -> Iterator[PcscStack]:
    with PcscStack(ACR122U.name, OMNIKEY_5422.name) as running, running.use():
        yield running


def in_time(work: Callable[[], Awaitable[Result]]) -> Result:
    async def limited() -> Result:
        async with asyncio.timeout(PATIENCE_S):
            return await work()

    return asyncio.run(limited())


@asynccontextmanager
async def desk(stack: PcscStack, model: Model = ACR122U) -> AsyncIterator[tuple[PcscReader, Slot]]:
    """An open reader and whoever lays cards on it."""
    with Slot(stack.port(f"{model.name} 00 00"), Reader(model)) as slot:
        async with opened(Wanted(reader=model.name, slot=0)) as reader:
            yield reader, slot


async def lay(slot: Slot, card: VirtualCard) -> None:
    await asyncio.to_thread(slot.lay, card)


async def lift(slot: Slot) -> None:
    await asyncio.to_thread(slot.lift)


def uid(link: Link) -> bytes:
    return link.activate().uid


async def uid_of(reader: PcscReader) -> bytes:
    await reader.present()
    async with reader.hold() as held:
        return await held.run(uid)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_cards_are_noticed_when_they_come_and_go(stack: PcscStack) -> None:
    async def story() -> list[bytes]:
        seen = []
        async with desk(stack) as (reader, slot):
            await reader.absent()
            for number in (UID, OTHER_UID):
                coming = asyncio.ensure_future(reader.present())
                await lay(slot, Ntag(uid=number))
                await coming
                seen.append(await uid_of(reader))
                going = asyncio.ensure_future(reader.absent())
                await lift(slot)
                await going
        return seen

    assert in_time(story) == [UID, OTHER_UID]


def test_a_card_that_lies_there_when_the_reader_is_opened_is_noticed(stack: PcscStack) -> None:
    async def story() -> bytes:
        with Slot(stack.port(stack.readers[0]), Reader(ACR122U)) as slot:
            await lay(slot, Ntag(uid=UID))
            async with opened(Wanted(reader=stack.readers[0])) as reader:
                return await uid_of(reader)

    assert in_time(story) == UID


def test_a_card_that_was_swapped_was_lifted(stack: PcscStack) -> None:
    async def story() -> bytes:
        async with desk(stack) as (reader, slot):
            await lay(slot, Ntag(uid=UID))
            await reader.present()
            lifted = asyncio.ensure_future(reader.absent())
            await asyncio.to_thread(slot.swap, Ntag(uid=OTHER_UID))
            await lifted
            return await uid_of(reader)

    assert in_time(story) == OTHER_UID


def test_readers_side_by_side_see_their_own_cards(stack: PcscStack) -> None:
    async def story() -> list[bytes]:
        async with desk(stack) as first, desk(stack, OMNIKEY_5422) as second:
            await asyncio.gather(lay(first[1], Ntag(uid=UID)), lay(second[1], Ntag(uid=OTHER_UID)))
            return list(await asyncio.gather(uid_of(first[0]), uid_of(second[0])))

    assert in_time(story) == [UID, OTHER_UID]


@pytest.mark.parametrize("how", ["before", "during", "after"])
def test_a_card_that_breaks_off_in_a_work_is_gone_when_the_work_has_ended(stack: PcscStack, how: str) -> None:
    def write(link: Link) -> None:
        link.activate()
        for page in range(4, 30):
            link.exchange(bytes([0xA2, page]) + b"full")

    async def story() -> bytes:
        async with desk(stack) as (reader, slot):
            card = Ntag(uid=UID)
            await lay(slot, card)
            await reader.present()
            slot.tear(3, how)
            with pytest.raises(NoAnswer):
                async with reader.hold() as held:
                    await held.run(write)
            coming = asyncio.ensure_future(reader.present())
            await asyncio.sleep(0)
            assert not coming.done()
            coming.cancel()
            await reader.absent()
            await lay(slot, card)
            return await uid_of(reader)

    assert in_time(story) == UID


def test_a_reply_that_stays_out_once_is_no_answer_and_the_card_can_be_had_again(stack: PcscStack) -> None:
    class Mute(Reader):
        is_mute = False

        def transmit(self, apdu: bytes) -> bytes:
            return b"" if self.is_mute else super().transmit(apdu)

    async def story() -> bytes:
        reader_behaviour = Mute(ACR122U)
        with Slot(stack.port(stack.readers[0]), reader_behaviour) as slot:
            async with opened(Wanted(reader=stack.readers[0])) as reader:
                await lay(slot, Ntag(uid=UID))
                await reader.present()
                reader_behaviour.is_mute = True
                with pytest.raises(NoAnswer):
                    async with reader.hold() as held:
                        await held.run(uid)
                reader_behaviour.is_mute = False
                return await uid_of(reader)

    assert in_time(story) == UID


@pytest.mark.parametrize("ends", [PcscStack.kill, PcscStack.stop])
def test_a_reader_is_lost_with_its_service_and_opens_again_after_it(
    stack: PcscStack, ends: Callable[[PcscStack], None]
) -> None:
    async def story() -> bytes:
        async with desk(stack) as (reader, slot):
            waiting = [asyncio.ensure_future(wait()) for wait in (reader.lost, reader.present)]
            await asyncio.to_thread(ends, stack)
            await waiting[0]
            with pytest.raises(ReaderGone):
                await waiting[1]
            for wait in (reader.present, reader.absent):
                with pytest.raises(ReaderGone):
                    await wait()
            with pytest.raises(ReaderGone):
                async with reader.hold():
                    pass
            await reader.signal(True)
        with pytest.raises(DeviceUnavailable) as refused:
            async with desk(stack):
                pass
        assert str(refused.value) == "The smart card service does not run: start pcscd."
        await asyncio.to_thread(stack.start)
        async with desk(stack) as (reader, slot):
            await lay(slot, Ntag(uid=UID))
            return await uid_of(reader)

    assert in_time(story) == UID


def test_a_service_that_ends_in_the_middle_of_a_work_takes_the_reader_along(stack: PcscStack) -> None:
    has_begun, may_go_on = threading.Event(), threading.Event()

    def work(link: Link) -> None:
        link.activate()
        has_begun.set()
        assert may_go_on.wait(PATIENCE_S)
        link.exchange(b"\x30\x04")

    async def story() -> None:
        async with desk(stack) as (reader, slot):
            await lay(slot, Ntag(uid=UID))
            await reader.present()
            async with reader.hold() as held:
                working = asyncio.ensure_future(held.run(work))
                await asyncio.to_thread(has_begun.wait, PATIENCE_S)
                await asyncio.to_thread(stack.restart, kill=True)
                may_go_on.set()
                with pytest.raises(ReaderGone):
                    await working
            await reader.lost()

    in_time(story)


def test_a_reader_that_was_unplugged_is_named_until_it_is_back(stack: PcscStack) -> None:
    async def story() -> bytes:
        async with desk(stack) as (reader, slot):
            await asyncio.to_thread(stack.restart, without=[ACR122U.name])
            await reader.lost()
            with pytest.raises(DeviceUnavailable, match=r"ACR122U.*is not plugged in: plug it in, or name one of 'HID"):
                async with opened(Wanted(reader=ACR122U.name, slot=0)):
                    pass
        await asyncio.to_thread(stack.restart, without=[ACR122U.name, OMNIKEY_5422.name])
        with pytest.raises(DeviceUnavailable, match=r"is not plugged in: plug it in\.$"):
            async with opened(Wanted(reader=ACR122U.name, slot=0)):
                pass
        await asyncio.to_thread(stack.restart)
        async with desk(stack) as (reader, slot):
            await lay(slot, Ntag(uid=UID))
            return await uid_of(reader)

    assert in_time(story) == UID


def test_nothing_is_left_behind_by_many_ends_of_the_service(stack: PcscStack) -> None:
    async def story() -> None:
        for _ in range(4):
            async with desk(stack) as (reader, _slot):
                await asyncio.to_thread(stack.kill)
                await reader.lost()
            await asyncio.to_thread(stack.start)

    in_time(story)
    threads, before = threading.active_count(), descriptors()
    in_time(story)
    assert (threading.active_count(), descriptors()) == (threads, before)


def test_a_closed_reader_leaves_no_thread_and_no_descriptor(stack: PcscStack) -> None:
    async def story() -> None:
        for _ in range(5):
            async with desk(stack) as (reader, _slot):
                await reader.absent()

    in_time(story)
    threads, before = threading.active_count(), descriptors()
    in_time(story)
    assert (threading.active_count(), descriptors()) == (threads, before)


def test_whoever_waits_for_a_reader_that_is_closed_is_told(stack: PcscStack) -> None:
    async def story() -> None:
        async with desk(stack) as (reader, _slot):
            waiting = asyncio.ensure_future(reader.present())
            await reader.absent()
        with pytest.raises(ReaderGone):
            await waiting
        await reader.lost()
        await reader.signal(True)

    in_time(story)


def test_nobody_else_gets_at_a_card_that_is_held(stack: PcscStack) -> None:
    async def story() -> None:
        async with desk(stack) as (reader, slot):
            await lay(slot, Ntag(uid=UID))
            await reader.present()
            _, other = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            try:
                async with reader.hold():
                    assert connect(other, reader.name)[0] == scard.SCARD_E_SHARING_VIOLATION
                code, handle, _ = connect(other, reader.name)
                assert code == scard.SCARD_S_SUCCESS
                with pytest.raises(NoAnswer) as refused:
                    async with reader.hold():
                        pass
                assert refused.value.raw == "SCARD_E_SHARING_VIOLATION"
                letting_go = asyncio.get_running_loop().call_later(
                    0.05, scard.SCardDisconnect, handle, scard.SCARD_LEAVE_CARD
                )
                assert await uid_of(reader) == UID
                letting_go.cancel()
            finally:
                scard.SCardReleaseContext(other)

    in_time(story)


def test_nobody_inherits_an_open_sector(stack: PcscStack) -> None:
    number = bytes.fromhex("3e112233")

    def open_sector(link: Link) -> bytes:
        link.activate()
        link.exchange(b"\x60\x04" + b"\xff" * 6 + number)
        return link.exchange(b"\x30\x04")

    async def story() -> bytes:
        async with desk(stack) as (reader, slot):
            await lay(slot, Classic(number))
            await reader.present()
            async with reader.hold() as held:
                await held.run(open_sector)
            _, other = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            try:
                _, handle, protocol = connect(other, reader.name)
                _, answer = scard.SCardTransmit(handle, protocol, [0xFF, 0xB0, 0, 4, 16])
                scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
                return bytes(answer)
            finally:
                scard.SCardReleaseContext(other)

    assert in_time(story) == b"\x63\x00"


def test_a_work_is_awaited_to_its_end_by_a_caller_who_is_cancelled(stack: PcscStack) -> None:
    has_begun, may_go_on = threading.Event(), threading.Event()
    done: list[bytes] = []

    def work(link: Link) -> None:
        has_begun.set()
        assert may_go_on.wait(PATIENCE_S)
        done.append(link.activate().uid)

    async def story() -> None:
        async with desk(stack) as (reader, slot):
            await lay(slot, Ntag(uid=UID))
            await reader.present()

            async def holding() -> None:
                async with reader.hold() as held:
                    await held.run(work)

            task = asyncio.ensure_future(holding())
            await asyncio.to_thread(has_begun.wait, PATIENCE_S)
            for _ in range(2):
                task.cancel()
                await asyncio.sleep(0)
            assert not task.done()
            may_go_on.set()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
            assert done == [UID]
            assert await uid_of(reader) == UID

    in_time(story)


def test_what_a_work_raises_is_raised_to_its_caller(stack: PcscStack) -> None:
    async def story() -> None:
        async with desk(stack) as (reader, slot):
            await lay(slot, Desfire())
            await reader.present()
            with pytest.raises(ZeroDivisionError):
                async with reader.hold() as held:
                    await held.run(lambda link: link.activate().blocks // 0)

    in_time(story)


def test_a_card_is_not_had_where_none_lies(stack: PcscStack) -> None:
    async def story() -> None:
        async with desk(stack) as (reader, _slot):
            with pytest.raises(NoAnswer):
                async with reader.hold():
                    pass

    in_time(story)


@pytest.mark.parametrize(("ok", "light"), [(True, "ff0040a0"), (False, "ff004050")])
def test_a_light_burns_while_the_card_lies_there(stack: PcscStack, ok: bool, light: str) -> None:
    async def story() -> list[str]:
        async with desk(stack) as (reader, slot):
            await lay(slot, Ntag())
            await reader.present()
            await reader.signal(ok)
            behaviour = slot.personality
            assert isinstance(behaviour, Reader)
            return [command.hex()[:8] for command in behaviour.signals]

    assert in_time(story) == [light]


def test_a_signal_that_cannot_be_given_is_no_error(stack: PcscStack) -> None:
    async def story() -> None:
        async with desk(stack) as (reader, _slot), desk(stack, OMNIKEY_5422) as (other, slot):
            await reader.signal(True)
            await lay(slot, Ntag())
            await other.signal(True)
            assert slot.apdus == 0

    in_time(story)


def test_a_reader_is_opened_once(stack: PcscStack) -> None:
    async def story() -> None:
        async with desk(stack) as (reader, slot):
            with pytest.raises(DeviceUnavailable, match="give each its own"):
                async with opened(Wanted(reader=reader.name)):
                    pass
            await lay(slot, Ntag(uid=UID))
            assert await uid_of(reader) == UID

    in_time(story)


def test_a_reader_that_somebody_has_to_himself_is_in_use(stack: PcscStack) -> None:
    async def story() -> None:
        with Slot(stack.port(stack.readers[0]), Reader(ACR122U)) as slot:
            await lay(slot, Ntag())
            _, other = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            try:
                connect(other, stack.readers[0], scard.SCARD_SHARE_EXCLUSIVE)
                for wanted in (Wanted(reader=stack.readers[0]), Wanted(serial="RR1")):
                    with pytest.raises(DeviceUnavailable, match="to itself: close it"):
                        async with opened(wanted):
                            pass
                assert [found.settings["reader"] for found in await listed()] == [name[:-6] for name in stack.readers]
            finally:
                scard.SCardReleaseContext(other)

    in_time(story)


def test_an_opening_that_is_cancelled_leaves_nothing_behind(stack: PcscStack) -> None:
    async def attempt() -> None:
        async with desk(stack):
            raise AssertionError("was not cancelled")

    async def story() -> None:
        for _ in range(5):
            task = asyncio.ensure_future(attempt())
            await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()

    in_time(story)
    threads, before = threading.active_count(), descriptors()
    in_time(story)
    assert (threading.active_count(), descriptors()) == (threads, before)


def test_readers_are_listed_with_what_opens_them() -> None:
    with PcscStack(SERIAL.name, OMNIKEY_5422.name, SAM.name) as stack, stack.use():
        found = in_time(listed)
        assert [dict(each.settings) for each in found] == [
            {"reader": SERIAL.name, "slot": 0},
            {"reader": SERIAL.name, "slot": 1},
            {"reader": OMNIKEY_5422.name, "slot": 0},
            {"reader": OMNIKEY_5422.name, "slot": 1},
        ]
        assert [each.about["model"] for each in found] == ["ACS ACR122U"] * 2 + ["HID OMNIKEY 5x22"] * 2
        assert found[0].about["serial"] == "RR123456"
        assert (found[0].about["light"], found[2].about["light"]) == ("yes", "no")
        stack.kill()
        assert in_time(listed) == ()


def test_listing_does_not_disturb_whoever_has_a_card(stack: PcscStack) -> None:
    async def story() -> None:
        async with desk(stack) as (reader, slot):
            await lay(slot, Ntag(uid=UID))
            await reader.present()
            before = await listed()
            async with reader.hold() as held:
                assert await listed() == before
                assert await held.run(uid) == UID

    in_time(story)


def connect(context: object, reader: str, share: int | None = None) -> tuple[int, object, int]:
    """Another program's connection."""
    code, handle, protocol = scard.SCardConnect(
        context,
        reader,
        scard.SCARD_SHARE_SHARED if share is None else share,
        scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1,
    )
    return code, handle, protocol
