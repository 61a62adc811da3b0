"""A desk with a real daemon, broker and PC/SC service; only the plastic and the reader's electronics are software.

with Desk(broker, tap, folder, profile="ntag") as desk:
    desk.trigger(need("one"))
    desk.asks("one")
    desk.slot.lay(Ntag("ntag213"))
    desk.event("one")
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from desk.control import Control
from rigs.brokers import Broker
from rigs.tap import Heard, Tap
from virtual import personalities
from virtual.pcscd import PcscStack
from virtual.personalities import Model, Reader
from virtual.vpcd import Slot
from wire.front_desk import FrontDesk, InProcess, Table, need

SECRETS = {
    "six": "a1b2c3d4e5f6",
    "other-six": "f6e5d4c3b2a1",
    "mac": "00112233445566778899aabbccddeeff",
    "master": "2b7e151628aed2a6abf7158809cf4f3c",
    "read": "5ebe2294ecd0e0f08eab7690d2a6ee69",
    "write": "8f14e45fceea167a5a36dedd4bea2543",
    "triple": "0123456789abcdeffedcba9876543210",
}

PROFILES: Mapping[str, Mapping[str, Table]] = {
    "ntag": {
        "": {"format": "open"},
        ".key": {"secret": "mac"},
        ".ntag": {},
        ".ntag.password": {"secret": "six"},
    },
    "classic": {
        "": {"format": "wiegand", "layout": "h10301"},
        ".classic": {"sectors": [1]},
        ".classic.key_a": {"secret": "six"},
        ".classic.key_b": {"secret": "other-six"},
    },
    "ultralight_c": {
        "": {"format": "open"},
        ".key": {"secret": "mac"},
        ".ultralight_c": {},
        ".ultralight_c.key": {"secret": "triple"},
    },
    "desfire": {
        "": {"format": "open"},
        ".key": {"secret": "mac"},
        ".desfire": {"application": "f51234", "size": 96},
        ".desfire.keys.0": {"secret": "master", "version": 1},
        ".desfire.keys.1": {"secret": "read", "version": 1},
        ".desfire.keys.2": {"secret": "write", "version": 1},
    },
    "number": {"": {"format": "number"}},
}

FIELDS = {"facility_code": "123", "card_number": "4567", "guest": "Wilhelmine Oberhuber"}


def stay(access_method_id: str, profile: str, **more: object) -> dict[str, object]:
    """A trigger for a stay of this profile."""
    block = {
        "profile": profile,
        "entrances": [f"room-{access_method_id}"],
        "starts_at": "2026-01-02T14:00:00Z",
        "ends_at": "2099-07-03T10:00:00Z",
        "fields": FIELDS,
    }
    return need(access_method_id, credential=block, **more)


class Desk(FrontDesk):
    """A daemon in a process of its own, on a PC/SC stack of its own with one reader.

    Args:
        broker, tap, folder: see `FrontDesk`.
        model: the reader.
        usb: it hangs on a USB that it can be pulled out of; it is plugged in at first.
        profiles: which of `PROFILES` the configuration has; all unless given.
    """

    def __init__(
        self,
        broker: Broker,
        tap: Tap,
        folder: Path,
        *,
        model: Model = personalities.ACR122U,
        usb: bool = False,
        profiles: tuple[str, ...] = tuple(PROFILES),
        **settings: Any,
    ) -> None:
        for name, key in SECRETS.items():
            file = folder / f"{name}.key"
            file.write_text(key)
            file.chmod(0o600)
        tables: dict[str, Table] = {
            f"profiles.{name}{below}": table for name in profiles for below, table in PROFILES[name].items()
        }
        self._ending = ExitStack()
        self.pcsc = self._ending.enter_context(PcscStack(usb=model.name) if usb else PcscStack(model.name))
        if usb:
            self.pcsc.plug("RR123456")
        self.reader = self.pcsc.readers[0]
        self.personality = Reader(model)
        self.slot = self._ending.enter_context(Slot(self.pcsc.port(self.reader), self.personality))
        super().__init__(
            broker,
            tap,
            folder,
            runs=InProcess,
            environ=self.pcsc.environment,
            jobs={"card_wait_s": 60.0},
            more={**tables, "secrets": {name: f"{name}.key" for name in SECRETS}},
            **settings,
        )
        self._encoder = {"driver": "pcsc", "reader": model.name, "slot": 0}
        self.control = Control(folder / "control.sock")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._ending:
            super().__exit__(kind, error, trace)

    def asks(self, access_method_id: str, prompt: str = "place_card", *, after: int = 0) -> Any:
        """What the encoder shows once somebody is asked for this."""
        return self.shows(prompt=prompt, access_method_id=access_method_id, after=after)

    def shows(self, *, after: int = 0, **wanted: object) -> Any:
        """What the encoder shows once it is like this."""
        topic = f"{self.root}/encoder/desk-1/state"
        count = 0

        def fits(heard: Heard) -> bool:
            nonlocal count
            count += 1
            if count <= after or heard.topic != topic or not heard.payload:
                return False
            body = heard.json()
            return all(body.get(key) == value for key, value in wanted.items())

        return self.tap.wait_for(fits).json()

    def until(self, holds: Callable[[], bool]) -> None:
        """Return once something holds that nobody tells of."""
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, self.bridge.said
            time.sleep(0.01)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line beside the daemon, as somebody at the desk does."""
        return subprocess.run(
            self._command(arguments),
            capture_output=True,
            text=True,
            timeout=60,
            env=self.pcsc.environment,
            check=False,
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Let the command line run while something is done; it has ended on leaving."""
        process = subprocess.Popen(
            self._command(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**self.pcsc.environment, "PYTHONUNBUFFERED": "1"},
        )
        with process:
            try:
                yield process
                process.wait(60)
            finally:
                process.kill()

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "encoder_bridge", *arguments, "--config", str(self.folder / "bridge.toml")]

    def now(self) -> int:
        """A moment, for `after`."""
        return len(self.tap.messages)
