"""What reader models do differently, by the names they give themselves.

Sources: ACR122U API 2.04; ACR1252U, ACR128, ACR1281S and ACR1283L manuals; HID's sample code for OMNIKEY 5022 and 5422;
Identiv uTrust 372xF manual, page 76.  A reader that is not here is asked in every form there is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from encoder_bridge_pcsc.native import BARE, GENERIC, PN532, SESSION, Way


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyForm:
    """Where a Classic key is put, and how an authentication names that place, see `places`.

    The first of each pair is for key A, the second for key B.
    """

    structure: int
    places: tuple[int, int]
    named: tuple[int, int]


VOLATILE = KeyForm(structure=0x00, places=(0x00, 0x01), named=(0x00, 0x01))
ONE_VOLATILE = KeyForm(structure=0x00, places=(0x20, 0x20), named=(0x20, 0x20))
PERSISTENT = KeyForm(structure=0x20, places=(0x00, 0x01), named=(0x00, 0x01))
BY_TYPE = KeyForm(structure=0x00, places=(0x60, 0x61), named=(0x01, 0x01))


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """What makes a reader blink and beep."""

    ok: tuple[bytes, ...]
    failed: tuple[bytes, ...]
    goes_as_apdu: bool
    """Whether the commands also go as APDUs, while a card lies there; else past the card alone (escape)."""


ACR122U_LIGHT = Light(
    # FF 00 40 state 04 | first half, second half [100 ms] | repetitions | 01: beep in the first half
    ok=(bytes.fromhex("FF 00 40 A0 04 02 01 01 01"),),  # blink green
    failed=(bytes.fromhex("FF 00 40 50 04 02 02 03 01"),),  # blink red
    goes_as_apdu=True,
)
ACR1252U_LIGHT = Light(
    # E0 00 00 29 01 | lights: bit 0 red, bit 1 green; E0 00 00 28 01 | beep [10 ms]
    ok=(bytes.fromhex("E0 00 00 29 01 02"), bytes.fromhex("E0 00 00 28 01 14")),
    failed=(bytes.fromhex("E0 00 00 29 01 01"), bytes.fromhex("E0 00 00 28 01 50")),
    goes_as_apdu=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One kind of reader."""

    name: str
    key_forms: tuple[KeyForm, ...]
    """Those it may take, the likeliest first."""
    ways: tuple[Way, ...]
    """How it may carry native frames, the likeliest first."""
    light: Light | None = None
    is_known: bool = True


_KNOWN: tuple[tuple[str, Model], ...] = (
    (r"ACR ?122", Model(name="ACS ACR122U", key_forms=(VOLATILE,), ways=(PN532,), light=ACR122U_LIGHT)),
    (
        r"ACR ?1252|ACM ?1252",
        Model(name="ACS ACR1252U", key_forms=(VOLATILE,), ways=(BARE, SESSION), light=ACR1252U_LIGHT),
    ),
    (r"ACR ?128[0-9]?", Model(name="ACS ACR128x", key_forms=(ONE_VOLATILE, VOLATILE), ways=(BARE, SESSION))),
    (
        r"OMNIKEY.*\b5[0-9]21",
        Model(name="HID OMNIKEY 5x21", key_forms=(VOLATILE, PERSISTENT), ways=(GENERIC, SESSION)),
    ),
    (
        r"OMNIKEY.*\b5[0-9]2[0-9]",
        Model(name="HID OMNIKEY 5x22", key_forms=(VOLATILE, PERSISTENT), ways=(SESSION,)),
    ),
    (
        r"uTrust.*\b37[0-9]{2}|uTrust.*\b47[0-9]{2}|SCL ?01[01]|SCL ?3711",
        Model(name="Identiv uTrust / SCL", key_forms=(BY_TYPE, VOLATILE), ways=(SESSION,)),
    ),
)

UNKNOWN = Model(
    name="unknown",
    key_forms=(VOLATILE, ONE_VOLATILE, BY_TYPE, PERSISTENT),
    ways=(SESSION, PN532, BARE),
    is_known=False,
)


def model_of(name: str) -> Model:
    """The model of a reader by its name."""
    return next((model for pattern, model in _KNOWN if re.search(pattern, name, re.IGNORECASE)), UNKNOWN)
