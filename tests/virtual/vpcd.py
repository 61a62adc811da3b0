"""The card's side of vpcd: a card that is laid on a virtual reader, lifted, swapped or torn off it.

    slot = Slot(stack.port(reader), Reader(ACR122U))
    with slot:
        slot.lay(card)  # returns when pcscd has powered it up
        slot.tear(3, "during")
        ...  # the fourth frame takes the card away
        slot.lay(card)

vpcd listens, the card connects; then vpcd asks (length and body in two writes)::

    length u16 big endian | body
    body 00 power off | 01 power on | 02 reset | 04 tell the ATR | else: a command APDU

and only ATR and APDU are answered, in the same shape.  A card is gone when its socket closes.

A command whose answer stays out is no error to vpcd: the client's SCardTransmit succeeds with an empty response, the
next ones fail, and pcscd tells of the removal when it looks next.  A card laid down before that would pass for the one
that was lifted, without a reset; so whoever lifts a card here waits until pcscd has looked.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from encoder_bridge_cards.link import Activation, NoAnswer

from virtual.card import Tear, VirtualCard
from virtual.usb import socket_in

OFF, ON, RESET, TELL_ATR = b"\x00", b"\x01", b"\x02", b"\x04"
NOTICED_S = 10.0
"""pcscd looks for a card every 0.4 s."""
RETRY_S = 0.01


class Personality(Protocol):
    """How a reader behaves in front of the card; one per slot, and it outlives the cards."""

    def power_up(self, card: VirtualCard) -> bytes:
        """Select the card in the field and return the ATR that the reader makes up for it.

        Raises:
            NoAnswer: it has gone for good, as if it was lifted.
        """

    def transmit(self, apdu: bytes) -> bytes:
        """Answer a command APDU, status word last; nothing at all for an exchange with the card that failed.

        The client sees that as an empty response and errors after it, until pcscd looks at the reader again.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Where vpcd listens for the card of one slot."""

    reader: str
    """As PC/SC calls it."""
    number: Callable[[], int | None]
    """Of the TCP port, which is another one each time a USB reader is plugged in; None: the reader is not there."""
    network: int | None = None
    """A descriptor of the network namespace; None: this process's own."""

    def connect(self) -> socket.socket:
        """Connect as a card does.

        Raises:
            OSError: nobody listens.
        """
        number = self.number()
        if number is None:
            raise ConnectionRefusedError(f"{self.reader} is not there")
        connection = socket.socket() if self.network is None else socket_in(self.network)
        try:
            connection.settimeout(NOTICED_S)
            connection.connect(("127.0.0.1", number))
        except BaseException:
            connection.close()
            raise
        return connection


class Slot:
    """One slot of a virtual reader.  A card that lies there is back as soon as a restarted pcscd is.

    Args:
        port: where vpcd listens for the card, `virtual.pcscd.PcscStack.port`.
        personality: the reader's behaviour.
    """

    def __init__(self, port: Port, personality: Personality) -> None:
        self.port = port
        self.personality = personality
        self.apdus = 0
        """Of all cards so far."""
        self.sent = 0
        """Bytes of all command APDUs so far."""
        self.received = 0
        """Bytes of all response APDUs so far."""
        self._laid: _Laid | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._laid is not None:
            self.lift()

    @property
    def is_torn(self) -> bool:
        """Whether the card that was laid last has broken off."""
        return self._lying.field.tear.is_torn

    @property
    def exchanges(self) -> int:
        """How many frames the card was sent since it was laid, or since `tear`."""
        return self._lying.field.tear.exchanges

    def lay(self, card: VirtualCard, *, waits: bool = True) -> None:
        """Put a card down, in place of one that broke off if there is one.

        Args:
            card: the card.
            waits: return only when pcscd has powered it up, which takes half a second.

        Raises:
            RuntimeError: a card lies there, or pcscd does not see the new one.
        """
        if self._laid is not None:
            if not self.is_torn:
                raise RuntimeError("a card lies there already")
            self.lift()
        self._laid = _Laid(self, card)
        if waits and not self._laid.powered.wait(NOTICED_S):
            raise RuntimeError("pcscd has not powered the card up")

    def lift(self) -> None:
        """Take the card away; return when vpcd has noticed, if it runs.

        Raises:
            RuntimeError: no card lies there.
        """
        self._lying.lift()
        self._laid = None

    def swap(self, card: VirtualCard) -> None:
        """Take the card away and put down another one."""
        self.lift()
        self.lay(card)

    def tear(self, at: int, how: str = "before") -> None:
        """Let the card that lies there break off at one of the frames to come, see `virtual.card.Tear`.

        Args:
            at: the number of that frame, counted from 0 from now on.
            how: ``before``, ``during`` or ``after`` the card acts on it.  No reply reaches pcscd in any case.
        """
        with self._lying.lock:
            self._lying.field.tear = Tear(self._lying.field.card, at, how)

    @property
    def _lying(self) -> _Laid:
        if self._laid is None:
            raise RuntimeError("no card lies there")
        return self._laid


