"""Looking at a DESFire card: is our application there, whose is it, which keys has it, is there room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from encoder_bridge_cards.desfire import commands, refusal
from encoder_bridge_cards.desfire.channel import Channel, Declined, Plain, Status, select
from encoder_bridge_cards.desfire.opening import current, open_card
from encoder_bridge_cards.desfire.plan import FACTORY, MASTER, Open, Plan
from encoder_bridge_cards.keys import Key
from encoder_bridge_cards.link import Link
from encoder_bridge_cards.personalisation import Ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a card that may be written was found to be, and the way in."""

    uid: bytes
    """The number that stays."""
    channel: Channel
    """Where the application is there, a session with its key 0; else one on which it may be created."""
    is_there: bool = False
    """The application."""
    files: frozenset[int] = frozenset()
    """Those of the profile's files that are there."""
    keys: dict[int, Key] = field(default_factory=dict)
    """The application's keys as they are now."""
    contents: dict[int, bytes] = field(default_factory=dict, repr=False)
    """Of the files that were read."""


class Survey:
    """One look at one card that was just selected.

    Args:
        link: where it lies.
        uid: its number; None: it shows another one each time.
        plan: what the profile wants.
        opens: how a session is opened.
    """

    def __init__(self, link: Link, uid: bytes | None, plan: Plan, opens: Open) -> None:
        self._link = link
        self._uid = uid
        self._plan = plan
        self._opens = opens

    def run(self, ours: Ours, *, resuming: bool) -> Found:
        """Look; see `Work.survey`.

        Raises:
            CardRejected: the card will not do.
            Declined: the card declined.
            Forged: an answer cannot be trusted.
            LinkError: the link broke off.
        """
        if self._plan.random_uid and self._uid is not None:
            self._open_card(Plain(self._link))  # the last step will need it
        application = self._select()
        return self._vacant() if application is None else self._taken(application, ours, resuming=resuming)

    def _select(self) -> Plain | None:
        try:
            return select(self._link, self._plan.aid)
        except Declined as error:
            if error.status is Status.NO_SUCH_APPLICATION:
                return None
            raise

    def _vacant(self) -> Found:
        """A card without our application; its own level is still selected."""
        channel: Channel = Plain(self._link)
        uid = self._uid
        if uid is None:
            channel = self._open_card(Plain(self._link))
            uid = commands.uid(channel)
        elif not _creates_freely(channel):
            if self._plan.picc is None:
                raise refusal.locked()
            channel = self._open_card(Plain(self._link))
        if commands.free_memory(channel) < self._plan.memory:
            raise refusal.full()
        return Found(uid=uid, channel=channel)

    def _taken(self, application: Plain, ours: Ours, *, resuming: bool) -> Found:
        """A card with our application, or with somebody else's under its number.

        What anybody may ask is asked first: a key that is tried in vain leaves a trace on a stranger's card.
        """
        version = commands.key_version(application, MASTER)
        there = self._files(application, is_blank=version == FACTORY.version)
        channel, master = self._open(application, version)
        uid = self._uid = self._uid or commands.uid(channel)
        is_unclaimed = master == FACTORY and not resuming
        contents = self._unclaimed(channel, there, ours) if is_unclaimed else {}
        keys = {
            number: current(key, uid, commands.key_version(channel, number)) if number != MASTER else master
            for number, key in self._plan.keys.items()
        }
        return Found(uid=uid, channel=channel, is_there=True, files=there, keys=keys, contents=contents)

    def _files(self, application: Plain, *, is_blank: bool) -> frozenset[int]:
        """Which of the profile's files are there: all of them, unless the application is blank.

        Raises:
            CardRejected: its keys or a file are not set up like the profile's, or there are others.
        """
        files = self._plan.files
        try:
            is_ours = commands.key_settings(application) == self._plan.settings
            there = commands.file_numbers(application) if is_blank else frozenset(files)
            for number in sorted(there):
                is_ours = (
                    is_ours and number in files and files[number].is_in(commands.file_settings(application, number))
                )
        except Declined as error:
            if error.status not in (Status.AUTHENTICATION, Status.PERMISSION_DENIED, Status.NO_SUCH_FILE):
                raise
            is_ours = False
        if not is_ours:
            raise refusal.foreign()
        return there

    def _open(self, application: Plain, version: int) -> tuple[Channel, Key]:
        """Open a session with the application's key 0, which has this version."""
        key = self._plan.keys[MASTER]
        if self._uid is None and key.diversify is not None and version != FACTORY.version:
            self._uid = commands.uid(self._open_card(select(self._link, 0)))
            application = select(self._link, self._plan.aid)
        master = current(key, self._uid, version)
        return self._opens(application, MASTER, master.value), master

    def _open_card(self, plain: Plain) -> Channel:
        return open_card(plain, self._plan, self._opens, self._uid)

    def _unclaimed(self, channel: Channel, there: Iterable[int], ours: Ours) -> dict[int, bytes]:
        """Read an application that has no key yet and that nobody here remembers to have begun.

        Raises:
            CardRejected: there is something in it that somebody else might miss.
        """
        contents = {number: commands.read(channel, number, self._plan.files[number]) for number in sorted(there)}
        area = b"".join(contents.values())
        if any(area) and not ours(area):
            raise refusal.foreign()
        return contents


def _creates_freely(channel: Channel) -> bool:
    """Whether the card lets applications be created without a key; where it does not tell, it does not."""
    try:
        settings = commands.key_settings(channel)
    except Declined as error:
        if error.status in (Status.AUTHENTICATION, Status.PERMISSION_DENIED):
            return False
        raise
    return settings is not None and settings.creates_freely
