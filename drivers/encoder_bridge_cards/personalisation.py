"""What a technology offers: a `Layout` from the profile, and a `Work` on the one card that lies there.

A card is written by looking at it and doing what is left to do, whether it is blank, carries an older card of ours or
was torn in the middle: the same three calls finish all of them::

    work = layout.on(link, activation)  # identify; no key is tried
    work.survey(ours, resuming)  # look: refuse what is foreign, unknown, locked or too small
    ...  # the caller commits its intent
    work.write(contents, progress)  # data, read back, keys; does only what is not done
    work.verify(contents)  # select anew, authenticate, read back, compare

State is found on the card, never remembered: after any `LinkError` a new `Work` may start over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from encoder_bridge.driver import Card
from encoder_bridge_cards.link import Activation, Link

Contents = Mapping[int, bytes]
"""What goes where: by block (16 bytes each), by page (4 bytes each) or by file number (the whole file).

A place that is not named stays as it is."""

Ours = Callable[[bytes], bool]
"""Whether the bytes of an area, in one piece, are recognised as something that its profile makes."""

Progress = Callable[[int, int], object]
"""Told steps done and steps in all; called after every effect on the card."""


COUNTED_TRY = "counted_try"
"""`CardRejected.raw` where a wrong key was tried on a card that may count such tries: no other one may be tried."""


class Mismatch(Exception):
    """A card does not carry what was written, or its new keys do not open it.

    Args:
        what: what differs and where, without a byte of it: "block 5", "key 1".
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Layout(Protocol):
    """Where on one technology a profile's contents go, and under which keys.  Holds no key."""

    @property
    def technologies(self) -> frozenset[str]:
        """Every `Card.technology` that its works can have."""

    @property
    def unit(self) -> str:
        """What a place is called in messages and in a trigger's raw data: ``block``, ``page`` or ``file``."""

    @property
    def capacity(self) -> int:
        """Bytes that the largest card of this technology offers to one image."""

    @property
    def locks(self) -> bool:
        """Whether its cards are made read only for ever, so that none of them can be blanked."""

    def places(self, image: bytes, *, ndef: bool) -> Contents:
        """Lay an image into the profile's area, padded with zeros to the area's last place that the image reaches.

        Args:
            image: what a format made.
            ndef: it is an NDEF message, to be wrapped the way this technology's readers expect.

        Raises:
            CredentialRejected: it does not fit, or this technology has no such wrapping.
        """

    def raw(self, places: Contents) -> Contents:
        """Judge contents that somebody else computed.

        Raises:
            CredentialRejected: a place is none of the profile's, its length is wrong, or writing there could lock the
                card.
        """

    def fits(self, activation: Activation) -> bool:
        """Whether a card could be of this technology, as far as its activation tells."""

    def on(self, link: Link, activation: Activation) -> Work | None:
        """Begin with the card that lies there: identify it, trying no key.  None: it is of another technology.

        Raises:
            LinkError: the link broke off.
        """


class Work(Protocol):
    """One card of one technology.  Every method raises `LinkError` where the link breaks off."""

    @property
    def card(self) -> Card:
        """The card, with the number that stays the same.  After `survey` where it is told only to whom has a key."""

    def survey(self, ours: Ours, *, resuming: bool) -> None:
        """Look at the card, changing nothing: what is on it, which keys open it, whether there is room.

        At most two keys of ours are tried (the new one, the old one), and none where the card counts wrong tries to its
        death.

        Args:
            ours: recognises contents of the profile, where no key of ours protects them.
            resuming: this very card was begun: half-written contents and keys are expected.

        Raises:
            CardRejected: it carries something foreign, has unknown keys, is locked, full or too small.  It was left as
                it was.
        """

    def write(self, contents: Contents, progress: Progress) -> None:
        """Bring `contents` and the profile's keys onto the card; after `survey` only.

        The order is data, read back, keys and protection last; what already stands there is not written again.

        Raises:
            Mismatch: what was read back differs; the keys were not touched then.
            CardRejected: the card will not take it, and nothing was changed.
        """

    def verify(self, contents: Contents) -> None:
        """Select the card anew, authenticate with the profile's newest keys and compare.

        Raises:
            Mismatch: it does not carry this.
        """

    def read(self) -> Contents:
        """Read the profile's area, after `survey`; the places in order, so that their bytes joined are the area."""

    def blank(self) -> Contents:
        """What an erased card carries in the profile's area; our keys stay."""
