"""The narrow port between the card library and whatever reader the card lies on.

The library speaks the card's own frames; an adapter carries them, as pseudo-APDUs of PC/SC part 3, as commands of a
PN532 or however its reader wants them.

=========  =======================================  ==========================================================
family     frame                                    answer
=========  =======================================  ==========================================================
CLASSIC    ``60|61 block key[6] uid[4]``            nothing: the sector is open under key A (60) or B (61);
                                                    ``uid`` is the last four bytes of the card's
           ``30 block``                             16 bytes
           ``A0 block data[16]``                    nothing (both parts of the write)
TYPE_2     ``30 page``                              16 bytes: four pages, wrapping around at the end
           ``3A first last``                        the pages
           ``A2 page data[4]``                      nothing
           ``60`` GET_VERSION                       8 bytes
           ``1B password[4]`` PWD_AUTH              2 bytes: PACK
           ``1A 00``, then ``AF token[16]``         ``AF token[8]``, then ``00 token[8]``
           ``39 counter`` ``3C 00``                 3 bytes, 32 bytes
ISO_DEP    a command APDU (ISO/IEC 7816-4)          the response APDU, status word last
=========  =======================================  ==========================================================

CRC, parity, the four-bit acknowledgements and the framing of ISO/IEC 14443-4 are the adapter's and its reader's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Family(StrEnum):
    """Which frames a card understands."""

    CLASSIC = "classic"
    TYPE_2 = "type_2"
    ISO_DEP = "iso_dep"
    OTHER = "other"
    """None of these; only its number can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """What a reader learns when it selects a card."""

    family: Family
    uid: bytes
    """As the anticollision gave it; four bytes that begin with 08 are drawn anew each time (ISO/IEC 14443-3)."""
    blocks: int = 0
    """CLASSIC only: how many blocks of 16 bytes its kind has: 20 (Mini), 64 (1K) or 256 (4K)."""

    @property
    def has_random_uid(self) -> bool:
        """Whether the number says nothing about which card it is."""
        return len(self.uid) == 4 and self.uid[0] == 0x08


class LinkError(Exception):
    """A frame found no answer that its caller could use.

    Args:
        raw: the reader's own word, for the log: a status word, a status byte.  Never a frame: frames hold keys.
    """

    def __init__(self, raw: object = None) -> None:
        super().__init__(f"{type(self).__name__}: {raw}" if raw is not None else type(self).__name__)
        self.raw = raw


class Refused(LinkError):
    """The card will not: NAK, or a wrong key.

    It has forgotten its session: `Link.activate` before the next frame.  Some readers cannot tell this from silence, so
    whether a refused write changed the card is for the caller to find out by reading.
    """


class NoAnswer(LinkError):
    """No reply came back: the card was lifted, or a reply was lost.  The card may have acted on the frame."""


class Occupied(NoAnswer):
    """Another program has the card to itself."""


class Unsupported(LinkError):
    """The reader cannot carry this frame; the card never saw it, and its session goes on."""


class ReaderGone(LinkError):
    """The reader itself is unplugged, dead or taken away.  The card may have acted on the frame."""


class Link(Protocol):
    """A card in the field of a reader.  Blocking; one caller at a time."""

    def activate(self) -> Activation:
        """Select the card anew, which ends every session with it.

        Raises:
            NoAnswer: no card is there.
            ReaderGone: the reader is not.
        """

    def exchange(self, frame: bytes) -> bytes:
        """Send one frame and return the card's answer.

        Raises:
            LinkError: there was none that could be used; see each kind for what the card may have done.
        """
