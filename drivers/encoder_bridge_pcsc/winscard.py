"""pyscard's lowest layer behind plain calls and a few exceptions.

The only module that imports pyscard, and only when PC/SC is first used: a daemon without a PC/SC encoder runs without
it::

    PcscError            the exchange failed; the card may have acted
    ├── NoLibrary        pyscard is not installed
    ├── ServiceGone      pcscd does not run, or is another one than before
    ├── AccessDenied     pcscd's policy keeps this user out
    ├── ReaderMissing    the reader is unplugged
    ├── Busy             another program has the reader to itself, or keeps us from having that
    ├── CardMissing      no card lies there, or not the one that was connected
    └── Cancelled        `Context.cancel` ended the wait
"""

from __future__ import annotations

import sys
from enum import IntEnum
from types import ModuleType
from typing import Any


class PcscError(Exception):
    """A call that failed.

    Args:
        raw: the name of its code in PC/SC, for the log.
    """

    def __init__(self, raw: str) -> None:
        super().__init__(raw)
        self.raw = raw


class NoLibrary(PcscError):
    """See the module."""


class ServiceGone(PcscError):
    """See the module."""


class AccessDenied(PcscError):
    """See the module."""


class ReaderMissing(PcscError):
    """See the module."""


class Busy(PcscError):
    """See the module."""


class CardMissing(PcscError):
    """See the module."""


class Cancelled(PcscError):
    """See the module."""


_KINDS: dict[str, type[PcscError]] = {
    "SCARD_E_NO_SERVICE": ServiceGone,
    "SCARD_E_SERVICE_STOPPED": ServiceGone,
    "SCARD_E_INVALID_HANDLE": ServiceGone,
    "SCARD_E_SYSTEM_CANCELLED": ServiceGone,
    "SCARD_F_COMM_ERROR": ServiceGone,
    "SCARD_W_SECURITY_VIOLATION": AccessDenied,
    "SCARD_E_NO_ACCESS": AccessDenied,
    "SCARD_E_UNKNOWN_READER": ReaderMissing,
    "SCARD_E_READER_UNAVAILABLE": ReaderMissing,
    "SCARD_E_NO_READERS_AVAILABLE": ReaderMissing,
    "SCARD_E_INVALID_VALUE": ReaderMissing,  # pcsc-lite's word for a connection whose reader was unplugged
    "SCARD_E_SHARING_VIOLATION": Busy,
    "SCARD_E_NO_SMARTCARD": CardMissing,
    "SCARD_W_REMOVED_CARD": CardMissing,
    "SCARD_E_CANCELLED": Cancelled,
}

_SUCCESS = 0
_ESCAPE = 3500 if sys.platform == "win32" else 1
_FOREVER = 0xFFFFFFFF if sys.platform == "win32" else 0x7FFFFFFF


class Share(IntEnum):
    """With whom a connection shares the reader."""

    EXCLUSIVE = 1
    SHARED = 2
    DIRECT = 3
    """With everybody but an exclusive one, and without a card."""


class Ending(IntEnum):
    """What becomes of the card when a connection ends or begins anew."""

    LEAVE = 0
    RESET = 1
    UNPOWER = 2


class State(IntEnum):
    """Bits of a reader's state; the upper half counts what happened."""

    UNAWARE = 0x0000
    UNKNOWN = 0x0004
    UNAVAILABLE = 0x0008
    PRESENT = 0x0020


class Context:
    """A conversation with pcscd: one thread's at a time, but for `cancel`.

    Raises:
        PcscError: it cannot be begun.
    """

    def __init__(self) -> None:
        self._scard = _library()
        code, self._context = self._scard.SCardEstablishContext(self._scard.SCARD_SCOPE_SYSTEM)
        _check(code)

    def readers(self) -> tuple[str, ...]:
        """The names of all readers."""
        code, names = self._scard.SCardListReaders(self._context, [])
        try:
            _check(code)
        except ReaderMissing:
            return ()
        return tuple(names)

    def wait(self, reader: str, known: int) -> int:
        """Block until a reader's state differs from the known one, and return it.

        Raises:
            PcscError: the reader or pcscd is gone, or the wait was cancelled.
        """
        code, states = self._scard.SCardGetStatusChange(self._context, _FOREVER, [(reader, known)])
        _check(code)
        state = int(states[0][1])
        if state & (State.UNKNOWN | State.UNAVAILABLE):
            raise ReaderMissing("SCARD_STATE_UNAVAILABLE")
        return state

    def cancel(self) -> None:
        """End a `wait` that another thread has begun; one that has not begun goes on."""
        _check(self._scard.SCardCancel(self._context))

    def connect(self, reader: str, share: Share) -> Connection:
        """Connect to a reader and, unless directly, to the card on it."""
        scard = self._scard
        protocols = 0 if share is Share.DIRECT else scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, handle, protocol = scard.SCardConnect(self._context, reader, int(share), protocols)
        _check(code)
        return Connection(scard, handle, protocol, share)

    def release(self) -> None:
        """End the conversation; that of a pcscd that is gone has ended."""
        self._scard.SCardReleaseContext(self._context)


class Connection:
    """A reader, and the card on it unless the connection is direct."""

    def __init__(self, scard: Any, handle: Any, protocol: int, share: Share) -> None:
        self._scard = scard
        self._handle = handle
        self._protocol = protocol
        self._share = share

    def transmit(self, apdu: bytes) -> bytes:
        """Send a command and return the response; it is empty where a reader lost the card on the way."""
        code, response = self._scard.SCardTransmit(self._handle, self._protocol, list(apdu))
        if code != _SUCCESS:  # what pyscard gives as a response then is memory at random
            _check(code)
        return bytes(response)

    def control(self, command: bytes) -> bytes:
        """Send the reader a command of its own, past the card."""
        code, response = self._scard.SCardControl(self._handle, self._scard.SCARD_CTL_CODE(_ESCAPE), list(command))
        _check(code)
        return bytes(response)

    def begin_anew(self, ending: Ending) -> bytes:
        """Reset or unpower the card, power it up and return its ATR."""
        scard = self._scard
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, self._protocol = scard.SCardReconnect(self._handle, int(self._share), protocols, int(ending))
        _check(code)
        code, _, _, _, atr = scard.SCardStatus(self._handle)
        _check(code)
        return bytes(atr)

    def serial(self) -> str | None:
        """The reader's serial number, if its driver tells it."""
        code, told = self._scard.SCardGetAttrib(self._handle, self._scard.SCARD_ATTR_VENDOR_IFD_SERIAL_NO)
        if code != _SUCCESS:
            return None
        return bytes(told).split(b"\0")[0].decode("ascii", "replace").strip() or None

    def disconnect(self, ending: Ending) -> None:
        """End the connection, whatever is left of it."""
        self._scard.SCardDisconnect(self._handle, int(ending))


def _library() -> ModuleType:
    try:
        from smartcard import scard
    except ImportError as error:
        raise NoLibrary("pyscard") from error
    return scard  # type: ignore[no-any-return]


def _check(code: int) -> None:
    if code == _SUCCESS:
        return
    name = _name(code)
    raise _KINDS.get(name, PcscError)(name)


def _name(code: int) -> str:
    scard = _library()
    for name in dir(scard):
        if name.startswith(("SCARD_E_", "SCARD_F_", "SCARD_W_")) and _bits(getattr(scard, name)) == _bits(code):
            return name
    return f"0x{_bits(code):08X}"


def _bits(code: int) -> int:
    """A code as PC/SC writes it; some platforms make negative numbers of them."""
    return code & 0xFFFFFFFF
