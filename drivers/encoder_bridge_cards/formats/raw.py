"""Contents that somebody else computed: the trigger brings them, place by place.

The names of a trigger's `data` say where they go: ``block-4`` (MIFARE Classic), ``page-16`` (Type 2), ``file-1``
(DESFire).  Data longer than one block or page goes on in the next.  A trigger may bring the places of several
technologies; the card that is laid down decides which are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from encoder_bridge.driver import Credential, CredentialRejected, Secret
from encoder_bridge_cards.personalisation import Contents
from encoder_bridge_cards.tables import Table

_PLACE = re.compile(r"(block|page|file)-([0-9]{1,3})", re.ASCII)
_SIZES = {"block": 16, "page": 4}


class RawFormat:
    """A format that writes what it is given."""

    ndef = False

    @classmethod
    def parse(cls, table: Table, secret: Secret) -> RawFormat:  # noqa: ARG003
        """Read the format's keys, of which there are none."""
        return cls()

    def image(self, credential: Credential, uid: bytes | None, unit: str) -> Contents:  # noqa: ARG002
        """See `Format`."""
        contents: dict[int, bytes] = {}
        for name, data in credential.data.items():
            match = _PLACE.fullmatch(name)
            if match is None:
                raise CredentialRejected("The data is not named as a place: name it block-N, page-N or file-N.")
            if match[1] != unit:
                continue
            size = _SIZES.get(unit, len(data))
            if not data or len(data) % size:
                raise CredentialRejected(f"The data for a {unit} has a wrong length: send whole ones of {size} bytes.")
            for number, start in enumerate(range(0, len(data), size), int(match[2])):
                if number in contents:
                    raise CredentialRejected(f"The data names {unit} {number} twice: send it once.")
                contents[number] = data[start : start + size]
        if not contents:
            raise CredentialRejected(f"The trigger brings no data for a {unit}: send it, or use another kind of card.")
        return dict(sorted(contents.items()))

    def tells(self, image: bytes, uid: bytes) -> Mapping[str, str] | None:  # noqa: ARG002
        """Tell nothing: what somebody else computed cannot be recognised."""
        return None
