"""Exceptions as text without what they carry: no locals, no inputs, no message that is not known to be harmless."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Iterator

from encoder_bridge.driver import DriverError
from encoder_bridge.errors import BridgeError
from encoder_bridge.redaction import HIDDEN

_HARMLESS = (
    BridgeError,
    DriverError,
    OSError,
    ImportError,
    AttributeError,
    NameError,
    TypeError,
    NotImplementedError,
    sqlite3.Error,
)
"""Their messages name files, modules, types and attributes; a `ValueError` or `KeyError` names what was sent."""
_HARMLESS_PACKAGES = ("aiomqtt", "paho")
_DEEPEST = 12


def brief(error: BaseException) -> str:
    """The error in one line."""
    kind = type(error)
    is_harmless = isinstance(error, _HARMLESS) or kind.__module__.partition(".")[0] in _HARMLESS_PACKAGES
    message = " ".join(str(error).split())
    if not message:
        return kind.__qualname__
    return f"{kind.__qualname__}: {message if is_harmless else HIDDEN}"


def render(error: BaseException) -> str:
    """The error with its causes and its stack, as Python prints it, less what `brief` hides."""
    return "\n".join(_lines(error, 0))


def _lines(error: BaseException, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        yield HIDDEN
        return
    if error.__cause__ is not None:
        yield from _lines(error.__cause__, depth + 1)
        yield "The above exception was the direct cause of the following one:"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield from _lines(error.__context__, depth + 1)
        yield "During its handling, another exception occurred:"
    yield "Traceback (most recent call last):"
    for frame in traceback.format_tb(error.__traceback__):
        yield frame.rstrip("\n")
    yield brief(error)
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from ("  | " + line for line in _lines(member, depth + 1))
