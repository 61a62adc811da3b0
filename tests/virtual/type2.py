"""NTAG213/215/216 and MIFARE Ultralight EV1 in software (NTAG213/215/216 and MF0ULx1 data sheets).

Both data sheets leave open whether AUTH0 and ACCESS count from the moment they are written or from the next selection:
`Ntag.applies_at_once` chooses.  Lock bits count from the next selection.

They name the pages whose writing survives a loss of power: the lock bytes of page 2, page 3 (CC or OTP) and the dynamic
lock bytes; also the counters and the count of failed passwords.  They say nothing of the user's pages and of the
configuration, PWD and PACK: `Type2.torn` chooses.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from encoder_bridge_cards.link import Activation, Family, NoAnswer, Refused

from virtual.card import VirtualCard

PAGE_SIZE = 4
FIRST_WRITABLE = 2
STATIC_LOCKS, CC = 2, 3

Torn = Literal["old", "new", "first", "last"]


class Type2(VirtualCard):
    """What NTAG and the Ultralights share: pages of four bytes, static lock bytes, and a page that is written by OR."""

    atqa = b"\x00\x44"
    sak = 0x00
    ats = b""

    def __init__(self, uid: bytes, pages: int) -> None:
        if len(uid) != 7:
            raise ValueError("these cards have 7 bytes of uid")
        self.uid = uid
        self.torn: Torn = "first"
        """What a page holds whose write lost power: all that was there (``old``), all that was to be (``new``), or the
        first or the last two bytes of it.  A page that is safe from this is old for ``first`` and new for ``last``."""
        self._memory = bytearray(PAGE_SIZE * pages)
        self._is_selected = False
        self._is_authenticated = False
        self._locked: frozenset[int] = frozenset()
        first = uid[:3] + bytes([0x88 ^ uid[0] ^ uid[1] ^ uid[2]])
        self._memory[:9] = first + uid[3:] + bytes([uid[3] ^ uid[4] ^ uid[5] ^ uid[6]])
        self._memory[9] = 0x48

    @property
    def pages(self) -> int:
        return len(self._memory) // PAGE_SIZE

    def peek(self, page: int) -> bytes:
        """What is really in a page; no reader can do that."""
        return bytes(self._memory[PAGE_SIZE * page : PAGE_SIZE * (page + 1)])

    def poke(self, page: int, data: bytes) -> None:
        """Put something into a page past every rule, as somebody else who had the card before."""
        if len(data) != PAGE_SIZE or not 0 <= page < self.pages:
            raise ValueError("a page has 4 bytes and the card holds so many of them")
        self._memory[PAGE_SIZE * page : PAGE_SIZE * (page + 1)] = data

    def activate(self) -> Activation:
        self._is_selected = True
        self._is_authenticated = False
        self._locked = frozenset(self._locked_pages())
        return Activation(family=Family.TYPE_2, uid=self.uid)

    def exchange(self, frame: bytes) -> bytes:
        if not self._is_selected:
            raise NoAnswer("nobody selected the card")
        try:
            return self._act(frame)
        except Refused:
            self._lose_session()
            raise

    def interrupt(self, frame: bytes) -> None:
        if self._is_selected and frame[:1] in {b"\xa2", b"\xa0"}:
            try:
                page, new = self._written(frame)
            except Refused:
                pass
            else:
                self.poke(page, self._torn_page(page, new))
        self._lose_session()

    def snapshot(self) -> Hashable:
        return bytes(self._memory)

    @abstractmethod
    def _end(self) -> int:
        """The first page that READ may not give away now."""

    @abstractmethod
    def _may_write(self, page: int) -> bool:
        """Whether a password or a configuration allows to write this page now; lock bits come on top."""

    @abstractmethod
    def _tear_safe(self) -> frozenset[int]:
        """The pages whose writing the data sheet declares safe from a loss of power."""

    @abstractmethod
    def _locked_pages(self) -> Iterator[int]:
        """The pages that lock bits have made read only; see `_statically_locked`."""

    def _lose_session(self) -> None:
        self._is_selected = False
        self._is_authenticated = False

    def _act(self, frame: bytes) -> bytes:
        match frame[0] if frame else None:
            case 0x30 if len(frame) == 2:
                return self._read(frame[1])
            case 0xA2 | 0xA0:
                self.poke(*self._written(frame))
                return b""
            case _:
                raise Refused("unknown command")

    def _read(self, page: int) -> bytes:
        end = self._end()
        if page >= end:
            raise Refused("read")
        return b"".join(self._shown((page + i) % end) for i in range(4))

    def _shown(self, page: int) -> bytes:
        """What a reader sees of a page."""
        return self.peek(page)

    def _written(self, frame: bytes) -> tuple[int, bytes]:
        """The page that WRITE (or COMPATIBILITY_WRITE, both parts in one frame) changes and what it will hold."""
        if len(frame) != 2 + (PAGE_SIZE if frame[0] == 0xA2 else 16):
            raise Refused("unknown command")
        page, data = frame[1], frame[2 : 2 + PAGE_SIZE]
        if not FIRST_WRITABLE <= page < self.pages or page in self._locked or not self._may_write(page):
            raise Refused("write")
        return page, self._merged(page, data)

    def _merged(self, page: int, data: bytes) -> bytes:
        """What a page holds after it was written: lock bytes, CC and OTP only ever gain bits."""
        old = self.peek(page)
        if page == CC:
            return bytes(a | b for a, b in zip(old, data, strict=True))
        if page == STATIC_LOCKS:
            frozen = int.from_bytes(old[2:], "little")
            mask = sum(bits for blocking, bits in ((1, 0x0008), (2, 0x03F0), (4, 0xFC00)) if frozen & blocking)
            gained = int.from_bytes(data[2:], "little") & ~mask
            return old[:2] + (frozen | gained).to_bytes(2, "little")
        return data

    def _torn_page(self, page: int, new: bytes) -> bytes:
        old = self.peek(page)
        if self.torn == "old" or (self.torn == "first" and page in self._tear_safe()):
            return old
        if self.torn == "new" or page in self._tear_safe():
            return new
        return new[:2] + old[2:] if self.torn == "first" else old[:2] + new[2:]

    def _statically_locked(self) -> Iterator[int]:
        bits = int.from_bytes(self.peek(STATIC_LOCKS)[2:], "little")
        return (page for page in range(3, 16) if bits >> page & 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicLocks:
    """Three lock bytes: bit i of the first two locks `step` pages; bit i of the third freezes the bits of two or more.

    ``lock[2] block lock BD``, the last byte fixed.
    """

    page: int
    step: int
    bits: int
    frozen_by_one: int
    """How many lock bits one block locking bit freezes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    version: bytes
    configuration: int
    """The page CFG0; CFG1, PWD and PACK follow."""
    locks: DynamicLocks | None
    page_3: bytes
    content: bytes
    """What the user's pages hold when the card is new."""
    cfg_0: bytes
    counters: tuple[int, ...]

    @property
    def is_ntag(self) -> bool:
        return self.version[2] == 0x04


