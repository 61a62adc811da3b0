"""`jobs`: what the store knows, read beside a running daemon.  Personal data and card contents are never read."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import Any

import click

from encoder_bridge.cli.command import Command, Negative, config_option, json_option, say_json
from encoder_bridge.config import load
from encoder_bridge.errors import StoreError
from encoder_bridge.model import State, from_ms, iso
from encoder_bridge.sqlite import open_for_reading

_JOBS = """
SELECT job_id, access_method_id, state, encoder, profile, attempt, event_id, is_reissue, created_at, state_at,
       expires_at, issued_at, json_extract(receipt, '$.evidence') AS evidence,
       json_extract(coalesce(receipt, intent), '$.card') AS card, error
FROM job
"""
_ATTEMPTS = "SELECT attempt, at, what, encoder, card, detail FROM attempt WHERE job_id = ? ORDER BY attempt_id"
_TIMES = ("created_at", "state_at", "expires_at", "issued_at")

_Job = dict[str, Any]


@click.group()
def jobs() -> None:
    """Look at jobs in the store, beside a running daemon."""


@jobs.command("list", cls=Command)
@config_option
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@json_option
def list_jobs(config: Path | None, state: str | None, limit: int, as_json: bool) -> None:
    """List jobs, the newest first."""
    with _store(config) as (connection, zone):
        found = _read(connection, "WHERE ?1 IS NULL OR state = ?1 ORDER BY job_id DESC LIMIT ?2", state, limit)
    if as_json:
        say_json([_for_programs(job) for job in found])
        return
    if found:
        click.echo(f"{'job':>4}  {'since':<19}  {'state':<16}  access method  (times in {zone})")
    else:
        click.echo("There is no such job.")
    for job in found:
        click.echo(_summary(job, zone))


@jobs.command("show", cls=Command)
@config_option
@click.argument("which", metavar="ACCESS_METHOD_ID_OR_JOB_ID")
@json_option
def show_jobs(config: Path | None, which: str, as_json: bool) -> None:
    """Show one job, or all jobs of an access method, with every attempt."""
    where = "WHERE access_method_id = ?1 OR CAST(job_id AS TEXT) = ?1 ORDER BY job_id DESC"
    with _store(config) as (connection, zone):
        found = _read(connection, where, which)
        for job in found:
            job["attempts"] = _attempts(connection, job["job_id"])
    if not found:
        raise Negative(f"No job is known for {which!r}: check the id, or see 'encoder-bridge jobs list'.")
    if as_json:
        say_json([_for_programs(job) for job in found])
        return
    for job in found:
        click.echo(_summary(job, zone))
        for attempt in job["attempts"]:
            click.echo(f"      {_attempt(attempt, zone)}")


@contextmanager
def _store(config: Path | None) -> Iterator[tuple[sqlite3.Connection, tzinfo]]:
    settings = load(config, os.environ)
    with closing(open_for_reading(settings.store)) as connection:
        try:
            yield connection, settings.zone
        except sqlite3.Error as error:
            raise StoreError(f"The store {settings.store} cannot be read ({error}).") from error


def _read(connection: sqlite3.Connection, where: str, *parameters: object) -> list[_Job]:
    cursor = connection.execute(_JOBS + where, parameters)
    names = [name for name, *_ in cursor.description]
    found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for job in found:
        job["is_reissue"] = bool(job["is_reissue"])
        job["card"], job["error"] = (json.loads(job[key]) if job[key] else None for key in ("card", "error"))
    return found


def _attempts(connection: sqlite3.Connection, job_id: int) -> list[dict[str, Any]]:
    rows = connection.execute(_ATTEMPTS, (job_id,)).fetchall()
    return [
        {
            "attempt": attempt,
            "at": at,
            "what": what,
            "encoder": encoder,
            "card": card,
            "detail": json.loads(detail) if detail else None,
        }
        for attempt, at, what, encoder, card, detail in rows
    ]


def _for_programs(job: _Job) -> _Job:
    shown = dict(job)
    for key in _TIMES:
        shown[key] = iso(job[key]) if job[key] is not None else None
    if "attempts" in job:
        shown["attempts"] = [attempt | {"at": iso(attempt["at"])} for attempt in job["attempts"]]
    return shown


def _summary(job: _Job, zone: tzinfo) -> str:
    parts = [f"{job['job_id']:>4}", _moment(job["state_at"], zone), f"{job['state']:<16}", job["access_method_id"]]
    if job["encoder"]:
        parts.append(f"on {job['encoder']}")
    if job["card"] and job["card"]["uid"]:
        parts.append(f"card {job['card']['uid']}")
    if job["evidence"]:
        parts.append(job["evidence"])
    if job["error"]:
        parts.append(job["error"]["message"])
    return "  ".join(parts)


def _attempt(attempt: dict[str, Any], zone: tzinfo) -> str:
    parts = [f"attempt {attempt['attempt']}", _moment(attempt["at"], zone), attempt["what"]]
    if attempt["encoder"]:
        parts.append(f"on {attempt['encoder']}")
    if attempt["card"]:
        parts.append(f"card {attempt['card']}")
    if attempt["detail"]:
        parts.append(attempt["detail"].get("message") or json.dumps(attempt["detail"], ensure_ascii=False))
    return "  ".join(parts)


def _moment(ms: int, zone: tzinfo) -> str:
    return from_ms(ms, zone).strftime("%Y-%m-%d %H:%M:%S")
