"""The frames of the card library through every kind of reader, without a PC/SC service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from encoder_bridge_cards.link import Activation, Family, LinkError, NoAnswer, ReaderGone, Refused, Unsupported
from encoder_bridge_pcsc import atr
from encoder_bridge_pcsc.habits import Habits
from encoder_bridge_pcsc.link import PcscLink
from encoder_bridge_pcsc.models import BY_TYPE, PERSISTENT, VOLATILE, model_of
from encoder_bridge_pcsc.native import BARE, GENERIC, PN532, SESSION, Way
from encoder_bridge_pcsc.winscard import CardMissing, Ending, PcscError, ReaderMissing, ServiceGone
from virtual.card import VirtualCard
from virtual.classic import Classic
from virtual.desfire import Desfire
from virtual.personalities import (
    ACR122U,
    ACR1252U,
    IDENTIV_3700F,
    LIAR,
    OMNIKEY_5422,
    PLAIN,
    LoadKey,
    Model,
    Raw,
    Reader,
)
from virtual.type2 import Ntag
from virtual.ultralight_c import UltralightC

UID = bytes.fromhex("3e112233")
KEY, OTHER_KEY = b"\xff" * 6, bytes.fromhex("a0a1a2a3a4a5")
UID_TOLD = bytes.fromhex("041122334455669000")
ENDED = "ffc2000002820000"
GET_VERSION = bytes.fromhex("0004040201000f03")
KNOWN = (ACR122U, ACR1252U, OMNIKEY_5422, IDENTIV_3700F)

ALL = pytest.mark.parametrize("model", [*KNOWN, PLAIN], ids=lambda model: model.name)
UNNAMED = pytest.mark.parametrize(
    "model",
    [replace(model, name="Nobody's Reader 3") for model in (*KNOWN, PLAIN)],
    ids=[m.name for m in (*KNOWN, PLAIN)],
)


class Wire:
    """A connection straight to a reader's behaviour."""

    def __init__(self, model: Model, card: VirtualCard) -> None:
        self.reader = Reader(model)
        self.card = card
        self.apdus: list[str] = []
        self.resets = 0
        self.fails: PcscError | None = None
        self.answers: Callable[[bytes], bytes] | None = None
        """Something else than the reader that answers."""

    def begin_anew(self, ending: Ending) -> bytes:
        self._fail()
        self.resets += 1
        return self.reader.power_up(self.card)

    def transmit(self, apdu: bytes) -> bytes:
        self._fail()
        self.apdus.append(apdu.hex())
        return (self.answers or self.reader.transmit)(apdu)

    def sent(self, begin: str) -> int:
        """How many commands began like that."""
        return sum(apdu.startswith(begin) for apdu in self.apdus)

    def _fail(self) -> None:
        if self.fails is not None:
            raise self.fails


def laid(model: Model, card: VirtualCard) -> tuple[PcscLink, Wire]:
    wire = Wire(model, card)
    return PcscLink(wire, Habits(model=model_of(model.name))), wire  # type: ignore[arg-type]


def accustomed(way: Way) -> tuple[PcscLink, Wire]:
    """A reader whose way of native frames is known; an NTAG lies on it."""
    wire = Wire(PLAIN, Ntag())
    return PcscLink(wire, Habits(model=model_of(PLAIN.name), way=way)), wire  # type: ignore[arg-type]


def in_session(*answers: bytes) -> Callable[[bytes], bytes]:
    """A reader that answers the frames in a transparent session one by one like that."""
    left = list(answers)

    def answer(apdu: bytes) -> bytes:
        if apdu[1] == 0xCA:
            return UID_TOLD
        told = b"\xc0\x03\x00\x90\x00"
        if apdu[3] == 0x01:
            frame = left.pop(0)
            told += b"\x97" + bytes([len(frame)]) + frame
        return told + b"\x90\x00"

    return answer


def authenticate(block: int, key: bytes = KEY, kind: int = 0x60) -> bytes:
    return bytes([kind, block]) + key + UID


@ALL
@pytest.mark.parametrize(
    ("card", "activation"),
    [
        (Classic(UID), Activation(family=Family.CLASSIC, uid=UID, blocks=64)),
        (Classic(UID, blocks=256), Activation(family=Family.CLASSIC, uid=UID, blocks=256)),
        (Classic(UID, blocks=20), Activation(family=Family.CLASSIC, uid=UID, blocks=20)),
        (Ntag(), Activation(family=Family.TYPE_2, uid=bytes.fromhex("04112233445566"))),
    ],
    ids=["1K", "4K", "Mini", "NTAG"],
)
def test_a_card_is_selected(model: Model, card: VirtualCard, activation: Activation) -> None:
    link, _ = laid(model, card)
    assert link.activate() == activation


