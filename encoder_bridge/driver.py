"""The driver port: all that a lock vendor's package imports at run time.

A driver is a package of its own.  It registers one object in the entry-point group `encoder_bridge.drivers`::

    [project.entry-points."encoder_bridge.drivers"]
    acme = "encoder_bridge_acme:driver"

Errors are classed by what the core does next::

    DriverError
    ├── DeviceUnavailable   close, reopen with back-off, same job again
    ├── NoCard              the device itself gave up waiting: the job goes back into the queue
    ├── CardRejected        this card will not do: ask for another, same job
    ├── CredentialRejected  no card can take it: the job fails
    ├── SettingsRejected    the configuration is refused: the daemon does not start, exit code 78
    ├── Withdrawn           the desk withdrew the job, which is cancelled, expired or queued again
    └── Unsure              a card may carry all, part or nothing: the job is resumed, never repeated

Every `DriverError` except `Unsure` **asserts that this call changed no card**.

The verbs carry only plain data, so a later transport (the same verbs as lines over standard input and output, for
drivers in other languages) needs no change here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

PORT = (1, 1)
"""Version of this port: (major, minor).  A driver states, as a literal, the version it was built against.

1.1 added `TakesProfiles` and `Found.about`.
"""

Settings = Mapping[str, object]
"""An encoder's own table from the configuration, without the keys that belong to the core."""

Secret = Callable[[str], bytes]
"""Fetch a secret by its name in the configuration.  Never keep the result, log it or put it into an `Intent`."""


class Evidence(StrEnum):
    """How a finished write is known."""

    READ_BACK = "read_back"
    """The driver read the card after the write and compared."""
    CONTROL_PLANE = "control_plane"
    """The access system says so."""
    ATTESTED = "attested"
    """The device said so and cannot read back."""


class Prompt(StrEnum):
    """What the person at the desk is to do now."""

    PLACE_CARD = "place_card"
    """Lay down a card that may be written."""
    SAME_CARD = "same_card"
    """Lay down the very card named beside the prompt, or, if none is named, the one used last."""
    WRONG_CARD = "wrong_card"
    """The card that lies there, named beside the prompt where it can be, is not the very card that is wanted: lay down
    that one, or say that it is gone.  For a resume alone; say `SAME_CARD` again once the wrong card is off."""
    KEEP_CARD = "keep_card"
    """Leave the card where it is."""
    SWIPE_TO_WRITE = "swipe_to_write"
    SWIPE_TO_CHECK = "swipe_to_check"


class DriverError(Exception):
    """What a driver may raise; anything else that escapes it is a bug in the driver.

    Args:
        sentence: one sentence for the desk: what happened and what to do.  No secret, no guest's name.
        raw: the device's own word, kept for the log: status word, serial status byte, Seam error type.
        error_type: Seam's encode error type where one fits better than the class's own.
    """

    error_type: str = "uncategorized_error"

    def __init__(self, sentence: str, *, raw: object = None, error_type: str | None = None) -> None:
        super().__init__(sentence)
        self.raw = raw
        if error_type is not None:
            self.error_type = error_type


class DeviceUnavailable(DriverError):
    """The device is unplugged, dead or busy elsewhere.  No card was changed."""

    error_type = "encoder_not_online"


class NoCard(DriverError):
    """The device itself gave up waiting for a card.  No card was changed."""

    error_type = "no_credential_on_encoder"


class CardRejected(DriverError):
    """This card is foreign, full, locked or of the wrong kind; another may do.  It was left as it was."""

    error_type = "incompatible_card_format"


class CredentialRejected(DriverError):
    """No card can take this credential with this device.  No card was changed."""

    error_type = "credential_rejected"


class SettingsRejected(DriverError):
    """A key is unknown, missing or wrong; the sentence names it.

    For `Driver.check` alone.  At the start of the daemon it refuses the whole configuration: no encoder is started, the
    exit code is 78.
    """

    error_type = "settings_rejected"


class Withdrawn(DriverError):
    """The desk withdrew the job before this call changed a card."""

    error_type = "withdrawn"


class Unsure(DriverError):
    """A card may carry all, part or nothing of the credential.  The core calls again with the last `Intent`."""

    error_type = "encoding_interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One piece of plastic, as far as the device can tell it from another."""

    technology: str
    uid: str | None = None
    """Lower-case hex; None where there is none (magstripe), where it is another each time (random uid) or where nobody
    here saw it (delegated)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What one card has to carry; identical in every attempt of one job, sequence included."""

    access_method_id: str
    profile: str
    """Name of the card profile that decides what is written."""
    sequence: int
    """Minted once for a job and the same in all its attempts; a lock that counts cards is given this number.

    It grows with every new card for one of the entrances (for the stay, where no entrance is named); a copy (`joins`)
    carries the number of the card it joins."""
    joins: bool = False
    """True: earlier cards keep working (a copy)."""
    entrances: tuple[str, ...] = ()
    starts_at: datetime | None = None
    """Aware, in the property's zone."""
    ends_at: datetime | None = None
    """Aware, in the property's zone."""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Room, guest and the like: personal."""
    data: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Contents the trigger brought, computed elsewhere: secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is on disk before any effect, and given back on resume.  No secret and no personal data."""

    card: Card | None
    note: Mapping[str, str] = field(default_factory=dict)
    """The driver's own: key versions, digests, an action attempt's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is known of one finished write."""

    evidence: Evidence
    card: Card | None
    note: Mapping[str, str] = field(default_factory=dict)
    """Digest of what was read back, card number, the vendor's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A card as it was read."""

    card: Card
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an open device can do."""

    technologies: frozenset[str]
    evidence: Evidence
    """The best evidence its receipts can carry."""
    silence_s: float
    """Seconds; the longest gap between two calls to the `Desk` once a write is intended, and the longest
    time from a withdrawal to the end of the call.  Past it the device counts as hung."""
    time_step_s: int = 1
    """Seconds; resolution of the validity that a card can carry, counted from local midnight.  The core has rounded
    `starts_at` up and `ends_at` down to it before the driver sees them."""
    max_entrances: int | None = None
    tells_cards_apart: bool = True
    """False: no card has an identity here (magstripe, a control plane that names none), so that another guest's card
    cannot be told from a blank one; the desk is told that nobody checks.  A single card without a lasting identity (a
    random uid) has `Card.uid` None instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A device that `Driver.discover` saw."""

    identity: str
    """Serial number or reader name, never a port."""
    settings: Settings
    """What to put into the configuration to open it."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What it is and can do, for people: model, technologies, light."""


