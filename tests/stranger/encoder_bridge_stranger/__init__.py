"""A lock vendor's driver for a card printer that writes one file per card."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from encoder_bridge.driver import (
    Capabilities,
    Card,
    CardRejected,
    Credential,
    CredentialRejected,
    Desk,
    DeviceUnavailable,
    Driver,
    Evidence,
    Found,
    Intent,
    Prompt,
    Receipt,
    Secret,
    Settings,
    SettingsRejected,
    Unsure,
    Withdrawn,
)

TECHNOLOGY = "stranger"
HALVES = 2


def contents(credential: Credential) -> bytes:
    """Return what the card has to carry."""
    text = f"{credential.access_method_id}/{credential.sequence}/{sorted(credential.fields.items())}"
    return hashlib.sha256(text.encode()).digest()


class Printer:
    """One open printer; the card in its slot is the file that ``slot`` names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(technologies=frozenset({TECHNOLOGY}), evidence=Evidence.READ_BACK, silence_s=5.0)

    async def lost(self) -> None:
        await asyncio.Event().wait()

    def check(self, credential: Credential) -> None:
        if credential.joins:
            raise CredentialRejected("This printer makes no copies: ask for a new card.")

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        self.check(credential)
        wanted = contents(credential)
        note = {"digest": hashlib.sha256(wanted).hexdigest()}
        named = resume.card if resume else None
        desk.ask(Prompt.SAME_CARD if named else Prompt.PLACE_CARD, named)
        card = Card(technology=TECHNOLOGY, uid=await self._laid(desk))
        if named and card != named:
            raise CardRejected("This is another card: lay down the one that was begun.")
        path = self._folder / f"{card.uid}.card"
        if resume is None or path.read_bytes() != wanted:
            await desk.intend(Intent(card=card, note=note))
            for half in range(HALVES):
                path.write_bytes(wanted[: len(wanted) * (half + 1) // HALVES])
                desk.progress(half + 1, HALVES)
                await asyncio.sleep(0)
            if path.read_bytes() != wanted:
                raise Unsure("The card does not hold what was written: lay it down again.")
        return Receipt(evidence=Evidence.READ_BACK, card=card, note=note)

    async def _laid(self, desk: Desk) -> str:
        off = asyncio.ensure_future(desk.withdrawn())
        slot = self._folder / "slot"
        try:
            while not (slot.exists() and (uid := slot.read_text())):
                if off.done():
                    raise Withdrawn("The card is no longer wanted.")
                await asyncio.sleep(0.01)
        finally:
            off.cancel()
        return uid


class StrangerDriver:
    """What the entry point names."""

    port = (1, 0)

    def check(self, settings: Settings, secret: Secret) -> None:
        for key in settings:
            if key != "folder":
                raise SettingsRejected(f"There is no setting {key!r}; this driver knows 'folder'.")
        folder = settings.get("folder")
        if not isinstance(folder, str) or not Path(folder).is_absolute():
            raise SettingsRejected("The setting 'folder' has to be an absolute path: give one that begins with '/'.")

    async def discover(self, settings: Settings, secret: Secret) -> Sequence[Found]:
        return []

    @asynccontextmanager
    async def open(self, settings: Settings, secret: Secret) -> AsyncIterator[Printer]:
        folder = Path(str(settings["folder"]))
        try:
            busy = (folder / "busy").open("ab")
        except OSError as error:
            raise DeviceUnavailable("The printer is off: look at its lamp.", raw=error) from error
        with busy:
            try:
                fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DeviceUnavailable("The printer is in use by another program: close that.", raw=error) from error
            yield Printer(folder)


driver: Driver = StrangerDriver()
