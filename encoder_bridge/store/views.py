"""What people and programs see of jobs: plain data, ready for JSON, without anything personal.

The same operations serve the daemon, inside its transactions, and whoever reads the store beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from encoder_bridge import reports
from encoder_bridge.model import Job, iso
from encoder_bridge.store.rows import COLUMNS, to_job

_SELECT = f"SELECT {COLUMNS}, profile, backup, credential FROM job "  # noqa: S608 - a constant
_ATTEMPTS = """
SELECT attempt, at, what, encoder, card, detail, requester, operator FROM attempt WHERE job_id = ? ORDER BY attempt_id
"""

JobView = dict[str, Any]


class Views:
    """Operations that change nothing.

    Args:
        execute: runs one statement over the store.
    """

    def __init__(self, execute: Callable[..., Any]) -> None:
        self._execute = execute

    def jobs(self, state: str | None, limit: int) -> list[JobView]:
        """The newest jobs first, at most `limit`, all or those in one state."""
        return self._read("WHERE ?1 IS NULL OR state = ?1 ORDER BY job_id DESC LIMIT ?2", state, limit)

    def jobs_of(self, which: str) -> list[JobView]:
        """All jobs of an access method, or the one with this number, the newest first and each with its attempts."""
        found = self._read("WHERE access_method_id = ?1 OR CAST(job_id AS TEXT) = ?1 ORDER BY job_id DESC", which)
        for job in found:
            job["attempts"] = self._attempts(job["job_id"])
        return found

    def standing(self) -> dict[str, Job]:
        """Every access method's open job that is on: not one that waits behind it."""
        rows = self._execute(f"SELECT {COLUMNS} FROM job WHERE open ORDER BY job_id").fetchall()  # noqa: S608 - constant
        standing: dict[str, Job] = {}
        for job in map(to_job, rows):
            standing.setdefault(job.access_method_id, job)
        return standing

    def _read(self, where: str, *parameters: object) -> list[JobView]:
        rows = self._execute(_SELECT + where, parameters).fetchall()
        return [_shown(to_job(row[:-3]), *row[-3:]) for row in rows]

    def _attempts(self, job_id: int) -> list[dict[str, Any]]:
        rows = self._execute(_ATTEMPTS, (job_id,)).fetchall()
        return [
            {
                "attempt": attempt,
                "at": iso(at),
                "what": what,
                "encoder": encoder,
                "card": card,
                "detail": json.loads(detail) if detail else None,
                "requester": requester,
                "operator": operator,
            }
            for attempt, at, what, encoder, card, detail, requester, operator in rows
        ]


def _shown(job: Job, profile: str | None, backup: str | None, credential: str) -> JobView:
    error, card = reports.told(job), reports.card_of(job)
    wanted = json.loads(credential)
    return {
        "job_id": job.job_id,
        "access_method_id": job.access_method_id,
        "state": job.state.value,
        "encoder": job.encoder,
        "profile": profile,
        "attempt": job.attempt,
        "event_id": job.event_id,
        "entrances": wanted.get("entrances", []),
        "starts_at": wanted.get("starts_at"),
        "ends_at": wanted.get("ends_at"),
        "joins": wanted.get("joins", False),
        "is_issued": job.is_issued,
        "is_reissue": job.is_reissue,
        "requester": job.requester,
        "sequence": job.sequence,
        "route": None if job.route is None else [*job.route],
        "backup": json.loads(backup) if backup else None,
        "created_at": iso(job.created_at),
        "state_at": iso(job.state_at),
        "expires_at": iso(job.expires_at),
        "issued_at": None if job.issued_at is None else iso(job.issued_at),
        "evidence": job.receipt.evidence.value if job.receipt else None,
        "card": asdict(card) if card else None,
        "error": error.model_dump(exclude_none=True) if error else None,
        "warnings": [reports.problem(warning).model_dump(exclude_none=True) for warning in job.warnings],
    }
