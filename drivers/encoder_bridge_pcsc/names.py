"""Readers' names, and which reader is meant.

pcscd puts a name together and numbers it in the order in which readers were plugged in, which changes::

    ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] (RR123456) 00 01
    ^ product               ^ interface                ^ serial   ^  ^ slot
                                                                  ^ index
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_NAME = re.compile(
    r"(?P<product>.*?)(?: \[(?P<interface>[^]]*)\])?(?: \((?P<serial>[^)]*)\))?"
    r"(?: (?P<index>[0-9A-F]{2}) (?P<slot>[0-9A-F]{2}))?"
)
_CONTACTLESS = re.compile(r"\b(PICC|CL|\d+CL|NFC|RFID)\b|contactless", re.IGNORECASE)
_CONTACT = re.compile(r"\b(SAM|ICC|contact)\b", re.IGNORECASE)


class NoSuchReader(Exception):
    """None is the one that is meant, or several are; the sentence says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which reader is meant; a name or a serial number, or both."""

    reader: str | None = None
    """Its full name, its stable name, or its product."""
    serial: str | None = None
    slot: int | None = None
    """The last of the numbers that pcscd appends, for readers whose slots differ in nothing else."""

    def __str__(self) -> str:
        named = "" if self.reader is None else repr(self.reader)
        serial = "" if self.serial is None else f"serial {self.serial!r}"
        slot = "" if self.slot is None else f"slot {self.slot}"
        return ", ".join(part for part in (named, serial, slot) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderName:
    """A name in its parts."""

    full: str
    stable: str
    """Without index and slot."""
    product: str
    serial: str | None
    slot: int
    takes_cards: bool
    """False: the name says that it is a slot for contacts or for a security module."""
    is_contactless: bool
    """Whether the name says so."""

    @classmethod
    def parse(cls, full: str) -> ReaderName:
        """Take a name apart; one that pcscd did not put together is all product."""
        match = _NAME.fullmatch(full)
        if match is None:
            return cls(
                full=full, stable=full, product=full, serial=None, slot=0, takes_cards=True, is_contactless=False
            )
        spoken = match["interface"] or match["product"]
        is_contactless = _CONTACTLESS.search(spoken) is not None
        return cls(
            full=full,
            stable=full if match["index"] is None else full[:-6],
            product=match["product"],
            serial=match["serial"],
            slot=int(match["slot"] or "0", 16),
            takes_cards=is_contactless or _CONTACT.search(spoken) is None,
            is_contactless=is_contactless,
        )

    def is_called(self, name: str) -> bool:
        """Whether this is one of the reader's names."""
        return name in {self.full, self.stable, self.product}


def choose(names: Iterable[str], wanted: Wanted, serial_of: Callable[[str], str | None]) -> str:
    """The full name of the one reader that is meant.

    A slot for contacts or for a security module is taken only if it is named in full, or by a number; of the rest, one
    that is named as contactless goes before those that are not.

    Args:
        names: the full names of all that are plugged in.
        wanted: the one that is meant.
        serial_of: asks a reader whose name tells no serial number for it.

    Raises:
        NoSuchReader: there is none, or more than one.
    """
    every = [ReaderName.parse(name) for name in names]
    found = [each for each in every if wanted.reader is None or each.is_called(wanted.reader)]
    if wanted.slot is not None:
        found = [each for each in found if each.slot == wanted.slot]
    if wanted.serial is not None:
        found = [each for each in found if (each.serial or serial_of(each.full)) == wanted.serial]
    if not found:
        raise NoSuchReader(
            f"The card reader ({wanted}) is not plugged in: plug it in, or name one of {_listed(every)}."
            if every
            else f"The card reader ({wanted}) is not plugged in: plug it in."
        )
    if wanted.slot is None and wanted.reader not in {each.full for each in found}:
        usable = [each for each in found if each.takes_cards]
        if not usable:
            raise NoSuchReader(
                f"This reader has no slot for contactless cards: name another one than {_listed(found)}."
            )
        found = [each for each in usable if each.is_contactless] or usable
    if len(found) > 1:
        raise NoSuchReader(
            f"Several card readers could be meant ({wanted}): name one by its serial, its slot or in full, of "
            f"{_listed(found)}."
        )
    return found[0].full


def identified(name: ReaderName, serials: Mapping[str, str | None]) -> Wanted:
    """The least that chooses this reader among those that are plugged in.

    Args:
        name: the reader.
        serials: the serial numbers, as far as they are known, by the full names of all.
    """
    for wanted in (
        Wanted(reader=name.stable),
        Wanted(reader=name.stable, serial=serials[name.full]),
        Wanted(reader=name.stable, slot=name.slot),
        Wanted(reader=name.stable, serial=serials[name.full], slot=name.slot),
    ):
        with suppress(NoSuchReader):
            if choose(serials, wanted, serials.__getitem__) == name.full:
                return wanted
    return Wanted(reader=name.full)


def _listed(names: Sequence[ReaderName]) -> str:
    return ", ".join(f"{name.full!r}" for name in names)
