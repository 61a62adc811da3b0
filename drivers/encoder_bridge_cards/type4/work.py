"""Writing one Type 4 Tag: look, hide the old message, write, read back, show the new one, proof."""

from __future__ import annotations

from encoder_bridge.driver import Card, CardRejected
from encoder_bridge_cards.link import Activation, Link, NoAnswer, Refused
from encoder_bridge_cards.personalisation import Contents, Mismatch, Ours, Progress
from encoder_bridge_cards.type4 import area, commands, container
from encoder_bridge_cards.type4.area import EMPTY
from encoder_bridge_cards.type4.commands import Declined
from encoder_bridge_cards.type4.container import Container

TECHNOLOGY = "nfc_type_4"

_Pieces = list[tuple[int, bytes]]


class Type4Work:
    """One Type 4 Tag; see `Work`.

    The length in front of the message becomes 0 before anything else changes, and the new length comes last, so that a
    card that was lifted too early shows readers no message rather than half of one.

    Args:
        link: where it lies, its NDEF application selected.
        activation: what selecting it told.
    """

    def __init__(self, link: Link, activation: Activation) -> None:
        self._link = link
        self._card = Card(technology=TECHNOLOGY, uid=None if activation.has_random_uid else activation.uid.hex())
        self._container: Container | None = None
        self._known = b""
        """How the file begins, as far as it was read since it was written."""
        self._is_resumed = False

    @property
    def card(self) -> Card:
        """See `Work`."""
        return self._card

    def survey(self, ours: Ours, *, resuming: bool) -> None:
        """See `Work`; anybody may write such a card, so a message that `ours` does not recognise is a stranger's.

        Raises:
            CardRejected: it was left as it was.
        """
        try:
            told = self._capabilities()
            commands.select_file(self._link, told.file)
            self._container = told
            self._is_resumed = resuming
            self._fetch(min(told.longest_read, told.size))
            if not resuming and self._length > 0 and not ours(self.read()[area.PLACE]):
                raise CardRejected("This card is used by another system: take another one.", raw="foreign_content")
        except Declined as error:
            raise _unprepared(error.raw) from None

    def write(self, contents: Contents, progress: Progress) -> None:
        """See `Work`.

        What is left of a longer message is overwritten with zeros.  On a card that was begun, and where everything is
        to be erased, that may be anywhere in the file.

        Raises:
            CardRejected: the message is too long for this card, or it declined the first step.
            Mismatch: what was read back differs, or the card declined in the middle; no new length was written.
        """
        wanted = area.file(contents)
        if len(wanted) > self._told.size:
            raise CardRejected("This card is too small: take a larger one.", raw="too_small")
        try:
            wanted = wanted.ljust(self._end(wanted), b"\0")
        except Declined as error:
            raise _unwritable(error.raw) from None
        length = self._known[: len(EMPTY)]
        pieces = self._changed(wanted)
        hiding: _Pieces = [(0, EMPTY)] if pieces and length != EMPTY else []
        showing: _Pieces = [(0, wanted[: len(EMPTY)])] if wanted[: len(EMPTY)] != (EMPTY if hiding else length) else []
        steps = _Steps(len(hiding) + len(pieces) + len(showing), progress)
        self._put(hiding + pieces, steps)
        self._compare(wanted, pieces)
        self._put(showing, steps)

    def verify(self, contents: Contents) -> None:
        """See `Work`; where no message is wanted, the whole file has to be zeros.

        Raises:
            Mismatch: it does not carry this.
        """
        wanted = area.file(contents)
        if wanted == EMPTY:
            wanted = bytes(self._told.size)
        activation = self._link.activate()
        if not activation.has_random_uid and activation.uid.hex() != self._card.uid:
            raise NoAnswer("another card")
        try:
            commands.select_application(self._link)
            commands.select_file(self._link, self._told.file)
            held = self._read(0, len(wanted))
        except Declined as error:
            raise Mismatch("NDEF file") from error
        if held != wanted:
            raise Mismatch("NDEF file")

    def read(self) -> Contents:
        """See `Work` and `area.placed`; of a message longer than the file there is the length alone."""
        try:
            self._fetch(len(EMPTY))
            end = len(EMPTY) + (self._length if self._is_whole else 0)
            self._fetch(end)
        except Declined as error:
            raise Refused(error.raw) from error
        return area.placed(self._known[:end])

    def blank(self) -> Contents:
        """See `Work`: no message."""
        return area.placed(EMPTY)

    def _capabilities(self) -> Container:
        """What the card says of its NDEF file.

        Raises:
            CardRejected: nothing of use, or that not everybody may read and write it.
            Declined: it declined.
        """
        commands.select_file(self._link, container.FILE)
        told = Container.decode(commands.read(self._link, 0, container.SIZE))
        if told is None:
            raise _unprepared("no_ndef_file")
        if not told.is_free:
            raise CardRejected("This card is locked: take another one.", raw="card_locked")
        return told

    @property
    def _told(self) -> Container:
        if self._container is None:
            raise RuntimeError("a card is surveyed first")
        return self._container

    @property
    def _length(self) -> int:
        """Of the message, as the card tells."""
        return int.from_bytes(self._known[: len(EMPTY)], "big")

    @property
    def _is_whole(self) -> bool:
        """Whether there can be a message of that length."""
        return self._length <= self._told.size - len(EMPTY)

    def _end(self, wanted: bytes) -> int:
        """Where the last byte that has to be written may be, with everything before it read where that is not sure."""
        if self._is_resumed or wanted == EMPTY:
            self._fetch(self._told.size)
            return self._told.size
        return max(len(wanted), len(EMPTY) + self._length)

    def _changed(self, wanted: bytes) -> _Pieces:
        """What differs behind the length, in pieces that one command writes."""
        step = self._told.longest_update
        pieces = ((at, wanted[at : at + step]) for at in range(len(EMPTY), len(wanted), step))
        return [(at, piece) for at, piece in pieces if self._known[at : at + len(piece)] != piece]

    def _put(self, pieces: _Pieces, steps: _Steps) -> None:
        for at, piece in pieces:
            self._known = b""
            try:
                commands.update(self._link, at, piece)
            except Declined as error:
                if steps.is_begun or not error.left_unchanged:
                    raise Mismatch("NDEF file") from error
                raise _unwritable(error.raw) from None
            steps.done()

    def _compare(self, wanted: bytes, pieces: _Pieces) -> None:
        """Read back what was written, in as few commands as one stretch takes.

        Raises:
            Mismatch: it differs.
        """
        if not pieces:
            return
        start, stop = pieces[0][0], pieces[-1][0] + len(pieces[-1][1])
        try:
            held = self._read(start, stop)
        except Declined as error:
            raise Mismatch("NDEF file") from error
        if held != wanted[start:stop]:
            raise Mismatch("NDEF file")

    def _fetch(self, stop: int) -> None:
        """Know the file up to there."""
        self._known += self._read(len(self._known), stop)

    def _read(self, start: int, stop: int) -> bytes:
        step = self._told.longest_read
        places = range(start, stop, step)
        return b"".join(commands.read(self._link, at, min(step, stop - at)) for at in places)


class _Steps:
    """Effects on the card, counted."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._done = 0
        self._progress = progress

    @property
    def is_begun(self) -> bool:
        """Whether there was one."""
        return self._done > 0

    def done(self) -> None:
        """Count one effect and tell."""
        self._done += 1
        self._progress(self._done, self._total)


def _unprepared(raw: str) -> CardRejected:
    return CardRejected("This card is not prepared for NDEF messages: take another one.", raw=raw)


def _unwritable(raw: str) -> CardRejected:
    return CardRejected("This card does not let itself be written: take another one.", raw=raw)
