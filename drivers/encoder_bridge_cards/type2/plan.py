"""What a profile wants of cards with pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from encoder_bridge.driver import CredentialRejected, Secret
from encoder_bridge_cards import keys
from encoder_bridge_cards.diversification import Cipher
from encoder_bridge_cards.keys import CardKey
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.tables import Table
from encoder_bridge_cards.type2 import tlv
from encoder_bridge_cards.type2.guard import Shield
from encoder_bridge_cards.type2.pages import PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The table of a profile; no key, only the way to one."""

    first_page: int
    last_page: int | None
    """None: the last of the card's user memory."""
    largest: int
    """The last page of the user memory of the largest card."""
    message_size: int
    """Bytes that the largest card announces for NDEF."""
    ndef: bool
    """It is for NDEF messages."""
    key: CardKey | None
    shield: Shield
    """Where there is a key."""
    lock: bool

    @classmethod
    def parse(
        cls,
        table: Table,
        secret: Secret,
        ndef: bool,
        *,
        key: str,
        length: int,
        cipher: Cipher,
        largest: int,
        message_size: int,
        last_protectable: int,
    ) -> Plan:
        """Read the table of a profile to its end.

        Raises:
            SettingsRejected: a key is wrong; the sentence names it.
        """
        first = table.number("first_page", tlv.FIRST, largest, tlv.FIRST)
        if ndef and first != tlv.FIRST:
            table.refuse("first_page", f"has to be {tlv.FIRST} for NDEF: readers look for it there")
        last = table.optional_number("last_page", first, largest)
        own = table.optional_table(key)
        if own is None:
            for needing in ("protect_from", "read_protected"):
                if needing in table:
                    table.refuse(needing, f"protects nothing without a key: add a table {table.where}.{key}")
        plan = cls(
            first_page=first,
            last_page=last,
            largest=largest,
            message_size=message_size,
            ndef=ndef,
            key=None if own is None else keys.parse(own, secret, length=length, cipher=cipher),
            shield=Shield(
                first_page=table.number("protect_from", tlv.FIRST, last_protectable, first),
                hides=table.flag("read_protected"),
            ),
            lock=table.flag("lock"),
        )
        table.end()
        return plan

    @property
    def capacity(self) -> int:
        """Bytes of the area on the largest card."""
        return (self._last + 1 - self.first_page) * PAGE

    def area(self, last_page: int) -> range:
        """The pages of the area on a card whose user memory ends at `last_page`."""
        return range(self.first_page, (last_page if self.last_page is None else self.last_page) + 1)

    def places(self, image: bytes, *, ndef: bool) -> Contents:
        """See `Layout`.

        For NDEF, page 3 stands among the contents: the capability container of a card that is just large enough.

        Raises:
            CredentialRejected: the image is too long.
        """
        room = self.capacity
        if not ndef:
            return dict(self._laid(image, room))
        blocks = tlv.wrapped(image)
        contents = dict(self._laid(blocks, min(room, self.message_size)))
        return {tlv.CONTAINER: tlv.container(len(blocks)), **contents}

    def raw(self, places: Contents) -> Contents:
        """See `Layout`.

        Raises:
            CredentialRejected: a page is outside the area, or has not 4 bytes.
        """
        for page, data in places.items():
            if not self.first_page <= page <= self._last:
                raise CredentialRejected(
                    f"Page {page} is none of this profile's: they go from {self.first_page} to {self._last}."
                )
            if len(data) != PAGE:
                raise CredentialRejected(f"Page {page} has to be {PAGE} bytes, not {len(data)}.")
        return dict(sorted(places.items()))

    @property
    def _last(self) -> int:
        return self.largest if self.last_page is None else self.last_page

    def _laid(self, image: bytes, room: int) -> Iterator[tuple[int, bytes]]:
        if len(image) > room:
            raise CredentialRejected(
                f"The contents are {len(image)} bytes long and the profile's pages have room for {room}: "
                "give it more pages."
            )
        for page, start in enumerate(range(0, len(image), PAGE), self.first_page):
            yield page, image[start : start + PAGE].ljust(PAGE, b"\0")
