"""The PC/SC driver keeps the driver port's contract behind a real pcscd."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from cards_bench import CANARIES, IMPOSSIBLE, TECHNOLOGIES, Bench, secret
from encoder_bridge_pcsc import driver
from virtual import pcscd, personalities
from virtual.card import VirtualCard
from virtual.pcscd import PcscStack
from virtual.personalities import Reader
from virtual.vpcd import Slot

from encoder_bridge.testing import EncoderContract, Rig

pytest.importorskip("smartcard.scard", reason="pyscard is not installed: no PC/SC client")
pytestmark = [
    pytest.mark.skipif(pcscd.available() is not None, reason=str(pcscd.available())),
    pytest.mark.slow,
]
READER = personalities.ACR122U.name


class Surface:
    """Where cards are laid behind pcscd, which notices each after a moment."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._lies = False
        self.tears: list[tuple[int, str]] = []

    def lay(self, card: VirtualCard) -> None:
        self.lift()
        self._slot.lay(card, waits=False)
        self._lies = True
        if self.tears:
            self._slot.tear(*self.tears.pop(0))

    def lift(self) -> None:
        if self._lies:
            self._slot.lift()
        self._lies = False


@pytest.fixture(scope="module")
def stack() -> Iterator[PcscStack]:
    with PcscStack(READER) as running, running.use():
        yield running


class TestPcsc(EncoderContract):
    test_a_device_that_cannot_tell_cards_apart_gives_no_uid = None  # type: ignore[assignment] # it can

    @pytest.fixture
    def rig(self, stack: PcscStack) -> Iterator[Rig]:
        with Slot(stack.port(stack.readers[0]), Reader(personalities.ACR122U)) as slot:
            surface = Surface(slot)
            bench = Bench(TECHNOLOGIES["ntag"], surface)
            yield Rig(
                driver=driver,
                settings={"reader": READER, "slot": 0, "profiles": bench.profiles},
                person=bench,
                credential=bench.credential,
                snapshot=bench.snapshot,
                carries=bench.carries,
                canaries=CANARIES,
                secret=secret,
                impossible=IMPOSSIBLE,
                faults={
                    f"lifted {how} a frame": partial(surface.tears.append, (9, how))
                    for how in ("before", "during", "after")
                },
            )
