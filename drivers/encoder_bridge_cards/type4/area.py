"""The one place of a Type 4 Tag: its NDEF file, as the formats see it.

On the card the file is a length and a message (NFC Forum Type 4 Tag 2.0, section 4.2); the formats look for a message
in the TLV blocks of a Type 2 Tag.  Two bytes before the file make one such block of it, in its long form::

    ┌────────┬────────────┬─────────┐
    │ 03 FF  │ NLEN       │ message │      nothing at all where NLEN is 0
    └────────┴────────────┴─────────┘
      2        2            n
"""

from __future__ import annotations

from encoder_bridge_cards.personalisation import Contents

PLACE = 0xE104
"""The NDEF file, by the identifier that it usually has; which one it really has, the card tells."""
EMPTY = b"\x00\x00"
"""The length of no message."""
_BLOCK = b"\x03\xff"


def placed(file: bytes) -> Contents:
    """The contents of a card with this file: its length and its message."""
    return {PLACE: _BLOCK + file if file[:2] != EMPTY else b""}


def file(contents: Contents) -> bytes:
    """The file of a card with these contents, up to the end of its message."""
    return contents[PLACE].removeprefix(_BLOCK) or EMPTY
