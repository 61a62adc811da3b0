"""Private PC/SC stacks, seen by pyscard: each stands alone, and cards come, go and break off as they do on a reader."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Hashable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from encoder_bridge_cards.link import Activation, Family, LinkError, NoAnswer

from virtual import pcscd, personalities, usb
from virtual.card import VirtualCard
from virtual.pcscd import PcscError, PcscStack
from virtual.type2 import Ntag
from virtual.vpcd import Slot

scard = pytest.importorskip("smartcard.scard", reason="pyscard is not installed: no PC/SC client")

pytestmark = pytest.mark.skipif(pcscd.available() is not None, reason=str(pcscd.available()))
needs_usb = pytest.mark.skipif(usb.available() is not None, reason=str(usb.available()))

ACR122U, OMNIKEY = personalities.ACR122U.name, personalities.OMNIKEY_5422.name


MUTE = b"\x00\x00\x00\x00"


class Echo(VirtualCard):
    """A card of ISO/IEC 14443-4 that says back what it hears, and remembers it."""

    atqa = b"\x44\x03"
    sak = 0x20
    ats = bytes.fromhex("0675778102 80")

    def __init__(self) -> None:
        self.heard: list[str] = []

    def activate(self) -> Activation:
        return Activation(family=Family.ISO_DEP, uid=bytes.fromhex("04112233445566"))

    def exchange(self, frame: bytes) -> bytes:
        if frame == MUTE:
            raise NoAnswer
        self.heard.append(frame.hex())
        return frame + b"\x90\x00"

    def interrupt(self, frame: bytes) -> None:
        self.heard.append(f"part of {frame.hex()}")

    def snapshot(self) -> Hashable:
        return tuple(self.heard)


class Deadly(Echo):
    """A card that acts, and takes the service down before it answers."""

    def __init__(self, stack: PcscStack) -> None:
        super().__init__()
        self._stack = stack

    def exchange(self, frame: bytes) -> bytes:
        answer = super().exchange(frame)
        self._stack.kill()
        return answer


class Straight:
    """A reader that hands every APDU to the card."""

    def power_up(self, card: VirtualCard) -> bytes:
        self._card = card
        card.activate()
        return bytes.fromhex("3B8180018080")

    def transmit(self, apdu: bytes) -> bytes:
        try:
            return self._card.exchange(apdu)
        except LinkError:
            return b""


class Reader:
    """A connection to the card in one reader, through pyscard's lowest layer."""

    def __init__(self, context: int, name: str) -> None:
        code, self._handle, self._protocol = scard.SCardConnect(
            context, name, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1
        )
        assert code == scard.SCARD_S_SUCCESS, scard.SCardGetErrorMessage(code)

    def transmit(self, apdu: str) -> str:
        """The response in hex digits, or the error's name; pyscard's response is memory at random after an error."""
        code, response = scard.SCardTransmit(self._handle, self._protocol, list(bytes.fromhex(apdu)))
        return bytes(response).hex() if code == scard.SCARD_S_SUCCESS else named(code)

    def disconnect(self) -> None:
        """An exclusive connection to a card that has gone keeps everybody out all the same."""
        scard.SCardDisconnect(self._handle, scard.SCARD_LEAVE_CARD)


def named(code: int) -> str:
    names = (
        "SCARD_E_NO_SERVICE",
        "SCARD_W_REMOVED_CARD",
        "SCARD_E_NOT_TRANSACTED",
        "SCARD_E_NO_SMARTCARD",
        "SCARD_E_INVALID_VALUE",
        "SCARD_F_COMM_ERROR",
    )
    return next((name for name in names if getattr(scard, name) == code), hex(code))


@contextmanager
def context() -> Iterator[int]:
    code, established = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    assert code == scard.SCARD_S_SUCCESS, named(code)
    try:
        yield established
    finally:
        scard.SCardReleaseContext(established)


def readers(established: int) -> tuple[str, ...]:
    code, names = scard.SCardListReaders(established, [])
    assert code == scard.SCARD_S_SUCCESS, named(code)
    return tuple(names)


