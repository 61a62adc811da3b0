"""Opening: old schemas are kept, newer and damaged ones are refused."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from encoder_bridge import sqlite
from encoder_bridge.errors import StoreError
from encoder_bridge.sqlite import SCHEMA_VERSION, open_for_reading, open_store

from .desk import Desk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def schema(path: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def pragma(path: Path, name: str) -> object:
    with closing(open_store(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_new_store_has_the_newest_schema(path: Path) -> None:
    open_store(path).close()
    assert pragma(path, "user_version") == SCHEMA_VERSION


def test_every_version_of_the_schema_is_kept() -> None:
    kept = {file.name for file in files("encoder_bridge.schema").iterdir() if file.name.endswith(".sql")}
    assert kept == {f"v{version}.sql" for version in range(1, SCHEMA_VERSION + 1)}


def test_a_commit_survives_a_power_cut_and_deleted_secrets_are_overwritten(path: Path) -> None:
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "synchronous") == 2
    assert pragma(path, "secure_delete") == 1


def test_opening_a_store_of_version_1_again_migrates_nothing(path: Path) -> None:
    script = (files("encoder_bridge.schema") / "v1.sql").read_text()
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(script)
        old.execute(
            "INSERT INTO meta VALUES ('store_id', '00000000-0000-0000-0000-000000000001'), ('digest_key', '00')"
        )
        old.execute("PRAGMA user_version = 1")
    before = schema(path)
    desk = Desk(path)
    desk.need(event_id="one")
    identity = desk.rows("meta")
    desk.close()
    again = Desk(path)
    assert again.rows("meta") == identity
    assert again.need(event_id="one").status == "duplicate"
    again.close()
    if SCHEMA_VERSION == 1:
        assert schema(path) == before


def test_two_stores_have_two_identities(tmp_path: Path) -> None:
    first, second = Desk(tmp_path / "one.db"), Desk(tmp_path / "two.db")
    one, two = (dict(desk.rows("meta")) for desk in (first, second))
    assert set(one) == {"store_id", "digest_key", "sequence_floor"}
    assert all(one[name] != two[name] for name in ("store_id", "digest_key"))
    first.close()
    second.close()


def test_a_store_of_a_newer_program_is_refused_and_left_as_it_is(path: Path) -> None:
    open_store(path).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    digest = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(StoreError, match=f"schema {SCHEMA_VERSION + 1}, newer than {SCHEMA_VERSION}"):
        open_store(path)
    with pytest.raises(StoreError, match=f"schema {SCHEMA_VERSION + 1}"):
        open_for_reading(path)
    assert hashlib.sha256(path.read_bytes()).digest() == digest


def test_a_file_that_is_no_store_is_refused(path: Path) -> None:
    path.write_bytes(b"this is a letter, not a database" * 200)
    with pytest.raises(StoreError, match="mend or restore"):
        open_store(path)


def test_a_damaged_store_is_refused(path: Path) -> None:
    desk = Desk(path)
    for number in range(300):
        desk.need(f"m{number}")
    desk.close()
    contents = bytearray(path.read_bytes())
    page = 4096
    for start in range(2 * page, len(contents), page):
        contents[start : start + 64] = b"\xa5" * 64
    path.write_bytes(contents)
    with pytest.raises(StoreError, match=r"damaged|cannot be opened"):
        open_store(path)


def test_a_migration_that_breaks_leaves_no_half_schema(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sqlite._statements
    monkeypatch.setattr(sqlite, "_statements", lambda script: [*whole(script)[:5], "CREATE TABLE meta (again TEXT)"])
    with pytest.raises(StoreError):
        open_store(path)
    assert schema(path) == []
    monkeypatch.undo()
    open_store(path).close()
    assert pragma(path, "user_version") == SCHEMA_VERSION


def test_a_store_that_is_not_there_is_not_made_by_reading_it(path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        open_for_reading(path)
    assert not path.exists()


def test_whoever_only_reads_cannot_change_the_store(path: Path) -> None:
    desk = Desk(path)
    desk.need()
    with closing(open_for_reading(path)) as reader:
        assert reader.execute("SELECT count(*) FROM job").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM job")
    desk.close()
