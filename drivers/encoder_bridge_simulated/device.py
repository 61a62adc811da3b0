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
    CredentialRejected,
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
from encoder_bridge_simulated.clerk import Clerk
from encoder_bridge_simulated.codec import BLOCK
from encoder_bridge_simulated.faults import Fault, Kind, Script, fault
from encoder_bridge_simulated.plug import Plug
from encoder_bridge_simulated.settings import Simulation
from encoder_bridge_simulated.stock import BLOCKS, TECHNOLOGY, Plastic, Stock

_log = logging.getLogger(__name__)

_POLL_S = 0.02
_SLOWER = 10
_SLOW_S = 0.01


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
        self._settings = settings
        self._stock = stock
        self._script = script
        self._plug = plug
        self._moved = asyncio.Event()
        self._clerk = Clerk(settings, stock, self._moved.set)
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
        await self._plug.out.wait()

    def close(self) -> None:
        """Let the encoder go; what still runs on it ends, and closing it again changes nothing."""
        self._clerk.leave()
        self._plug.release()
        self._moved.set()

    def check(self, credential: Credential) -> None:
        """See `Encoder`."""
        _image(credential)

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        """See `Encoder`.  A card that carries another credential is overwritten unless the desk vetoes that."""
        image = _image(credential)
        async with self._call(desk, resume, self._script) as call:
            card = await self._card(call, made=False)
            with self._stock.plastic(card.uid or "") as plastic:
                _identify(plastic, len(image))
                content = plastic.read()
                if resume is None or content != _padded(image, plastic):
                    await self._write(call, card, plastic, codec.steps(image, content), image)
            call.done = True
        return _receipt(card, image)

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        """See `Eraser`.  A card that some other system wrote is refused."""
        async with self._call(desk, resume) as call:
            card = await self._card(call, made=True)
            with self._stock.plastic(card.uid or "") as plastic:
                _identify(plastic, BLOCK)
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
            return Contents(card=card, fields=_fields(self._stock.read(card.uid or "")))

    async def lifted(self) -> None:
        """See `Sensing`."""
        while not self._plug.out.is_set() and self._stock.lying(self._settings.name) is not None:
            await self._movement()

    async def signal(self, ok: bool) -> None:
        """See `Signaller`; the light is a line in the log."""
        _log.debug("simulated encoder %s: %s light", self._settings.name, "green" if ok else "red")

    @asynccontextmanager
    async def _call(
        self, desk: Desk, resume: Intent | None = None, script: Script | None = None
    ) -> AsyncIterator[_Call]:
        """Begin with the next fault of `script`; end with the clerk lifting the card, whatever the end is."""
        call = _Call(desk=desk, resume=resume)
        try:
            if self._plug.out.is_set():
                raise fault("encoder_not_online").error()
            if script is not None:
                call.fault = script.take(resumed=resume is not None)
            if call.fault is not None:
                _log.info("simulated encoder %s: fault %s", self._settings.name, call.fault.name)
                if call.meets(Kind.REFUSED):
                    raise call.fault.error()
            self._clerk.expect(call.fault)
            yield call
        except (OSError, LookupError) as error:
            if call.intended:
                raise Unsure("The card is out of reach: lay the same card down again.", raw=error) from error
            raise DeviceUnavailable("The stock of cards cannot be used: check its folder.", raw=error) from error
        finally:
            self._clerk.end(sure=call.done or not (call.intended or resume))

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
            self._plug.pull(self._settings.replug_s)
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
        with self._stock.plastic(uid) as plastic:
            return Card(technology=plastic.technology, uid=uid)

    async def _laid(self, call: _Call, wanted: Card | None) -> str:
        """Return the uid of the card once it lies there; ask again at each wrong one."""
        wrong = None
        while True:
            uid = self._stock.lying(self._settings.name)
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
        if self._settings.automatic:
            self._moved.clear()
            await self._moved.wait()
        else:
            await asyncio.sleep(_POLL_S)

    async def _write(self, call: _Call, card: Card, plastic: Plastic, steps: list[codec.Step], image: bytes) -> None:
        """Intend, write step by step, read back and compare; any end but a good one is `Unsure`."""
        call.intended = True
        try:
            await call.desk.intend(Intent(card=card, note=_note(image)))
        except DriverError:
            call.intended = False
            raise
        call.desk.ask(Prompt.KEEP_CARD, card)
        latency = self._settings.latency_s
        if call.meets(Kind.SLOW):
            latency = max(_SLOWER * latency, _SLOW_S)
        stop = call.fault.after(len(steps)) if call.fault is not None else None
        spoils = call.meets(Kind.SPOILED)
        for done, (index, block) in enumerate(steps):
            if done == stop:
                await self._strike(call)
            if latency:
                await asyncio.sleep(latency)
            self._stay(plastic)
            if spoils and stop is not None and done >= min(stop, len(steps) - 1) and any(block):
                block, spoils = bytes([block[0] ^ 0xFF]) + block[1:], False  # noqa: PLW2901
            if not call.meets(Kind.IGNORED):
                plastic.write(index, block)
            call.desk.progress(done + 1, len(steps))
        if stop == len(steps):
            await self._strike(call)
        self._stay(plastic)
        if call.fault is not None and call.meets(Kind.REPLY_LOST):
            raise call.fault.error()
        if plastic.read() != _padded(image, plastic):
            unverified = call.fault if call.meets(Kind.SPOILED, Kind.IGNORED) else None
            raise (unverified or fault("verify_mismatch")).error()

    async def _strike(self, call: _Call) -> None:
        if call.fault is None:
            return
        match call.fault.kind:
            case Kind.LIFTED:
                self._clerk.snatch()
            case Kind.UNPLUGGED:
                self._plug.pull(self._settings.replug_s)
            case Kind.HUNG:
                await self._plug.out.wait()
            case Kind.STOPPED:
                pass
            case _:
                return
        raise call.fault.error(Unsure)

    def _stay(self, plastic: Plastic) -> None:
        """Make sure that the encoder is there and the card still lies on it."""
        if self._plug.out.is_set():
            raise fault("encoder_not_online").error(Unsure)
        if self._stock.lying(self._settings.name) != plastic.uid:
            raise fault("encoding_interrupted").error()


