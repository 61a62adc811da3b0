"""Native DESFire commands over a link, and what a session with secure messaging offers.

Commands are wrapped as ISO/IEC 7816-4 APDUs, always, because the first one decides on some readers how a card is
spoken to until it leaves the field (ACR122U API 2.04, section 5)::

    90 code 00 00 [length payload] 00  ->  data 91 status
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from encoder_bridge_cards.keys import Key
from encoder_bridge_cards.link import Link, Refused

FRAME = 60
"""Bytes of a native frame, its code included; every card takes this many."""
_FRAMES = 2048
"""Frames of one answer; the largest card holds less."""

CHANGE_KEY = 0xC4
_SELECT = 0x5A

Random = Callable[[int], bytes]
"""Draws that many random bytes, as `os.urandom` does."""


class Mode(IntEnum):
    """A communication mode, as in file settings."""

    PLAIN = 0
    MAC = 1
    FULL = 3


class KeyType(IntEnum):
    """What a key is for, as in CreateApplication and in the number of ChangeKey."""

    TDEA_2 = 0x00
    """16 bytes; DES where both halves are equal."""
    TDEA_3 = 0x40
    AES = 0x80


class Status(IntEnum):
    """What a card says of a command."""

    OK = 0x00
    NO_CHANGES = 0x0C
    OUT_OF_MEMORY = 0x0E
    ILLEGAL_COMMAND = 0x1C
    INTEGRITY = 0x1E
    NO_SUCH_KEY = 0x40
    LENGTH = 0x7E
    PERMISSION_DENIED = 0x9D
    PARAMETER = 0x9E
    NO_SUCH_APPLICATION = 0xA0
    APPLICATION_INTEGRITY = 0xA1
    AUTHENTICATION_DELAY = 0xAD
    AUTHENTICATION = 0xAE
    MORE = 0xAF
    BOUNDARY = 0xBE
    PICC_INTEGRITY = 0xC1
    ABORTED = 0xCA
    PICC_DISABLED = 0xCD
    COUNT = 0xCE
    DUPLICATE = 0xDE
    EEPROM = 0xEE
    NO_SUCH_FILE = 0xF0
    FILE_INTEGRITY = 0xF1


class Declined(Exception):
    """The card answered with an error.  Whatever session there was is over.

    Args:
        status: its byte; a `Status` where it is a known one.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status:02X}" + (f" {status.name}" if isinstance(status, Status) else ""))
        self.status = status


