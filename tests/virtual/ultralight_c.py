"""A MIFARE Ultralight C in software (MF0ICU2 data sheet, sections 7.5 and 9).

Pages 00..27 are those of every Ultralight; then::

    28  lock bytes 2 and 3         2A  AUTH0, the first page that needs an authentication (30: none)
    29  a counter of 16 bits       2B  AUTH1, bit 0: 0 reading and writing need it, 1 only writing
    2C..2F  the key, each half of 8 bytes back to front; nobody ever reads it

A new key and new lock bits count from the next selection, says the data sheet; of AUTH0 and AUTH1 it does not say:
`UltralightC.applies_at_once` chooses.  The lock bytes, page 3 and the counter survive a loss of power in the middle of
a write.  Of the other pages the data sheet says nothing: `Type2.torn` chooses, so a key may end up half old, half new.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from encoder_bridge_cards.link import Activation, Refused

from virtual.type2 import CC, STATIC_LOCKS, Type2

PAGES = 0x30
LOCKS, COUNTER, AUTH0, AUTH1, KEY = 0x28, 0x29, 0x2A, 0x2B, 0x2C
TRANSPORT_KEY = bytes.fromhex("49454d4b41455242214e4143554f5946")

LOCKED_BY: dict[int, range] = {
    1: range(0x10, 0x14),
    2: range(0x14, 0x18),
    3: range(0x18, 0x1C),
    5: range(0x1C, 0x20),
    6: range(0x20, 0x24),
    7: range(0x24, 0x28),
    12: range(COUNTER, COUNTER + 1),
    13: range(AUTH0, AUTH0 + 1),
    14: range(AUTH1, AUTH1 + 1),
    15: range(KEY, PAGES),
}
"""The pages that each bit of lock bytes 2 and 3, taken as one little endian number, makes read only."""

FROZEN_BY: dict[int, int] = {0: 0x000E, 4: 0x00E0, 8: 0x1000, 9: 0x2000, 10: 0x4000, 11: 0x8000}
"""The lock bits that each block locking bit keeps as they are."""


class UltralightC(Type2):
    """An Ultralight C as it leaves the factory.

    Args:
        uid: 7 bytes.
        applies_at_once: whether AUTH0 and AUTH1 count for the session that writes them; else from the next selection.
        random: what the card draws its half of an authentication from, by the number of bytes.
    """

    def __init__(
        self,
        uid: bytes = bytes.fromhex("04aabbccddeeff"),
        *,
        applies_at_once: bool = True,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        super().__init__(uid, PAGES)
        self.applies_at_once = applies_at_once
        self._random = random
        self._challenge: tuple[bytes, bytes] | None = None
        self.poke(AUTH0, b"\x30\x00\x00\x00")
        for i in range(4):
            self.poke(KEY + i, key_pages(TRANSPORT_KEY)[i])
        self._key = self.stored_key
        self._configuration = self._stored_configuration()

    @property
    def stored_key(self) -> bytes:
        """The key that counts from the next selection: 16 bytes in the order of the cipher."""
        pages = b"".join(map(self.peek, range(KEY, PAGES)))
        return pages[7::-1] + pages[:7:-1]

    def activate(self) -> Activation:
        self._challenge = None
        self._key = self.stored_key
        self._configuration = self._stored_configuration()
        return super().activate()

    def poke(self, page: int, data: bytes) -> None:
        super().poke(page, data)
        if self.applies_at_once:
            self._configuration = self._stored_configuration()

    def _stored_configuration(self) -> tuple[int, int]:
        return self.peek(AUTH0)[0], self.peek(AUTH1)[0]

    def _act(self, frame: bytes) -> bytes:
        challenge, self._challenge = self._challenge, None
        match frame[0] if frame else None:
            case 0x1A if frame == b"\x1a\x00":
                self._is_authenticated = False
                drawn = self._random(8)
                sent = self._cbc(bytes(8), drawn, is_encrypting=True)
                self._challenge = drawn, sent
                return b"\xaf" + sent
            case 0xAF if len(frame) == 17 and challenge is not None:
                return b"\x00" + self._answer(frame[1:], *challenge)
            case _:
                return super()._act(frame)

    def _answer(self, token: bytes, drawn: bytes, sent: bytes) -> bytes:
        theirs, ours = (plain := self._cbc(sent, token, is_encrypting=False))[:8], plain[8:]
        if ours != drawn[1:] + drawn[:1]:
            raise Refused("authentication")
        self._is_authenticated = True
        return self._cbc(token[8:], theirs[1:] + theirs[:1], is_encrypting=True)

    def _cbc(self, start: bytes, data: bytes, *, is_encrypting: bool) -> bytes:
        cipher = Cipher(TripleDES(self._key + self._key[:8]), modes.CBC(start))
        context = cipher.encryptor() if is_encrypting else cipher.decryptor()
        return context.update(data) + context.finalize()

    def _end(self) -> int:
        auth0, auth1 = self._configuration
        is_closed = not auth1 & 1 and not self._is_authenticated
        return min(KEY, auth0) if is_closed else KEY

    def _may_write(self, page: int) -> bool:
        return page < self._configuration[0] or self._is_authenticated

    def _tear_safe(self) -> frozenset[int]:
        return frozenset({STATIC_LOCKS, CC, LOCKS, COUNTER})

    def _locked_pages(self) -> Iterator[int]:
        yield from self._statically_locked()
        bits = int.from_bytes(self.peek(LOCKS)[:2], "little")
        for bit, pages in LOCKED_BY.items():
            if bits >> bit & 1:
                yield from pages

    def _merged(self, page: int, data: bytes) -> bytes:
        old = self.peek(page)
        if page == LOCKS:
            bits = int.from_bytes(old[:2], "little")
            frozen = sum(mask for bit, mask in FROZEN_BY.items() if bits >> bit & 1)
            return (bits | int.from_bytes(data[:2], "little") & ~frozen).to_bytes(2, "little") + old[2:]
        if page == COUNTER:
            count = int.from_bytes(old[:2], "little")
            count += data[0] & 0x0F if count else int.from_bytes(data[:2], "little")
            if count > 0xFFFF:
                raise Refused("counter")
            return count.to_bytes(2, "little") + old[2:]
        return super()._merged(page, data)


def key_pages(key: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """A key as it lies in pages 2C to 2F.

    ``k7 k6 k5 k4 | k3 k2 k1 k0 | k15 k14 k13 k12 | k11 k10 k9 k8``
    """
    return key[7:3:-1], key[3::-1], key[15:11:-1], key[11:7:-1]
