"""What the suite overhears: input and output, logs and standard streams."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from encoder_bridge.driver import Secret

_IO_EVENTS = frozenset({
    "open", "os.listdir", "os.scandir", "os.system", "os.posix_spawn", "subprocess.Popen",
    "socket.__new__", "socket.connect", "socket.getaddrinfo", "sqlite3.connect",
})  # fmt: skip


class _Io:
    """The interpreter's audit events; a hook cannot be removed, so one is added once and told when to listen."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.listening = False
        self._hooked = False

    def hook(self) -> None:
        if not self._hooked:
            sys.addaudithook(self._hear)
            self._hooked = True

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if self.listening and event in _IO_EVENTS:
            self.heard.append(f"{event}{args!r}")


_io = _Io()


@contextmanager
def watched_io() -> Iterator[list[str]]:
    """Collect what this interpreter opens, connects to and starts."""
    _io.hook()
    _io.heard, _io.listening = [], True
    try:
        yield _io.heard
    finally:
        _io.listening = False


def unwatched(secret: Secret) -> Secret:
    """Let the rig's own secrets come from wherever they come."""

    def fetch(name: str) -> bytes:
        before, _io.listening = _io.listening, False
        try:
            return secret(name)
        finally:
            _io.listening = before

    return fetch


_LINE = logging.Formatter("%(name)s %(message)s")


def line(record: logging.LogRecord) -> list[str]:
    """Return what is read in a log."""
    return [_LINE.format(record)]


def everything(record: logging.LogRecord) -> list[str]:
    """Return all that a handler could make of a record."""
    return [*line(record), repr(record.args), repr(record.__dict__)]


class _Overhear(logging.Handler):
    def __init__(self, words: list[str], wording: Callable[[logging.LogRecord], list[str]]) -> None:
        super().__init__(level=1)
        self._words = words
        self._wording = wording

    def emit(self, record: logging.LogRecord) -> None:
        self._words += self._wording(record)


@contextmanager
def overheard(wording: Callable[[logging.LogRecord], list[str]] = everything) -> Iterator[list[str]]:
    """Collect every log record, at every level, and what is printed; leave logging as it was."""
    words: list[str] = []
    root, handler = logging.getLogger(), _Overhear(words, wording)
    loggers = [logger for logger in root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    levels = [(logger, logger.level) for logger in (root, *loggers)]
    disabled = root.manager.disable
    ends = [root, *(logger for logger in loggers if not logger.propagate)]
    for logger, level in levels:
        if level:
            logger.setLevel(1)
    root.setLevel(1)
    for logger in ends:
        logger.addHandler(handler)
    logging.disable(logging.NOTSET)
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            yield words
    finally:
        words.append(out.getvalue())
        logging.disable(disabled)
        for logger in ends:
            logger.removeHandler(handler)
        for logger, level in levels:
            logger.setLevel(level)


def leaks(words: Iterable[str], canaries: Iterable[str | bytes]) -> list[str]:
    """Say which canaries occur in `words`: as text, as Python would show their bytes, in hex or base64."""
    heap = "\n".join(words)
    flat = "".join(heap.split()).replace(":", "").lower()
    found = []
    for number, canary in enumerate(canaries, start=1):
        data = canary.encode() if isinstance(canary, str) else canary
        plain = data.decode("latin-1") if isinstance(canary, bytes) else canary
        shown = repr(data)[2:-1]
        if any(form in heap for form in (plain, shown, base64.b64encode(data).decode())) or data.hex() in flat:
            found.append(f"canary number {number}")
    return found
