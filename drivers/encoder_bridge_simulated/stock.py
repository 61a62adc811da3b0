"""A stock of cards in a folder, and which of them lies on which encoder.

::

    <stock>/<uid>.card                one card (see `plastic`)
    <stock>/<uid>.aside               empty: the card is not to be taken for a fresh one (see `Stock.set_aside`)
    <stock>/readers/<encoder>.reader  the uid of the card that lies on that encoder now; no file: none does
    <stock>/readers/<encoder>.lock    held (flock) by the process that has that encoder open
    <stock>/readers/<encoder>.faults  which of its faults are used up (see `script.Script`)
    <stock>/stock.lock                held (flock) while cards are added or moved

Nothing is synced to disk: the stock outlives the process, not a power cut.

Any number of processes may use one folder, and one may lay and lift cards on an encoder that another has open.  So a
test, or a person at a Python prompt, plays the clerk of a running daemon whose encoder is configured with
``clerk = "absent"``::

    stock = Stock.open("/the/stock")  # the setting `stock`
    uid = stock.add()  # a new blank card; or one of stock.uids()
    stock.lay("simulated", uid)  # the setting `name`; the encoder sees it within 20 ms
    stock.lying("simulated")  # the uid of the card that lies there now, or None
    stock.lift("simulated")

    stock.add(content=b"somebody else's")  # written by another system
    stock.add(technology="foreign")  # of another kind
    stock.add(locked=True)  # locked against writing
"""

from __future__ import annotations

import fcntl
import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Self

from encoder_bridge_simulated.codec import BLOCK
from encoder_bridge_simulated.plastic import BLOCKS, TECHNOLOGY, Plastic, new

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class NoSuchCard(LookupError):
    """The stock holds no card of that uid."""


