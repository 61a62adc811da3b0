"""Every technology as the contract suite wants it: its profile, fresh cards, and a look into them past the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from virtual.card import VirtualCard
from virtual.classic import Classic
from virtual.desfire import Desfire
from virtual.type2 import Ntag
from virtual.ultralight_c import UltralightC

from encoder_bridge.driver import Card, Credential, Prompt

GUEST = "Wilhelmine Oberhuber"
CONTENTS = bytes.fromhex("c0ffee5ec2e7d00d") * 6
SECRETS = {
    "six": "a1b2c3d4e5f6",
    "other-six": "f6e5d4c3b2a1",
    "sixteen": "00112233445566778899aabbccddeeff",
    "other-sixteen": "2b7e151628aed2a6abf7158809cf4f3c",
    "third-sixteen": "5ebe2294ecd0e0f08eab7690d2a6ee69",
}

DESFIRE = {
    "application": "f51234",
    "size": len(CONTENTS),
    "keys": {
        "0": {"secret": "sixteen", "version": 1},
        "1": {"secret": "other-sixteen", "version": 1},
        "2": {"secret": "third-sixteen", "version": 1},
    },
}

Carries = Callable[[VirtualCard, bytes], bool]


@dataclass(frozen=True, kw_only=True)
class Technology:
    """One kind of card, its table in the profile, and a look into its memory past the driver."""

    table: Mapping[str, object]
    make: Callable[[bytes], VirtualCard]
    place: str
    carries: Carries


def pages(card: VirtualCard, wanted: bytes) -> bool:
    assert isinstance(card, Ntag | UltralightC)
    return b"".join(card.peek(page) for page in range(4, 4 + len(wanted) // 4)) == wanted


def blocks(card: VirtualCard, wanted: bytes) -> bool:
    assert isinstance(card, Classic)
    return b"".join(card.peek(block) for block in range(4, 4 + len(wanted) // 16)) == wanted


def protected(card: VirtualCard, wanted: bytes) -> bool:
    assert isinstance(card, Ntag)
    return pages(card, wanted) and card.auth0 == 4 and card.peek(card.pwd) == bytes.fromhex(SECRETS["six"])[:4]


def committed(card: VirtualCard, wanted: bytes) -> bool:
    assert isinstance(card, Desfire)
    application = card.memory.applications.get(0xF51234)
    return application is not None and bytes(application.files[1].data) == wanted


TECHNOLOGIES = {
    "desfire ev1": Technology(
        table={"desfire": DESFIRE},
        make=lambda uid: Desfire(uid=uid, version="ev1"),
        place="file-1",
        carries=committed,
    ),
    "desfire ev2": Technology(
        table={"desfire": DESFIRE},
        make=lambda uid: Desfire(uid=uid, version="ev2"),
        place="file-1",
        carries=committed,
    ),
    "ntag": Technology(
        table={"ntag": {"password": {"secret": "six"}}},
        make=lambda uid: Ntag("ntag213", uid=uid),
        place="page-4",
        carries=protected,
    ),
    "ultralight_c": Technology(
        table={"ultralight_c": {"key": {"secret": "sixteen"}}},
        make=lambda uid: UltralightC(uid),
        place="page-4",
        carries=pages,
    ),
    "classic": Technology(
        table={"classic": {"sectors": [1], "key_a": {"secret": "six"}, "key_b": {"secret": "other-six"}}},
        make=lambda uid: Classic(uid=uid),
        place="block-4",
        carries=blocks,
    ),
}


class Place(Protocol):
    """Where cards are laid."""

    def lay(self, card: VirtualCard) -> None: ...

    def lift(self) -> None: ...


@dataclass
class Bench:
    """Whoever lays the cards, and all cards there are."""

    technology: Technology
    place: Place
    cards: dict[bytes, VirtualCard] = field(default_factory=dict)
    last: VirtualCard | None = None
    numbers: count[int] = field(default_factory=count)

    def fresh(self, prompt: Prompt) -> None:
        uid = bytes([0x04]) + next(self.numbers).to_bytes(6, "big")
        self.last = self.cards[uid] = self.technology.make(uid)
        self.place.lay(self.last)

    def again(self, prompt: Prompt, card: Card | None) -> None:
        if card is not None and card.uid is not None:
            self.last = self.cards[bytes.fromhex(card.uid)]
        if self.last is None:
            self.fresh(prompt)
        else:
            self.place.lay(self.last)

    def lift(self) -> None:
        self.place.lift()

    def snapshot(self) -> object:
        """Fresh cards are left out: laying one down changes nothing."""
        return {
            uid: card.snapshot()
            for uid, card in self.cards.items()
            if card.snapshot() != self.technology.make(uid).snapshot()
        }

    def carries(self, wanted: Credential) -> int:
        contents = wanted.data[self.technology.place]
        return sum(self.technology.carries(card, contents) for card in self.cards.values())

    def credential(self, sequence: int) -> Credential:
        return Credential(
            access_method_id=f"method-{sequence}",
            profile="guest",
            sequence=sequence,
            fields={"guest": GUEST},
            data={self.technology.place: bytes([sequence]) + CONTENTS[1:]},
        )

    @property
    def profiles(self) -> Mapping[str, object]:
        return {"guest": {"format": "raw", **self.technology.table}}


IMPOSSIBLE = Credential(access_method_id="method-x", profile="guest", sequence=1, data={})
CANARIES: list[str | bytes] = [GUEST, CONTENTS[1:], *(bytes.fromhex(secret) for secret in SECRETS.values())]


def secret(name: str) -> bytes:
    return SECRETS[name].encode()
