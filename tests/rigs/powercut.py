"""Power cuts: record what SQLite does to its files and rebuild disks that a power cut could have left.

A `Recorder` is an SQLite VFS. The database works on real files as always; every write, truncation, sync and deletion of
the database, its `-wal` and its `-journal` is noted in order. `Recorder.disk_states` then plays the notes up to any
point and invents what the platter holds:

- what was synced is there;
- every write since the last sync of its file is kept, dropped or torn: each 512-byte sector holds the old or the new
  bytes (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`, which SQLite assumes on unix); a dropped write may still have lengthened
  the file, with zeros;
- every truncation since the last sync of its file happened or did not;
- a file's creation is certain once it or its directory was synced, a deletion once the directory was; until then
  the old name may be back;
- the `-shm` is memory and always gone.

So nothing is assumed of the order in which un-synced writes reach the disk. https://sqlite.org/atomiccommit.html, 2.

Needs `apsw`; importing this module without it raises `ModuleNotFoundError`.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw

SECTOR = 512
_SUFFIXES = ("", "-wal", "-journal")
_serial = itertools.count(1)


# What was done, in order. `inode` tells apart files that had the same name one after the other.


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    suffix: str
    inode: int
    found: bytes | None = None  # the file was there before the recording, with these bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    suffix: str
    synced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    inode: int
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncated:
    inode: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    inode: int
    directory: bool  # SQLite's unix VFS syncs the folder too, the first time it syncs a journal it opened


Operation = Created | Deleted | Written | Truncated | Synced


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskState:
    """The files one power cut left: bytes by suffix (`""`, `"-wal"`, `"-journal"`) of the database's name."""

    name: str
    files: dict[str, bytes] = field(repr=False)

    def write_to(self, folder: Path) -> Path:
        """Make the folder hold this state, remove what an earlier one left there, and return the database's path.

        The path names no file when the power went before the database was certain to exist.
        """
        database = folder / self.name
        for suffix in (*_SUFFIXES, "-shm"):
            file = folder / (self.name + suffix)
            if suffix in self.files:
                file.write_bytes(self.files[suffix])
            else:
                file.unlink(missing_ok=True)
        return database


@dataclass(slots=True)
class _Inode:
    durable: bytearray
    pending: list[Written | Truncated] = field(default_factory=list)

    def sync(self) -> None:
        for operation in self.pending:
            _apply(self.durable, operation)
        self.pending.clear()


@dataclass(slots=True)
class _Disk:
    """The notes played up to a position: what is certain, and what is not yet."""

    position: int = 0
    inodes: dict[int, _Inode] = field(default_factory=dict)
    names: dict[str, list[int | None]] = field(default_factory=dict)  # certain first, then what it became since

    def play(self, operation: Operation) -> None:
        self.position += 1
        match operation:
            case Created(suffix=suffix, inode=inode, found=found):
                self.inodes[inode] = _Inode(bytearray(found or b""))
                self.names.setdefault(suffix, [None]).append(inode)
                if found is not None:
                    self.names[suffix] = [inode]
            case Deleted(suffix=suffix, synced=synced):
                self.names[suffix].append(None)
                if synced:
                    for entries in self.names.values():
                        del entries[:-1]
            case Synced(inode=inode, directory=directory):
                self.inodes[inode].sync()
                for entries in self.names.values():
                    if directory:
                        del entries[:-1]
                    elif inode in entries:
                        del entries[: entries.index(inode)]
            case Written(inode=inode) | Truncated(inode=inode):
                self.inodes[inode].pending.append(operation)

    def after_the_cut(self, rng: Random, keep: float) -> dict[str, bytes]:
        """Files by suffix, where each uncertain change is there with the probability `keep`."""
        files = {}
        for suffix, entries in self.names.items():
            entry = entries[0] if rng.random() >= keep else rng.choice(entries[1:] or entries)
            if entry is not None:
                files[suffix] = self._content(self.inodes[entry], rng, keep)
        return files

    @staticmethod
    def _content(inode: _Inode, rng: Random, keep: float) -> bytes:
        content = bytearray(inode.durable)
        for operation in inode.pending:
            if isinstance(operation, Truncated) or rng.random() < 0.5:  # whole or not at all
                if rng.random() < keep:
                    _apply(content, operation)
            else:
                for sector in _sectors(operation):
                    if rng.random() < keep:
                        _apply(content, sector)
            if isinstance(operation, Written) and rng.random() < keep / 2:
                _lengthen(content, operation.offset + len(operation.data))
        return bytes(content)


