"""The frames of a DESFire card: ISO-wrapped commands, and which of them only later generations know."""

from __future__ import annotations

from virtual.desfire.memory import Fault, Status

MORE = 0xAF
NATIVE_LIMIT = 60
"""Bytes of a native frame, its code included: what fits into a frame of ISO/IEC 14443-4 of 64 bytes."""
ANSWER_LIMIT = 59
"""Bytes of data in one answer."""
ISO_CHAINED = frozenset({0x8D, 0xAD})
"""Commands that come in one APDU, cut up below by ISO/IEC 14443-4."""
EV2_ONLY = frozenset({0x71, 0x77}) | ISO_CHAINED


def unwrapped(frame: bytes) -> tuple[int, bytes]:
    """Take ``90 command 00 00 [Lc data] 00`` apart.

    Raises:
        Fault: it is not of this form.
    """
    if len(frame) < 5 or frame[2:4] != b"\0\0" or frame[-1] != 0:
        raise Fault(Status.LENGTH)
    if len(frame) == 5:
        return frame[1], b""
    data = frame[5:-1]
    if not data or len(data) != frame[4]:
        raise Fault(Status.LENGTH)
    return frame[1], data
