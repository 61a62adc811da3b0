"""The PC/SC driver keeps the driver port's contract: pcscd, pyscard and a reader's behaviour lie between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count

import pytest
from encoder_bridge_pcsc import driver
from virtual import pcscd
from virtual.card import VirtualCard
from virtual.classic import Classic
from virtual.pcscd import PcscStack
from virtual.personalities import ACR122U, IDENTIV_3700F, Model, Reader
from virtual.type2 import Ntag
from virtual.vpcd import Slot

from encoder_bridge.driver import Card, Credential, Prompt
from encoder_bridge.testing import EncoderContract, Rig

pytest.importorskip("smartcard.scard", reason="pyscard is not installed: no PC/SC client")

pytestmark = pytest.mark.skipif(pcscd.available() is not None, reason=str(pcscd.available()))

GUEST = "Wilhelmine Oberhuber"
CONTENTS = bytes.fromhex("c0ffee5ec2e7d00d") * 6
SECRETS = {"six": "a1b2c3d4e5f6", "other-six": "f6e5d4c3b2a1"}

TABLES: Mapping[str, Mapping[str, object]] = {
    "ntag": {"ntag": {"password": {"secret": "six"}}},
    "classic": {"classic": {"sectors": [1], "key_a": {"secret": "six"}, "key_b": {"secret": "other-six"}}},
}
READERS: Mapping[str, Model] = {"ntag": ACR122U, "classic": IDENTIV_3700F}
PLACES = {"ntag": "page-4", "classic": "block-4"}


def blank(technology: str, uid: bytes) -> VirtualCard:
    return Ntag("ntag213", uid=uid) if technology == "ntag" else Classic(uid=uid)


def on(card: VirtualCard, length: int) -> bytes:
    """What a card really holds, from where contents begin."""
    if isinstance(card, Ntag):
        return b"".join(card.peek(page) for page in range(4, 4 + length // 4))
    assert isinstance(card, Classic)
    return b"".join(card.peek(block) for block in range(4, 4 + length // 16))


@dataclass
class Clerk:
    """Whoever lays cards on the reader, and all cards there are."""

    technology: str
    slot: Slot
    cards: dict[bytes, VirtualCard] = field(default_factory=dict)
    last: bytes | None = None
    accidents: list[tuple[int, str]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)
    _lies_there: bool = False

    def fresh(self, prompt: Prompt) -> None:
        self.last = bytes([0x04]) + next(self.numbers).to_bytes(6, "big")
        self.cards[self.last] = blank(self.technology, self.last)
        self._lay(self.last)

    def again(self, prompt: Prompt, card: Card | None) -> None:
        if card is not None:
            assert card.uid is not None
            self.last = bytes.fromhex(card.uid)
        if self.last is None:
            self.fresh(prompt)
        else:
            self._lay(self.last)

    def lift(self) -> None:
        if self._lies_there:
            self.slot.lift()
        self._lies_there = False

    def snapshot(self) -> object:
        """Fresh cards are left out: laying one down changes nothing."""
        return {
            uid: card.snapshot()
            for uid, card in self.cards.items()
            if card.snapshot() != blank(self.technology, uid).snapshot()
        }

    def carries(self, wanted: Credential) -> int:
        contents = wanted.data[PLACES[self.technology]]
        return sum(on(card, len(contents)) == contents for card in self.cards.values())

    def _lay(self, uid: bytes) -> None:
        self.lift()
        self.slot.lay(self.cards[uid], waits=False)
        self._lies_there = True
        if self.accidents:
            self.slot.tear(*self.accidents.pop(0))


def rig_of(technology: str, stack: PcscStack, slot: Slot) -> Rig:
    clerk = Clerk(technology, slot)

    def credential(sequence: int) -> Credential:
        return Credential(
            access_method_id=f"method-{sequence}",
            profile="guest",
            sequence=sequence,
            fields={"guest": GUEST},
            data={PLACES[technology]: bytes([sequence]) + CONTENTS[1:]},
        )

    return Rig(
        driver=driver,
        settings={
            "reader": READERS[technology].name,
            "slot": 0,
            "profiles": {"guest": {"format": "raw", **TABLES[technology]}},
        },
        person=clerk,
        credential=credential,
        snapshot=clerk.snapshot,
        carries=clerk.carries,
        canaries=[GUEST, CONTENTS[1:], *(bytes.fromhex(secret) for secret in SECRETS.values())],
        secret=lambda name: SECRETS[name].encode(),
        impossible=Credential(access_method_id="method-x", profile="guest", sequence=1, data={}),
        faults={
            "lifted before a frame": lambda: clerk.accidents.append((9, "before")),
            "lifted during a frame": lambda: clerk.accidents.append((9, "during")),
            "lifted after a frame": lambda: clerk.accidents.append((9, "after")),
        },
    )


@pytest.mark.parametrize("technology", TABLES)
class TestPcsc(EncoderContract):
    @pytest.fixture
    def rig(self, technology: str) -> Iterator[Rig]:
        model = READERS[technology]
        with ExitStack() as rack:
            stack = rack.enter_context(PcscStack(model.name))
            rack.enter_context(stack.use())
            slot = rack.enter_context(Slot(stack.port(stack.readers[0]), Reader(model)))
            yield rig_of(technology, stack, slot)
