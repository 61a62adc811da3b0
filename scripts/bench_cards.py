"""One fresh card of each technology: what the driver adds to a bare loop with the same APDUs, and the radio floor.

Time counts from a card's first APDU to its last, so that neither the person nor pcscd's noticing is in it, and without
what the virtual card takes for itself.  The bare loop meets a recording of what the driver was answered, each answer as
late as it was then.

Two things keep the machine's other work out of the ratio.  PC/SC and the card, in a process of its own as plastic is,
have one processor and the client the others: left alone, the scheduler moves them together and apart and changes either
time by half.  And what is compared is no card's whole time, but the sum of the medians of each wait for the next APDU.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from cards_bench import CONTENTS, TECHNOLOGIES, secret
from virtual import pcscd, personalities
from virtual.card import VirtualCard
from virtual.pcscd import PcscStack
from virtual.personalities import Reader
from virtual.type4 import Type4
from virtual.vpcd import Port, Slot

from encoder_bridge.driver import Card, Credential, Encoder, Intent, Prompt
from scripts.bench_air import OnAir, selecting_s

WARM_UP = 4
"""Cards that do not count: a reader's ways are found out with the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is put onto which card."""

    profile: Mapping[str, object]
    make: Callable[[bytes], VirtualCard]
    data: Mapping[str, bytes]


def _kinds() -> dict[str, Kind]:
    names = {
        "NTAG213 with password": "ntag",
        "Classic 1K, one sector": "classic",
        "Ultralight C": "ultralight_c",
        "DESFire EV2": "desfire ev2",
        "DESFire EV1": "desfire ev1",
    }
    kinds = {
        name: Kind(
            profile={"format": "raw", **TECHNOLOGIES[key].table},
            make=TECHNOLOGIES[key].make,
            data={TECHNOLOGIES[key].place: CONTENTS},
        )
        for name, key in names.items()
    }
    uri = {"format": "ndef", "uri": "https://keys.example.com/{access_method_id}", "type4": {}}
    return kinds | {"Forum Type 4, NDEF": Kind(profile=uri, make=Type4, data={})}


KINDS = _kinds()


class Step(NamedTuple):
    """What a reader did for one card."""

    asked: bytes | None
    """The command APDU; None: the card was reset."""
    answer: bytes
    began: float
    seconds: float
    """Until the virtual card had its answer."""


