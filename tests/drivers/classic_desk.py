"""A profile, a virtual card and a work that brings them together."""

from __future__ import annotations

from encoder_bridge_cards.classic.layout import ClassicLayout
from encoder_bridge_cards.classic.work import ClassicWork
from encoder_bridge_cards.link import Link
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.tables import Table

KEY_A, KEY_B = bytes.fromhex("0A0A0A0A0A01"), bytes.fromhex("0B0B0B0B0B01")
OLD_A, OLD_B = bytes.fromhex("0A0A0A0A0A00"), bytes.fromhex("0B0B0B0B0B00")
MAD_B, OLD_MAD_B = bytes.fromhex("0D0D0D0D0D01"), bytes.fromhex("0D0D0D0D0D00")
DELIVERED = bytes.fromhex("C0C1C2C3C4C5")
SECRETS = {
    "a": KEY_A,
    "b": KEY_B,
    "old-a": OLD_A,
    "old-b": OLD_B,
    "mad": MAD_B,
    "old-mad": OLD_MAD_B,
    "delivered": DELIVERED,
}
ISSUED = bytes.fromhex("78778869")
"""Access bits and general-purpose byte of a sector of ours."""
OURS = b"OURS"
"""What an area begins with that our format has made."""
IMAGE = OURS + bytes(range(40))


def secret(name: str) -> bytes:
    return SECRETS[name].hex().encode()


def key(name: str, previous: str | None = None) -> dict[str, object]:
    table: dict[str, object] = {"secret": name, "version": 2}
    return table if previous is None else {**table, "previous": previous, "previous_version": 1}


def layout(**settings: object) -> ClassicLayout:
    """A profile of sector 1 under the newest keys; a setting that is None is left out."""
    table = {"sectors": [1], "key_a": key("a"), "key_b": key("b"), **settings}
    given = {name: value for name, value in table.items() if value is not None and name != "ndef"}
    return ClassicLayout.parse(Table(given, "profiles.guest.classic"), secret, bool(settings.get("ndef")))


def ndef_layout(**settings: object) -> ClassicLayout:
    return layout(**{"ndef": True, "key_a": None, "key_b": None, **settings})


def recognised(area: bytes) -> bool:
    return area.startswith(OURS)


def begin(made: ClassicLayout, link: Link, *, resuming: bool = False) -> ClassicWork:
    work = made.on(link, link.activate())
    assert work is not None
    work.survey(recognised, resuming=resuming)
    return work


def personalise(
    made: ClassicLayout, link: Link, contents: Contents, *, resuming: bool = False
) -> list[tuple[int, int]]:
    """Survey, write and verify; what was told of the progress comes back."""
    told: list[tuple[int, int]] = []
    work = begin(made, link, resuming=resuming)
    work.write(contents, lambda done, total: told.append((done, total)))
    work.verify(contents)
    return told
