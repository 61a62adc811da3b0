"""Wiegand numbers: the bits that a reader would send to a door controller, packed onto a card.

An image is the number as a big-endian integer in as few whole bytes as hold it, the last bit lowest::

    H10301, 26 bits, in 4 bytes
    ┌────────┬───┬──────────┬───────────────┬───┐
    │ 000000 │ E │ facility │ card number   │ O │    E even parity of the 12 bits after it
    └────────┴───┴──────────┴───────────────┴───┘    O odd parity of the 12 bits before it
      6        1   8          16              1

==========  ====  ================================  ==========================================================
layout      bits  numbers                           parity bits (bit 0 is the first one sent)
==========  ====  ================================  ==========================================================
``h10301``  26    facility 8, card 16               0 even over 1..12; 25 odd over 13..24
``h10306``  34    facility 16, card 16              0 even over 1..16; 33 odd over 17..32
``c1k35s``  35    company 12, card 20               1 even over 2,3,5,6,8,9,...; 34 odd over 1,2,4,5,7,8,...; 0 odd
                                                    over all that follow
``h10302``  37    card 35                           0 even over 1..18; 36 odd over 18..35
``h10304``  37    facility 16, card 19              as h10302
==========  ====  ================================  ==========================================================

Source: RfidResearchGroup/proxmark3, client/src/wiegand_formats.c (0254b2a6), the field's usual reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from encoder_bridge.driver import Credential, CredentialRejected, Secret
from encoder_bridge_cards.tables import Table

_DIGITS = re.compile(r"[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """One parity bit: where it stands, and whether the ones among it and what it covers are odd in number."""

    at: int
    over: tuple[int, ...]
    odd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WiegandLayout:
    """Where in a number what stands.  Bits are counted from 0, the first one sent; fields are (first bit, bits)."""

    bits: int
    facility: tuple[int, int] | None
    card: tuple[int, int]
    parities: tuple[Parity, ...]
    """In the order in which they are computed: a later one may cover an earlier one."""

    @property
    def size(self) -> int:
        """Bytes of an image."""
        return (self.bits + 7) // 8

    def pack(self, facility: int, card: int) -> int:
        """Make the number; the parts have to fit."""
        value = self._field(self.card, card)
        if self.facility is not None:
            value |= self._field(self.facility, facility)
        for parity in self.parities:
            if self._ones(value, parity.over) % 2 != parity.odd:
                value |= self._bit(parity.at)
        return value

    def unpack(self, value: int) -> tuple[int | None, int] | None:
        """Take a number apart; None if it is too long or a parity bit is wrong."""
        facility = self._part(self.facility, value) if self.facility is not None else None
        card = self._part(self.card, value)
        return (facility, card) if value == self.pack(facility or 0, card) else None

    def _field(self, field: tuple[int, int], number: int) -> int:
        first, width = field
        return number << (self.bits - first - width)

    def _part(self, field: tuple[int, int], value: int) -> int:
        first, width = field
        return (value >> (self.bits - first - width)) & ((1 << width) - 1)

    def _bit(self, at: int) -> int:
        return 1 << (self.bits - 1 - at)

    def _ones(self, value: int, over: Iterable[int]) -> int:
        return sum(bool(value & self._bit(at)) for at in over)


def _halves(bits: int, width: int) -> tuple[Parity, ...]:
    return (
        Parity(at=0, over=tuple(range(1, width + 1)), odd=False),
        Parity(at=bits - 1, over=tuple(range(bits - 1 - width, bits - 1)), odd=True),
    )


LAYOUTS: Mapping[str, WiegandLayout] = {
    "h10301": WiegandLayout(bits=26, facility=(1, 8), card=(9, 16), parities=_halves(26, 12)),
    "h10306": WiegandLayout(bits=34, facility=(1, 16), card=(17, 16), parities=_halves(34, 16)),
    "c1k35s": WiegandLayout(
        bits=35,
        facility=(2, 12),
        card=(14, 20),
        parities=(
            Parity(at=1, over=tuple(at for at in range(2, 34) if at % 3 != 1), odd=False),
            Parity(at=34, over=tuple(at for at in range(1, 34) if at % 3 != 0), odd=True),
            Parity(at=0, over=tuple(range(1, 35)), odd=True),
        ),
    ),
    "h10302": WiegandLayout(bits=37, facility=None, card=(1, 35), parities=_halves(37, 18)),
    "h10304": WiegandLayout(bits=37, facility=(1, 16), card=(17, 19), parities=_halves(37, 18)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WiegandFormat:
    """A format that carries one Wiegand number.

    The facility code is the profile's ``facility_code`` or the trigger's field of that name, the card number the
    trigger's field ``card_number``.
    """

    layout: WiegandLayout
    facility_code: int | None
    ndef = False

    @classmethod
    def parse(cls, table: Table, secret: Secret) -> WiegandFormat:  # noqa: ARG003
        """Read the format's keys ``layout`` and ``facility_code``.

        Raises:
            SettingsRejected: one is wrong.
        """
        layout = LAYOUTS[table.one_of("layout", tuple(LAYOUTS))]
        if layout.facility is None and "facility_code" in table:
            table.refuse("facility_code", "has no place in this layout: remove it")
        highest = (1 << layout.facility[1]) - 1 if layout.facility else 0
        return cls(layout=layout, facility_code=table.optional_number("facility_code", 0, highest))

    def image(self, credential: Credential, uid: bytes | None, unit: str) -> bytes:  # noqa: ARG002
        """See `Format`."""
        facility = self.facility_code or 0
        if self.layout.facility is not None and self.facility_code is None:
            facility = _number(credential, "facility_code", self.layout.facility[1])
        card = _number(credential, "card_number", self.layout.card[1])
        return self.layout.pack(facility, card).to_bytes(self.layout.size, "big")

    def tells(self, image: bytes, uid: bytes) -> Mapping[str, str] | None:  # noqa: ARG002
        """See `Format`."""
        parts = self.layout.unpack(int.from_bytes(image[: self.layout.size], "big"))
        if len(image) < self.layout.size or any(image[self.layout.size :]) or parts is None:
            return None
        facility, card = parts
        if self.facility_code is not None and facility != self.facility_code:
            return None
        told = {"card_number": str(card)}
        return told if facility is None else {"facility_code": str(facility), **told}


def _number(credential: Credential, name: str, bits: int) -> int:
    text = credential.fields.get(name)
    if text is None:
        raise CredentialRejected(f"The field {name} is missing: send it with the trigger.")
    if not _DIGITS.fullmatch(text) or int(text) >> bits:
        raise CredentialRejected(f"The field {name} does not fit: send a whole number up to {(1 << bits) - 1}.")
    return int(text)