def wait_until(established: int, reader: str, wanted: int) -> None:
    """Return when the reader's state shows `wanted`, which is SCARD_STATE_PRESENT or SCARD_STATE_EMPTY."""
    known = scard.SCARD_STATE_UNAWARE
    while True:
        code, states = scard.SCardGetStatusChange(established, 10_000, [(reader, known)])
        assert code == scard.SCARD_S_SUCCESS, named(code)
        known = states[0][1]
        if known & wanted:
            return


@pytest.fixture
def stack() -> Iterator[PcscStack]:
    with PcscStack(ACR122U, OMNIKEY) as running, running.use():
        yield running


def test_readers_are_called_as_they_were_named(stack: PcscStack) -> None:
    with context() as established:
        assert readers(established) == stack.readers
    assert stack.readers == (f"{ACR122U} 00 00", f"{ACR122U} 00 01", f"{OMNIKEY} 00 00", f"{OMNIKEY} 00 01")


def test_a_reader_that_never_was_has_no_port(stack: PcscStack) -> None:
    with pytest.raises(KeyError):
        stack.port("Another 00 00")


def test_two_readers_of_the_same_name_are_refused() -> None:
    with pytest.raises(ValueError, match="names must differ"):
        PcscStack(ACR122U, ACR122U)


def test_a_card_is_reached_in_the_slot_where_it_lies(stack: PcscStack) -> None:
    cards = {reader: Echo() for reader in stack.readers}
    with ExitStack() as slots, context() as established:
        for reader, card in cards.items():
            slots.enter_context(Slot(stack.port(reader), Straight())).lay(card)
        for number, reader in enumerate(stack.readers):
            wait_until(established, reader, scard.SCARD_STATE_PRESENT)
            assert Reader(established, reader).transmit(f"00A400{number:02X}") == f"00a400{number:02x}9000"
    assert [card.heard for card in cards.values()] == [[f"00a400{number:02x}"] for number in range(4)]


def test_apdus_and_bytes_are_counted(stack: PcscStack) -> None:
    with Slot(stack.port(stack.readers[0]), Straight()) as slot, context() as established:
        slot.lay(Echo())
        wait_until(established, stack.readers[0], scard.SCARD_STATE_PRESENT)
        reader = Reader(established, stack.readers[0])
        reader.transmit("00A40000")
        reader.transmit("00A40001")
        assert (slot.apdus, slot.sent, slot.received, slot.exchanges) == (2, 8, 12, 2)


@pytest.mark.parametrize("how", ["before", "during", "after"])
def test_a_card_breaks_off_at_the_frame_that_was_chosen(stack: PcscStack, how: str) -> None:
    card = Echo()
    first = stack.readers[0]
    with Slot(stack.port(first), Straight()) as slot, context() as established:
        slot.lay(card)
        wait_until(established, first, scard.SCARD_STATE_PRESENT)
        reader = Reader(established, first)
        slot.tear(1, how)
        assert reader.transmit("00A40000") == "00a400009000"
        assert reader.transmit("00A40001") == ""
        assert slot.is_torn
        assert reader.transmit("00A40002") in {"SCARD_E_NOT_TRANSACTED", "SCARD_W_REMOVED_CARD"}
        wait_until(established, first, scard.SCARD_STATE_EMPTY)
        seen = {"before": [], "during": ["part of 00a40001"], "after": ["00a40001"]}[how]
        assert card.heard == ["00a40000", *seen]
        slot.lay(card)
        wait_until(established, first, scard.SCARD_STATE_PRESENT)
        assert reader.transmit("00A40003") == "SCARD_W_REMOVED_CARD"
        reader.disconnect()
        assert Reader(established, first).transmit("00A40004") == "00a400049000"


def test_a_card_laid_down_again_at_once_is_not_taken_for_one_that_stayed(stack: PcscStack) -> None:
    first = stack.readers[0]
    with Slot(stack.port(first), Straight()) as slot, context() as established:
        slot.lay(card := Echo())
        wait_until(established, first, scard.SCARD_STATE_PRESENT)
        reader = Reader(established, first)
        slot.tear(0, "after")
        assert reader.transmit("00A40000") == ""
        slot.lay(card)
        assert reader.transmit("00A40001") == "SCARD_W_REMOVED_CARD"
        assert card.heard == ["00a40000"]


