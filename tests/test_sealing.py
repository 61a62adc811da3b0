"""Sealed bytes, and the file with the key."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from encoder_bridge import redaction, sealing
from encoder_bridge.errors import ConfigError
from encoder_bridge.redaction import without_secrets
from encoder_bridge.sealing import Seal, Unreadable, make_key, parse_key

KEY = bytes.fromhex("feffe9928665731c6d6a8f9467308308") * 2
OTHER_KEY = bytes(range(32))
HERE = Path("seal-key")

P = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)
C = (
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
)
# McGrew and Viega, The Galois/Counter Mode of Operation, appendix B, test cases 13 to 16 (AES-256, nonce of 96 bits):
# key, nonce, plain, associated data, ciphertext and tag.
PUBLISHED = {
    "13": ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    "14": ("00" * 32, "00" * 12, "00" * 16, "", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    "15": (KEY.hex(), "cafebabefacedbaddecaf888", P, "", C + "b094dac5d93471bdec1a502270e3cc6c"),
    "16": (
        KEY.hex(),
        "cafebabefacedbaddecaf888",
        P[:120],
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        C[:120] + "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
}


@pytest.fixture(autouse=True)
def concealed() -> Iterator[None]:
    """The keys of these tests are not hidden from other tests' logs."""
    before = dict(redaction._concealed)
    yield
    redaction._concealed.clear()
    redaction._concealed.update(before)


@pytest.mark.parametrize("case", PUBLISHED)
def test_the_cipher_agrees_with_the_published_vectors(case: str) -> None:
    key, nonce, plain, associated, sealed = (bytes.fromhex(text) for text in PUBLISHED[case])
    assert AESGCM(key).encrypt(nonce, plain, associated) == sealed
    assert AESGCM(key).decrypt(nonce, sealed, associated) == plain


def test_a_seal_without_a_purpose_is_the_published_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    key, nonce, plain, _, sealed = (bytes.fromhex(text) for text in PUBLISHED["15"])
    monkeypatch.setattr(os, "urandom", lambda count: nonce[:count])
    assert Seal(key).seal(plain, purpose="") == b"\x01" + nonce + sealed


def test_the_purpose_is_the_associated_data() -> None:
    sealed = Seal(KEY).seal(b"plain", purpose="contents/17")
    assert AESGCM(KEY).decrypt(sealed[1:13], sealed[13:], b"contents/17") == b"plain"


@pytest.mark.parametrize("plain", [b"", b"x", bytes(8192)])
def test_what_was_sealed_opens_and_is_29_bytes_longer(plain: bytes) -> None:
    sealed = Seal(KEY).seal(plain, purpose="contents/17")
    assert len(sealed) == len(plain) + 29
    assert Seal(KEY).open(sealed, purpose="contents/17") == plain


def test_the_same_is_never_sealed_alike() -> None:
    seal = Seal(KEY)
    assert len({seal.seal(b"plain", purpose="") for _ in range(100)}) == 100


def test_no_changed_bit_opens() -> None:
    seal = Seal(KEY)
    sealed = seal.seal(b"sixteen bytes...", purpose="contents/17")
    for bit in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unreadable):
            seal.open(bytes(changed), purpose="contents/17")


def test_no_shorter_or_longer_seal_opens() -> None:
    seal = Seal(KEY)
    sealed = seal.seal(b"plain", purpose="contents/17")
    for other in (*(sealed[:length] for length in range(len(sealed))), sealed + b"\0", b"\0" + sealed):
        with pytest.raises(Unreadable):
            seal.open(other, purpose="contents/17")


@pytest.mark.parametrize("purpose", ["", "contents/1", "contents/170", "contents/18", "Contents/17"])
def test_nothing_opens_for_another_purpose(purpose: str) -> None:
    sealed = Seal(KEY).seal(b"canary", purpose="contents/17")
    with pytest.raises(Unreadable) as caught:
        Seal(KEY).open(sealed, purpose=purpose)
    assert "canary" not in str(caught.value)


def test_nothing_opens_under_another_key() -> None:
    sealed = Seal(KEY).seal(b"plain", purpose="contents/17")
    with pytest.raises(Unreadable, match="bring back the key"):
        Seal(OTHER_KEY).open(sealed, purpose="contents/17")


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_a_seal_wants_a_key_of_32_bytes(length: int) -> None:
    with pytest.raises(ConfigError, match=f"has {length} bytes"):
        Seal(bytes(length))


def test_a_seal_does_not_show_its_key() -> None:
    seal = Seal(KEY)
    seal.seal(b"", purpose="")
    assert repr(seal) == str(seal) == "Seal(…)"
    assert not hasattr(seal, "__dict__")


