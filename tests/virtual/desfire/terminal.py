"""A reader's side, enough to drive the card in tests: AES, in the manner of EV1 and of EV2."""

from __future__ import annotations

from encoder_bridge_cards.link import Link

from virtual.desfire.crypto import BlockCipher, Kind, crc32, filled, marked, rotated, xor
from virtual.desfire.ev1 import session_key
from virtual.desfire.ev2 import session_keys
from virtual.desfire.memory import Mode, Status

CHUNK = 55
RND_A = bytes(range(16))


class Declined(Exception):
    """The card answered with an error."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:02x}")
        self.status = status


class Wire:
    """Wrapped frames, chained both ways."""

    def __init__(self, card: Link) -> None:
        self.card = card

    def frame(self, command: int, data: bytes = b"") -> tuple[int, bytes]:
        length = bytes((len(data),)) if data else b""
        answer = self.card.exchange(bytes((0x90, command, 0, 0)) + length + data + b"\0")
        assert answer[-2] == 0x91
        return answer[-1], answer[:-2]

    def send(self, command: int, data: bytes = b"") -> bytes:
        """The whole answer to a command.

        Raises:
            Declined: an error came instead.
        """
        limit = 255 if command in {0x8D, 0xAD} else CHUNK
        status, answer = self.frame(command, data[:limit])
        at = limit
        while status == Status.MORE:
            status, more = self.frame(0xAF, data[at : at + limit])
            at += limit
            answer += more
        if status != Status.OK:
            raise Declined(status)
        return answer

    def select(self, aid: int) -> None:
        self.send(0x5A, aid.to_bytes(3, "little"))


class Ev1Terminal(Wire):
    def __init__(self, card: Link, number: int, key: bytes) -> None:
        super().__init__(card)
        cipher = BlockCipher(Kind.AES, key)
        status, challenge = self.frame(0xAA, bytes((number,)))
        if status != Status.MORE:
            raise Declined(status)
        rnd_b = cipher.decrypt(challenge)
        token = cipher.encrypt(RND_A + rotated(rnd_b), challenge)
        status, proof = self.frame(0xAF, token)
        if status != Status.OK:
            raise Declined(status)
        assert cipher.decrypt(proof, token[-16:]) == rotated(RND_A)
        self._cipher = BlockCipher(Kind.AES, session_key(Kind.AES, RND_A, rnd_b, key))
        self._iv = bytes(16)

    def plain(self, command: int, data: bytes = b"", *, maced: bool = False) -> bytes:
        mac = self._chain(bytes((command,)) + data)[:8]
        return self._checked(self.send(command, data + (mac if maced else b"")))

    def full(self, command: int, header: bytes, data: bytes) -> bytes:
        return self._checked(self.secret(command, header, filled(data + crc32(bytes((command,)) + header + data), 16)))

    def secret(self, command: int, header: bytes, plain: bytes) -> bytes:
        body = self._cipher.encrypt(plain, self._iv)
        self._iv = body[-16:]
        return self.send(command, header + body)

    def read_full(self, command: int, parameters: bytes, length: int, tail: bytes | None = None) -> bytes:
        self._chain(bytes((command,)) + parameters)
        answer = self.send(command, parameters)
        plain = self._cipher.decrypt(answer, self._iv)
        self._iv = answer[-16:]
        assert plain[length : length + 4] == crc32(plain[:length] + b"\0")
        assert tail is None or plain[length + 4 :] == tail
        return plain[:length]

    def change_key(self, number: int, new: bytes, version: int = 0, old: bytes | None = None) -> bytes:
        body = (xor(new, old) if old else new) + bytes((version,))
        body += crc32(bytes((0xC4, number)) + body)
        answer = self.secret(0xC4, bytes((number,)), filled(body + (crc32(new) if old else b""), 16))
        return self._checked(answer) if old else answer

    def write(self, number: int, data: bytes, mode: Mode, offset: int = 0, command: int = 0x3D) -> None:
        header = bytes((number,)) + offset.to_bytes(3, "little") + len(data).to_bytes(3, "little")
        if mode is Mode.FULL:
            self.full(command, header, data)
        else:
            self.plain(command, header + data, maced=mode is Mode.MAC)

    def read(self, number: int, length: int, mode: Mode, offset: int = 0) -> bytes:
        header = bytes((number,)) + offset.to_bytes(3, "little") + length.to_bytes(3, "little")
        return self.read_full(0xBD, header, length) if mode is Mode.FULL else self.plain(0xBD, header)

    def _chain(self, data: bytes) -> bytes:
        self._iv = self._cipher.cmac(data, self._iv)
        return self._iv

    def _checked(self, answer: bytes) -> bytes:
        data, mac = answer[:-8], answer[-8:]
        assert mac == self._chain(data + b"\0")[:8]
        return data


class Ev2Terminal(Wire):
    def __init__(self, card: Link, number: int, key: bytes, before: Ev2Terminal | None = None) -> None:
        super().__init__(card)
        cipher = BlockCipher(Kind.AES, key)
        status, challenge = self.frame(0x77, bytes((number,))) if before else self.frame(0x71, bytes((number, 0)))
        if status != Status.MORE:
            raise Declined(status)
        rnd_b = cipher.decrypt(challenge)
        status, proof = self.frame(0xAF, cipher.encrypt(RND_A + rotated(rnd_b)))
        if status != Status.OK:
            raise Declined(status)
        plain = cipher.decrypt(proof)
        self.identifier: bytes = before.identifier if before else plain[:4]
        self.counter: int = before.counter if before else 0
        assert plain == (rotated(RND_A) if before else plain[:4] + rotated(RND_A) + bytes(12))
        encryption, macs = session_keys(key, RND_A, rnd_b)
        self._encryption, self._macs = BlockCipher(Kind.AES, encryption), BlockCipher(Kind.AES, macs)

    def free(self, command: int, data: bytes = b"") -> bytes:
        """A command in plain."""
        answer = self.send(command, data)
        self.counter += 1
        return answer

    def maced(self, command: int, data: bytes = b"") -> bytes:
        answer = self.send(command, data + self._mac(command, data))
        self.counter += 1
        data, mac = answer[:-8], answer[-8:]
        assert mac == self._mac(0, data)
        return data

    def full(self, command: int, header: bytes, data: bytes) -> bytes:
        return self.maced(command, header + self._encryption.encrypt(marked(data, 16), self._iv("a55a")))

    def read_full(self, command: int, parameters: bytes) -> bytes:
        plain = self._encryption.decrypt(self.maced(command, parameters), self._iv("5aa5")).rstrip(b"\0")
        assert plain[-1] == 0x80
        return plain[:-1]

    def change_key(self, number: int, new: bytes, version: int = 0, old: bytes | None = None) -> None:
        header = bytes((number,))
        body = (xor(new, old) if old else new) + bytes((version,)) + (crc32(new) if old else b"")
        if old:
            self.full(0xC4, header, body)
            return
        data = header + self._encryption.encrypt(marked(body, 16), self._iv("a55a"))
        assert self.send(0xC4, data + self._mac(0xC4, data)) == b""

    def _iv(self, label: str) -> bytes:
        count = self.counter.to_bytes(2, "little")
        return self._encryption.encrypt(bytes.fromhex(label) + self.identifier + count + bytes(8))

    def _mac(self, code: int, data: bytes) -> bytes:
        count = self.counter.to_bytes(2, "little")
        return self._macs.cmac(bytes((code,)) + count + self.identifier + data)[1::2]
