"""The secure messaging of DESFire EV1 and of the generation before it."""

from __future__ import annotations

from collections.abc import Callable

from virtual.desfire.crypto import BlockCipher, Kind, crc16, crc32, des_version, filled, marked, xor
from virtual.desfire.memory import Fault, Mode, Status

CHANGE_KEY = 0xC4


def session_key(kind: Kind, rnd_a: bytes, rnd_b: bytes, key: bytes) -> bytes:
    """Pick the session key out of both random numbers."""
    if kind is Kind.AES:
        return rnd_a[:4] + rnd_b[:4] + rnd_a[12:] + rnd_b[12:]
    if kind is Kind.TRIPLE:
        return rnd_a[:4] + rnd_b[:4] + rnd_a[6:10] + rnd_b[6:10] + rnd_a[12:] + rnd_b[12:]
    first = rnd_a[:4] + rnd_b[:4]
    is_single = all((a ^ b) & 0xFE == 0 for a, b in zip(key[:8], key[8:], strict=True))
    return first * 2 if is_single else first + rnd_a[4:] + rnd_b[4:]


def unwrapped(data: bytes, length: int, checksum: bytes) -> bytes:
    """The first `length` bytes of what was decrypted, its checksum and its zeros checked."""
    end = length + len(checksum)
    if data[length:end] != checksum or any(data[end:]):
        raise Fault(Status.INTEGRITY)
    return data[:length]


def changed_key(
    data: bytes, kind: Kind, old: bytes | None, checksum: Callable[[bytes], bytes], covered: bytes
) -> tuple[bytes, int]:
    """Take a decrypted ChangeKey apart: ``key [version] crc(covered key version) [crc(new key)] zeros``."""
    length = kind.key_length + (kind is Kind.AES)
    sums = checksum(covered + data[:length])
    key = data[: kind.key_length]
    if old is not None:
        key = xor(key, old)
        sums += checksum(key)
    unwrapped(data, length, sums)
    return key, data[kind.key_length] if kind is Kind.AES else des_version(key)


class Ev1:
    """One chain of CMACs through every command and every answer."""

    default = Mode.PLAIN

    def __init__(self, key_number: int, kind: Kind, key: bytes) -> None:
        self.key_number: int | None = key_number
        self._cipher = BlockCipher(kind, key)
        self._iv = self._cipher.zero

    def reading(self, mode: Mode) -> Mode:
        return Mode.PLAIN

    def length(self, length: int, mode: Mode) -> int:
        if mode is Mode.FULL:
            return length + 4 + -(length + 4) % self._cipher.block
        return length + (8 if mode is Mode.MAC else 0)

    def opened(self, command: int, payload: bytes, mode: Mode, header: int = 0, length: int = 0) -> bytes:
        if mode is Mode.FULL:
            head, body = payload[:header], payload[header:]
            data = self._decrypted(body)
            if len(body) != self.length(length, mode):
                raise Fault(Status.LENGTH)
            return head + unwrapped(data, length, crc32(bytes((command,)) + head + data[:length]))
        if mode is Mode.PLAIN:
            self._chained(bytes((command,)) + payload)
            return payload
        data, mac = payload[:-8], payload[-8:]
        if mac != self._chained(bytes((command,)) + data)[:8]:
            raise Fault(Status.INTEGRITY)
        return data

    def sealed(self, data: bytes, mode: Mode, *, is_open_ended: bool = False) -> bytes:
        if mode is Mode.FULL and data:
            checked = data + crc32(data + bytes((Status.OK,)))
            pad = marked if is_open_ended else filled
            secret = self._cipher.encrypt(pad(checked, self._cipher.block), self._iv)
            self._iv = secret[-self._cipher.block :]
            return secret
        return data + self._chained(data + bytes((Status.OK,)))[:8]

    def new_key(self, payload: bytes, kind: Kind, old: bytes | None) -> tuple[bytes, int]:
        covered = bytes((CHANGE_KEY,)) + payload[:1]
        length = kind.key_length + (kind is Kind.AES) + (4 if old is None else 8)
        if len(payload) - 1 != length + -length % self._cipher.block:
            raise Fault(Status.LENGTH)
        return changed_key(self._decrypted(payload[1:]), kind, old, crc32, covered)

    def _chained(self, data: bytes) -> bytes:
        self._iv = self._cipher.cmac(data, self._iv)
        return self._iv

    def _decrypted(self, body: bytes) -> bytes:
        if not body or len(body) % self._cipher.block:
            raise Fault(Status.LENGTH)
        data = self._cipher.decrypt(body, self._iv)
        self._iv = body[-self._cipher.block :]
        return data


class Legacy:
    """Of the first generation: every message for itself, four bytes of MAC over the data alone, CRC_A."""

    default = Mode.PLAIN

    def __init__(self, key_number: int, key: bytes) -> None:
        self.key_number: int | None = key_number
        self._cipher = BlockCipher(Kind.DES, key)

    def reading(self, mode: Mode) -> Mode:
        return Mode.PLAIN

    def length(self, length: int, mode: Mode) -> int:
        if mode is Mode.FULL:
            return length + 2 + -(length + 2) % 8
        return length + (4 if mode is Mode.MAC else 0)

    def opened(self, command: int, payload: bytes, mode: Mode, header: int = 0, length: int = 0) -> bytes:
        if mode is Mode.PLAIN:
            return payload
        head, body = payload[:header], payload[header:]
        if len(body) != self.length(length, mode):
            raise Fault(Status.LENGTH)
        if mode is Mode.FULL:
            data = self._cipher.read_backwards(body)
            return head + unwrapped(data, length, crc16(data[:length]))
        if body[length:] != self._mac(body[:length]):
            raise Fault(Status.INTEGRITY)
        return head + body[:length]

    def sealed(self, data: bytes, mode: Mode, *, is_open_ended: bool = False) -> bytes:
        if not data or mode is Mode.PLAIN:
            return data
        if mode is Mode.MAC:
            return data + self._mac(data)
        pad = marked if is_open_ended else filled
        return self._cipher.encrypt(pad(data + crc16(data), 8))

    def new_key(self, payload: bytes, kind: Kind, old: bytes | None) -> tuple[bytes, int]:
        length = kind.key_length + (kind is Kind.AES) + (2 if old is None else 4)
        if len(payload) - 1 != length + -length % 8:
            raise Fault(Status.LENGTH)
        return changed_key(self._cipher.read_backwards(payload[1:]), kind, old, crc16, b"")

    def _mac(self, data: bytes) -> bytes:
        return self._cipher.encrypt(filled(data, 8))[-8:-4]
