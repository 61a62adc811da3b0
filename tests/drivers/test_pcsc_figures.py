"""What goes to an ACR122U is what its maker prints: ACR122U API 2.04, sections 4.1 and 5."""

from __future__ import annotations

from encoder_bridge_pcsc.habits import Habits
from encoder_bridge_pcsc.link import PcscLink
from encoder_bridge_pcsc.models import model_of
from encoder_bridge_pcsc.winscard import Ending
from virtual.card import VirtualCard
from virtual.classic import Classic
from virtual.personalities import ACR122U, Reader
from virtual.type2 import Ntag

GET_UID = "ffca000000"
LOAD_KEY_FF_INTO_PLACE_0 = "ff82000006ffffffffffff"
AUTHENTICATE_BLOCK_4_WITH_KEY_A_OF_PLACE_0 = "ff860000050100046000"
READ_16_BYTES_OF_BLOCK_4 = "ffb0000410"
WRITE_BLOCK_4 = "ffd6000410000102030405060708090a0b0c0d0e0f"
WRITE_PAGE_4 = "ffd600040400010203"


class Wire:
    """A connection straight to a reader's behaviour, which keeps what was sent."""

    def __init__(self, card: VirtualCard) -> None:
        self.apdus: list[str] = []
        self._reader, self._card = Reader(ACR122U), card

    def begin_anew(self, ending: Ending) -> bytes:
        return self._reader.power_up(self._card)

    def transmit(self, apdu: bytes) -> bytes:
        self.apdus.append(apdu.hex())
        return self._reader.transmit(apdu)


def sent(card: VirtualCard, *frames: str) -> list[str]:
    wire = Wire(card)
    link = PcscLink(wire, Habits(model=model_of(ACR122U.name)))  # type: ignore[arg-type]
    link.activate()
    for frame in frames:
        link.exchange(bytes.fromhex(frame))
    return wire.apdus


def test_a_sector_of_a_classic_card_is_opened_read_and_written_as_printed() -> None:
    uid = bytes.fromhex("3e112233")
    frames = ("6004 ffffffffffff" + uid.hex(), "3004", "a004 000102030405060708090a0b0c0d0e0f")
    assert sent(Classic(uid=uid), *frames) == [
        GET_UID,
        LOAD_KEY_FF_INTO_PLACE_0,
        AUTHENTICATE_BLOCK_4_WITH_KEY_A_OF_PLACE_0,
        READ_16_BYTES_OF_BLOCK_4,
        WRITE_BLOCK_4,
    ]


def test_a_page_is_written_as_printed() -> None:
    assert sent(Ntag(), "a204 00010203") == [GET_UID, WRITE_PAGE_4]
