"""Drivers that break a rule of settings, discovery, opening or closing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from encoder_bridge.driver import (
    Found,
    Secret,
    Settings,
    SettingsRejected,
)

from .fakes.contactless import ContactlessDriver, Opening


class AnotherPort(ContactlessDriver):
    port = (2, 0)


class PortAsText(ContactlessDriver):
    port = "1.0"  # type: ignore[assignment]


class ChecksTheDevice(ContactlessDriver):
    def check(self, settings: Settings, secret: Secret) -> None:
        super().check(settings, secret)
        if self.table.opened:
            raise SettingsRejected("The reader does not answer.")


class ChecksAFile(ContactlessDriver):
    def check(self, settings: Settings, secret: Secret) -> None:
        super().check(settings, secret)
        Path(__file__).read_bytes()


class TakesAnySetting(ContactlessDriver):
    def check(self, settings: Settings, secret: Secret) -> None:
        pass


class RefusesWithoutAName(ContactlessDriver):
    def check(self, settings: Settings, secret: Secret) -> None:
        try:
            super().check(settings, secret)
        except SettingsRejected:
            raise SettingsRejected("A setting is wrong.") from None


class FindsWhatItRefuses(ContactlessDriver):
    async def discover(self, settings: Settings, secret: Secret) -> Sequence[Found]:
        return [Found(identity="fake reader", settings={"usb": 3})]


class OpensTwice(ContactlessDriver):
    def open(self, settings: Settings, secret: Secret) -> Opening:
        self.table.opened = False
        return super().open(settings, secret)


class _ClosesOnce(Opening):
    async def __aexit__(self, *error: object) -> None:
        if not self.mine:
            raise RuntimeError("already closed")
        await super().__aexit__(*error)


class ClosesOnce(ContactlessDriver):
    def open(self, settings: Settings, secret: Secret) -> Opening:
        return _ClosesOnce(self, secret)


class _SwallowsOnClose(Opening):
    async def __aexit__(self, *error: object) -> bool:  # type: ignore[override]
        await super().__aexit__(*error)
        return True


class SwallowsOnClose(ContactlessDriver):
    def open(self, settings: Settings, secret: Secret) -> Opening:
        return _SwallowsOnClose(self, secret)