class _Field(VirtualCard):
    """A card as it lies in the field, with whatever tear stands in the way."""

    def __init__(self, card: VirtualCard) -> None:
        self.card = card
        self.atqa, self.sak, self.ats = card.atqa, card.sak, card.ats
        self.tear = Tear(card)

    def activate(self) -> Activation:
        return self.tear.activate()

    def exchange(self, frame: bytes) -> bytes:
        return self.tear.exchange(frame)

    def interrupt(self, frame: bytes) -> None:
        self.card.interrupt(frame)

    def snapshot(self) -> Hashable:
        return self.card.snapshot()


class _Laid:
    """A card in a slot, and the thread that answers for it."""

    def __init__(self, slot: Slot, card: VirtualCard) -> None:
        self.field = _Field(card)
        self.lock = threading.Lock()
        self.powered = threading.Event()
        self._slot = slot
        self._lifted = threading.Event()
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._lie, name=f"the card on {slot.port.reader}", daemon=True)
        self._thread.start()

    def lift(self) -> None:
        self._lifted.set()
        self._hang_up(socket.SHUT_WR)
        self._thread.join(NOTICED_S)
        if self._thread.is_alive():  # pcscd is frozen
            self._hang_up(socket.SHUT_RDWR)
            self._thread.join()

    @property
    def _is_gone(self) -> bool:
        return self._lifted.is_set() or self.field.tear.is_torn

    def _lie(self) -> None:
        """Connect, and connect again as long as the card lies there: pcscd may be restarted."""
        while not self._is_gone:
            try:
                self._connection = self._slot.port.connect()
            except OSError:
                time.sleep(RETRY_S)
                continue
            with self._connection as connection, contextlib.suppress(OSError):
                connection.settimeout(None)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._lifted.is_set():
                    self._hang_up(socket.SHUT_WR)
                if self._serve(connection):
                    return
        with contextlib.suppress(OSError):
            self._show_absence()

    def _show_absence(self) -> None:
        """Return when pcscd has looked for a card and found none.

        The only time that vpcd accepts a connection is when it is asked whether a card is there, and this one is not.
        """
        with self._slot.port.connect() as nobody:
            nobody.shutdown(socket.SHUT_WR)
            while _receive(nobody) is not None:
                continue

    def _serve(self, connection: socket.socket) -> bool:
        """Answer until vpcd closes its side: it does when it notices that the card has closed the other one.

        Returns:
            Whether it noticed by looking for the card, as `_show_absence` makes it do.
        """
        with self.lock:
            atr = self._power_up()
        is_powered = looks = False
        before = b""
        while (asked := _receive(connection)) is not None:
            looks = asked == TELL_ATR and before not in {ON, RESET}
            before = asked
            if self._is_gone:
                continue
            with self.lock:
                if asked in {ON, RESET}:
                    atr = self._power_up()
                    is_powered = True
                elif asked == TELL_ATR:
                    _send(connection, atr)
                    if is_powered:
                        self.powered.set()
                elif asked != OFF:
                    self._answer(connection, asked)
        return self._is_gone and looks

    def _power_up(self) -> bytes:
        try:
            return self._slot.personality.power_up(self.field)
        except NoAnswer:
            self._lifted.set()
            self._hang_up(socket.SHUT_WR)
            return b""

    def _answer(self, connection: socket.socket, apdu: bytes) -> None:
        self._slot.apdus += 1
        self._slot.sent += len(apdu)
        answer = self._slot.personality.transmit(apdu)
        if self.field.tear.is_torn or not answer:
            self._hang_up(socket.SHUT_WR)
        else:
            self._slot.received += len(answer)
            _send(connection, answer)

    def _hang_up(self, which: int) -> None:
        """Close one direction or both; the descriptor stays with the thread, which sees the end."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(which)


def _send(connection: socket.socket, body: bytes) -> None:
    connection.sendall(len(body).to_bytes(2, "big") + body)


def _receive(connection: socket.socket) -> bytes | None:
    """What vpcd asks next, None when it has closed."""
    length = _receive_all(connection, 2)
    return None if length is None else _receive_all(connection, int.from_bytes(length, "big"))


def _receive_all(connection: socket.socket, length: int) -> bytes | None:
    received = b""
    while len(received) < length:
        # vpcd writes length and body apart, and its second write waits for the acknowledgement of the first: 44 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        piece = connection.recv(length - len(received))
        if not piece:
            return None
        received += piece
    return received