def _image(credential: Credential) -> bytes:
    try:
        image = codec.encode(credential)
    except codec.Unfit as error:
        raise CredentialRejected(f"This credential fits on no card: {error}.", raw="unfit") from error
    if len(image) > BLOCKS * BLOCK:
        raise CredentialRejected(
            f"This credential fits on no card: it takes {len(image)} bytes of {BLOCKS * BLOCK}.", raw="unfit"
        )
    return image


def _identify(plastic: Plastic, size: int) -> None:
    """Refuse a card that cannot take `size` bytes."""
    if plastic.technology != TECHNOLOGY:
        raise fault("incompatible_card_format").error()
    if plastic.locked:
        raise fault("card_locked").error()
    if plastic.blocks * BLOCK < size:
        raise fault("card_full").error()


def _padded(image: bytes, plastic: Plastic) -> bytes:
    return image.ljust(plastic.blocks * BLOCK, b"\0")


def _note(image: bytes) -> dict[str, str]:
    return {"digest": codec.digest(image), "blocks": str(len(image) // BLOCK)}


def _receipt(card: Card, image: bytes) -> Receipt:
    return Receipt(evidence=Evidence.READ_BACK, card=card, note=_note(image))


def _fields(content: bytes) -> dict[str, str]:
    try:
        credential = codec.decode(content)
    except codec.Torn:
        return {"state": "unreadable"}
    if credential is None:
        return {"state": "blank"}
    fields = {
        "state": "whole",
        "access_method_id": credential.access_method_id,
        "profile": credential.profile,
        "sequence": str(credential.sequence),
        "joins": "true" if credential.joins else "false",
        "digest": codec.digest(content[: codec.size(content)]),
    }
    if credential.entrances:
        fields["entrances"] = ",".join(credential.entrances)
    if credential.starts_at is not None:
        fields["starts_at"] = credential.starts_at.isoformat()
    if credential.ends_at is not None:
        fields["ends_at"] = credential.ends_at.isoformat()
    return fields
