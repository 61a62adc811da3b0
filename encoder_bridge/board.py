"""What every encoder is doing right now, for whoever looks: the last word counts, nothing here is durable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from encoder_bridge import wire

Watcher = Callable[[str, wire.EncoderState], None]


class Board:
    """The present state of all encoders."""

    def __init__(self) -> None:
        self.encoders: dict[str, wire.EncoderState] = {}
        self.abilities: dict[str, dict[str, object]] = {}
        """What each encoder can do, for as long as it is open."""
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` with the encoder's name and state at every change; it must not wait."""
        self._watchers.append(watcher)

    def show(self, encoder: str, state: wire.EncoderState) -> None:
        """Replace what is shown of an encoder."""
        self.encoders[encoder] = state
        for watcher in self._watchers:
            watcher(encoder, state)

    def amend(self, encoder: str, **changes: Any) -> None:
        """Change some fields of what is shown."""
        self.show(encoder, self.encoders[encoder].model_copy(update=changes))
