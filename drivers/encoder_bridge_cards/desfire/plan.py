"""What a profile wants of a DESFire card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from encoder_bridge_cards.desfire import ev1, ev2
from encoder_bridge_cards.desfire.channel import Channel, KeyType, Mode, Plain
from encoder_bridge_cards.desfire.commands import BackupFile, KeySettings
from encoder_bridge_cards.desfire.version import Generation
from encoder_bridge_cards.keys import CardKey, Key

MASTER = 0
"""Number of the key that rules an application, and of the one that rules the card."""
FACTORY = Key(value=bytes(16), version=0)
"""Every key of an application that was just created."""

_RIGHTS = 0x0B
"""Key 0 changes keys, itself too, creates files and changes these rights; files are listed to anybody."""
_UNIT = 32
_KEY_RECORD = 17

Open = Callable[[Plain, int, bytes], Channel]
"""Opens a session: the selected application, a key's number and the key."""


class Protocol(StrEnum):
    """Which secure messaging is spoken."""

    AUTO = "auto"
    """The newest one that the card knows."""
    EV1 = "ev1"
    EV2 = "ev2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The table of a profile; no key, only the ways to keys."""

    aid: int
    sizes: Mapping[int, int]
    """Bytes of each file, by its number, rising."""
    mode: Mode
    protocol: Protocol
    keys: Mapping[int, CardKey]
    """By number; `MASTER` is among them.  No version is 0, and each of a key's versions is another."""
    key_count: int
    read_key: int
    write_key: int
    picc: CardKey | None
    """The card's own master key; None: the one cards are delivered with, a DES key of zeros."""
    random_uid: bool

    @property
    def settings(self) -> KeySettings:
        """Of the application."""
        return KeySettings(rights=_RIGHTS, count=self.key_count, kind=KeyType.AES)

    @property
    def files(self) -> Mapping[int, BackupFile]:
        """By number, rising.  Key 0 reads and writes too, so that personalising takes one session."""
        rights = self.read_key << 12 | self.write_key << 8 | MASTER << 4 | MASTER
        return {number: BackupFile(mode=self.mode, rights=rights, size=size) for number, size in self.sizes.items()}

    @property
    def memory(self) -> int:
        """Bytes that all of it takes at most: memory goes in units, and a backup file is there twice."""
        files = sum(_UNIT + 2 * _units(size) for size in self.sizes.values())
        return _UNIT + _units(self.key_count * _KEY_RECORD) + files

    def opener(self, generation: Generation) -> Open | None:
        """How a card of this generation is opened; None: it is too old for the profile."""
        if self.protocol is Protocol.EV1 or (self.protocol is Protocol.AUTO and generation is Generation.EV1):
            return ev1.authenticate
        return None if generation is Generation.EV1 else ev2.authenticate


def _units(size: int) -> int:
    return -(-size // _UNIT) * _UNIT
