"""The card library keeps the driver port's contract with every technology: one reader in software, virtual cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

import pytest
from virtual.card import VirtualCard
from virtual.classic import Classic
from virtual.counter import Counter, CounterDriver
from virtual.desfire import Desfire
from virtual.type2 import Ntag
from virtual.ultralight_c import UltralightC

from encoder_bridge.driver import Card, Credential, Prompt
from encoder_bridge.testing import EncoderContract, Rig

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


@dataclass
class Bench:
    """Whoever lays the cards, and all cards there are."""

    technology: Technology
    counter: Counter
    cards: dict[bytes, VirtualCard] = field(default_factory=dict)
    last: VirtualCard | None = None
    numbers: count[int] = field(default_factory=count)

    def fresh(self, prompt: Prompt) -> None:
        uid = bytes([0x04]) + next(self.numbers).to_bytes(6, "big")
        self.last = self.cards[uid] = self.technology.make(uid)
        self.counter.lay(self.last)

    def again(self, prompt: Prompt, card: Card | None) -> None:
        if card is not None and card.uid is not None:
            self.last = self.cards[bytes.fromhex(card.uid)]
        if self.last is None:
            self.fresh(prompt)
        else:
            self.counter.lay(self.last)

    def lift(self) -> None:
        self.counter.lift()

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


def rig_of(technology: Technology) -> Rig:
    counter = Counter()
    bench = Bench(technology, counter)

    def credential(sequence: int) -> Credential:
        return Credential(
            access_method_id=f"method-{sequence}",
            profile="guest",
            sequence=sequence,
            fields={"guest": GUEST},
            data={technology.place: bytes([sequence]) + CONTENTS[1:]},
        )

    return Rig(
        driver=CounterDriver(counter),
        settings={"profiles": {"guest": {"format": "raw", **technology.table}}},
        person=bench,
        credential=credential,
        snapshot=bench.snapshot,
        carries=bench.carries,
        canaries=[GUEST, CONTENTS[1:], *(bytes.fromhex(secret) for secret in SECRETS.values())],
        secret=lambda name: SECRETS[name].encode(),
        impossible=Credential(access_method_id="method-x", profile="guest", sequence=1, data={}),
        faults={
            "lifted before a frame": lambda: counter.tears.append((9, "before")),
            "lifted during a frame": lambda: counter.tears.append((9, "during")),
            "lifted after a frame": lambda: counter.tears.append((9, "after")),
        },
    )


@pytest.mark.parametrize("technology", TECHNOLOGIES)
class TestCards(EncoderContract):
    test_a_device_that_cannot_tell_cards_apart_gives_no_uid = None  # type: ignore[assignment] # it can

    @pytest.fixture
    def rig(self, technology: str) -> Rig:
        return rig_of(TECHNOLOGIES[technology])
