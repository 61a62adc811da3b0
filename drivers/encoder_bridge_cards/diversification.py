"""One master key, another key for every card: NXP AN10922."""

from __future__ import annotations

from enum import Enum

from encoder_bridge_cards.cmac import aes, block_size, chained_cmac, tdea


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


_CONSTANTS = {Cipher.AES_128: b"\x01", Cipher.TDEA_2: b"\x21\x22", Cipher.TDEA_3: b"\x31\x32\x33"}


def diversified(cipher: Cipher, master: bytes, m: bytes) -> bytes:
    """Make the key of one card: one block for each constant, a CMAC over ``constant m`` padded to two blocks.

    The lowest bit of each byte of a TDEA key, which no cipher looks at, is left as it comes out.

    Args:
        cipher: the kind of key.
        master: the master key.
        m: the diversification input without its constant: uid, application id, system identifier.

    Raises:
        ValueError: `m` is empty or too long: 31 bytes at most for AES, 15 for TDEA.
    """
    block = aes(master) if cipher is Cipher.AES_128 else tdea(master)
    size = block_size(block)
    if not 1 <= len(m) < 2 * size:
        raise ValueError(f"a diversification input has 1 to {2 * size - 1} bytes")
    constants = _CONSTANTS[cipher]
    return b"".join(chained_cmac(block, bytes((constant,)) + m, bytes(size), at_least=2) for constant in constants)
