"""The judge: what the world was told about cards, against what is on them.

Knows the bodies of the events (docs/mqtt.md) and, from `cards`, the layout of a simulated card; nothing of the bridge.

    lies(events, stock)   one sentence for each card or report that disagrees; none: every word is true

Read in the order in which they were heard, the events say of each card what it carries, that nobody knows (a job or an
erasure in doubt, or ended in doubt: it may carry what is named, what it carried before, or be torn) or that it was
destroyed.  Of all other cards they say that nothing was ever made with them, so these have to be blank.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cards import read_card

_HEAD, _BLOCK = 64, 16

Carried = tuple[str, int]
"""Access method and sequence."""


@dataclass(slots=True)
class _Told:
    """What the events say, by uid."""

    carries: dict[str, Carried] = field(default_factory=dict)
    digests: dict[str, str | None] = field(default_factory=dict)
    doubtful: dict[str, set[Carried | None]] = field(default_factory=lambda: defaultdict(set))
    destroyed: set[str] = field(default_factory=set)
    lies: list[str] = field(default_factory=list)

    def hear(self, event: dict[str, Any]) -> None:
        uid = event.get("card", {}).get("uid")
        kind = event["event_type"].partition(".")[2]
        if event.get("is_issued"):
            self._hear_issued(event, uid)
        elif uid is None:
            return
        elif kind == "card_erased":
            self._clear(uid)
        elif kind == "failed_to_issue" and event["error"]["type"] == "card_destroyed":
            self._clear(uid)
            self.destroyed.add(uid)
        elif kind in {"job_unsure", "failed_to_issue"}:
            self.doubtful[uid] |= {self.carries.get(uid), (event["access_method_id"], event.get("sequence", -1))}
        elif kind == "card_unsure":
            self.doubtful[uid] |= {self.carries.get(uid), None}

    def _hear_issued(self, event: dict[str, Any], uid: str | None) -> None:
        if uid is None or event.get("sequence") is None:
            self.lies.append(f"{event['access_method_id']} was reported issued without saying which card: {event}")
            return
        self._clear(uid)
        self.destroyed.discard(uid)
        self.carries[uid] = (event["access_method_id"], event["sequence"])
        self.digests[uid] = event["receipt"].get("digest")

    def _clear(self, uid: str) -> None:
        self.carries.pop(uid, None)
        self.digests.pop(uid, None)
        self.doubtful.pop(uid, None)


def lies(events: Iterable[dict[str, Any]], stock: Path) -> list[str]:
    """What does not agree.

    Args:
        events: bodies, in the order heard; a repetition counts once.
        stock: folder of all cards.
    """
    told = _Told()
    seen: dict[str, dict[str, Any]] = {}
    served: set[str] = set()
    for event in events:
        known = seen.setdefault(event["event_id"], event)
        if known is not event:
            if known != event:
                told.lies.append(f"two reports of one id differ: {known} and {event}")
            continue
        told.hear(event)
        if event.get("is_issued") and event["trigger_event_id"] in served:
            told.lies.append(f"one need, {event['trigger_event_id']}, was issued twice")
        elif event.get("is_issued"):
            served.add(event["trigger_event_id"])
    files = {path.stem: path.read_bytes() for path in sorted(stock.glob("*.card"))}
    missing = [f"{uid} was reported to carry {told.carries[uid]} and is gone" for uid in {*told.carries} - {*files}]
    return [*told.lies, *missing, *(lie for uid, file in files.items() for lie in _lies_about(uid, file, told))]


def _lies_about(uid: str, file: bytes, told: _Told) -> Iterable[str]:
    card = read_card(file)
    found: Carried | str | None = card if isinstance(card, str) else (card["access_method_id"], card["sequence"])
    found = None if found == "blank" else found
    said = told.carries.get(uid)
    if uid in told.destroyed:
        yield f"{uid} was reported destroyed and is still there"
    elif uid in told.doubtful:
        if found not in {"torn", *told.doubtful[uid]}:
            yield f"{uid} may carry {told.doubtful[uid]} and carries {found}"
    elif found != said:
        yield f"{uid} was reported to carry {said} and carries {found}"
    elif said and told.digests[uid] != _digest(file):
        yield f"{uid} does not carry what the receipt of {said} speaks of"


def _digest(file: bytes) -> str:
    """SHA-256 of the blocks in use: 16 of head, the body, 4 of check sum, filled up to a whole block."""
    content = file[_HEAD:]
    used = 20 + int.from_bytes(content[6:8], "big")
    return hashlib.sha256(content[: used + -used % _BLOCK]).hexdigest()
