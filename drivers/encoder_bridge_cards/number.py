"""Enrolment: a card is used by its number alone.  The number is read twice, nothing is written."""

from __future__ import annotations

from collections.abc import Mapping

from encoder_bridge.driver import Card, CardRejected, Credential, CredentialRejected, Secret
from encoder_bridge_cards.link import Activation, Family, Link
from encoder_bridge_cards.personalisation import Contents, Ours, Progress
from encoder_bridge_cards.tables import Table


class NumberFormat:
    """A format without contents."""

    ndef = False

    @classmethod
    def parse(cls, table: Table, secret: Secret) -> NumberFormat:  # noqa: ARG003
        """Read the format's keys, of which there are none."""
        return cls()

    def image(self, credential: Credential, uid: bytes | None, unit: str) -> bytes:  # noqa: ARG002
        """Make nothing."""
        return b""

    def tells(self, image: bytes, uid: bytes) -> Mapping[str, str] | None:  # noqa: ARG002
        """Tell nothing: the number says whose card it is to whom keeps a list."""
        return None


class NumberLayout:
    """Any card whose number stays the same."""

    technologies = frozenset(family.value for family in Family)
    unit = "number"
    locks = False
    capacity = 0

    def places(self, image: bytes, *, ndef: bool) -> Contents:  # noqa: ARG002
        """Lay nothing anywhere."""
        return {}

    def raw(self, places: Contents) -> Contents:
        """Refuse what would have to be written.

        Raises:
            CredentialRejected: always, unless there is nothing.
        """
        if places:
            raise CredentialRejected("This profile writes nothing: use one that has a place for the contents.")
        return {}

    def fits(self, activation: Activation) -> bool:  # noqa: ARG002
        """See `Layout`: every card has a number."""
        return True

    def on(self, link: Link, activation: Activation) -> NumberWork:
        """See `Layout`."""
        return NumberWork(link, activation)


class NumberWork:
    """One card whose number is read."""

    def __init__(self, link: Link, activation: Activation) -> None:
        self._link = link
        self._uid = activation.uid
        self._has_random_uid = activation.has_random_uid
        self.card = Card(technology=activation.family.value, uid=activation.uid.hex())

    def survey(self, ours: Ours, *, resuming: bool) -> None:  # noqa: ARG002
        """See `Work`; the number is read a second time.

        Raises:
            CardRejected: the card draws another number each time.
        """
        if self._has_random_uid or self._link.activate().uid != self._uid:
            raise CardRejected("This card shows another number each time: take one with a number that stays.")

    def write(self, contents: Contents, progress: Progress) -> None:
        """Write nothing."""

    def verify(self, contents: Contents) -> None:
        """Nothing: `survey` read the number twice."""

    def read(self) -> Contents:
        """Read nothing."""
        return {}

    def blank(self) -> Contents:
        """Nothing."""
        return {}