def _ntag(version: str, configuration: int, locks: DynamicLocks, size: int, content: str) -> Product:
    return Product(
        version=bytes.fromhex(version),
        configuration=configuration,
        locks=locks,
        page_3=bytes([0xE1, 0x10, size, 0x00]),
        content=bytes.fromhex(content),
        cfg_0=b"\x04\x00\x00\xff",
        counters=(2,),
    )


def _ultralight_ev1(version: str, configuration: int, locks: DynamicLocks | None) -> Product:
    return Product(
        version=bytes.fromhex(version),
        configuration=configuration,
        locks=locks,
        page_3=bytes(4),
        content=b"",
        cfg_0=b"\x00\x00\x00\xff",
        counters=(0, 1, 2),
    )


PRODUCTS = {
    "ntag213": _ntag(
        "0004040201000f03", 0x29, DynamicLocks(page=0x28, step=2, bits=12, frozen_by_one=2), 0x12, "0103a00c340300fe"
    ),
    "ntag215": _ntag(
        "0004040201001103", 0x83, DynamicLocks(page=0x82, step=16, bits=8, frozen_by_one=2), 0x3E, "0300fe00"
    ),
    "ntag216": _ntag(
        "0004040201001303", 0xE3, DynamicLocks(page=0xE2, step=16, bits=14, frozen_by_one=2), 0x6D, "0300fe00"
    ),
    "ultralight_ev1_20": _ultralight_ev1("0004030101000b03", 0x10, None),
    "ultralight_ev1_41": _ultralight_ev1(
        "0004030101000e03", 0x25, DynamicLocks(page=0x24, step=2, bits=10, frozen_by_one=2)
    ),
}


