"""What a trigger brought that is personal or secret: guests' fields and card contents, encrypted in the store."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from encoder_bridge.sealing import Seal, Unreadable

_TABLES = {"personal": "fields", "contents": "data"}


class Sealed:
    """Two tables, each a row for a job that has some; a row holds base64 of what `Seal` makes of JSON."""

    def __init__(self, execute: Callable[..., Any], seal: Seal) -> None:
        self._execute = execute
        self._seal = seal
        self.left_in_log = True  # nobody knows what the process before could not tidy up
        """The write-ahead log still has what was deleted."""

    def put(self, job_id: int, fields: Mapping[str, str], data: Mapping[str, bytes]) -> None:
        """Keep what a trigger brought, in place of what was kept before."""
        self.forget_fields(job_id)
        self.forget_data(job_id)
        if fields:
            self._write("personal", job_id, dict(fields))
        if data:
            self._write("contents", job_id, {name: base64.b64encode(value).decode() for name, value in data.items()})

    def fields(self, job_id: int) -> dict[str, str]:
        """A guest's fields; empty where there are none any more.

        Raises:
            Unreadable: they were sealed with another key.
        """
        return self._read("personal", job_id)

    def data(self, job_id: int) -> dict[str, bytes]:
        """The card's contents; see `fields`."""
        return {name: base64.b64decode(value) for name, value in self._read("contents", job_id).items()}

    def opens(self, job_id: int) -> bool:
        """Whether what is kept for a job can be read with the present key."""
        try:
            self.fields(job_id), self.data(job_id)
        except Unreadable:
            return False
        return True

    def forget_data(self, job_id: int) -> None:
        """Delete a card's contents."""
        self._delete("contents", job_id)

    def forget_fields(self, job_id: int) -> None:
        """Delete a guest's fields."""
        self._delete("personal", job_id)

    def having(self, value: str) -> list[int]:
        """The jobs of which a field is exactly `value`; what cannot be read is nobody's."""
        found = []
        for (job_id,) in self._execute("SELECT job_id FROM personal").fetchall():
            try:
                fields = self.fields(job_id)
            except Unreadable:
                continue
            if value in fields.values():
                found.append(job_id)
        return found

    def seal_all(self) -> None:
        """Seal the rows of a store of version 1."""
        for table, column in _TABLES.items():
            plain = self._execute(f"SELECT job_id, {column} FROM {table} WHERE {column} LIKE '{{%'").fetchall()  # noqa: S608
            for job_id, text in plain:
                with suppress(ValueError):  # damaged: whoever wants it is told when the time comes
                    values = json.loads(text)
                    self._delete(table, job_id)
                    self._write(table, job_id, values)

    def _write(self, table: str, job_id: int, values: Mapping[str, str]) -> None:
        sealed = self._seal.seal(json.dumps(values).encode(), purpose=f"{table}/{job_id}")
        self._execute(f"INSERT INTO {table} VALUES (?, ?)", (job_id, base64.b64encode(sealed).decode()))  # noqa: S608

    def _read(self, table: str, job_id: int) -> dict[str, str]:
        found = self._execute(f"SELECT {_TABLES[table]} FROM {table} WHERE job_id = ?", (job_id,)).fetchone()  # noqa: S608
        if found is None:
            return {}
        try:
            opened = self._seal.open(base64.b64decode(found[0], validate=True), purpose=f"{table}/{job_id}")
            values: dict[str, str] = json.loads(opened)
        except ValueError as error:
            raise Unreadable(f"What is kept for job {job_id} is damaged: send it again.") from error
        return values

    def _delete(self, table: str, job_id: int) -> None:
        gone = self._execute(f"DELETE FROM {table} WHERE job_id = ? RETURNING 1", (job_id,)).fetchall()  # noqa: S608
        self.left_in_log = self.left_in_log or bool(gone)