@pytest.mark.parametrize(
    ("told", "family", "blocks"),
    [
        # PC/SC part 3, supplement, and ACR122U API 2.04, section 3.1
        ("3b8f8001804f0ca0000003060300020000000069", Family.CLASSIC, 256),
        ("3b8f8001804f0ca000000306030003000000 0068", Family.TYPE_2, 0),
        ("3b8f8001804f0ca00000030603ff0800000000 9c", Family.CLASSIC, 64),
        ("3b8f8001804f0ca00000030603ff0000000000 94", Family.TYPE_2, 0),
        ("3b8f8001804f0ca00000030603ff2000000000 b4", Family.OTHER, 0),
        ("3b8f8001804f0ca00000030603f0110000000 08a", Family.OTHER, 0),
        ("3b8f8001804f0ca000000306070007d0020c00b6", Family.OTHER, 0),
        ("3b8180018080", Family.ISO_DEP, 0),
        ("3b8680010675778102 8000", Family.ISO_DEP, 0),
        ("", Family.ISO_DEP, 0),
        ("3b8f8001804f0ca00000030603", Family.ISO_DEP, 0),
    ],
)
def test_an_atr_tells_the_family(told: str, family: Family, blocks: int) -> None:
    assert atr.told(bytes.fromhex(told.replace(" ", ""))) == (family, blocks)


@ALL
def test_a_classic_block_is_written_and_read(model: Model) -> None:
    card = Classic(UID)
    link, _ = laid(model, card)
    link.activate()
    assert link.exchange(authenticate(4)) == b""
    assert link.exchange(b"\xa0\x04" + bytes(range(16))) == b""
    assert link.exchange(b"\x30\x04") == bytes(range(16)) == card.peek(4)


@ALL
def test_both_keys_open_a_sector(model: Model) -> None:
    card = Classic(UID)
    card.poke(7, OTHER_KEY + bytes.fromhex("78778869") + KEY)
    link, _ = laid(model, card)
    link.activate()
    link.exchange(authenticate(4, OTHER_KEY))
    link.exchange(authenticate(4, KEY, 0x61))
    assert link.exchange(b"\x30\x04") == bytes(16)


@ALL
def test_a_wrong_key_is_refused_and_the_right_one_opens_after_it(model: Model) -> None:
    link, _ = laid(model, Classic(UID))
    link.activate()
    with pytest.raises(Refused):
        link.exchange(authenticate(4, OTHER_KEY))
    link.activate()
    assert link.exchange(authenticate(4)) == b""


@ALL
def test_a_key_that_lies_in_the_reader_is_not_loaded_again(model: Model) -> None:
    link, wire = laid(model, Classic(UID))
    link.activate()
    for block in (4, 8, 12):
        link.exchange(authenticate(block))
        link.exchange(authenticate(block, kind=0x61))
    assert wire.sent("ff82") == 2
    assert wire.sent("ff86") == 6


@ALL
def test_no_key_is_left_in_the_reader(model: Model) -> None:
    link, wire = laid(model, Classic(UID))
    link.activate()
    link.exchange(authenticate(4))
    link.exchange(authenticate(4, kind=0x61))
    link.leave()
    wire.apdus.clear()
    block = "0a"
    named = {LoadKey.BY_TYPE: ("01", "01")}.get(model.load_key, ("00", "01"))
    for kind, place in zip(("60", "61"), named, strict=True):
        wire.reader.power_up(wire.card)
        opened = wire.reader.transmit(bytes.fromhex(f"ff860000050100{block}{kind}{place}"))
        assert opened != b"\x90\x00"


def test_a_key_that_was_left_when_a_card_was_lifted_is_overwritten_after_the_next() -> None:
    lifted, wire = laid(ACR122U, Classic(UID))
    lifted.activate()
    lifted.exchange(authenticate(4))
    wire.fails = CardMissing("SCARD_W_REMOVED_CARD")
    with pytest.raises(NoAnswer):
        lifted.leave()
    wire.fails = None
    wire.apdus.clear()
    following = PcscLink(wire, lifted.habits)  # type: ignore[arg-type]
    for _ in range(2):
        following.leave()
        assert wire.apdus == ["ff82000006" + "00" * 6]


