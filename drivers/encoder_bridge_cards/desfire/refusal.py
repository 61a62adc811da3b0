"""What a card's refusals mean, before and after something was done to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from encoder_bridge.driver import CardRejected
from encoder_bridge_cards.desfire.channel import Declined, Forged, Status
from encoder_bridge_cards.link import NoAnswer
from encoder_bridge_cards.personalisation import Mismatch


@contextmanager
def untouched() -> Iterator[None]:
    """Do what changes nothing, or nothing if it is declined.

    Raises:
        CardRejected: the card declined.
        NoAnswer: its answer cannot be trusted.
    """
    try:
        yield
    except Declined as error:
        raise rejection(error.status) from None
    except Forged as error:
        raise NoAnswer(error.what) from None


@contextmanager
def begun(what: str) -> Iterator[None]:
    """Go on with a card that was begun, or prove it.

    Args:
        what: what differs if the card declines.

    Raises:
        Mismatch: the card declined.
        NoAnswer: its answer cannot be trusted.
    """
    try:
        yield
    except Declined as error:
        raise Mismatch(what) from error
    except Forged as error:
        raise NoAnswer(error.what) from None


def rejection(status: int) -> CardRejected:
    """What to say of a card that declines with this status."""
    raw = f"91{status:02x}"
    if status in (Status.OUT_OF_MEMORY, Status.COUNT):
        return CardRejected("This card is full: take another one.", raw=raw)
    if status is Status.AUTHENTICATION_DELAY:
        return CardRejected("This card was tried with wrong keys too often and rests: take another one.", raw=raw)
    if status in (Status.AUTHENTICATION, Status.NO_SUCH_KEY):
        return unknown_key(raw)
    return CardRejected("This card does not do what it is asked: take another one.", raw=raw)


def unknown_key(raw: str = "unknown_key") -> CardRejected:
    """What to say of a card whose keys are not ours."""
    return CardRejected("This card has keys that are not ours: take another one.", raw=raw)


def foreign() -> CardRejected:
    """What to say of a card with another application in our place: a stranger's, or one made for another profile."""
    return CardRejected("This card was made for something else: take another one.", raw="foreign_content")


def full() -> CardRejected:
    """What to say of a card without room."""
    return CardRejected("This card is full: take another one.", raw="card_full")


def locked() -> CardRejected:
    """What to say of a card that only its owner may add to."""
    return CardRejected("Only its owner may put something new on this card: take another one.", raw="card_locked")


def too_old() -> CardRejected:
    """What to say of a card that does not speak the profile's protocol."""
    return CardRejected("This card is too old: take a DESFire EV2 or EV3.", raw="too_old")


def nameless() -> CardRejected:
    """What to say of a card whose keys hang on a number that it does not tell."""
    return CardRejected(
        "This card shows another number each time and tells its own to nobody here: take another one.", raw="no_uid"
    )
