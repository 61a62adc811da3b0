"""What people and programs see of jobs: plain data, ready for JSON, without anything personal.

The same operations serve the daemon, inside its transactions, and whoever reads the store beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from encoder_bridge import reports, texts
from encoder_bridge.model import Job, Problem, iso
from encoder_bridge.store.rows import COLUMNS, to_job

_SHOWN = (
    "job_id",
    "access_method_id",
    "state",
    "encoder",
    "profile",
    "attempt",
    "event_id",
    "is_reissue",
    "requester",
    "sequence",
    "route",
    "backup",
    "created_at",
    "state_at",
    "expires_at",
    "issued_at",
    "evidence",
    "card",
    "error",
    "warnings",
    "was_erased",
)
_JOBS = """
SELECT job_id, access_method_id, state, encoder, profile, attempt, event_id, is_reissue, requester, sequence, route,
       backup, created_at, state_at, expires_at, issued_at, json_extract(receipt, '$.evidence'),
       json_extract(coalesce(receipt, intent), '$.card'), error, warnings,
       card_uid IS NULL AND json_extract(receipt, '$.card.uid') IS NOT NULL
FROM job
"""
_TIMES = ("created_at", "state_at", "expires_at", "issued_at")
_JSON = ("route", "backup", "card", "error", "warnings")
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
        rows = self._execute(_JOBS + where, parameters).fetchall()
        return [_job(dict(zip(_SHOWN, row, strict=True))) for row in rows]

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


def _job(row: Mapping[str, Any]) -> JobView:
    shown = {**row, "is_reissue": bool(row["is_reissue"])}
    for key in _TIMES:
        shown[key] = iso(row[key]) if row[key] is not None else None
    for key in _JSON:
        shown[key] = json.loads(row[key]) if row[key] else None
    was_erased = shown.pop("was_erased")
    if shown["state"] == "issued" and was_erased:
        shown["error"] = asdict(texts.problem("card_erased"))
    shown["error"] = _told(shown["error"])
    shown["warnings"] = [_told(warning) for warning in shown["warnings"] or []]
    return shown


def _told(problem: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return reports.problem(Problem(**problem)).model_dump(exclude_none=True) if problem else None
