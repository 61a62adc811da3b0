"""Keys of MIFARE Classic: put into the reader, used from there, and taken out again.

::

    FF 82 structure place 06 | key[6]                LOAD KEYS
    FF 86 00 00 05 | 01 00 block 60|61 named         GENERAL AUTHENTICATE

Source: PC/SC part 3, section 3.2.2; ACR122U API 2.04.
"""

from __future__ import annotations

from collections.abc import Callable

from encoder_bridge_cards.link import LinkError, Refused, Unsupported

from encoder_bridge_pcsc.habits import Habits
from encoder_bridge_pcsc.models import KeyForm
from encoder_bridge_pcsc.native import Transmit, checked

_KEY_SIZE = 6
_KEY_B = 0x61


class KeyPlaces:
    """The places for keys in a reader.

    Args:
        habits: of the reader; its form for keys is told to them.
        transmit: to the reader.
        select: selects the card anew, which it needs after a refusal.
    """

    def __init__(self, habits: Habits, transmit: Transmit, select: Callable[[], object]) -> None:
        self._habits = habits
        self._transmit = transmit
        self._select = select
        self._keys: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return f"KeyPlaces({sorted(self._keys)})"

    def distrust(self) -> None:
        """Believe of no place any more that a key lies there: a reader may have lost it with the card."""
        self._keys.clear()

    def open(self, kind: int, block: int, key: bytes) -> None:
        """Open a sector; a reader whose form for keys is not certain yet is asked in every one that it may have.

        Raises:
            Refused: the key does not open it.
            LinkError: the reader has no place for keys, or the link broke off.
        """
        habits = self._habits
        forms = habits.model.key_forms if habits.key_form is None else (habits.key_form,)
        refusal: LinkError = Unsupported("no place for keys")
        for form in forms:
            if isinstance(refusal, Refused):
                self._select()
            try:
                self._open_by(form, kind, block, key)
            except (Refused, Unsupported) as error:
                if isinstance(error, Refused) or not isinstance(refusal, Refused):
                    refusal = error
                continue
            habits.key_form = form
            return
        raise refusal

    def overwrite(self) -> None:
        """Leave no key of ours in the reader, where every program could use it.

        Raises:
            LinkError: the reader or the card has gone.
        """
        for form, place in sorted(self._habits.used, key=lambda each: each[1]):
            self._transmit(_load(form, place, bytes(_KEY_SIZE)))
        self._habits.used.clear()
        self.distrust()

    def _open_by(self, form: KeyForm, kind: int, block: int, key: bytes) -> None:
        which = int(kind == _KEY_B)
        place = form.places[which]
        if self._keys.get(place) != key:
            self._keys.pop(place, None)
            self._habits.used.add((form, place))
            try:
                checked(self._transmit(_load(form, place, key)))
            except (Refused, Unsupported) as error:
                self._habits.used.discard((form, place))
                raise Unsupported(error.raw) from None
            self._keys[place] = key
        if self._habits.model.is_known:
            self._habits.key_form = form
        checked(self._transmit(bytes([0xFF, 0x86, 0, 0, 5, 1, 0, block, kind, form.named[which]])))


def _load(form: KeyForm, place: int, key: bytes) -> bytes:
    return bytes([0xFF, 0x82, form.structure, place, _KEY_SIZE]) + key