@ALL
def test_a_block_of_a_closed_sector_is_refused(model: Model) -> None:
    link, _ = laid(model, Classic(UID))
    link.activate()
    with pytest.raises(Refused):
        link.exchange(b"\x30\x04")


@ALL
def test_pages_are_read_and_written(model: Model) -> None:
    card = Ntag()
    link, _ = laid(model, card)
    link.activate()
    assert link.exchange(b"\xa2\x06abcd") == b""
    assert link.exchange(b"\x30\x06")[:4] == b"abcd" == card.peek(6)


@pytest.mark.parametrize("model", KNOWN, ids=lambda model: model.name)
def test_native_frames_reach_the_card(model: Model) -> None:
    card = Ntag()
    card.poke(card.pwd, b"pass")
    card.poke(card.pack, b"PK\0\0")
    link, _ = laid(model, card)
    link.activate()
    assert link.exchange(b"\x60") == GET_VERSION
    assert link.exchange(b"\x1bpass") == b"PK"
    assert link.exchange(b"\x3a\x00\x02") == b"".join(card.peek(page) for page in range(3))
    assert len(link.exchange(b"\x3c\x00")) == 32


@pytest.mark.parametrize("model", KNOWN, ids=lambda model: model.name)
def test_a_password_outlasts_the_frames_that_have_a_command_of_their_own(model: Model) -> None:
    card = Ntag()
    card.poke(card.pwd, b"pass")
    card.poke(card.cfg_1, b"\x80\x05\x00\x00")
    card.poke(card.cfg_0, b"\x04\x00\x00\x06")
    link, _ = laid(model, card)
    link.activate()
    with pytest.raises(Refused):
        link.exchange(b"\x30\x06")
    link.activate()
    link.exchange(b"\x1bpass")
    link.exchange(b"\xa2\x06abcd")
    assert link.exchange(b"\x30\x06")[:4] == b"abcd"


@pytest.mark.parametrize("model", KNOWN, ids=lambda model: model.name)
def test_a_wrong_password_is_refused(model: Model) -> None:
    link, _ = laid(model, Ntag())
    link.activate()
    with pytest.raises(Refused):
        link.exchange(b"\x1bnope")
    link.activate()
    assert link.exchange(b"\x60") == GET_VERSION


@pytest.mark.parametrize("model", KNOWN, ids=lambda model: model.name)
def test_a_locked_page_is_refused_in_and_out_of_a_session(model: Model) -> None:
    card = Ntag()
    card.poke(2, card.peek(2)[:2] + b"\xff\xff")
    link, _ = laid(model, card)
    link.activate()
    with pytest.raises(Refused):
        link.exchange(b"\xa2\x06abcd")
    link.activate()
    link.exchange(b"\x60")
    with pytest.raises(Refused):
        link.exchange(b"\xa2\x06abcd")


@pytest.mark.parametrize("model", KNOWN, ids=lambda model: model.name)
def test_an_ultralight_c_answers_its_challenge(model: Model) -> None:
    link, _ = laid(model, UltralightC())
    link.activate()
    assert link.exchange(b"\x1a\x00")[:1] == b"\xaf"
    link.activate()
    with pytest.raises(Refused):
        link.exchange(b"\x60")


@ALL
def test_a_card_of_part_4_gets_its_commands_as_they_are(model: Model) -> None:
    link, wire = laid(model, Desfire())
    assert link.activate().family is Family.ISO_DEP
    assert link.exchange(bytes.fromhex("9060000000"))[-2:] == b"\x91\xaf"
    assert wire.apdus[-1] == "9060000000"


@pytest.mark.parametrize("frame", ["", "90", "ffca000000", "ff00400f0400000000"])
def test_a_command_that_the_reader_would_take_for_its_own_is_not_sent(frame: str) -> None:
    link, wire = laid(ACR122U, Desfire())
    link.activate()
    sent = len(wire.apdus)
    with pytest.raises(Unsupported):
        link.exchange(bytes.fromhex(frame))
    assert len(wire.apdus) == sent


@pytest.mark.parametrize("frame", ["", "3004aa", "a00400", "6004ffffffffffff", "60", "c104"])
def test_a_frame_that_no_classic_knows_is_not_sent(frame: str) -> None:
    link, wire = laid(ACR122U, Classic(UID))
    link.activate()
    sent = len(wire.apdus)
    with pytest.raises(Unsupported):
        link.exchange(bytes.fromhex(frame))
    assert len(wire.apdus) == sent


