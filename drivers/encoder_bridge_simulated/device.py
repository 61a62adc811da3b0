"""One simulated encoder at work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from encoder_bridge.driver import (
    Capabilities,
    Card,
    CardRejected,
    Contents,
    Credential,
    Desk,
    DeviceUnavailable,
    DriverError,
    Evidence,
    Intent,
    Prompt,
    Receipt,
    Unsure,
    Withdrawn,
)
from encoder_bridge_simulated import codec
from encoder_bridge_simulated.bench import Bench
from encoder_bridge_simulated.clerk import Clerk
from encoder_bridge_simulated.codec import BLOCK, Step
from encoder_bridge_simulated.content import fields as fields_of
from encoder_bridge_simulated.content import identify, image_of, note, padded
from encoder_bridge_simulated.faults import Fault, Kind, fault
from encoder_bridge_simulated.plastic import TECHNOLOGY, Plastic
from encoder_bridge_simulated.plug import Plug
from encoder_bridge_simulated.script import Script
from encoder_bridge_simulated.settings import Simulation
from encoder_bridge_simulated.stock import NoSuchCard, Stock

_log = logging.getLogger(__name__)

_POLL_S = 0.02


@dataclass(slots=True, kw_only=True)
class _Call:
    """One call that needs a card."""

    desk: Desk
    resume: Intent | None = None
    fault: Fault | None = None
    intended: bool = False
    done: bool = False

    def meets(self, *kinds: Kind) -> bool:
        return self.fault is not None and self.fault.kind in kinds


class SimulatedEncoder:
    """An open encoder: `Encoder`, `Reader`, `Eraser`, `Sensing` and `Signaller`."""

    def __init__(self, settings: Simulation, stock: Stock, script: Script, plug: Plug) -> None:
        self._moved = asyncio.Event()
        self._clerk = Clerk(settings, stock, self._moved.set)
        self._bench = Bench(settings=settings, stock=stock, plug=plug, clerk=self._clerk)
        self._script = script
        self._clerk.arrive(script.listed)
        self._capabilities = Capabilities(
            technologies=frozenset({TECHNOLOGY}), evidence=Evidence.READ_BACK, silence_s=settings.silence_s
        )

    @property
    def capabilities(self) -> Capabilities:
        """See `Device`."""
        return self._capabilities

    async def lost(self) -> None:
        """Return once the encoder is unplugged or closed."""
        await self._bench.plug.out.wait()

    def close(self) -> None:
        """Let the encoder go; what still runs on it ends, and closing it again changes nothing."""
        self._clerk.leave()
        self._bench.plug.release()
        self._moved.set()

    def check(self, credential: Credential) -> None:
        """See `Encoder`."""
        image_of(credential)

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        """See `Encoder`.  A card that carries another credential is overwritten unless the desk vetoes that."""
        image = image_of(credential)
        async with self._call(desk, resume, self._script) as call:
            card = await self._card(call, made=False)
            with self._bench.stock.plastic(card.uid or "") as plastic:
                identify(plastic, len(image))
                content = plastic.read()
                if resume is None or content != padded(image, plastic):
                    await self._write(call, card, plastic, codec.steps(image, content), image)
            call.done = True
        return _receipt(card, image)

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        """See `Eraser`.  A card that some other system wrote is refused."""
        async with self._call(desk, resume) as call:
            card = await self._card(call, made=True)
            with self._bench.stock.plastic(card.uid or "") as plastic:
                identify(plastic, BLOCK)
                content = plastic.read()
                blank = bytes(len(content))
                if not codec.made_here(content):
                    raise CardRejected("This card was not made here: lay down one that was.", raw="foreign_content")
                if resume is None or content != blank:
                    await self._write(call, card, plastic, codec.erasing(content), blank)
            call.done = True
        return _receipt(card, blank)

    async def read(self, desk: Desk) -> Contents:
        """See `Reader`.

        The field ``state`` is ``blank``, ``whole`` or ``unreadable``.  A whole card also has ``access_method_id,
        profile, sequence, joins, digest`` and, where they are set, ``entrances`` (joined by commas), ``starts_at``
        and ``ends_at`` (ISO 8601).
        """
        async with self._call(desk) as call:
            card = await self._card(call, made=True)
            return Contents(card=card, fields=fields_of(self._bench.stock.read(card.uid or "")))

    async def lifted(self) -> None:
        """See `Sensing`."""
        while not self._bench.plug.out.is_set() and self._bench.lying() is not None:
            await self._movement()

    async def signal(self, ok: bool) -> None:
        """See `Signaller`; the light is a line in the log."""
        _log.debug("simulated encoder %s: %s light", self._bench.settings.name, "green" if ok else "red")

    @asynccontextmanager
    async def _call(
        self, desk: Desk, resume: Intent | None = None, script: Script | None = None
    ) -> AsyncIterator[_Call]:
        """Begin with the next fault of `script`; end with the clerk lifting the card, whatever the end is."""
        call = _Call(desk=desk, resume=resume)
        try:
            try:
                self._begin(call, script)
                yield call
            finally:
                begun = call.intended or resume is not None
                self._clerk.end(aside=False if call.done else begun or None)
        except (OSError, NoSuchCard) as error:
            if call.intended:
                raise Unsure("The card is out of reach: lay the same card down again.", raw=error) from error
            raise DeviceUnavailable("The stock of cards cannot be used: check its folder.", raw=error) from error

    def _begin(self, call: _Call, script: Script | None) -> None:
        if self._bench.plug.out.is_set():
            raise fault("encoder_not_online").error()
        if script is not None:
            call.fault = script.take(resumed=call.resume is not None)
        self._clerk.expect(call.fault)
        if call.fault is not None:
            _log.info("simulated encoder %s: fault %s", self._bench.settings.name, call.fault.name)
            if call.meets(Kind.REFUSED):
                raise call.fault.error()

    async def _card(self, call: _Call, *, made: bool) -> Card:
        """Ask for a card, any or the one that was intended, and wait until it lies there.

        Raises:
            NoCard, DeviceUnavailable, Withdrawn: it does not come.
            Unsure: the intent names no card to come back to; no other is touched.
        """
        wanted = call.resume.card if call.resume is not None else None
        if call.resume is not None and (wanted is None or wanted.uid is None):
            raise Unsure("Nobody knows which card was begun: set it aside if you find it.", raw="no_card_intended")
        prompt = Prompt.PLACE_CARD if wanted is None else Prompt.SAME_CARD
        call.desk.ask(prompt, wanted)
        if call.fault is not None and call.meets(Kind.NO_CARD):
            raise call.fault.error()
        if call.fault is not None and call.meets(Kind.UNPLUGGED) and call.fault.at is None:
            self._bench.unplug()
            raise call.fault.error()
        self._clerk.hear(prompt, wanted, made=made)
        withdrawn = asyncio.ensure_future(call.desk.withdrawn())
        lost = asyncio.ensure_future(self.lost())
        laid = asyncio.ensure_future(self._laid(call, wanted))
        try:
            await asyncio.wait((withdrawn, lost, laid), return_when=asyncio.FIRST_COMPLETED)
            if withdrawn.done():
                withdrawn.result()
                raise Withdrawn("The job was withdrawn before a card was written.")
            if lost.done():
                raise fault("encoder_not_online").error()
            uid = laid.result()
        finally:
            for task in (withdrawn, lost, laid):
                task.cancel()
            await asyncio.gather(withdrawn, lost, laid, return_exceptions=True)
        with self._bench.stock.plastic(uid) as plastic:
            return Card(technology=plastic.technology, uid=uid)

    async def _laid(self, call: _Call, wanted: Card | None) -> str:
        """Return the uid of the card once it lies there; ask again at each wrong one."""
        wrong = None
        while True:
            uid = self._bench.lying()
            if uid is not None and (wanted is None or wanted.uid == uid):
                return uid
            if uid is not None and uid != wrong:
                call.desk.ask(Prompt.SAME_CARD, wanted)
                self._clerk.hear(Prompt.SAME_CARD, wanted)
                wrong = uid
            else:
                wrong = uid
                await self._movement()

    async def _movement(self) -> None:
        """Return when a card may have been laid or lifted."""
        if self._bench.settings.automatic:
            self._moved.clear()
            await self._moved.wait()
        else:
            await asyncio.sleep(_POLL_S)

    async def _write(self, call: _Call, card: Card, plastic: Plastic, steps: list[Step], image: bytes) -> None:
        """Intend, write, read back and compare; once it is intended any end but a good one is `Unsure`."""
        call.intended = True
        try:
            await call.desk.intend(Intent(card=card, note=note(image)))
        except DriverError:
            call.intended = False
            raise
        call.desk.ask(Prompt.KEEP_CARD, card)
        await self._bench.write(plastic, steps, call.desk, call.fault)
        self._bench.stay(plastic)
        if plastic.read() != padded(image, plastic):
            unnoticed = call.fault if call.meets(Kind.SPOILED, Kind.IGNORED) else None
            raise (unnoticed or fault("verify_mismatch")).error()


def _receipt(card: Card, image: bytes) -> Receipt:
    return Receipt(evidence=Evidence.READ_BACK, card=card, note=note(image))
