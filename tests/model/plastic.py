"""A world that outlives the daemon: cards, plates they lie on, and encoders that write them with faults on demand."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from encoder_bridge.desk import AttemptDesk
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
MISREADS = ("intends while it reads",)


@dataclass(eq=False)
class Piece:
    """One piece of plastic."""

    uid: str
    carries: Credential | None = None
    is_whole: bool = True
    job: int | None = None
    """Whose contents it carries."""

    @property
    def is_blank(self) -> bool:
        return self.carries is None and self.is_whole

    @property
    def mark(self) -> tuple[str, int] | None:
        """What can be read from it: access method and number."""
        return (self.carries.access_method_id, self.carries.sequence) if self.carries and self.is_whole else None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What an encoder asks for."""

    verb: str
    """`encode`, `read` or `erase`."""
    job: int | None
    card: str | None
    """Uid of the very card, where only that one will do."""


@dataclass
class World:
    """All there is outside the process."""

    cards: dict[str, Piece] = field(default_factory=dict)
    plates: dict[str, Piece | None] = field(default_factory=dict)
    asked: dict[str, Wanted] = field(default_factory=dict)
    unplugged: set[str] = field(default_factory=set)
    faults: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    touched: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Job to the cards that were written for it, in whole or in part."""
    used: dict[str, Piece] = field(default_factory=dict)
    """Encoder to the card that lies there since an earlier call had to do with it."""
    erasing: set[str] = field(default_factory=set)
    """Encoders in whose hands an erasure is."""
    devices: dict[str, FakeEncoder] = field(default_factory=dict)
    objections: list[str] = field(default_factory=list)
    writes: Callable[[Piece, int, Credential], None] = lambda *_: None
    """Told just before a card is changed: it, the job, what it is to carry."""
    blanks: Callable[[Piece, str, bool], None] = lambda *_: None
    """Told just before a card is changed: it, the encoder, whether an earlier call began it."""
    _uids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def blank(self) -> Piece:
        piece = Piece(f"{next(self._uids):04x}")
        self.cards[piece.uid] = piece
        return piece

    def lay(self, encoder: str, piece: Piece | None) -> None:
        """Put a card on the plate, or take it off; it lies on one plate only."""
        if self.plates.get(encoder) is piece:
            return
        for name, there in self.plates.items():
            if there is piece:
                self.plates[name] = None
                self.used.pop(name, None)
        self.plates[encoder] = piece
        self.used.pop(encoder, None)
        self.stir()

    def destroy(self, uid: str) -> None:
        piece = self.cards.pop(uid)
        for name, there in self.plates.items():
            if there is piece:
                self.lay(name, None)

    def unplug(self, encoder: str) -> None:
        self.unplugged.add(encoder)
        self.stir()

    def stir(self) -> None:
        for device in self.devices.values():
            device.stirred.set()

    def good(self, job: int) -> list[str]:
        """The cards that carry a job's credential in whole."""
        return [uid for uid, piece in self.cards.items() if piece.job == job and piece.mark]


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

    senses = False
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
        assert isinstance(desk, AttemptDesk)
        job = desk.job.job_id
        if self.senses and self._name in self._world.used:
            self._world.objections.append(f"{self._name} was armed while the card used last lay there")
        fault = self._fault()
        piece = await self._card(desk, Wanted(verb="encode", job=job, card=_wanted(resume)), resume, fault)
        receipt = Receipt(evidence=Evidence.READ_BACK, card=_card(piece))
        if resume and piece.carries == credential and piece.is_whole:
            return receipt
        await self._intend(piece, desk, fault)
        self._world.writes(piece, job, credential)
        self._world.touched[job].add(piece.uid)
        piece.carries, piece.is_whole, piece.job = credential, False, job
        await self._work(piece, fault)
        piece.is_whole = True
        _end(fault)
        return receipt

    async def read(self, desk: Desk) -> Contents:
        fault = self._fault()
        piece = await self._card(desk, Wanted(verb="read", job=None, card=None), None, fault)
        if fault in MISREADS:
            await desk.intend(Intent(card=_card(piece)))
            piece.carries = None
        return Contents(card=_card(piece), fields={"method": piece.mark[0]} if piece.mark else {})

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        self._world.erasing.add(self._name)
        try:
            fault = self._fault()
            piece = await self._card(desk, Wanted(verb="erase", job=None, card=_wanted(resume)), resume, fault)
            receipt = Receipt(evidence=Evidence.READ_BACK, card=_card(piece))
            if resume and piece.is_blank:
                return receipt
            await self._intend(piece, desk, fault)
            self._world.blanks(piece, self._name, resume is not None)
            piece.is_whole = False
            await self._work(piece, fault)
            piece.carries, piece.is_whole, piece.job = None, True, None
            _end(fault)
            return receipt
        finally:
            self._world.erasing.discard(self._name)

    async def _intend(self, piece: Piece, desk: Desk, fault: str) -> None:
        try:
            await desk.intend(Intent(card=_card(piece)))
        except Withdrawn:
            self._world.used.pop(self._name, None)  # nobody had anything to do with it
            raise
        if fault == "card refused after the intent":
            raise CardRejected("locked")
        if fault == "device busy after the intent" or self._is_gone:
            raise DeviceUnavailable("busy")

    async def _work(self, piece: Piece, fault: str) -> None:
        try:
            await asyncio.sleep(SILENCE_S * 4 if fault == "hangs" else WRITE_S)
        except asyncio.CancelledError:
            # A shutdown: what was begun is brought to its end.
            if fault == "hangs" or self._is_dead:
                raise
        if self._world.plates.get(self._name) is not piece or fault == "torn" or self._is_gone:
            raise Unsure("lifted")

    def _fault(self) -> str:
        fault = self._world.faults[self._name].popleft() if self._world.faults[self._name] else ""
        self._break_early(fault)
        return fault

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

    async def _card(self, desk: Desk, wanted: Wanted, resume: Intent | None, fault: str) -> Piece:
        """The card that is laid down, if it is the one that is wanted."""
        desk.ask(Prompt.SAME_CARD if resume else Prompt.PLACE_CARD, resume.card if resume else None)
        self._world.asked[self._name] = wanted
        try:
            piece = await self._any_card(desk)
        finally:
            if self._world.asked.get(self._name) is wanted:
                del self._world.asked[self._name]
        self._world.used[self._name] = piece
        if resume and piece.uid != wanted.card:
            raise CardRejected("not the card that was begun")
        if fault == "card refused":
            raise CardRejected("of another kind")
        return piece

    async def _any_card(self, desk: Desk) -> Piece:
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

    senses = True

    async def lifted(self) -> None:
        while self._world.plates.get(self._name) is not None:
            await self._stir()


def _wanted(resume: Intent | None) -> str | None:
    return resume.card.uid if resume and resume.card else None


def _card(piece: Piece) -> Card:
    return Card(technology="test", uid=piece.uid)


def _end(fault: str) -> None:
    """What can go wrong once the card is done."""
    if fault == "lost reply":
        raise Unsure("no reply")
    if fault == "breaks while it writes":
        raise ValueError("a bug in the driver")