def test_the_package_is_imported_with_the_first_seal() -> None:
    program = (
        "import sys; from encoder_bridge.sealing import Seal; seal = Seal(bytes(32));"
        "assert 'cryptography' not in sys.modules; seal.seal(b'', purpose=''); assert 'cryptography' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigError, match="package cryptography"):
        Seal(KEY).seal(b"", purpose="")


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "write", [lambda key: key.hex().encode(), lambda key: key.hex().upper().encode(), base64.b64encode, bytes]
)
def test_a_key_is_read_in_each_of_its_spellings(write: Callable[[bytes], bytes], ending: bytes) -> None:
    assert parse_key(write(KEY) + ending, HERE) == KEY


@pytest.mark.parametrize("ending", [b"", b"\n"])
@pytest.mark.parametrize("last", [b"\n", b"\r", b"\0\n", b"\r\n"])
def test_raw_bytes_that_end_like_a_line_keep_their_end(last: bytes, ending: bytes) -> None:
    key = KEY[: -len(last)] + last
    assert parse_key(key + ending, HERE) == key


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\n",
        KEY.hex().encode()[:-1],
        KEY.hex().encode() + b"\n\n",
        b" " + KEY.hex().encode(),
        KEY.hex(" ").encode(),
        b"g" * 64,
        base64.b64encode(KEY[:31]),
        base64.b64encode(KEY + b"\0"),
        base64.urlsafe_b64encode(b"\xff" * 32),
        KEY[:31],
        KEY + b"\0",
        KEY[:16].hex().encode(),
        b"a password of exactly 32 letters",
        b"a password that has 31 letters\r\n",
    ],
)
def test_anything_else_is_no_key_and_is_not_quoted(contents: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_key(contents, HERE)
    assert str(caught.value) == "seal-key holds no key: put 64 hex digits there, such as openssl rand -hex 32 makes."


def test_a_key_that_was_read_is_kept_out_of_logs() -> None:
    parse_key(base64.b64encode(KEY), HERE)
    assert without_secrets(f"{KEY.hex()} {base64.b64encode(KEY).decode()} {KEY!r}").count(KEY.hex()) == 0


def test_a_new_key_is_a_file_that_can_be_read_again(tmp_path: Path) -> None:
    key = make_key(tmp_path / "seal-key")
    contents = (tmp_path / "seal-key").read_bytes()
    assert contents == f"{key.hex()}\n".encode()
    assert without_secrets(key.hex()) == "…"
    assert parse_key(contents, tmp_path / "seal-key") == key
    assert [file.name for file in tmp_path.iterdir()] == ["seal-key"]


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277])
def test_a_new_key_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_key(tmp_path / "seal-key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "seal-key").stat().st_mode) == 0o600


def test_every_new_key_is_another(tmp_path: Path) -> None:
    assert make_key(tmp_path / "one") != make_key(tmp_path / "two")


@pytest.mark.parametrize("there", ["a file", "a link to nowhere"])
def test_what_is_there_is_never_replaced(tmp_path: Path, there: str) -> None:
    path = tmp_path / "seal-key"
    if there == "a file":
        path.write_bytes(b"precious")
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is there already and was left as it is"):
        make_key(path)
    assert [file.name for file in tmp_path.iterdir()] == ["seal-key"]
    assert path.is_symlink() or path.read_bytes() == b"precious"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/seal-key cannot be made \(No such file or directory\)"):
        make_key(tmp_path / "nowhere" / "seal-key")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        make_key(tmp_path / "seal-key")
    assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    """The process is gone."""


STEPS = ("open", "fchmod", "fsync", "link", "unlink")


def synced(descriptor: int) -> str:
    status = os.fstat(descriptor)
    return "folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes"


def die_at(step: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the process be killed before the step of this number; afterwards it can do nothing more."""
    done: list[str] = []

    def killable(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*arguments: Any, **named: Any) -> Any:
            if len(done) >= step:
                raise Killed
            done.append(f"fsync {synced(arguments[0])}" if name == "fsync" else name)
            return act(*arguments, **named)

        return acting

    for name in STEPS:
        monkeypatch.setattr(os, name, killable(name, getattr(os, name)))
    return done


def test_file_then_name_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = die_at(100, monkeypatch)
    make_key(tmp_path / "seal-key")
    assert done == ["open", "fchmod", "fsync 65 bytes", "link", "unlink", "open", "fsync folder"]


@pytest.mark.parametrize("step", range(8))
def test_a_kill_at_any_step_leaves_a_whole_key_or_none(tmp_path: Path, step: int) -> None:
    path = tmp_path / "seal-key"
    with pytest.MonkeyPatch.context() as patched:
        die_at(step, patched)
        if step < 7:
            with pytest.raises(Killed):
                make_key(path)
        else:
            make_key(path)
    assert path.exists() == (step > 3)
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    if path.exists():
        assert len(parse_key(path.read_bytes(), path)) == sealing.KEY_BYTES
    else:
        make_key(path)
        assert len(parse_key(path.read_bytes(), path)) == sealing.KEY_BYTES
