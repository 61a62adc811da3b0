"""What is still to be told."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from encoder_bridge.model import Job
from encoder_bridge.reports import Outgoing, ReplyAddress
from encoder_bridge.store.ledger import Ledger


class Outbox:
    """Operations of the reporters."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._execute = ledger.execute

    def pending(self, limit: int, skip: Collection[int] = ()) -> list[Outgoing]:
        """The oldest messages that nobody has acknowledged yet, less those whose `report_id` is in `skip`."""
        rows = self._execute(
            """SELECT report_id, kind, name, reply_to, correlation, body FROM outbox
               WHERE report_id NOT IN (SELECT value FROM json_each(?)) ORDER BY report_id LIMIT ?""",
            (json.dumps([*skip]), limit),
        ).fetchall()
        return [
            Outgoing(
                report_id=report_id,
                kind=kind,
                name=name,
                body=body,
                reply=ReplyAddress(topic=reply_to, correlation=correlation),
            )
            for report_id, kind, name, reply_to, correlation, body in rows
        ]

    def told(self, report_ids: Iterable[int]) -> None:
        """Drop messages that the other side has acknowledged."""
        for report_id in report_ids:
            self._execute("DELETE FROM outbox WHERE report_id = ?", (report_id,))

    def standing(self) -> dict[str, Job]:
        """Every access method's open job that is on: not one that waits behind it."""
        standing: dict[str, Job] = {}
        for job in self._ledger.jobs("WHERE open ORDER BY job_id"):
            standing.setdefault(job.access_method_id, job)
        return standing
