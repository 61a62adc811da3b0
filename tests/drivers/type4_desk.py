"""A virtual Type 4 Tag and a work on it."""

from __future__ import annotations

from encoder_bridge_cards.link import Link
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.type4.layout import Type4Layout
from encoder_bridge_cards.type4.work import Type4Work

OURS = b"OURS"
"""What a message of ours begins with."""
BLOCK = 4
"""Bytes before the message in an area."""
LONG, SHORT = OURS + bytes(range(1, 150)), OURS + bytes(range(200, 230))


def places(message: bytes) -> Contents:
    return Type4Layout().places(message, ndef=True)


def recognised(area: bytes) -> bool:
    return area[BLOCK:].startswith(OURS)


def begin(link: Link, *, resuming: bool = False) -> Type4Work:
    work = Type4Layout().on(link, link.activate())
    assert work is not None
    work.survey(recognised, resuming=resuming)
    return work


def personalise(link: Link, contents: Contents, *, resuming: bool = False) -> list[tuple[int, int]]:
    """Survey, write and verify; what was told of the progress comes back."""
    told: list[tuple[int, int]] = []
    work = begin(link, resuming=resuming)
    work.write(contents, lambda done, total: told.append((done, total)))
    work.verify(contents)
    return told