class Stock:
    """The cards of one folder; use `Stock.open`."""

    def __init__(self, path: Path, seed: int | None) -> None:
        self._path = path
        self._readers = path / "readers"
        self._seed = seed
        self._fresh: deque[str] = deque()
        self._seen: set[str] = set()
        self._looked = 0
        self._number: int | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, cards: int = 0, seed: int | None = None) -> Self:
        """Open a folder, made if need be; if it holds no card yet, put `cards` blank ones into it.

        Args:
            path: the folder.
            cards: how many cards an empty stock starts with.
            seed: makes the uids of the cards added here predictable.

        Raises:
            OSError: the folder cannot be made or read.
        """
        stock = cls(Path(path), seed)
        stock._readers.mkdir(parents=True, exist_ok=True)
        with stock._alone():
            if not stock.uids():
                stock._box(cards)
        return stock

    def uids(self) -> list[str]:
        """Return the uids of all cards, sorted."""
        return sorted(_stems(self._path, ".card"))

    def __contains__(self, uid: str) -> bool:
        return self._card(uid).exists()

    def add(
        self,
        *,
        uid: str | None = None,
        technology: str = TECHNOLOGY,
        blocks: int = BLOCKS,
        locked: bool = False,
        content: bytes = b"",
    ) -> str:
        """Add one card and return its uid; a card that exists already under `uid` is left as it is.

        Args:
            uid: lower-case hex; None for a new one.
            technology: of the card; the encoder refuses any but its own.
            blocks: how many it has.
            locked: it cannot be written.
            content: what it carries from its first byte on, as some other system might have left it; zeros follow.

        Raises:
            ValueError: `content` does not fit.
        """
        if len(content) > blocks * BLOCK:
            raise ValueError(f"{len(content)} bytes do not fit {blocks} blocks")
        uid = uid or self._new_uid()
        if uid not in self:
            replace(self._card(uid), new(technology, blocks, locked=locked, content=content))
        return uid

    @contextmanager
    def plastic(self, uid: str) -> Iterator[Plastic]:
        """Open one card, wherever it lies.

        Raises:
            NoSuchCard: there is no such card.
        """
        try:
            file = os.open(self._card(uid), os.O_RDWR)
        except FileNotFoundError:
            raise NoSuchCard(f"no card {uid} in {self._path}") from None
        try:
            yield Plastic(uid, file)
        finally:
            os.close(file)

    def read(self, uid: str) -> bytes:
        """Return all blocks of a card."""
        with self.plastic(uid) as plastic:
            return plastic.read()

    def write(self, uid: str, index: int, block: bytes) -> None:
        """Write one block of a card, as some other encoder might have."""
        with self.plastic(uid) as plastic:
            plastic.write(index, block)

    def lying(self, encoder: str) -> str | None:
        """Return the uid of the card that lies on an encoder."""
        try:
            file = os.open(f"{self._readers}/{encoder}.reader", os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return os.read(file, 64).decode("ascii", "replace").strip() or None
        finally:
            os.close(file)

    def lay(self, encoder: str, uid: str) -> None:
        """Lay a card on an encoder; it leaves where it lay before, and what lay here is lifted.

        Raises:
            NoSuchCard: there is no such card.
        """
        with self._alone():
            self._lay(encoder, uid)

    def lift(self, encoder: str) -> str | None:
        """Lift the card from an encoder and return its uid, None if there was none."""
        with self._alone():
            uid = self.lying(encoder)
            if uid is not None:
                self._reader(encoder).unlink()
            return uid

    def lay_fresh(self, encoder: str, box: int = 0) -> str | None:
        """Lay the next fresh card on an encoder and return its uid.

        Fresh is an ordinary blank card that lies nowhere and is not set aside.  With none left, a new box of `box`
        cards is opened first.
        """
        with self._alone():
            uid = self._take_fresh()
            if uid is None and box:
                self._box(box)
                uid = self._take_fresh()
            if uid is not None:
                self._lay(encoder, uid)
            return uid

    def fresh(self) -> str | None:
        """Return the uid of the next fresh card without laying it anywhere."""
        with self._alone():
            uid = self._take_fresh()
            if uid is not None:
                self._fresh.appendleft(uid)
            return uid

    def put_back(self, uid: str) -> None:
        """Say that a card may be fresh: it comes after the others, if it is."""
        self._fresh.append(uid)

    def set_aside(self, uid: str, *, aside: bool = True) -> None:
        """Keep a card out of the fresh ones, in every process: somebody may come back to this very card."""
        if aside:
            self._aside(uid).touch()
        else:
            self._aside(uid).unlink(missing_ok=True)

    def asides(self) -> list[str]:
        """Return the uids of the cards that are set aside, sorted."""
        return sorted(uid for uid in _stems(self._path, ".aside") if uid in self)

    def _lay(self, encoder: str, uid: str) -> None:
        if uid not in self:
            raise NoSuchCard(f"no card {uid} in {self._path}")
        for other in self._lying():
            if other != encoder and self.lying(other) == uid:
                self._reader(other).unlink()
        replace(self._reader(encoder), uid.encode("ascii"))

    def _lying(self) -> list[str]:
        return _stems(self._readers, ".reader")

    def _take_fresh(self) -> str | None:
        if not self._fresh:
            self._look()
        taken = {self.lying(encoder) for encoder in self._lying()}
        skipped = []
        found = None
        while self._fresh and found is None:
            uid = self._fresh.popleft()
            if uid in taken:
                skipped.append(uid)
            elif self._is_fresh(uid):
                found = uid
        self._fresh.extend(skipped)
        return found

    def _look(self) -> None:
        """Find cards not seen yet; a folder that nobody else has changed is not listed again."""
        changed = self._path.stat().st_mtime_ns
        if changed != self._looked:
            self._looked = changed
            self._fresh.extend(uid for uid in self.uids() if uid not in self._seen)
            self._seen.update(self._fresh)

    def _is_fresh(self, uid: str) -> bool:
        try:
            with self.plastic(uid) as plastic:
                ordinary = (plastic.technology, plastic.blocks, plastic.locked) == (TECHNOLOGY, BLOCKS, False)
                return ordinary and not any(plastic.read()) and not self._aside(uid).exists()
        except NoSuchCard:
            return False

    def _box(self, cards: int) -> None:
        new = [self.add() for _ in range(cards)]
        self._fresh.extend(new)
        self._seen.update(new)
        self._looked = self._path.stat().st_mtime_ns

    def _new_uid(self) -> str:
        if self._seed is None:
            return "04" + os.urandom(6).hex()
        if self._number is None:
            self._number = len(self.uids())
        while True:
            uid = "04" + sha256(f"{self._seed}/{self._number}".encode()).hexdigest()[:12]
            self._number += 1
            if uid not in self:
                return uid

    def _card(self, uid: str) -> Path:
        return self._path / f"{_safe(uid)}.card"

    def _aside(self, uid: str) -> Path:
        return self._path / f"{_safe(uid)}.aside"

    def _reader(self, encoder: str) -> Path:
        return self._readers / f"{_safe(encoder)}.reader"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        file = os.open(self._path / "stock.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)


def replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader, and a kill at any moment, finds the old content or the new, never a mixture."""
    new = f"{path}.{os.getpid()}.new"
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(file, content)
        finally:
            os.close(file)
        Path(new).replace(path)
    except OSError:
        with suppress(OSError):
            Path(new).unlink()
        raise


def is_name(text: str) -> bool:
    """Tell whether an encoder may be called so: letters, digits, ``. _ -``, at most 64, the first no sign."""
    return _NAME.fullmatch(text) is not None


def _stems(folder: Path, ending: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name.removesuffix(ending) for entry in entries if entry.name.endswith(ending)]


def _safe(name: str) -> str:
    if not is_name(name):
        raise ValueError(f"{name!r} is no name of a card or an encoder")
    return name
