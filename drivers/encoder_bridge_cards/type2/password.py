"""PWD, PACK, AUTH0 and ACCESS of NTAG and Ultralight EV1 (NTAG213/215/216 data sheet, sections 8.5.7 and 8.8).

Neither PWD nor PACK can be read.  While AUTH0 is FF they can be written by anyone and proven with PWD_AUTH.
"""

from __future__ import annotations

from encoder_bridge_cards.link import LinkError, Refused
from encoder_bridge_cards.personalisation import Mismatch
from encoder_bridge_cards.type2.guard import Configuration, Done, Opening, Shield
from encoder_bridge_cards.type2.pages import PAGE, Pages
from encoder_bridge_cards.type2.products import Product

_PWD_AUTH = 0x1B
_PACK_SIZE = 2
_OFF = 0xFF
_PROT, _CFGLCK, _AUTHLIM = 0x80, 0x40, 0x07


class Password:
    """The guard of one NTAG or Ultralight EV1; see `Guard`.

    Args:
        pages: its memory.
        product: what it is.
        takes_keys: whether the reader can carry PWD_AUTH.
    """

    key_pages = 2
    may_count_tries = True

    def __init__(self, pages: Pages, product: Product, *, takes_keys: bool) -> None:
        self._pages = pages
        self._cfg_0 = product.configuration
        self._cfg_1 = product.configuration + 1
        self._start = product.locks[-1].page if len(product.locks) > 1 else self._cfg_0
        self._stored: dict[int, bytes] = {}
        self.technology = product.technology
        self.last_page = product.last_page
        self.last_protectable = product.configuration
        self.end = product.end
        self.locks = product.locks
        self.message_size = product.message_size
        self.takes_keys = takes_keys

    def look(self) -> Configuration | None:
        """See `Guard`."""
        found = self._pages.peek(self._start, self.end)
        if found is None or not {self._cfg_0, self._cfg_1} <= found.keys():
            return None
        self._stored = {page: found[page] for page in (self._cfg_0, self._cfg_1)}
        access = self._stored[self._cfg_1][0]
        return Configuration(
            shield=Shield(first_page=self._stored[self._cfg_0][3], hides=bool(access & _PROT)),
            counts_tries=bool(access & _AUTHLIM),
            is_frozen=bool(access & _CFGLCK),
        )

    def open(self, key: bytes) -> Opening:
        """See `Guard`.  The right password with another PACK opens the card partly."""
        try:
            pack = self._pages.send(bytes([_PWD_AUTH]) + key[:PAGE])
        except Refused:
            self._pages.select()
            return Opening.REFUSED
        if len(pack) != _PACK_SIZE:
            raise LinkError(f"{len(pack)} bytes of {_PACK_SIZE}")
        self._pages.remember(lambda: self.open(key))
        return Opening.OPEN if pack == key[PAGE:] else Opening.PARTLY

    def lift(self, done: Done) -> None:
        """See `Guard`."""
        self._store(self._cfg_0, self._stored[self._cfg_0][:3] + bytes([_OFF]), done)
        if self._pages.fetch([self._cfg_0])[self._cfg_0][3] != _OFF:
            raise Mismatch(f"page {self._cfg_0}")

    def put_key(self, key: bytes, done: Done) -> None:
        """See `Guard`."""
        self._pages.write(self.end, key[PAGE:] + bytes(2))
        done()
        self._pages.write(self.end - 1, key[:PAGE])
        done()
        if self.open(key) is not Opening.OPEN:
            raise Mismatch("password")

    def put(self, shield: Shield, done: Done) -> None:
        """See `Guard`."""
        access = self._stored[self._cfg_1]
        self._store(self._cfg_1, bytes([access[0] & ~_PROT | shield.hides * _PROT]) + access[1:], done)
        self._store(self._cfg_0, self._stored[self._cfg_0][:3] + bytes([shield.first_page]), done)

    def _store(self, page: int, data: bytes, done: Done) -> None:
        if self._stored[page] != data:
            self._pages.write(page, data)
            self._stored[page] = data
        done()
