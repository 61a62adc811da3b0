"""Forgetting: what is older than it is kept for, and what deleted secrets left behind."""

from __future__ import annotations

from encoder_bridge.commits import BUSY_TIMEOUT_MS
from encoder_bridge.store.ledger import Ledger

POISON_KEEP_MS = 7 * 86_400_000
PLAUSIBLE_MS = 7 * 86_400_000
"""A clock this far ahead of the last message is not believed: nothing is forgotten on its word."""
_SLICE = 500

_OLD_JOBS = """
    SELECT job_id FROM job LEFT JOIN method USING (access_method_id)
    WHERE open IS NULL AND state_at < ?1
      AND (card_uid IS NULL OR deleted_at IS NOT NULL -- a card that still opens doors is still known
           OR unixepoch(json_extract(credential, '$.ends_at')) * 1000 <= ?3)
    ORDER BY state_at LIMIT ?2
"""
_OLD_GUESTS = """
    SELECT job_id FROM personal JOIN job USING (job_id) WHERE open IS NULL AND state_at < ?1 LIMIT ?2
"""
_OLD_EVENTS = """
    SELECT event_id FROM event
    WHERE received_at < ?1 AND NOT EXISTS (SELECT 1 FROM job WHERE job.job_id = event.job_id) LIMIT ?2
"""


class Retention:
    """Operations of the housekeeping."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._execute = ledger.execute

    def prune(self, now: int) -> bool:
        """Drop a slice of what is too old.  A desk that heard nothing for a week forgets nothing until it does.

        Returns:
            True: there may be more.
        """
        (newest,) = self._execute("SELECT max(received_at) FROM event").fetchone()
        if newest is None or now - newest > PLAUSIBLE_MS:
            return False
        self._execute("DELETE FROM poison WHERE received_at < ?", (now - POISON_KEEP_MS,))
        rules = self._ledger.rules
        oldest = now - rules.keep_history_ms
        self._ledger.sequences.forget(oldest)
        self._execute("DELETE FROM erasure WHERE state_at < ? AND state IN ('erased', 'given_up')", (oldest,))
        guests = self._execute(_OLD_GUESTS, (now - rules.keep_personal_ms, _SLICE)).fetchall()
        for (job_id,) in guests:
            self._ledger.sealed.forget_fields(job_id)
        jobs = self._execute(_OLD_JOBS, (oldest, _SLICE, now)).fetchall()
        for job_id in jobs:
            self._execute("DELETE FROM attempt WHERE job_id = ?", job_id)
            self._ledger.sealed.forget_fields(*job_id)
            self._execute("DELETE FROM job WHERE job_id = ?", job_id)
        # After the jobs: a card is given up only because its access method is known to be deleted.
        self._execute(
            """DELETE FROM method WHERE known_at < ?
               AND NOT EXISTS (SELECT 1 FROM job WHERE job.access_method_id = method.access_method_id)""",
            (oldest,),
        )
        events = self._execute(_OLD_EVENTS, (oldest, _SLICE)).fetchall()
        for event_id in events:
            self._execute("DELETE FROM event WHERE event_id = ?", event_id)
        return any(len(slice_) == _SLICE for slice_ in (guests, jobs, events))

    def tidy(self) -> None:
        """Outside any transaction: overwrite what deleted contents left in the write-ahead log."""
        if self._ledger.sealed.left_in_log:
            # Somebody who reads the store must not hold up the commits: the log is truncated another time.
            self._execute("PRAGMA busy_timeout = 0").fetchall()
            busy, *_ = self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}").fetchall()
            self._ledger.sealed.left_in_log = bool(busy)
