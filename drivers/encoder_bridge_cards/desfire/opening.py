"""Which key opens an application or the card itself: the one whose version the card tells, so that none is guessed."""

from __future__ import annotations

from collections.abc import Iterable

from encoder_bridge_cards.desfire import commands, ev1, refusal
from encoder_bridge_cards.desfire.channel import Channel, KeyType, Plain
from encoder_bridge_cards.desfire.plan import FACTORY, MASTER, Open, Plan
from encoder_bridge_cards.keys import CardKey, Key


def current(key: CardKey, uid: bytes | None, version: int) -> Key:
    """Fetch the key of an application that has this version on the card with this number.

    Args:
        key: the way to it.
        uid: the card's number; None: it is not known yet.
        version: what the card says.

    Raises:
        CardRejected: it is none of ours, or it hangs on a number that is not known.
    """
    return FACTORY if version == FACTORY.version else _ours(key, uid, version)


def open_card(plain: Plain, plan: Plan, opens: Open, uid: bytes | None) -> Channel:
    """Open a session with the card's own master key: the profile's, or else the one of delivery.

    Raises:
        CardRejected: it is another one.
        Declined: the card declined.
        Forged: an answer cannot be trusted.
        LinkError: the link broke off.
    """
    version = commands.key_version(plain, MASTER)
    if plan.picc is not None:
        return opens(plain, MASTER, _ours(plan.picc, uid, version).value)
    if version != FACTORY.version:
        raise refusal.locked() if uid is not None else refusal.nameless()
    return ev1.authenticate(plain, MASTER, FACTORY.value, kind=KeyType.TDEA_2)


def _ours(key: CardKey, uid: bytes | None, version: int) -> Key:
    if uid is None and key.diversify is not None:
        raise refusal.nameless()
    return _with_version(key.of(uid or b""), version)


def _with_version(keys: Iterable[Key], version: int) -> Key:
    for key in keys:
        if key.version == version:
            return key
    raise refusal.unknown_key()
