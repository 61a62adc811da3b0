"""Having a card to oneself: the blocking half, for the reader's worker."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from encoder_bridge_cards.link import LinkError, NoAnswer, Occupied, ReaderGone

from encoder_bridge_pcsc.habits import Habits
from encoder_bridge_pcsc.link import PcscLink
from encoder_bridge_pcsc.winscard import Busy, Connection, Context, Ending, PcscError, ReaderMissing, ServiceGone, Share

_log = logging.getLogger("encoder_bridge_pcsc")

_BUSY_TRIES = 10
_BUSY_S = 0.1
"""Many desktops look at a card just after it was laid down, and PC/SC tells nobody when they are done."""


class Holding:
    """One exclusive connection to the card on a reader, from `take` to `release`.

    It is exclusive from the first look on: a shared one in a transaction lets others connect, and waits without end for
    their transactions, while an exclusive one is refused at once with a word that says why.  It ends with a reset of
    the card and with our keys out of the reader, so that nobody inherits a session.

    Args:
        context: the worker's.
        reader: the full name.
        habits: the reader's.
    """

    def __init__(self, context: Context, reader: str, habits: Habits) -> None:
        self._context = context
        self._reader = reader
        self._habits = habits
        self._connection: Connection | None = None
        self._link: PcscLink | None = None
        self._is_silent = False

    @property
    def link(self) -> PcscLink:
        """To the card that was taken."""
        if self._link is None:
            raise NoAnswer("not held")
        return self._link

    def take(self) -> None:
        """Connect to the card.

        Raises:
            NoAnswer: there is none, or another program keeps it.
            ReaderGone: the reader or pcscd is gone.
        """
        try:
            self._connection = self._connect()
        except (ServiceGone, ReaderMissing) as error:
            raise ReaderGone(error.raw) from error
        except PcscError as error:
            _log.info("the card on %s cannot be had: %s", self._reader, error.raw)
            self._is_silent = not isinstance(error, Busy)
            raise (Occupied if isinstance(error, Busy) else NoAnswer)(error.raw) from error
        self._link = PcscLink(self._connection, self._habits)

    def release(self) -> bool:
        """Give the card back.

        Returns:
            Whether an answer of it had stayed out.
        """
        if self._link is not None:
            self._is_silent = self._link.is_broken
            with suppress(LinkError):
                self._link.leave()
        if self._connection is not None:
            # A reset of a card that was just taken away hides the next one from pcscd.
            self._connection.disconnect(Ending.LEAVE if self._is_silent else Ending.RESET)
        self._connection = self._link = None
        return self._is_silent

    def _connect(self) -> Connection:
        for _ in range(_BUSY_TRIES - 1):
            with suppress(Busy):
                return self._context.connect(self._reader, Share.EXCLUSIVE)
            time.sleep(_BUSY_S)
        return self._context.connect(self._reader, Share.EXCLUSIVE)
