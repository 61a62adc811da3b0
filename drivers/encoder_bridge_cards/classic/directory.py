"""The directory of one card: whose our sectors are, and saying that they are ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from encoder_bridge.driver import CardRejected
from encoder_bridge_cards.classic import geometry, mad
from encoder_bridge_cards.classic.access_bits import By
from encoder_bridge_cards.classic.opening import Opened, foreign, openings, reopen, tries, unknown
from encoder_bridge_cards.classic.plan import Wanted
from encoder_bridge_cards.classic.session import Session
from encoder_bridge_cards.link import Refused
from encoder_bridge_cards.personalisation import Mismatch

Step = Callable[[], None]
"""Told after every effect on the card."""


@dataclass(slots=True, kw_only=True)
class _Leaf:
    """One page as it lies on the card, and what has to become of it."""

    wanted: Wanted
    stored: bytes = field(repr=False)
    page: mad.Page = field(repr=False)
    """As it has to be."""
    named_us: frozenset[int]
    """The sectors that it gave to us when it was looked at."""
    opened: Opened
    """With a key that may do what is left to do."""
    general_purpose: int
    changes_trailer: bool

    @property
    def knows_key_b(self) -> bool:
        """Whether key B is ours, or will be."""
        return self.changes_trailer or self.opened.by is By.B

    @property
    def left(self) -> dict[int, bytes]:
        """The blocks still to be written."""
        target = self.page.encode()
        pieces = {block: slice(16 * i, 16 * i + 16) for i, block in enumerate(self.page.blocks)}
        return {block: target[piece] for block, piece in pieces.items() if target[piece] != self.stored[piece]}


class Directory:
    """The directory of one card.

    A directory that is there already is somebody's: foreign entries are kept, and its key B is made ours only where it
    is an older one of ours or the one cards are delivered with.

    Args:
        session: the card.
        wanted: the sectors the directory lies in; none: the profile keeps no directory.
        aid: the profile's application.
        sectors: the profile's sectors.
    """

    def __init__(self, session: Session, wanted: tuple[Wanted, ...], aid: int, sectors: tuple[int, ...]) -> None:
        self._session = session
        self._wanted = wanted
        self._aid = aid
        self._sectors = sectors
        self._leaves: list[_Leaf] = []

    @property
    def steps(self) -> int:
        """How many effects are left, after `survey`."""
        return sum(len(leaf.left) + leaf.changes_trailer for leaf in self._leaves)

    def named_us(self, sector: int) -> bool:
        """Whether a sector was ours when the directory was looked at."""
        return any(sector in leaf.named_us for leaf in self._leaves)

    def survey(self, *, resuming: bool) -> None:
        """Look at the directory, changing nothing.

        Raises:
            CardRejected: one of our sectors is another application's, or the directory is damaged or closed to us.
            LinkError: the link broke off.
        """
        self._leaves = [self._look(wanted, resuming=resuming) for wanted in self._wanted]

    def write(self, step: Step) -> None:
        """Write what is left of the entries, and read it back.

        Raises:
            Mismatch: it differs.
            LinkError: the link broke off.
        """
        for leaf in self._leaves:
            if not leaf.left:
                continue
            reopen(self._session, leaf.opened)
            left = leaf.left
            for block, data in left.items():
                self._session.write(block, data)
                step()
            for block, data in left.items():
                if self._session.read(block) != data:
                    raise Mismatch(f"block {block}")

    def secure(self, step: Step) -> None:
        """Write the directory's own keys and access bits, where they are ours to write.

        Raises:
            Mismatch: the key that opened its sector does not any more.
            LinkError: the link broke off.
        """
        for leaf in reversed(self._leaves):  # the last one is still open
            wanted = leaf.wanted
            if not leaf.changes_trailer:
                continue
            reopen(self._session, leaf.opened)
            self._session.write_trailer(
                wanted.sector, wanted.key_a[0], wanted.access, leaf.general_purpose, wanted.key_b[0]
            )
            step()

    def verify(self) -> None:
        """Compare the directory with what it has to say, and its keys with ours where they were written here.

        Raises:
            Mismatch: it does not say that our sectors are ours.
            LinkError: the link broke off.
        """
        session = self._session
        for wanted in self._wanted:
            home = wanted.sector
            if not session.opens(home, By.A, mad.KEY_A):
                session.select()
                raise Mismatch(f"key A of sector {home}")
            trailer = session.read(geometry.trailer(home))
            if home == 0 and mad.version_of(trailer[9]) < len(self._wanted):
                raise Mismatch("general-purpose byte of sector 0")
            stored = self._read(home)
            page = mad.decode(home, stored)
            if page.encode() != stored or page.claiming(self._sectors, self._aid) != page:
                raise Mismatch(f"directory in sector {home}")
            checks_b = any(leaf.wanted.sector == home and leaf.knows_key_b for leaf in self._leaves)
            if checks_b and not session.opens(home, By.B, wanted.key_b[0]):
                session.select()
                raise Mismatch(f"key B of sector {home}")
            if any(session.opens(home, By.A, key) for key in wanted.transport if key != mad.KEY_A):
                raise Mismatch(f"transport key of sector {home}")

    def _look(self, wanted: Wanted, *, resuming: bool) -> _Leaf:
        session, home = self._session, wanted.sector
        ways = sorted(tries(wanted, is_likely_ours=resuming), key=lambda way: way[0] is By.B)
        opened = next((opened for opened in openings(session, home, ways) if opened.reads_all), None)
        if opened is None:
            raise unknown(session, home, resuming=resuming)
        stored = self._read(home)
        is_new = opened.by is By.A and opened.key in wanted.transport
        page = self._page(home, stored, is_new=is_new, resuming=resuming)
        for sector in self._sectors:
            if page.ids.get(sector, mad.FREE) not in {mad.FREE, self._aid}:
                raise foreign(sector)
        version = mad.version_of(opened.general_purpose)
        leaf = _Leaf(
            wanted=wanted,
            stored=stored,
            page=page.claiming(self._sectors, self._aid),
            named_us=frozenset(sector for sector, aid in page.ids.items() if aid == self._aid),
            opened=opened,
            general_purpose=mad.general_purpose_byte(max(version, len(self._wanted))) if home == 0 else 0,
            changes_trailer=is_new or (home == 0 and version < len(self._wanted)),
        )
        if resuming and By.A in opened.access.changers:
            leaf.changes_trailer = True
        self._find_writer(leaf, resuming=resuming)
        return leaf

    def _page(self, home: int, stored: bytes, *, is_new: bool, resuming: bool) -> mad.Page:
        """What a page says, or said before its write was torn.

        An entry that cannot be proven by the checksum is never taken for nobody's, except where the sector still has
        the keys it was delivered with: no directory was ever finished there.
        """
        page = mad.decode(home, stored)
        if page.encode() == stored:
            return page
        if is_new and (resuming or not any(stored)):
            return mad.Page(home=home)
        if resuming:
            for before in (page.claiming(self._sectors, self._aid), page.claiming(self._sectors, mad.FREE)):
                if before.encode()[0] == stored[0]:
                    return before
        if is_new:
            raise foreign(home)
        raise CardRejected(
            f"The directory in sector {home} of this card is damaged: take another card.", raw="damaged_directory"
        )

    def _find_writer(self, leaf: _Leaf, *, resuming: bool) -> None:
        """Find the key that may do what is left to do, and whether key B has to change."""
        wanted = leaf.wanted
        may_have_rolled = len(wanted.key_b) > 1 or resuming
        if _suffices(leaf, leaf.opened) and not (may_have_rolled and By.A not in leaf.opened.access.changers):
            return
        ways = dict.fromkeys((By.B, key) for key in wanted.key_b + wanted.transport)
        for opened in openings(self._session, wanted.sector, ways):
            is_old = opened.key != wanted.key_b[0]
            if opened.changes_all or (not is_old and _suffices(leaf, opened)):
                leaf.opened = opened
                leaf.changes_trailer |= is_old
                return
        if not _suffices(leaf, leaf.opened):
            raise unknown(self._session, wanted.sector, resuming=resuming)

    def _read(self, home: int) -> bytes:
        return b"".join(self._session.read(block) for block in geometry.data(home))


def _suffices(leaf: _Leaf, opened: Opened) -> bool:
    """Whether a key may do all that is left to do."""
    if leaf.changes_trailer:
        return opened.changes_all
    return opened.writes_all or not leaf.left


def refuse_claimed(session: Session, sectors: tuple[int, ...]) -> None:
    """Refuse a card with a directory that gives one of our sectors to somebody, for a profile that keeps none.

    An entry counts whatever the checksum says: this profile does not mend directories.

    Raises:
        CardRejected: it does.
        LinkError: the link broke off.
    """
    version = 1
    for home in (0, 16):
        if home and (version < 2 or sectors[-1] < home):
            return
        if not session.opens(home, By.A, mad.KEY_A):
            return
        try:
            if home == 0:
                version = mad.version_of(session.read(geometry.trailer(home))[9])
            stored = b"".join(session.read(block) for block in geometry.data(home))
        except Refused:
            return
        if version == 0:
            return
        for sector in sectors:
            if mad.decode(home, stored).ids.get(sector, mad.FREE) != mad.FREE:
                raise foreign(sector)
