"""What the fakes share: waiting for a person, refusing unknown settings, credentials to write."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone

from encoder_bridge.driver import Credential, Desk, Secret, Settings, SettingsRejected, Withdrawn

GUEST = "Wilhelmine Oberhuber"
CONTENTS = bytes.fromhex("c0ffee5ec2e7") * 2
KEY = b"sixteen very secret bytes"

CANARIES = (GUEST, CONTENTS, KEY)

PATIENCE_S = 10.0

CEST = timezone(timedelta(hours=2))


def secret(name: str) -> bytes:
    return {"key": KEY}[name]


def credential(sequence: int) -> Credential:
    return Credential(
        access_method_id=f"method-{sequence}",
        profile="room",
        sequence=sequence,
        entrances=("front door",),
        starts_at=datetime(2026, 7, 1, 15, tzinfo=CEST),
        ends_at=datetime(2026, 7, 3, 11, tzinfo=CEST),
        fields={"room": str(100 + sequence), "guest": GUEST},
        data={"block": CONTENTS},
    )


def image(wanted: Credential, key: bytes = KEY) -> bytes:
    """What has to be on the card, encrypted after a fashion."""
    text = json.dumps([wanted.access_method_id, wanted.sequence, sorted(wanted.fields.items())]).encode()
    return hashlib.sha256(key + text + b"".join(wanted.data.values())).digest()


def digest(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()[:16]


def check_settings(settings: Settings, known: Iterable[str], secret: Secret) -> None:
    for key in settings:
        if key not in known:
            raise SettingsRejected(f"There is no setting {key!r}.")
    if not secret("key"):
        raise SettingsRejected("The secret 'key' is empty.")


async def until(condition: Callable[[], bool], desk: Desk, alive: Callable[[], None] = lambda: None) -> None:
    """Wait for the person, telling the desk that the device is alive."""
    off = asyncio.ensure_future(desk.withdrawn())
    try:
        while not condition():
            if off.done():
                raise Withdrawn("The card is no longer wanted.")
            alive()
            await asyncio.sleep(0.002)
    finally:
        off.cancel()