def test_a_frame_to_a_card_that_nobody_selected_is_not_sent() -> None:
    link, wire = laid(ACR122U, Ntag())
    with pytest.raises(NoAnswer):
        link.exchange(b"\x30\x00")
    assert not wire.apdus


@UNNAMED
def test_an_unknown_reader_is_asked_until_a_key_opens(model: Model) -> None:
    link, wire = laid(model, Classic(UID))
    link.activate()
    link.exchange(authenticate(4))
    assert link.exchange(b"\x30\x04") == bytes(16)
    wire.apdus.clear()
    link.activate()
    link.exchange(authenticate(8))
    assert (wire.sent("ff82"), wire.sent("ff86")) == (1, 1)


@UNNAMED
def test_an_unknown_reader_refuses_a_wrong_key_in_every_form(model: Model) -> None:
    link, _ = laid(model, Classic(UID))
    link.activate()
    with pytest.raises(Refused):
        link.exchange(authenticate(4, OTHER_KEY))
    link.activate()
    link.exchange(authenticate(4))


@pytest.mark.parametrize(
    ("raw", "way"), [(Raw.PN532, PN532), (Raw.BARE, BARE), (Raw.SESSION, SESSION)], ids=lambda value: value.name
)
def test_an_unknown_reader_s_way_of_native_frames_is_found_once(raw: Raw, way: object) -> None:
    habits = Habits(model=model_of("Nobody's Reader 3"))
    for _ in range(2):
        wire = Wire(Model(name="Nobody's Reader 3", raw=raw), Ntag())
        link = PcscLink(wire, habits)  # type: ignore[arg-type]
        link.activate()
        assert link.exchange(b"\x60") == GET_VERSION
        assert habits.way is way
    assert wire.sent("ffb00000") == 0


@pytest.mark.parametrize("model", [PLAIN, LIAR, replace(LIAR, name="ACS ACR1252 Dual Reader PICC")])
def test_a_reader_without_a_way_says_so_and_writes_nothing(model: Model) -> None:
    card = Ntag()
    before = card.snapshot()
    link, wire = laid(model, card)
    link.activate()
    with pytest.raises(Unsupported):
        link.exchange(b"\x60")
    tried = len(wire.apdus)
    with pytest.raises(Unsupported):
        link.exchange(b"\x60")
    assert len(wire.apdus) == tried
    assert card.snapshot() == before
    assert wire.sent("ffd6") == 0
    assert link.exchange(b"\x30\x00")[:3] == card.peek(0)[:3]


def test_what_one_card_hides_is_no_habit_of_the_reader() -> None:
    hidden = Ntag()
    hidden.poke(hidden.cfg_1, b"\x80\x05\x00\x00")
    hidden.poke(hidden.cfg_0, b"\x04\x00\x00\x00")
    habits = Habits(model=model_of("Nobody's Reader 3"))
    first = PcscLink(Wire(Model(name="Nobody's Reader 3", raw=Raw.BARE), hidden), habits)  # type: ignore[arg-type]
    first.activate()
    with pytest.raises(Unsupported):
        first.exchange(b"\x60")
    second = PcscLink(Wire(Model(name="Nobody's Reader 3", raw=Raw.BARE), Ntag()), habits)  # type: ignore[arg-type]
    second.activate()
    assert second.exchange(b"\x60") == GET_VERSION


def test_a_session_is_ended_when_the_card_is_left() -> None:
    link, wire = laid(OMNIKEY_5422, Ntag())
    link.activate()
    link.exchange(b"\x60")
    link.leave()
    assert wire.apdus[-1] == ENDED
    assert wire.sent("ffc2000002810") == 1


def test_a_session_is_ended_before_the_card_is_selected_anew() -> None:
    link, wire = laid(OMNIKEY_5422, Ntag())
    link.activate()
    link.exchange(b"\x60")
    wire.apdus.clear()
    link.activate()
    link.activate()
    assert wire.apdus == [ENDED, "ffca000000", "ffca000000"]


