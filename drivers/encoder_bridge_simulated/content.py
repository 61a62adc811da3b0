"""What may go onto a card, and what is on it."""

from __future__ import annotations

from collections.abc import Mapping

from encoder_bridge.driver import Credential, CredentialRejected
from encoder_bridge_simulated import codec
from encoder_bridge_simulated.codec import BLOCK
from encoder_bridge_simulated.faults import fault
from encoder_bridge_simulated.plastic import BLOCKS, TECHNOLOGY, Plastic


def image_of(credential: Credential) -> bytes:
    """Return what has to be on the card.

    Raises:
        CredentialRejected: it fits on no card.
    """
    try:
        image = codec.encode(credential)
    except codec.Unfit as error:
        raise CredentialRejected(f"This credential fits on no card: {error}.", raw="unfit") from error
    if len(image) > BLOCKS * BLOCK:
        raise CredentialRejected(
            f"This credential fits on no card: it takes {len(image)} bytes of {BLOCKS * BLOCK}.", raw="unfit"
        )
    return image


def identify(plastic: Plastic, size: int) -> None:
    """Make sure that a card can take `size` bytes.

    Raises:
        CardRejected: it is foreign, locked or too small.
    """
    if plastic.technology != TECHNOLOGY:
        raise fault("incompatible_card_format").error()
    if plastic.locked:
        raise fault("card_locked").error()
    if plastic.blocks * BLOCK < size:
        raise fault("card_full").error()


def is_begun(content: bytes, image: bytes, note: Mapping[str, str]) -> bool:
    """Tell by its content whether a card is the one that an intent speaks of; anything doubtful is not.

    Args:
        content: all blocks of the card that lies there.
        image: what the card is to carry, nothing if it is to be blank.
        note: of the intent.  With ``marked`` the card was marked: it still is, or it is finished.  Without, it is as
            it was (``was``, a SHA-256) or marked just now; in no case was anything finished.
    """
    if content[:BLOCK] == codec.mark(image):
        return True
    if "marked" in note:
        return content == image.ljust(len(content), b"\0")
    return codec.digest(content) == note.get("was")


def padded(image: bytes, plastic: Plastic) -> bytes:
    """Return all blocks of a card that carries `image` and nothing else."""
    return image.ljust(plastic.blocks * BLOCK, b"\0")


def note(image: bytes) -> dict[str, str]:
    """Return what an intent and a receipt say of an image: its SHA-256 and its length in blocks."""
    return {"digest": codec.digest(image), "blocks": str(len(image) // BLOCK)}


def fields(content: bytes) -> dict[str, str]:
    """Return what a reader tells of a card, nothing personal or secret among it."""
    try:
        credential = codec.decode(content)
    except codec.Torn:
        return {"state": "unreadable"}
    if credential is None:
        return {"state": "blank"}
    found = {
        "state": "whole",
        "access_method_id": credential.access_method_id,
        "profile": credential.profile,
        "sequence": str(credential.sequence),
        "joins": "true" if credential.joins else "false",
        "digest": codec.digest(content[: codec.size(content)]),
    }
    if credential.entrances:
        found["entrances"] = ",".join(credential.entrances)
    if credential.starts_at is not None:
        found["starts_at"] = credential.starts_at.isoformat()
    if credential.ends_at is not None:
        found["ends_at"] = credential.ends_at.isoformat()
    return found
