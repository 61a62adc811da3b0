"""How fast cards are started: the worst that a program can do with a desk is to make keys, so there is a limit."""

from __future__ import annotations

from collections.abc import Iterable

from encoder_bridge.store.ledger import Ledger

_WINDOW_MS = 60_000


class Pace:
    """Counts the cards started within a minute, by encoder and by requester."""

    def __init__(self, ledger: Ledger) -> None:
        self._execute = ledger.execute
        self._limit = ledger.rules.cards_per_minute

    def note(self, encoder: str, requester: str | None, now: int) -> None:
        """A card is started."""
        if self._limit:
            # What lies ahead was noted before the clock was put back.
            self._execute("DELETE FROM pace WHERE at <= ? OR at > ?", (now - _WINDOW_MS, now + _WINDOW_MS))
            self._execute("INSERT INTO pace VALUES (?, ?, ?)", (now, encoder, requester))

    def of_encoder(self, encoder: str, now: int) -> int | None:
        """The moment from which on the encoder may start another card; None: now."""
        return self._full(self._started("encoder", now)).get(encoder) if self._limit else None

    def requesters(self, now: int) -> dict[str | None, int]:
        """The requesters who have to wait, and until when.  Whoever is not known by name is not counted.

        What other encoders ask for right now may be started at any moment, so that it counts as if it were.
        """
        if not self._limit:
            return {}
        asked_for = self._execute("SELECT requester, ? FROM job WHERE open AND state = 'waiting_for_card'", (now,))
        full = self._full([*asked_for.fetchall(), *self._started("requester", now)])
        return {name: until for name, until in full.items() if name is not None}

    def _started(self, column: str, now: int) -> list[tuple[str | None, int]]:
        """The cards of the last minute, the newest first."""
        found: list[tuple[str | None, int]] = self._execute(
            f"SELECT {column}, at FROM pace WHERE at > ? AND at <= ? ORDER BY at DESC",  # noqa: S608 - a constant
            (now - _WINDOW_MS, now + _WINDOW_MS),
        ).fetchall()
        return found

    def _full(self, cards: Iterable[tuple[str | None, int]]) -> dict[str | None, int]:
        """Who has started as many as may be, and the moment at which the oldest of them leaves the window."""
        seen: dict[str | None, list[int]] = {}
        for name, at in cards:
            seen.setdefault(name, []).append(at)
        return {name: at[self._limit - 1] + _WINDOW_MS for name, at in seen.items() if len(at) >= self._limit}
