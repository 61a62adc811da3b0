"""What a format offers: from a credential to an image, and back to what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from encoder_bridge.driver import Credential
from encoder_bridge_cards.personalisation import Contents


class Format(Protocol):
    """Turns a credential into bytes for a card."""

    @property
    def ndef(self) -> bool:
        """Whether the image is an NDEF message, which each technology wraps in its own way."""

    def image(self, credential: Credential, uid: bytes | None, unit: str) -> bytes | Contents:
        """Make what the card with this number has to carry; the same again for the same credential and number.

        Args:
            credential: what is asked for.
            uid: the card's lasting number; None before there is a card: a draft of the same size, made without any key.
            unit: what a place of the technology is called, see `Layout.unit`.

        Returns:
            An image for the profile's area; from a format that takes what somebody else computed, contents by place.

        Raises:
            CredentialRejected: a part is missing, out of range or too long; the sentence names it, never its value.
        """

    def tells(self, image: bytes, uid: bytes) -> Mapping[str, str] | None:
        """What an area says, for people; None: it holds nothing that this format makes.

        Args:
            image: the area's bytes, padding included; whatever a stranger may have written.
            uid: the card's lasting number.
        """
