"""What can go wrong that is not a driver's fault.

::

    BridgeError
    ├── ConfigError       refuse to start, exit code 78, name the key
    ├── StoreError        the store is damaged, full or newer than this program: stop, exit code 74
    ├── MalformedMessage  record it, answer it, never retry
    └── BrokerError       the broker cannot be had where it is indispensable

Each carries one sentence that says what happened and what to do.
"""

from __future__ import annotations


class BridgeError(Exception):
    """Root of the tree; `exit_code` follows sysexits.h."""

    exit_code = 70


class ConfigError(BridgeError):
    """The configuration cannot be used."""

    exit_code = 78


class StoreError(BridgeError):
    """The store cannot be used or trusted any more."""

    exit_code = 74


class MalformedMessage(BridgeError):
    """A message from outside that nobody can act on.

    Args:
        error_type: stable word for programs, such as `invalid_json`.
        sentence: for people; never quotes the message's contents.
        message_id: the sender's id, where it could be read.
    """

    exit_code = 65

    def __init__(self, error_type: str, sentence: str, *, message_id: str | None = None) -> None:
        super().__init__(sentence)
        self.error_type = error_type
        self.message_id = message_id


class BrokerError(BridgeError):
    """No broker where one was asked for by name."""

    exit_code = 69


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error that is no group itself: what is told of tasks that failed together."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
