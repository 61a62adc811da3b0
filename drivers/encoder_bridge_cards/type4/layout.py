"""Where a profile's NDEF message goes on an NFC Forum Type 4 Tag.

::

    [profiles.guest.type4]  # it has no keys of its own

Any card of ISO/IEC 14443-4 that was made a Type 4 Tag before: an NTAG 4xx, an ST25TA, a DESFire that was formatted as
one.  Its NDEF file has to be free for everybody to read and to write, and stays so; nothing else on it is touched.
Nothing but NDEF goes there, and no card is formatted.
"""

from __future__ import annotations

from encoder_bridge.driver import CredentialRejected, Secret, SettingsRejected
from encoder_bridge_cards.link import Activation, Family, Link, Refused
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.tables import Table
from encoder_bridge_cards.type4 import area, commands, container
from encoder_bridge_cards.type4.commands import Declined
from encoder_bridge_cards.type4.work import TECHNOLOGY, Type4Work

_LENGTH_SIZE = 2


class Type4Layout:
    """NFC Forum Type 4 Tags; see `Layout`."""

    technologies = frozenset({TECHNOLOGY})
    unit = "file"
    locks = False
    capacity = container.LARGEST_FILE - _LENGTH_SIZE
    """See `Layout`; what a card's own file has room for is found out when it lies there."""

    @classmethod
    def parse(cls, table: Table, secret: Secret, ndef: bool) -> Type4Layout:  # noqa: ARG003
        """Read the table of a profile to its end.

        Raises:
            SettingsRejected: there is a key in it, or the profile makes no NDEF messages.
        """
        table.end()
        if not ndef:
            raise SettingsRejected(f'{table.where}: only NDEF goes onto NFC Forum Type 4 Tags; set format = "ndef".')
        return cls()

    def places(self, image: bytes, *, ndef: bool) -> Contents:
        """See `Layout`; the one place is `area.PLACE`.

        Raises:
            CredentialRejected: the message is too long, or is none.
        """
        if not ndef:
            raise CredentialRejected(
                'Only NDEF messages are written to NFC Forum Type 4 Tags: use a profile with format = "ndef".'
            )
        if len(image) > self.capacity:
            raise CredentialRejected(
                f"The message is {len(image)} bytes long and a Type 4 Tag has room for {self.capacity}: shorten it."
            )
        return area.placed(len(image).to_bytes(_LENGTH_SIZE, "big") + image)

    def raw(self, places: Contents) -> Contents:  # noqa: ARG002
        """See `Layout`.

        Raises:
            CredentialRejected: always: what readers make of a Type 4 Tag is an NDEF message.
        """
        raise CredentialRejected(
            'Files computed elsewhere are not written to NFC Forum Type 4 Tags: use a profile with format = "ndef".'
        )

    def fits(self, activation: Activation) -> bool:
        """See `Layout`."""
        return activation.family is Family.ISO_DEP

    def on(self, link: Link, activation: Activation) -> Type4Work | None:
        """See `Layout`: a card of this technology is one that has the NDEF application."""
        if not self.fits(activation):
            return None
        try:
            commands.select_application(link)
        except Declined:
            return None
        except Refused:
            link.activate()
            return None
        return Type4Work(link, activation)
