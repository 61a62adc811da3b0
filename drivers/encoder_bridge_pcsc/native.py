"""The ways in which readers carry a card's native frame, where PC/SC part 3 has no command for it.

===========  ================================================  ============================================
way          command                                           response
===========  ================================================  ============================================
``PN532``    ``FF 00 00 00 Lc | D4 42 frame``                  ``D5 43 00 answer | 90 00``
``BARE``     ``FF 00 00 00 Lc | frame``                        ``answer | 90 00``
``SESSION``  ``FF C2 00 01 Lc | 95 length frame | 00``         ``C0 03 00 90 00 .. 97 length answer | 90 00``
``GENERIC``  ``FF A0 00 05 Lc | 01 00 F3 00 00 64 frame``      ``00 00 answer | 90 00``
===========  ================================================  ============================================

Sources: ACR122U API 2.04 and PN532 user manual (InCommunicateThru); ACR1252U (the same command without its PN532
part); PC/SC part 3, amendment 1, transparent sessions; HID OMNIKEY 5321, generic sessions.  Inference: no transparent
session and no generic one was tried on a real reader, so a way is believed only once it reads a known page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from encoder_bridge_cards.link import Refused, Unsupported

Transmit = Callable[[bytes], bytes]
"""Send a command APDU and return the response, which has a status word.  Raises LinkError."""

_DONE = 0x9000
_NOT_HERE = frozenset({0x6700, 0x6881, 0x6882, 0x6A81, 0x6A86, 0x6D00, 0x6E00})
"""Status words of a reader that does not know the command."""


class Way(Protocol):
    """One way through the reader."""

    name: str
    has_session: bool
    """Whether every frame has to go this way once the first went."""

    def begin(self, transmit: Transmit) -> None:
        """Get the reader ready.

        Raises:
            LinkError: it does not know this way.
        """

    def send(self, transmit: Transmit, frame: bytes) -> bytes:
        """Send a frame.

        Raises:
            LinkError: there was no answer that could be used.
        """

    def end(self, transmit: Transmit) -> None:
        """Leave the reader as it was before `begin`.

        Raises:
            LinkError: it or the card has gone.
        """


def checked(response: bytes) -> bytes:
    """The data of a response that says it was a success.

    Raises:
        Unsupported: the reader does not know the command.
        Refused: it or the card will not.
    """
    word = int.from_bytes(response[-2:], "big")
    if word != _DONE:
        raise Unsupported(f"{word:04X}") if word in _NOT_HERE else Refused(f"{word:04X}")
    return response[:-2]


class Pn532:
    """See the module."""

    name = "PN532"
    has_session = False

    def begin(self, transmit: Transmit) -> None:
        """Nothing is needed."""

    def send(self, transmit: Transmit, frame: bytes) -> bytes:
        """See `Way`."""
        answer = checked(transmit(_own(b"\xd4\x42" + frame)))
        if answer[:2] != b"\xd5\x43" or len(answer) < 3:
            raise Unsupported("no answer of a PN532")
        if answer[2]:
            raise Refused(f"PN532 {answer[2]:02X}")
        return answer[3:]

    def end(self, transmit: Transmit) -> None:
        """Nothing is needed."""


class Bare:
    """See the module."""

    name = "bare"
    has_session = False

    def begin(self, transmit: Transmit) -> None:
        """Nothing is needed."""

    def send(self, transmit: Transmit, frame: bytes) -> bytes:
        """See `Way`."""
        return checked(transmit(_own(frame)))

    def end(self, transmit: Transmit) -> None:
        """Nothing is needed."""


class Session:
    """See the module."""

    name = "transparent session"
    has_session = True

    def begin(self, transmit: Transmit) -> None:
        """Start a session and have the card selected, but not activated for ISO/IEC 14443-4."""
        self._converse(transmit, 0x00, b"\x81\x00")
        self._converse(transmit, 0x02, b"\x8f\x02\x00\x03")

    def send(self, transmit: Transmit, frame: bytes) -> bytes:
        """See `Way`."""
        answer = self._converse(transmit, 0x01, bytes([0x95, len(frame)]) + frame)
        return answer.get(0x97, b"")

    def end(self, transmit: Transmit) -> None:
        """End the session."""
        self._converse(transmit, 0x00, b"\x82\x00")

    def _converse(self, transmit: Transmit, step: int, wanted: bytes) -> dict[int, bytes]:
        command = bytes([0xFF, 0xC2, 0x00, step, len(wanted)]) + wanted + b"\x00"
        told = dict(_objects(checked(transmit(command))))
        state = told.get(0xC0, b"")
        if state[-2:] != b"\x90\x00":
            raise Refused(f"C0 {state.hex()}")
        return told


class Generic:
    """See the module."""

    name = "generic session"
    has_session = True

    def begin(self, transmit: Transmit) -> None:
        """Open the session."""
        checked(transmit(bytes.fromhex("FF A0 00 07 03 01 00 01")))

    def send(self, transmit: Transmit, frame: bytes) -> bytes:
        """See `Way`."""
        wanted = bytes.fromhex("01 00 F3 00 00 64") + frame
        answer = checked(transmit(bytes([0xFF, 0xA0, 0x00, 0x05, len(wanted)]) + wanted))
        if answer[:2] != b"\x00\x00":
            raise Refused(answer[:2].hex())
        return answer[2:]

    def end(self, transmit: Transmit) -> None:
        """Close the session."""
        checked(transmit(bytes.fromhex("FF A0 00 07 03 01 00 02")))


PN532, BARE, SESSION, GENERIC = Pn532(), Bare(), Session(), Generic()


def _own(data: bytes) -> bytes:
    return bytes([0xFF, 0x00, 0x00, 0x00, len(data)]) + data


def _objects(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Data objects of a transparent session, up to one that is cut off.

    Tags have one byte, or two if they begin with 5F or FF; lengths have one.
    """
    while data:
        size = 2 if data[0] in {0x5F, 0xFF} else 1
        if len(data) <= size or len(data) < size + 1 + data[size]:
            return
        end = size + 1 + data[size]
        yield int.from_bytes(data[:size], "big"), data[size + 1 : end]
        data = data[end:]
