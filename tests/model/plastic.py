"""A world that outlives the daemon: cards, plates they lie on, and encoders that write them with faults on demand."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from encoder_bridge.driver import (
    Capabilities,
    Card,
    CardRejected,
    Credential,
    CredentialRejected,
    Desk,
    DeviceUnavailable,
    Evidence,
    Found,
    Intent,
    NoCard,
    Prompt,
    Receipt,
    Secret,
    Settings,
    Unsure,
    Withdrawn,
)

SILENCE_S = 5.0
WRITE_S = 0.5

NO_CARD_CHANGED = (
    "device gives up",
    "card refused",
    "card refused after the intent",
    "device busy",
    "device busy after the intent",
    "breaks",
    "breaks in its check",
    "breaks and says withdrawn",
    "cancels itself",
)
CARD_CHANGED = ("torn", "lost reply", "breaks while it writes", "hangs")
HOPELESS = ("no card can take it",)


@dataclass
class Piece:
    """One piece of plastic."""

    uid: str
    carries: Credential | None = None
    is_whole: bool = True

    @property
    def is_blank(self) -> bool:
        return self.carries is None


@dataclass
class World:
    """All there is outside the process."""

    cards: dict[str, Piece] = field(default_factory=dict)
    plates: dict[str, Piece | None] = field(default_factory=dict)
    asked: dict[str, tuple[Prompt, str | None] | None] = field(default_factory=dict)
    unplugged: set[str] = field(default_factory=set)
    faults: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    touched: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Sequence number to the cards that were written under it, in whole or in part."""
    devices: dict[str, FakeEncoder] = field(default_factory=dict)
    _uids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def blank(self) -> Piece:
        piece = Piece(f"{next(self._uids):04x}")
        self.cards[piece.uid] = piece
        return piece

    def lay(self, encoder: str, piece: Piece | None) -> None:
        """Put a card on the plate, or take it off; it lies on one plate only."""
        for name, there in self.plates.items():
            if there is piece:
                self.plates[name] = None
        self.plates[encoder] = piece
        self.stir()

    def unplug(self, encoder: str) -> None:
        self.unplugged.add(encoder)
        self.stir()

    def stir(self) -> None:
        for device in self.devices.values():
            device.stirred.set()

    def good(self, sequence: int) -> list[str]:
        """The cards that carry a job's credential in whole."""
        return [
            uid
            for uid, piece in self.cards.items()
            if piece.carries is not None and piece.is_whole and piece.carries.sequence == sequence
        ]


class FakeDriver:
    """Opens the encoders of a world; the setting `name` says which."""

    port = (1, 0)

    def __init__(self, world: World) -> None:
        self._world = world

    def check(self, settings: Settings, secret: Secret) -> None:
        return

    async def discover(self, settings: Settings, secret: Secret) -> list[Found]:
        return []

    @asynccontextmanager
    async def open(self, settings: Settings, secret: Secret) -> AsyncIterator[FakeEncoder]:
        name = str(settings["name"])
        if name in self._world.unplugged:
            raise DeviceUnavailable("unplugged")
        kind = SensingEncoder if settings.get("senses") else FakeEncoder
        device = self._world.devices[name] = kind(self._world, name)
        try:
            yield device
        finally:
            self._world.devices.pop(name, None)


class FakeEncoder:
    """An encoder that reads before it writes and reads back."""

    capabilities = Capabilities(technologies=frozenset({"test"}), evidence=Evidence.READ_BACK, silence_s=SILENCE_S)

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self.stirred = asyncio.Event()

    @property
    def _is_dead(self) -> bool:
        return self._world.devices.get(self._name) is not self

    @property
    def _is_gone(self) -> bool:
        return self._name in self._world.unplugged

    async def lost(self) -> None:
        while not self._is_gone:
            await self._stir()

    def check(self, credential: Credential) -> None:
        if self._next("breaks in its check"):
            raise ValueError("no such field")

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        fault = self._world.faults[self._name].popleft() if self._world.faults[self._name] else ""
        self._break_early(fault)
        wanted = resume.card.uid if resume and resume.card else None
        prompt = Prompt.SAME_CARD if resume else Prompt.PLACE_CARD
        desk.ask(prompt, resume.card if resume else None)
        self._world.asked[self._name] = (prompt, wanted)
        try:
            piece = await self._card(desk)
        finally:
            self._world.asked[self._name] = None
        card = Card(technology="test", uid=piece.uid)
        receipt = Receipt(evidence=Evidence.READ_BACK, card=card)
        if resume:
            if piece.uid != wanted:
                raise CardRejected("not the card that was begun")
            if piece.carries == credential and piece.is_whole:
                return receipt
        elif not piece.is_blank or fault == "card refused":
            raise CardRejected("in use")
        await desk.intend(Intent(card=card))
        if fault == "card refused after the intent":
            raise CardRejected("locked")
        if fault == "device busy after the intent" or self._is_gone:
            raise DeviceUnavailable("busy")
        await self._write(piece, credential, fault)
        return receipt

    async def _write(self, piece: Piece, credential: Credential, fault: str) -> None:
        self._world.touched[credential.sequence].add(piece.uid)
        piece.carries, piece.is_whole = credential, False
        try:
            await asyncio.sleep(SILENCE_S * 4 if fault == "hangs" else WRITE_S)
        except asyncio.CancelledError:
            # A shutdown: what was begun is brought to its end.
            if fault == "hangs" or self._is_dead:
                raise
        if self._world.plates.get(self._name) is not piece or fault == "torn" or self._is_gone:
            raise Unsure("lifted")
        piece.is_whole = True
        if fault == "lost reply":
            raise Unsure("no reply")
        if fault == "breaks while it writes":
            raise ValueError("a bug in the driver")

    def _break_early(self, fault: str) -> None:
        match fault:
            case "device gives up":
                raise NoCard("gave up")
            case "device busy":
                raise DeviceUnavailable("busy")
            case "breaks":
                raise ValueError("a bug in the driver")
            case "breaks and says withdrawn":
                raise Withdrawn("nobody asked for it")
            case "cancels itself":
                raise asyncio.CancelledError
            case "no card can take it":
                raise CredentialRejected("too much")

    def _next(self, fault: str) -> bool:
        faults = self._world.faults[self._name]
        if faults and faults[0] == fault:
            faults.popleft()
            return True
        return False

    async def _card(self, desk: Desk) -> Piece:
        withdrawn = asyncio.create_task(desk.withdrawn())
        try:
            while True:
                if self._is_gone:
                    raise DeviceUnavailable("unplugged")
                if withdrawn.done():
                    raise Withdrawn("taken off the desk")
                piece = self._world.plates.get(self._name)
                if piece is not None:
                    return piece
                stir = asyncio.create_task(self._stir())
                await asyncio.wait({withdrawn, stir}, return_when=asyncio.FIRST_COMPLETED)
                stir.cancel()
        finally:
            withdrawn.cancel()

    async def _stir(self) -> None:
        self.stirred.clear()
        await self.stirred.wait()


class SensingEncoder(FakeEncoder):
    """One that also knows whether a card lies on it."""

    async def lifted(self) -> None:
        while self._world.plates.get(self._name) is not None:
            await self._stir()
