"""A contactless reader in memory: cards have a UID and four blocks, can be read back, lifted and torn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from encoder_bridge.driver import (
    Capabilities,
    Card,
    CardRejected,
    Contents,
    Credential,
    CredentialRejected,
    Desk,
    DeviceUnavailable,
    Evidence,
    Found,
    Intent,
    Prompt,
    Receipt,
    Secret,
    Settings,
    Unsure,
)
from encoder_bridge.testing import Rig

from .people import CANARIES, PATIENCE_S, check_settings, credential, digest, image, secret, until

log = logging.getLogger(__name__)

BLOCKS = 4
SIZE = 8
BLANK = (b"",) * BLOCKS

Blocks = tuple[bytes, ...]


def blocks(contents: bytes) -> Blocks:
    return tuple(contents[at : at + SIZE] for at in range(0, BLOCKS * SIZE, SIZE))


@dataclass
class Table:
    """The plastic, and who does what with it."""

    cards: dict[str, Blocks] = field(default_factory=dict)
    on: str | None = None
    last: str | None = None
    opened: bool = False
    faults: set[str] = field(default_factory=set)

    def fresh(self, prompt: Prompt) -> None:
        self.on = self.last = f"{len(self.cards) + 1:08x}"
        self.cards[self.on] = BLANK

    def again(self, prompt: Prompt, card: Card | None) -> None:
        self.on = self.last = card.uid if card else self.last

    def lift(self) -> None:
        self.on = None

    def snapshot(self) -> object:
        return {uid: written for uid, written in self.cards.items() if written != BLANK}

    def carries(self, wanted: Credential) -> int:
        return sum(1 for written in self.cards.values() if written == blocks(image(wanted)))

    def happens(self, fault: str) -> bool:
        if fault in self.faults:
            self.faults.remove(fault)
            return True
        return False

    def write(self, uid: str, number: int, block: bytes) -> None:
        if self.on != uid:
            raise LookupError("no card in the field")
        if number == 1 and self.happens("the write is lost"):
            return
        written = list(self.cards[uid])
        written[number] = block
        self.cards[uid] = tuple(written)
        if number == 2 and self.happens("the card is lifted"):
            self.lift()

    def read(self, uid: str) -> Blocks:
        if self.on != uid:
            raise LookupError("no card in the field")
        return self.cards[uid]


class Contactless:
    """One open reader."""

    silence_s = 5.0

    def __init__(self, table: Table, key: bytes) -> None:
        self.table = table
        self.key = key

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            technologies=frozenset({"fake"}), evidence=Evidence.READ_BACK, silence_s=self.silence_s, max_entrances=2
        )

    async def lost(self) -> None:
        await asyncio.Event().wait()

    def check(self, credential: Credential) -> None:
        if len(credential.entrances) > 2:
            raise CredentialRejected("A card takes two doors at most.")

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        self.check(credential)
        wanted = blocks(image(credential, self.key))
        card = await self.card(desk, Prompt.SAME_CARD if resume else Prompt.PLACE_CARD, resume.card if resume else None)
        assert card.uid is not None
        if resume is None:
            if self.table.happens("the card is locked"):
                raise CardRejected("This card is locked; take another.", raw=0x6982)
            await self.intend(desk, card, wanted)
        elif self.found(card.uid) == wanted:
            return self.receipt(card, wanted)
        else:
            await self.intend(desk, card, wanted)
        log.debug("writing %s", card.uid)
        desk.ask(Prompt.KEEP_CARD)
        try:
            await self.write(card.uid, wanted, desk)
            if self.table.read(card.uid) != wanted:
                raise Unsure("The card does not hold what was written; lay it down again.")
        except LookupError as error:
            raise Unsure("The card was lifted too early; lay it down again.", raw=0x6A82) from error
        return self.receipt(card, wanted)

    async def intend(self, desk: Desk, card: Card, wanted: Blocks) -> None:
        await desk.intend(Intent(card=card, note={"digest": digest(b"".join(wanted))}))

    def found(self, uid: str) -> Blocks:
        return self.table.read(uid)

    def receipt(self, card: Card, wanted: Blocks) -> Receipt:
        return Receipt(evidence=Evidence.READ_BACK, card=card, note={"digest": digest(b"".join(wanted))})

    async def write(self, uid: str, wanted: Blocks, desk: Desk) -> None:
        for number, block in enumerate(wanted):
            self.table.write(uid, number, block)
            desk.progress(number + 1, BLOCKS)
            await asyncio.sleep(0)

    async def card(self, desk: Desk, prompt: Prompt, named: Card | None) -> Card:
        desk.ask(prompt, named)
        while True:
            await self.wait(lambda: self.table.on is not None, desk)
            card = Card(technology="fake", uid=self.table.on)
            if named is None or card == named:
                return card
            self.wrong(desk, card, named)
            await self.wait(partial(self.gone, card.uid), desk)
            if self.table.on is None:
                desk.ask(prompt, named)

    def wrong(self, desk: Desk, lies: Card, named: Card) -> None:
        desk.ask(Prompt.WRONG_CARD, lies)

    def gone(self, uid: str | None) -> bool:
        return self.table.on != uid

    async def wait(self, condition: Callable[[], bool], desk: Desk) -> None:
        await until(condition, desk)

    async def read(self, desk: Desk) -> Contents:
        card = await self.card(desk, Prompt.PLACE_CARD, None)
        assert card.uid is not None
        return Contents(card=card, fields={"digest": digest(b"".join(self.table.read(card.uid)))})

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        card = await self.card(desk, Prompt.SAME_CARD if resume else Prompt.PLACE_CARD, resume.card if resume else None)
        assert card.uid is not None
        await self.intend(desk, card, BLANK)
        await self.write(card.uid, BLANK, desk)
        return self.receipt(card, BLANK)

    async def lifted(self) -> None:
        while self.table.on is not None:
            await asyncio.sleep(0.002)

    async def signal(self, ok: bool) -> None:
        log.debug("signal %s", ok)


class ContactlessDriver:
    """The driver of one table; another table, another driver."""

    port = (1, 0)
    known = ("reader",)

    def __init__(self, table: Table, device: type[Contactless] = Contactless) -> None:
        self.table = table
        self.device = device

    def check(self, settings: Settings, secret: Secret) -> None:
        check_settings(settings, self.known, secret)

    async def discover(self, settings: Settings, secret: Secret) -> Sequence[Found]:
        return [Found(identity="fake reader", settings={"reader": "fake reader"})]

    def open(self, settings: Settings, secret: Secret) -> Opening:
        return Opening(self, secret)


class Opening:
    """One opening of the reader, closed as often as one likes."""

    def __init__(self, driver: ContactlessDriver, secret: Secret) -> None:
        self.driver = driver
        self.secret = secret
        self.mine = False

    async def __aenter__(self) -> Contactless:
        if self.driver.table.opened:
            raise DeviceUnavailable("Somebody else uses the reader.")
        self.mine = self.driver.table.opened = True
        return self.driver.device(self.driver.table, self.secret("key"))

    async def __aexit__(self, *_error: object) -> None:
        if self.mine:
            self.mine = self.driver.table.opened = False


FAULTS = ("the write is lost", "the card is lifted", "the card is locked")


def contactless(
    driver: type[ContactlessDriver] = ContactlessDriver,
    device: type[Contactless] = Contactless,
    patience_s: float = PATIENCE_S,
) -> Rig:
    """The bench of one contactless reader."""
    table = Table()
    return Rig(
        driver=driver(table, device),
        settings={"reader": "fake reader"},
        secret=secret,
        person=table,
        credential=credential,
        snapshot=table.snapshot,
        carries=table.carries,
        canaries=CANARIES,
        impossible=replace(credential(77), entrances=("a", "b", "c")),
        faults={fault: partial(table.faults.add, fault) for fault in FAULTS},
        patience_s=patience_s,
    )
