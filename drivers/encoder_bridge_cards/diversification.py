"""One master key, another key for every card: NXP AN10922."""

from __future__ import annotations

from enum import Enum


class Cipher(Enum):
    """What a diversified key is made with, and for."""

    AES_128 = "aes_128"
    TDEA_2 = "2tdea"
    TDEA_3 = "3tdea"

    @property
    def length(self) -> int:
        """Bytes of a key."""
        return 24 if self is Cipher.TDEA_3 else 16

    @property
    def room(self) -> int:
        """Bytes that may follow a uid of seven bytes in the diversification input."""
        return 24 if self is Cipher.AES_128 else 8


def diversified(cipher: Cipher, master: bytes, m: bytes) -> bytes:
    """Make the key of one card.

    Args:
        cipher: the kind of key.
        master: the master key.
        m: the diversification input without its constant: uid, application id, system identifier.
    """
    raise NotImplementedError
