"""A profile, a virtual card with pages and a work that brings them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from encoder_bridge_cards.link import Activation, Link, Unsupported
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.tables import Table
from encoder_bridge_cards.type2.layout import NtagLayout
from encoder_bridge_cards.type2.work import PagesWork
from encoder_bridge_cards.ultralight_c.layout import UltralightCLayout
from virtual.type2 import PRODUCTS, Ntag
from virtual.ultralight_c import UltralightC

SECRETS = {
    "password": "a1b2c3d4e5f6",
    "old-password": "010203040506",
    "key": "00112233445566778899aabbccddeeff",
    "old-key": "2b7e151628aed2a6abf7158809cf4f3c",
}
OURS = b"OURS"
"""What an area begins with that our format has made."""
IMAGE = OURS + bytes(range(44))
OTHER = OURS + b"\x55" * 44
MESSAGE = bytes.fromhex("d1010a55046578616d706c652e")

AnyLayout = NtagLayout | UltralightCLayout
AnyCard = Ntag | UltralightC


def secret(name: str) -> bytes:
    return SECRETS[name].encode()


def key(name: str, previous: str | None = None) -> dict[str, object]:
    table: dict[str, object] = {"secret": name}
    return table if previous is None else {**table, "previous": previous}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One product, and the words of its table."""

    name: str
    table: str
    key: str
    parse: Callable[[Table, Any, bool], AnyLayout]
    make: Callable[..., AnyCard]
    last: int
    """The last page of the user's memory."""
    locks: int | None
    """The page of the dynamic lock bits."""
    off: int
    """AUTH0 of a card that guards nothing."""

    def layout(
        self, *, keyed: bool = True, previous: bool = False, old: bool = False, ndef: bool = False, **settings: object
    ) -> AnyLayout:
        """A profile; under the newest key, which may have a previous one, or under the old one alone."""
        table = dict(settings)
        if keyed:
            name = f"old-{self.key}" if old else self.key
            table[self.key] = key(name, f"old-{self.key}" if previous else None)
        return self.parse(Table(table, f"profiles.guest.{self.table}"), secret, ndef)

    def auth0(self, card: AnyCard) -> int:
        return card.peek(0x2A)[0] if isinstance(card, UltralightC) else card.peek(card.cfg_0)[3]

    def hides(self, card: AnyCard) -> bool:
        if isinstance(card, UltralightC):
            return not card.peek(0x2B)[0] & 1
        return bool(card.peek(card.cfg_1)[0] & 0x80)

    def key_of(self, card: AnyCard) -> bytes:
        return card.stored_key if isinstance(card, UltralightC) else card.peek(card.pwd) + card.peek(card.pack)[:2]


def _ntag(name: str) -> Kind:
    product = PRODUCTS[name]
    locks = product.locks.page if product.locks is not None else None
    return Kind(
        name=name,
        table="ntag",
        key="password",
        parse=NtagLayout.parse,
        make=lambda **how: Ntag(name, **how),
        last=(locks or product.configuration) - 1,
        locks=locks,
        off=0xFF,
    )


NTAGS = [_ntag(name) for name in PRODUCTS]
NTAG213 = NTAGS[0]
ULTRALIGHT_C = Kind(
    name="ultralight_c",
    table="ultralight_c",
    key="key",
    parse=UltralightCLayout.parse,
    make=UltralightC,
    last=0x27,
    locks=0x28,
    off=0x30,
)
KINDS = [*NTAGS, ULTRALIGHT_C]


class Plain(Link):
    """A reader that carries reading and writing, and nothing else."""

    def __init__(self, card: AnyCard) -> None:
        self._card = card

    def activate(self) -> Activation:
        return self._card.activate()

    def exchange(self, frame: bytes) -> bytes:
        if frame[0] not in {0x30, 0xA2}:
            raise Unsupported
        return self._card.exchange(frame)


class Sly(Link):
    """A reader that says yes to every frame of some kinds and lets none of them through.

    Args:
        card: the card that does not see them.
        eats: which frames.
    """

    def __init__(self, card: AnyCard, eats: Callable[[bytes], bool]) -> None:
        self._card = card
        self._eats = eats

    def activate(self) -> Activation:
        return self._card.activate()

    def exchange(self, frame: bytes) -> bytes:
        return b"" if self._eats(frame) else self._card.exchange(frame)


def recognised(area: bytes) -> bool:
    return area.startswith(OURS)


def area(card: AnyCard, length: int, first: int = 4) -> bytes:
    return b"".join(card.peek(first + i) for i in range(-(-length // 4)))[:length]


def begin(made: AnyLayout, link: Link, *, resuming: bool = False) -> PagesWork:
    work = made.on(link, link.activate())
    assert work is not None
    work.survey(recognised, resuming=resuming)
    return work


def personalise(made: AnyLayout, link: Link, contents: Contents, *, resuming: bool = False) -> list[tuple[int, int]]:
    """Survey, write and verify; what was told of the progress comes back."""
    told: list[tuple[int, int]] = []
    work = begin(made, link, resuming=resuming)
    work.write(contents, lambda done, total: told.append((done, total)))
    work.verify(contents)
    return told
