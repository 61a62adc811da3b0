"""What a vendor's bench offers to the contract suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from encoder_bridge.driver import Card, Credential, Driver, Prompt, Secret, Settings


class Person(Protocol):
    """Whoever does what the prompt says; called in the event loop just after the prompt, and must not block.

    `Prompt.KEEP_CARD` calls nobody: the card lies there already.  For `Prompt.WRONG_CARD` they are told `SAME_CARD`
    once more, with the card that is wanted.

    The driver gets ready after it has asked, so a hand that could come too early (a swipe) waits for the device.
    """

    def fresh(self, prompt: Prompt) -> None:
        """Do what `prompt` says with a card that was never written to, taking away any other."""

    def again(self, prompt: Prompt, card: Card | None) -> None:
        """Do what `prompt` says with `card`; None means the card used last or, if there is none, a fresh one."""

    def lift(self) -> None:
        """Take every card off the device."""


def no_secret(name: str) -> bytes:
    """Stand in for the secrets of a driver that has none.

    Raises:
        LookupError: always.
    """
    raise LookupError(f"this rig has no secret named {name!r}")


@dataclass(kw_only=True)
class Rig:
    """One driver, one device it can open, and somebody with a stack of cards."""

    driver: Driver
    """What the package's entry point names."""

    settings: Settings
    """Settings that open the device."""

    person: Person
    """Who lays down, swipes and lifts cards."""

    credential: Callable[[int], Credential]
    """A credential the device accepts with that sequence, 1 and up; another sequence, another access method."""

    snapshot: Callable[[], object]
    """All that is on all cards, read past the driver: equal if and only if nothing was changed on any of them.
    A card that was merely laid down, lifted or swiped for a check changes nothing."""

    carries: Callable[[Credential], int]
    """How many cards would open the door with that credential, counted past the driver."""

    canaries: Sequence[str | bytes]
    """Keys, guests' names and card contents that occur in the settings' secrets and in the credentials and that
    must turn up in no log, no `repr`, no intent and no error; long enough not to occur by chance."""

    secret: Secret = no_secret
    """Secrets by name, as the settings name them."""

    impossible: Credential | None = None
    """A credential that this device can put on no card, if there is such a thing."""

    faults: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    """Named accidents; calling one makes it happen, once, during the next write: a card lifted, a reply lost.
    Each has to show in an error, in another way at the desk, or in a line of the log that good runs do not have."""

    patience_s: float = 30.0
    """Seconds; the longest that one call may take when the person does as asked."""
