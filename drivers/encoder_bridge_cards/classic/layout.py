"""Where a profile's contents go on a MIFARE Classic, and under which keys.

::

    [profiles.guest.classic]
    sectors = [1, 2]  # in rising order
    mad = "4811"  # optional: the application id under which the directory names these sectors

    [profiles.guest.classic.key_a]  # what a lock reads with
    [profiles.guest.classic.key_b]  # what this program writes with; may be left out for NDEF
    [profiles.guest.classic.mad_key_b]  # optional: what the directory is written with
    [profiles.guest.classic.transport_key]  # optional: what cards are delivered with, unless it is FFFFFFFFFFFF

With `format = "ndef"` the public keys of NXP AN1305 are used, and `mad` and `key_a` are left out.

An image fills the data blocks of the sectors from the first to the last; trailers and block 0 are never among them.
"""

from __future__ import annotations

from encoder_bridge.driver import CredentialRejected, Secret
from encoder_bridge_cards import keys
from encoder_bridge_cards.classic import geometry, mad
from encoder_bridge_cards.classic.geometry import BLOCK
from encoder_bridge_cards.classic.plan import Plan
from encoder_bridge_cards.classic.work import ClassicWork
from encoder_bridge_cards.keys import CardKey
from encoder_bridge_cards.link import Activation, Family, Link
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.tables import Table

_MESSAGE = 0x03
"""Tag of an NDEF message (NFC Forum, TLV blocks)."""
_END = 0xFE
"""Tag that ends the blocks."""


class ClassicLayout:
    """MIFARE Classic 1K, 4K and Mini; see `Layout`.

    Args:
        plan: what the profile wants.
    """

    technologies = frozenset(geometry.TECHNOLOGIES.values())
    unit = "block"
    locks = False

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @classmethod
    def parse(cls, table: Table, secret: Secret, ndef: bool) -> ClassicLayout:
        """Read the table of a profile to its end.

        Raises:
            SettingsRejected: a key is wrong; the sentence names it.
        """
        sectors = table.numbers("sectors", 0, 39)
        if list(sectors) != sorted(sectors):
            table.refuse("sectors", "has to be in rising order")
        aid = mad.NDEF_AID if ndef else None
        if not ndef and "mad" in table:
            aid = int.from_bytes(table.hex("mad", 2), "big")
            if aid <= mad.LARGEST_RESERVED:
                table.refuse("mad", "has to be an application of your own: 0000 to 00FF are the directory's")
        if aid is not None and not {0, 16}.isdisjoint(sectors):
            table.refuse("sectors", "cannot have 0 or 16 where the card's directory lies there")
        gaps = set(range(sectors[0], sectors[-1])) - set(sectors) - {16}
        if ndef and gaps:
            table.refuse("sectors", "cannot leave out a sector in the middle of an NDEF message")
        plan = Plan(
            sectors=sectors,
            key_a=None if ndef else _key(table.table("key_a"), secret),
            key_b=_optional(table, "key_b", secret) if ndef else _key(table.table("key_b"), secret),
            transport=_optional(table, "transport_key", secret),
            aid=aid,
            mad_key_b=_optional(table, "mad_key_b", secret) if aid is not None else None,
            ndef=ndef,
        )
        table.end()
        return cls(plan)

    @property
    def capacity(self) -> int:
        """See `Layout`."""
        room = len(self._plan.blocks) * BLOCK
        if not self._plan.ndef:
            return room
        return room - 3 if room - 3 < 0xFF else room - 5

    def places(self, image: bytes, *, ndef: bool) -> Contents:
        """See `Layout`.

        Raises:
            CredentialRejected: the image is too long, or the profile's table speaks of NDEF and the format does not, or
                the other way round.
        """
        if ndef != self._plan.ndef:
            raise CredentialRejected(
                f"The profile's table for MIFARE Classic has to say ndef = {str(ndef).lower()}: mend the configuration."
            )
        if len(image) > self.capacity:
            raise CredentialRejected(
                f"The contents are {len(image)} bytes long and the profile's sectors have room for {self.capacity}: "
                "give it more sectors."
            )
        return self._laid(_wrapped(image) if ndef else image)

    def raw(self, places: Contents) -> Contents:
        """See `Layout`.

        Raises:
            CredentialRejected: a block is none of the profile's data blocks, or has not 16 bytes.
        """
        allowed = self._plan.blocks
        for block, data in places.items():
            if block not in allowed:
                raise CredentialRejected(f"Block {block} is none of the data blocks of this profile's sectors.")
            if len(data) != BLOCK:
                raise CredentialRejected(f"Block {block} has to be {BLOCK} bytes, not {len(data)}.")
        return {block: places[block] for block in allowed if block in places}

    def fits(self, activation: Activation) -> bool:
        """See `Layout`."""
        return activation.family is Family.CLASSIC and activation.blocks in geometry.TECHNOLOGIES

    def on(self, link: Link, activation: Activation) -> ClassicWork | None:
        """See `Layout`."""
        if not self.fits(activation):
            return None
        empty = _wrapped(b"") if self._plan.ndef else b""
        return ClassicWork(link, activation, self._plan, self._laid(empty.ljust(len(self._plan.blocks) * BLOCK, b"\0")))

    def _laid(self, image: bytes) -> Contents:
        pieces = (image[start : start + BLOCK] for start in range(0, len(image), BLOCK))
        return {block: piece.ljust(BLOCK, b"\0") for block, piece in zip(self._plan.blocks, pieces, strict=False)}


def _wrapped(message: bytes) -> bytes:
    """An NDEF message between its tag and the end: ``03 length message FE``, or ``03 FF length[2] message FE``."""
    length = bytes([len(message)]) if len(message) < 0xFF else b"\xff" + len(message).to_bytes(2, "big")
    return bytes([_MESSAGE]) + length + message + bytes([_END])


def _key(table: Table, secret: Secret) -> CardKey:
    return keys.parse(table, secret, length=6)


def _optional(table: Table, name: str, secret: Secret) -> CardKey | None:
    own = table.optional_table(name)
    return None if own is None else _key(own, secret)
