"""The cards that tell what they are by GET_VERSION (NTAG213/215/216 data sheet, table 28; MF0ULx1, table 30).

The configuration of each::

    CFG0  MIRROR  rfu  MIRROR_PAGE  AUTH0       AUTH0: the first page that the password protects; FF: none
    CFG1  ACCESS  rfu  rfu          rfu         ACCESS: PROT (bit 7), CFGLCK (6), AUTHLIM (2..0); see `password`
    PWD   p0      p1   p2           p3
    PACK  a0      a1   rfu          rfu
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from encoder_bridge_cards.type2 import tlv
from encoder_bridge_cards.type2.locks import STATIC, LockBits, dynamic


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One kind of card."""

    technology: str
    last_page: int
    """Of the user's memory, which begins at page 4."""
    configuration: int
    """The page CFG0; CFG1, PWD and PACK follow, and nothing after them."""
    locks: tuple[LockBits, ...]
    message_size: int
    """Bytes that its capability container announces for NDEF."""

    @property
    def end(self) -> int:
        """The last page of all."""
        return self.configuration + 3


def _ntag(name: str, last_page: int, step: int, message_size: int) -> Product:
    return Product(
        technology=name,
        last_page=last_page,
        configuration=last_page + 2,
        locks=(STATIC, dynamic(last_page + 1, last=last_page, step=step)),
        message_size=message_size,
    )


NTAG213 = _ntag("ntag213", 0x27, 2, 0x12 * 8)
NTAG215 = _ntag("ntag215", 0x81, 16, 0x3E * 8)
NTAG216 = _ntag("ntag216", 0xE1, 16, 0x6D * 8)
ULTRALIGHT_EV1_20 = Product(
    technology="mifare_ultralight_ev1", last_page=0x0F, configuration=0x10, locks=(STATIC,), message_size=0x06 * 8
)
ULTRALIGHT_EV1_41 = Product(
    technology="mifare_ultralight_ev1",
    last_page=0x23,
    configuration=0x25,
    locks=(STATIC, dynamic(0x24, last=0x23, step=2)),
    message_size=0x10 * 8,
)
LARGEST = NTAG216

VERSIONS: Mapping[bytes, Product] = {
    bytes.fromhex("0004040201000f03"): NTAG213,
    bytes.fromhex("0004040201001103"): NTAG215,
    bytes.fromhex("0004040201001303"): NTAG216,
    bytes.fromhex("0004030101000b03"): ULTRALIGHT_EV1_20,
    bytes.fromhex("0004030201000b03"): ULTRALIGHT_EV1_20,  # with 50 pF instead of 17
    bytes.fromhex("0004030101000e03"): ULTRALIGHT_EV1_41,
    bytes.fromhex("0004030201000e03"): ULTRALIGHT_EV1_41,
}
"""Answers to GET_VERSION."""

CONTAINERS: Mapping[bytes, Product] = {
    tlv.container(product.message_size): product for product in (NTAG213, NTAG215, NTAG216)
}
"""Page 3 of new NTAGs.  An Ultralight C that was made an NDEF card says the same as an NTAG213."""
