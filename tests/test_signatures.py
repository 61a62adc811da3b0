"""Signed messages: what is accepted, what is refused and in which words, and that others sign alike."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from encoder_bridge import signatures
from encoder_bridge.errors import ConfigError
from encoder_bridge.signatures import (
    Algorithm,
    Requester,
    Signature,
    SignatureRefused,
    Signatures,
    beside,
    signed_bytes,
    unwrap,
)
from encoder_bridge.wire import MAX_PAYLOAD_BYTES

PAGE = Path(__file__).parents[1] / "docs" / "signing.md"
NOW = 1_752_418_800_000
SIGNED_AT = "2025-07-13T15:00:00Z"
"""The same moment."""
WINDOW_MS = 60_000
TOPIC = "encoder-bridge/harbour-hotel/front-desk/trigger"
BODY = b'{"event_id": "e-1"}'
ALL = frozenset({"trigger", "cancel"})

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
PUBLIC_TEXT = base64.b64encode(PUBLIC.public_bytes_raw())
SHARED = b"canary-shared-key-of-the-kiosk"

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")


def requester(name: str, algorithm: Algorithm, key: bytes, may: frozenset[str] = ALL) -> Requester:
    return Requester(name=name, algorithm=algorithm, key=key, may=may)


def both(*, required: bool = True, may: frozenset[str] = ALL) -> Signatures:
    named = {
        "pms": requester("pms", "ed25519", PUBLIC_TEXT, may),
        "kiosk": requester("kiosk", "hmac-sha256", SHARED, may),
    }
    return Signatures(named, required=required, window_ms=WINDOW_MS)


def sign(name: str, signed: bytes) -> bytes:
    return PRIVATE.sign(signed) if name == "pms" else hmac.digest(SHARED, signed, "sha256")


def signature(name: str, address: str = TOPIC, signed_at: str = SIGNED_AT, body: bytes = BODY) -> Signature:
    text = base64.b64encode(sign(name, signed_bytes(name, address, signed_at, body))).decode()
    return Signature(requester=name, signed_at=signed_at, signature=text)


def refusal(
    signature: Signature | None,
    verb: str = "trigger",
    address: str = TOPIC,
    body: bytes = BODY,
    now_ms: int = NOW,
    by: Signatures | None = None,
) -> SignatureRefused:
    with pytest.raises(SignatureRefused) as caught:
        (by or both()).verify(signature, verb, address, body, now_ms)
    return caught.value


each = pytest.mark.parametrize("name", ["pms", "kiosk"])


@each
@pytest.mark.parametrize("required", [True, False])
def test_a_good_signature_tells_who_signed(name: str, required: bool) -> None:
    assert both(required=required).verify(signature(name), "trigger", TOPIC, BODY, NOW) == name


def test_the_layout_is_the_documented_one() -> None:
    assert (
        signed_bytes("pms", "hôtel/trigger", "2025-07-13T15:00:00+02:00", b'{\n"a": 1}\n')
        == b'encoder-bridge-v1\npms\nh\xc3\xb4tel/trigger\n2025-07-13T15:00:00+02:00\n{\n"a": 1}\n'
    )


def test_an_unsigned_message_passes_only_where_none_need_be_signed() -> None:
    assert both(required=False).verify(None, "trigger", TOPIC, BODY, NOW) is None
    assert refusal(None).error_type == "signature_missing"


@each
@pytest.mark.parametrize("required", [True, False])
def test_a_changed_byte_of_the_body_is_found_out(name: str, required: bool) -> None:
    signed = signature(name)
    for at in range(len(BODY)):
        body = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
        assert refusal(signed, body=body, by=both(required=required)).error_type == "signature_invalid"


@each
@pytest.mark.parametrize("body", [b"", BODY + b"\n", b" " + BODY, BODY + BODY])
def test_a_longer_or_shorter_body_is_found_out(name: str, body: bytes) -> None:
    assert refusal(signature(name), body=body).error_type == "signature_invalid"


@each
@pytest.mark.parametrize(
    "address",
    [
        "encoder-bridge/harbour-hotel/back-desk/trigger",
        "encoder-bridge/harbour-hotel/front-desk/request/trigger",
        "encoder-bridge/harbour-hotel/front-desk/trigger/",
        "/encoder-bridge/harbour-hotel/front-desk/trigger",
        "encoder-bridge/harbour-hotel/Front-desk/trigger",
        "seam/events",
        "trigger",
        "",
    ],
)
def test_a_signature_counts_for_its_topic_alone(name: str, address: str) -> None:
    assert refusal(signature(name), address=address).error_type == "signature_invalid"


@each
def test_a_signed_trigger_is_no_request(name: str) -> None:
    address = TOPIC.replace("trigger", "request/cancel")
    assert both().verify(signature(name, address), "cancel", address, BODY, NOW) == name
    assert refusal(signature(name), verb="cancel", address=address).error_type == "signature_invalid"


@each
def test_a_signature_counts_for_its_moment_alone(name: str) -> None:
    other = replace(signature(name), signed_at="2025-07-13T15:00:01Z")
    assert refusal(other).error_type == "signature_invalid"
    same_moment = replace(signature(name), signed_at="2025-07-13T15:00:00+00:00")
    assert refusal(same_moment).error_type == "signature_invalid"


@each
def test_every_changed_bit_of_a_signature_is_found_out(name: str) -> None:
    good = signature(name)
    raw = base64.b64decode(good.signature)
    signed = both()
    for bit in range(8 * len(raw)):
        bad = bytearray(raw)
        bad[bit // 8] ^= 1 << bit % 8
        text = base64.b64encode(bytes(bad)).decode()
        assert refusal(replace(good, signature=text), by=signed).error_type == "signature_invalid"


@each
@pytest.mark.parametrize("length", [0, 1, 31, 33, 63, 65, 66])
def test_a_signature_of_another_length_is_found_out(name: str, length: int) -> None:
    good = signature(name)
    raw = (base64.b64decode(good.signature) * 3)[:length]
    text = base64.b64encode(raw).decode()
    assert refusal(replace(good, signature=text)).error_type == "signature_invalid"


def test_nobody_signs_for_another() -> None:
    assert refusal(replace(signature("pms"), requester="kiosk")).error_type == "signature_invalid"
    assert refusal(replace(signature("kiosk"), requester="pms")).error_type == "signature_invalid"


def test_an_outsider_learns_the_same_from_an_unknown_name_and_a_wrong_key() -> None:
    unknown = refusal(replace(signature("pms"), requester="nobody"))
    wrong = refusal(signature("pms"), body=b"other")
    assert (unknown.error_type, str(unknown)) == (wrong.error_type, str(wrong))
    assert (unknown.reason, wrong.reason) == ("unknown_requester", "signature_invalid")


def test_lateness_and_rights_are_told_only_to_who_holds_the_key() -> None:
    late = NOW + WINDOW_MS + 1
    forged = replace(signature("pms"), signature=signature("kiosk").signature)
    assert refusal(forged, now_ms=late).error_type == "signature_invalid"
    assert refusal(forged, by=both(may=frozenset())).error_type == "signature_invalid"


@pytest.mark.parametrize("sign", [1, -1])
def test_the_window_ends_on_both_sides(sign: int) -> None:
    assert both().verify(signature("pms"), "trigger", TOPIC, BODY, NOW + sign * WINDOW_MS) == "pms"
    late = refusal(signature("pms"), now_ms=NOW + sign * (WINDOW_MS + 1))
    assert late.error_type == "signature_expired"
    assert "more than 60 s" in str(late)


@pytest.mark.parametrize(
    "signed_at",
    [
        "2025-07-13T15:00:00.000Z",
        "2025-07-13T15:00:00.123456789Z",
        "2025-07-13T17:00:00+02:00",
        "2025-07-13T09:30:00-05:30",
        "2025-07-13T15:00:00-00:00",
    ],
)
def test_a_moment_may_have_a_fraction_and_any_zone(signed_at: str) -> None:
    assert both().verify(signature("pms", signed_at=signed_at), "trigger", TOPIC, BODY, NOW) == "pms"


@pytest.mark.parametrize(
    "signed_at",
    [
        "",
        "2025-07-13T15:00:00",
        "2025-07-13 15:00:00Z",
        "2025-07-13T15:00Z",
        "2025-07-13",
        "1752418800",
        "20250713T150000Z",
        "2025-W28-7T15:00:00Z",
        "2025-02-30T15:00:00Z",
        "0000-01-01T00:00:00Z",
        "2025-07-13T24:00:01Z",
        "2025-07-13T15:00:00+24:00",
        "2025-07-13T15:00:00Z\n",
        "2025-07-13T15:00:00Z\nbody",
        "٢٠٢٥-07-13T15:00:00Z",
        "2025-07-13T15:00:00.1234567890Z",
        "\ud800",
        "9" * 100_000,
    ],
)
def test_what_is_no_moment_is_refused_before_the_key_is_used(signed_at: str) -> None:
    bad = refusal(replace(signature("pms"), signed_at=signed_at))
    assert (bad.error_type, bad.reason) == ("signature_invalid", "malformed_signature")
    assert str(bad) == "signed-at is no moment: send one such as 2025-07-13T15:00:00Z."


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_the_ends_of_the_calendar_are_only_late(moment: str) -> None:
    assert refusal(signature("pms", signed_at=moment)).error_type == "signature_expired"


@pytest.mark.parametrize("text", ["", "=", "====", "a", "ab=c", "a b=", "YWJj\n", "-_-_", "ä", "\ud800", "A" * 100_000])
def test_what_is_no_base64_is_refused(text: str) -> None:
    bad = refusal(replace(signature("pms"), signature=text))
    assert (bad.error_type, bad.reason) == ("signature_invalid", "malformed_signature")


def test_a_topic_with_a_line_break_fits_no_signature() -> None:
    body = f"{SIGNED_AT}\n".encode() + BODY
    split = signature("pms", body=body)
    assert both().verify(split, "trigger", TOPIC, body, NOW) == "pms"
    address = f"{TOPIC}\n{SIGNED_AT}"
    assert signature("pms", address) == split
    assert refusal(split, address=address).error_type == "signature_invalid"


def test_who_does_not_say_where_a_message_came_from_has_no_good_signature() -> None:
    assert refusal(signature("pms", ""), address="").error_type == "signature_invalid"


@pytest.mark.parametrize("verb", ["", "a b", "trigger\n", "a/b", "x" * 65])
def test_a_verb_that_could_be_misread_is_refused(verb: str) -> None:
    assert refusal(signature("pms"), verb=verb).error_type == "signature_invalid"


def test_a_requester_sends_only_what_it_may() -> None:
    only_triggers = both(may=frozenset({"trigger"}))
    assert only_triggers.verify(signature("pms"), "trigger", TOPIC, BODY, NOW) == "pms"
    refused = refusal(signature("pms"), verb="cancel", by=only_triggers)
    assert refused.error_type == "requester_not_allowed"
    assert str(refused) == "This requester may not send cancel: add it to requesters.pms.may."


@given(
    name=st.text(max_size=70),
    signed_at=st.one_of(st.just(SIGNED_AT), st.text(max_size=40)),
    text=st.text(max_size=100),
    verb=st.text(max_size=20),
    address=st.text(max_size=20),
    body=st.binary(max_size=100),
)
def test_hostile_signatures_are_refused_and_nothing_else(
    name: str, signed_at: str, text: str, verb: str, address: str, body: bytes
) -> None:
    hostile = Signature(requester=name, signed_at=signed_at, signature=text)
    assert refusal(hostile, verb=verb, address=address, body=body).error_type == "signature_invalid"


# Carriers


def test_properties_and_headers_are_read_in_any_case() -> None:
    others = [("content-type", "application/json"), ("requester-id", "x")]
    found = beside([*others, ("Requester", "pms"), ("Signed-At", SIGNED_AT), ("SIGNATURE", "eA==")])
    assert found == Signature(requester="pms", signed_at=SIGNED_AT, signature="eA==")
    assert beside(others) is None
    assert beside([]) is None


WHOLE = [("requester", "pms"), ("signed-at", SIGNED_AT), ("signature", "eA==")]


@pytest.mark.parametrize("left", [WHOLE[:1], WHOLE[:2], WHOLE[1:], [*WHOLE, ("requester", "kiosk")], WHOLE * 2])
def test_half_a_signature_or_one_too_many_is_refused(left: list[tuple[str, str]]) -> None:
    with pytest.raises(SignatureRefused) as caught:
        beside(left)
    assert caught.value.error_type == "signature_invalid"


def wrapper(**changes: object) -> bytes:
    whole: dict[str, object] = {"requester": "pms", "signed_at": SIGNED_AT, "signature": "eA==", "body": "{}"}
    return json.dumps({**whole, **changes}).encode()


@pytest.mark.parametrize(
    "body", ["", "{}", '{"a": "ä\\n\\u0000"}', "\0\n\x7f", "😀", '{"requester": "x"}', wrapper().decode()]
)
def test_a_wrapper_gives_its_signature_and_the_exact_bytes_of_its_body(body: str) -> None:
    found = Signature(requester="pms", signed_at=SIGNED_AT, signature="eA==")
    assert unwrap(wrapper(body=body)) == (found, body.encode())
    assert unwrap(json.dumps(json.loads(wrapper(body=body)), ensure_ascii=False, indent=2).encode()) == (
        found,
        body.encode(),
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'"body"',
        BODY,
        wrapper(extra=1),
        wrapper(body={}),
        wrapper(body=None),
        wrapper(requester=1),
        wrapper(signature=["eA=="]),
        wrapper()[:-1],
        wrapper() + b"x",
        wrapper().replace(b'"body"', b'"Body"'),
        wrapper()[:-1] + b', "body": "{}"}',
        b'{"requester": "a", "requester": "b", "signed_at": "c", "body": "d"}',
        b'[["requester", "a"], ["signed_at", "b"], ["signature", "c"], ["body", "d"]]',
        b"\xef\xbb\xbf" + wrapper(),
        wrapper().decode().encode("utf-16"),
        wrapper(body="x").replace(b'"x"', b'"\\ud800"'),
        wrapper(body="x").replace(b'"x"', b'"\xff"'),
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b"9" * 10_000,
        b"\0" * 100,
    ],
)
def test_what_is_not_exactly_a_wrapper_is_none(payload: bytes) -> None:
    assert unwrap(payload) is None


@given(st.one_of(st.binary(max_size=300), st.text(alphabet='{}[]":,\\ bodyrequst_10', max_size=200).map(str.encode)))
def test_hostile_payloads_are_no_wrappers(payload: bytes) -> None:
    assert unwrap(payload) is None


def test_a_payload_beyond_twice_the_limit_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = len(wrapper(body=""))
    fits = wrapper(body="x" * (2 * MAX_PAYLOAD_BYTES - empty))
    assert len(fits) == 2 * MAX_PAYLOAD_BYTES
    assert unwrap(fits) is not None
    monkeypatch.setattr(signatures, "json", None)
    assert unwrap(fits + b" ") is None


# Keys


def pem(key: Any = PUBLIC) -> bytes:
    text: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text


@pytest.mark.parametrize("key", [PUBLIC_TEXT, PUBLIC_TEXT + b"\n", pem(), lambda: PUBLIC_TEXT])
def test_a_public_key_is_base64_or_pem_or_fetched(key: bytes | Callable[[], bytes]) -> None:
    pms = Requester(name="pms", algorithm="ed25519", key=key, may=ALL)
    signed = Signatures({"pms": pms}, required=True, window_ms=WINDOW_MS)
    assert signed.verify(signature("pms"), "trigger", TOPIC, BODY, NOW) == "pms"


P = 2**255 - 19
ORDER_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")


def point(y: int, sign: int = 0) -> bytes:
    return base64.b64encode((y + (sign << 255)).to_bytes(32, "little"))


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"canary",
        b"base64\xe2\x80\xa6",
        PUBLIC.public_bytes_raw(),
        PUBLIC.public_bytes_raw().hex().encode(),
        PUBLIC_TEXT[:20] + b"-" + PUBLIC_TEXT[20:],
        base64.b64encode(bytes(range(31))),
        base64.b64encode(PUBLIC.public_bytes_raw() + b"\0"),
        pem()[:-30],
        pem(generate_private_key(SECP256R1()).public_key()),
        PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        point(0),
        point(0, 1),
        point(1),
        point(P - 1),
        point(P),
        point(P + 1),
        base64.b64encode(ORDER_8),
        base64.b64encode(ORDER_8[:31] + bytes([ORDER_8[31] | 0x80])),
        point(2),
    ],
)
def test_a_malformed_or_forgeable_public_key_is_refused_by_name_and_not_quoted(key: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        Signatures({"pms": requester("pms", "ed25519", key)}, required=True, window_ms=WINDOW_MS)
    assert str(caught.value) == (
        "requesters.pms: this is no public Ed25519 key: give base64 of its 32 bytes, or PEM (BEGIN PUBLIC KEY)."
    )


def test_every_real_public_key_is_accepted() -> None:
    for seed in range(64):
        key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(bytes([seed])).digest()).public_key()
        Signatures({"pms": requester("pms", "ed25519", pem(key))}, required=True, window_ms=WINDOW_MS)


def test_a_short_shared_key_is_refused_by_name_and_not_quoted() -> None:
    with pytest.raises(ConfigError) as caught:
        Signatures({"kiosk": requester("kiosk", "hmac-sha256", SHARED[:15])}, required=False, window_ms=WINDOW_MS)
    assert "requesters.kiosk: the key has fewer than 16 bytes" in str(caught.value)
    assert "canary" not in str(caught.value)
    Signatures({"kiosk": requester("kiosk", "hmac-sha256", SHARED[:16])}, required=False, window_ms=WINDOW_MS)


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "ä", "x" * 65])
def test_a_name_that_could_be_misread_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="the name cannot be used"):
        Signatures({name: requester(name, "hmac-sha256", SHARED)}, required=False, window_ms=WINDOW_MS)


def test_a_name_that_differs_from_its_table_is_refused() -> None:
    with pytest.raises(ConfigError, match="the name cannot be used"):
        Signatures({"pms": requester("kiosk", "hmac-sha256", SHARED)}, required=False, window_ms=WINDOW_MS)


def test_required_signatures_that_nobody_can_make_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"signing\.required is true and nobody can sign"):
        Signatures({}, required=True, window_ms=WINDOW_MS)
    assert Signatures({}, required=False, window_ms=WINDOW_MS).verify(None, "trigger", TOPIC, BODY, NOW) is None


def test_a_window_without_length_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"signing\.window_s is not above 0"):
        Signatures({}, required=False, window_ms=0)


def test_no_key_is_shown() -> None:
    shown = repr(both()) + repr(requester("kiosk", "hmac-sha256", SHARED)) + repr(vars(both()))
    assert "Signatures(kiosk, pms; required=True, window_ms=60000)" in shown
    assert "canary" not in shown
    assert PUBLIC_TEXT.decode() not in shown


def test_the_package_is_imported_only_for_ed25519() -> None:
    program = f"""
