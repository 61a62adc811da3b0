"""The card library's frames, carried by PC/SC part 3.

=========  ====================  ===================================================================
family     frame                 command APDU
=========  ====================  ===================================================================
any        selecting             reset, ``FF CA 00 00 00`` and the ATR
CLASSIC    ``60|61 block ..``    ``FF 82 ..`` where the key is not there yet, ``FF 86 00 00 05 ..``
both       ``30 block``          ``FF B0 00 block 10``
CLASSIC    ``A0 block data``     ``FF D6 00 block 10 data``
TYPE_2     ``A2 page data``      ``FF D6 00 page 04 data``
TYPE_2     the rest              the reader's own way, see `native`
ISO_DEP    a command APDU        as it is
=========  ====================  ===================================================================

Sources: PC/SC part 3, section 3.2.2; ACR122U API 2.04.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from encoder_bridge_cards.link import (
    Activation,
    Family,
    Link,
    LinkError,
    NoAnswer,
    ReaderGone,
    Refused,
    Unsupported,
)

from encoder_bridge_pcsc import atr
from encoder_bridge_pcsc.habits import Habits
from encoder_bridge_pcsc.native import Way, checked
from encoder_bridge_pcsc.places import KeyPlaces
from encoder_bridge_pcsc.winscard import Connection, Ending, PcscError, ReaderMissing, ServiceGone

_log = logging.getLogger("encoder_bridge_pcsc")

_UID_SIZES = range(4, 11)
_KEY_SIZE, _BLOCK_SIZE, _PAGE_SIZE = 6, 16, 4
_ACKNOWLEDGED = (b"\x0a", b"")
"""What a write answers where the reader passes the card's four bits on, and where it does not."""


@dataclass(slots=True)
class _Card:
    """The card as it was selected last."""

    family: Family
    session: Way | None = None