def test_a_session_that_begins_by_half_is_ended_at_once() -> None:
    link, wire = accustomed(SESSION)
    wire.answers = lambda apdu: (
        UID_TOLD if apdu[1] == 0xCA else b"\x6a\x81" if apdu[3] == 0x02 else bytes.fromhex("c0030090009000")
    )
    link.activate()
    with pytest.raises(Unsupported):
        link.exchange(b"\x60")
    assert wire.apdus[-1] == ENDED
    link.leave()
    assert wire.sent(ENDED) == 1


def test_a_session_carries_every_frame_until_it_ends() -> None:
    link, wire = laid(OMNIKEY_5422, Ntag())
    link.activate()
    link.exchange(b"\x60")
    wire.apdus.clear()
    link.exchange(b"\xa2\x06abcd")
    link.exchange(b"\x30\x06")
    assert all(apdu.startswith("ffc20001") for apdu in wire.apdus)
    link.activate()
    link.exchange(b"\x30\x06")
    assert wire.apdus[-1] == "ffb0000610"


@pytest.mark.parametrize("answer", ["00", "04", "", "abcdabcd"])
def test_what_a_card_answers_to_a_write_and_is_no_acknowledgement_is_a_refusal(answer: str) -> None:
    link, wire = accustomed(SESSION)
    wire.answers = in_session(GET_VERSION, bytes.fromhex("0a"), bytes.fromhex(answer))
    link.activate()
    link.exchange(b"\x60")
    assert link.exchange(b"\xa2\x06abcd") == b""
    if answer:
        with pytest.raises(Refused, match="NAK"):
            link.exchange(b"\xa2\x06abcd")
    else:
        assert link.exchange(b"\xa2\x06abcd") == b""


@pytest.mark.parametrize("answer", ["", "00", "0a"])
def test_four_bits_are_no_answer_to_a_question(answer: str) -> None:
    link, wire = accustomed(SESSION)
    wire.answers = in_session(bytes.fromhex(answer))
    link.activate()
    with pytest.raises(Refused, match="NAK"):
        link.exchange(b"\x60")


def test_a_session_that_says_its_exchange_failed_is_not_believed() -> None:
    link, wire = accustomed(SESSION)
    wire.answers = lambda apdu: UID_TOLD if apdu[1] == 0xCA else bytes.fromhex("c00301640197080004040201000f039000")
    link.activate()
    with pytest.raises(Refused, match="6401"):
        link.exchange(b"\x60")


def test_a_chip_that_says_its_exchange_failed_is_not_believed() -> None:
    link, wire = accustomed(PN532)
    wire.answers = lambda apdu: UID_TOLD if apdu[1] == 0xCA else b"\xd5\x43\x02" + GET_VERSION + b"\x90\x00"
    link.activate()
    with pytest.raises(Refused, match="PN532 02"):
        link.exchange(b"\x60")


def test_a_place_for_keys_is_believed_only_when_a_key_opened() -> None:
    link, wire = laid(replace(IDENTIV_3700F, name="Nobody's Reader 3", reselects=False), Classic(UID))
    plain = wire.reader.transmit

    def obliging(apdu: bytes) -> bytes:
        """Say that every key was taken, and open with whichever there is."""
        if apdu[1] == 0x86:
            return plain(apdu[:-1] + b"\x01")
        answer = plain(apdu)
        return b"\x90\x00" if apdu[1] == 0x82 else answer

    wire.answers = obliging
    link.activate()
    with pytest.raises(Refused):
        link.exchange(authenticate(4, OTHER_KEY))
    link.activate()
    link.exchange(authenticate(4))
    assert link.exchange(b"\x30\x04") == bytes(16)


def test_a_generic_session_carries_frames() -> None:
    card = Ntag()
    link, wire = laid(replace(PLAIN, name="HID OMNIKEY 5321 CL"), card)
    plain = wire.reader.transmit

    def generic(apdu: bytes) -> bytes:
        if apdu.hex().startswith("ffa00007"):
            return b"\x90\x00"
        if apdu.hex().startswith("ffa00005"):
            assert apdu[5:11].hex() == "0100f3000064"
            return b"\0\0" + card.exchange(apdu[11:]) + b"\x90\x00"
        return plain(apdu)

    wire.answers = generic
    link.activate()
    assert link.exchange(b"\x60") == GET_VERSION
    assert link.exchange(b"\xa2\x06abcd") == b""
    link.leave()
    assert wire.apdus[-1] == "ffa0000703010002"


