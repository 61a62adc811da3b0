"""The handshakes: Authenticate (0A), AuthenticateISO (1A), AuthenticateAES (AA), AuthenticateEV2First and NonFirst."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from virtual.desfire.crypto import BlockCipher, Kind, rotated
from virtual.desfire.ev1 import Ev1, Legacy, session_key
from virtual.desfire.ev2 import Ev2, session_keys
from virtual.desfire.memory import Fault, Key, Status
from virtual.desfire.state import Reply, State


class Authentication:
    def __init__(self, state: State) -> None:
        self._state = state
        self.commands: dict[int, Callable[[bytes], Reply]] = {
            0x0A: self._legacy,
            0x1A: self._iso,
            0xAA: self._aes,
            0x71: self._first,
            0x77: self._non_first,
        }

    def _legacy(self, payload: bytes) -> Reply:
        number, key = self._key(payload, 1, Kind.DES)
        cipher = BlockCipher(key.kind, key.value)
        rnd_b = self._state.random(8)

        def go_on(token: bytes) -> Reply:
            if len(token) != 16:
                raise Fault(Status.LENGTH)
            plain = cipher.read_backwards(token)
            self._check(key, plain[8:], rnd_b)
            self._state.session = Legacy(number, session_key(key.kind, plain[:8], rnd_b, key.value))
            return Reply(status=Status.OK, data=cipher.encrypt(rotated(plain[:8])))

        return Reply(status=Status.MORE, data=cipher.encrypt(rnd_b), chain=go_on)

    def _iso(self, payload: bytes) -> Reply:
        return self._chained(*self._key(payload, 1, Kind.DES, Kind.TRIPLE))

    def _aes(self, payload: bytes) -> Reply:
        return self._chained(*self._key(payload, 1, Kind.AES))

    def _chained(self, number: int, key: Key) -> Reply:
        """Every cryptogram continues the one before it."""
        cipher = BlockCipher(key.kind, key.value)
        length = key.kind.random_length
        rnd_b = self._state.random(length)
        challenge = cipher.encrypt(rnd_b)

        def go_on(token: bytes) -> Reply:
            if len(token) != 2 * length:
                raise Fault(Status.LENGTH)
            plain = cipher.decrypt(token, challenge[-cipher.block :])
            rnd_a = plain[:length]
            self._check(key, plain[length:], rnd_b)
            self._state.session = Ev1(number, key.kind, session_key(key.kind, rnd_a, rnd_b, key.value))
            return Reply(status=Status.OK, data=cipher.encrypt(rotated(rnd_a), token[-cipher.block :]))

        return Reply(status=Status.MORE, data=challenge, chain=go_on)

    def _first(self, payload: bytes) -> Reply:
        number, key = self._key(payload[:1], 1, Kind.AES)
        capabilities = payload[2:]
        if len(payload) < 2 or len(capabilities) != payload[1] or len(capabilities) > 6:
            raise Fault(Status.LENGTH)
        self._state.pending = {}
        tail = bytes(6) + capabilities.ljust(6, b"\0")

        def opened(keys: tuple[bytes, bytes]) -> bytes:
            identifier = self._state.random(4)
            self._state.session = Ev2(number, keys, identifier)
            return identifier

        return self._separate(key, opened, tail)

    def _non_first(self, payload: bytes) -> Reply:
        session = self._state.session
        if not isinstance(session, Ev2):
            raise Fault(Status.PERMISSION_DENIED)
        number, key = self._key(payload, 1, Kind.AES)

        def opened(keys: tuple[bytes, bytes]) -> bytes:
            self._state.session = Ev2(number, keys, session.identifier, session.counter)
            return b""

        return self._separate(key, opened, b"")

    def _separate(self, key: Key, opened: Callable[[tuple[bytes, bytes]], bytes], tail: bytes) -> Reply:
        """Every cryptogram starts anew."""
        cipher = BlockCipher(key.kind, key.value)
        rnd_b = self._state.random(16)

        def go_on(token: bytes) -> Reply:
            if len(token) != 32:
                raise Fault(Status.LENGTH)
            plain = cipher.decrypt(token)
            self._check(key, plain[16:], rnd_b)
            head = opened(session_keys(key.value, plain[:16], rnd_b))
            return Reply(status=Status.OK, data=cipher.encrypt(head + rotated(plain[:16]) + tail))

        return Reply(status=Status.MORE, data=cipher.encrypt(rnd_b), chain=go_on)

    def _key(self, payload: bytes, length: int, *kinds: Kind) -> tuple[int, Key]:
        """The key a handshake is for."""
        if len(payload) != length:
            raise Fault(Status.LENGTH)
        keys = self._state.here.keys
        if payload[0] >= len(keys):
            raise Fault(Status.NO_SUCH_KEY)
        key = keys[payload[0]]
        if key.kind not in kinds:
            raise Fault(Status.AUTHENTICATION)
        self._delay(key)
        return payload[0], key

    def _delay(self, key: Key) -> None:
        memory = self._state.memory
        if self._state.generation < 2:
            return
        if memory.is_limited and key.total_failures >= memory.failure_limit:
            raise Fault(Status.PERMISSION_DENIED)
        if key.delay:
            key.delay -= 1
            raise Fault(Status.DELAYED)

    def _check(self, key: Key, proof: bytes, rnd_b: bytes) -> None:
        if hmac.compare_digest(proof, rotated(rnd_b)):
            key.failures = key.delay = 0
            key.total_failures = max(0, key.total_failures - self._state.memory.failure_decrement)
            return
        if self._state.generation > 1:
            key.failures += 1
            key.total_failures += 1
            if key.failures >= self._state.patience:
                key.delay = self._state.delay
        raise Fault(Status.AUTHENTICATION)