class Forged(Exception):
    """A MAC, a checksum, a padding or the shape of an answer is not what this card would send.

    Nothing is known of what the card did: treat it as a lost reply.  The session is over.

    Args:
        what: which of these, without a byte of it.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"an answer's {what} does not check")
        self.what = what


class Channel(Protocol):
    """A selected application, or the card itself, and the session with it, if any.

    A session ends with every `Declined`, `Forged` and `LinkError`, with `change_key` of its own key, and with the next
    `select`; a channel whose session is over is of no more use.
    """

    def command(
        self,
        code: int,
        header: bytes = b"",
        data: bytes = b"",
        *,
        mode: Mode = Mode.PLAIN,
        answer: Mode = Mode.MAC,
        length: int | None = None,
    ) -> bytes:
        """Send a command and return the data of its answer, checked and decrypted.

        A caller names the mode of the command or of the file; what it means on the wire each session knows.
        The same call fits every session:

        ==================================  ==========================================================
        a command on no file                ``command(code, header)``
        ... whose answer is secret          ``command(0x51, answer=Mode.FULL, length=7)``
        ... whose data are secret           ``command(0x5C, header, data, mode=Mode.FULL)``
        reading a file of some mode         ``command(0xBD, header, mode=m, answer=m, length=n)``
        writing a file of some mode         ``command(0x3D, header, data, mode=m, answer=m, length=0)``
        ==================================  ==========================================================

        A file that is free for all is plain, whatever its settings say, unless the session's key has the right as well.

        Args:
            code: the native command.
            header: what is never encrypted: a file number, an offset.
            data: what `mode` protects.
            mode: how `data` is sent.
            answer: how the data of the answer come.  PLAIN only for files that are plain.
            length: bytes of data that the answer has to have; None: as many as come.

        Raises:
            Declined: the card will not.
            Forged: the answer cannot be trusted.
            LinkError: there was none.
            ValueError: the channel has no session, and `mode` or `answer` asks for one.
        """

    def change_key(self, number: int, new: Key, old: Key | None) -> None:
        """Change a key.

        Args:
            number: which; for the card's own master key its `KeyType` is added: ``0 | KeyType.AES``.
            new: the key to come.
            old: the key that goes; None: it is the one the session was opened with, and the session ends.

        Raises:
            Declined: the card will not, or there is no session.
            Forged: the answer cannot be trusted.
            LinkError: there was none: the card has the one key or the other.
        """


class Plain:
    """A channel without a session: commands and answers as they are."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def command(
        self,
        code: int,
        header: bytes = b"",
        data: bytes = b"",
        *,
        mode: Mode = Mode.PLAIN,
        answer: Mode = Mode.MAC,
        length: int | None = None,
    ) -> bytes:
        """See `Channel.command`.  An `answer` of MAC comes without one."""
        if mode is not Mode.PLAIN or answer is Mode.FULL:
            raise ValueError("protected messages need a session")
        return of_length(self.transfer(code, header + data), length)

    def change_key(self, number: int, new: Key, old: Key | None) -> None:  # noqa: ARG002
        """Decline, as the card would; it is not asked."""
        raise Declined(Status.AUTHENTICATION)

    def transfer(self, code: int, payload: bytes) -> bytes:
        """Send a command in as many frames as it takes and return its answer, all frames of it joined.

        Raises:
            Declined: the card answered with an error.
            Forged: it answered out of turn.
            LinkError: there was no answer.
        """
        room = FRAME - 1
        status, data = self.step(code, payload[:room])
        for at in range(room, len(payload), room):
            if status is Status.MORE and not data:
                status, data = self.step(Status.MORE, payload[at : at + room])
            elif status in (Status.OK, Status.MORE):
                raise Forged("turn")
        answer = [data]
        while status is Status.MORE and len(answer) < _FRAMES:
            status, data = self.step(Status.MORE, b"")
            answer.append(data)
        if status is Status.MORE:
            raise Forged("length")
        if status is not Status.OK:
            raise Declined(status)
        return b"".join(answer)

    def step(self, code: int, payload: bytes) -> tuple[int, bytes]:
        """Send one frame and return the status and the data of its answer.

        Raises:
            Forged: the answer is too short to be one.
            Refused: the status word is not one of a native command.
            LinkError: there was no answer.
        """
        body = bytes((len(payload),)) + payload if payload else b""
        answer = self._link.exchange(bytes((0x90, code, 0, 0)) + body + b"\0")
        if len(answer) < 2:
            raise Forged("length")
        if answer[-2] != 0x91:
            raise Refused(answer[-2:].hex())
        return _named(answer[-1]), answer[:-2]

    def handshake(self, code: int, payload: bytes, status: Status, length: int) -> bytes:
        """Send one frame of an authentication and return its answer: `length` bytes under the status due now.

        Raises:
            Declined: the card answered with an error: it has no such key, or the key is wrong.
            Forged: the answer is not what is due.
            LinkError: there was none.
        """
        actual, data = self.step(code, payload)
        if actual not in (Status.OK, Status.MORE):
            raise Declined(actual)
        if actual is not status:
            raise Forged("turn")
        return of_length(data, length)


def select(link: Link, aid: int) -> Plain:
    """Select an application, or the card itself with 0; every session with the card ends.

    Raises:
        Declined: there is no such application.
        LinkError: the link broke off.
    """
    plain = Plain(link)
    plain.transfer(_SELECT, aid.to_bytes(3, "little"))
    return plain


def _named(status: int) -> int:
    try:
        return Status(status)
    except ValueError:
        return status


def rotated(random: bytes) -> bytes:
    """A random number as it goes back to whoever drew it: its first byte last."""
    return random[1:] + random[:1]


def of_length(data: bytes, length: int | None) -> bytes:
    """Return `data`, which has to have `length` bytes.

    Raises:
        Forged: it has not.
    """
    if length is not None and len(data) != length:
        raise Forged("length")
    return data
