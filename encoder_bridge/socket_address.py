"""Unix sockets in folders that are too deep for a socket's address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_BYTES = 107
"""What `sockaddr_un.sun_path` holds beside its final zero (unix(7))."""


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """What to bind or connect to for the socket at `path`, however deep its folder lies.

    Inside the context a long path is reached through its folder, held open (proc(5), ``/proc/self/fd``).

    Raises:
        OSError: there is no such folder.
    """
    if len(os.fsencode(path)) <= LONGEST_BYTES:
        yield os.fspath(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