class Ntag(Type2):
    """An NTAG or an Ultralight EV1 as it leaves the factory.

    Args:
        product: one of `PRODUCTS`.
        uid: 7 bytes.
        applies_at_once: whether AUTH0 and ACCESS count for the session that writes them; else from the next selection.
    """

    def __init__(
        self,
        product: str = "ntag213",
        uid: bytes = bytes.fromhex("04112233445566"),
        *,
        applies_at_once: bool = True,
    ) -> None:
        self.product = PRODUCTS[product]
        super().__init__(uid, self.product.configuration + 4)
        self.applies_at_once = applies_at_once
        self.counters = dict.fromkeys(self.product.counters, 0)
        self.failed_passwords = 0
        self.is_locked_out = False
        """Whether so many wrong passwords were tried that the right one does not help any more."""
        self.poke(CC, self.product.page_3)
        self._memory[16 : 16 + len(self.product.content)] = self.product.content
        if self.product.locks is not None:
            self.poke(self.product.locks.page, b"\x00\x00\x00\xbd")
        self.poke(self.cfg_0, self.product.cfg_0)
        self.poke(self.cfg_1, b"\x00\x05\x00\x00")
        self.poke(self.pwd, b"\xff\xff\xff\xff")
        self._configuration = self._stored_configuration()
        self._has_read = False

    @property
    def cfg_0(self) -> int:
        return self.product.configuration

    @property
    def cfg_1(self) -> int:
        return self.product.configuration + 1

    @property
    def pwd(self) -> int:
        return self.product.configuration + 2

    @property
    def pack(self) -> int:
        return self.product.configuration + 3

    @property
    def auth0(self) -> int:
        """The first page that the password protects now."""
        return self._configuration[0]

    @property
    def access(self) -> int:
        """PROT (bit 7), CFGLCK (6), NFC_CNT_EN (4), NFC_CNT_PWD_PROT (3), AUTHLIM (2..0), as they count now."""
        return self._configuration[1]

    def activate(self) -> Activation:
        self._configuration = self._stored_configuration()
        self._has_read = False
        return super().activate()

    def interrupt(self, frame: bytes) -> None:
        if self._is_selected and frame[:1] == b"\x1b":
            with suppress(Refused):
                self._verify(frame)
        super().interrupt(frame)
        self._configuration = self._stored_configuration()

    def snapshot(self) -> Hashable:
        return super().snapshot(), self.failed_passwords, self.is_locked_out, tuple(self.counters.items())

    def poke(self, page: int, data: bytes) -> None:
        super().poke(page, data)
        if self.applies_at_once:
            self._configuration = self._stored_configuration()

    def _stored_configuration(self) -> tuple[int, int]:
        return self.peek(self.cfg_0)[3], self.peek(self.cfg_1)[0]

    def _act(self, frame: bytes) -> bytes:
        match frame[0] if frame else None:
            case 0x30 | 0x3A:
                answer = super()._act(frame) if frame[0] == 0x30 else self._fast_read(frame)
                self._count_reading()
                return answer
            case 0x60 if len(frame) == 1:
                return self.product.version
            case 0x1B:
                return self._verify(frame)
            case 0x39 if len(frame) == 2:
                return self._counter(frame[1]).to_bytes(3, "little")
            case 0x3C if frame == b"\x3c\x00":
                return hashlib.sha256(b"originality" + self.uid).digest()
            case 0xA5 if len(frame) == 6:
                self._increment(frame[1], int.from_bytes(frame[2:5], "little"))
                return b""
            case 0x3E if len(frame) == 2 and not self.product.is_ntag and frame[1] in self.counters:
                return b"\xbd"
            case _:
                return super()._act(frame)

    def _end(self) -> int:
        is_closed = self.access & 0x80 and not self._is_authenticated
        return min(self.pages, self.auth0) if is_closed else self.pages

    def _may_write(self, page: int) -> bool:
        if page >= self.auth0 and not self._is_authenticated:
            return False
        return not (page in {self.cfg_0, self.cfg_1} and self.access & 0x40)

    def _tear_safe(self) -> frozenset[int]:
        locks = self.product.locks
        return frozenset({STATIC_LOCKS, CC} | ({locks.page} if locks else set()))

    def _locked_pages(self) -> Iterator[int]:
        yield from self._statically_locked()
        if (locks := self.product.locks) is not None:
            bits = int.from_bytes(self.peek(locks.page)[:2], "little")
            for page in range(16, locks.page):
                if bits >> (page - 16) // locks.step & 1:
                    yield page

    def _merged(self, page: int, data: bytes) -> bytes:
        locks = self.product.locks
        if locks is not None and page == locks.page:
            old = self.peek(page)
            frozen = sum((1 << locks.frozen_by_one) - 1 << i * locks.frozen_by_one for i in range(8) if old[2] >> i & 1)
            gained = int.from_bytes(data[:2], "little") & ~frozen & (1 << locks.bits) - 1
            blocking = data[2] & (1 << -(-locks.bits // locks.frozen_by_one)) - 1
            return (int.from_bytes(old[:2], "little") | gained).to_bytes(2, "little") + bytes(
                [old[2] | blocking, old[3]]
            )
        return super()._merged(page, data)

    def _shown(self, page: int) -> bytes:
        return bytes(PAGE_SIZE) if page in {self.pwd, self.pack} else self.peek(page)

    def _fast_read(self, frame: bytes) -> bytes:
        if len(frame) != 3 or not frame[1] <= frame[2] < self._end():
            raise Refused("read")
        return b"".join(map(self._shown, range(frame[1], frame[2] + 1)))

    def _verify(self, frame: bytes) -> bytes:
        if len(frame) != 1 + PAGE_SIZE:
            raise Refused("unknown command")
        self._is_authenticated = False
        if self.is_locked_out:
            raise Refused("too many wrong passwords")
        if frame[1:] != self.peek(self.pwd):
            if limit := self.access & 0x07:
                self.failed_passwords += 1
                self.is_locked_out = self.failed_passwords >= limit
            raise Refused("password")
        self.failed_passwords = 0
        self._is_authenticated = True
        return self.peek(self.pack)[:2]

    def _count_reading(self) -> None:
        if self.product.is_ntag and self.access & 0x10 and not self._has_read:
            self.counters[2] = min(self.counters[2] + 1, 0xFFFFFF)
        self._has_read = True

    def _counter(self, number: int) -> int:
        if number not in self.counters:
            raise Refused("no such counter")
        if self.product.is_ntag:
            is_hidden = self.access & 0x08 and not self._is_authenticated
            if not self.access & 0x10 or is_hidden:
                raise Refused("counter")
        return self.counters[number]

    def _increment(self, number: int, by: int) -> None:
        if self.product.is_ntag or number not in self.counters or self.counters[number] + by > 0xFFFFFF:
            raise Refused("counter")
        self.counters[number] += by
