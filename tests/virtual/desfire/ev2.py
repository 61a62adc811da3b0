"""The secure messaging of DESFire EV2 and EV3, opened by AuthenticateEV2First (NXP AN12343)."""

from __future__ import annotations

from virtual.desfire.crypto import BlockCipher, Kind, crc32, marked, xor
from virtual.desfire.memory import Fault, Mode, Status

BLOCK = 16
MAC = 8


def session_keys(key: bytes, rnd_a: bytes, rnd_b: bytes) -> tuple[bytes, bytes]:
    """The keys for encryption and for MACs."""
    context = rnd_a[:2] + xor(rnd_a[2:8], rnd_b[:6]) + rnd_b[6:] + rnd_a[8:]
    cipher = BlockCipher(Kind.AES, key)
    return (
        cipher.cmac(bytes.fromhex("A55A00010080") + context),
        cipher.cmac(bytes.fromhex("5AA500010080") + context),
    )


class Ev2:
    """A transaction identifier and a counter go into every MAC and every initial vector."""

    default = Mode.MAC

    def __init__(self, key_number: int, keys: tuple[bytes, bytes], identifier: bytes, counter: int = 0) -> None:
        self.key_number: int | None = key_number
        self.identifier = identifier
        self.counter = counter
        self._encryption = BlockCipher(Kind.AES, keys[0])
        self._macs = BlockCipher(Kind.AES, keys[1])

    def reading(self, mode: Mode) -> Mode:
        return Mode.PLAIN if mode is Mode.PLAIN else Mode.MAC

    def length(self, length: int, mode: Mode) -> int:
        if mode is Mode.FULL:
            return (length // BLOCK + 1) * BLOCK + MAC
        return length + (MAC if mode is Mode.MAC else 0)

    def opened(self, command: int, payload: bytes, mode: Mode, header: int = 0, length: int = 0) -> bytes:
        if mode is Mode.PLAIN:
            return payload
        if len(payload) < header + MAC:
            raise Fault(Status.LENGTH)
        body, mac = payload[:-MAC], payload[-MAC:]
        if mac != self._mac(command, body):
            raise Fault(Status.INTEGRITY)
        if mode is Mode.MAC:
            return body
        head, secret = body[:header], body[header:]
        if not secret or len(secret) % BLOCK:
            raise Fault(Status.LENGTH)
        data = self._encryption.decrypt(secret, self._iv("A55A"))
        plain = data.rstrip(b"\0")
        if plain[-1:] != b"\x80" or len(plain) - 1 != length or marked(plain[:-1], BLOCK) != data:
            raise Fault(Status.INTEGRITY)
        return head + plain[:-1]

    def sealed(self, data: bytes, mode: Mode, *, is_open_ended: bool = False) -> bytes:
        self.counter += 1
        if self.counter > 0xFFFF:
            raise Fault(Status.PERMISSION_DENIED)
        if mode is Mode.PLAIN:
            return data
        if mode is Mode.FULL and data:
            data = self._encryption.encrypt(marked(data, BLOCK), self._iv("5AA5"))
        return data + self._mac(Status.OK, data)

    def new_key(self, payload: bytes, kind: Kind, old: bytes | None) -> tuple[bytes, int]:
        length = kind.key_length + 1 + (0 if old is None else 4)
        data = self.opened(0xC4, payload, Mode.FULL, 1, length)[1:]
        key, version = data[: kind.key_length], data[kind.key_length]
        if old is not None:
            key = xor(key, old)
            if data[-4:] != crc32(key):
                raise Fault(Status.INTEGRITY)
        return key, version

    def _iv(self, label: str) -> bytes:
        block = bytes.fromhex(label) + self.identifier + self.counter.to_bytes(2, "little") + bytes(8)
        return self._encryption.encrypt(block)

    def _mac(self, code: int, data: bytes) -> bytes:
        count = self.counter.to_bytes(2, "little")
        return self._macs.cmac(bytes((code,)) + count + self.identifier + data)[1::2]
