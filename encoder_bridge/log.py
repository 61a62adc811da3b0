"""Logging: ours and the drivers' go one way, through one redaction, to standard error.

Under systemd's journal a line is JSON behind its priority (``<6>{"time": …}``), elsewhere it is text.  Fields are
shown if `encoder_bridge.redaction` lists them; an event is a constant text and never holds a value.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from encoder_bridge.redaction import HIDDEN, reduce, reduce_body, without_secrets
from encoder_bridge.tracebacks import brief, render

TRAFFIC = 5
"""Level of messages on the wire, below DEBUG."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
_ONLY_WARNINGS = ("aiomqtt", "asyncio", "mqtt", "paho")
_META = ("_record", "_from_structlog")

Event = MutableMapping[str, Any]


class Logger(structlog.BoundLoggerBase):
    """What `get_logger` gives; `bind` fields that belong to every line."""

    def traffic(self, direction: str, topic: str, payload: bytes) -> None:
        """Log a message on the wire with everything hidden that is not on the allow-list.

        Args:
            direction: `in` or `out`.
            topic: where it came from or went to.
            payload: as sent.
        """
        self._emit(TRAFFIC, "message", direction=direction, topic=topic, payload=payload)

    def debug(self, event: str, **fields: object) -> None:
        """Log what only helps to find a fault."""
        self._emit(logging.DEBUG, event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """Log the normal course of things."""
        self._emit(logging.INFO, event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log what went wrong and mends itself."""
        self._emit(logging.WARNING, event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """Log what somebody has to look at."""
        self._emit(logging.ERROR, event, **fields)

    def exception(self, event: str, error: BaseException | None = None, **fields: object) -> None:
        """Log a bug with its stack: `error`, or else the exception at hand."""
        self._emit(logging.ERROR, event, exc_info=error or sys.exc_info()[1], **fields)

    def _emit(self, level: int, event: str, **fields: object) -> None:
        if self._logger.isEnabledFor(level):
            arguments, extra = self._process_event("", event, fields)
            self._logger.log(level, *arguments, **extra)


def get_logger(name: str) -> Logger:
    """The logger of this name; the name is shown in every line."""
    logger: Logger = structlog.get_logger(name)
    return logger


def configure(level: str, form: str, *, stream: TextIO | None = None, environ: Mapping[str, str] | None = None) -> None:
    """Send everything that is logged in this process to one stream.

    Args:
        level: `traffic`, `debug`, `info`, `warning` or `error`.
        form: `json`, `text` or `auto`.
        stream: standard error unless given.
        environ: the process's unless given; `JOURNAL_STREAM` says whether the stream is the journal.
    """
    stream = stream or sys.stderr
    is_journal = _is_journal(stream, os.environ if environ is None else environ)
    render_line: Processor = _text
    if form == "json" or (form == "auto" and is_journal):
        render_line = _Json(prefixed=form == "auto")
    handler = _Handler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[render_line], foreign_pre_chain=[_redact]))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(TRAFFIC if level == "traffic" else level.upper())
    for name in _ONLY_WARNINGS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable


class _Handler(logging.StreamHandler[TextIO]):
    """A handler that tells of its own failures without quoting the record."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        place = f"{record.name}, {os.path.basename(record.pathname)}:{record.lineno}"  # noqa: PTH119 - no path is made
        try:
            self.stream.write(f"a line could not be logged ({place})\n")
            self.flush()
        except (OSError, ValueError):
            return


def _redact(_logger: Any, _method: str, event: Event) -> Event:
    """The choke point: what leaves here may be seen by anybody."""
    meta = {key: event.pop(key) for key in _META if key in event}
    text, error, payload = str(event.pop("event", "")), event.pop("exc_info", None), event.pop("payload", None)
    event.pop("stack_info", None)
    record = meta.get("_record")
    if record is not None and record.name == "asyncio":
        text = text.partition("\n")[0]  # further lines are reprs of tasks and their exceptions
    shown: dict[str, Any] = {"event": text}
    shown |= reduce(event, ours=True)
    shown |= {key: brief(value) for key, value in event.items() if isinstance(value, BaseException)}
    if payload is not None:
        shown["payload"] = reduce_body(payload, ours=event.get("direction") == "out")
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        shown["exception"] = render(error)
    return {**shown, **meta}


class _Json:
    """One line of JSON, behind the priority where the journal reads it."""

    def __init__(self, *, prefixed: bool) -> None:
        self._prefixed = prefixed

    def __call__(self, _logger: Any, _method: str, event: Event) -> str:
        record = _take_record(event)
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        head = {"time": moment.replace("+00:00", "Z"), "level": record.levelname.lower(), "logger": record.name}
        line = without_secrets(json.dumps({**head, **event}, ensure_ascii=False, default=lambda _: HIDDEN))
        if not self._prefixed:
            return line
        return f"<{next(priority for level, priority in _PRIORITIES if record.levelno >= level)}>{line}"


def _text(_logger: Any, _method: str, event: Event) -> str:
    record = _take_record(event)
    moment = time.strftime("%H:%M:%S", time.localtime(record.created))
    text, stack = _one_line(event.pop("event")), event.pop("exception", None)
    fields = "".join(f"  {key}={_one_line(_word(value))}" for key, value in event.items())
    line = f"{moment} {record.levelname.lower():<8}{text}{fields}  ({record.name})"
    if stack:
        line += "".join(f"\n    {part}" for part in map(_printable, stack.splitlines()))
    return without_secrets(line)


def _take_record(event: Event) -> logging.LogRecord:
    record: logging.LogRecord = event.pop("_record")
    event.pop("_from_structlog", None)
    return record


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=lambda _: HIDDEN)


def _one_line(text: str) -> str:
    return _printable(text.replace("\n", "\\n"))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether `JOURNAL_STREAM`, device and inode, names this stream; a redirected one inherits the variable."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _log_thread(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_type is SystemExit:
        return
    get_logger("encoder_bridge").exception("a thread ended with an exception", hook.exc_value)


def _log_unraisable(hook: Any) -> None:
    get_logger("encoder_bridge").exception("an exception could not be raised", hook.exc_value)


logging.addLevelName(TRAFFIC, "TRAFFIC")
structlog.configure(
    processors=[_redact, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=Logger,
    cache_logger_on_first_use=True,
)
