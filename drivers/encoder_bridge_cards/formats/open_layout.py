"""The open card layout: what a lock has to know, on any card, in bytes that anybody may read and only a key can make.

Its specification is docs/formats/open-card-layout.md; this is version 1.  Integers are big-endian::

    ┌────┬─────────┬───────┬────────┬─────┬───────────┬──────────┬───────────┬─────────┬─────────────┬─────┐
    │ EB │ version │ flags │ length │ key │ entrances │ sequence │ starts at │ ends at │ identifiers │ MAC │
    └────┴─────────┴───────┴────────┴─────┴───────────┴──────────┴───────────┴─────────┴─────────────┴─────┘
      2    1         1       2        1     1           4          4           4         ...           8

- length: of the whole, MAC included; key: version of the MAC's key; entrances: how many there are;
- flags: bit 0, the card joins earlier ones;
- starts at, ends at: seconds since 1970 UTC; 0 and FFFFFFFF where there is no such bound;
- identifiers: the access method, then the entrances, each ``10`` and the 16 bytes of a UUID, or ``80 | n`` and n bytes
  of UTF-8, n from 1 to 127;
- MAC: the first 8 bytes of AES-128-CMAC (RFC 4493) over one byte with the length of the card's uid, the uid, and
  everything before the MAC.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from encoder_bridge.driver import Credential, CredentialRejected, Secret
from encoder_bridge_cards import keys
from encoder_bridge_cards.keys import CardKey
from encoder_bridge_cards.tables import Table

VERSION = 1
_HEAD = struct.Struct(">2sBBHBBIII")
_MAGIC = b"EB"
_JOINS = 1
_MAC = 8
_NEVER = 0xFFFFFFFF
_UUID, _TEXT = 0x10, 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFormat:
    """The format of the open card layout."""

    key: CardKey
    ndef = False

    @classmethod
    def parse(cls, table: Table, secret: Secret) -> OpenFormat:
        """Read the format's table ``key``.

        Raises:
            SettingsRejected: it is missing or wrong.
        """
        return cls(key=keys.parse(table.table("key"), secret, length=16))

    def image(self, credential: Credential, uid: bytes | None, unit: str) -> bytes:  # noqa: ARG002
        """See `Format`."""
        if not 0 <= credential.sequence <= 0xFFFFFFFF or len(credential.entrances) > 0xFF:
            raise CredentialRejected("The card's number or its entrances are too many for this layout: use another.")
        names = b"".join(_identifier(name) for name in (credential.access_method_id, *credential.entrances))
        body = _HEAD.pack(
            _MAGIC,
            VERSION,
            _JOINS if credential.joins else 0,
            _HEAD.size + len(names) + _MAC,
            self.key.version,
            len(credential.entrances),
            credential.sequence,
            _seconds(credential.starts_at, 0),
            _seconds(credential.ends_at, _NEVER),
        )
        mac = _mac(self.key.of(uid)[0].value, uid, body + names) if uid is not None else bytes(_MAC)
        return body + names + mac

    def tells(self, image: bytes, uid: bytes) -> Mapping[str, str] | None:
        """See `Format`.  What no key of ours made tells nothing."""
        if len(image) < _HEAD.size + _MAC:
            return None
        magic, version, flags, length, _, count, sequence, starts_at, ends_at = _HEAD.unpack_from(image)
        if magic != _MAGIC or version != VERSION or not _HEAD.size + _MAC <= length <= len(image):
            return None
        whole, mac = image[: length - _MAC], image[length - _MAC : length]
        if not any(hmac.compare_digest(mac, _mac(key.value, uid, whole)) for key in self.key.of(uid)):
            return None
        names = _names(whole[_HEAD.size :])
        if names is None or len(names) != count + 1:
            return None
        told = {"access_method_id": names[0], "sequence": str(sequence), "joins": str(bool(flags & _JOINS)).lower()}
        if names[1:]:
            told["entrances"] = ",".join(names[1:])
        if starts_at:
            told["starts_at"] = datetime.fromtimestamp(starts_at, UTC).isoformat()
        if ends_at != _NEVER:
            told["ends_at"] = datetime.fromtimestamp(ends_at, UTC).isoformat()
        return told


def _mac(key: bytes, uid: bytes, body: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(bytes([len(uid)]) + uid + body)
    return mac.finalize()[:_MAC]


def _seconds(moment: datetime | None, without: int) -> int:
    if moment is None:
        return without
    seconds = int(moment.timestamp())
    if not 0 < seconds < _NEVER:
        raise CredentialRejected("The validity does not fit on the card: send moments between 1970 and 2106.")
    return seconds


def _identifier(name: str) -> bytes:
    try:
        return bytes([_UUID]) + UUID(name).bytes if str(UUID(name)) == name else _text(name)
    except ValueError:
        return _text(name)


def _text(name: str) -> bytes:
    text = name.encode()
    if not 0 < len(text) < _TEXT:
        raise CredentialRejected("An identifier does not fit on the card: use names of 127 bytes at most.")
    return bytes([_TEXT | len(text)]) + text


def _names(body: bytes) -> list[str] | None:
    names = []
    at = 0
    while at < len(body):
        tag, at = body[at], at + 1
        size = 16 if tag == _UUID else tag - _TEXT
        part, at = body[at : at + size], at + size
        if size < 1 or len(part) < size:
            return None
        try:
            names.append(str(UUID(bytes=part)) if tag == _UUID else part.decode())
        except UnicodeDecodeError:
            return None
    return names