class Made(NamedTuple):
    """One card, from its first APDU to its last, and its radio."""

    steps: list[Step]
    air_s: float
    writes: int

    @property
    def asked(self) -> list[bytes | None]:
        return [step.asked for step in self.steps]

    @property
    def size(self) -> int:
        return sum(len(step.asked) + len(step.answer) for step in self.steps if step.asked is not None)

    @property
    def waits(self) -> list[float]:
        """Seconds from each answer to the next command; all that is not the virtual card's own time."""
        return [after.began - before.began - before.seconds for before, after in pairwise(self.steps)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The usual card of one technology."""

    name: str
    apdus: int
    size: int
    """Bytes of all commands and responses."""
    driver_s: float
    bare_s: float
    air_s: float
    writes: int


def figures(count: int) -> Iterator[Figure]:
    """Measure `count` cards of each technology.

    Raises:
        RuntimeError: there is no PC/SC service to be had, or two runs were not the same.
    """
    if reason := pcscd.available():
        raise RuntimeError(reason)
    with _processors() as (first, others), ExitStack() as parts:
        os.sched_setaffinity(0, first)
        stack = parts.enter_context(PcscStack(personalities.ACR122U.name))
        parts.enter_context(stack.use())
        card = parts.enter_context(plastic(stack))
        os.sched_setaffinity(0, others)
        for name in KINDS:
            yield asyncio.run(_figure(name, stack.readers[0], card, count))


@contextmanager
def _processors() -> Iterator[tuple[set[int], set[int]]]:
    """The first that we may use, and the others; twice the same where there is only one."""
    ours = os.sched_getaffinity(0)
    first = {min(ours)}
    try:
        yield first, ours - first or first
    finally:
        os.sched_setaffinity(0, ours)


async def _figure(name: str, reader: str, card: Connection[Any, Any], count: int) -> Figure:
    from encoder_bridge_pcsc import driver

    settings = {"reader": personalities.ACR122U.name, "slot": 0, "profiles": {"guest": KINDS[name].profile}}
    ours: list[Made] = []
    bare: list[Made] = []
    async with driver.open(settings, secret) as device:
        assert isinstance(device, Encoder)
        for number in range(count + WARM_UP):
            _order(card, "lay", name, b"\x04" + number.to_bytes(6, "big"))
            await device.encode(_credential(name, number), AtOnce())
            ours.append(_order(card, "made"))
            _order(card, "replay", ours[-1].steps)
            await asyncio.to_thread(_bare, reader, ours[-1].steps)
            bare.append(_order(card, "made"))
            if bare[-1].asked != ours[-1].asked:
                raise RuntimeError("the bare loop did not send the same")
    del ours[:WARM_UP], bare[:WARM_UP]
    return Figure(
        name=name,
        apdus=sum(asked is not None for asked in ours[0].asked),
        size=ours[0].size,
        driver_s=_usual(ours),
        bare_s=_usual(bare),
        air_s=ours[0].air_s,
        writes=ours[0].writes,
    )


def _usual(cards: list[Made]) -> float:
    by_step: Iterator[tuple[float, ...]] = zip(*(made.waits for made in cards), strict=True)
    return sum(map(statistics.median, by_step))


def _credential(name: str, number: int) -> Credential:
    return Credential(access_method_id=f"{number:032x}", profile="guest", sequence=number + 1, data=KINDS[name].data)


class AtOnce:
    """A desk whose disk takes no time."""

    def ask(self, prompt: Prompt, card: Card | None = None) -> None: ...

    def progress(self, done: int, total: int) -> None: ...

    async def intend(self, intent: Intent) -> None: ...

    async def withdrawn(self) -> None:
        await asyncio.Event().wait()


def _bare(reader: str, steps: list[Step]) -> None:
    """What PC/SC itself takes, seen from Python."""
    from smartcard import scard

    protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    code, handle, protocol = scard.SCardConnect(context, reader, scard.SCARD_SHARE_EXCLUSIVE, protocols)
    for step in steps:
        if step.asked is None:
            code, protocol = scard.SCardReconnect(
                handle, scard.SCARD_SHARE_EXCLUSIVE, protocols, scard.SCARD_RESET_CARD
            )
        else:
            code, _ = scard.SCardTransmit(handle, protocol, list(step.asked))
        if code:
            raise RuntimeError(scard.SCardGetErrorMessage(code))
    scard.SCardDisconnect(handle, scard.SCARD_RESET_CARD)
    scard.SCardReleaseContext(context)


# The card's process


@contextmanager
def plastic(stack: PcscStack) -> Iterator[Connection[Any, Any]]:
    """A card that lies on the first reader and becomes another one on demand."""
    ours, its = multiprocessing.Pipe()
    number = stack.port(stack.readers[0]).number()
    process = multiprocessing.get_context("spawn").Process(target=_lie, args=(number, its), daemon=True)
    process.start()
    its.close()
    try:
        ours.recv()
        yield ours
    finally:
        ours.close()
        process.join(30)


def _order(card: Connection[Any, Any], verb: str, *arguments: object) -> Any:
    card.send((verb, arguments))
    return card.recv()


def _lie(number: int, orders: Connection[Any, Any]) -> None:
    plate = Plate()
    with Slot(Port(reader="bench", number=lambda: number), plate) as slot:
        slot.lay(plate.card)
        orders.send(None)
        while True:
            try:
                verb, arguments = orders.recv()
            except EOFError:
                return
            orders.send(getattr(plate, verb)(*arguments))


class Plate:
    """A reader that takes the time, and in whose field one card becomes the next; `virtual.vpcd.Personality`."""

    def __init__(self) -> None:
        self._reader = Reader(personalities.ACR122U)
        self._steps: list[Step] = []
        self._recorded: Iterator[Step] | None = None
        self._next: Step | None = None
        self._atr = b""
        self.card = OnAir(Type4())

    def lay(self, name: str, uid: bytes) -> None:
        self.card = OnAir(KINDS[name].make(uid))
        self._steps, self._recorded = [], None

    def replay(self, steps: list[Step]) -> None:
        self._recorded, self._steps = iter(steps), []
        self._next = next(self._recorded)

    def made(self) -> Made:
        apdus = [at for at, step in enumerate(self._steps) if step.asked is not None]
        steps = self._steps[apdus[0] : apdus[-1] + 1]
        selections = 1 + sum(step.asked is None for step in steps)
        return Made(steps, self.card.air_s + selections * selecting_s(self.card.ats), self.card.writes)

    def power_up(self, card: VirtualCard) -> bytes:  # noqa: ARG002 - it becomes another one meanwhile
        began = time.perf_counter()
        if self._recorded is None:
            self._atr = self._reader.power_up(self.card)
        elif self._next is not None and self._next.asked is None:
            self._wait(began)
        self._steps.append(Step(None, self._atr, began, time.perf_counter() - began))
        return self._atr

    def transmit(self, apdu: bytes) -> bytes:
        began = time.perf_counter()
        if self._recorded is None:
            answer = self._reader.transmit(apdu)
        elif self._next is not None and self._next.asked == apdu:
            answer = self._next.answer
            self._wait(began)
        else:
            answer = b"\x6f\x00"
        self._steps.append(Step(apdu, answer, began, time.perf_counter() - began))
        return answer

    def _wait(self, began: float) -> None:
        assert self._recorded is not None
        assert self._next is not None
        until = began + self._next.seconds
        self._next = next(self._recorded, None)
        while time.perf_counter() < until:
            continue
