"""When to tell that a card is to be lifted: where one was laid, and after what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from encoder_bridge.sandbox.steps import Step


class Lifts:
    """Follows the encoders.

    An encoder's state may be heard before the event about its card, and it asks for a lift even where nothing lies.
    """

    def __init__(self) -> None:
        self._laid: dict[str, str | None] = {}
        """Encoder where a card may lie: the access method it is for."""
        self._untold: dict[str, str] = {}
        """Encoder: the access method that it wrote and of which nothing was told since."""
        self._waiting: dict[str, Step] = {}
        """Encoder: the step that waits for that."""

    def see(self, encoder: str, state: Mapping[str, Any]) -> Iterator[Step]:
        """Note a state; a lift that waited is told at the latest before the next card is asked for."""
        method = state.get("access_method_id")
        if state["state"] == "writing" and method:
            self._untold[encoder] = self._laid[encoder] = method
        elif state["state"] == "waiting_for_card":
            self._untold.pop(encoder, None)
            if waiting := self._waiting.pop(encoder, None):
                yield waiting
            if state.get("prompt"):
                self._laid[encoder] = method
        elif state["state"] == "offline" and encoder not in self._untold:
            self._laid.pop(encoder, None)

    def ask(self, lift: Step) -> Step | None:
        """The step, with its access method, if it is to be told now."""
        if lift.who not in self._laid:
            return None
        step = replace(lift, access_method_id=self._laid.pop(lift.who))
        if lift.who not in self._untold:
            return step
        self._waiting[lift.who] = step
        return None

    def after(self, method: str) -> Iterator[Step]:
        """What may be told now that something was told of an access method."""
        for encoder in [encoder for encoder, written in self._untold.items() if written == method]:
            del self._untold[encoder]
            if waiting := self._waiting.pop(encoder, None):
                yield waiting
