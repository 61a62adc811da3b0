"""Programs nobody here wrote, pointed at a PN532 in software."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nfc
import nfc.clf.pn532
import nfc.clf.transport
import pytest

from virtual.pn532 import Pn532

PATIENCE_S = 20.0


def run(reader: Pn532, program: str, *arguments: str | Path) -> str:
    """Run a program of libnfc-bin or libfreefare-bin to its end; returns what it printed.

    Raises:
        AssertionError: it ended badly.
    """
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: it comes with libnfc-bin or libfreefare-bin")
    done = subprocess.run(
        [program, *map(str, arguments)],
        env={**os.environ, "LIBNFC_DEVICE": f"pn532_uart:{reader.path}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    printed = done.stdout.decode(errors="replace")
    assert done.returncode == 0, printed + done.stderr.decode(errors="replace")
    return printed


@contextmanager
def nfcpy(reader: Pn532) -> Iterator[nfc.ContactlessFrontend]:
    """A reader opened by nfcpy, by object: its search for a path knows no pseudo terminal."""
    frontend = nfc.ContactlessFrontend()
    frontend.device = nfc.clf.pn532.init(nfc.clf.transport.TTY(reader.path))
    try:
        yield frontend
    finally:
        frontend.close()


def found(frontend: nfc.ContactlessFrontend) -> nfc.tag.Tag:
    """The tag on the reader, as nfcpy identifies it."""
    target = frontend.sense(nfc.clf.RemoteTarget("106A"))
    assert target is not None
    tag = nfc.tag.activate(frontend, target)
    assert tag is not None
    return tag
