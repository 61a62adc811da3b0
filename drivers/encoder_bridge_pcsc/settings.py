"""The keys of an encoder's table that choose its reader."""

from __future__ import annotations

from encoder_bridge_cards.tables import Table

from encoder_bridge_pcsc.names import Wanted


def wanted(table: Table) -> Wanted:
    """Take the keys ``reader``, ``serial`` and ``slot``.

    Raises:
        SettingsRejected: one of them is wrong, or nothing names a reader.
    """
    reader = _named(table, "reader")
    serial = _named(table, "serial")
    if reader is None and serial is None:
        table.refuse("reader", "is missing: name one that `encoder-bridge encoders` lists")
    return Wanted(reader=reader, serial=serial, slot=table.optional_number("slot", 0, 255))


def _named(table: Table, key: str) -> str | None:
    if key not in table:
        return None
    if not (value := table.text(key).strip()):
        table.refuse(key, "must not be empty")
    return value
