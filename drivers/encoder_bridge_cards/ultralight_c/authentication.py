"""The mutual authentication of MIFARE Ultralight C (MF0ICU2 data sheet, section 7.5.5).

::

    reader                          card
    1A 00                     ──>
                              <──   AF ek(RndB)
    AF ek(RndA ‖ RndB')       ──>                       ' : first byte moved to the end
                              <──   00 ek(RndA')

3DES with two keys in CBC mode; each cryptogram begins where the one before it ended, the first at zeros.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from encoder_bridge_cards.cmac import decrypted, encrypted, tdea
from encoder_bridge_cards.link import LinkError

REQUEST = b"\x1a\x00"

_BLOCK = 8
_MORE, _DONE = b"\xaf", b"\x00"


def challenged(answer: bytes) -> bytes | None:
    """The ek(RndB) of a card's first answer; None: no Ultralight C answers so (an Ultralight AES sends 16 bytes)."""
    return answer[1:] if answer[:1] == _MORE and len(answer) == 1 + _BLOCK else None


def authenticate(
    exchange: Callable[[bytes], bytes], key: bytes, *, random: Callable[[int], bytes] = os.urandom
) -> bool:
    """Prove a key to a card, and let the card prove it.

    Args:
        exchange: sends a frame.
        key: 16 bytes in the order of the cipher: ``49454D4B41455242214E4143554F5946`` for a new card, which is
            "BREAKMEIFYOUCAN!" with each half back to front.
        random: what RndA is drawn from, by the number of bytes.

    Returns:
        Whether the card proved it as well.

    Raises:
        Refused: the card has another key.
        LinkError: the link broke off, or the card's answer is none.
    """
    challenge = challenged(exchange(REQUEST))
    if challenge is None:
        raise LinkError("no challenge")
    cipher = tdea(key)
    ours, theirs = random(_BLOCK), decrypted(cipher, challenge)
    token = encrypted(cipher, ours + _turned(theirs), challenge)
    answer = exchange(_MORE + token)
    if answer[:1] != _DONE or len(answer) != 1 + _BLOCK:
        raise LinkError("no proof")
    return decrypted(cipher, answer[1:], token[_BLOCK:]) == _turned(ours)


def _turned(block: bytes) -> bytes:
    return block[1:] + block[:1]
