"""A store as the program of version 1 left it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

ROWS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
GUEST = "Ms Violetta Guest"
SECRET = b"the-contents-of-a-card"
IN_CLEAR = (GUEST.encode(), b"dGhlLWNvbnRlbnRzLW9mLWEtY2FyZA")
"""What lay on the disk of that time."""
JOB_COLUMNS = """
    job_id, access_method_id, state, open, place, not_before, attempt, faults, encoder, profile, credential, origin,
    event_id, occurred_at, is_reissue, created_at, state_at, expires_at, intended_at, intent, receipt, issued_at,
    card_uid, error
"""


def write(path: Path) -> None:
    """Make the file, nothing of it in a write-ahead log."""
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("PRAGMA secure_delete = ON")
        old.execute("PRAGMA journal_mode = WAL")
        old.executescript((files("encoder_bridge.schema") / "v1.sql").read_text())
        old.executescript(ROWS)
        old.execute("PRAGMA user_version = 1")
