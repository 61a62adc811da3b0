"""What the world was told by one desk, sorted as it comes in."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from rigs.tap import Heard, Tap


class Hearing:
    """Reads on in a tap each time it is asked."""

    def __init__(self, tap: Tap, root: str) -> None:
        self._tap = tap
        self._root = root
        self._seen = 0
        self.online = 0
        """How often a daemon said that it is there."""
        self.events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """By access method, repetitions included."""
        self.states: dict[str, dict[str, Any]] = {}
        """The retained state, by access method."""
        self.answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """By the trigger's id, those that carry its correlation data."""
        self.encoder: list[dict[str, Any]] = []
        """What the encoders said of themselves, in order."""

    def listen(self) -> None:
        heard = self._tap.messages
        for message in heard[self._seen :]:
            self._sort(message)
        self._seen = len(heard)

    def issued(self, access_method_id: str) -> list[dict[str, Any]]:
        """The reports that a card was made."""
        return [event for event in self.events[access_method_id] if event["is_issued"]]

    @property
    def duplicates(self) -> int:
        """Reports that were delivered again."""
        return sum(len(events) - len({event["event_id"] for event in events}) for events in list(self.events.values()))

    def _sort(self, message: Heard) -> None:
        kind, _, rest = message.topic.removeprefix(self._root + "/").partition("/")
        if kind == "event":
            event = message.json()
            self.events[event["access_method_id"]].append(event)
        elif kind == "job" and message.payload:
            self.states[rest] = message.json()
        elif kind == "response":
            answer = message.json()
            if message.properties.get("CorrelationData") == str(answer["id"]).encode():
                self.answers[str(answer["id"])].append(answer)
        elif kind == "encoder":
            self.encoder.append(message.json())
        elif kind == "availability" and json.loads(message.payload)["state"] == "online":
            self.online += 1
