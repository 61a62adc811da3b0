"""A profile, a virtual DESFire card and a work that brings them together."""

from __future__ import annotations

from encoder_bridge_cards.desfire.layout import DesfireLayout
from encoder_bridge_cards.desfire.work import DesfireWork
from encoder_bridge_cards.link import Link
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.tables import Table
from virtual.desfire import Desfire

AID = 0xF51234
NEW = {number: bytes([0xA0 + number]) * 16 for number in range(4)}
OLD = {number: bytes([0xB0 + number]) * 16 for number in range(4)}
MASTER = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
"""What keys that differ from card to card are made from."""
PICC, OLD_PICC = b"\xc1" * 16, b"\xc0" * 16
SECRETS = {
    **{f"new-{number}": key for number, key in NEW.items()},
    **{f"old-{number}": key for number, key in OLD.items()},
    "master": MASTER,
    "picc": PICC,
    "old-picc": OLD_PICC,
    "zeros": bytes(16),
}
OURS = b"OURS"
"""What an area begins with that our format has made."""
IMAGE = OURS + bytes(range(40))


def secret(name: str) -> bytes:
    return SECRETS[name].hex().encode()


def key(name: str, previous: str | None = None) -> dict[str, object]:
    table: dict[str, object] = {"secret": name, "version": 2}
    return table if previous is None else {**table, "previous": previous, "previous_version": 1}


def new_keys(count: int = 3, **more: str) -> dict[str, object]:
    return {str(number): {**key(f"new-{number}"), **more} for number in range(count)}


def old_keys() -> dict[str, object]:
    return {str(number): {"secret": f"old-{number}", "version": 1} for number in range(3)}


def rolled_keys() -> dict[str, object]:
    return {str(number): key(f"new-{number}", f"old-{number}") for number in range(3)}


def layout(**settings: object) -> DesfireLayout:
    """A profile of file 1 under the newest keys; a setting that is None is left out."""
    table = {"application": "f51234", "keys": new_keys(), **settings}
    given = {name: value for name, value in table.items() if value is not None}
    return DesfireLayout.parse(Table(given, "profiles.guest.desfire"), secret, False)


def recognised(area: bytes) -> bool:
    return area.startswith(OURS)


def begin(made: DesfireLayout, link: Link, *, resuming: bool = False) -> DesfireWork:
    work = made.on(link, link.activate())
    assert work is not None
    work.survey(recognised, resuming=resuming)
    return work


def personalise(
    made: DesfireLayout, link: Link, contents: Contents, *, resuming: bool = False
) -> list[tuple[int, int]]:
    """Survey, write and verify; what was told of the progress comes back."""
    told: list[tuple[int, int]] = []
    work = begin(made, link, resuming=resuming)
    work.write(contents, lambda done, total: told.append((done, total)))
    work.verify(contents)
    return told


def held(card: Desfire, number: int = 1) -> bytes:
    """What a file holds, read past every key."""
    return card.memory.applications[AID].files[number].data


def keys_of(card: Desfire) -> list[tuple[bytes, int]]:
    return [(key.value, key.version) for key in card.memory.applications[AID].keys]