def test_what_a_reader_says_of_a_card_that_broke_off_is_never_heard(stack: PcscStack) -> None:
    first = stack.readers[0]
    with Slot(stack.port(first), personalities.Reader(personalities.ACR122U)) as slot, context() as established:
        slot.lay(Ntag())
        wait_until(established, first, scard.SCARD_STATE_PRESENT)
        reader = Reader(established, first)
        assert reader.transmit("FFCA000000") == "041122334455669000"
        assert reader.transmit("FFB0000304") == "e11012009000"
        slot.tear(0)
        assert reader.transmit("FFB0000304") == ""


def test_a_card_that_does_not_answer_once_is_not_gone(stack: PcscStack) -> None:
    first = stack.readers[0]
    with Slot(stack.port(first), Straight()) as slot, context() as established:
        slot.lay(Echo())
        wait_until(established, first, scard.SCARD_STATE_PRESENT)
        reader = Reader(established, first)
        assert reader.transmit(MUTE.hex()) == ""
        while (answer := reader.transmit("00A40000")) == "SCARD_E_NOT_TRANSACTED":
            continue
        assert answer == "00a400009000"


def test_a_swapped_card_is_seen_to_go_and_to_come(stack: PcscStack) -> None:
    first = stack.readers[0]
    with Slot(stack.port(first), Straight()) as slot, context() as established:
        slot.lay(Echo())
        wait_until(established, first, scard.SCARD_STATE_PRESENT)
        reader = Reader(established, first)
        slot.swap(other := Echo())
        assert reader.transmit("00A40000") == "SCARD_W_REMOVED_CARD"
        reader.disconnect()
        wait_until(established, first, scard.SCARD_STATE_PRESENT)
        assert Reader(established, first).transmit("00A40001") == "00a400019000"
        assert other.heard == ["00a40001"]


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
def test_a_restarted_stack_finds_the_card_that_still_lies_there(stack: PcscStack, kill: bool) -> None:
    first = stack.readers[0]
    with Slot(stack.port(first), Straight()) as slot:
        slot.lay(Echo())
        with context() as established:
            wait_until(established, first, scard.SCARD_STATE_PRESENT)
            reader = Reader(established, first)
            stack.restart(kill=kill)
            assert reader.transmit("00A40000") == "SCARD_E_NO_SERVICE"
        with context() as established:
            wait_until(established, first, scard.SCARD_STATE_PRESENT)
            assert Reader(established, first).transmit("00A40001") == "00a400019000"


def test_a_service_killed_in_the_middle_of_an_exchange_leaves_it_unsure(stack: PcscStack) -> None:
    first = stack.readers[0]
    with Slot(stack.port(first), Straight()) as slot, context() as established:
        slot.lay(card := Deadly(stack))
        wait_until(established, first, scard.SCARD_STATE_PRESENT)
        reader = Reader(established, first)
        assert reader.transmit("00A40000") == "SCARD_F_COMM_ERROR"
        assert reader.transmit("00A40001") == "SCARD_E_NO_SERVICE"
        assert card.heard == ["00a40000"]


def test_a_reader_is_missing_after_a_restart_without_it(stack: PcscStack) -> None:
    stack.restart(without=[ACR122U])
    with context() as established:
        assert readers(established) == (f"{OMNIKEY} 00 00", f"{OMNIKEY} 00 01")
    stack.restart()
    with context() as established:
        assert readers(established) == stack.readers
    assert len(stack.readers) == 4


@pytest.fixture
def pluggable() -> Iterator[PcscStack]:
    with PcscStack(OMNIKEY, usb=ACR122U) as running, running.use():
        yield running


