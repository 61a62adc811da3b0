"""A USB reader that is plugged in and pulled out while pcscd serves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
from encoder_bridge_cards.link import Link, LinkError, ReaderGone
from encoder_bridge_pcsc.listing import listed
from encoder_bridge_pcsc.names import Wanted
from encoder_bridge_pcsc.opening import opened
from encoder_bridge_pcsc.reader import PcscReader
from virtual import pcscd, usb
from virtual.pcscd import PcscStack
from virtual.personalities import ACR122U, OMNIKEY_5422, Reader
from virtual.type2 import Ntag
from virtual.vpcd import Slot

from encoder_bridge.driver import DeviceUnavailable

pytest.importorskip("smartcard.scard", reason="pyscard is not installed: no PC/SC client")

why_not = pcscd.available() or usb.available()
pytestmark = pytest.mark.skipif(why_not is not None, reason=str(why_not))

UID = bytes.fromhex("04112233445566")
SERIAL = "RR123456"
NAME = f"{ACR122U.name} ({SERIAL}) 00 00"
PATIENCE_S = 20.0
Result = TypeVar("Result")


@pytest.fixture
def stack() -> Iterator[PcscStack]:
    with PcscStack(OMNIKEY_5422.name, usb=ACR122U.name) as running, running.use():
        running.plug(SERIAL)
        yield running


def in_time(work: Callable[[], Awaitable[Result]]) -> Result:
    async def limited() -> Result:
        async with asyncio.timeout(PATIENCE_S):
            return await work()

    return asyncio.run(limited())


def this_reader(stack: PcscStack) -> Wanted:
    return Wanted(reader=ACR122U.name, serial=SERIAL, slot=0)


async def uid_of(reader: PcscReader) -> bytes:
    await reader.present()
    async with reader.hold() as held:
        return await held.run(lambda link: link.activate().uid)


def test_a_reader_that_is_pulled_out_is_lost_and_its_neighbour_is_not(stack: PcscStack) -> None:
    async def story() -> None:
        async with (
            opened(this_reader(stack)) as reader,
            opened(Wanted(reader=OMNIKEY_5422.name, slot=0)) as neighbour,
        ):
            waiting = asyncio.ensure_future(reader.present())
            other = asyncio.ensure_future(neighbour.lost())
            await reader.absent()
            await asyncio.to_thread(stack.unplug)
            await reader.lost()
            with pytest.raises(ReaderGone):
                await waiting
            with pytest.raises(ReaderGone):
                async with reader.hold():
                    pass
            assert not other.done()
            other.cancel()
            with Slot(stack.port(f"{OMNIKEY_5422.name} 00 00"), Reader(OMNIKEY_5422)) as slot:
                await asyncio.to_thread(slot.lay, Ntag(uid=UID))
                assert await uid_of(neighbour) == UID

    in_time(story)


def test_a_reader_that_is_pulled_out_in_the_middle_of_a_work_is_lost(stack: PcscStack) -> None:
    has_begun, may_go_on = threading.Event(), threading.Event()

    def work(link: Link) -> None:
        link.activate()
        has_begun.set()
        assert may_go_on.wait(PATIENCE_S)
        link.exchange(b"\x30\x04")

    async def story() -> LinkError:
        with Slot(stack.port(NAME), Reader(ACR122U)) as slot:
            async with opened(this_reader(stack)) as reader:
                await asyncio.to_thread(slot.lay, Ntag(uid=UID))
                await reader.present()
                async with reader.hold() as held:
                    working = asyncio.ensure_future(held.run(work))
                    await asyncio.to_thread(has_begun.wait, PATIENCE_S)
                    await asyncio.to_thread(stack.unplug)
                    may_go_on.set()
                    with pytest.raises(LinkError) as raised:
                        await working
                await reader.lost()
                return raised.value

    assert isinstance(in_time(story), ReaderGone)


def test_a_reader_that_is_plugged_in_again_is_opened_by_its_serial_number(stack: PcscStack) -> None:
    async def story() -> bytes:
        with Slot(stack.port(NAME), Reader(ACR122U)) as slot:
            await asyncio.to_thread(slot.lay, Ntag(uid=UID))
            async with opened(this_reader(stack)) as reader:
                await asyncio.to_thread(stack.unplug)
                await reader.lost()
            await asyncio.to_thread(stack.plug, "RR999999")
            with pytest.raises(DeviceUnavailable, match=r"serial 'RR123456'.*is not plugged in"):
                async with opened(this_reader(stack)):
                    pass
            await asyncio.to_thread(stack.unplug)
            await asyncio.to_thread(stack.plug, SERIAL)
            async with opened(this_reader(stack)) as reader:
                return await uid_of(reader)

    assert in_time(story) == UID


def test_the_list_follows_what_is_plugged_in(stack: PcscStack) -> None:
    async def story() -> list[list[str | None]]:
        seen = []
        for change in (lambda: None, stack.unplug, lambda: stack.plug("RR999999")):
            await asyncio.to_thread(change)
            seen.append([found.about.get("serial") for found in await listed()])
        return seen

    assert in_time(story) == [
        [None, None, SERIAL, SERIAL],
        [None, None],
        [None, None, "RR999999", "RR999999"],
    ]
