"""An encoder's own settings, judged without any I/O."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from difflib import get_close_matches
from math import isfinite
from pathlib import Path

from encoder_bridge.driver import Settings, SettingsRejected
from encoder_bridge_simulated.faults import fault
from encoder_bridge_simulated.stock import is_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The settings of one simulated encoder; each field is a key of its table."""

    stock: Path
    """Folder of the cards, as an absolute path; required, made if need be."""
    name: str = "simulated"
    """The encoder's name within the stock."""
    cards: int = 20
    """Cards in a box: an empty stock starts with one box, and an automatic clerk who runs out opens another."""
    clerk: str = "automatic"
    """Who lays the cards: ``automatic``, or ``absent`` if somebody else does."""
    place_s: float = 0.0
    """Seconds the automatic clerk takes to lay a card."""
    lift_s: float = 0.0
    """Seconds the automatic clerk leaves a card after the end."""
    latency_s: float = 0.0
    """Seconds the encoder takes for a block."""
    faults: tuple[str, ...] = ()
    """What goes wrong, one by one, each in one encode: a fault's name, or ``name@k`` for after k blocks."""
    fault_rate: float = 0.0
    """Share of the encodes, after the listed faults, that meet a random one (never ``hung``)."""
    seed: int | None = None
    """Makes the uids and the random faults predictable."""
    replug_s: float = 0.2
    """Seconds until an unplugged encoder is back."""
    silence_s: float = 5.0
    """Seconds without a word, during a write, after which the encoder counts as hung."""
    time_step_s: int = 1
    """Seconds; the resolution of the validity that the encoder claims for its cards."""
    uids: str = "fixed"
    """What the encoder sees of a card's uid: ``fixed``, ``random`` (another each time, so none is told) or ``none``
    (as a magstripe writer: it cannot tell cards apart)."""
    senses: bool = True
    """Whether the encoder can tell the core that the card was lifted."""

    @property
    def automatic(self) -> bool:
        """Whether the driver lays the cards itself."""
        return self.clerk == "automatic"

    @property
    def sees_uids(self) -> bool:
        """Whether a card has a uid that tells it from others."""
        return self.uids == "fixed"


_KEYS = tuple(key.name for key in fields(Simulation))


def parse(settings: Settings) -> Simulation:
    """Judge an encoder's table.

    Raises:
        SettingsRejected: a key is unknown, missing or wrong; the sentence names it.
    """
    for key in settings:
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, n=1, cutoff=0)
            raise SettingsRejected(f"There is no setting {key!r} here: did you mean {near[0]!r}?", raw=key)
    found: dict[str, object] = {key: _JUDGES[key](key, value) for key, value in settings.items()}
    if "stock" not in found:
        raise SettingsRejected("The setting 'stock' is missing: name a folder for the cards.", raw="stock")
    return Simulation(**found)  # type: ignore[arg-type]


def _wrong(key: str, wanted: str) -> SettingsRejected:
    return SettingsRejected(f"The setting {key!r} is wrong: give {wanted}.", raw=key)


def _path(key: str, value: object) -> Path:
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise _wrong(key, "the absolute path of a folder")
    try:
        path = Path(value).expanduser()
    except RuntimeError:  # there is no such user
        raise _wrong(key, "the absolute path of a folder") from None
    if not path.is_absolute():
        raise _wrong(key, "an absolute path; another one would depend on where the daemon is started")
    return path


def _name(key: str, value: object) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise _wrong(key, "a name of letters, digits, '.', '_' and '-'")
    return value


def _cards(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 100_000:
        raise _wrong(key, "a whole number from 1 to 100000")
    return value


def _clerk(key: str, value: object) -> str:
    if value not in ("automatic", "absent"):
        raise _wrong(key, "'automatic' or 'absent'")
    return str(value)


def _time_step(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 86_400:
        raise _wrong(key, "a whole number of seconds from 1 to 86400")
    return value


def _uids(key: str, value: object) -> str:
    if value not in ("fixed", "random", "none"):
        raise _wrong(key, "'fixed', 'random' or 'none'")
    return str(value)


def _senses(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(key, "true or false")
    return value


def _number(key: str, value: object, largest: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not (isfinite(value) and 0 <= value <= largest):
        raise _wrong(key, f"a number from 0 to {largest:g}")
    return float(value)


def _seconds(key: str, value: object) -> float:
    return _number(key, value, 86_400)


def _silence(key: str, value: object) -> float:
    seconds = _seconds(key, value)
    if not seconds:
        raise _wrong(key, "a number of seconds above 0")
    return seconds


def _share(key: str, value: object) -> float:
    return _number(key, value, 1)


def _faults(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise _wrong(key, "a list of names of faults")
    for name in value:
        try:
            fault(name)
        except ValueError as error:
            raise SettingsRejected(f"The setting {key!r} is wrong: {error}.", raw=key) from None
    return tuple(value)


def _seed(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(key, "a whole number")
    return value


_JUDGES = {
    "stock": _path,
    "name": _name,
    "cards": _cards,
    "clerk": _clerk,
    "place_s": _seconds,
    "lift_s": _seconds,
    "latency_s": _seconds,
    "faults": _faults,
    "fault_rate": _share,
    "seed": _seed,
    "replug_s": _seconds,
    "silence_s": _silence,
    "time_step_s": _time_step,
    "uids": _uids,
    "senses": _senses,
}
