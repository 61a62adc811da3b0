"""A card reader in software, without PC/SC: the card library as a whole driver, on virtual cards.

`Counter` is the place where cards are laid; `CounterDriver` opens it.  Frames go straight to the card, so a test meets
the library alone; what a reader and pcscd do to frames is `virtual.vpcd`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from encoder_bridge_cards.encoder import CardEncoder
from encoder_bridge_cards.link import Activation, Link, NoAnswer, ReaderGone
from encoder_bridge_cards.profile import parse_profiles
from encoder_bridge_cards.reader import HeldCard, Result

from encoder_bridge.driver import DeviceUnavailable, Driver, Found, Secret, Settings, SettingsRejected
from virtual.card import Tear, VirtualCard


class Counter(Link):
    """A reader, and the card that lies on it.  Cards are moved in the event loop, or where none runs."""

    name = "counter"

    def __init__(self) -> None:
        self.card: VirtualCard | None = None
        self.is_plugged_in = True
        self.signals: list[bool] = []
        self.tears: list[tuple[int, str]] = []
        """For each card laid from now on, the exchange that breaks and how; see `virtual.card.Tear`."""
        self.lost_replies: set[int] = set()
        """Exchanges of the present holding whose reply is lost while the card stays."""
        self.exchanges = 0
        self._field: Tear | None = None
        self._moved: asyncio.Event = asyncio.Event()

    @property
    def is_torn(self) -> bool:
        """Whether the card that was laid last has broken off."""
        return self._field is not None and self._field.is_torn

    def lay(self, card: VirtualCard) -> None:
        self.card = card
        self._field = Tear(card, *(self.tears.pop(0) if self.tears else ()))
        self._moved.set()

    def lift(self) -> None:
        self.card = self._field = None
        self._moved.set()

    def unplug(self) -> None:
        self.is_plugged_in = False
        self._moved.set()

    async def present(self) -> None:
        await self._until(lambda: self._field is not None and not self._field.is_torn)

    async def absent(self) -> None:
        await self._until(lambda: self._field is None or self._field.is_torn)

    async def lost(self) -> None:
        while self.is_plugged_in:
            await self._movement()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[HeldCard]:
        with ThreadPoolExecutor(1) as thread:
            yield Held(self, thread)

    async def signal(self, ok: bool) -> None:
        self.signals.append(ok)

    def activate(self) -> Activation:
        return self._lying().activate()

    def exchange(self, frame: bytes) -> bytes:
        number, self.exchanges = self.exchanges, self.exchanges + 1
        answer = self._lying().exchange(frame)
        if number in self.lost_replies:
            raise NoAnswer
        return answer

    def _lying(self) -> Tear:
        if not self.is_plugged_in:
            raise ReaderGone
        if self._field is None:
            raise NoAnswer
        return self._field

    async def _until(self, holds: Callable[[], bool]) -> None:
        while self.is_plugged_in:
            if holds():
                return
            await self._movement()
        raise ReaderGone

    async def _movement(self) -> None:
        self._moved = asyncio.Event()
        await self._moved.wait()


class Held:
    """The card to oneself, and the thread that works with it."""

    def __init__(self, counter: Counter, thread: ThreadPoolExecutor) -> None:
        self._counter = counter
        self._thread = thread

    async def run(self, work: Callable[[Link], Result]) -> Result:
        running = asyncio.get_running_loop().run_in_executor(self._thread, work, self._counter)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait({running})
            raise


class CounterDriver:
    """Opens one counter, which is there once."""

    port = (1, 1)
    takes_profiles = True

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self._is_open = False

    def check(self, settings: Settings, secret: Secret) -> None:
        for key in settings:
            if key != "profiles":
                raise SettingsRejected(f"There is no setting {key!r}; remove it.")
        parse_profiles(settings.get("profiles"), secret)

    async def discover(self, settings: Settings, secret: Secret) -> Sequence[Found]:
        return ()

    @asynccontextmanager
    async def open(self, settings: Settings, secret: Secret) -> AsyncIterator[CardEncoder]:
        if self._is_open or not self.counter.is_plugged_in:
            raise DeviceUnavailable("The counter is in use or gone.")
        self._is_open = True
        try:
            yield CardEncoder(self.counter, parse_profiles(settings["profiles"], secret))
        finally:
            self._is_open = False


def is_a_driver(counter: Counter) -> Driver:
    return CounterDriver(counter)
