"""An encoder that an access system elsewhere works: nobody here sees a card, the outcome is known over there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from encoder_bridge.driver import (
    Capabilities,
    Card,
    CardRejected,
    Credential,
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
    Withdrawn,
)
from encoder_bridge.testing import Rig

from .people import CANARIES, PATIENCE_S, check_settings, credential, secret, until

Work = tuple[str, int]
"""Access method and sequence."""


@dataclass
class Attempt:
    work: Work
    status: str = "pending"


@dataclass
class AccessSystem:
    """Attempts, and the cards on an encoder over there."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    cards: list[Work | None] = field(default_factory=list)
    on: int | None = None
    opened: bool = False
    faults: set[str] = field(default_factory=set)

    def fresh(self, prompt: Prompt) -> None:
        self.cards.append(None)
        self.on = len(self.cards) - 1
        self.work()

    def again(self, prompt: Prompt, card: Card | None) -> None:
        raise AssertionError("nobody here can tell one card from another")

    def lift(self) -> None:
        self.on = None

    def work(self) -> None:
        for attempt in self.attempts.values():
            if attempt.status == "pending" and self.on is not None:
                if "the card is foreign" in self.faults:
                    attempt.status = "error"
                    self.faults.clear()
                    continue
                self.cards[self.on] = attempt.work
                attempt.status = "success"

    async def start(self, work: Work) -> str:
        await asyncio.sleep(0)
        attempt_id = f"attempt-{len(self.attempts) + 1}"
        self.attempts[attempt_id] = Attempt(work)
        self.work()
        if "the reply is lost" in self.faults:
            self.faults.clear()
            raise ConnectionError("the connection broke")
        return attempt_id

    def status(self, attempt_id: str) -> str:
        return self.attempts[attempt_id].status

    async def newest(self, work: Work) -> str | None:
        await asyncio.sleep(0)
        return next((key for key, attempt in reversed(self.attempts.items()) if attempt.work == work), None)

    async def cancel(self, attempt_id: str) -> bool:
        await asyncio.sleep(0)
        attempt = self.attempts[attempt_id]
        if attempt.status == "pending":
            attempt.status = "cancelled"
        return attempt.status == "cancelled"

    def snapshot(self) -> object:
        return [card for card in self.cards if card]

    def carries(self, wanted: Credential) -> int:
        return self.cards.count((wanted.access_method_id, wanted.sequence))


class Delegated:
    """One encoder over there, ours while it is open."""

    silence_s = 1.0
    sign_of_life_s = 0.1

    def __init__(self, system: AccessSystem) -> None:
        self.system = system

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            technologies=frozenset({"theirs"}),
            evidence=Evidence.CONTROL_PLANE,
            silence_s=self.silence_s,
            tells_cards_apart=False,
        )

    async def lost(self) -> None:
        await asyncio.Event().wait()

    def check(self, credential: Credential) -> None:
        pass

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        work = (credential.access_method_id, credential.sequence)
        attempt_id = await self.begun(work, resume) if resume else None
        if attempt_id is None or self.system.status(attempt_id) in ("cancelled", "error"):
            attempt_id = await self.started(work, desk)
        elif self.system.status(attempt_id) == "pending":
            desk.ask(Prompt.PLACE_CARD)
        try:
            await until(lambda: self.system.status(attempt_id) != "pending", desk, self.signs_of_life(desk))
        except Withdrawn:
            if await self.system.cancel(attempt_id):
                raise
        if self.system.status(attempt_id) == "error":
            raise CardRejected("This card is of another house; take another.", raw="incompatible_card_format")
        desk.progress(1, 1)
        return Receipt(evidence=Evidence.CONTROL_PLANE, card=None, note={"attempt": attempt_id})

    async def begun(self, work: Work, resume: Intent) -> str | None:
        return resume.note.get("attempt") or await self.system.newest(work)

    async def started(self, work: Work, desk: Desk) -> str:
        desk.ask(Prompt.PLACE_CARD)
        note = {"method": work[0]}
        await desk.intend(Intent(card=None, note=note))
        try:
            attempt_id = await self.system.start(work)
        except ConnectionError as error:
            raise Unsure("The access system did not answer; the card may have been written.", raw=error) from error
        await desk.intend(Intent(card=None, note={**note, "attempt": attempt_id}))
        return attempt_id

    def signs_of_life(self, desk: Desk) -> partial[None]:
        return partial(self._sign, desk, [time.monotonic()])

    def _sign(self, desk: Desk, last: list[float]) -> None:
        if time.monotonic() - last[0] > self.sign_of_life_s:
            last[0] = time.monotonic()
            desk.progress(0, 1)


class DelegatedDriver:
    """The driver of one encoder over there."""

    port = (1, 0)

    def __init__(self, system: AccessSystem, device: type[Delegated] = Delegated) -> None:
        self.system = system
        self.device = device

    def check(self, settings: Settings, secret: Secret) -> None:
        check_settings(settings, {"encoder"}, secret)

    async def discover(self, settings: Settings, secret: Secret) -> Sequence[Found]:
        return [Found(identity="encoder-1", settings={"encoder": "encoder-1"})]

    @asynccontextmanager
    async def open(self, settings: Settings, secret: Secret) -> AsyncIterator[Delegated]:
        if self.system.opened:
            raise DeviceUnavailable("Another desk uses this encoder.")
        self.system.opened = True
        try:
            yield self.device(self.system)
        finally:
            self.system.opened = False


def delegated(device: type[Delegated] = Delegated, patience_s: float = PATIENCE_S) -> Rig:
    """The bench of an encoder over there."""
    system = AccessSystem()
    return Rig(
        driver=DelegatedDriver(system, device),
        settings={"encoder": "encoder-1"},
        secret=secret,
        person=system,
        credential=credential,
        snapshot=system.snapshot,
        carries=system.carries,
        canaries=CANARIES,
        faults={fault: partial(system.faults.add, fault) for fault in ("the card is foreign", "the reply is lost")},
        patience_s=patience_s,
    )
