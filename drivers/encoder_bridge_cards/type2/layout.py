"""Where a profile's contents go on NTAG213/215/216 and MIFARE Ultralight EV1, and under which password.

::

    [profiles.guest.ntag]
    first_page = 4  # of the area; 4 unless it is given, and NDEF has to begin there
    last_page = 39  # of the area; unless it is given, the end of the card's user memory
    protect_from = 4  # AUTH0: from here to the card's end writing takes the password; the area's first page
    read_protected = false  # PROT: reading takes it too
    lock = false  # true: the area is made read only for ever, last of all

    [profiles.guest.ntag.password]  # optional; 6 bytes: PWD (4) and what the card has to answer, PACK (2)

A card can be set to take no password any more after some wrong ones (AUTHLIM).  Such a card is given the newest
password alone.  One that is protected against reading hides whether it is set so, and is treated the same: with
``read_protected`` cards do not follow a change of the password.  AUTHLIM itself is left as it was found.

What a card is, it says itself (GET_VERSION).  A reader that carries only reading and writing cannot ask: then a new
NTAG is told by its capability container and by where its memory ends, no Ultralight EV1 is known, and what has a
password in the profile is refused.
"""

from __future__ import annotations

from encoder_bridge.driver import Secret
from encoder_bridge_cards.diversification import Cipher
from encoder_bridge_cards.link import Activation, Family, Link, Refused, Unsupported
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.tables import Table
from encoder_bridge_cards.type2 import products, tlv
from encoder_bridge_cards.type2.pages import Pages
from encoder_bridge_cards.type2.password import Password
from encoder_bridge_cards.type2.plan import Plan
from encoder_bridge_cards.type2.products import Product
from encoder_bridge_cards.type2.work import PagesWork

_GET_VERSION = b"\x60"
_UID_SIZE = 7


class NtagLayout:
    """NTAG213/215/216 and MIFARE Ultralight EV1; see `Layout`.

    Args:
        plan: what the profile wants.
    """

    technologies = frozenset(product.technology for product in products.VERSIONS.values())
    unit = "page"

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @classmethod
    def parse(cls, table: Table, secret: Secret, ndef: bool) -> NtagLayout:
        """Read the table of a profile to its end.

        Raises:
            SettingsRejected: a key is wrong; the sentence names it.
        """
        return cls(
            Plan.parse(
                table,
                secret,
                ndef,
                key="password",
                length=6,
                cipher=Cipher.AES_128,
                largest=products.LARGEST.last_page,
                message_size=products.LARGEST.message_size,
                last_protectable=products.LARGEST.configuration,
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
        """See `Layout`; a card of another technology is left selected."""
        if not self.fits(activation):
            return None
        takes_keys = True
        pages = Pages(link, activation.uid, is_fast=True)
        try:
            product = products.VERSIONS.get(link.exchange(_GET_VERSION))
        except Unsupported:
            takes_keys = False
            product = _by_container(pages)
        except Refused:
            pages.select()
            return None
        if product is None:
            return None
        return PagesWork(pages, Password(pages, product, takes_keys=takes_keys), self._plan, activation.uid)


def _by_container(pages: Pages) -> Product | None:
    """Which NTAG a card is by what it says in page 3, if its memory ends where that NTAG's does."""
    head = pages.peek(tlv.CONTAINER, tlv.CONTAINER)
    product = products.CONTAINERS.get((head or {}).get(tlv.CONTAINER, b""))
    if product is None:
        return None
    end = pages.peek(product.end, product.end + 1)
    return product if end is not None and list(end) == [product.end] else None
