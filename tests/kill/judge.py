"""Compares the plastic with the reports."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cards import read_card

from kill.desk import CREDENTIAL, Desk

_ZONE = ZoneInfo("Europe/Lisbon")
_BUGS = ("driver_broke", "IllegalMove", "namesake")
"""Words in the log that a kill or a broker's death must not lead to."""


class Judge:
    """Watches one desk's cards over its whole life."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._final: dict[str, str] = {}
        """Cards that were handed out: uid to hash of the file."""

    def at_any_moment(self, *access_method_ids: str) -> None:
        """Whatever was reported until now is on a card now.

        Raises:
            Violation: it is not.
        """
        self._desk.catch_up()
        for method in access_method_ids:
            for event in self._desk.hearing.issued(method):
                file = self._desk.stock / f"{event['card']['uid']}.card"
                if not _carries(file, method):
                    raise self._desk.violation(f"{method} was reported issued and is not on {file.stem}")

    def at_the_end(self, *access_method_ids: str, may_fail: bool = False) -> None:
        """Every one of these needs ended in exactly one good card and one report, and no other card was touched.

        Args:
            access_method_ids: needs whose end was told.
            may_fail: a need may also have ended in an honest failure, with no card that carries it.

        Raises:
            Violation: something else is the case.
        """
        self._desk.catch_up()
        log = (self._desk.folder / "log").read_text(errors="replace")
        if bugs := [word for word in _BUGS if word in log]:
            raise self._desk.violation(f"the log tells of {bugs}")
        files = {path.stem: path.read_bytes() for path in self._desk.stock.glob("*.card")}
        cards = {uid: read_card(file) for uid, file in files.items()}
        torn = [uid for uid, card in cards.items() if card == "torn"]
        if torn:
            raise self._desk.violation(f"torn cards: {torn}")
        hashes = {uid: hashlib.sha256(file).hexdigest() for uid, file in files.items()}
        changed = [uid for uid, known in self._final.items() if hashes.get(uid) != known]
        if changed:
            raise self._desk.violation(f"cards that were handed out have changed: {changed}")
        for method in access_method_ids:
            good = [uid for uid, card in cards.items() if isinstance(card, dict) and card["access_method_id"] == method]
            self._judge(method, good, cards, files, may_fail=may_fail)
            self._final |= {uid: hashes[uid] for uid in good}
        strangers = [uid for uid, card in cards.items() if isinstance(card, dict) and uid not in self._final]
        if strangers:
            raise self._desk.violation(f"cards that nobody was told of: {[(uid, cards[uid]) for uid in strangers]}")

    def _judge(
        self, method: str, good: list[str], cards: dict[str, Any], files: dict[str, bytes], *, may_fail: bool
    ) -> None:
        complain = self._desk.violation
        events = self._desk.hearing.events[method]
        for event in events:
            if any(other["event_id"] == event["event_id"] and other != event for other in events):
                raise complain(f"{method}: two reports with one id differ: {events}")
        ends = {event["event_id"]: event for event in events if event["state"] in {"issued", "failed"}}
        if len(ends) != 1:
            raise complain(f"{method}: {len(ends)} final reports instead of one: {list(ends.values())}")
        (end,) = ends.values()
        retained = self._desk.hearing.states[method]
        if retained["state"] != end["state"]:
            raise complain(f"{method}: retained is {retained['state']}, reported was {end['state']}")
        if end["state"] == "failed":
            if not may_fail or good:
                raise complain(f"{method}: reported failed, carried by {good}: {end}")
            return
        if good != [end["card"]["uid"]] or end["event_type"] != "access_method.issued":
            raise complain(f"{method}: carried by {good}, reported was {end}")
        (uid,) = good
        if end["receipt"]["digest"] != _digest(files[uid]):
            raise complain(f"{method}: the receipt is not of what card {uid} carries")
        wanted = _wanted(method)
        if {key: cards[uid].get(key) for key in wanted} != wanted:
            raise complain(f"{method}: card {uid} carries {cards[uid]} instead of {wanted}")


def _carries(file: Path, access_method_id: str) -> bool:
    card = read_card(file.read_bytes()) if file.exists() else "missing"
    return isinstance(card, dict) and card["access_method_id"] == access_method_id


def _digest(file: bytes) -> str:
    """SHA-256 of the blocks that are in use: head 16, body, check 4, up to a whole block."""
    used = 20 + int.from_bytes(file[70:72], "big")
    return hashlib.sha256(file[64 : 64 + used + -used % 16]).hexdigest()


def _wanted(access_method_id: str) -> dict[str, Any]:
    times = {
        key: datetime.fromisoformat(str(CREDENTIAL[key])).astimezone(_ZONE).isoformat()
        for key in ("starts_at", "ends_at")
    }
    wanted: dict[str, Any] = json.loads(json.dumps({**CREDENTIAL, **times, "access_method_id": access_method_id}))
    return wanted