import sys
from encoder_bridge.signatures import Requester, Signatures
def a(algorithm, key):
    return {{"a": Requester(name="a", algorithm=algorithm, key=key, may=frozenset())}}
Signatures(a("hmac-sha256", bytes(16)), required=True, window_ms=1)
assert "cryptography" not in sys.modules
Signatures(a("ed25519", {PUBLIC_TEXT!r}), required=True, window_ms=1)
assert "cryptography" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(ConfigError, match=r"requesters\.pms: Ed25519 needs the Python package cryptography"):
        both()


# Published vectors

RFC_8032_7_1 = {
    "1": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "2": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "3": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    "SHA(abc)": (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
}

RFC_4231 = {
    "1": ("0b" * 20, b"Hi There".hex(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    "3": ("aa" * 20, "dd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    "4": (
        bytes(range(1, 26)).hex(),
        "cd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    "6": (
        "aa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First".hex(),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    "7": (
        "aa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
        b"hashed before being used by the HMAC algorithm.".hex(),
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
}
"""Test case 2 has a key of four bytes, which is refused; case 5 has a truncated result."""


@pytest.mark.parametrize("case", RFC_8032_7_1)
def test_ed25519_agrees_with_rfc_8032(case: str) -> None:
    key, message, given = map(bytes.fromhex, RFC_8032_7_1[case])
    check = signatures._ed25519("pms", base64.b64encode(key))
    assert check(given, message)
    assert not check(given, message + b"\0")


@pytest.mark.parametrize("case", RFC_4231)
def test_hmac_agrees_with_rfc_4231(case: str) -> None:
    key, message, given = map(bytes.fromhex, RFC_4231[case])
    check = signatures._hmac_sha256("kiosk", key)
    assert check(given, message)
    assert not check(given, message + b"\0")
    assert not check(given[:16], message)


# What the page tells integrators


def on_the_page(language: str, first_line: str) -> str:
    (block,) = re.findall(
        rf"^```{language}\n({re.escape(first_line)}\n.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    return str(block)


def shell(script: str, folder: Path) -> str:
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def of_the_page(folder: Path) -> Signatures:
    """The keys that the page makes."""
    public = shell(on_the_page("sh", "# Make an Ed25519 key."), folder)
    shell("(umask 077; openssl rand -hex 32 > kiosk-key)", folder)
    shared = (folder / "kiosk-key").read_bytes().removesuffix(b"\n")
    named = {
        "pms": requester("pms", "ed25519", public.encode()),
        "kiosk": requester("kiosk", "hmac-sha256", shared),
    }
    return Signatures(named, required=True, window_ms=WINDOW_MS)


@needs_openssl
@pytest.mark.parametrize(
    ("name", "first_line"),
    [("pms", "# Sign a trigger with Ed25519."), ("kiosk", "# Sign a trigger with HMAC-SHA-256.")],
)
def test_a_shell_signs_as_the_page_says(name: str, first_line: str, tmp_path: Path) -> None:
    verifier = of_the_page(tmp_path)
    script = on_the_page("sh", first_line) + '\nprintf "%s\\n" "$signed_at" "$signature"'
    signed_at, text = shell(script, tmp_path).splitlines()
    body = (tmp_path / "body").read_bytes()
    assert json.loads(body)["event_id"] == "e-1"
    signed = Signature(requester=name, signed_at=signed_at, signature=text)
    assert verifier.verify(signed, "trigger", TOPIC, body, now_ms()) == name
    assert refusal(signed, body=body + b" ", now_ms=now_ms(), by=verifier).error_type == "signature_invalid"


@needs_openssl
def test_openssl_takes_a_shared_key_in_hex(tmp_path: Path) -> None:
    (tmp_path / "signed").write_bytes(signed_bytes("kiosk", TOPIC, SIGNED_AT, BODY))
    text = shell(f"openssl dgst -sha256 -mac HMAC -macopt hexkey:{SHARED.hex()} -binary signed | base64 -w 0", tmp_path)
    signed = Signature(requester="kiosk", signed_at=SIGNED_AT, signature=text)
    assert both().verify(signed, "trigger", TOPIC, BODY, NOW) == "kiosk"


@needs_openssl
def test_openssl_makes_pem_that_is_taken(tmp_path: Path) -> None:
    shell(on_the_page("sh", "# Make an Ed25519 key."), tmp_path)
    (tmp_path / "signed").write_bytes(signed_bytes("pms", TOPIC, SIGNED_AT, BODY))
    text = shell("openssl pkeyutl -sign -rawin -inkey pms.pem -in signed | base64 -w 0", tmp_path)
    pms = requester("pms", "ed25519", shell("openssl pkey -in pms.pem -pubout", tmp_path).encode())
    signed = Signature(requester="pms", signed_at=SIGNED_AT, signature=text)
    verifier = Signatures({"pms": pms}, required=True, window_ms=WINDOW_MS)
    assert verifier.verify(signed, "trigger", TOPIC, BODY, NOW) == "pms"


@needs_openssl
def test_python_signs_as_the_page_says(tmp_path: Path) -> None:
    verifier = of_the_page(tmp_path)
    script = (
        on_the_page("python", "import base64") + "\nprint(json.dumps([body.decode(), signed_at, by_hmac, wrapped]))"
    )
    command = [sys.executable, "-c", script]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=dict(os.environ)).stdout
    body, signed_at, by_hmac, wrapped = json.loads(said)
    by_kiosk = Signature(requester="kiosk", signed_at=signed_at, signature=by_hmac)
    assert verifier.verify(by_kiosk, "trigger", TOPIC, body.encode(), now_ms()) == "kiosk"
    unwrapped = unwrap(wrapped.encode())
    assert unwrapped is not None
    assert verifier.verify(unwrapped[0], "trigger", TOPIC, unwrapped[1], now_ms()) == "pms"


def test_the_page_names_what_is_refused() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    assert named == {"signature_missing", "signature_invalid", "signature_expired", "requester_not_allowed"}
