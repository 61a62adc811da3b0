"""What a contactless driver offers to the card library: a place where cards are laid, seen from the event loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from encoder_bridge_cards.link import Link

Result = TypeVar("Result")


class HeldCard(Protocol):
    """A card that nobody else can talk to."""

    async def run(self, work: Callable[[Link], Result]) -> Result:
        """Do blocking work with the card on the reader's own thread, and await it to its end whatever happens.

        Raises:
            LinkError: the link broke off; also whatever `work` raises.
        """


class CardReader(Protocol):
    """One open reader."""

    @property
    def name(self) -> str:
        """What people call it."""

    async def present(self) -> None:
        """Return once a card lies there.

        Raises:
            ReaderGone: the reader is gone, now or while it waits.
        """

    async def absent(self) -> None:
        """Return once no card lies there.

        Raises:
            ReaderGone: the reader is gone, now or while it waits.
        """

    async def lost(self) -> None:
        """Return once the reader is unplugged or dead."""

    def hold(self) -> AbstractAsyncContextManager[HeldCard]:
        """Have the card that lies there to oneself; it is released on leaving.

        Raises:
            NoAnswer: on entering: no card lies there, or another program keeps it.
            ReaderGone: on entering: the reader is gone.
        """

    async def signal(self, ok: bool) -> None:
        """Say by light and sound whether the card may be handed out; nothing where the reader has neither."""
