"""What a session does with commands and answers, and what is done without one."""

from __future__ import annotations

from typing import Protocol

from virtual.desfire.crypto import Kind
from virtual.desfire.memory import Fault, Mode, Status


class Session(Protocol):
    """How a reader and the card talk."""

    key_number: int | None
    """The key it was opened with."""
    default: Mode
    """Of a command whose mode is no file's."""

    def reading(self, mode: Mode) -> Mode:
        """The mode of a command that asks for data in `mode`."""

    def length(self, length: int, mode: Mode) -> int:
        """How many bytes `length` bytes of data take in a command."""

    def opened(self, command: int, payload: bytes, mode: Mode, header: int = 0, length: int = 0) -> bytes:
        """Check a command and take its protection off.

        Args:
            command: its code.
            payload: all that follows it.
            mode: of its data.
            header: how many bytes come before the data; for FULL.
            length: how many bytes of data there are; for FULL.

        Raises:
            Fault: it is not what an honest reader would send.
        """

    def sealed(self, data: bytes, mode: Mode, *, is_open_ended: bool = False) -> bytes:
        """Protect an answer; `is_open_ended`: the reader did not say how many bytes it wants."""

    def new_key(self, payload: bytes, kind: Kind, old: bytes | None) -> tuple[bytes, int]:
        """Check and decrypt a ChangeKey command; `old`: the key that changes where it is not the session's own."""


class Nobody:
    """No session: what is free for all."""

    key_number: int | None = None
    default = Mode.PLAIN

    def reading(self, mode: Mode) -> Mode:
        return mode

    def length(self, length: int, mode: Mode) -> int:
        self._must_be_plain(mode)
        return length

    def opened(self, command: int, payload: bytes, mode: Mode, header: int = 0, length: int = 0) -> bytes:
        self._must_be_plain(mode)
        return payload

    def sealed(self, data: bytes, mode: Mode, *, is_open_ended: bool = False) -> bytes:
        self._must_be_plain(mode)
        return data

    def new_key(self, payload: bytes, kind: Kind, old: bytes | None) -> tuple[bytes, int]:
        raise Fault(Status.AUTHENTICATION)

    def _must_be_plain(self, mode: Mode) -> None:
        if mode is not Mode.PLAIN:
            raise Fault(Status.AUTHENTICATION)
