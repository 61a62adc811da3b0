"""CMAC (NIST SP 800-38B) with AES and TDEA, and its two relatives on cards."""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import cmac as library
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

BlockCipher = AES | TripleDES
"""A block cipher with its key."""


def aes(key: bytes) -> BlockCipher:
    """AES with a key of 16 bytes."""
    return AES(key)


def tdea(key: bytes) -> BlockCipher:
    """TDEA with two keys (16 bytes; two equal halves are DES) or three (24 bytes).  Parity bits do not count."""
    return TripleDES((key * 3)[:24])


def block_size(cipher: BlockCipher) -> int:
    """Bytes of a block."""
    return cipher.block_size // 8


def encrypted(cipher: BlockCipher, data: bytes, iv: bytes | None = None) -> bytes:
    """Encrypt whole blocks in CBC mode, from a block of zeros if no `iv` is given."""
    step = Cipher(cipher, modes.CBC(iv or bytes(block_size(cipher)))).encryptor()
    return step.update(data) + step.finalize()


def decrypted(cipher: BlockCipher, data: bytes, iv: bytes | None = None) -> bytes:
    """Decrypt whole blocks in CBC mode, from a block of zeros if no `iv` is given."""
    step = Cipher(cipher, modes.CBC(iv or bytes(block_size(cipher)))).decryptor()
    return step.update(data) + step.finalize()


def cmac(cipher: BlockCipher, message: bytes) -> bytes:
    """The CMAC of a message: one block."""
    mac = library.CMAC(cipher)
    mac.update(message)
    return mac.finalize()


def subkeys(cipher: BlockCipher) -> tuple[bytes, bytes]:
    """K1, which masks a last block that is whole, and K2, which masks a padded one."""
    one = _doubled(encrypted(cipher, bytes(block_size(cipher))))
    return one, _doubled(one)


def chained_cmac(cipher: BlockCipher, message: bytes, iv: bytes, *, at_least: int = 1) -> bytes:
    """A CMAC that begins at `iv` instead of zeros, and pads a message to `at_least` blocks.

    DESFire EV1 chains one such through a whole session; AN10922 pads its input to two blocks.
    """
    size = block_size(cipher)
    whole, padded = subkeys(cipher)
    length = max(-(-len(message) // size), at_least) * size
    mask = whole if len(message) == length else padded
    if len(message) < length:
        message = (message + b"\x80").ljust(length, b"\0")
    return encrypted(cipher, message[:-size] + xor(message[-size:], mask), iv)[-size:]


def xor(left: bytes, right: bytes) -> bytes:
    """Exclusive or of two values of the same length."""
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _doubled(value: bytes) -> bytes:
    """Times x in the field of NIST SP 800-38B, section 5.3."""
    bits = 8 * len(value)
    number = int.from_bytes(value, "big") << 1
    if number >> bits:
        number ^= 1 << bits | (0x87 if bits == 128 else 0x1B)
    return number.to_bytes(len(value), "big")
