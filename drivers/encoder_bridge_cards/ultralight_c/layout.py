"""Where a profile's contents go on MIFARE Ultralight C, and under which key.

::

    [profiles.guest.ultralight_c]
    first_page = 4  # of the area; 4 unless it is given, and NDEF has to begin there
    last_page = 39  # of the area; 39 unless it is given
    protect_from = 4  # AUTH0: from here to the card's end writing takes the key; the area's first page
    read_protected = false  # AUTH1: reading takes it too
    lock = false  # true: the area is made read only for ever, last of all

    [profiles.guest.ultralight_c.key]  # optional; 16 bytes in the order of the cipher, see `authentication`
"""

from __future__ import annotations

from encoder_bridge.driver import Secret
from encoder_bridge_cards.diversification import Cipher
from encoder_bridge_cards.link import Activation, Family, Link, Refused, Unsupported
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.tables import Table
from encoder_bridge_cards.type2.pages import Pages
from encoder_bridge_cards.type2.plan import Plan
from encoder_bridge_cards.type2.work import PagesWork
from encoder_bridge_cards.ultralight_c import guard
from encoder_bridge_cards.ultralight_c.authentication import REQUEST, challenged
from encoder_bridge_cards.ultralight_c.guard import KeyGuard

_UID_SIZE = 7


class UltralightCLayout:
    """MIFARE Ultralight C; see `Layout`.

    Args:
        plan: what the profile wants.
    """

    technologies = frozenset({guard.TECHNOLOGY})
    unit = "page"

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @classmethod
    def parse(cls, table: Table, secret: Secret, ndef: bool) -> UltralightCLayout:
        """Read the table of a profile to its end.

        Raises:
            SettingsRejected: a key is wrong; the sentence names it.
        """
        return cls(
            Plan.parse(
                table,
                secret,
                ndef,
                key="key",
                length=16,
                cipher=Cipher.TDEA_2,
                largest=guard.LAST_PAGE,
                message_size=guard.MESSAGE_SIZE,
                last_protectable=guard.AUTH0,
            )
        )

    @property
    def capacity(self) -> int:
        """See `Layout`."""
        return self._plan.capacity

    @property
    def locks(self) -> bool:
        """See `Layout`."""
        return self._plan.lock

    def places(self, image: bytes, *, ndef: bool) -> Contents:
        """See `Layout`, and `Plan.places`."""
        return self._plan.places(image, ndef=ndef)

    def raw(self, places: Contents) -> Contents:
        """See `Layout`, and `Plan.raw`."""
        return self._plan.raw(places)

    def fits(self, activation: Activation) -> bool:
        """See `Layout`."""
        return activation.family is Family.TYPE_2 and len(activation.uid) == _UID_SIZE

    def on(self, link: Link, activation: Activation) -> PagesWork | None:
        """See `Layout`; a card of another technology is left selected.

        An Ultralight C alone answers the beginning of its authentication with eight bytes, whatever its key.
        """
        if not self.fits(activation):
            return None
        pages = Pages(link, activation.uid, is_fast=False)
        try:
            is_ours = challenged(link.exchange(REQUEST)) is not None
        except Unsupported:
            return None
        except Refused:
            is_ours = False
        pages.select()  # which also ends an authentication that was only begun
        return PagesWork(pages, KeyGuard(pages), self._plan, activation.uid) if is_ours else None
