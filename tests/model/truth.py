"""What the world was told of the plastic, from the reports alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .plastic import Piece

Mark = tuple[str, int]
"""Access method and number."""


@dataclass
class Truth:
    """Hears every report once, in the order in which they are sent."""

    certain: dict[str, Mark] = field(default_factory=dict)
    """Uid to what that card carries."""
    possible: defaultdict[str, set[Mark]] = field(default_factory=lambda: defaultdict(set))
    """Uid to what that card may carry, or may not."""
    destroyed: set[str] = field(default_factory=set)

    def hear(self, report: Mapping[str, Any]) -> None:
        """Take one event in."""
        uid = (report.get("card") or {}).get("uid")
        if uid is None:
            return
        match report["event_type"]:
            case "access_method.issued" | "access_method.reissued":
                self._forget(uid)
                self.certain[uid] = (report["access_method_id"], report["sequence"])
            case "access_method.failed_to_issue" if report["error"]["type"] == "card_destroyed":
                self._forget(uid)
                self.destroyed.add(uid)
            case "encoder_bridge.job_unsure" | "access_method.failed_to_issue":
                self._doubt(uid)
                self.possible[uid].add((report["access_method_id"], report["sequence"]))
            case "encoder_bridge.card_erased":
                self._forget(uid)
            case "encoder_bridge.card_unsure":
                self._doubt(uid)

    def lies(self, cards: Mapping[str, Piece], in_hand: Mapping[str, Mark | None]) -> Iterable[str]:
        """Where the plastic is not what was told.

        Args:
            cards: all there are.
            in_hand: uid to what an encoder has begun to put on that card by now, or None where it blanks it.
        """
        for uid in cards.keys() | self.certain:
            mark = cards[uid].mark if uid in cards else None
            if uid in in_hand:
                allowed = {None, self.certain.get(uid), in_hand[uid], *self.possible[uid]}
            elif self.possible.get(uid):
                allowed = {None, *self.possible[uid]}
            else:
                allowed = {self.certain.get(uid)}
            if mark not in allowed:
                yield f"card {uid} carries {mark}, and the world was told {allowed}"

    def _forget(self, uid: str) -> None:
        self.certain.pop(uid, None)
        self.possible.pop(uid, None)

    def _doubt(self, uid: str) -> None:
        if uid in self.certain:
            self.possible[uid].add(self.certain.pop(uid))
        self.possible[uid] |= set()
