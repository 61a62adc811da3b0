"""A magstripe writer in memory: no UID, it writes the next card that is swiped, some can read in another swipe."""

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

from .people import CANARIES, PATIENCE_S, check_settings, credential, digest, image, secret, until

STRIPE = Card(technology="magstripe")


@dataclass
class Writer:
    """The device and the cards that go through it."""

    stripes: list[bytes] = field(default_factory=list)
    armed: bytes | None = None
    checking: bool = False
    answer: bytes | None = None
    swipe: asyncio.TimerHandle | None = None
    opened: bool = False
    faults: set[str] = field(default_factory=set)

    def fresh(self, prompt: Prompt) -> None:
        self.stripes.append(b"")
        self.through()

    def again(self, prompt: Prompt, card: Card | None) -> None:
        if self.stripes:
            self.through()
        else:
            self.fresh(prompt)

    def lift(self) -> None:
        if self.swipe:
            self.swipe.cancel()

    def through(self) -> None:
        """Swipe the last card as soon as the lamp is on."""
        if self.armed is not None:
            data, self.armed = self.armed, None
            if "the head is dirty" in self.faults:
                self.answer = b"E"
            elif "the stripe is weak" in self.faults:
                self.stripes[-1], self.answer = data[:5], b"0"
            else:
                self.stripes[-1] = data
                self.answer = None if "the reply is lost" in self.faults else b"0"
            self.faults.clear()
        elif self.checking:
            self.checking, self.answer = False, b"R" + self.stripes[-1]
        else:
            self.swipe = asyncio.get_running_loop().call_later(0.001, self.through)

    def snapshot(self) -> object:
        return [stripe for stripe in self.stripes if stripe]

    def carries(self, wanted: Credential) -> int:
        return self.stripes.count(image(wanted))


class Magstripe:
    """One open writer."""

    silence_s = 1.0
    sign_of_life_s = 0.1
    lost_after_s = 0.3

    def __init__(self, writer: Writer, key: bytes, reads: bool) -> None:
        self.writer = writer
        self.key = key
        self.reads = reads

    @property
    def capabilities(self) -> Capabilities:
        evidence = Evidence.READ_BACK if self.reads else Evidence.ATTESTED
        return Capabilities(
            technologies=frozenset({"magstripe"}),
            evidence=evidence,
            silence_s=self.silence_s,
            tells_cards_apart=False,
        )

    async def lost(self) -> None:
        await asyncio.Event().wait()

    def check(self, credential: Credential) -> None:
        pass

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        wanted = image(credential, self.key)
        if resume is not None:
            if not self.reads:
                raise Unsure("The last card may have been written; this writer cannot tell.")
            if await self.swiped_to_check(desk) == wanted:
                return self.receipt(wanted)
        await desk.intend(Intent(card=None, note={"digest": digest(wanted)}))
        await self.swiped_to_write(wanted, desk)
        if self.reads and await self.swiped_to_check(desk) != wanted:
            raise Unsure("The stripe does not hold what was written; swipe the card again.")
        desk.progress(2, 2)
        return self.receipt(wanted)

    def receipt(self, wanted: bytes) -> Receipt:
        return Receipt(evidence=self.capabilities.evidence, card=STRIPE, note={"digest": digest(wanted)})

    async def swiped_to_write(self, wanted: bytes, desk: Desk) -> None:
        writer = self.writer
        desk.ask(Prompt.SWIPE_TO_WRITE)
        writer.answer, writer.armed = None, wanted
        try:
            await until(lambda: writer.armed is None, desk, self.signs_of_life(desk, 0))
        finally:
            writer.armed = None
        until_s = time.monotonic() + self.lost_after_s
        while writer.answer is None:
            await asyncio.sleep(0.002)
            if time.monotonic() > until_s:
                raise Unsure("The writer did not say whether it wrote; swipe the card again.")
        if writer.answer == b"E":
            raise CardRejected("The writer could not write this card; take another.", raw=writer.answer)
        desk.progress(1, 2)

    async def swiped_to_check(self, desk: Desk) -> bytes:
        writer = self.writer
        desk.ask(Prompt.SWIPE_TO_CHECK)
        writer.answer, writer.checking = None, True
        try:
            await until(lambda: writer.answer is not None, desk, self.signs_of_life(desk, 1))
        except Withdrawn:
            raise Unsure("The card was not swiped again, so nobody knows whether it is good.") from None
        finally:
            writer.checking = False
        assert writer.answer is not None
        return writer.answer[1:]

    def signs_of_life(self, desk: Desk, done: int) -> partial[None]:
        return partial(self._sign, desk, done, [time.monotonic()])

    def _sign(self, desk: Desk, done: int, last: list[float]) -> None:
        if time.monotonic() - last[0] > self.sign_of_life_s:
            last[0] = time.monotonic()
            desk.progress(done, 2)


class MagstripeDriver:
    """The driver of one writer, and one opening of it at a time."""

    port = (1, 0)

    def __init__(self, writer: Writer, device: type[Magstripe] = Magstripe) -> None:
        self.writer = writer
        self.device = device

    def check(self, settings: Settings, secret: Secret) -> None:
        check_settings(settings, {"port", "reads"}, secret)

    async def discover(self, settings: Settings, secret: Secret) -> Sequence[Found]:
        return []

    @asynccontextmanager
    async def open(self, settings: Settings, secret: Secret) -> AsyncIterator[Magstripe]:
        if self.writer.opened:
            raise DeviceUnavailable("Somebody else uses the writer.")
        self.writer.opened = True
        try:
            yield self.device(self.writer, secret("key"), bool(settings["reads"]))
        finally:
            self.writer.opened = False


def magstripe(reads: bool, device: type[Magstripe] = Magstripe, patience_s: float = PATIENCE_S) -> Rig:
    """The bench of one writer; one that cannot read takes what the writer says for true."""
    writer = Writer()
    faults = ["the head is dirty", "the reply is lost", *(["the stripe is weak"] if reads else [])]
    return Rig(
        driver=MagstripeDriver(writer, device),
        settings={"port": "/dev/fake", "reads": reads},
        secret=secret,
        person=writer,
        credential=credential,
        snapshot=writer.snapshot,
        carries=writer.carries,
        canaries=CANARIES,
        faults={fault: partial(writer.faults.add, fault) for fault in faults},
        patience_s=patience_s,
    )
