"""One DESFire card: look, application, files, data in one commit, read back, keys, proof."""

from __future__ import annotations

from encoder_bridge.driver import Card
from encoder_bridge_cards.desfire import refusal
from encoder_bridge_cards.desfire.plan import Plan
from encoder_bridge_cards.desfire.survey import Survey
from encoder_bridge_cards.desfire.version import Generation
from encoder_bridge_cards.desfire.writing import Writing
from encoder_bridge_cards.link import Activation, Link, NoAnswer
from encoder_bridge_cards.personalisation import Contents, Mismatch, Ours, Progress


class DesfireWork:
    """One DESFire card; see `Work`.

    Args:
        link: where it lies, just selected and identified.
        activation: what selecting it told.
        plan: what the profile wants of it.
        generation: what it is.
    """

    def __init__(self, link: Link, activation: Activation, plan: Plan, generation: Generation) -> None:
        self._link = link
        self._activation = activation
        self._plan = plan
        self._opens = plan.opener(generation)
        self._surveyed: Writing | None = None
        uid = None if activation.has_random_uid else activation.uid.hex()
        self._card = Card(technology=generation.value, uid=uid)

    @property
    def card(self) -> Card:
        """See `Work`."""
        return self._card

    def survey(self, ours: Ours, *, resuming: bool) -> None:
        """See `Work`.

        The card tells which key it has, so no key is tried that cannot be right: one of the application, and one of the
        card's own where the profile or a random number calls for it.

        An application that has no key yet is taken for one of ours that was lifted too early if it is like ours in
        every setting and if this very card was begun, or if there are only zeros in it or what `ours` recognises.
        Anything else in our place is somebody else's.

        Raises:
            CardRejected: it was left as it was.
        """
        if self._opens is None:
            raise refusal.too_old()
        uid = None if self._activation.has_random_uid else self._activation.uid
        with refusal.untouched():
            found = Survey(self._link, uid, self._plan, self._opens).run(ours, resuming=resuming)
        self._card = Card(technology=self._card.technology, uid=found.uid.hex())
        self._surveyed = Writing(self._link, self._plan, self._opens, found)

    def write(self, contents: Contents, progress: Progress) -> None:
        """See `Work`.

        Raises:
            Mismatch: what was read back differs, or the card declined in the middle; no later step was taken.
            CardRejected: the card declined the first step.
        """
        effects = list(self._writing.effects(contents, shows_uid=not self._activation.has_random_uid))
        for step, (what, effect) in enumerate(effects, start=1):
            with refusal.untouched() if step == 1 else refusal.begun(what):
                effect()
            progress(step, len(effects))

    def verify(self, contents: Contents) -> None:
        """See `Work`.

        The newest key that reads and the newest master key have to open the application; of the other keys the card has
        to tell the newest version.

        Raises:
            Mismatch: one of these is not so, or a file differs.
        """
        activation = self._link.activate()
        if not activation.has_random_uid and activation.uid.hex() != self._card.uid:
            raise NoAnswer("another card")
        self._writing.prove(contents, shows_uid=not activation.has_random_uid)
        if self._plan.random_uid and not activation.has_random_uid:
            raise Mismatch("random number")

    def read(self) -> Contents:
        """See `Work`; a file that is not there yet reads as zeros."""
        return {number: self._writing.content(number) for number in self._plan.files}

    def blank(self) -> Contents:
        """See `Work`."""
        return {number: bytes(size) for number, size in self._plan.sizes.items()}

    @property
    def _writing(self) -> Writing:
        if self._surveyed is None:
            raise RuntimeError("a card is surveyed first")
        return self._surveyed