def _lengthen(content: bytearray, size: int) -> None:
    content.extend(bytes(max(0, size - len(content))))


def _apply(content: bytearray, operation: Written | Truncated) -> None:
    if isinstance(operation, Truncated):
        del content[operation.size :]
        _lengthen(content, operation.size)
    else:
        _lengthen(content, operation.offset)
        content[operation.offset : operation.offset + len(operation.data)] = operation.data


def _sectors(write: Written) -> Iterator[Written]:
    start, end = write.offset, write.offset + len(write.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield Written(inode=write.inode, offset=start, data=write.data[start - write.offset : stop - write.offset])
        start = stop


class Recorder:
    """Opens one database and notes everything done to its files, over any number of connections and threads."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._lock = threading.Lock()
        self._database: Path | None = None
        self._inodes: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._played = _Disk()
        self._vfs = _RecordingVFS(f"powercut-{next(_serial)}", self)

    def connect(self, path: Path | str) -> ApswConnection:
        """Open the database, recorded. Files already there count as safely on disk.

        Raises:
            ValueError: another database was opened with this recorder before.
        """
        database = Path(path).resolve()
        if self._database not in (None, database):
            raise ValueError(f"this recorder already follows {self._database}")
        self._database = database
        with _as_sqlite3():
            return ApswConnection(apsw.Connection(str(database), vfs=self._vfs.name))

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All that was noted."""
        return tuple(self._operations)

    def mark(self) -> int:
        """The position now: a cut at this position or later comes after everything that has returned."""
        with self._lock:
            return len(self._operations)

    def cuts(self) -> range:
        """Every position at which the power can go, from before the first operation to after the last."""
        return range(len(self._operations) + 1)

    def disk_states(self, cut: int, rng: Random, how_many: int = 2) -> list[DiskState]:
        """Different disks that a power cut at this position may leave, at most `how_many`.

        The first has lost everything un-synced; the others draw how much is kept, then what.
        """
        if self._database is None:
            raise ValueError("nothing was recorded: call connect first")
        if cut < self._played.position:
            self._played = _Disk()
        for operation in self._operations[self._played.position : cut]:
            self._played.play(operation)
        states: list[DiskState] = []
        for number in range(how_many):
            keep = 0.0 if number == 0 else rng.choice((0.1, 0.5, 0.9, 1.0))
            state = DiskState(name=self._database.name, files=self._played.after_the_cut(rng, keep))
            if state not in states:
                states.append(state)
        return states

    # Called by the VFS: the note and the deed are one step for other threads.

    def suffix_of(self, name: str) -> str | None:
        for suffix in _SUFFIXES:
            if name == f"{self._database}{suffix}":
                return suffix
        return None

    def opened(self, suffix: str, before: bytes | None) -> int:
        with self._lock:
            if suffix not in self._inodes:
                self._inodes[suffix] = next(self._numbers)
                self._operations.append(Created(suffix=suffix, inode=self._inodes[suffix], found=before))
            return self._inodes[suffix]

    def deleted(self, suffix: str, synced: bool) -> None:
        if self._inodes.pop(suffix, None) is not None:
            self._operations.append(Deleted(suffix=suffix, synced=synced))

    @contextlib.contextmanager
    def noting(self, operation: Operation | None = None) -> Iterator[None]:
        with self._lock:
            yield
            if operation is not None:
                self._operations.append(operation)


class _RecordingVFS(apsw.VFS):
    def __init__(self, name: str, recorder: Recorder) -> None:
        self.name = name
        self._recorder = recorder
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        suffix = None if path is None else self._recorder.suffix_of(path)
        if path is None or suffix is None:
            return apsw.VFSFile("", name, flags)
        before = Path(path).read_bytes() if Path(path).exists() else None
        asked = flags[0]
        file = _RecordingFile(name, flags)
        file.watch(
            self._recorder,
            self._recorder.opened(suffix, before),
            syncs_directory=suffix != "" and bool(asked & apsw.SQLITE_OPEN_CREATE),
        )
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        suffix = self._recorder.suffix_of(filename)
        with self._recorder.noting():
            super().xDelete(filename, syncdir)
            if suffix is not None:
                self._recorder.deleted(suffix, bool(syncdir))


class _RecordingFile(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)

    def watch(self, recorder: Recorder, inode: int, *, syncs_directory: bool) -> None:
        self._recorder, self._inode, self._syncs_directory = recorder, inode, syncs_directory

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        with self._recorder.noting(Written(inode=self._inode, offset=offset, data=bytes(data))):
            super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        with self._recorder.noting(Truncated(inode=self._inode, size=newsize)):
            super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        with self._recorder.noting(Synced(inode=self._inode, directory=self._syncs_directory)):
            self._syncs_directory = False  # the real disk is not asked: power is only cut on the rebuilt one


class ApswConnection:
    """An `apsw.Connection` that looks like a `sqlite3.Connection` in autocommit mode (`isolation_level=None`).

    Rows are tuples; errors are the `sqlite3` ones with `sqlite_errorcode` set. One statement at a time.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    @property
    def total_changes(self) -> int:
        return self._connection.total_changes()

    def execute(self, sql: str, parameters: Any = (), /) -> ApswCursor:
        return ApswCursor(self._connection).execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Any], /) -> ApswCursor:
        return ApswCursor(self._connection).executemany(sql, rows)

    def cursor(self) -> ApswCursor:
        return ApswCursor(self._connection)

    def close(self) -> None:
        with _as_sqlite3():
            self._connection.close()


class ApswCursor:
    """The part of `sqlite3.Cursor` that plain SQL needs."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        with _as_sqlite3():
            self._cursor = connection.cursor()
        self._changed: int | None = None  # by finished runs of the present statement; None: it does not change rows
        self.lastrowid: int | None = None

    @property
    def rowcount(self) -> int:
        return -1 if self._changed is None else self._changed

    def execute(self, sql: str, parameters: Any = (), /) -> ApswCursor:
        return self.executemany(sql, (parameters,))

    def executemany(self, sql: str, rows: Iterable[Any], /) -> ApswCursor:
        self._changed = 0 if sql.lstrip()[:7].upper().startswith(("INSERT", "UPDATE", "DELETE", "REPLACE")) else None
        for row in rows:
            with _as_sqlite3():
                self._cursor.execute(sql, row)
            if not self._running:
                self._finished()
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        running = self._running
        with _as_sqlite3():
            row = self._cursor.fetchone()
        if running and not self._running:
            self._finished()
        return row

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while (row := self.fetchone()) is not None:
            yield row

    def close(self) -> None:
        with _as_sqlite3():
            self._cursor.close()

    @property
    def _running(self) -> bool:
        try:
            return self._cursor.has_vdbe
        except apsw.ExecutionCompleteError:
            return False

    def _finished(self) -> None:
        if self._changed is not None:
            self._changed += self._connection.changes()
            self.lastrowid = self._connection.last_insert_rowid() or None


@contextlib.contextmanager
def _as_sqlite3() -> Iterator[None]:
    """Raise what `sqlite3` raises where apsw raises its own."""
    try:
        yield
    except apsw.Error as error:
        match error:
            case apsw.ConstraintError() | apsw.MismatchError():
                kind: type[sqlite3.Error] = sqlite3.IntegrityError
            case apsw.CorruptError() | apsw.NotADBError():
                kind = sqlite3.DatabaseError
            case apsw.BindingsError() | apsw.ConnectionClosedError() | apsw.CursorClosedError() | apsw.MisuseError():
                kind = sqlite3.ProgrammingError
            case _:
                kind = sqlite3.OperationalError
        translated = kind(str(error))
        if hasattr(error, "extendedresult"):
            translated.sqlite_errorcode = error.extendedresult
        raise translated from error
