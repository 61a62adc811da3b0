"""Bytes that lie on the disk encrypted, under a key that lies elsewhere.

AES-256-GCM (NIST SP 800-38D) with the purpose as associated data; what is sealed for one purpose opens for no other::

     0         1             13                     n - 16        n
    +---------+-------------+----------------------+-------------+
    | version | nonce       | ciphertext           | tag         |
    | 01      | 12, random  | as long as the plain | 16          |
    +---------+-------------+----------------------+-------------+

Random nonces of 96 bits are good for 2**32 seals under one key (SP 800-38D, 8.3).
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from encoder_bridge.errors import BridgeError, ConfigError
from encoder_bridge.redaction import conceal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32

_VERSION = b"\x01"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEX = re.compile(rb"[0-9A-Fa-f]{64}")
_PASSWORD = re.compile(rb"[ -~]*[\r\n]*")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{43}=")


class Unreadable(BridgeError):
    """Sealed bytes that do not open."""


class Seal:
    """Seals and opens under one key of 32 bytes.

    Raises:
        ConfigError: the key has another length.
    """

    __slots__ = ("_cipher", "_key")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError(f"The key to seal with has {len(key)} bytes: give one of {KEY_BYTES}.")
        self._key = key
        self._cipher: AESGCM | None = None

    def __repr__(self) -> str:
        return "Seal(…)"

    def seal(self, plain: bytes, *, purpose: str) -> bytes:
        """The bytes sealed for this purpose, such as `contents/17`; 29 bytes longer, and different every time.

        Raises:
            ConfigError: the package cryptography is not installed.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._aes().encrypt(nonce, plain, purpose.encode())

    def open(self, sealed: bytes, *, purpose: str) -> bytes:
        """What was sealed for this purpose.

        Raises:
            Unreadable: sealed under another key or for another purpose, or damaged.
            ConfigError: the package cryptography is not installed.
        """
        version, nonce, rest = sealed[:1], sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if version != _VERSION or len(rest) < _TAG_BYTES:
            raise Unreadable("What was sealed is damaged or of a newer version: send its contents again.")
        aes = self._aes()
        from cryptography.exceptions import InvalidTag

        try:
            return aes.decrypt(nonce, rest, purpose.encode())
        except InvalidTag:
            raise Unreadable(
                "What was sealed does not open: bring back the key it was sealed with, or send its contents again."
            ) from None

    def _aes(self) -> AESGCM:
        if self._cipher is None:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            except ImportError:
                raise ConfigError("Sealing needs the Python package cryptography: install it.") from None
            self._cipher = AESGCM(self._key)
        return self._cipher


def parse_key(contents: bytes, path: Path) -> bytes:
    """The key in the contents of a key file; from now on it is kept out of every log.

    64 hex digits, base64 of 32 bytes, or 32 raw bytes, each with or without one line break at the end.

    Args:
        contents: the whole file.
        path: the file, to name it.

    Raises:
        ConfigError: it is none of these, or 32 printable characters, which are a password and no key.
    """
    key = next(filter(None, (_decoded(contents.removesuffix(ending)) for ending in (b"", b"\n", b"\r\n"))), None)
    if key is None:
        raise ConfigError(f"{path} holds no key: put 64 hex digits there, such as openssl rand -hex 32 makes.")
    conceal(key)
    return key


def _decoded(text: bytes) -> bytes | None:
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode())
    if _BASE64.fullmatch(text):
        return base64.b64decode(text)
    return text if len(text) == KEY_BYTES and not _PASSWORD.fullmatch(text) else None


def make_key(path: Path) -> bytes:
    """Make a new key and its file, as 64 hex digits and a line break, for its owner alone (0600).

    Whenever the power fails, the file is there with the whole key or not at all; a file beside it whose name begins
    with a dot and ends in `.new` may be left over.  After the return both file and name are on disk.

    Raises:
        ConfigError: there is a file of this name already, which is left as it is, or none can be made.
    """
    key = secrets.token_bytes(KEY_BYTES)
    conceal(key)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(f"{key.hex()}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            # Not a rename, which would replace a key that others were sealed with.
            os.link(draft, path)
        finally:
            draft.unlink()
        _sync_folder(path.parent)
    except FileExistsError:
        raise ConfigError(f"{path} is there already and was left as it is: use it, or name another file.") from None
    except OSError as error:
        raise ConfigError(f"The key file {path} cannot be made ({error.strerror}): name another.") from None
    return key


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
