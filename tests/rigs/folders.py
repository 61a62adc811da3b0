"""Folders for stores that are written often."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def memory_folder() -> Iterator[Path]:
    """A fresh folder that is gone afterwards, in memory where the system has `/dev/shm`."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="encoder-bridge-", dir=shared if shared.is_dir() else None) as name:
        yield Path(name)
