"""The numbers of cards.

Many locks count: a card with a number above the lock's own opens and sets the lock to its number, one further ahead
than the lock's window is not known at all, and one below is dead.  So a number is minted once for a job and survives
every retry, a copy carries the number of the card it joins, and cards that were made but may never have met the lock
are counted.  A number counts for every entrance of the card, or for the stay where no entrance is named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from encoder_bridge import texts
from encoder_bridge.model import Problem

_IN_USE_AFTER_MS = 3_600_000
"""A card whose window began this long ago is presumed to have met its lock."""
_LEAD = 5
"""The desk is warned when a fifth of the lock's window is left."""

_OF_JOB = "SELECT profile, scope, sequence, credential FROM job WHERE job_id = ?"
_NUMBERS = """
    SELECT scope, last, iif(used_at <= ?3, issued, met) FROM sequence
    WHERE profile = ?1 AND scope IN (SELECT value FROM json_each(?2))
"""
_JOINED = """
    SELECT max(job_id) FROM job WHERE open AND job_id < ?1 AND profile = ?2 AND scope = ?3 AND sequence IS NULL
                                      AND NOT json_extract(credential, '$.joins')
"""
_SPEND = """
    UPDATE sequence SET begun = max(begun, ?3) WHERE profile = ?1 AND scope IN (SELECT value FROM json_each(?2))
"""
_MET = """
    UPDATE sequence SET met = iif(used_at <= ?5, issued, met), issued = ?3, used_at = ?4
    WHERE profile = ?1 AND scope IN (SELECT value FROM json_each(?2)) AND ?3 >= ifnull(issued, met)
"""
_BEGUN_SINCE = """
    SELECT 1 FROM sequence WHERE profile = ?1 AND scope IN (SELECT value FROM json_each(?2)) AND begun > ?3
"""
_GIVE_BACK = """
    UPDATE sequence SET shared = 1, -- a copy may have been given the one before
           last = max(begun, met, ifnull((
               SELECT max(job.sequence) FROM job
               WHERE open AND job.job_id != ?4 AND job.profile = ?1
                 AND EXISTS (SELECT 1 FROM json_each(job.scope) WHERE value = sequence.scope)), 0))
    WHERE profile = ?1 AND scope IN (SELECT value FROM json_each(?2)) AND last = ?3 AND NOT shared
"""
_NEVER_BEGUN = """
    DELETE FROM sequence WHERE profile = ?1 AND scope IN (SELECT value FROM json_each(?2)) AND begun = 0 AND last <= met
"""
_FORGET = "DELETE FROM sequence WHERE at < ? AND scope NOT LIKE 'entrance:%' RETURNING last"


