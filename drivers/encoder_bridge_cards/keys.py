"""Keys of cards: named in a profile, fetched when they are used, diversified for one card.

In the configuration a key is a table::

    [profiles.guest.desfire.keys.0]
    secret = "guest-master-3"        # name under [secrets]; the file holds hex digits
    version = 3                      # 0 to 255; told by the card where it can
    previous = "guest-master-2"      # the key before, tried where this one fails
    previous_version = 2
    diversify = "3042f54e5850"       # AN10922: what follows the card's uid in the diversification input

Without `diversify` all cards have the same key.  With it the secrets are master keys of 16 bytes (AES) and every card
has its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from encoder_bridge.driver import Secret, SettingsRejected
from encoder_bridge_cards.diversification import Cipher, diversified
from encoder_bridge_cards.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of one card."""

    value: bytes = field(repr=False)
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CardKey:
    """A key that a profile names.  It holds no key, only the way to one."""

    length: int
    """Bytes of the key on the card."""
    cipher: Cipher
    names: tuple[tuple[str, int], ...]
    """Name under which to ask for the secret, and version; the newest first, two at most."""
    diversify: bytes | None = None
    secret: Secret = field(repr=False)

    @property
    def version(self) -> int:
        """Of the newest key."""
        return self.names[0][1]

    def of(self, uid: bytes) -> tuple[Key, ...]:
        """Fetch the keys of one card, the newest first: one, or two while keys are rolled over.

        Raises:
            Exception: whatever `Secret` raises where a file cannot be used.
        """
        return tuple(Key(value=self._value(name, uid), version=version) for name, version in self.names)

    def check(self) -> None:
        """Fetch each key once and judge its length.

        Raises:
            SettingsRejected: a secret is no key.
        """
        for name, _ in self.names:
            self._master(name)

    def _value(self, name: str, uid: bytes) -> bytes:
        master = self._master(name)
        if self.diversify is None:
            return master
        return diversified(self.cipher, master, uid + self.diversify)[: self.length]

    def _master(self, name: str) -> bytes:
        length = self.length if self.diversify is None else self.cipher.length
        try:
            key = bytes.fromhex(self.secret(name).decode("ascii"))
        except ValueError:  # `from None`: what it quotes is part of a key
            raise SettingsRejected(f"secrets.{name} is not written in hex digits: mend the file.") from None
        if len(key) != length:
            raise SettingsRejected(f"secrets.{name} has to be {length} bytes, {2 * length} hex digits: mend the file.")
        return key


def parse(table: Table, secret: Secret, *, length: int, cipher: Cipher = Cipher.AES_128) -> CardKey:
    """Read the table of one key, and see that its secrets are there.

    Args:
        table: the table; it is read to its end.
        secret: where the secrets come from.
        length: bytes of the key on the card: 4 + 2 for a password with its PACK, 6 for Classic, 16 for the others.
        cipher: what a diversified key is made with.

    Raises:
        SettingsRejected: a key of the table is wrong, or a secret is none of these.
    """
    names = [(table.text("secret"), table.number("version", 0, 255, 0))]
    if "previous" in table:
        names.append((table.text("previous"), table.number("previous_version", 0, 255, 0)))
    diversify = table.hex("diversify") if "diversify" in table else None
    if diversify is not None and len(diversify) > cipher.room:
        table.refuse("diversify", f"has to be {cipher.room} bytes at most")
    table.end()
    key = CardKey(length=length, cipher=cipher, names=tuple(names), diversify=diversify, secret=secret)
    key.check()
    return key
