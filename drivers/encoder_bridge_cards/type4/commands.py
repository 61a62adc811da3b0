"""The commands of a Type 4 Tag (NFC Forum Type 4 Tag 2.0, section 5.4; ISO/IEC 7816-4).

::

    00 A4 04 00 07 D2760000850101 00    select the NDEF application
    00 A4 00 0C 02 id[2]                select a file of it
    00 B0 at[2] length                  read
    00 D6 at[2] length data             write

The length to read is always named: some cards answer nothing where it is 00, which stands for 256.
"""

from __future__ import annotations

from encoder_bridge_cards.link import Link, NoAnswer

_SELECT_APPLICATION = bytes.fromhex("00A4040007D276000085010100")
_DONE = 0x9000


class Declined(Exception):
    """A card answered a command with an error.

    Args:
        status: the status word.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04x}")
        self.status = status

    @property
    def left_unchanged(self) -> bool:
        """Whether the card says that it changed nothing (ISO/IEC 7816-4, section 5.6): 64, and 67 to 6E."""
        return self.status >> 8 == 0x64 or 0x67 <= self.status >> 8 <= 0x6E

    @property
    def raw(self) -> str:
        """The status word for a log."""
        return str(self)


def select_application(link: Link) -> None:
    """Select the NDEF application.

    Raises:
        Declined: there is none.
        LinkError: the link broke off.
    """
    _command(link, _SELECT_APPLICATION)


def select_file(link: Link, identifier: int) -> None:
    """Select a file of the application.

    Raises:
        Declined: there is none.
        LinkError: the link broke off.
    """
    _command(link, bytes.fromhex("00A4000C02") + identifier.to_bytes(2, "big"))


def read(link: Link, at: int, length: int) -> bytes:
    """Read 1 to 255 bytes of the selected file.

    Raises:
        Declined: they do not exist, or are not for everybody.
        NoAnswer: another number of bytes came.
        LinkError: the link broke off.
    """
    data = _command(link, b"\x00\xb0" + at.to_bytes(2, "big") + bytes([length]))
    if len(data) != length:
        raise NoAnswer(f"{len(data)} bytes instead of {length}")
    return data


def update(link: Link, at: int, data: bytes) -> None:
    """Write 1 to 255 bytes into the selected file.

    Raises:
        Declined: the card will not.
        LinkError: the link broke off; the card may have acted.
    """
    _command(link, b"\x00\xd6" + at.to_bytes(2, "big") + bytes([len(data)]) + data)


def _command(link: Link, apdu: bytes) -> bytes:
    answer = link.exchange(apdu)
    if len(answer) < 2:
        raise NoAnswer(f"{len(answer)} bytes")
    status = int.from_bytes(answer[-2:], "big")
    if status != _DONE:
        raise Declined(status)
    return answer[:-2]