class Desk(Protocol):
    """What the core hands to every call that needs a card: the person, the journal and the way out."""

    def ask(self, prompt: Prompt, card: Card | None = None) -> None:
        """Tell the person what to do now.  Replaces the previous prompt."""

    def progress(self, done: int, total: int) -> None:
        """Say how far the write is, in steps of the driver's choosing.

        Also the sign of life: a device that has to wait for a person after `intend` (a swipe, a control plane) repeats
        the same figures within its promised silence.
        """

    async def intend(self, intent: Intent) -> None:
        """Commit `intent` to disk.  Await it before the first effect and again whenever the note grows.

        Raises:
            Withdrawn: a veto, on the first call of an encode only: the job is off.  Touch nothing and let it through.
            CardRejected: another one, with the error type `card_in_use`: the card's uid is the intent of another open
                job, or it carries a credential of another access method that was made here, is still valid and was not
                deleted.  A card without a uid cannot be judged, and is not.
        """

    async def withdrawn(self) -> None:
        """Return once the job is off: cancelled, out of time, wanted elsewhere.

        Race it with every wait, and raise `Withdrawn` if nothing was intended yet.  After `intend` a started write is
        brought to its end; a device that has still changed nothing, and can be sure of it, may raise `Withdrawn` too.
        """


@runtime_checkable
class Device(Protocol):
    """One open device, one caller at a time.

    asyncio cancellation means that the daemon shuts down, and nothing else.  A started blocking write is
    awaited to its end all the same.
    """

    @property
    def capabilities(self) -> Capabilities:
        """Constant while the device is open."""

    async def lost(self) -> None:
        """Return once the device is unplugged or dead."""


@runtime_checkable
class Encoder(Device, Protocol):
    """A device that writes cards."""

    def check(self, credential: Credential) -> None:
        """Judge a credential before anyone is prompted.  No I/O.

        Raises:
            CredentialRejected: this device can put it on no card.
        """

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        """Ask for a card, write `credential` to it and, where the device can, read it back.

        Await ``desk.intend`` before the first byte reaches a card.  With `resume`, an earlier call died or
        ended in `Unsure` after that intent: first find out what it did, by reading the card, by a check swipe,
        by asking the access system; never write blindly, and write only to the card that was intended.

        Raises:
            DriverError: any but `SettingsRejected`.
        """


@runtime_checkable
class Reader(Device, Protocol):
    """A device that tells what is on a card."""

    async def read(self, desk: Desk) -> Contents:
        """Ask for a card and read it, changing nothing."""


@runtime_checkable
class Eraser(Device, Protocol):
    """A device that blanks a card made here."""

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        """Ask for a card, blank it and read it back; same rules as `Encoder.encode`."""


@runtime_checkable
class Sensing(Device, Protocol):
    """A device that knows whether a card lies on it."""

    async def lifted(self) -> None:
        """Return once no card lies on it.  The core arms the next job only then.

        Cancelled while it waits, it has let go of the device when it ends: the card that lies there is to be read.
        """


@runtime_checkable
class Signaller(Device, Protocol):
    """A device with a light or a buzzer."""

    async def signal(self, ok: bool) -> None:
        """Say, at the device, whether the card may be handed out."""


class Driver(Protocol):
    """What an `encoder_bridge.drivers` entry point names."""

    @property
    def port(self) -> tuple[int, int]:
        """The `PORT` this driver was built against, as a literal: ``port = (1, 0)``."""

    def check(self, settings: Settings, secret: Secret) -> None:
        """Judge settings without any I/O.

        Raises:
            SettingsRejected: a key is unknown, missing or wrong; the daemon does not start, exit code 78.
        """

    async def discover(self, settings: Settings, secret: Secret) -> Sequence[Found]:
        """List the devices that are plugged in, opening none for longer than it takes to tell."""

    def open(self, settings: Settings, secret: Secret) -> AbstractAsyncContextManager[Device]:
        """Open one device; leaving the context closes it, however often it was closed before.

        Raises:
            DeviceUnavailable: on entering; the core tries again with back-off.
        """


@runtime_checkable
class TakesProfiles(Protocol):
    """A driver whose cards' contents are chosen by the card profiles of the configuration.

    Its `Settings` then hold all of them under ``profiles``: a mapping from each profile's name, which is what
    `Credential.profile` names, to its table.  What stands in a table is between the driver and whoever configures it.
    """

    @property
    def takes_profiles(self) -> bool:
        """True."""
