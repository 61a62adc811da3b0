"""The secure messaging that DESFire EV2 brought: two session keys, a transaction identifier and a command counter.

In a command that protects nothing only the counter moves.  In all others, whatever they carry::

    command   code header data mac[8]               MAC over code counter[2] ti[4] header data
    answer    data mac[8] status                    MAC over status (counter + 1)[2] ti[4] data

A MAC is every second byte of a CMAC, beginning with the second.  In FULL mode `data` are encrypted, padded with
80 00.. to whole blocks, at least one byte of it; the initial vectors are::

    command   E(A5 5A ti[4] counter[2] 00[8])
    answer    E(5A A5 ti[4] (counter + 1)[2] 00[8])

An error carries no MAC, nor does the answer to a change of the session's own key; both end the session.

Sources: AN12343 revision 1.1, AN12196.  Numbers are little endian.
"""

from __future__ import annotations

import os
from hmac import compare_digest

from encoder_bridge_cards.checksums import crc_32
from encoder_bridge_cards.cmac import aes, cmac, decrypted, encrypted, xor
from encoder_bridge_cards.desfire.channel import (
    CHANGE_KEY,
    Channel,
    Forged,
    Mode,
    Plain,
    Random,
    Status,
    of_length,
    rotated,
)
from encoder_bridge_cards.keys import Key

_MAC = 8
_BLOCK = 16
_AUTHENTICATE_EV2_FIRST = 0x71
_TO_CARD = b"\xa5\x5a"
_FROM_CARD = b"\x5a\xa5"


def authenticate(plain: Plain, number: int, key: bytes, *, random: Random = os.urandom) -> Channel:
    """Open a session with AuthenticateEV2First; AES keys only.

    Each wrong try counts: after some in a row the card delays the next one, and a key can be lost for good.

    Raises:
        Declined: the key is wrong or not for AES (AUTHENTICATION), there is none with this number (NO_SUCH_KEY), the
            card wants to be left alone for a while (AUTHENTICATION_DELAY), or it is an EV1 (ILLEGAL_COMMAND).
        Forged: the card does not know the key itself.
        LinkError: the link broke off.
    """
    cipher = aes(key)
    challenge = plain.handshake(_AUTHENTICATE_EV2_FIRST, bytes((number, 0)), Status.MORE, _BLOCK)
    rnd_a, rnd_b = random(_BLOCK), decrypted(cipher, challenge)
    token = encrypted(cipher, rnd_a + rotated(rnd_b))
    proof = decrypted(cipher, plain.handshake(Status.MORE, token, Status.OK, 2 * _BLOCK))
    ti, echo = proof[:4], proof[4:20]  # then what the card and what the reader can do, six bytes each
    if not compare_digest(echo, rotated(rnd_a)):
        raise Forged("random number")
    encryption, authentication = session_keys(key, rnd_a, rnd_b)
    return Session(plain, encryption, authentication, ti)


def session_keys(key: bytes, rnd_a: bytes, rnd_b: bytes) -> tuple[bytes, bytes]:
    """Derive the key that encrypts and the key that authenticates (AN12343, section 5.3)."""
    context = rnd_a[:2] + xor(rnd_a[2:8], rnd_b[:6]) + rnd_b[6:] + rnd_a[8:]
    cipher, one_of_128_bits = aes(key), b"\x00\x01\x00\x80"
    return cmac(cipher, _TO_CARD + one_of_128_bits + context), cmac(cipher, _FROM_CARD + one_of_128_bits + context)


class Session:
    """A channel under session keys; see the module for what goes over the wire."""

    def __init__(self, plain: Plain, encryption: bytes, authentication: bytes, ti: bytes, counter: int = 0) -> None:
        self._plain = plain
        self._encryption = aes(encryption)
        self._authentication = aes(authentication)
        self._ti = ti
        self._counter = counter

    def command(
        self,
        code: int,
        header: bytes = b"",
        data: bytes = b"",
        *,
        mode: Mode = Mode.PLAIN,
        answer: Mode = Mode.MAC,
        length: int | None = None,
    ) -> bytes:
        """See `Channel.command`.  A command is protected where its data or its answer are."""
        if mode is Mode.PLAIN and answer is Mode.PLAIN:
            body = self._plain.transfer(code, header + data)
            self._counter += 1
            return of_length(body, length)
        body = self._checked(self._sent(code, header, data, mode))
        if answer is Mode.FULL:
            body = self._decrypted(body, length)
        return of_length(body, length)

    def change_key(self, number: int, new: Key, old: Key | None) -> None:
        """See `Channel.change_key`.  All keys are for AES."""
        if old is None:
            data = new.value + bytes((new.version,))
        else:
            data = xor(new.value, old.value) + bytes((new.version,)) + crc_32(new.value)
        body = self._sent(CHANGE_KEY, bytes((number,)), data, Mode.FULL)
        of_length(body if old is None else self._checked(body), 0)

    def _sent(self, code: int, header: bytes, data: bytes, mode: Mode) -> bytes:
        """Send a protected command and return its answer as it came; the counter is the answer's then."""
        if mode is Mode.FULL and data:
            padded = data + b"\x80"
            data = encrypted(self._encryption, padded + bytes(-len(padded) % _BLOCK), self._vector(_TO_CARD))
        body = self._plain.transfer(code, header + data + self._mac(code, header + data))
        self._counter += 1
        return body

    def _checked(self, body: bytes) -> bytes:
        data, mac = body[:-_MAC], body[-_MAC:]
        if not compare_digest(mac, self._mac(Status.OK, data)):
            raise Forged("MAC")
        return data

    def _decrypted(self, body: bytes, length: int | None) -> bytes:
        if len(body) % _BLOCK:
            raise Forged("length")
        data = decrypted(self._encryption, body, self._vector(_FROM_CARD))
        if len(data) == length:  # CommitReaderID answers with one block and no padding (AN12343, table 32)
            return data
        unpadded = data.rstrip(b"\0")
        if not unpadded.endswith(b"\x80") or len(data) - len(unpadded) >= _BLOCK:
            raise Forged("padding")
        return unpadded[:-1]

    def _mac(self, first: int, data: bytes) -> bytes:
        message = bytes((first,)) + self._counter.to_bytes(2, "little") + self._ti + data
        return cmac(self._authentication, message)[1::2]

    def _vector(self, label: bytes) -> bytes:
        return encrypted(self._encryption, label + self._ti + self._counter.to_bytes(2, "little") + bytes(8))
