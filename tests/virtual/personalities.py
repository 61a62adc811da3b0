"""How readers behave in front of a card: PC/SC part 3, and where each model goes its own way.

    slot = Slot(stack.port(reader), Reader(ACR122U))

Every model answers UID, LOAD KEY, GENERAL AUTHENTICATE, READ BINARY and UPDATE BINARY (PC/SC part 3, section 3.2.2);
they differ in the form of LOAD KEY, in how a native frame reaches the card, in status words and in what they signal
with.  A card of ISO/IEC 14443-4 gets every APDU of another class than FF as it is.

What no document at hand tells is a choice made here: which status word follows which failure on the models that are
no ACR122U, and how a transparent session tells that the card kept silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import reduce
from operator import xor

from encoder_bridge_cards.link import Activation, Family, LinkError, Refused, Unsupported

from virtual.card import VirtualCard
from virtual.pn532 import Chip

DONE = b"\x90\x00"
FAILED = b"\x63\x00"
WRONG_LENGTH = b"\x67\x00"
NOT_AUTHENTICATED = b"\x69\x82"
NO_SUCH_MEMORY = b"\x69\x86"
NO_SUCH_KEY = b"\x69\x88"
WRONG_KEY_LENGTH = b"\x69\x89"
UNSUPPORTED = b"\x6a\x81"
WRONG_ADDRESS = b"\x6b\x00"
WRONG_CLASS = b"\x6e\x00"

PCSC_WORKGROUP = bytes.fromhex("A000000306")
ISO_14443_A = 0x03
CARD_NAMES = {
    0x08: b"\x00\x01",  # MIFARE Classic 1K
    0x88: b"\x00\x01",
    0x18: b"\x00\x02",  # MIFARE Classic 4K
    0x09: b"\x00\x26",  # MIFARE Mini
    0x00: b"\x00\x03",  # MIFARE Ultralight, and whatever looks like one
}
"""By SAK (PC/SC part 3, supplement)."""

RED, GREEN = 0x01, 0x02


class LoadKey(Enum):
    """The forms of ``FF 82``."""

    VOLATILE = auto()
    """``FF 82 00 slot 06 key[6]`` with slot 00 or 01; anything else fails."""
    PERSISTENT = auto()
    """``FF 82 20|00 slot 06 key[6]`` with slots 00 to 1F."""
    BY_TYPE = auto()
    """``FF 82 00 60|61 06 key[6]``: what is a slot elsewhere is the key's type."""


class Raw(Enum):
    """The ways of a native frame through the reader."""

    NONE = auto()
    PN532 = auto()
    """``FF 00 00 00 Lc D4 command ..`` to the chip inside, answered ``D5 command+1 .. 90 00``."""
    BARE = auto()
    """``FF 00 00 00 Lc frame``, answered ``answer 90 00``."""
    SESSION = auto()
    """``FF C2`` (PC/SC part 3, amendment 1): a transparent session with data objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one reader does differently from the next."""

    name: str
    """As its driver names it; for `virtual.pcscd.PcscStack`."""
    load_key: LoadKey = LoadKey.VOLATILE
    raw: Raw = Raw.NONE
    tells_ats: bool = True
    signals: bool = False
    """Whether it has the light and the buzzer of an ACR122U: ``FF 00 40``."""
    firmware: bytes = b""
    """The answer to ``FF 00 48 00 00``; empty: there is none."""
    tells_why: bool = True
    """Whether it says why something failed, else always 63 00."""
    reselects: bool = True
    """Whether it selects a card again that refused; else the card stays mute until it is reset."""
    lies: bool = False
    """Whether it answers 90 00 to every write and does nothing."""


ACR122U = Model(name="ACS ACR122U PICC Interface", raw=Raw.PN532, signals=True, firmware=b"ACR122U215", tells_why=False)
ACR1252U = Model(name="ACS ACR1252 Dual Reader PICC", raw=Raw.BARE, tells_why=False)
OMNIKEY_5422 = Model(name="HID Global OMNIKEY 5422 Smartcard Reader", load_key=LoadKey.PERSISTENT, raw=Raw.SESSION)
IDENTIV_3700F = Model(
    name="Identiv uTrust 3700 F CL Reader", load_key=LoadKey.BY_TYPE, raw=Raw.SESSION, tells_ats=False
)
PLAIN = Model(name="Plain Contactless Reader")
"""Follows PC/SC part 3 and has nothing beside it."""
LIAR = Model(name="Lying Contactless Reader", raw=Raw.BARE, lies=True)


def storage_card_atr(standard: int, card_name: bytes, rest: bytes = bytes(4)) -> bytes:
    """The ATR of a card without ISO/IEC 14443-4 (PC/SC part 3, section 3.1.3.2.3.2).

    3B 8F 80 01 | 80 4F 0C | A0 00 00 03 06 | standard | card name[2] | rest[4] | TCK
    """
    return _atr(b"\x80\x4f\x0c" + PCSC_WORKGROUP + bytes([standard]) + card_name + rest)


