"""Looking at the card that lies there, before anything is done to it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from encoder_bridge import driver
from encoder_bridge.driver import Card, CardRejected, Credential, CredentialRejected, SettingsRejected
from encoder_bridge_cards.formats.raw import RawFormat
from encoder_bridge_cards.link import Activation, Link
from encoder_bridge_cards.personalisation import COUNTED_TRY, Contents, Layout, Mismatch, Ours, Progress, Work
from encoder_bridge_cards.profile import Profile

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A card that may be worked on, and what it is to carry."""

    work: Work
    contents: Contents = field(repr=False)
    note: Mapping[str, str]

    @property
    def card(self) -> Card:
        """The card."""
        return self.work.card

    def write(self, progress: Progress) -> None:
        """Write the card and prove it.

        Raises:
            CardRejected: it was left as it was.
            Mismatch: it does not carry what it should.
            LinkError: the link broke off.
        """
        self.work.write(self.contents, progress)
        self.work.verify(self.contents)

    def is_done(self) -> bool:
        """Whether a card that was begun carries everything already.

        Raises:
            LinkError: the link broke off.
        """
        try:
            self.work.verify(self.contents)
        except Mismatch:
            return False
        return True


def for_writing(
    profile: Profile, credential: Credential, link: Link, activation: Activation, *, resuming: bool
) -> Seen:
    """Look whether a card can take a credential, and which bytes that makes.

    Raises:
        CardRejected: another one may.
        CredentialRejected: no card of this kind can.
        LinkError: the link broke off.
    """
    try:
        for layout, work in _works((profile,), link, activation):
            work.survey(_ours(profile, work, activation), resuming=resuming)
            uid = _uid(work)
            note = {"profile": profile.name, "written": str(layout.capacity > 0).lower()}
            contents = _fitting(profile, layout, credential, uid)
            if not isinstance(profile.format, RawFormat):
                contents = _nothing_left(work, contents)
            return Seen(work=work, contents=contents, note=note)
    except SettingsRejected as error:
        raise CredentialRejected(str(error)) from None
    kinds = sorted(technology for layout in profile.layouts for technology in layout.technologies)
    raise CardRejected(f"This kind of card is not used here: lay down one of {', '.join(kinds)}.")


def for_blanking(profiles: Sequence[Profile], link: Link, activation: Activation, *, resuming: bool) -> Seen:
    """Look whether a card carries something of ours.

    Raises:
        CardRejected: it does not.
        LinkError: the link broke off.
    """
    sentence = "This card was not made here: lay down one that was."
    for profile in profiles:
        for layout, work in _works((profile,), link, link.activate()):
            try:
                work.survey(_ours(profile, work, activation), resuming=resuming)
                _uid(work)
            except (CardRejected, SettingsRejected) as error:
                _log.info("not a card of profile %s: %s", profile.name, error)
                if isinstance(error, CardRejected) and error.raw == COUNTED_TRY:
                    raise CardRejected(sentence, raw=COUNTED_TRY, error_type="card_not_made_here") from error
                continue
            if layout.locks:
                sentence = "This card is locked for ever and cannot be blanked: destroy it."
                continue
            blank, carried = work.blank(), work.read()
            is_filled = any(map(any, carried.values())) and any(carried[place] != blank[place] for place in blank)
            if resuming or is_filled:
                return Seen(work=work, contents=blank, note={"profile": profile.name})
            sentence = "This card is blank: nothing has to be erased."
    raise CardRejected(sentence, raw="foreign_content", error_type="card_not_made_here")


def at_contents(profiles: Sequence[Profile], link: Link, activation: Activation) -> driver.Contents:
    """Tell what a card carries, as far as our profiles know it.

    Raises:
        LinkError: the link broke off.
    """
    places = [profile for profile in profiles if any(layout.capacity for layout in profile.layouts)]
    told = {"state": "foreign"} if places else {}
    card = Card(technology=activation.family.value, uid=None if activation.has_random_uid else activation.uid.hex())
    for profile in places:
        for _, work in _works((profile,), link, link.activate()):
            card = work.card
            try:
                work.survey(_ours(profile, work, activation), resuming=False)
                uid = _uid(work)
                carried, blank = work.read(), work.blank()
                area = b"".join(carried.values())
                fields = profile.format.tells(area, uid)
            except (CardRejected, SettingsRejected) as error:
                _log.info("not a card of profile %s: %s", profile.name, error)
                if isinstance(error, CardRejected) and error.raw == COUNTED_TRY:
                    raise
                continue
            card = work.card
            if fields is not None:
                return driver.Contents(card=card, fields={"state": "whole", "profile": profile.name, **fields})
            is_blank = not any(area) or all(carried[place] == content for place, content in blank.items())
            if not is_blank or told["state"] == "foreign":
                told = {"state": "blank" if is_blank else "unknown"}
    return driver.Contents(card=card, fields=told)


def _fitting(profile: Profile, layout: Layout, credential: Credential, uid: bytes) -> Contents:
    """What this kind of card is to carry; another kind was found to take the credential before a card was asked for.

    Raises:
        CardRejected: this kind does not.
    """
    try:
        return profile.contents(layout, credential, uid)
    except CredentialRejected as error:
        raise CardRejected(f"This kind of card will not do: take another kind. {error}") from None


def _nothing_left(work: Work, contents: Contents) -> Contents:
    """Contents that also blank what an older, longer image left in the profile's place."""
    left = {place: bytes(len(data)) for place, data in work.read().items() if any(data)}
    return dict(sorted({**left, **contents}.items()))


def _works(profiles: Sequence[Profile], link: Link, activation: Activation) -> Iterator[tuple[Layout, Work]]:
    """The technologies of the profiles that the card has; one at most of each profile."""
    for profile in profiles:
        for layout in profile.layouts:
            if layout.fits(activation) and (work := layout.on(link, activation)) is not None:
                yield layout, work
                break


def _ours(profile: Profile, work: Work, activation: Activation) -> Ours:
    """What recognises a profile's contents on this card, whose lasting number the look itself may have to learn."""

    def ours(area: bytes) -> bool:
        uid = bytes.fromhex(work.card.uid) if work.card.uid is not None else activation.uid
        return profile.format.tells(area, uid) is not None

    return ours


def _uid(work: Work) -> bytes:
    """The card's lasting number.

    Raises:
        CardRejected: it has none that can be learnt.
    """
    if work.card.uid is None:
        raise CardRejected("This card shows another number each time: take one with a number that stays.")
    return bytes.fromhex(work.card.uid)
