from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest

from .folders import memory_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rigs import powercut
else:
    powercut = pytest.importorskip("rigs.powercut", reason="apsw is not installed: no power cuts can be played")


@pytest.fixture
def folder() -> Iterator[Path]:
    with memory_folder() as path:
        yield path


@dataclass
class Tally:
    states: int = 0
    corrupt: int = 0
    lost: int = 0


def record_jobs(folder: Path, *, journal: str, synchronous: str, jobs: int = 40) -> tuple[powercut.Recorder, list[int]]:
    """Jobs with their outbox row, one transaction each; the positions at which each COMMIT had returned."""
    recorder = powercut.Recorder()
    connection = recorder.connect(folder / "jobs.db")
    assert connection.execute(f"PRAGMA journal_mode={journal}").fetchall() == [(journal.lower(),)]
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA wal_autocheckpoint=8")
    connection.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    connection.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY REFERENCES job, body TEXT NOT NULL)")
    marks = []
    for job in range(1, jobs + 1):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO job VALUES (?, ?)", (job, f"job {job} " * (job % 7 * 60)))
        connection.execute("INSERT INTO outbox VALUES (?, ?)", (job, "report " * (job % 5 * 60)))
        connection.execute("COMMIT")
        marks.append(recorder.mark())
    connection.close()
    return recorder, marks


def ids(connection: sqlite3.Connection, table: str) -> list[int]:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is None:
        return []
    return [row for (row,) in connection.execute(f"SELECT id FROM {table} ORDER BY id")]


def cut_everywhere(recorder: powercut.Recorder, marks: list[int], folder: Path, how_many: int = 3) -> Tally:
    rng, tally = Random(20240229), Tally()
    for cut in recorder.cuts():
        committed = sum(mark <= cut for mark in marks)
        for state in recorder.disk_states(cut, rng, how_many=how_many):
            tally.states += 1
            # The standard library's own SQLite opens the files: it shares nothing with the recorder.
            with contextlib.closing(sqlite3.connect(state.write_to(folder))) as survivor:
                try:
                    sound = survivor.execute("PRAGMA quick_check").fetchall() == [("ok",)]
                    jobs, reports = ids(survivor, "job"), ids(survivor, "outbox")
                except sqlite3.DatabaseError:
                    sound = False
            if not sound:
                tally.corrupt += 1
                continue
            tally.lost += len(jobs) < committed
            tally.corrupt += jobs != reports or jobs != list(range(1, len(jobs) + 1))
    return tally


def test_wal_with_full_sync_loses_nothing_at_any_cut(folder: Path) -> None:
    tally = cut_everywhere(*record_jobs(folder, journal="WAL", synchronous="FULL"), folder)
    assert tally.states > 300
    assert (tally.corrupt, tally.lost) == (0, 0)


def test_wal_with_normal_sync_stays_sound_but_loses_commits(folder: Path) -> None:
    tally = cut_everywhere(*record_jobs(folder, journal="WAL", synchronous="NORMAL"), folder)
    assert tally.corrupt == 0
    assert tally.lost > 50


def test_without_sync_the_database_breaks(folder: Path) -> None:
    tally = cut_everywhere(*record_jobs(folder, journal="WAL", synchronous="OFF"), folder)
    assert tally.corrupt > 50
    assert tally.lost > 50


def test_the_rollback_journal_needs_extra_sync_as_sqlite_documents(folder: Path) -> None:
    full = cut_everywhere(*record_jobs(folder, journal="DELETE", synchronous="FULL", jobs=12), folder)
    assert full.corrupt == 0
    assert full.lost > 0  # the journal's deletion is not synced, so it may come back and roll the commit back
    for leftover in folder.iterdir():
        leftover.unlink()
    extra = cut_everywhere(*record_jobs(folder, journal="DELETE", synchronous="EXTRA", jobs=12), folder)
    assert (extra.corrupt, extra.lost) == (0, 0)


def test_a_later_recording_starts_from_what_is_on_disk(folder: Path) -> None:
    _, marks = record_jobs(folder, journal="WAL", synchronous="FULL", jobs=5)
    recorder = powercut.Recorder()
    connection = recorder.connect(folder / "jobs.db")
    connection.execute("PRAGMA synchronous=FULL")
    before = recorder.mark()
    connection.execute("INSERT INTO job VALUES (6, 'six')")
    connection.execute("INSERT INTO outbox VALUES (6, 'six')")
    connection.close()
    marks = [before] * 5 + [recorder.mark()]
    tally = cut_everywhere(recorder, marks, folder)
    assert tally.lost == 0


def test_the_last_cut_with_everything_synced_is_one_state_only(folder: Path) -> None:
    recorder, marks = record_jobs(folder, journal="WAL", synchronous="FULL", jobs=3)
    assert len(recorder.disk_states(marks[-1], Random(1), how_many=10)) == 1
    assert len(recorder.disk_states(marks[-1] - 1, Random(1), how_many=10)) > 1


def test_one_recorder_follows_one_database(folder: Path) -> None:
    recorder = powercut.Recorder()
    recorder.connect(folder / "one.db").close()
    with pytest.raises(ValueError, match=r"already follows .*one\.db"):
        recorder.connect(folder / "two.db")


def test_the_recorded_connection_behaves_as_the_standard_one(folder: Path) -> None:
    def story(connection: sqlite3.Connection | powercut.ApswConnection) -> list[object]:
        seen: list[object] = []
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, raw BLOB)")
        seen.append(connection.execute("INSERT INTO t(name, raw) VALUES (?, ?)", ("a", b"\x00\xff")).lastrowid)
        more = [{"name": "b"}, {"name": "c"}]
        seen.append(connection.executemany("INSERT INTO t(name) VALUES (:name)", more).rowcount)
        seen.append(connection.execute("UPDATE t SET raw = NULL").rowcount)
        seen.append(connection.execute("UPDATE t SET raw = NULL WHERE id > 9").rowcount)
        seen.append(connection.execute("SELECT * FROM t").rowcount)
        seen.append(connection.execute("SELECT id, name FROM t ORDER BY id").fetchone())
        seen.append(list(connection.execute("SELECT name FROM t ORDER BY id")))
        seen.append(connection.execute("SELECT 1 WHERE 0").fetchone())
        returning = connection.execute("INSERT INTO t(name) VALUES ('d') RETURNING id")
        seen.extend((returning.fetchall(), returning.rowcount))
        seen.append(connection.execute("INSERT INTO t(name) VALUES ('d') ON CONFLICT DO NOTHING").rowcount)
        connection.execute("BEGIN IMMEDIATE")
        seen.append(connection.in_transaction)
        connection.execute("DELETE FROM t")
        connection.execute("ROLLBACK")
        seen.extend((connection.in_transaction, connection.execute("SELECT count(*) FROM t").fetchone()))
        for wrong in ("INSERT INTO t(name) VALUES ('a')", "SELEKT", "SELECT * FROM nowhere", "SELECT ?"):
            with pytest.raises(sqlite3.Error) as refusal:
                connection.execute(wrong)
            seen.append((type(refusal.value), getattr(refusal.value, "sqlite_errorcode", None)))
        connection.close()
        with pytest.raises(sqlite3.ProgrammingError):
            connection.execute("SELECT 1")
        return seen

    recorder = powercut.Recorder()
    ours = story(recorder.connect(folder / "ours.db"))
    theirs = story(sqlite3.connect(folder / "theirs.db", isolation_level=None))
    assert ours == theirs
