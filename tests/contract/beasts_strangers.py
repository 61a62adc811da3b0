"""Magstripe writers and delegated encoders that break a rule in their own way."""

from __future__ import annotations

from encoder_bridge.driver import (
    Credential,
    Desk,
    Intent,
    Receipt,
    Unsure,
)

from .fakes.delegated import Delegated, Work
from .fakes.magstripe import Magstripe
from .fakes.people import image


class StripeWrittenAgain(Magstripe):
    """On resume it does not look at the card first."""

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        return await super().encode(credential, desk, None)


class StripeArmedFirst(Magstripe):
    """The writer is armed before the intent, so a quick hand is faster than the disk."""

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        if resume:
            return await super().encode(credential, desk, resume)
        wanted = image(credential, self.key)
        await self.swiped_to_write(wanted, desk)
        await desk.intend(Intent(card=None))
        if await self.swiped_to_check(desk) != wanted:
            raise Unsure("The stripe does not hold what was written; swipe the card again.")
        return self.receipt(wanted)


class StripeWaitsInSilence(Magstripe):
    """The writer is armed, nobody swipes, and the desk hears nothing."""

    sign_of_life_s = 30.0


class StartsAgain(Delegated):
    """On resume it starts another attempt without asking for the first."""

    async def begun(self, work: Work, resume: Intent) -> str | None:
        return None


class ForgetsTheUnanswered(Delegated):
    """It asks for an attempt whose number it has, and takes a lost reply for no attempt."""

    async def begun(self, work: Work, resume: Intent) -> str | None:
        return resume.note.get("attempt")
