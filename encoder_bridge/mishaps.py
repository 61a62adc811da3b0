"""What befalls a device or its driver, as people are told of it, and what a driver hands back that cannot be kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from encoder_bridge import texts
from encoder_bridge.driver import Card, DeviceUnavailable, DriverError, Evidence, Receipt
from encoder_bridge.model import Problem


def told(error: DriverError) -> Problem:
    """A driver's error, in its own words."""
    return Problem(type=str(error.error_type), message=str(error))


def unavailable(problem: Problem) -> DeviceUnavailable:
    """The error after which a device is opened again."""
    return DeviceUnavailable(problem.message, error_type=problem.type)


def hung() -> Problem:
    """The device does not come back with what it owes."""
    return texts.problem("encoder_communication_timeout")


def gone() -> Problem:
    """The device is not there any more."""
    return texts.problem("encoder_not_online")


def broken() -> Problem:
    """The driver did what no driver may."""
    return texts.problem("uncategorized_error")


def sound(receipt: object) -> Receipt:
    """The receipt, if it is one that can be stored.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(receipt, Receipt) or not isinstance(receipt.evidence, Evidence):
        raise TypeError("the driver returned something that is no receipt")
    if not is_plain(receipt.card, receipt.note):
        raise TypeError("the driver's receipt holds something that is no text")
    return receipt


def is_plain(card: Card | None, note: Mapping[Any, Any]) -> bool:
    """Whether what a driver hands over to be kept is text, as the port says."""
    words = [*note.keys(), *note.values()]
    if card is not None:
        words += [card.technology] if card.uid is None else [card.technology, card.uid]
    return all(isinstance(text, str) for text in words)