def iso_dep_atr(ats: bytes) -> bytes:
    """The ATR of a card of ISO/IEC 14443-4 type A, from its ATS (PC/SC part 3, section 3.1.3.2.3.1).

    3B 8n 80 01 | historical bytes[n] | TCK
    """
    interface_bytes = (ats[1] >> 4 & 0b111).bit_count() if len(ats) > 1 else 0
    return _atr(ats[2 + interface_bytes : ats[0]][:15])


def _atr(historical: bytes) -> bytes:
    told = bytes([0x80 | len(historical), 0x80, 0x01]) + historical
    return b"\x3b" + told + bytes([reduce(xor, told)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A short command APDU (ISO/IEC 7816-4)."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    le: int | None

    @classmethod
    def parse(cls, apdu: bytes) -> Command | None:
        """None for what is no short APDU."""
        if len(apdu) < 4:
            return None
        data, le = b"", apdu[4:]
        if len(le) > 1:
            length = le[0]
            data, le = le[1 : 1 + length], le[1 + length :]
            if len(data) < length or not length:
                return None
        if len(le) > 1:
            return None
        return cls(cla=apdu[0], ins=apdu[1], p1=apdu[2], p2=apdu[3], data=data, le=le[0] if le else None)


class Reader:
    """One slot of a reader of some model, the personality for `virtual.vpcd.Slot`."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.signals: list[bytes] = []
        """Every ``FF 00 40`` so far, whole."""
        self.lights = GREEN
        """The lights that burn after the last of them: bit 0 red, bit 1 green."""
        self._keys: dict[int, bytes] = {}
        self._card: VirtualCard
        self._chip: Chip
        self._activation: Activation
        self._is_authenticated = False
        self._has_session = False

    def power_up(self, card: VirtualCard) -> bytes:
        self._card, self._chip = card, Chip(card)
        self._chip.answer(0x4A, b"\x01\x00")
        self._has_session = False
        self._select()
        if self._activation.family is Family.ISO_DEP:
            return iso_dep_atr(card.ats)
        return storage_card_atr(ISO_14443_A, CARD_NAMES.get(card.sak, bytes([0xFF, card.sak])))

    def transmit(self, apdu: bytes) -> bytes:
        if apdu[:1] != b"\xff":
            return self._pass_on(apdu)
        command = Command.parse(apdu)
        if command is None:
            return self._because(WRONG_LENGTH)
        match command.ins:
            case 0x00:
                return self._own(command, apdu)
            case 0x82:
                return self._because(self._load_key(command))
            case 0x86:
                return self._because(self._authenticate(command))
            case 0xB0:
                return self._because(self._read(command))
            case 0xC2 if self.model.raw is Raw.SESSION:
                return self._converse(command)
            case 0xCA:
                return self._identify(command)
            case 0xD6:
                return self._because(self._update(command))
            case _:
                return UNSUPPORTED

    def _because(self, answer: bytes) -> bytes:
        """The answer, or 63 00 where a reader keeps its reasons for itself."""
        is_success = answer[-2:] == DONE
        return answer if is_success or self.model.tells_why else FAILED

    def _select(self) -> None:
        self._is_authenticated = False
        self._activation = self._card.activate()

    def _pass_on(self, apdu: bytes) -> bytes:
        if self._activation.family is not Family.ISO_DEP:
            return self._because(WRONG_CLASS)
        try:
            return self._card.exchange(apdu)
        except LinkError:
            return b""

    def _send(self, frame: bytes) -> bytes | None:
        """The card's answer to a native frame, or None; after a refusal it has to be selected again."""
        try:
            return self._card.exchange(frame)
        except Unsupported:
            return None
        except LinkError as error:
            self._is_authenticated = False
            if isinstance(error, Refused) and self.model.reselects:
                self._select()
            return None

    def _identify(self, command: Command) -> bytes:
        """``FF CA``: the UID, or the ATS with its length byte."""
        match command.p1:
            case 0x00:
                told = self._activation.uid
            case 0x01 if self.model.tells_ats and self._activation.family is Family.ISO_DEP:
                told = self._card.ats
            case _:
                return UNSUPPORTED
        if command.le and command.le < len(told):
            return bytes([0x6C, len(told)])
        return told + (b"\x62\x82" if command.le and command.le > len(told) else DONE)

    def _load_key(self, command: Command) -> bytes:
        match self.model.load_key:
            case LoadKey.VOLATILE:
                memories, keys = {0x00}, range(2)
            case LoadKey.PERSISTENT:
                memories, keys = {0x00, 0x20}, range(0x20)
            case LoadKey.BY_TYPE:
                memories, keys = {0x00}, range(0x60, 0x62)
        if command.p1 not in memories:
            return NO_SUCH_MEMORY
        if command.p2 not in keys:
            return NO_SUCH_KEY
        if len(command.data) != 6:
            return WRONG_KEY_LENGTH
        self._keys[command.p2] = command.data
        return DONE

    def _authenticate(self, command: Command) -> bytes:
        """``FF 86 00 00 05 | 01 00 block 60|61 slot``."""
        if len(command.data) != 5 or command.data[:2] != b"\x01\x00" or command.data[3] not in {0x60, 0x61}:
            return WRONG_LENGTH
        if self._activation.family is not Family.CLASSIC:
            return UNSUPPORTED
        block, key_type, slot = command.data[2:]
        if self.model.load_key is LoadKey.BY_TYPE:
            slot = key_type if slot == 0x01 else -1
        if (key := self._keys.get(slot)) is None:
            return NO_SUCH_KEY
        answer = self._send(bytes([key_type, block]) + key + self._activation.uid[-4:])
        self._is_authenticated = answer is not None
        return FAILED if answer is None else DONE

    def _read(self, command: Command) -> bytes:
        if command.p1:
            return WRONG_ADDRESS
        if refusal := self._cannot_reach_memory():
            return refusal
        if command.le is None or command.le > 16:
            return WRONG_LENGTH
        answer = self._send(bytes([0x30, command.p2]))
        return FAILED if answer is None else answer[: command.le or 16] + DONE

    def _update(self, command: Command) -> bytes:
        if self.model.lies:
            return DONE
        if command.p1:
            return WRONG_ADDRESS
        if refusal := self._cannot_reach_memory():
            return refusal
        write, size = (0xA0, 16) if self._activation.family is Family.CLASSIC else (0xA2, 4)
        if len(command.data) != size:
            return WRONG_LENGTH
        return FAILED if self._send(bytes([write, command.p2]) + command.data) is None else DONE

    def _cannot_reach_memory(self) -> bytes:
        match self._activation.family:
            case Family.CLASSIC:
                return b"" if self._is_authenticated else NOT_AUTHENTICATED
            case Family.TYPE_2:
                return b""
            case _:
                return UNSUPPORTED

    def _own(self, command: Command, apdu: bytes) -> bytes:
        """``FF 00``: frames for the chip or the card, and what ACS readers do themselves (ACR122U API 2.04)."""
        match command.p1:
            case 0x00 if self.model.raw is Raw.PN532:
                return self._ask_chip(command.data)
            case 0x00 if self.model.raw is Raw.BARE:
                if self.model.lies:
                    return DONE
                answer = self._send(command.data)
                return FAILED if answer is None else answer + DONE
            case 0x40 if self.model.signals and len(command.data) == 4:
                self.signals.append(apdu)
                chosen = command.p2 >> 2 & (RED | GREEN)
                self.lights = self.lights & ~chosen | command.p2 & chosen
                return bytes([0x90, self.lights])
            case 0x41 | 0x52 if self.model.signals:
                return DONE
            case 0x48 if self.model.firmware:
                return self.model.firmware
            case 0x51 if self.model.signals:
                return bytes([0x90, command.p2])
            case _:
                return UNSUPPORTED

    def _ask_chip(self, frame: bytes) -> bytes:
        if len(frame) < 2 or frame[0] != 0xD4:
            return FAILED
        answer = self._chip.answer(frame[1], frame[2:])
        return FAILED if answer is None else bytes([0xD5, frame[1] + 1]) + answer + DONE

    def _converse(self, command: Command) -> bytes:
        """``FF C2 00 00`` opens (81) and closes (82), ``01`` exchanges (95), ``02`` switches the protocol (8F).

        Answered with the state of the object at fault, ``C0 03 index SW1 SW2``, and for an exchange also with
        ``92 01 bits | 96 02 status | 97 length answer``.
        """
        objects = dict(_objects(command.data))
        state = bytes.fromhex("C00300") + DONE
        match command.p2:
            case 0x00 if 0x81 in objects:
                self._has_session = True
            case 0x00 if 0x82 in objects:
                self._has_session = False
            case 0x01 if 0x95 in objects and self._has_session:
                answer = self._send(objects[0x95])
                if answer is None:
                    return bytes.fromhex("C003016401") + DONE
                state += bytes.fromhex("920100 96020000 97") + bytes([len(answer)]) + answer
            case 0x02 if 0x8F in objects and self._has_session:
                self._select()
            case _:
                return UNSUPPORTED
        return state + DONE


def _objects(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Data objects with short lengths and tags of one byte, or two that begin with 5F or FF."""
    while len(data) >= 2:
        tag_size = 2 if data[0] in {0x5F, 0xFF} else 1
        if len(data) <= tag_size:
            return
        end = tag_size + 1 + data[tag_size]
        yield int.from_bytes(data[:tag_size], "big"), data[tag_size + 1 : end]
        data = data[end:]
