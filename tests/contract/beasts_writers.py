"""Readers that break a rule of `encode` or `check`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from encoder_bridge.driver import (
    Capabilities,
    Card,
    CardRejected,
    Credential,
    Desk,
    DriverError,
    Evidence,
    Intent,
    NoCard,
    Prompt,
    Receipt,
    Unsure,
    Withdrawn,
)

from .fakes.contactless import BLANK, Blocks, Contactless, blocks
from .fakes.people import image

FOREVER_S = 30.0
SHORT_S = 1.0


class WritesFirst(Contactless):
    async def intend(self, desk: Desk, card: Card, wanted: Blocks) -> None:
        assert card.uid is not None
        self.table.write(card.uid, 0, wanted[0])
        await super().intend(desk, card, wanted)


class NeverIntends(Contactless):
    async def intend(self, desk: Desk, card: Card, wanted: Blocks) -> None:
        pass


class IntendsAfterwards(NeverIntends):
    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        receipt = await super().encode(credential, desk, resume)
        assert receipt.card is not None
        await Contactless.intend(self, desk, receipt.card, BLANK)
        return receipt


class IgnoresVeto(Contactless):
    async def intend(self, desk: Desk, card: Card, wanted: Blocks) -> None:
        with contextlib.suppress(DriverError):
            await super().intend(desk, card, wanted)


class RephrasesVeto(Contactless):
    async def intend(self, desk: Desk, card: Card, wanted: Blocks) -> None:
        try:
            await super().intend(desk, card, wanted)
        except CardRejected as veto:
            raise Withdrawn("The desk did not want it.") from veto


class ResumesBlindly(Contactless):
    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        return await super().encode(credential, desk, None)


class LosesTheIntent(Contactless):
    """On resume it commits an intent that no longer says what was begun."""

    resumed = False

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        if resume and "digest" not in resume.note:
            resume = None
        self.resumed = resume is not None
        return await super().encode(credential, desk, resume)

    async def intend(self, desk: Desk, card: Card, wanted: Blocks) -> None:
        if self.resumed:
            await desk.intend(Intent(card=card))
        else:
            await super().intend(desk, card, wanted)


class BelievesTheIntent(Contactless):
    """On resume it takes what was meant for what was done."""

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        if resume and resume.card:
            return self.receipt(resume.card, blocks(image(credential, self.key)))
        return await super().encode(credential, desk, resume)


class NeverSureAgain(Contactless):
    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        if resume:
            raise Unsure("Who knows.")
        return await super().encode(credential, desk, resume)


class ResumesOnAnyCard(Contactless):
    """On resume it asks for the card that was begun, and takes whatever lies there for it."""

    async def card(self, desk: Desk, prompt: Prompt, named: Card | None) -> Card:
        desk.ask(prompt, named)
        await self.wait(lambda: self.table.on is not None, desk)
        return Card(technology="fake", uid=self.table.on)


class AsksAgain(Contactless):
    """It repeats what it wants, and does not say that the wrong card lies there."""

    def wrong(self, desk: Desk, lies: Card, named: Card) -> None:
        desk.ask(Prompt.SAME_CARD, named)


class CallsTheRightCardWrong(Contactless):
    def wrong(self, desk: Desk, lies: Card, named: Card) -> None:
        desk.ask(Prompt.WRONG_CARD, named)


class AnyCardIsWrong(Contactless):
    async def card(self, desk: Desk, prompt: Prompt, named: Card | None) -> Card:
        card = await super().card(desk, prompt, named)
        if named is None:
            desk.ask(Prompt.WRONG_CARD, card)
        return card


class NamesWhatItCannotTell(Contactless):
    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, tells_cards_apart=False)


class TimeInFractions(Contactless):
    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, time_step_s=0.5)  # type: ignore[arg-type]


class DoesNotReadBack(Contactless):
    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        wanted = blocks(image(credential, self.key))
        if resume:
            return await super().encode(credential, desk, resume)
        self.check(credential)
        card = await self.card(desk, Prompt.PLACE_CARD, None)
        assert card.uid is not None
        await self.intend(desk, card, wanted)
        try:
            await self.write(card.uid, wanted, desk)
        except LookupError as error:
            raise Unsure("The card was lifted.") from error
        return self.receipt(card, wanted)


class ClaimsMore(Contactless):
    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, evidence=Evidence.ATTESTED)


class CapabilitiesDrift(Contactless):
    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, time_step_s=1 + len(self.table.cards))


class ChokesOnOldNotes(Contactless):
    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        if resume and "digest" not in resume.note:
            raise KeyError("digest")
        return await super().encode(credential, desk, resume)


class SaysNothingChanged(Contactless):
    async def write(self, uid: str, wanted: Blocks, desk: Desk) -> None:
        try:
            await super().write(uid, wanted, desk)
        except LookupError as error:
            raise NoCard("There is no card.") from error


class WithdrawsTooLate(Contactless):
    async def write(self, uid: str, wanted: Blocks, desk: Desk) -> None:
        off = asyncio.ensure_future(desk.withdrawn())
        await super().write(uid, wanted, desk)
        if off.done():
            raise Withdrawn("The card is no longer wanted.")
        off.cancel()


class IgnoresWithdrawal(Contactless):
    silence_s = SHORT_S

    async def wait(self, condition: Callable[[], bool], desk: Desk) -> None:
        while not condition():
            await asyncio.sleep(0.002)


class HangsOnShutdown(Contactless):
    async def write(self, uid: str, wanted: Blocks, desk: Desk) -> None:
        try:
            await super().write(uid, wanted, desk)
        except asyncio.CancelledError:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(FOREVER_S)


class TidiesUpOnShutdown(Contactless):
    """Cancelled, it hands back a receipt for a card it has not finished."""

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        try:
            return await super().encode(credential, desk, resume)
        except asyncio.CancelledError:
            return self.receipt(Card(technology="fake", uid=self.table.on), blocks(image(credential, self.key)))


class TooSilent(Contactless):
    silence_s = SHORT_S / 2

    async def write(self, uid: str, wanted: Blocks, desk: Desk) -> None:
        await asyncio.sleep(1.5 * self.silence_s)
        await super().write(uid, wanted, desk)


class RunsBackwards(Contactless):
    async def write(self, uid: str, wanted: Blocks, desk: Desk) -> None:
        await super().write(uid, wanted, desk)
        desk.progress(1, len(wanted))


class OvershootsTheTotal(Contactless):
    async def write(self, uid: str, wanted: Blocks, desk: Desk) -> None:
        await super().write(uid, wanted, desk)
        desk.progress(len(wanted) + 1, len(wanted))


class SpoilsTheOthers(Contactless):
    async def write(self, uid: str, wanted: Blocks, desk: Desk) -> None:
        await super().write(uid, wanted, desk)
        self.table.cards.update({other: (b"?",) for other in self.table.cards if other != uid})


class JudgesLate(Contactless):
    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        desk.ask(Prompt.PLACE_CARD)
        return await super().encode(credential, desk, resume)


class JudgesOnlyInCheck(Contactless):
    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        return await super().encode(replace(credential, entrances=()), desk, resume)


class JudgesFromAFile(Contactless):
    def check(self, credential: Credential) -> None:
        Path(__file__).read_bytes()
        super().check(credential)
