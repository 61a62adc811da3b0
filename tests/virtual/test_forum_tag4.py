"""The card that nobody here wrote answers through a real PC/SC service, and takes what is written."""

from __future__ import annotations

from collections.abc import Iterator

import ndef
import pytest
from encoder_bridge_cards.link import NoAnswer

from virtual import forum_tag4, pcscd
from virtual.forum_tag4 import ForumTag4
from virtual.pcscd import PcscStack
from virtual.personalities import ACR122U, Reader
from virtual.vpcd import Slot

scard = pytest.importorskip("smartcard.scard", reason="pyscard is not installed: no PC/SC client")

pytestmark = pytest.mark.skipif(forum_tag4.available() is not None, reason=str(forum_tag4.available()))

CAPABILITIES = "000f20005400ff0406e104fffe0000"
SELECT_APPLICATION = "00A4040007D276000085010100"
SELECT_CAPABILITIES = "00A4000C02E103"
SELECT_NDEF = "00A4000C02E104"


@pytest.fixture
def card() -> Iterator[ForumTag4]:
    with ForumTag4() as running:
        yield running


def say(card: ForumTag4, apdu: str) -> str:
    return card.exchange(bytes.fromhex(apdu)).hex()


@pytest.mark.skipif(pcscd.available() is not None, reason=str(pcscd.available()))
def test_a_foreign_card_is_written_and_read_back_through_the_real_service(card: ForumTag4) -> None:
    message = b"".join(ndef.message_encoder([ndef.UriRecord("https://example.org/" + 50 * "room/")]))
    file = len(message).to_bytes(2, "big") + message
    with PcscStack(ACR122U.name) as stack, stack.use(), Slot(stack.port(stack.readers[0]), Reader(ACR122U)) as slot:
        slot.lay(card)
        code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
        assert code == scard.SCARD_S_SUCCESS
        state = scard.SCARD_STATE_UNAWARE
        while not state & scard.SCARD_STATE_PRESENT:
            _, ((_, state, atr),) = scard.SCardGetStatusChange(context, 10_000, [(stack.readers[0], state)])
        assert bytes(atr).hex() == "3b80800101"
        code, handle, protocol = scard.SCardConnect(
            context, stack.readers[0], scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1
        )
        assert code == scard.SCARD_S_SUCCESS

        def transmit(apdu: bytes) -> bytes:
            code, answer = scard.SCardTransmit(handle, protocol, list(apdu))
            assert code == scard.SCARD_S_SUCCESS
            assert bytes(answer[-2:]) == b"\x90\x00"
            return bytes(answer[:-2])

        assert transmit(bytes.fromhex("FFCA000000")) == bytes.fromhex("0800b00b")
        transmit(bytes.fromhex(SELECT_APPLICATION))
        transmit(bytes.fromhex(SELECT_CAPABILITIES))
        assert transmit(bytes.fromhex("00B000000F")).hex() == CAPABILITIES
        transmit(bytes.fromhex(SELECT_NDEF))
        for at in range(0, len(file), 0xFF):
            piece = file[at : at + 0xFF]
            transmit(b"\x00\xd6" + at.to_bytes(2, "big") + bytes([len(piece)]) + piece)
        read = b"".join(
            transmit(b"\x00\xb0" + at.to_bytes(2, "big") + bytes([min(0x54, len(file) - at)]))
            for at in range(0, len(file), 0x54)
        )
        scard.SCardReleaseContext(context)
    assert read == file
    assert card.snapshot() == file
    assert next(ndef.message_decoder(read[2:])).uri.startswith("https://example.org/room/")


def test_what_would_end_the_program_is_refused_as_a_card_does(card: ForumTag4) -> None:
    card.activate()
    assert say(card, "9060000000") == "6e00"
    assert say(card, "0084000008") == "6d00"
    assert say(card, "00A4010000") == "6a86"
    assert say(card, "00B0000055") == "6700"
    assert say(card, "00D6FFFE01FF") == "6b00"
    assert say(card, "00B0") == "6700"
    assert say(card, SELECT_APPLICATION) == "9000"


def test_another_application_is_not_found(card: ForumTag4) -> None:
    card.activate()
    assert say(card, "00A4040007A0000000000000" + "00") == "6a82"


def test_a_read_of_nothing_returns_nothing(card: ForumTag4) -> None:
    card.activate()
    for apdu in (SELECT_APPLICATION, SELECT_CAPABILITIES, "00B0000000"):
        assert say(card, apdu) == "9000"


def test_an_interrupted_update_is_half_written(card: ForumTag4) -> None:
    card.activate()
    for apdu in (SELECT_APPLICATION, SELECT_NDEF, "00D60000060004AAAAAAAA"):
        assert say(card, apdu) == "9000"
    card.interrupt(bytes.fromhex("00D6000204BBBBBBBB"))
    assert card.snapshot() == bytes.fromhex("0004BBBBAAAA")


def test_a_program_that_has_ended_is_a_card_that_has_gone(card: ForumTag4) -> None:
    card.activate()
    card._process.kill()
    card._process.wait()
    with pytest.raises(NoAnswer):
        say(card, SELECT_APPLICATION)
    with pytest.raises(NoAnswer):
        card.activate()


def test_a_program_that_does_not_start_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forum_tag4, "PROGRAM", "false")
    with pytest.raises(RuntimeError, match="did not become a card"), ForumTag4():
        pass
