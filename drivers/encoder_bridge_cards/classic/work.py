"""Writing one MIFARE Classic card: look, data, read back, directory, keys, proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from encoder_bridge.driver import Card, CardRejected
from encoder_bridge_cards.classic import access_bits, geometry
from encoder_bridge_cards.classic.access_bits import By
from encoder_bridge_cards.classic.directory import Directory, refuse_claimed
from encoder_bridge_cards.classic.opening import Opened, find, foreign, reopen, tries
from encoder_bridge_cards.classic.plan import TRANSPORT_BYTE, Plan, Wanted
from encoder_bridge_cards.classic.session import Session
from encoder_bridge_cards.link import Activation, Link
from encoder_bridge_cards.personalisation import Contents, Mismatch, Ours, Progress


class ClassicWork:
    """One MIFARE Classic card; see `Work`.

    Args:
        link: where it lies, just selected.
        activation: what selecting it told.
        plan: what the profile wants of it.
        blank: what it carries when it is erased.
    """

    def __init__(self, link: Link, activation: Activation, plan: Plan, blank: Contents) -> None:
        self._activation = activation
        self._plan = plan
        self._blank = blank
        self._session = Session(link, activation)
        self._wanted: Mapping[int, Wanted] = {}
        self._directory: Directory | None = None
        self._found: dict[int, Opened] = {}
        self._is_resumed = False
        uid = None if activation.has_random_uid else activation.uid.hex()
        self._card = Card(technology=geometry.TECHNOLOGIES[activation.blocks], uid=uid)

    @property
    def card(self) -> Card:
        """See `Work`."""
        return self._card

    def survey(self, ours: Ours, *, resuming: bool) -> None:
        """See `Work`.

        A secret key of ours proves that a sector is ours.  Any other sector has to be blank, under the keys and access
        bits it was delivered with, or hold what `ours` recognises.

        Raises:
            CardRejected: it was left as it was.
        """
        if self._plan.sectors[-1] >= geometry.SECTORS[self._activation.blocks]:
            raise CardRejected(
                f"This card has no sector {self._plan.sectors[-1]}: take a larger one.",
                raw="too_small",
            )
        if self._activation.has_random_uid and self._plan.is_diversified:
            raise CardRejected("This card shows another number each time: take one with a number that stays.")
        self._fetch_keys()
        if self._directory is not None:
            self._directory.survey(resuming=resuming)
        unproven, is_blank = self._open_all(resuming=resuming)
        if unproven and not resuming:
            if not is_blank and not self._is_ours(ours):
                raise foreign(unproven[0])
            if self._directory is None:
                refuse_claimed(self._session, self._plan.sectors)
        self._is_resumed = resuming

    def write(self, contents: Contents, progress: Progress) -> None:
        """See `Work`.

        Raises:
            Mismatch: what was read back differs; no key was touched.
        """
        directory = self._directory
        steps = _Steps(len(contents) + len(self._found) + (directory.steps if directory is not None else 0), progress)
        for sector in reversed(self._plan.sectors):  # the last one is still open
            self._write_data(sector, contents, steps)
        if directory is not None:
            directory.write(steps.done)
            directory.secure(steps.done)
        for sector in self._plan.sectors:
            self._secure(sector, steps)

    def verify(self, contents: Contents) -> None:
        """See `Work`.

        Both new keys have to open each sector, its access bits and blocks have to be right, and the key that the card
        was delivered with has to be refused.

        Raises:
            Mismatch: one of these is not so.
        """
        self._fetch_keys()
        session = self._session
        session.select()
        for sector, wanted in self._wanted.items():
            if not session.opens(sector, By.A, wanted.key_a[0]):
                raise self._mismatch(f"key A of sector {sector}")
            trailer = session.read(geometry.trailer(sector))
            if trailer[6:10] != wanted.access.encode() + bytes([wanted.general_purpose]):
                raise self._mismatch(f"access bits of sector {sector}")
            for block in geometry.data(sector):
                if block in contents and session.read(block) != contents[block]:
                    raise self._mismatch(f"block {block}")
            if not session.opens(sector, By.B, wanted.key_b[0]):
                raise self._mismatch(f"key B of sector {sector}")
            if any(session.opens(sector, By.A, key) for key in wanted.transport if key != wanted.key_a[0]):
                raise self._mismatch(f"transport key of sector {sector}")
        if self._directory is not None:
            self._directory.verify()

    def read(self) -> Contents:
        """See `Work`; blocks that were read since they were written are not read again."""
        for sector in self._plan.sectors:
            self._read_data(sector, geometry.data(sector))
        return {block: self._session.known[block] for block in self._plan.blocks}

    def blank(self) -> Contents:
        """See `Work`."""
        return self._blank

    def _fetch_keys(self) -> None:
        if self._wanted:
            return
        uid = self._activation.uid
        self._wanted = {wanted.sector: wanted for wanted in self._plan.wanted(uid)}
        if self._plan.aid is not None:
            homes = tuple(self._plan.directory(uid))
            self._directory = Directory(self._session, homes, self._plan.aid, self._plan.sectors)

    def _open_all(self, *, resuming: bool) -> tuple[list[int], bool]:
        """Open every sector with a key that may do everything there.

        Returns:
            The sectors that no secret of ours opened, and whether all of these are as they were delivered.
        """
        unproven: list[int] = []
        is_blank = True
        first: tuple[By, bytes] | None = None
        for sector, wanted in self._wanted.items():
            is_likely_ours = resuming or (self._directory is not None and self._directory.named_us(sector))
            ways = tries(wanted, is_likely_ours=is_likely_ours)
            if first in ways:  # a card is rarely of two minds
                ways = (first, *(way for way in ways if way != first))
            opened = find(self._session, wanted, ways, resuming=resuming)
            self._found[sector] = opened
            first = opened.by, opened.key
            if wanted.proves(opened.key):
                continue
            unproven.append(sector)
            if not resuming:
                self._read_data(sector, geometry.data(sector))
                is_blank = is_blank and self._is_blank(opened, wanted)
        return unproven, is_blank

    def _is_ours(self, ours: Ours) -> bool:
        area = self.read()
        return ours(b"".join(area.values())) or (
            area == self._blank
            and all(
                (self._found[sector].access, self._found[sector].general_purpose)
                == (wanted.access, wanted.general_purpose)
                for sector, wanted in self._wanted.items()
            )
        )

    def _is_blank(self, opened: Opened, wanted: Wanted) -> bool:
        return (
            opened.by is By.A
            and opened.key in wanted.transport
            and opened.access == access_bits.TRANSPORT
            and opened.general_purpose == TRANSPORT_BYTE
            and not any(any(self._session.known[block]) for block in geometry.data(opened.sector))
        )

    def _read_data(self, sector: int, blocks: Iterable[int]) -> None:
        unread = [block for block in blocks if block not in self._session.known]
        if unread:
            reopen(self._session, self._found[sector])
        for block in unread:
            self._session.read(block)

    def _write_data(self, sector: int, contents: Contents, steps: _Steps) -> None:
        places = [block for block in geometry.data(sector) if block in contents]
        self._read_data(sector, places)
        changed = [block for block in places if self._session.known[block] != contents[block]]
        steps.skip(len(places) - len(changed))
        if not changed:
            return
        reopen(self._session, self._found[sector])
        for block in changed:
            self._session.write(block, contents[block])
            steps.done()
        for block in changed:
            if self._session.read(block) != contents[block]:
                raise Mismatch(f"block {block}")

    def _secure(self, sector: int, steps: _Steps) -> None:
        """Bring the newest keys and the access bits onto a sector, unless they are there."""
        wanted, found = self._wanted[sector], self._found[sector]
        newest = replace(
            found, by=By.B, key=wanted.key_b[0], access=wanted.access, general_purpose=wanted.general_purpose
        )
        if found == newest and self._has_key_a(wanted):
            steps.skip()
            return
        reopen(self._session, self._found[sector])
        self._session.write_trailer(sector, wanted.key_a[0], wanted.access, wanted.general_purpose, wanted.key_b[0])
        self._found[sector] = newest
        steps.done()

    def _has_key_a(self, wanted: Wanted) -> bool:
        """Whether key A is the newest; it is asked only where it may be another."""
        may_differ = self._is_resumed or len(wanted.key_a) > 1
        return not may_differ or self._session.opens(wanted.sector, By.A, wanted.key_a[0])

    def _mismatch(self, what: str) -> Mismatch:
        """What differs, once it is certain that the card still lies there.

        Raises:
            LinkError: it does not.
        """
        self._session.select()
        return Mismatch(what)


class _Steps:
    """Counts effects on a card, those included that were not needed."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._done = 0
        self._progress = progress

    def skip(self, steps: int = 1) -> None:
        """Count effects that are there already."""
        self._done += steps

    def done(self) -> None:
        """Count one effect and tell."""
        self._done += 1
        self._progress(self._done, self._total)