class PcscLink(Link):
    """A connected card.

    Args:
        connection: to the card, with nobody else.
        habits: of its reader; it is told what turns out.
    """

    def __init__(self, connection: Connection, habits: Habits) -> None:
        self._connection = connection
        self.habits = habits
        """What its reader is known to do."""
        self._places = KeyPlaces(habits, self._transmit, self.activate)
        self._card: _Card | None = None
        self.is_broken = False
        """Whether an answer stayed out since the card was connected."""

    def activate(self) -> Activation:
        """See `Link`."""
        self._end_session()
        self._places.distrust()
        self._card = None
        family, blocks = atr.told(self._reset())
        response = self._transmit(b"\xff\xca\x00\x00\x00")
        try:
            uid = checked(response)
        except LinkError as error:
            raise self._broken(error.raw) from None
        if len(uid) not in _UID_SIZES:
            raise self._broken(f"a number of {len(uid)} bytes")
        self._card = _Card(family=family)
        return Activation(family=family, uid=uid, blocks=blocks)

    def exchange(self, frame: bytes) -> bytes:
        """See `Link`."""
        match self._selected().family:
            case Family.ISO_DEP:
                return self._pass_on(frame)
            case Family.CLASSIC:
                return self._classic(frame)
            case Family.TYPE_2:
                return self._type_2(frame, self._selected().session)
            case _:
                raise Unsupported(f"frame {frame[:1].hex()}")

    def leave(self) -> None:
        """Leave the reader as it was: no session, and none of our keys, which every program could use there.

        Raises:
            LinkError: it or the card has gone.
        """
        self._end_session()
        self._places.overwrite()

    def _pass_on(self, apdu: bytes) -> bytes:
        if len(apdu) < 4 or apdu[0] == 0xFF:  # the reader would take it for its own
            raise Unsupported("no command of a card")
        return self._transmit(apdu)

    def _classic(self, frame: bytes) -> bytes:
        match frame[0] if frame else None:
            case 0x60 | 0x61 if len(frame) == 2 + _KEY_SIZE + 4:
                self._places.open(frame[0], frame[1], frame[2 : 2 + _KEY_SIZE])
                return b""
            case 0x30 if len(frame) == 2:
                return self._read(frame[1])
            case 0xA0 if len(frame) == 2 + _BLOCK_SIZE:
                return self._update(frame[1], frame[2:])
            case _:
                raise Unsupported(f"frame {frame[:1].hex()}")

    def _type_2(self, frame: bytes, session: Way | None) -> bytes:
        match frame[0] if frame and session is None else None:
            case 0x30 if len(frame) == 2:
                return self._read(frame[1])
            case 0xA2 if len(frame) == 2 + _PAGE_SIZE:
                return self._update(frame[1], frame[2:])
            case _:
                return self._native(session or self._way(), frame)

    def _native(self, way: Way, frame: bytes) -> bytes:
        if way.has_session and self._selected().session is None:
            self._begin_session(way)
        answer = way.send(self._transmit, frame)
        if frame[:1] == b"\xa2":
            if answer not in _ACKNOWLEDGED:
                raise Refused("NAK")
            return b""
        if len(answer) < 2:  # every other answer is longer, and four bits are a refusal
            raise Refused("NAK")
        return answer

    def _way(self) -> Way:
        """The way of native frames through this reader, found out once, with a page that is known.

        Raises:
            Unsupported: there is none.
            LinkError: the card is gone.
        """
        habits = self.habits
        if habits.way is not None:
            return habits.way
        if habits.has_no_way:
            raise Unsupported("no native frames")
        try:
            known = self._read(0)
        except Refused as error:
            self.activate()
            if habits.model.is_known:
                return habits.model.ways[0]
            raise Unsupported(error.raw) from None
        for way in habits.model.ways:
            if self._confirms(way, known):
                _log.info("native frames go by way of %s", way.name)
                habits.way = way
                return way
            self.activate()
        _log.info("the reader carries no native frames")
        habits.has_no_way = True
        raise Unsupported("no native frames")

    def _confirms(self, way: Way, known: bytes) -> bool:
        try:
            return self._native(way, b"\x30\x00") == known
        except (NoAnswer, ReaderGone):
            raise
        except LinkError as error:
            _log.info("no native frames by way of %s: %s", way.name, error.raw)
            return False

    def _read(self, number: int) -> bytes:
        data = checked(self._transmit(bytes([0xFF, 0xB0, 0x00, number, _BLOCK_SIZE])))
        if len(data) != _BLOCK_SIZE:
            raise Refused(f"{len(data)} bytes")
        return data

    def _update(self, number: int, data: bytes) -> bytes:
        checked(self._transmit(bytes([0xFF, 0xD6, 0x00, number, len(data)]) + data))
        return b""

    def _begin_session(self, way: Way) -> None:
        self._selected().session = way
        try:
            way.begin(self._transmit)
        except (Refused, Unsupported):
            self._end_session()  # a reader left halfway looks for no cards
            raise

    def _end_session(self) -> None:
        if self._card is None or self._card.session is None:
            return
        way, self._card.session = self._card.session, None
        try:
            way.end(self._transmit)
        except ReaderGone:
            raise
        except LinkError as error:
            _log.info("the %s does not end: %s", way.name, error.raw)

    def _selected(self) -> _Card:
        if self._card is None:
            raise NoAnswer("not selected")
        return self._card

    def _reset(self) -> bytes:
        try:
            return self._try(lambda: self._connection.begin_anew(Ending.RESET))
        except NoAnswer:
            # A card that a reset does not wake up may wake up when it had no power for a while.
            return self._try(lambda: self._connection.begin_anew(Ending.UNPOWER))

    def _transmit(self, apdu: bytes) -> bytes:
        response = self._try(lambda: self._connection.transmit(apdu))
        if len(response) < 2:
            raise self._broken("empty response")
        return response

    def _try(self, call: Callable[[], bytes]) -> bytes:
        try:
            return call()
        except (ServiceGone, ReaderMissing) as error:
            raise ReaderGone(error.raw) from error
        except PcscError as error:
            raise self._broken(error.raw) from error

    def _broken(self, raw: object) -> NoAnswer:
        self.is_broken = True
        return NoAnswer(raw)
