"""Read one table of the configuration, key by key, with sentences for whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

from encoder_bridge.driver import SettingsRejected


class Table:
    """A table whose keys are taken out one by one; what is left over at the end is refused.

    Args:
        values: the table as it was read.
        where: its name in sentences, such as ``profiles.guest.ntag``.
    """

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, Mapping):
            raise SettingsRejected(f"{where} has to be a table: write [{where}] above its keys.")
        self._left = dict(values)
        self.where = where

    def __contains__(self, key: str) -> bool:
        """Whether the key is there and was not taken."""
        return key in self._left

    def __iter__(self) -> Iterator[str]:
        """The keys not taken so far."""
        return iter(tuple(self._left))

    def text(self, key: str, default: str | None = None) -> str:
        """Take a text.

        Raises:
            SettingsRejected: it is missing and has no default, or is no text.
        """
        value = self._take(key, default)
        if not isinstance(value, str):
            self.refuse(key, "has to be a text in quotes")
        return value

    def one_of(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """Take one of a few words.

        Raises:
            SettingsRejected: it is none of them.
        """
        value = self.text(key, default)
        if value not in allowed:
            self.refuse(key, f"has to be one of {', '.join(allowed)}")
        return value

    def number(self, key: str, lowest: int, highest: int, default: int | None = None) -> int:
        """Take a whole number.

        Raises:
            SettingsRejected: it is none, or out of range.
        """
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            self.refuse(key, f"has to be a whole number from {lowest} to {highest}")
        return value

    def optional_number(self, key: str, lowest: int, highest: int) -> int | None:
        """Take a whole number that may be missing.

        Raises:
            SettingsRejected: it is there and is none, or out of range.
        """
        return self.number(key, lowest, highest) if key in self else None

    def flag(self, key: str, default: bool = False) -> bool:
        """Take true or false.

        Raises:
            SettingsRejected: it is neither.
        """
        value = self._take(key, default)
        if not isinstance(value, bool):
            self.refuse(key, "has to be true or false")
        return value

    def hex(self, key: str, length: int | None = None, default: str | None = None) -> bytes:
        """Take bytes written as hex digits.

        Raises:
            SettingsRejected: they are not, or not `length` of them.
        """
        try:
            value = bytes.fromhex(self.text(key, default))
        except ValueError:
            self.refuse(key, "has to be written in hex digits")
        if length is not None and len(value) != length:
            self.refuse(key, f"has to be {length} bytes, which is {2 * length} hex digits")
        return value

    def numbers(self, key: str, lowest: int, highest: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Take a list of whole numbers, none of them twice.

        Raises:
            SettingsRejected: it is none, is empty, or one is out of range.
        """
        values = self._take(key, default)
        if (
            not isinstance(values, list | tuple)
            or not values
            or not all(isinstance(value, int) and not isinstance(value, bool) for value in values)
            or not all(lowest <= value <= highest for value in values)
            or len(set(values)) < len(values)
        ):
            self.refuse(key, f"has to be a list of different whole numbers from {lowest} to {highest}")
        return tuple(values)

    def table(self, key: str) -> Table:
        """Take a table within this one.

        Raises:
            SettingsRejected: it is missing or none.
        """
        return Table(self._take(key, None), f"{self.where}.{key}")

    def optional_table(self, key: str) -> Table | None:
        """Take a table that may be missing.

        Raises:
            SettingsRejected: it is there and is none.
        """
        return self.table(key) if key in self else None

    def refuse(self, key: str, why: str) -> NoReturn:
        """Refuse the value of a key, which is never quoted.

        Raises:
            SettingsRejected: always.
        """
        raise SettingsRejected(f"{self.where}: {key} {why}.")

    def end(self) -> None:
        """Refuse what was not taken.

        Raises:
            SettingsRejected: a key is left over.
        """
        for key in self._left:
            raise SettingsRejected(f"{self.where}: there is no setting {key!r} here; remove it or mend its name.")

    def _take(self, key: str, default: object) -> object:
        value = self._left.pop(key, default)
        if value is None:
            raise SettingsRejected(f"{self.where}: {key} is missing; add it.")
        return value


@contextmanager
def whole(values: object, where: str) -> Iterator[Table]:
    """Read a table from its first key to its last.

    Raises:
        SettingsRejected: on leaving, if a key was not taken.
    """
    table = Table(values, where)
    yield table
    table.end()
