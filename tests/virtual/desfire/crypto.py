"""What a DESFire card computes with: block ciphers in CBC, a CMAC that starts anywhere, and its three checksums."""

from __future__ import annotations

import zlib
from enum import Enum

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class Kind(Enum):
    """The kinds of keys, with the bits that name them in CreateApplication and ChangeKey."""

    DES = 0x00
    """16 bytes: DES where both halves are equal, else 3DES with two keys."""
    TRIPLE = 0x40
    AES = 0x80

    @property
    def key_length(self) -> int:
        return 24 if self is Kind.TRIPLE else 16

    @property
    def block(self) -> int:
        return 16 if self is Kind.AES else 8

    @property
    def random_length(self) -> int:
        return 8 if self is Kind.DES else 16


class BlockCipher:
    """One key of one kind."""

    def __init__(self, kind: Kind, key: bytes) -> None:
        self.block = kind.block
        self._algorithm: algorithms.AES | TripleDES
        if kind is Kind.AES:
            self._algorithm = algorithms.AES(key)
        else:
            self._algorithm = TripleDES((key * 3)[:24])
        self.zero = bytes(self.block)

    def encrypt(self, data: bytes, iv: bytes | None = None) -> bytes:
        step = Cipher(self._algorithm, modes.CBC(iv or self.zero)).encryptor()
        return step.update(data) + step.finalize()

    def decrypt(self, data: bytes, iv: bytes | None = None) -> bytes:
        step = Cipher(self._algorithm, modes.CBC(iv or self.zero)).decryptor()
        return step.update(data) + step.finalize()

    def read_backwards(self, data: bytes) -> bytes:
        """Read what a reader of the first generation 'deciphered' because it could not encipher: E(c) ^ previous c."""
        blocks = [data[at : at + self.block] for at in range(0, len(data), self.block)]
        before = [self.zero, *blocks[:-1]]
        return b"".join(xor(self.encrypt(block), last) for block, last in zip(blocks, before, strict=True))

    def cmac(self, data: bytes, iv: bytes | None = None) -> bytes:
        """The CMAC of NIST SP 800-38B, the first block chained to `iv`."""
        one = self._double(self.encrypt(self.zero))
        two = self._double(one)
        whole = len(data) > 0 and len(data) % self.block == 0
        padded = data if whole else data + b"\x80" + bytes(-(len(data) + 1) % self.block)
        tail = xor(padded[-self.block :], one if whole else two)
        return self.encrypt(padded[: -self.block] + tail, iv)[-self.block :]

    def _double(self, value: bytes) -> bytes:
        bits = int.from_bytes(value, "big") << 1
        if bits >> (8 * self.block):
            bits ^= (1 << (8 * self.block)) | (0x87 if self.block == 16 else 0x1B)
        return bits.to_bytes(self.block, "big")


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def rotated(value: bytes) -> bytes:
    return value[1:] + value[:1]


def filled(data: bytes, block: int) -> bytes:
    """With zeros up to a whole number of blocks."""
    return data + bytes(-len(data) % block)


def marked(data: bytes, block: int) -> bytes:
    """With 80 00.. up to a whole number of blocks, at least one byte."""
    return filled(data + b"\x80", block)


def crc32(data: bytes) -> bytes:
    return (zlib.crc32(data) ^ 0xFFFFFFFF).to_bytes(4, "little")


def crc16(data: bytes) -> bytes:
    """CRC_A of ISO/IEC 14443-3."""
    crc = 0x6363
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def des_version(key: bytes) -> int:
    """A DES key carries its version in the parity bits of its first eight bytes."""
    return sum((byte & 1) << (7 - at) for at, byte in enumerate(key[:8]))
