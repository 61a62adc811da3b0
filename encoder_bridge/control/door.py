"""The Unix socket itself: one listener at a path, for its owner alone."""

from __future__ import annotations

import fcntl
import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from encoder_bridge.errors import ConfigError
from encoder_bridge.socket_address import address_of

_BACKLOG = 16
_PEER = struct.Struct("3i")
"""`struct ucred` (unix(7), SO_PEERCRED): process, user, group."""


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen at `path` with mode 0600; what a dead process left there is replaced, the file is removed at the end.

    Raises:
        ConfigError: it cannot be had: no folder, no socket there, or somebody listens already.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        try:
            _bind(listener, path)
            ours = path.lstat().st_ino
        except OSError as error:
            why = error.strerror or "it is no place for a socket"
            raise ConfigError(f"control.socket: {path} cannot be used ({why}): name another.") from None
        try:
            yield listener
        finally:
            with suppress(OSError):
                if path.lstat().st_ino == ours:
                    path.unlink()


def peer_of(connection: socket.socket) -> str:
    """Who is at the other end: ``local:`` and the user's name, or number where it has no name."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return f"local:{_name(_PEER.unpack(peer)[1])}"


@lru_cache(maxsize=64)
def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _bind(listener: socket.socket, path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # two that start together must not both find a dead socket
        _make_room(path)
        with address_of(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen(_BACKLOG)  # only now can anybody connect
    finally:
        os.close(folder)


def _make_room(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"control.socket: {path} is no socket: move it away or name another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as visitor:
        visitor.setblocking(False)
        try:
            with address_of(path) as address:
                visitor.connect(address)
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # its queue is full: somebody listens
            pass
    raise ConfigError(f"control.socket: another bridge listens at {path}: stop it or name another path.")
