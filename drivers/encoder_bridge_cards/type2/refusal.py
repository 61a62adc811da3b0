"""What is said of a card that is left as it is."""

from __future__ import annotations

from encoder_bridge.driver import CardRejected
from encoder_bridge_cards.personalisation import COUNTED_TRY


def too_small() -> CardRejected:
    """It has not the pages that the profile names, or that the contents need."""
    return CardRejected("This card is too small: take a larger one.", raw="too_small")


def no_room_for_message() -> CardRejected:
    """Its capability container announces less than an NDEF message needs, or something else altogether."""
    return CardRejected("This card has no room for such a message: take another one.", raw="capability_container")


def foreign() -> CardRejected:
    """It guards nothing, and holds something that is not ours."""
    return CardRejected("This card is used by another system: take another card.", raw="foreign_content")


def unknown_key() -> CardRejected:
    """None of our keys opens it."""
    return CardRejected("This card has a password that is not ours: take another one.", raw="unknown_key")


def counted_try() -> CardRejected:
    """One of our keys was tried and is wrong, and the card may count that."""
    return CardRejected(
        "This card may count wrong passwords, and one of ours was wrong: take another one.", raw=COUNTED_TRY
    )


def untried_key() -> CardRejected:
    """A further try could have been the last that it ever allows."""
    return CardRejected(
        "This card may count wrong passwords, so not all of ours were tried: take another one.", raw="untried_key"
    )


def locked() -> CardRejected:
    """Nobody can write a page that would have to change."""
    return CardRejected("This card is locked: take another one.", raw="card_locked")


def not_lockable() -> CardRejected:
    """The area can only be locked together with other pages, or no more."""
    return CardRejected(
        "The pages of this card cannot be locked as the profile wants it: take a card of another kind.",
        raw="not_lockable",
    )


def no_way_for_keys() -> CardRejected:
    """The reader carries reading and writing alone."""
    return CardRejected(
        "This reader cannot send a password to this card: use another reader or another kind of card.",
        raw="no_raw_frames",
    )
