"""The frames of a PN532 on a serial line (NXP UM0701-02, section 6.2).

::

    normal    00 00 FF | length | -length | TFI data[length - 1] | -sum | 00
    extended  00 00 FF | FF FF | length[2] | -sum of both | TFI data[length - 1] | -sum | 00
    ACK       00 00 FF 00 FF 00         NACK   00 00 FF FF 00 00
    error     00 00 FF 01 FF 7F 81 00

TFI is D4 towards the chip and D5 from it.
"""

from __future__ import annotations

from enum import Enum, auto

START = b"\x00\x00\xff"
ACK = START + b"\x00\xff\x00"
NACK = START + b"\xff\x00\x00"
ERROR = START + b"\x01\xff\x7f\x81\x00"


class Control(Enum):
    ACK = auto()
    NACK = auto()


def frame(body: bytes) -> bytes:
    """A frame around TFI and data; an extended one where it must be."""
    if len(body) < 256:
        head = bytes([len(body), -len(body) & 0xFF])
    else:
        size = len(body).to_bytes(2, "big")
        head = b"\xff\xff" + size + bytes([-sum(size) & 0xFF])
    return START + head + body + bytes([-sum(body) & 0xFF, 0])


def take(received: bytearray) -> bytes | Control | None:
    """Take the first whole frame out of what came in, TFI and data of it; None when more must come.

    Whatever stands before a frame, wake-up bytes for one, and frames with a wrong sum are dropped without a word, as
    the chip does.
    """
    while True:
        at = received.find(START[1:])
        if at < 0:
            del received[:-1]
            return None
        head = bytes(received[at + 2 :])
        if len(head) < 3:
            return None
        if head[:2] in {b"\x00\xff", b"\xff\x00"}:
            del received[: at + 5]
            return Control.ACK if head[0] == 0 else Control.NACK
        size, start = head[0], 2
        if head[:2] == b"\xff\xff":
            if len(head) < 5:
                return None
            size, start = int.from_bytes(head[2:4], "big"), 5
        if sum(head[:start] if start == 2 else head[2:start]) & 0xFF or not size:
            del received[: at + 2]
            continue
        if len(head) < start + size + 1:
            return None
        body = head[start : start + size]
        is_sound = (sum(body) + head[start + size]) & 0xFF == 0
        del received[: at + 2 + start + size + 1]
        if is_sound:
            return body
