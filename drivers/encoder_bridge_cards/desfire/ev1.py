"""The secure messaging of DESFire EV1, under a key of any type: one CMAC chain through commands and answers.

The initial vector is zero after the authentication and lives as long as the session; every CMAC and every cryptogram
leaves its last block there::

    command   PLAIN, or no data  code header data                      CMAC over all of it, not sent
              MAC                code header data mac[8]               CMAC over code header data
              FULL               code header E(data crc[4] 00..)       crc over code header data
    answer    PLAIN and MAC      data mac[8] status                    CMAC over data status
              FULL               E(data crc[4] [80] 00..) status       crc over data status

So every answer of a session carries a MAC, also that of a plain command, unless its data are encrypted.  Two carry
nothing: an error, and the answer to a change of the session's own key; both end the session.  The frames of a long
message are joined first; the codes and the status AF between them are in no CMAC.

Sources: a recorded card (tests/drivers/vectors/desfire_ev1.json); for encrypted file data libfreefare, which reads and
writes them so.
"""

from __future__ import annotations

import os
from hmac import compare_digest

from encoder_bridge_cards.checksums import crc_32
from encoder_bridge_cards.cmac import BlockCipher, aes, block_size, chained_cmac, decrypted, encrypted, tdea, xor
from encoder_bridge_cards.desfire.channel import (
    CHANGE_KEY,
    Channel,
    Forged,
    KeyType,
    Mode,
    Plain,
    Random,
    Status,
    of_length,
    rotated,
)
from encoder_bridge_cards.keys import Key

_MAC = 8
_CRC = 4
_AUTHENTICATE_ISO = 0x1A
_AUTHENTICATE_AES = 0xAA


def authenticate(
    plain: Plain, number: int, key: bytes, *, kind: KeyType = KeyType.AES, random: Random = os.urandom
) -> Channel:
    """Open a session with AuthenticateAES, or with AuthenticateISO where the key is for TDEA.

    A blank card's master key is ``KeyType.TDEA_2`` and 16 zero bytes.  EV2 and EV3 count wrong tries here as well.

    Raises:
        Declined: the key is wrong or of another type (AUTHENTICATION), there is none with this number (NO_SUCH_KEY), or
            the card wants to be left alone for a while (AUTHENTICATION_DELAY).
        Forged: the card does not know the key itself.
        LinkError: the link broke off.
    """
    is_aes = kind is KeyType.AES
    cipher = aes(key) if is_aes else tdea(key)
    block, length = block_size(cipher), 8 if kind is KeyType.TDEA_2 else 16
    code = _AUTHENTICATE_AES if is_aes else _AUTHENTICATE_ISO
    challenge = plain.handshake(code, bytes((number,)), Status.MORE, length)
    rnd_a, rnd_b = random(length), decrypted(cipher, challenge)
    token = encrypted(cipher, rnd_a + rotated(rnd_b), challenge[-block:])
    proof = plain.handshake(Status.MORE, token, Status.OK, length)
    if not compare_digest(decrypted(cipher, proof, token[-block:]), rotated(rnd_a)):
        raise Forged("random number")
    value = session_key(kind, key, rnd_a, rnd_b)
    return Session(plain, kind, aes(value) if is_aes else tdea(value))


def session_key(kind: KeyType, key: bytes, rnd_a: bytes, rnd_b: bytes) -> bytes:
    """Pick the session key out of both random numbers; one that came from a DES key has two equal halves again."""
    first = rnd_a[:4] + rnd_b[:4]
    if kind is KeyType.AES:
        return first + rnd_a[12:] + rnd_b[12:]
    if kind is KeyType.TDEA_3:
        return first + rnd_a[6:10] + rnd_b[6:10] + rnd_a[12:] + rnd_b[12:]
    is_des = key[:8] == key[8:]
    return first * 2 if is_des else first + rnd_a[4:] + rnd_b[4:]


class Session:
    """A channel under a session key; see the module for what goes over the wire."""

    def __init__(self, plain: Plain, kind: KeyType, cipher: BlockCipher, iv: bytes | None = None) -> None:
        self._plain = plain
        self._kind = kind
        self._cipher = cipher
        self._block = block_size(cipher)
        self._iv = iv or bytes(self._block)

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
        """See `Channel.command`."""
        covered = bytes((code,)) + header + data
        if mode is Mode.FULL and data:
            payload = header + self._encrypted(data + crc_32(covered))
        else:
            mac = self._chained(covered)
            payload = header + data + (mac if mode is Mode.MAC and data else b"")
        body = self._plain.transfer(code, payload)
        if answer is Mode.FULL and length != 0:
            return self._decrypted(body, length)
        return of_length(self._checked(body), length)

    def change_key(self, number: int, new: Key, old: Key | None) -> None:
        """See `Channel.change_key`.  A TDEA key has its version in the lowest bits of its first eight bytes already."""
        kind = KeyType(number & 0xC0) if number & 0xC0 else self._kind
        data = new.value if old is None else xor(new.value, old.value)
        if kind is KeyType.AES:
            data += bytes((new.version,))
        data += crc_32(bytes((CHANGE_KEY, number)) + data)
        if old is not None:
            data += crc_32(new.value)
        body = self._plain.transfer(CHANGE_KEY, bytes((number,)) + self._encrypted(data))
        of_length(body if old is None else self._checked(body), 0)

    def _chained(self, message: bytes) -> bytes:
        self._iv = chained_cmac(self._cipher, message, self._iv)
        return self._iv[:_MAC]

    def _checked(self, body: bytes) -> bytes:
        data, mac = body[:-_MAC], body[-_MAC:]
        if not compare_digest(mac, self._chained(data + bytes((Status.OK,)))):
            raise Forged("MAC")
        return data

    def _encrypted(self, data: bytes) -> bytes:
        cryptogram = encrypted(self._cipher, data + bytes(-len(data) % self._block), self._iv)
        self._iv = cryptogram[-self._block :]
        return cryptogram

    def _decrypted(self, body: bytes, length: int | None) -> bytes:
        if len(body) % self._block:
            raise Forged("length")
        plain = decrypted(self._cipher, body, self._iv)
        self._iv = body[-self._block :]
        last = len(plain) - _CRC
        for end in range(max(0, last - self._block), last + 1) if length is None else (length,):
            data, crc, padding = plain[:end], plain[end : end + _CRC], plain[end + _CRC :]
            if padding.rstrip(b"\0") in (b"", b"\x80") and compare_digest(crc, crc_32(data + bytes((Status.OK,)))):
                return data
        raise Forged("checksum")
