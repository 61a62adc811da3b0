"""Waiting for a card, and for nothing else: the desk may take the job off at any moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from encoder_bridge.driver import Card, CardRejected, Desk, DeviceUnavailable, DriverError, Prompt, Withdrawn
from encoder_bridge_cards.link import Activation, LinkError, NoAnswer, Occupied, ReaderGone
from encoder_bridge_cards.reader import CardReader, HeldCard

_log = logging.getLogger(__name__)

_TRIES = 3
"""How often a card that lies there may fail to answer before another one is asked for."""


@asynccontextmanager
async def laid(reader: CardReader, desk: Desk, wanted: Card | None) -> AsyncIterator[tuple[HeldCard, Activation]]:
    """Ask for a card and have it to oneself once it lies there; with `wanted`, none but that very card.

    A wrong card is left alone and called so at the desk.  A card with a random number cannot be told from the wanted
    one here and is handed on.

    Raises:
        Withdrawn: the job is off.
        CardRejected: a card lies there and does not answer.
        DeviceUnavailable: the reader is gone.
    """
    prompt = Prompt.PLACE_CARD if wanted is None else Prompt.SAME_CARD
    desk.ask(prompt, wanted)
    tries = 0
    while True:
        await _unless_withdrawn(desk, reader.present())
        try:
            async with reader.hold() as held:
                activation = await held.run(lambda link: link.activate())
                if wanted is None or activation.has_random_uid or activation.uid.hex() == wanted.uid:
                    yield held, activation
                    return
                lying = Card(technology=activation.family.value, uid=activation.uid.hex())
        except NoAnswer as error:
            tries += 1
            _log.info("the card on %s does not answer (%s)", reader.name, error)
            if tries == _TRIES:
                raise silent(error) from error
        except ReaderGone as error:
            raise gone(error) from error
        else:
            await wrong(reader, desk, wanted, lying)


async def wrong(reader: CardReader, desk: Desk, wanted: Card, lying: Card) -> None:
    """Say that a card is not the one that was begun, and ask for that one again when it is off.

    Raises:
        Withdrawn: the job is off.
        DeviceUnavailable: the reader is gone.
    """
    desk.ask(Prompt.WRONG_CARD, lying)
    await _unless_withdrawn(desk, reader.absent())
    desk.ask(Prompt.SAME_CARD, wanted)


def silent(error: LinkError) -> DriverError:
    """What to say of a card that lies there and does not answer."""
    if isinstance(error, Occupied):
        return DeviceUnavailable("Another program uses the card reader: close that program.", raw=error.raw)
    return CardRejected("This card does not answer: lay it flat on the reader, or take another one.", raw=error.raw)


def gone(error: ReaderGone) -> DeviceUnavailable:
    """What to say of a reader that is gone, as long as no card was changed."""
    return DeviceUnavailable("The card reader is gone: plug it in again.", raw=error.raw)


async def _unless_withdrawn(desk: Desk, waiting: Coroutine[None, None, None]) -> None:
    withdrawn = asyncio.ensure_future(desk.withdrawn())
    waited = asyncio.ensure_future(waiting)
    try:
        await asyncio.wait((withdrawn, waited), return_when=asyncio.FIRST_COMPLETED)
        if withdrawn.done():
            withdrawn.result()
            raise Withdrawn("The job was withdrawn before a card was written.")
        waited.result()
    except ReaderGone as error:
        raise gone(error) from error
    finally:
        for task in (withdrawn, waited):
            task.cancel()
        await asyncio.gather(withdrawn, waited, return_exceptions=True)
