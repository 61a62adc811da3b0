"""Which fault the next encode meets."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from encoder_bridge.driver import CredentialRejected
from encoder_bridge_simulated.faults import RANDOM, Fault, fault
from encoder_bridge_simulated.stock import replace


class Script:
    """The listed faults in their order, one for each encode, then random ones.

    What is used up stands in a file, so that a restart does not play it again: a line with the number of encodes
    that met the random part, then a line for each listed fault.  A list that does not begin so starts afresh.
    """

    def __init__(self, path: Path, names: tuple[str, ...], rate: float, seed: int | None) -> None:
        self._path = path
        self._names = names
        self._faults = tuple(fault(name) for name in names)
        self._rate = rate
        self._seed = os.urandom(8).hex() if seed is None else str(seed)
        self._used, self._drawn = self._load()

    @property
    def listed(self) -> tuple[Fault, ...]:
        """The listed faults that are still to come."""
        return self._faults[self._used :]

    def take(self, *, resumed: bool) -> Fault | None:
        """Use up and return the next encode's fault.

        A resumed encode meets no `CredentialRejected`: the credential was accepted when its write began.
        A listed one waits for the next fresh encode.

        Raises:
            OSError: what is used up cannot be remembered.
        """
        if self.listed:
            found: Fault | None = self.listed[0]
            if _spared(found, resumed):
                return None
            self._used += 1
        elif self._rate:
            found = None if _spared(drawn := self._draw(), resumed) else drawn
            self._drawn += 1
        else:
            return None
        replace(self._path, "\n".join((str(self._drawn), *self._names[: self._used])).encode("ascii"))
        return found

    def _draw(self) -> Fault | None:
        chance = sha256(f"{self._seed}/{self._drawn}".encode()).digest()
        if int.from_bytes(chance[:8], "big") >= self._rate * 2**64:
            return None
        return RANDOM[int.from_bytes(chance[8:16], "big") % len(RANDOM)]

    def _load(self) -> tuple[int, int]:
        try:
            first, *used = self._path.read_text("ascii").split("\n")
            drawn = int(first)
        except (FileNotFoundError, ValueError):
            return 0, 0
        return (len(used) if self._names[: len(used)] == tuple(used) else 0), drawn


def _spared(found: Fault | None, resumed: bool) -> bool:
    return resumed and found is not None and found.raises is CredentialRejected
