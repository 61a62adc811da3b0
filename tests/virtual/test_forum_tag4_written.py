"""The card library writes a card that nobody here wrote, through a real PC/SC service, and others read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeVar

import ndef
import pytest
from encoder_bridge_cards.link import Link
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.type4.area import PLACE
from encoder_bridge_cards.type4.layout import Type4Layout
from encoder_bridge_cards.type4.work import Type4Work

from encoder_bridge.driver import CardRejected
from virtual import forum_tag4, pcscd
from virtual.forum_tag4 import ForumTag4
from virtual.pcscd import PcscStack
from virtual.personalities import ACR122U, Reader
from virtual.vpcd import Slot

scard = pytest.importorskip("smartcard.scard", reason="pyscard is not installed: no PC/SC client")

from encoder_bridge_pcsc.names import Wanted  # noqa: E402
from encoder_bridge_pcsc.opening import opened  # noqa: E402

pytestmark = [
    pytest.mark.skipif(forum_tag4.available() is not None, reason=str(forum_tag4.available())),
    pytest.mark.skipif(pcscd.available() is not None, reason=str(pcscd.available())),
]

UID = bytes.fromhex("04B00B00B00B04")
LONG = "https://example.org/" + 50 * "room/"
THEIRS = b"libnfc.org"
"""What the program carries from the start."""
SHORT = "https://example.org/door"

Result = TypeVar("Result")


@pytest.fixture
def reader() -> Iterator[str]:
    """The name of a reader on which the card lies."""
    with (
        ForumTag4(uid=UID) as card,
        PcscStack(ACR122U.name) as stack,
        stack.use(),
        Slot(stack.port(stack.readers[0]), Reader(ACR122U)) as slot,
    ):
        slot.lay(card)
        yield stack.readers[0]


def message(uri: str) -> bytes:
    return b"".join(ndef.message_encoder([ndef.UriRecord(uri)]))


def places(uri: str) -> Contents:
    return Type4Layout().places(message(uri), ndef=True)


def surveyed(link: Link) -> Type4Work:
    work = Type4Layout().on(link, link.activate())
    assert work is not None
    work.survey(lambda area: b"example.org" in area or THEIRS in area, resuming=False)
    return work


def written(contents: Contents) -> Callable[[Link], Type4Work]:
    def write(link: Link) -> Type4Work:
        work = surveyed(link)
        work.write(contents, lambda done, total: None)
        work.verify(contents)
        return work

    return write


def with_the_driver(name: str, work: Callable[[Link], Result]) -> Result:
    async def run() -> Result:
        async with opened(Wanted(reader=name)) as reader:
            await reader.present()
            async with reader.hold() as held:
                return await held.run(work)

    return asyncio.run(run())


def read_by_others(name: str) -> bytes:
    """The message as any program on pyscard reads it."""
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    assert code == scard.SCARD_S_SUCCESS
    code, handle, protocol = scard.SCardConnect(
        context, name, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
    )
    assert code == scard.SCARD_S_SUCCESS

    def transmit(apdu: str) -> bytes:
        code, answer = scard.SCardTransmit(handle, protocol, list(bytes.fromhex(apdu)))
        assert code == scard.SCARD_S_SUCCESS
        assert answer[-2:] == [0x90, 0x00]
        return bytes(answer[:-2])

    transmit(forum_tag4.SELECT_APPLICATION.hex())
    transmit(forum_tag4.SELECT_NDEF.hex())
    length = int.from_bytes(transmit("00B0000002"), "big")
    pieces = range(2, 2 + length, 0x40)
    read = b"".join(transmit(f"00B0{at:04X}{min(0x40, 2 + length - at):02X}") for at in pieces)
    scard.SCardReleaseContext(context)
    return read


def test_a_message_of_others_is_left_alone(reader: str) -> None:
    def survey(link: Link) -> None:
        work = Type4Layout().on(link, link.activate())
        assert work is not None
        with pytest.raises(CardRejected, match="another system"):
            work.survey(lambda area: False, resuming=False)

    before = read_by_others(reader)
    with_the_driver(reader, survey)
    assert THEIRS in before
    assert read_by_others(reader) == before


def test_a_foreign_card_is_written_by_the_real_driver_and_read_by_others(reader: str) -> None:
    for uri in (LONG, SHORT):
        work = with_the_driver(reader, written(places(uri)))
        assert work.card.technology == "nfc_type_4"
        assert work.card.uid == UID.hex()
        (record,) = ndef.message_decoder(read_by_others(reader))
        assert record.uri == uri


def test_a_foreign_card_is_erased(reader: str) -> None:
    def erase(link: Link) -> bytes:
        work = surveyed(link)
        return written(work.blank())(link).read()[PLACE]

    with_the_driver(reader, written(places(LONG)))
    assert with_the_driver(reader, erase) == b""
    assert read_by_others(reader) == b""
