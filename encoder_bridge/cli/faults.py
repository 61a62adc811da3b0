"""`--fail-next`: what the simulated driver can do wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import click

from encoder_bridge.driver import Driver, SettingsRejected
from encoder_bridge.errors import ConfigError

HOW = (
    "NAME strikes once, in the next encode. NAME@K strikes after K blocks instead of at its own moment: "
    "encoding_interrupted@3 lifts the card when three blocks are written. Where @k is shown it may be left out."
)


def listed() -> Iterator[tuple[str, str]]:
    """Each fault as it may be written, and what it does."""
    driver = _driver()
    for name, does in _faults(driver).items():
        yield (f"{name}[@k]" if _takes_blocks(driver, name) else name), does


class Fault(click.ParamType[str]):
    """A fault's name, or ``name@k``."""

    name = "fault"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take what the driver takes.

        Raises:
            click.BadParameter: it takes it not.
        """
        text = str(value)
        driver = _driver()
        known = _faults(driver)
        name, sign, block = text.partition("@")
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            self.fail(f"there is no fault {name!r}: {hint}", param, ctx)
        if sign and not _takes_blocks(driver, name):
            self.fail(f"the fault {name!r} takes no number of blocks: write {name} alone", param, ctx)
        if sign and not (block.isascii() and block.isdecimal()):
            self.fail(f"{text!r} has no number of blocks after the @: write {name}@3, or {name} alone", param, ctx)
        return text


def _driver() -> Driver:
    from encoder_bridge import plugins

    loaded = plugins.load("simulated")
    if loaded.driver is None:
        raise ConfigError(loaded.sentence)
    return loaded.driver


def _faults(driver: Driver) -> Mapping[str, str]:
    faults: Mapping[str, str] = getattr(driver, "faults", {})
    return faults


def _takes_blocks(driver: Driver, name: str) -> bool:
    """Whether a fault may be written as ``name@k``, which only the driver knows."""
    try:
        driver.check({"stock": "/", "faults": [f"{name}@1"]}, _no_secret)
    except SettingsRejected:
        return False
    return True


def _no_secret(name: str) -> bytes:
    raise ConfigError(f"A simulation has no secret {name!r}.")
