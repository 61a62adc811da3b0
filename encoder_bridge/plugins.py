"""Finding and loading drivers: installed packages that name an object in an entry-point group.

Loading ends in a status with a name, never in a crash; nothing of a driver is imported before it is loaded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from typing import TypeGuard

from encoder_bridge.driver import PORT, Driver

GROUP = "encoder_bridge.drivers"


class LoadStatus(StrEnum):
    """How loading a driver ended."""

    USABLE = "usable"
    MISSING = "missing"
    """No installed package has a driver of this name."""
    DUPLICATE = "duplicate"
    """Several packages claim the name; none is loaded."""
    LOAD_ERROR = "load_error"
    """Its package cannot be imported."""
    NOT_A_DRIVER = "not_a_driver"
    """The entry point names something else."""
    WRONG_PORT = "wrong_port"
    """It was built for another version of the driver port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An installed package's claim to a driver's name."""

    name: str
    distribution: str
    version: str
    entry: EntryPoint

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedDriver:
    """The end of loading one driver."""

    name: str
    status: LoadStatus
    sentence: str
    """What happened and what to do."""
    driver: Driver | None = None
    """None unless usable."""
    distribution: str | None = None
    version: str | None = None
    """Of the distribution."""


def find() -> dict[str, tuple[Claim, ...]]:
    """Every driver's name with the packages that claim it, importing none of them."""
    found: dict[str, list[Claim]] = defaultdict(list)
    for entry in entry_points(group=GROUP):
        about = entry.dist
        distribution, version = (about.name, about.version) if about else ("an unnamed package", "?")
        found[entry.name].append(Claim(name=entry.name, distribution=distribution, version=version, entry=entry))
    return {name: tuple(sorted(found[name], key=str)) for name in sorted(found)}


def load(name: str) -> LoadedDriver:
    """Load the driver of this name.

    Raises:
        KeyboardInterrupt: and nothing else, whatever the driver's package does while it is imported.
    """
    return _load(name, find())


def load_all() -> list[LoadedDriver]:
    """Load every driver that is installed, in the order of their names."""
    found = find()
    return [_load(name, found) for name in found]


def _load(name: str, found: Mapping[str, tuple[Claim, ...]]) -> LoadedDriver:
    claims = found.get(name, ())
    if not claims:
        near = get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "install the package that brings it."
        return LoadedDriver(name=name, status=LoadStatus.MISSING, sentence=f"No driver {name!r} is installed: {hint}")
    if len(claims) > 1:
        packages = " and ".join(map(str, claims))
        return LoadedDriver(
            name=name,
            status=LoadStatus.DUPLICATE,
            sentence=f"The driver {name!r} is claimed by {packages}: uninstall all but one.",
        )
    status, sentence, driver = _judge(claims[0])
    return LoadedDriver(
        name=name,
        status=status,
        sentence=sentence,
        driver=driver,
        distribution=claims[0].distribution,
        version=claims[0].version,
    )


def _judge(claim: Claim) -> tuple[LoadStatus, str, Driver | None]:
    who = f"The driver {claim.name!r} of {claim}"
    try:
        driver = claim.entry.load()
        port = getattr(driver, "port", None)
        lacking = [verb for verb in ("check", "discover", "open") if not callable(getattr(driver, verb, None))]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a driver that calls sys.exit() must not end the daemon
        sentence = f"{who} cannot be loaded ({_brief(error)}): install what it needs, or mend or remove the package."
        return LoadStatus.LOAD_ERROR, sentence, None
    if lacking or not _is_version(port) or isinstance(driver, type):
        what = "a class" if isinstance(driver, type) else f"without {', '.join(lacking) or 'a port version'}"
        sentence = f"{who} is no driver: {claim.entry.value} is {what}; ask its vendor for a working version."
        return LoadStatus.NOT_A_DRIVER, sentence, None
    if port[0] != PORT[0] or port[1] > PORT[1]:
        newer = port > PORT
        sentence = (
            f"{who} was built for driver port {port[0]}.{port[1]} and this program offers {PORT[0]}.{PORT[1]}: "
            f"update {'encoder-bridge' if newer else 'the driver'}."
        )
        return LoadStatus.WRONG_PORT, sentence, None
    return LoadStatus.USABLE, f"{who} is usable.", driver


def _is_version(port: object) -> TypeGuard[tuple[int, int]]:
    return isinstance(port, tuple) and len(port) == 2 and all(type(number) is int for number in port)


def _brief(error: BaseException) -> str:
    """The error in one line."""
    first_line = str(error).strip().partition("\n")[0][:200]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
