"""What a DESFire card knows while it has power, and the rules every command keeps."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from virtual.desfire import frames
from virtual.desfire.memory import Application, Fault, Memory, Mode, Status
from virtual.desfire.messaging import Nobody, Session


class Touch(Enum):
    """Which kind of memory a command has changed."""

    COMMIT = auto()
    KEY = auto()
    STRUCTURE = auto()
    DATA = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: Status
    data: bytes = b""
    chain: Callable[[bytes], Reply] | None = None
    """What acts on the next frame where this is not the end."""


@dataclass(slots=True, kw_only=True)
class State:
    uid: bytes
    generation: int
    batch: bytes
    memory: Memory
    random: Callable[[int], bytes] = secrets.token_bytes
    session: Session = field(default_factory=Nobody)
    selected: int = 0
    chain: Callable[[bytes], Reply] | None = None
    pending: dict[int, bytes] = field(default_factory=dict)
    """Backup files of the selected application as they will be after CommitTransaction."""
    touched: Touch | None = None
    patience: int = 50
    """So many failures in a row with one key bring the delay (NT4H2421Gx data sheet)."""
    delay: int = 3
    """So many attempts are then answered with DELAYED instead of a time that would have to be waited for."""

    @property
    def here(self) -> Application:
        """The selected application, or the card's own level."""
        return self.memory.applications[self.selected] if self.selected else self.memory.card

    def select(self, aid: int) -> None:
        self.power_off()
        self.selected = aid

    def power_off(self) -> None:
        self.fail()
        self.selected = 0

    def fail(self) -> None:
        """End the session and what was not committed."""
        self.session = Nobody()
        self.chain = None
        self.pending = {}

    def longest(self, command: int) -> int:
        """How many bytes may follow a command's code in one frame."""
        return 255 if command in frames.ISO_CHAINED else frames.NATIVE_LIMIT - 1

    def opened(self, command: int, payload: bytes, *lengths: int) -> bytes:
        """The parameters of a command whose mode is no file's; it must have one of `lengths` bytes of them."""
        parameters = self.session.opened(command, payload, self.session.default)
        if lengths and len(parameters) not in lengths:
            raise Fault(Status.LENGTH)
        return parameters

    def answered(self, data: bytes = b"", mode: Mode | None = None, *, is_open_ended: bool = False) -> Reply:
        """The answer in the session, cut into frames."""
        if mode is None:
            mode = self.session.default
        return self.cut(self.session.sealed(data, mode, is_open_ended=is_open_ended))

    def cut(self, data: bytes, limit: int = frames.ANSWER_LIMIT) -> Reply:
        if len(data) <= limit:
            return Reply(status=Status.OK, data=data)

        def go_on(nothing: bytes) -> Reply:
            if nothing:
                raise Fault(Status.LENGTH)
            return self.cut(data[limit:], limit)

        return Reply(status=Status.MORE, data=data[:limit], chain=go_on)

    def must_be_card_level(self) -> None:
        if self.selected:
            raise Fault(Status.ILLEGAL_COMMAND)

    def must_be_application(self) -> None:
        if not self.selected:
            raise Fault(Status.ILLEGAL_COMMAND)

    def must_be_master(self) -> None:
        if self.session.key_number != 0:
            raise Fault(Status.AUTHENTICATION)
