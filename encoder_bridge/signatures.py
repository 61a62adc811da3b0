"""Who sent a message: signatures under the raw body, with a key for each requester.

What is signed; no field before the body can hold a line break, so no other split of the bytes has a meaning::

    "encoder-bridge-v1" | LF | requester | LF | address | LF | signed_at | LF | raw body
                               as sent          UTF-8          as sent          every byte, unchanged

The address is the whole MQTT topic that the message is published to, or the HTTP path.  It tells the desk and what is
asked of it, so that a signed message means nothing elsewhere.

The signature is Ed25519 (RFC 8032, the plain variant, 64 bytes) or HMAC-SHA-256 (RFC 2104, 32 bytes), in standard
base64.  It is sent beside the body, as MQTT 5 user properties or HTTP headers (`requester`, `signed-at`, `signature`),
or around it, for MQTT 3.1.1, as a JSON object with exactly the keys `requester`, `signed_at`, `signature` and `body`,
the last one the raw body's text.

An outsider learns the same from an unknown requester and from a wrong signature: `signature_invalid`.  What is late or
not allowed is said only to who holds a key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from encoder_bridge.errors import ConfigError, MalformedMessage
from encoder_bridge.wire import MAX_PAYLOAD_BYTES

Algorithm = Literal["ed25519", "hmac-sha256"]
Check = Callable[[bytes, bytes], bool]
"""Whether this signature (first) stands under these bytes (second)."""

SHORTEST_HMAC_KEY_BYTES = 16

_PREFIX = b"encoder-bridge-v1"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,88}={0,2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BESIDE = {"requester": "requester", "signed-at": "signed_at", "signature": "signature"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What came with a message, as it was sent: nothing in it is checked yet."""

    requester: str
    signed_at: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Somebody who signs messages."""

    name: str
    algorithm: Algorithm
    key: bytes | Callable[[], bytes] = field(repr=False)
    """`ed25519`: the public key, as base64 of its 32 bytes or as PEM; `hmac-sha256`: the shared bytes as they are."""
    may: frozenset[str]
    """The verbs that this requester may send: `trigger`, `cancel`, ..."""


class SignatureRefused(MalformedMessage):
    """A message that is not heeded because of its signature.

    Args:
        error_type: for the answer: `signature_missing`, `signature_invalid`, `signature_expired` or
            `requester_not_allowed`.
        sentence: for the answer.
        reason: for the log alone; tells `unknown_requester` and `malformed_signature` from other invalid ones.
    """

    def __init__(self, error_type: str, sentence: str, *, reason: str | None = None) -> None:
        super().__init__(error_type, sentence)
        self.reason = reason or error_type


class Signatures:
    """The requesters and their keys.

    Args:
        requesters: by name.
        required: whether unsigned messages are refused.
        window_ms: how far the moment of signing may be from now, either way.

    Raises:
        ConfigError: a name or key cannot be used, the package for Ed25519 is not installed, or signatures are required
            and nobody could make one; never quotes a key.
    """

    def __init__(self, requesters: Mapping[str, Requester], *, required: bool, window_ms: int) -> None:
        if required and not requesters:
            raise ConfigError("signing.required is true and nobody can sign: add a table requesters.<name>.")
        if window_ms <= 0:
            raise ConfigError("signing.window_s is not above 0: give the seconds for which a signed message is good.")
        self._may = {name: requester.may for name, requester in requesters.items()}
        self._checks = {name: _check_of(name, requester) for name, requester in requesters.items()}
        self._required = required
        self._window_ms = window_ms

    def __repr__(self) -> str:
        return f"Signatures({', '.join(sorted(self._checks))}; required={self._required}, window_ms={self._window_ms})"

    def verify(self, signature: Signature | None, verb: str, address: str, body: bytes, now_ms: int) -> str | None:
        """Who sent this.

        A signature that is there is checked, required or not.

        Args:
            signature: what came with the message.
            verb: what the message asks for, as its address says; that the requester may do so is judged by it.
            address: the topic or path that the message came on; no signature fits an empty one or one with a line feed.
            body: the raw body.
            now_ms: milliseconds since 1970, UTC.

        Returns:
            The requester's name; None for an unsigned message where none need be signed.

        Raises:
            SignatureRefused: the message must not be heeded.
        """
        if signature is None:
            if self._required:
                raise SignatureRefused(
                    "signature_missing",
                    "The message is not signed: send requester, signed-at and signature with it.",
                )
            return None
        signed_ms = _moment_ms(signature.signed_at)
        if signed_ms is None:
            raise _malformed("signed-at is no moment: send one such as 2025-07-13T15:00:00Z.")
        given = _from_base64(signature.signature)
        if given is None:
            raise _malformed("The signature is not base64: send standard base64 with padding.")
        check = self._checks.get(signature.requester)
        if check is None:
            raise _invalid("unknown_requester")
        if not _NAME.fullmatch(verb) or not address or "\n" in address:
            raise _invalid()
        if not check(given, signed_bytes(signature.requester, address, signature.signed_at, body)):
            raise _invalid()
        if abs(now_ms - signed_ms) > self._window_ms:
            raise SignatureRefused(
                "signature_expired",
                f"The message was signed more than {self._window_ms // 1000} s from now: "
                "sign it anew, and compare the clocks of both machines.",
            )
        if verb not in self._may[signature.requester]:
            raise SignatureRefused(
                "requester_not_allowed",
                f"This requester may not send {verb}: add it to requesters.{signature.requester}.may.",
            )
        return signature.requester


def signed_bytes(requester: str, address: str, signed_at: str, body: bytes) -> bytes:
    """The bytes that a signature stands for, in the layout above."""
    return b"\n".join((_PREFIX, requester.encode(), address.encode(), signed_at.encode(), body))


def beside(properties: Iterable[tuple[str, str]]) -> Signature | None:
    """The signature among MQTT 5 user properties or HTTP headers, whose names count in any case; None without any.

    Raises:
        SignatureRefused: one of the three is missing or there twice.
    """
    found = [(_BESIDE[name.lower()], value) for name, value in properties if name.lower() in _BESIDE]
    if not found:
        return None
    values = dict(found)
    if len(found) != len(values) or len(values) != len(_BESIDE):
        raise _malformed("The signature is not whole: send requester, signed-at and signature once each.")
    return Signature(**values)


def unwrap(payload: bytes) -> tuple[Signature, bytes] | None:
    """The signature and the raw body of a wrapper; None for whatever is not exactly a wrapper.

    A payload of more than twice `MAX_PAYLOAD_BYTES` is not looked at.  The body of a wrapper is never unwrapped itself.
    """
    if len(payload) > 2 * MAX_PAYLOAD_BYTES:
        return None
    try:
        pairs = json.loads(payload.decode(), object_pairs_hook=tuple)
        if not isinstance(pairs, tuple) or len(pairs) != 4:
            return None
        match dict(pairs):
            case {"requester": str(name), "signed_at": str(moment), "signature": str(signature), "body": str(body)}:
                return Signature(requester=name, signed_at=moment, signature=signature), body.encode()
    except (ValueError, RecursionError):
        pass
    return None


def _malformed(sentence: str) -> SignatureRefused:
    return SignatureRefused("signature_invalid", sentence, reason="malformed_signature")


def _invalid(reason: str | None = None) -> SignatureRefused:
    return SignatureRefused(
        "signature_invalid",
        "The signature does not fit: compare requester, key, topic, signed-at and the bytes of the body.",
        reason=reason,
    )


def _moment_ms(text: str) -> int | None:
    if not _MOMENT.fullmatch(text):
        return None
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        return None


def _from_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if _BASE64.fullmatch(text) else None
    except ValueError:
        return None


def _check_of(name: str, requester: Requester) -> Check:
    if name != requester.name or not _NAME.fullmatch(name):
        raise ConfigError(f"requesters.{name}: the name cannot be used: give 1 to 64 letters, digits, `-` or `_`.")
    key = requester.key if isinstance(requester.key, bytes) else requester.key()
    makers: dict[Algorithm, Callable[[str, bytes], Check]] = {"ed25519": _ed25519, "hmac-sha256": _hmac_sha256}
    return makers[requester.algorithm](name, key)


def _hmac_sha256(name: str, key: bytes) -> Check:
    if len(key) < SHORTEST_HMAC_KEY_BYTES:
        raise ConfigError(
            f"requesters.{name}: the key has fewer than {SHORTEST_HMAC_KEY_BYTES} bytes: "
            "make one with openssl rand -hex 32."
        )
    return lambda given, signed: hmac.compare_digest(given, hmac.digest(key, signed, hashlib.sha256))


def _ed25519(name: str, key: bytes) -> Check:
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise ConfigError(f"requesters.{name}: Ed25519 needs the Python package cryptography: install it.") from None
    public = None
    try:
        if b"-----BEGIN" in key:
            public = load_pem_public_key(key)
        else:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.strip(), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        pass
    if not isinstance(public, Ed25519PublicKey) or not _is_useful_point(public.public_bytes_raw()):
        raise ConfigError(
            f"requesters.{name}: this is no public Ed25519 key: give base64 of its 32 bytes, or PEM (BEGIN PUBLIC KEY)."
        )

    def check(given: bytes, signed: bytes) -> bool:
        try:
            public.verify(given, signed)
        except InvalidSignature:
            return False
        return True

    return check


def _is_useful_point(key: bytes) -> bool:
    """Whether a key is on the curve (RFC 8032, 5.1.3) and not of small order, where anybody could sign.

    On -x² + y² = 1 + dx²y² the orders 1 and 2 have x = 0, order 4 has y = 0, and order 8 has x² = -y².
    """
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    y = int.from_bytes(key, "little") % 2**255
    x_squared = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
    has_root = pow(x_squared, (p - 1) // 2, p) == 1
    return y < p and has_root and y != 0 and (x_squared + y * y) % p != 0
