"""What this desk's session at the broker was subscribed to: a session outlives a change of the configuration."""

from __future__ import annotations

import json
from collections.abc import Iterable

from encoder_bridge.store.ledger import Ledger


class Subscriptions:
    """Operations of the link."""

    def __init__(self, ledger: Ledger) -> None:
        self._execute = ledger.execute

    def known(self) -> set[str]:
        """Every topic filter that the session may still hold."""
        row = self._execute("SELECT value FROM meta WHERE name = 'subscriptions'").fetchone()
        return set(json.loads(row[0])) if row else set()

    def note(self, topics: Iterable[str]) -> None:
        """Replace what is known; note new ones before they are asked for, and forget old ones after they are gone."""
        self._execute("INSERT OR REPLACE INTO meta VALUES ('subscriptions', ?)", (json.dumps(sorted(topics)),))