@pytest.mark.parametrize(
    "answer",
    ["", "90", "9000", "d5439000", "d5430a9000", "d543019000", "6300", "6a81", "c0", "c003009000970090", "ff" * 300],
)
@pytest.mark.parametrize("name", [ACR122U.name, ACR1252U.name, OMNIKEY_5422.name, "HID OMNIKEY 5321", "Nobody's"])
def test_a_broken_answer_to_a_native_frame_is_an_error_of_the_link(name: str, answer: str) -> None:
    link, wire = laid(replace(PLAIN, name=name), Ntag())
    plain = wire.reader.transmit
    wire.answers = lambda apdu: plain(apdu) if apdu[1] in {0xCA, 0xB0} else bytes.fromhex(answer)
    link.activate()
    with pytest.raises(LinkError):
        link.exchange(b"\x60")


@pytest.mark.parametrize("answer", ["", "90", "9000", "0411229000", "04" * 11 + "9000", "6a81", "6300"])
def test_a_number_that_cannot_be_read_is_no_answer(answer: str) -> None:
    link, wire = laid(ACR122U, Ntag())
    wire.answers = lambda apdu: bytes.fromhex(answer)
    with pytest.raises(NoAnswer):
        link.activate()


@pytest.mark.parametrize("answer", [b"", b"\x90"])
def test_a_response_without_a_status_word_is_no_answer(answer: bytes) -> None:
    link, wire = laid(ACR122U, Ntag())
    link.activate()
    wire.answers = lambda apdu: answer
    with pytest.raises(NoAnswer):
        link.exchange(b"\x30\x04")
    assert link.is_broken


@pytest.mark.parametrize("answer", ["", "00", "9000", "00" * 15 + "9000", "00" * 17 + "9000", "6982", "6c10"])
def test_a_page_of_another_size_is_an_error_of_the_link(answer: str) -> None:
    link, wire = laid(ACR122U, Ntag())
    link.activate()
    wire.answers = lambda apdu: bytes.fromhex(answer)
    with pytest.raises(LinkError):
        link.exchange(b"\x30\x04")


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (CardMissing("SCARD_W_REMOVED_CARD"), NoAnswer),
        (PcscError("SCARD_E_NOT_TRANSACTED"), NoAnswer),
        (ServiceGone("SCARD_E_NO_SERVICE"), ReaderGone),
        (ReaderMissing("SCARD_E_READER_UNAVAILABLE"), ReaderGone),
    ],
)
def test_what_pc_sc_says_is_kept_for_the_log(failure: PcscError, error: type[LinkError]) -> None:
    link, wire = laid(ACR122U, Ntag())
    link.activate()
    wire.fails = failure
    for call in (lambda: link.exchange(b"\x30\x00"), link.activate):
        with pytest.raises(error) as raised:
            call()
        assert raised.value.raw == failure.raw
    assert link.is_broken is (error is NoAnswer)


def test_no_key_shows_in_what_a_link_says_of_itself() -> None:
    link, _ = laid(ACR122U, Classic(UID))
    link.activate()
    link.exchange(authenticate(4))
    assert "ffffffffffff" not in repr(vars(link)).replace("\\xff", "ff")
    with pytest.raises(Refused) as refused:
        link.exchange(authenticate(4, OTHER_KEY))
    assert OTHER_KEY.hex() not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"


@pytest.mark.parametrize(
    ("name", "form", "way"),
    [
        ("ACS ACR122U PICC Interface 00 00", VOLATILE, PN532),
        ("ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] 00 00", VOLATILE, BARE),
        ("HID Global OMNIKEY 5022 Smart Card Reader [OMNIKEY 5022 CL] 00 00", VOLATILE, SESSION),
        ("HID Global OMNIKEY 5422CL Smartcard Reader [OMNIKEY 5422CL Smartcard Reader] (KL1) 01 00", VOLATILE, SESSION),
        ("OMNIKEY CardMan 5321 00 01", VOLATILE, GENERIC),
        ("Identiv uTrust 3700 F CL Reader [uTrust 3700 F CL Reader] (53) 00 00", BY_TYPE, SESSION),
        ("SCM Microsystems SCL011 Contactless Reader 00 00", BY_TYPE, SESSION),
    ],
)
def test_a_model_is_known_by_its_name(name: str, form: object, way: object) -> None:
    model = model_of(name)
    assert (model.key_forms[0], model.ways[0], model.is_known) == (form, way, True)


def test_a_persistent_place_is_the_last_that_an_unknown_reader_is_asked_for() -> None:
    assert model_of("Nobody's Reader").key_forms[-1] == PERSISTENT