@needs_usb
def test_a_usb_reader_comes_and_goes_while_the_service_stays(pluggable: PcscStack) -> None:
    others = (f"{OMNIKEY} 00 00", f"{OMNIKEY} 00 01")
    with context() as established:
        assert readers(established) == others
        for serial, name in (("", ACR122U), ("RR369-001", f"{ACR122U} (RR369-001)"), ("", ACR122U)):
            pluggable.plug(serial)
            assert set(readers(established)) == {*others, f"{name} 00 00", f"{name} 00 01"} == set(pluggable.readers)
            pluggable.unplug()
            assert readers(established) == others == pluggable.readers


@needs_usb
def test_a_reader_is_pulled_out_under_a_card(pluggable: PcscStack) -> None:
    for number in range(2):
        pluggable.plug()
        first = pluggable.readers[-2]
        with Slot(pluggable.port(first), Straight()) as slot, context() as established:
            slot.lay(card := Echo())
            wait_until(established, first, scard.SCARD_STATE_PRESENT)
            reader = Reader(established, first)
            assert reader.transmit(f"00A400{number:02X}") == f"00a400{number:02x}9000"
            pluggable.unplug()
            assert reader.transmit("00A40009") == "SCARD_E_INVALID_VALUE"
            assert card.heard == [f"00a400{number:02x}"]


@needs_usb
def test_a_card_is_still_there_when_its_usb_reader_comes_back(pluggable: PcscStack) -> None:
    pluggable.plug()
    first = pluggable.readers[-2]
    with Slot(pluggable.port(first), Straight()) as slot, context() as established:
        slot.lay(Echo())
        pluggable.unplug()
        pluggable.plug()
        wait_until(established, first, scard.SCARD_STATE_PRESENT)
        assert Reader(established, first).transmit("00A40000") == "00a400009000"


@needs_usb
def test_a_usb_reader_is_plugged_in_and_out_while_the_service_is_down(pluggable: PcscStack) -> None:
    pluggable.kill()
    pluggable.plug()
    pluggable.start()
    with context() as established:
        assert len(readers(established)) == 4
    pluggable.stop()
    pluggable.unplug()
    pluggable.start()
    with context() as established:
        assert len(readers(established)) == 2


@needs_usb
def test_cards_lie_in_both_slots_of_a_usb_reader_and_beside_it(pluggable: PcscStack) -> None:
    pluggable.plug()
    with ExitStack() as slots, context() as established:
        for reader in pluggable.readers:
            slots.enter_context(Slot(pluggable.port(reader), Straight())).lay(Echo(), waits=False)
        for number, reader in enumerate(pluggable.readers):
            wait_until(established, reader, scard.SCARD_STATE_PRESENT)
            assert Reader(established, reader).transmit(f"00A400{number:02X}") == f"00a400{number:02x}9000"


def test_a_stack_without_a_usb_reader_has_nothing_to_plug_in(stack: PcscStack) -> None:
    with pytest.raises(PcscError, match="no USB reader"):
        stack.plug()


def test_a_dead_stack_is_no_service(stack: PcscStack) -> None:
    stack.kill()
    assert named(scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)[0]) == "SCARD_E_NO_SERVICE"


def test_stacks_side_by_side_know_nothing_of_each_other() -> None:
    with PcscStack(ACR122U) as one, PcscStack(OMNIKEY) as other:
        for stack in (one, other):
            with stack.use(), context() as established:
                assert readers(established) == stack.readers
        with one.use(), pytest.raises(PcscError, match="already"), other.use():
            pass


def test_a_client_in_a_process_of_its_own_is_led_by_its_environment(stack: PcscStack) -> None:
    program = "from smartcard.System import readers; print(*readers(), sep=chr(10))"
    with PcscStack("Another") as other:
        command = [sys.executable, "-c", program]
        said = subprocess.run(command, env=other.environment, capture_output=True, text=True, timeout=30, check=True)
    assert tuple(said.stdout.splitlines()) == ("Another 00 00", "Another 00 01")


def test_nothing_of_a_stack_is_left(tmp_path: Path) -> None:
    with PcscStack() as stack:
        folder, process = stack.folder, stack.pid
        assert stack.socket_path.is_socket()
    assert not folder.exists()
    assert not Path(f"/proc/{process}").exists()
