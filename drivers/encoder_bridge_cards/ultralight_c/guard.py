"""Key, AUTH0 and AUTH1 of MIFARE Ultralight C (MF0ICU2 data sheet, sections 7.5.4 to 7.5.8).

::

    28  lock bytes 2 and 3      2A  AUTH0: the first page that needs the key; from 30 on: none
    29  counter                 2B  AUTH1, bit 0: 1 only writing needs it, 0 reading too
    2C  k7 k6 k5 k4    2D  k3 k2 k1 k0    2E  k15 k14 k13 k12    2F  k11 k10 k9 k8

The key is never read; while AUTH0 is 30 it can be written by anyone.  A new one counts from the next selection on.
"""

from __future__ import annotations

from encoder_bridge_cards.link import Refused
from encoder_bridge_cards.personalisation import Mismatch
from encoder_bridge_cards.type2.guard import Configuration, Done, Opening, Shield
from encoder_bridge_cards.type2.locks import STATIC, LockBits
from encoder_bridge_cards.type2.pages import Pages
from encoder_bridge_cards.ultralight_c.authentication import authenticate

TECHNOLOGY = "mifare_ultralight_c"
LAST_PAGE = 0x27
"""Of the user's memory."""
MESSAGE_SIZE = 0x12 * 8
LOCKS, AUTH0, AUTH1, KEY, END = 0x28, 0x2A, 0x2B, 0x2C, 0x2F

_OFF = 0x30
_ONLY_WRITING = 0x01
_FREEZING = 0xE000
"""The lock bits of AUTH0, AUTH1 and the key."""

_DYNAMIC = LockBits(
    page=LOCKS,
    offset=0,
    length=2,
    locks={
        bit: range(start, start + 4)
        for bit, start in ((1, 0x10), (2, 0x14), (3, 0x18), (5, 0x1C), (6, 0x20), (7, 0x24))
    },
    freezes={0: range(1, 4), 4: range(5, 8)},
)


class KeyGuard:
    """The guard of one Ultralight C; see `Guard`.

    Args:
        pages: its memory.
    """

    technology = TECHNOLOGY
    last_page = LAST_PAGE
    last_protectable = AUTH0
    end = END
    locks = (STATIC, _DYNAMIC)
    message_size = MESSAGE_SIZE
    key_pages = 4
    may_count_tries = False
    takes_keys = True

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._stored: dict[int, bytes] = {}

    def look(self) -> Configuration | None:
        """See `Guard`."""
        found = self._pages.peek(LOCKS, AUTH1)
        if found is None or not {AUTH0, AUTH1} <= found.keys():
            return None
        self._stored = {page: found[page] for page in (AUTH0, AUTH1)}
        return Configuration(
            shield=Shield(first_page=found[AUTH0][0], hides=not found[AUTH1][0] & _ONLY_WRITING),
            counts_tries=False,
            is_frozen=bool(int.from_bytes(found[LOCKS][:2], "little") & _FREEZING),
        )

    def open(self, key: bytes) -> Opening:
        """See `Guard`.  A card that does not prove the key as well is as good as a refusal."""
        try:
            if authenticate(self._pages.send, key):
                return Opening.OPEN
        except Refused:
            pass
        self._pages.select()
        return Opening.REFUSED

    def lift(self, done: Done) -> None:
        """See `Guard`."""
        self._store(AUTH0, _OFF, done)
        if self._pages.fetch([AUTH0])[AUTH0][0] != _OFF:
            raise Mismatch(f"page {AUTH0}")

    def put_key(self, key: bytes, done: Done) -> None:
        """See `Guard`."""
        for page, part in enumerate(key_pages(key), KEY):
            self._pages.write(page, part)
            done()
        self._pages.select()
        if self.open(key) is not Opening.OPEN:
            raise Mismatch("key")

    def put(self, shield: Shield, done: Done) -> None:
        """See `Guard`."""
        self._store(AUTH1, self._stored[AUTH1][0] & ~_ONLY_WRITING | (not shield.hides) * _ONLY_WRITING, done)
        self._store(AUTH0, shield.first_page, done)

    def _store(self, page: int, value: int, done: Done) -> None:
        data = bytes([value]) + self._stored[page][1:]
        if self._stored[page] != data:
            self._pages.write(page, data)
            self._stored[page] = data
        done()


def key_pages(key: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """A key as it lies in its pages: each half back to front."""
    return key[7:3:-1], key[3::-1], key[15:11:-1], key[11:7:-1]
