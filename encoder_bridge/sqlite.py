"""Opening the store's file: durability settings, integrity and migrations.

WAL with ``synchronous=FULL``: a commit that returned survives a power cut (NORMAL loses the last ones).  Deleted
secrets are overwritten (``secure_delete``).  Old schemas are kept as ``schema/v<N>.sql``; a newer one is never opened.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from encoder_bridge.commits import BUSY_TIMEOUT_MS, Connection
from encoder_bridge.errors import StoreError

SCHEMA_VERSION = 2
_PATIENCE_S = 1.0


def open_store(path: Path, connect: Callable[[str], Connection] | None = None) -> Connection:
    """Open, check and migrate the store; create it if it is not there.

    Args:
        path: the database file; its folder must exist.
        connect: opens a connection in autocommit mode; `sqlite3` unless a test brings another.

    Raises:
        StoreError: the file is damaged, cannot be written or is newer than this program.
    """
    try:
        connection = (connect or _connect)(str(path))
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise StoreError(f"The store {path} cannot be opened ({error}): mend or restore it.") from error
    return connection


def _locked(lock: IO[str]) -> bool:
    """Take the lock, in whose way a bridge that was killed may stand for a moment longer."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > until:
                return False
            time.sleep(_PATIENCE_S / 20)
        else:
            return True


@contextmanager
def open_alone(path: Path) -> Iterator[Connection]:
    """Open the store for this process alone, in a folder that is made if need be.

    Raises:
        StoreError: it cannot be opened, or another bridge has it.
    """
    os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("w")
    except OSError as error:
        raise StoreError(f"The store's folder {path.parent} cannot be used ({error.strerror}): mend it.") from error
    with lock:
        if not _locked(lock):
            raise StoreError(f"Another bridge works on {path}: stop it, or give this one a store of its own.")
        connection = open_store(path)
        try:
            yield connection
        finally:
            connection.close()


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the store beside a running daemon, unable to change it.

    Raises:
        StoreError: there is no store, or it is not one of this program's.
    """
    if not path.exists():
        raise StoreError(f"There is no store at {path}: start the daemon once, or name another with --config.")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        version = _version(connection)
    except sqlite3.Error as error:
        raise StoreError(f"The store {path} cannot be read ({error}).") from error
    if version != SCHEMA_VERSION:
        raise StoreError(f"The store {path} has schema {version}, this program reads {SCHEMA_VERSION}.")
    return connection


def prepare(connection: Connection) -> None:
    """Bring an open connection to the state the store needs.

    Raises:
        StoreError: damaged, or of a newer schema.
    """
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "synchronous = FULL",
        "secure_delete = ON",
        "journal_size_limit = 4194304",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise StoreError("The store's disk cannot keep a write-ahead log: put the store on a local disk.")
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreError(f"The store is damaged ({found}): restore the last backup.")
    version = _version(connection)
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"The store has schema {version}, newer than {SCHEMA_VERSION}: install the program that wrote it.",
        )
    for step in range(version + 1, SCHEMA_VERSION + 1):
        _migrate(connection, step)


def _connect(path: str) -> Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)


def _version(connection: Connection) -> int:
    version: Any = connection.execute("PRAGMA user_version").fetchone()[0]
    return int(version)


def _migrate(connection: Connection, step: int) -> None:
    script = (files("encoder_bridge.schema") / f"v{step}.sql").read_text()
    connection.execute("BEGIN IMMEDIATE")
    for statement in _statements(script):
        connection.execute(statement)
    if step == 1:
        connection.execute("INSERT INTO meta VALUES ('store_id', ?)", (str(uuid.uuid4()),))
        connection.execute("INSERT INTO meta VALUES ('digest_key', ?)", (secrets.token_hex(32),))
    connection.execute(f"PRAGMA user_version = {step:d}")
    connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """Cut a script where SQLite itself says that a statement is complete."""
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
