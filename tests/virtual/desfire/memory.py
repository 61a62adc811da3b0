"""What outlives a loss of power in a DESFire card: applications, keys, files, configuration, failed attempts."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import IntEnum

from virtual.desfire.crypto import Kind

UNIT = 32
"""Memory is given out in units of so many bytes."""


class Mode(IntEnum):
    """How the data of a command travels."""

    PLAIN = 0
    MAC = 1
    FULL = 3


class Status(IntEnum):
    OK = 0x00
    NO_CHANGES = 0x0C
    OUT_OF_MEMORY = 0x0E
    ILLEGAL_COMMAND = 0x1C
    INTEGRITY = 0x1E
    NO_SUCH_KEY = 0x40
    LENGTH = 0x7E
    PERMISSION_DENIED = 0x9D
    PARAMETER = 0x9E
    NO_APPLICATION = 0xA0
    DELAYED = 0xAD
    AUTHENTICATION = 0xAE
    MORE = 0xAF
    BOUNDARY = 0xBE
    ABORTED = 0xCA
    COUNT = 0xCE
    DUPLICATE = 0xDE
    NO_FILE = 0xF0


class Fault(Exception):
    """A command the card answers with an error."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


@dataclass(slots=True)
class Key:
    kind: Kind
    value: bytes = field(repr=False)
    version: int = 0
    failures: int = 0
    """In a row."""
    total_failures: int = 0
    delay: int = 0
    """So many more attempts are answered with DELAYED."""

    def state(self) -> Hashable:
        return (self.kind.value, self.value, self.version, self.failures, self.total_failures, self.delay)


@dataclass(slots=True)
class File:
    is_backup: bool
    mode: Mode
    access: int
    """Read, Write, ReadWrite, Change: a nibble each, the first one highest."""
    data: bytes = field(repr=False)

    def settings(self) -> bytes:
        size = len(self.data).to_bytes(3, "little")
        return bytes((int(self.is_backup), self.mode)) + self.access.to_bytes(2, "little") + size

    def cost(self) -> int:
        units = -(-len(self.data) // UNIT)
        return units * UNIT * (2 if self.is_backup else 1)

    def state(self) -> Hashable:
        return (self.settings(), self.data)


@dataclass(slots=True)
class Application:
    """An application; the card's own level is one without files."""

    settings: int
    kind: Kind
    keys: list[Key] = field(repr=False)
    name: bytes = b""
    files: dict[int, File] = field(default_factory=dict)

    def cost(self) -> int:
        return UNIT + -(-len(self.keys) * (self.kind.key_length + 1) // UNIT) * UNIT

    @property
    def master_key_can_change(self) -> bool:
        return bool(self.settings & 0x01)

    @property
    def lists_freely(self) -> bool:
        return bool(self.settings & 0x02)

    @property
    def creates_freely(self) -> bool:
        return bool(self.settings & 0x04)

    @property
    def settings_can_change(self) -> bool:
        return bool(self.settings & 0x08)

    def state(self) -> Hashable:
        keys = tuple(key.state() for key in self.keys)
        files = tuple((number, file.state()) for number, file in self.files.items())
        return (self.settings, self.kind.value, keys, self.name, files)


@dataclass(slots=True)
class Memory:
    free: int
    size: int
    """Free after FormatPICC."""
    card: Application
    applications: dict[int, Application] = field(default_factory=dict)
    default_key: bytes = field(default=bytes(24), repr=False)
    default_version: int = 0
    may_format: bool = True
    random_id: bool = False
    failure_limit: int = 1000
    failure_decrement: int = 10
    is_limited: bool = True

    def take(self, cost: int) -> None:
        if cost > self.free:
            raise Fault(Status.OUT_OF_MEMORY)
        self.free -= cost

    def new_keys(self, kind: Kind, count: int) -> list[Key]:
        value = self.default_key[: kind.key_length]
        return [Key(kind=kind, value=value, version=self.default_version) for _ in range(count)]

    def state(self) -> Hashable:
        applications = tuple((aid, application.state()) for aid, application in self.applications.items())
        configuration = (self.default_key, self.default_version, self.may_format, self.random_id)
        limits = (self.failure_limit, self.failure_decrement, self.is_limited)
        return (self.free, self.card.state(), applications, configuration, limits)
