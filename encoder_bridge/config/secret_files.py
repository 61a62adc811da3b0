"""Reading secrets from files that nobody else can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from encoder_bridge.errors import ConfigError
from encoder_bridge.redaction import conceal

_LARGEST_BYTES = 65_536


def named(name: str, secrets: Mapping[str, Path]) -> Path:
    """The file of the secret of this name.

    Raises:
        ConfigError: there is none.
    """
    if name in secrets:
        return secrets[name]
    near = get_close_matches(name, secrets, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"add secrets.{name} = <file> to the configuration."
    raise ConfigError(f"There is no secret {name!r}: {hint}")


def read(key: str, path: Path, credentials: Path | None) -> bytes:
    """The file's bytes without one trailing line break; from now on they are kept out of every log.

    Args:
        key: the key of the configuration that names the file.
        path: the file.
        credentials: systemd's credentials directory, the one place where modes are systemd's business.

    Raises:
        ConfigError: the file cannot be read, is open to other users, is empty or is far too large.
    """
    try:
        # O_NONBLOCK: a pipe must not hold the start up.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(f"{key}: the file {path} cannot be read ({error.strerror}): put the secret there.") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{key}: {path} is not a file: name the file that holds the secret.")
        is_credential = credentials is not None and path.resolve().is_relative_to(credentials.resolve())
        if mode & 0o077 and not is_credential:
            raise ConfigError(f"{key}: other users may read {path}: run chmod 600 on it.")
        secret = os.read(descriptor, _LARGEST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(secret) > _LARGEST_BYTES:
        raise ConfigError(f"{key}: {path} has more than {_LARGEST_BYTES} bytes: name the file that holds the secret.")
    secret = secret.removesuffix(b"\n").removesuffix(b"\r")
    if not secret:
        raise ConfigError(f"{key}: {path} is empty: put the secret there.")
    conceal(secret)
    return secret
