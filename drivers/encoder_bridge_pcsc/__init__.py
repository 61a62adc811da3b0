"""Contactless cards on any PC/SC reader: the card library behind pcscd.

Settings: ``reader``, ``serial`` and ``slot`` choose the reader (`settings`); the card profiles say what is written.
pyscard is imported when a reader is opened or listed, so a daemon without one needs none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from encoder_bridge_cards.encoder import CardEncoder
from encoder_bridge_cards.profile import parse_profiles
from encoder_bridge_cards.tables import whole

from encoder_bridge.driver import Driver, Found, Secret, Settings
from encoder_bridge_pcsc.settings import wanted

__all__ = ["PcscDriver", "driver"]


class PcscDriver:
    """The entry point's object; see `encoder_bridge.driver.Driver`."""

    port = (1, 1)
    takes_profiles = True
    """See `encoder_bridge.driver.TakesProfiles`."""

    def check(self, settings: Settings, secret: Secret) -> None:
        """See `Driver`; keys of cards are fetched once, to see that they are there."""
        own = {key: value for key, value in settings.items() if key != "profiles"}
        with whole(own, "this encoder") as table:
            wanted(table)
        parse_profiles(settings.get("profiles"), secret)

    async def discover(self, settings: Settings, secret: Secret) -> Sequence[Found]:  # noqa: ARG002
        """List every contactless reader, whatever the settings name."""
        from encoder_bridge_pcsc.listing import listed

        return await listed()

    @asynccontextmanager
    async def open(self, settings: Settings, secret: Secret) -> AsyncIterator[CardEncoder]:
        """See `Driver`.  A card is nobody else's while it is held; between two cards others may use the reader."""
        from encoder_bridge_pcsc.opening import opened

        own = {key: value for key, value in settings.items() if key != "profiles"}
        with whole(own, "this encoder") as table:
            reader = wanted(table)
        async with opened(reader) as opened_reader:
            yield CardEncoder(opened_reader, parse_profiles(settings.get("profiles"), secret))


driver: Driver = PcscDriver()
