"""What is left to do on a DESFire card that was looked at, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from encoder_bridge_cards.desfire import commands, refusal
from encoder_bridge_cards.desfire.channel import Declined, Forged, select
from encoder_bridge_cards.desfire.opening import open_card
from encoder_bridge_cards.desfire.plan import FACTORY, MASTER, Open, Plan
from encoder_bridge_cards.desfire.survey import Found
from encoder_bridge_cards.keys import Key
from encoder_bridge_cards.link import Link, NoAnswer, Refused
from encoder_bridge_cards.personalisation import Contents, Mismatch

Effect = tuple[str, Callable[[], None]]
"""One step, and what is not as it should be where the card declines it."""


class Writing:
    """The steps that bring contents and keys onto one card.

    Args:
        link: where it lies.
        plan: what the profile wants.
        opens: how a session is opened.
        found: what the card was found to be.
    """

    def __init__(self, link: Link, plan: Plan, opens: Open, found: Found) -> None:
        self._link = link
        self._plan = plan
        self._opens = opens
        self._found = found
        self._channel = found.channel
        self._contents = dict(found.contents)
        self._newest = {number: key.of(found.uid)[0] for number, key in plan.keys.items()}

    def effects(self, contents: Contents, *, shows_uid: bool) -> Iterator[Effect]:
        """What is not done yet, in the order in which it is safe.

        Args:
            contents: by file.
            shows_uid: the card still shows the same number each time.

        Raises:
            LinkError: the link broke off.
        """
        if not self._found.is_there:
            yield "application", self._create_application
        for number in sorted(self._plan.files.keys() - self._found.files):
            yield f"file {number}", partial(self._create_file, number)
        changed = {number: content for number, content in contents.items() if self.content(number) != content}
        for number, content in changed.items():
            yield f"file {number}", partial(self._write, number, content)
        if changed:
            yield "commit", partial(self._commit, changed)
        for number in sorted(self._plan.keys, reverse=True):
            old, new = self._found.keys.get(number, FACTORY), self._newest[number]
            if old != new:
                yield f"key {number}", partial(self._change_key, number, new, old)
        if self._plan.random_uid and shows_uid:
            yield "random number", self._configure_random_uid

    def content(self, number: int) -> bytes:
        """Read a file, unless it is known; zeros where it is not there yet.

        Raises:
            Refused: the card will not.
            LinkError: the link broke off.
        """
        if number not in self._contents:
            self._contents[number] = (
                self._read(number) if number in self._found.files else bytes(self._plan.sizes[number])
            )
        return self._contents[number]

    def prove(self, contents: Contents, *, shows_uid: bool) -> None:
        """Open the application of a card that was just selected with the newest keys, and compare.

        The key that reads and the master key have to open it; of the others the card has to tell the newest version.

        Args:
            contents: by file.
            shows_uid: it was seen to be the same card; else it is asked.

        Raises:
            Mismatch: one of these is not so, or a file differs.
            LinkError: the link broke off.
        """
        newest, reader = self._newest, self._plan.read_key
        with refusal.begun("application"):
            application = select(self._link, self._plan.aid)
        with refusal.begun(f"key {reader}"):
            _compare(f"key {reader}", commands.key_version(application, reader), newest[reader].version)
            channel = self._opens(application, reader, newest[reader].value)
            if not shows_uid and commands.uid(channel) != self._found.uid:
                raise NoAnswer("another card")
        for number in sorted(newest.keys() - {reader}):
            with refusal.begun(f"key {number}"):
                _compare(f"key {number}", commands.key_version(channel, number), newest[number].version)
        for number, content in contents.items():
            with refusal.begun(f"file {number}"):
                _compare(f"file {number}", commands.read(channel, number, self._plan.files[number]), content)
        if reader != MASTER:
            with refusal.begun(f"key {MASTER}"):
                self._opens(application, MASTER, newest[MASTER].value)

    def _read(self, number: int) -> bytes:
        try:
            return commands.read(self._channel, number, self._plan.files[number])
        except Declined as error:
            raise Refused(error.status) from None
        except Forged as error:
            raise NoAnswer(error.what) from None

    def _create_application(self) -> None:
        commands.create_application(self._channel, self._plan.aid, self._plan.settings)
        with refusal.begun(f"key {MASTER}"):
            self._channel = self._opens(select(self._link, self._plan.aid), MASTER, FACTORY.value)

    def _create_file(self, number: int) -> None:
        commands.create_file(self._channel, number, self._plan.files[number])

    def _write(self, number: int, content: bytes) -> None:
        """Write from the first byte that differs to the last."""
        differ = [at for at, (old, new) in enumerate(zip(self.content(number), content, strict=True)) if old != new]
        start, end = differ[0], differ[-1] + 1
        del self._contents[number]
        commands.write(self._channel, number, start, content[start:end], self._plan.mode)

    def _commit(self, changed: Contents) -> None:
        commands.commit(self._channel)
        for number, content in changed.items():
            _compare(f"file {number}", commands.read(self._channel, number, self._plan.files[number]), content)
        self._contents.update(changed)

    def _change_key(self, number: int, new: Key, old: Key) -> None:
        """Change a key; the session's own is the last one, and ends the session."""
        self._channel.change_key(number, new, None if number == MASTER else old)

    def _configure_random_uid(self) -> None:
        card = open_card(select(self._link, 0), self._plan, self._opens, self._found.uid)
        commands.configure_random_uid(card)


def _compare(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Mismatch(what)
