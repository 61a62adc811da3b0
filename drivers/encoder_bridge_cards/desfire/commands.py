"""The commands of a DESFire card that personalising one takes, over any channel.

Each raises what `Channel.command` raises.  Numbers on the wire are little endian.
"""

from __future__ import annotations

from dataclasses import dataclass

from encoder_bridge_cards.desfire.channel import Channel, KeyType, Mode

_CONFIGURE_FLAGS = b"\x00"
_RANDOM_UID = b"\x02"
"""Bit 1; bit 0 would forbid FormatPICC."""
_BACKUP_FILE = 0x01
_SETTINGS_LENGTH = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """What the keys of an application, or of the card, may do, and how many there are.

    ::

        rights(count | type)
    """

    rights: int
    """The high half names the key that changes keys.  Of the low half bit 0 lets key 0 be changed, bit 1 lists files
    and applications to anybody, bit 2 lets anybody create and delete them, bit 3 lets these bits be changed."""
    count: int
    kind: KeyType

    @property
    def creates_freely(self) -> bool:
        """Whether files and applications are created without a key."""
        return bool(self.rights & 0x04)

    @classmethod
    def decode(cls, data: bytes) -> KeySettings | None:
        """Read an answer; None: it tells of key sets as well, or of a type of key that does not exist."""
        if len(data) != 2:
            return None
        try:
            return cls(rights=data[0], count=data[1] & 0x0F, kind=KeyType(data[1] & 0xC0))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFile:
    """The settings of a backup data file.

    ::

        01 mode rights[2] size[3]
    """

    mode: Mode
    rights: int
    """Four key numbers of four bits: who reads, writes, does both, changes the rights; the first one highest."""
    size: int

    def encode(self) -> bytes:
        """As GetFileSettings answers."""
        head = bytes((_BACKUP_FILE, self.mode)) + self.rights.to_bytes(2, "little")
        return head + self.size.to_bytes(3, "little")

    def is_in(self, answer: bytes) -> bool:
        """Whether GetFileSettings speaks of such a file; what a newer card adds behind is not looked at."""
        return answer[:_SETTINGS_LENGTH] == self.encode()


def version(channel: Channel) -> bytes:
    """GetVersion: hardware, software, number and production, 28 bytes in three frames."""
    return channel.command(0x60)


def free_memory(channel: Channel) -> int:
    """FreeMem, on the card's own level: bytes left."""
    return int.from_bytes(channel.command(0x6E, length=3), "little")


def uid(channel: Channel) -> bytes:
    """GetCardUID, in a session: the number that stays."""
    return channel.command(0x51, answer=Mode.FULL, length=7)


def configure_random_uid(channel: Channel) -> None:
    """SetConfiguration: show another number at every selection from now on.  No command takes it back."""
    channel.command(0x5C, _CONFIGURE_FLAGS, _RANDOM_UID, mode=Mode.FULL, length=0)


def key_version(channel: Channel, number: int) -> int:
    """GetKeyVersion; it needs no session."""
    return channel.command(0x64, bytes((number,)), length=1)[0]


def key_settings(channel: Channel) -> KeySettings | None:
    """GetKeySettings; None: they are none that a profile asks for."""
    return KeySettings.decode(channel.command(0x45))


def create_application(channel: Channel, aid: int, settings: KeySettings) -> None:
    """CreateApplication; its keys are zeros with version 0 until they are changed."""
    keys = bytes((settings.rights, settings.count | settings.kind))
    channel.command(0xCA, aid.to_bytes(3, "little") + keys, length=0)


def file_numbers(channel: Channel) -> frozenset[int]:
    """GetFileIDs of the selected application."""
    return frozenset(channel.command(0x6F))


def create_file(channel: Channel, number: int, file: BackupFile) -> None:
    """CreateBackupDataFile; it holds zeros and takes twice its size."""
    channel.command(0xCB, bytes((number,)) + file.encode()[1:], length=0)


def file_settings(channel: Channel, number: int) -> bytes:
    """GetFileSettings."""
    return channel.command(0xF5, bytes((number,)))


def read(channel: Channel, number: int, file: BackupFile) -> bytes:
    """ReadData: the whole file as it was last committed."""
    header = bytes((number, 0, 0, 0)) + file.size.to_bytes(3, "little")
    return channel.command(0xBD, header, mode=file.mode, answer=file.mode, length=file.size)


def write(channel: Channel, number: int, offset: int, data: bytes, mode: Mode) -> None:
    """WriteData; a backup file shows it after `commit`."""
    header = bytes((number,)) + offset.to_bytes(3, "little") + len(data).to_bytes(3, "little")
    channel.command(0x3D, header, data, mode=mode, answer=mode, length=0)


def commit(channel: Channel) -> None:
    """CommitTransaction: all that was written in this session at once, or nothing."""
    channel.command(0xC7, length=0)