class Sequences:
    """Mints, counts and takes back."""

    def __init__(self, execute: Callable[..., Any], window: int | None) -> None:
        self._execute = execute
        self._window = window
        (floor,) = execute("SELECT value FROM meta WHERE name = 'sequence_floor'").fetchone()
        self._floor = int(floor)

    def mint(self, job_id: int, now: int) -> None:
        """Give a job its number, if it has none."""
        profile, scope, sequence, credential = self._execute(_OF_JOB, (job_id,)).fetchone()
        if sequence is not None:
            return
        scope = scope or self._scope_of_old(job_id)
        copies = json.loads(credential)["joins"]
        if copies:
            # The card it joins may still wait for its turn, at another encoder or behind somebody's pause.
            (joined,) = self._execute(_JOINED, (job_id, profile, scope)).fetchone()
            if joined is not None:
                self.mint(joined, now)
        scopes = json.loads(scope)
        rows = self._execute(_NUMBERS, (profile, scope, now)).fetchall()
        known = {name: (last, met) for name, last, met in rows}
        lasts = {last for last, _ in known.values()}
        highest = max(lasts, default=self._floor)
        joins = copies and bool(known)
        number = highest if joins else highest + 1
        for name in scopes:
            self._execute(
                """INSERT INTO sequence (profile, scope, last, begun, met, shared, at)
                   VALUES (?1, ?2, ?3, 0, ?3 - 1, ?4, ?5)
                   ON CONFLICT DO UPDATE SET last = excluded.last, shared = excluded.shared, at = excluded.at""",
                (profile, name, number, joins, now),
            )
        if copies:
            is_certain = len(known) == len(scopes) and len(lasts) == 1
            warning = None if is_certain else texts.problem("copy_uncertain")
        else:
            warning = self._warning(number, known)
        self._execute(
            "UPDATE job SET sequence = ?, scope = ?, warnings = ? WHERE job_id = ?",
            (number, scope, json.dumps([asdict(warning)]) if warning else None, job_id),
        )

    def spend(self, job_id: int) -> None:
        """A card is about to carry the job's number for the first time."""
        profile, scope, sequence, _ = self._execute(_OF_JOB, (job_id,)).fetchone()
        self._execute(_SPEND, (profile, scope, sequence))

    def is_overtaken(self, job_id: int) -> bool:
        """Whether a newer card was begun while this job, given its number before, waits for a card.

        Its lock would take the card for an old one.
        """
        profile, scope, sequence, credential = self._execute(_OF_JOB, (job_id,)).fetchone()
        if json.loads(credential)["joins"]:
            return False
        return self._execute(_BEGUN_SINCE, (profile, scope, sequence)).fetchone() is not None

    def issued(self, job_id: int, valid_from: int, now: int) -> None:
        """A card carries the number, and opens from `valid_from` on."""
        profile, scope, sequence, _ = self._execute(_OF_JOB, (job_id,)).fetchone()
        self._execute(_MET, (profile, scope, sequence, valid_from + _IN_USE_AFTER_MS, now))

    def take_back(self, job_id: int, *, is_other: bool = False) -> None:
        """The job ends, or is to be another card: a number that no card was ever given may be given again.

        Args:
            job_id: of the job.
            is_other: it stays open, but what its number counts for has changed, so that it needs another one.
        """
        profile, scope, sequence, credential = self._execute(_OF_JOB, (job_id,)).fetchone()
        was_spent = self._was_spent(job_id)
        if sequence is None or (was_spent and not is_other):
            return
        if not was_spent and not json.loads(credential)["joins"]:
            self._execute(_GIVE_BACK, (profile, scope, sequence, job_id))
            self._execute(_NEVER_BEGUN, (profile, scope))  # there is nothing that a copy could join
        self._execute("UPDATE job SET sequence = NULL, warnings = NULL WHERE job_id = ?", (job_id,))

    def forget(self, before: int) -> None:
        """Drop the numbers of stays without a new card since then; one that comes back goes on above them all."""
        dropped = self._execute(_FORGET, (before,)).fetchall()
        if dropped:
            self._floor = max(self._floor, *(last for (last,) in dropped))
            self._execute("UPDATE meta SET value = ? WHERE name = 'sequence_floor'", (self._floor,))

    def _scope_of_old(self, job_id: int) -> str:
        """What the number of a job from a store of version 1 counts for."""
        access_method_id, credential, origin = self._execute(
            "SELECT access_method_id, credential, origin FROM job WHERE job_id = ?", (job_id,)
        ).fetchone()
        grants = json.loads(origin).get("access_grant_ids", [])
        return scope_of(json.loads(credential)["entrances"], grants, access_method_id)

    def _was_spent(self, job_id: int) -> bool:
        found = self._execute("SELECT 1 FROM attempt WHERE job_id = ? AND what = 'intended'", (job_id,)).fetchone()
        return found is not None

    def _warning(self, number: int, known: dict[str, tuple[int, int]]) -> Problem | None:
        """What the desk should know of a new card that is far ahead of a lock."""
        if self._window is None or not known:
            return None
        scope, ahead = max(((name, number - met) for name, (_, met) in known.items()), key=lambda pair: pair[1])
        if ahead < self._window - max(1, self._window // _LEAD):
            return None
        return texts.problem("sequence_window", unused=ahead, scope=scope.partition(":")[2], window=self._window)


def scope_of(entrances: Sequence[str], access_grant_ids: Sequence[str], access_method_id: str) -> str:
    """What a card's number counts for, as a JSON list: its entrances, else its stay."""
    if entrances:
        return json.dumps(sorted({f"entrance:{name}" for name in entrances}))
    return json.dumps([f"grant:{access_grant_ids[0]}" if access_grant_ids else f"method:{access_method_id}"])
