"""What a credential looks like on a simulated card; pure, no I/O.

An image is a whole number of blocks of 16 bytes, integers big-endian::

    block 0        block 1 ...
    ┌──────┬───┬───┬──────┬──────────┬───────────────┬────────┬───────────┐
    │ EBSC │ 1 │ 0 │ size │ sequence │ body          │ CRC-32 │ 0 0 0 ... │
    └──────┴───┴───┴──────┴──────────┴───────────────┴────────┴───────────┘
      4      1   1   2      8          size bytes      4        to the block's end

- the byte after the magic is the version of this layout, the next is reserved;
- body: canonical JSON (keys sorted, no blanks, ASCII only) of ``access_method_id, profile, joins, entrances, starts_at,
  ends_at, fields, data``; times are ISO 8601 with their offset or null, the values of ``data`` are base64;
- CRC-32 (as in zlib) covers everything before it.

A blank card is all zeros.  Block 0 is written last and cleared first, so a card on which a write was interrupted
never decodes as whole, also where it carried another credential before.  Where the card's uid does not tell it from
others, block 0 is not cleared but marked, so that the card can be known again until it is whole::

    ┌──────┬──────────────────────────────────────────┐
    │ EBSP │ SHA-256 of the image to come, first part │
    └──────┴──────────────────────────────────────────┘
      4      12
"""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64decode, b64encode
from datetime import datetime
from hashlib import sha256

from encoder_bridge.driver import Credential

BLOCK = 16
"""Bytes in one block."""

EMPTY = bytes(BLOCK)
"""A block of a blank card."""

_HEAD = struct.Struct(">4sBBHQ")
_CHECK = struct.Struct(">I")
_MAGIC = b"EBSC"
_MARK = b"EBSP"
_LAYOUT = 1
_LARGEST_SEQUENCE = 2**64 - 1
_LARGEST_BODY = 2**16 - 1

Step = tuple[int, bytes]
"""Write these 16 bytes as the block of this number."""


class Unfit(ValueError):
    """The credential has no image in this layout; the sentence says why and holds nothing personal."""


class Torn(ValueError):
    """The card is not blank and carries no whole credential of this layout."""


def encode(credential: Credential) -> bytes:
    """Return the image of a credential; the same credential always gives the same bytes.

    Raises:
        Unfit: a number or the whole is too large, or a time has no zone.
    """
    body = json.dumps(
        {
            "access_method_id": credential.access_method_id,
            "profile": credential.profile,
            "joins": credential.joins,
            "entrances": list(credential.entrances),
            "starts_at": _text(credential.starts_at),
            "ends_at": _text(credential.ends_at),
            "fields": dict(credential.fields),
            "data": {name: b64encode(value).decode("ascii") for name, value in credential.data.items()},
        },
        sort_keys=True,
        separators=(",", ":"),
    ).encode("ascii")
    if not 0 <= credential.sequence <= _LARGEST_SEQUENCE:
        raise Unfit("the sequence does not fit into 8 bytes")
    if len(body) > _LARGEST_BODY:
        raise Unfit(f"it takes {len(body)} bytes, and the layout ends at {_LARGEST_BODY}")
    image = _HEAD.pack(_MAGIC, _LAYOUT, 0, len(body), credential.sequence) + body
    image += _CHECK.pack(zlib.crc32(image))
    return image + bytes(-len(image) % BLOCK)


def size(content: bytes) -> int:
    """Return how many bytes of a whole card's content are its image.

    Raises:
        Torn: block 0 is not the head of this layout.
    """
    if len(content) < BLOCK:
        raise Torn("no block")
    magic, layout, _, length, _ = _HEAD.unpack_from(content)
    if (magic, layout) != (_MAGIC, _LAYOUT):
        raise Torn("no head of this layout")
    used = int(_HEAD.size + length + _CHECK.size)
    return used + -used % BLOCK


def decode(content: bytes) -> Credential | None:
    """Return the credential in the blocks of a card, or None if the card is blank.

    Raises:
        Torn: neither of the two: a torn write, or somebody else's data.
    """
    if not any(content):
        return None
    end = size(content)
    _, _, _, length, sequence = _HEAD.unpack_from(content)
    checked = _HEAD.size + length
    if end > len(content) or any(content[checked + _CHECK.size :]):
        raise Torn("the length does not fit what is there")
    if _CHECK.unpack_from(content, checked)[0] != zlib.crc32(content[:checked]):
        raise Torn("the check sum is wrong")
    try:
        body = json.loads(content[_HEAD.size : checked])
        return Credential(
            access_method_id=body["access_method_id"],
            profile=body["profile"],
            sequence=sequence,
            joins=body["joins"],
            entrances=tuple(body["entrances"]),
            starts_at=_time(body["starts_at"]),
            ends_at=_time(body["ends_at"]),
            fields=body["fields"],
            data={name: b64decode(value, validate=True) for name, value in body["data"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Torn("the body is not of this layout") from error


def made_here(content: bytes) -> bool:
    """Tell whether the content may be what this layout left behind: whole, torn or blank."""
    return content[:BLOCK] == EMPTY or content[: len(_MAGIC)] in (_MAGIC, _MARK)


def digest(image: bytes) -> str:
    """Return the SHA-256 of an image in hex."""
    return sha256(image).hexdigest()


def mark(image: bytes) -> bytes:
    """Return the block 0 of a card on which the write of `image` has begun; nothing is the image of an erasure."""
    return _MARK + sha256(image).digest()[: BLOCK - len(_MARK)]


def steps(image: bytes, content: bytes) -> list[Step]:
    """Return the writes, in order, that turn `content` into `image` and nothing but zeros after it.

    Block 0 is cleared first, unless it is this image's mark, and written last; what `image` does not reach is cleared
    where it is not zero.
    """
    first = [] if content[:BLOCK] == mark(image) else _clearing(content, 0, BLOCK)
    body = [(at // BLOCK, image[at : at + BLOCK]) for at in range(BLOCK, len(image), BLOCK)]
    return [*first, *_clearing(content, len(image), len(content)), *body, (0, image[:BLOCK])]


def erasing(content: bytes) -> list[Step]:
    """Return the writes, in order, that make `content` blank: block 0 first, or last if it is an erasure's mark."""
    clearing = _clearing(content, 0, len(content))
    return [*clearing[1:], clearing[0]] if content[:BLOCK] == mark(b"") else clearing


def _clearing(content: bytes, start: int, stop: int) -> list[Step]:
    return [(at // BLOCK, EMPTY) for at in range(start, stop, BLOCK) if content[at : at + BLOCK] != EMPTY]


def _text(time: datetime | None) -> str | None:
    if time is None:
        return None
    if time.utcoffset() is None:
        raise Unfit("a time has no zone")
    return time.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
