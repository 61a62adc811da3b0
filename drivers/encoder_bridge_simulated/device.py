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
from encoder_bridge_simulated.codec import BLOCK
from encoder_bridge_simulated.content import fields as fields_of
from encoder_bridge_simulated.content import identify, image_of, is_begun, note, padded
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
    image: bytes = b""
    """What the card is to carry; nothing if it is to be blank."""
    resume: Intent | None = None
    fault: Fault | None = None
    intended: bool = False
    done: bool = False

    def meets(self, *kinds: Kind) -> bool:
        return self.fault is not None and self.fault.kind in kinds


class SimulatedEncoder:
    """An open encoder: `Encoder`, `Reader`, `Eraser` and `Signaller`."""

    def __init__(self, settings: Simulation, stock: Stock, script: Script, plug: Plug) -> None:
        self._moved = asyncio.Event()
        self._clerk = Clerk(settings, stock, self._moved.set)
        self._bench = Bench(settings=settings, stock=stock, plug=plug, clerk=self._clerk)
        self._settings = settings
        self._script = script
        self._clerk.arrive(script.listed)
        self._capabilities = Capabilities(
            technologies=frozenset({TECHNOLOGY}),
            evidence=Evidence.READ_BACK,
            silence_s=settings.silence_s,
            time_step_s=settings.time_step_s,
            tells_cards_apart=settings.uids != "none",
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
        async with self._call(desk, image, resume, self._script) as call:
            with self._bench.stock.plastic(await self._uid(call, made=False)) as plastic:
                identify(plastic, len(image))
                card = self._named(plastic)
                if resume is None or plastic.read() != padded(image, plastic):
                    await self._write(call, card, plastic, note(image))
            call.done = True
        return Receipt(evidence=Evidence.READ_BACK, card=card, note=note(image))

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        """See `Eraser`.  A card that some other system wrote is refused as `card_not_made_here`."""
        async with self._call(desk, resume=resume) as call:
            with self._bench.stock.plastic(await self._uid(call, made=True)) as plastic:
                identify(plastic, BLOCK)
                card, content = self._named(plastic), plastic.read()
                blank = padded(b"", plastic)
                if not codec.made_here(content):
                    raise CardRejected(
                        "This card was not made here: lay down one that was.",
                        raw="foreign_content",
                        error_type="card_not_made_here",
                    )
                if resume is None or content != blank:
                    await self._write(call, card, plastic, note(blank))
            call.done = True
        return Receipt(evidence=Evidence.READ_BACK, card=card, note=note(blank))

    async def read(self, desk: Desk) -> Contents:
        """See `Reader`.

        The field ``state`` is ``blank``, ``whole`` or ``unreadable``.  A whole card also has ``access_method_id,
        profile, sequence, joins, digest`` and, where they are set, ``entrances`` (joined by commas), ``starts_at``
        and ``ends_at`` (ISO 8601).
        """
        async with self._call(desk) as call:
            with self._bench.stock.plastic(await self._uid(call, made=True)) as plastic:
                return Contents(card=self._named(plastic), fields=fields_of(plastic.read()))

    async def signal(self, ok: bool) -> None:
        """See `Signaller`; the light is a line in the log."""
        _log.debug("simulated encoder %s: %s light", self._bench.settings.name, "green" if ok else "red")

    @asynccontextmanager
    async def _call(
        self, desk: Desk, image: bytes = b"", resume: Intent | None = None, script: Script | None = None
    ) -> AsyncIterator[_Call]:
        """Begin with the next fault of `script`; end with the clerk lifting the card, whatever the end is."""
        call = _Call(desk=desk, image=image, resume=resume)
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

    def _named(self, plastic: Plastic) -> Card:
        """Return what the encoder sees of a card."""
        return Card(technology=plastic.technology, uid=plastic.uid if self._settings.sees_uids else None)

    async def _uid(self, call: _Call, *, made: bool) -> str:
        """Ask for a card, any or the one that was intended, and return its uid in the stock once it lies there.

        Raises:
            NoCard, DeviceUnavailable, Withdrawn: it does not come.
            Unsure: the intent names no card to come back to; no other is touched.
        """
        wanted = call.resume.card if call.resume is not None else None
        if call.resume is not None and (wanted is None or (wanted.uid is None and self._settings.sees_uids)):
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
            return laid.result()
        finally:
            for task in (withdrawn, lost, laid):
                task.cancel()
            await asyncio.gather(withdrawn, lost, laid, return_exceptions=True)

    async def _laid(self, call: _Call, wanted: Card | None) -> str:
        """Return the uid of the card once it lies there; say so at each wrong one, and ask again when it is off."""
        wrong = None
        while True:
            uid = self._bench.lying()
            if uid is not None and uid != wrong:
                with self._bench.stock.plastic(uid) as plastic:
                    if wanted is None or self._is(plastic, wanted, call):
                        return uid
                    call.desk.ask(Prompt.WRONG_CARD, self._named(plastic))
                wrong = uid
                self._clerk.hear(Prompt.WRONG_CARD, wanted)
            elif uid is None and wrong is not None:
                wrong = None
                call.desk.ask(Prompt.SAME_CARD, wanted)
            else:
                await self._movement()

    async def _movement(self) -> None:
        """Return when a card may have been laid or lifted."""
        if self._bench.settings.automatic:
            self._moved.clear()
            await self._moved.wait()
        else:
            await asyncio.sleep(_POLL_S)

    def _is(self, plastic: Plastic, wanted: Card, call: _Call) -> bool:
        """Tell whether a card is the one that was intended: by its uid, or else by what it carries."""
        if self._settings.sees_uids:
            return plastic.uid == wanted.uid
        try:
            identify(plastic, len(call.image))
        except CardRejected:
            return False
        return call.resume is not None and is_begun(plastic.read(), call.image, call.resume.note)

    async def _write(self, call: _Call, card: Card, plastic: Plastic, told: dict[str, str]) -> None:
        """Intend, write, read back and compare; once it is intended any end but a good one is `Unsure`.

        A card without a uid is marked first, and nothing else is written before the mark is intended as well: until
        then a resume may take any card that is as this one was, from then on none but the marked one.
        """
        before = plastic.read()
        mark = codec.mark(call.image)
        unmarked = not self._settings.sees_uids and before[:BLOCK] != mark
        if not self._settings.sees_uids:
            told |= {"was": codec.digest(before)} if unmarked else {"marked": "true"}
        call.intended = True
        try:
            await call.desk.intend(Intent(card=card, note=told))
        except DriverError:
            call.intended = False
            raise
        call.desk.ask(Prompt.KEEP_CARD, card)
        if unmarked:
            self._bench.mark(plastic, mark, call.fault)
            await call.desk.intend(Intent(card=card, note={**told, "marked": "true"}))
        content = plastic.read()
        steps = codec.steps(call.image, content) if call.image else codec.erasing(content)
        await self._bench.write(plastic, steps, call.desk, call.fault)
        self._bench.stay(plastic)
        if plastic.read() != padded(call.image, plastic):
            unnoticed = call.fault if call.meets(Kind.SPOILED, Kind.IGNORED) else None
            raise (unnoticed or fault("verify_mismatch")).error()


class SensingEncoder(SimulatedEncoder):
    """An open encoder that also is `Sensing`."""

    async def lifted(self) -> None:
        """See `Sensing`."""
        while not self._bench.plug.out.is_set() and self._bench.lying() is not None:
            await self._movement()
