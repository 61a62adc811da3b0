"""Noticing that a card comes, goes, or that the reader is gone: by waiting, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from encoder_bridge_pcsc.winscard import Context, PcscError, State

_AGAIN_S = 0.05
_PATIENCE_S = 5.0
_EVENTS = 16
"""Bits of a state below its count of cards that came and went."""


class Watch:
    """A thread that waits for a reader's next change of state in `Context.wait`.

    Args:
        context: for this thread alone, until `stop` returns.
        reader: the full name.
        tell: called on that thread with whether a card lies there, first at once and then at every change.
        tell_end: called on that thread once the reader or pcscd is gone, with the error's name.
    """

    def __init__(
        self, context: Context, reader: str, tell: Callable[[bool], None], tell_end: Callable[[str], None]
    ) -> None:
        self._context = context
        self._reader = reader
        self._tell = tell
        self._tell_end = tell_end
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watching {reader}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; a pcscd that hangs keeps it, and is not waited for any longer."""
        self._is_stopping.set()
        patience = int(_PATIENCE_S / _AGAIN_S)
        while self._thread.is_alive() and patience:
            patience -= 1
            # A cancel that comes before the wait is lost, and one that comes after pcscd's end fails.
            with suppress(PcscError):
                self._context.cancel()
            self._thread.join(_AGAIN_S)

    def _run(self) -> None:
        state: int = State.UNAWARE
        try:
            while not self._is_stopping.is_set():
                before, state = state, self._context.wait(self._reader, state)
                if before & state & State.PRESENT and before >> _EVENTS != state >> _EVENTS:
                    self._tell(False)  # one card was lifted and another laid
                self._tell(bool(state & State.PRESENT))
        except PcscError as error:
            if not self._is_stopping.is_set():
                self._tell_end(error.raw)
