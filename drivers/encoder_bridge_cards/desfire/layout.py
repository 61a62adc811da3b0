"""Where on a MIFARE DESFire card a profile's contents go, and under which keys.

::

    [profiles.guest.desfire]
    application = "f51234"  # the application id as it is printed: highest byte first
    file = 1  # number of the file, 0 to 31
    size = 64  # its bytes
    comm = "full"  # how it is read and written: plain, mac or full (encrypted)
    protocol = "auto"  # ev1, ev2, or the newest one that the card knows
    read_key = 1  # number of the key that reads the file
    write_key = 2  # number of the key that writes it; key 0 does both and changes keys
    max_keys = 3  # optional: how many keys the application has; those without a table stay zeros
    random_uid = false  # true: the card shows another number each time from now on, FOR EVER

    [profiles.guest.desfire.keys.0]  # AES; the application's own master key, then one table for each other number
    secret = "guest-master"
    version = 1  # 1 to 255 and another one for each new key: a card tells its keys by it, and 0 is that of no key

    [profiles.guest.desfire.picc]  # optional: the card's own master key (AES) where it is not the one of delivery

    [profiles.guest.desfire.files]  # instead of `file` and `size`: several files for contents computed elsewhere
    1 = 64
    2 = 32

The values shown are those that hold where nothing is said, but for `application`, `secret` and `version`.  All files
are backup files: what is written shows at once and whole, or not at all.  An image goes into the file with the lowest
number.
"""

from __future__ import annotations

from collections.abc import Mapping

from encoder_bridge.driver import CredentialRejected, Secret, SettingsRejected
from encoder_bridge_cards import keys
from encoder_bridge_cards.desfire import version
from encoder_bridge_cards.desfire.channel import Mode
from encoder_bridge_cards.desfire.plan import MASTER, Plan, Protocol
from encoder_bridge_cards.desfire.version import Generation
from encoder_bridge_cards.desfire.work import DesfireWork
from encoder_bridge_cards.keys import CardKey
from encoder_bridge_cards.link import Activation, Family, Link
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.tables import Table

_LAST_FILE = 31
_LAST_KEY = 13
_LARGEST = 8192


class DesfireLayout:
    """MIFARE DESFire EV1, EV2 and EV3; see `Layout`.

    Args:
        plan: what the profile wants.
    """

    technologies = frozenset(generation.value for generation in Generation)
    unit = "file"
    locks = False

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @classmethod
    def parse(cls, table: Table, secret: Secret, ndef: bool) -> DesfireLayout:
        """Read the table of a profile to its end.

        Raises:
            SettingsRejected: a key is wrong; the sentence names it.
        """
        if ndef:
            raise SettingsRejected(f"{table.where}: NDEF does not go into DESFire files; use a table type4 instead.")
        aid = int.from_bytes(table.hex("application", 3), "big")
        if aid == 0:
            table.refuse("application", "has to be an application of your own: 000000 is the card itself")
        own = _keys(table.table("keys"), secret)
        picc = table.optional_table("picc")
        plan = Plan(
            aid=aid,
            sizes=_sizes(table),
            mode=Mode[table.one_of("comm", ("plain", "mac", "full"), "full").upper()],
            protocol=Protocol(table.one_of("protocol", tuple(Protocol), Protocol.AUTO)),
            keys=own,
            key_count=table.number("max_keys", max(own) + 1, _LAST_KEY + 1, max(own) + 1),
            read_key=_named(table, "read_key", 1, own),
            write_key=_named(table, "write_key", 2, own),
            picc=None if picc is None else _key(picc, secret),
            random_uid=table.flag("random_uid"),
        )
        if plan.random_uid and own[MASTER].diversify is not None and _is_diversified(plan.picc):
            table.refuse("random_uid", "needs a key that does not hang on the card's number: picc or keys.0")
        table.end()
        return cls(plan)

    @property
    def capacity(self) -> int:
        """See `Layout`."""
        return self._plan.sizes[self._first]

    def places(self, image: bytes, *, ndef: bool) -> Contents:
        """See `Layout`.

        Raises:
            CredentialRejected: the image is too long, or an NDEF message.
        """
        if ndef:
            raise CredentialRejected(
                "NDEF messages are not written to MIFARE DESFire cards: use a profile for another technology."
            )
        if len(image) > self.capacity:
            raise CredentialRejected(
                f"The contents are {len(image)} bytes long and the profile's file has room for {self.capacity}: "
                "make it larger, or shorten them."
            )
        return {self._first: image.ljust(self.capacity, b"\0")}

    def raw(self, places: Contents) -> Contents:
        """See `Layout`.

        Raises:
            CredentialRejected: a file is none of the profile's, or has another size.
        """
        for number, data in places.items():
            size = self._plan.sizes.get(number)
            if size is None:
                raise CredentialRejected(f"File {number} is none of this profile's files.")
            if len(data) != size:
                raise CredentialRejected(f"File {number} has to be {size} bytes, not {len(data)}.")
        return dict(sorted(places.items()))

    def fits(self, activation: Activation) -> bool:
        """See `Layout`."""
        return activation.family is Family.ISO_DEP

    def on(self, link: Link, activation: Activation) -> DesfireWork | None:
        """See `Layout`."""
        if not self.fits(activation):
            return None
        generation = version.identify(link)
        return None if generation is None else DesfireWork(link, activation, self._plan, generation)

    @property
    def _first(self) -> int:
        return next(iter(self._plan.sizes))


def _sizes(table: Table) -> Mapping[int, int]:
    files = table.optional_table("files")
    if files is None:
        return {table.number("file", 0, _LAST_FILE, 1): table.number("size", 1, _LARGEST, 64)}
    sizes = {_number(files, name, _LAST_FILE): files.number(name, 1, _LARGEST) for name in files}
    if not sizes:
        table.refuse("files", "has to name a file: write its number and its size in bytes")
    return dict(sorted(sizes.items()))


def _keys(table: Table, secret: Secret) -> Mapping[int, CardKey]:
    own = {_number(table, name, _LAST_KEY): _key(table.table(name), secret) for name in table}
    if MASTER not in own:
        table.refuse(str(MASTER), "is missing: it is the application's master key")
    return dict(sorted(own.items()))


def _key(table: Table, secret: Secret) -> CardKey:
    key = keys.parse(table, secret, length=16)
    versions = [number for _, number in key.names]
    if 0 in versions or len(set(versions)) < len(versions):
        table.refuse("version", "has to be 1 to 255, and another one for the key before: a card tells its keys by it")
    return key


def _number(table: Table, name: str, highest: int) -> int:
    if name not in map(str, range(highest + 1)):
        table.refuse(repr(name), f"has to be a number from 0 to {highest}")
    return int(name)


def _named(table: Table, name: str, default: int, own: Mapping[int, CardKey]) -> int:
    number = table.number(name, 0, _LAST_KEY, default)
    if number not in own:
        table.refuse(name, f"is {number}, and there is no table keys.{number}: add it, or name another key")
    return number


def _is_diversified(key: CardKey | None) -> bool:
    return key is not None and key.diversify is not None
