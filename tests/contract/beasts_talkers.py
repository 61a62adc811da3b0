"""Readers that talk too much, or break a rule of another ability."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import replace

from encoder_bridge.driver import (
    Card,
    Contents,
    Credential,
    Desk,
    Intent,
    Prompt,
    Receipt,
    Unsure,
)

from .beasts_writers import FOREVER_S, SHORT_S
from .fakes.contactless import BLANK, Blocks, Contactless, log
from .fakes.people import CONTENTS, GUEST


class LogsTheKey(Contactless):
    async def write(self, uid: str, wanted: Blocks, desk: Desk) -> None:
        log.debug("key %s", self.key.hex(" "))
        await super().write(uid, wanted, desk)


class PrintsTheGuest(Contactless):
    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        print("welcome", credential.fields["guest"], file=sys.stderr)
        return await super().encode(credential, desk, resume)


class NotesTheContents(Contactless):
    async def intend(self, desk: Desk, card: Card, wanted: Blocks) -> None:
        await desk.intend(Intent(card=card, note={"apdu": "00d60000" + CONTENTS.hex()}))


class ReceiptNamesTheGuest(Contactless):
    def receipt(self, card: Card, wanted: Blocks) -> Receipt:
        return replace(super().receipt(card, wanted), note={"for": GUEST})


class ErrorsHoldTheContents(Contactless):
    async def write(self, uid: str, wanted: Blocks, desk: Desk) -> None:
        try:
            await super().write(uid, wanted, desk)
        except LookupError as error:
            raise Unsure("The card was lifted.", raw=b"\x90" + CONTENTS) from error


class ShowsTheKey(Contactless):
    def __repr__(self) -> str:
        return f"Contactless(key={self.key!r})"


class LostAtOnce(Contactless):
    async def lost(self) -> None:
        pass


class LostForGood(Contactless):
    silence_s = SHORT_S

    async def lost(self) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(FOREVER_S)


class LiftedAtOnce(Contactless):
    async def lifted(self) -> None:
        pass


class NeverLifted(Contactless):
    async def lifted(self) -> None:
        await asyncio.sleep(FOREVER_S)


class ReaderMarksTheCard(Contactless):
    async def read(self, desk: Desk) -> Contents:
        contents = await super().read(desk)
        assert contents.card.uid is not None
        self.table.write(contents.card.uid, 3, b"read")
        return contents


class ReadsAnotherCard(Contactless):
    async def read(self, desk: Desk) -> Contents:
        return replace(await super().read(desk), card=Card(technology="fake", uid="ffffffff"))


class ReadsOnAndOn(Contactless):
    silence_s = SHORT_S

    async def read(self, desk: Desk) -> Contents:
        desk.ask(Prompt.PLACE_CARD)
        while self.table.on is None:
            await asyncio.sleep(0.002)
        return await super().read(desk)


class ErasesFirst(Contactless):
    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        card = await self.card(desk, Prompt.PLACE_CARD, None)
        assert card.uid is not None
        await self.write(card.uid, BLANK, desk)
        await self.intend(desk, card, BLANK)
        return self.receipt(card, BLANK)


class ErasesNothing(Contactless):
    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        card = await self.card(desk, Prompt.PLACE_CARD, None)
        await self.intend(desk, card, BLANK)
        return self.receipt(card, BLANK)


class ErasesAll(Contactless):
    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        receipt = await super().erase(desk, resume)
        self.table.cards.clear()
        return receipt


class ErasesAnyCard(Contactless):
    """On resume it asks for the card that was begun, and blanks whatever lies there."""

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        if resume is None:
            return await super().erase(desk, None)
        desk.ask(Prompt.SAME_CARD, resume.card)
        card = await self.laid(desk)
        assert card.uid is not None
        await self.intend(desk, card, BLANK)
        await self.write(card.uid, BLANK, desk)
        return self.receipt(card, BLANK)

    async def laid(self, desk: Desk) -> Card:
        await self.wait(lambda: self.table.on is not None, desk)
        return Card(technology="fake", uid=self.table.on)


class ErasesOnAndOn(Contactless):
    silence_s = SHORT_S

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        desk.ask(Prompt.PLACE_CARD)
        while self.table.on is None:
            await asyncio.sleep(0.002)
        return await super().erase(desk, resume)


class IntendsToRead(Contactless):
    async def read(self, desk: Desk) -> Contents:
        contents = await super().read(desk)
        await self.intend(desk, contents.card, BLANK)
        return contents


class BelievesTheErasure(Contactless):
    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        if resume and resume.card:
            return self.receipt(resume.card, BLANK)
        return await super().erase(desk, resume)


class SignalsOntoTheCard(Contactless):
    async def signal(self, ok: bool) -> None:
        assert self.table.on is not None
        self.table.write(self.table.on, 3, b"ok" if ok else b"no")
