"""A contactless encoder as the core knows it: any reader and the card library make one device."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from encoder_bridge.driver import (
    Capabilities,
    Card,
    CardRejected,
    Contents,
    Credential,
    CredentialRejected,
    Desk,
    DriverError,
    Evidence,
    Intent,
    Prompt,
    Receipt,
    Unsure,
)
from encoder_bridge_cards import looking
from encoder_bridge_cards.link import Activation, Link, LinkError, NoAnswer, ReaderGone
from encoder_bridge_cards.looking import Seen
from encoder_bridge_cards.personalisation import COUNTED_TRY, Mismatch
from encoder_bridge_cards.profile import Profile
from encoder_bridge_cards.reader import CardReader, HeldCard
from encoder_bridge_cards.waiting import gone, laid, silent, wrong

_log = logging.getLogger(__name__)

_SILENCE_S = 60.0
"""Longer than the proof of the largest card takes on a slow reader: some 430 exchanges and 40 selections."""
_LAYINGS = 3
"""How often a card may fall silent while it is looked at before another one is asked for."""

Look = Callable[[Link, Activation], Seen]
Found = TypeVar("Found")


class CardEncoder:
    """An open contactless reader: `Encoder`, `Reader`, `Eraser`, `Sensing` and `Signaller`.

    Args:
        reader: where cards are laid.
        profiles: the card profiles, by name.
    """

    def __init__(self, reader: CardReader, profiles: Mapping[str, Profile]) -> None:
        self._reader = reader
        self._profiles = profiles
        self._spared: dict[bytes, tuple[str, str]] = {}
        self._capabilities = Capabilities(
            technologies=frozenset().union(
                *(layout.technologies for profile in profiles.values() for layout in profile.layouts)
            ),
            evidence=Evidence.READ_BACK,
            silence_s=_SILENCE_S,
        )

    @property
    def capabilities(self) -> Capabilities:
        """See `Device`."""
        return self._capabilities

    async def lost(self) -> None:
        """See `Device`."""
        await self._reader.lost()

    async def lifted(self) -> None:
        """See `Sensing`."""
        try:
            await self._reader.absent()
        except ReaderGone:
            return

    async def signal(self, ok: bool) -> None:
        """See `Signaller`."""
        await self._reader.signal(ok)

    def check(self, credential: Credential) -> None:
        """See `Encoder`."""
        self._profile(credential.profile).check(credential)

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        """See `Encoder`.

        A card of ours that carries an older credential is overwritten unless the desk vetoes that; a foreign one is
        refused.  The receipt's note says whether anything was ``written``.  It holds no digest of the contents: for a
        short card number that would tell as much as the number.
        """
        profile = self._profile(credential.profile)
        profile.check(credential)
        look = partial(looking.for_writing, profile, credential, resuming=resume is not None)
        return await self._make(self._sparing(look) if resume is None else look, desk, resume)

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        """See `Eraser`.  The profile's place on the card is blanked; our keys stay, so that the card remains ours."""
        profiles = tuple(self._profiles.values())
        if resume is not None:
            profiles = (self._profile(resume.note.get("profile", "")),)
        look = partial(looking.for_blanking, profiles, resuming=resume is not None)
        return await self._make(self._sparing(look) if resume is None else look, desk, resume)

    async def read(self, desk: Desk) -> Contents:
        """See `Reader`.

        The field ``state`` is ``whole``, ``blank``, ``unknown`` (it has a place of ours with something else in it) or
        ``foreign``.  A whole card's ``profile`` and what its format tells follow.
        """
        profiles = tuple(self._profiles.values())
        for _ in range(_LAYINGS):
            async with laid(self._reader, desk, None) as (held, activation):
                try:
                    return await held.run(_at(self._sparing(partial(looking.at_contents, profiles)), activation))
                except LinkError as error:
                    failed = self._failed(error)
                except CardRejected:
                    card = Card(technology=activation.family.value, uid=activation.uid.hex())
                    return Contents(card=card, fields={"state": "foreign"})
        raise failed

    async def _make(self, look: Look, desk: Desk, resume: Intent | None) -> Receipt:
        """Look at the card, intend, write and prove; once it was intended any end but a proof is `Unsure`."""
        wanted = resume.card if resume is not None else None
        if resume is not None and (wanted is None or wanted.uid is None):
            raise Unsure("Nobody knows which card was begun: set it aside if you find it.", raw="no_card_intended")
        layings = 0
        while True:
            async with laid(self._reader, desk, wanted) as (held, activation):
                try:
                    seen = await held.run(_at(look, activation))
                    if wanted is None:
                        return await self._write(held, seen, desk)
                    if seen.card.uid == wanted.uid:
                        return await self._finish(held, look, seen, desk)
                except LinkError as error:
                    layings += 1
                    if layings == _LAYINGS or isinstance(error, ReaderGone):
                        raise self._failed(error) from error
                    continue
                except CardRejected as error:
                    if wanted is None:
                        raise
                    _log.warning("the card on %s that was begun is refused: %s", self._reader.name, error)
                    raise Unsure(
                        "The card that was begun cannot be finished: lay it down again, or say that it is gone.",
                        raw=error.raw,
                        error_type=error.error_type,
                    ) from error
            await wrong(self._reader, desk, wanted, seen.card)

    async def _finish(self, held: HeldCard, look: Look, seen: Seen, desk: Desk) -> Receipt:
        """Bring a card that was begun to its end, which it may have reached already."""
        if await held.run(lambda _: seen.is_done()):
            return _receipt(seen)
        again = await held.run(lambda link: look(link, link.activate()))
        if again.card.uid != seen.card.uid:
            raise NoAnswer("another card")
        return await self._write(held, again, desk)

    async def _write(self, held: HeldCard, seen: Seen, desk: Desk) -> Receipt:
        await desk.intend(Intent(card=seen.card, note=seen.note))
        desk.ask(Prompt.KEEP_CARD, seen.card)
        try:
            await _told(held, seen, desk)
        except Mismatch as error:
            _log.warning("a card on %s does not hold what was written: %s", self._reader.name, error.what)
            raise Unsure(
                "The card does not hold what was written: lay the same card down again.",
                raw=error.what,
                error_type="verify_mismatch",
            ) from error
        except LinkError as error:
            _log.warning("a card on %s was lost while it was written: %s", self._reader.name, error)
            raise Unsure(
                "The card was lifted or fell silent while it was written: lay the same card down again.", raw=error.raw
            ) from error
        except DriverError:
            raise
        except Exception as error:
            # A key's file that vanished, a bug: whatever it is, the card may have been changed.
            _log.error("a card on %s was not finished: %s", self._reader.name, type(error).__name__)
            raise Unsure(
                "The card was not finished: lay the same card down again, and look into the log.",
                raw=type(error).__name__,
            ) from error
        return _receipt(seen)

    def _sparing(self, look: Callable[[Link, Activation], Found]) -> Callable[[Link, Activation], Found]:
        """Look at no card again that may count wrong keys and got one of ours, however often it is laid down."""

        def sparing(link: Link, activation: Activation) -> Found:
            if (refused := self._spared.get(activation.uid)) is not None:
                sentence, error_type = refused
                raise CardRejected(sentence, raw=COUNTED_TRY, error_type=error_type)
            try:
                return look(link, activation)
            except CardRejected as error:
                if error.raw == COUNTED_TRY:
                    self._spared[activation.uid] = str(error), error.error_type
                raise

        return sparing

    def _failed(self, error: LinkError) -> DriverError:
        """What a broken link means as long as nothing was intended."""
        _log.info("a card on %s could not be looked at: %s", self._reader.name, error)
        return gone(error) if isinstance(error, ReaderGone) else silent(error)

    def _profile(self, name: str) -> Profile:
        try:
            return self._profiles[name]
        except KeyError:
            known = ", ".join(sorted(self._profiles))
            raise CredentialRejected(f"There is no card profile {name!r}: use {known}.") from None


async def _told(held: HeldCard, seen: Seen, desk: Desk) -> None:
    """Write and prove, telling the desk each step in its own loop; what was started is awaited to its end."""
    loop = asyncio.get_running_loop()
    steps: asyncio.Queue[tuple[int, int] | None] = asyncio.Queue()

    def tell(done: int, total: int) -> None:
        loop.call_soon_threadsafe(steps.put_nowait, (done, total))

    writing = asyncio.create_task(held.run(lambda _: seen.write(tell)))
    writing.add_done_callback(lambda _: steps.put_nowait(None))
    try:
        is_begun = False
        while (step := await steps.get()) is not None:
            is_begun = True
            desk.progress(*step)
        try:
            await writing
        except DriverError as error:
            if not is_begun:
                raise
            raise Mismatch(str(error.raw)) from error  # it says that the card was left as it was, and it was not
    finally:
        await asyncio.gather(writing, return_exceptions=True)


def _at(look: Callable[[Link, Activation], Found], activation: Activation) -> Callable[[Link], Found]:
    return lambda link: look(link, activation)


def _receipt(seen: Seen) -> Receipt:
    return Receipt(evidence=Evidence.READ_BACK, card=seen.card, note=seen.note)
