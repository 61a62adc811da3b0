"""Telling a DESFire card from others, and its generation."""

from __future__ import annotations

from enum import StrEnum

from encoder_bridge_cards.desfire import commands
from encoder_bridge_cards.desfire.channel import Declined, Forged, Plain
from encoder_bridge_cards.link import Link, NoAnswer, Refused

_NXP = 0x04
_DESFIRE = 0x01
_SHORTEST = 28


class Generation(StrEnum):
    """A generation of cards, by the name of its technology."""

    EV1 = "mifare_desfire_ev1"
    EV2 = "mifare_desfire_ev2"
    EV3 = "mifare_desfire_ev3"


_MAJORS = {0x01: Generation.EV1, 0x12: Generation.EV2, 0x33: Generation.EV3}
"""By the major number of the hardware."""


def identify(link: Link) -> Generation | None:
    """Ask a card what it is; None: no DESFire card, or one of a generation that is not known here.

    GetVersion begins with ``vendor type subtype major minor``.  A DESFire Light, an NTAG 424 DNA or a DESFire of before
    EV1 answers too, and is another type or major.

    Raises:
        LinkError: the link broke off.
    """
    try:
        answer = commands.version(Plain(link))
    except (Declined, Refused):
        return None
    except Forged as error:
        raise NoAnswer(error.what) from None
    if len(answer) < _SHORTEST or answer[:2] != bytes((_NXP, _DESFIRE)):
        return None
    return _MAJORS.get(answer[3])
