"""Behaviour: nothing secret or personal leaves the driver in words."""

from __future__ import annotations

import traceback

from encoder_bridge.driver import DriverError, Reader, SettingsRejected

from ._desk import Hand, RigDesk, Step, strike_on, withdraw
from ._life import UNKNOWN_KEY
from ._rig import Rig
from ._run import in_loop, opened, within
from ._watch import leaks, overheard


class SecrecyContract:
    """Logs, standard streams, `repr`, intents, receipts and errors."""

    @in_loop
    async def test_no_log_record_holds_a_secret_or_a_name(self, rig: Rig) -> None:
        """No canary in any record at any level, nor on standard output or error, in good runs and in bad."""
        with overheard() as words:
            await _live(rig)
        assert not leaks(words, rig.canaries), leaks(words, rig.canaries)

    @in_loop
    async def test_nothing_handed_to_the_core_shows_a_secret_or_a_name(self, rig: Rig) -> None:
        """No canary in an intent, a receipt, the `repr` of contents, the device or the driver, or in an error."""
        words = await _live(rig)
        assert not leaks(words, rig.canaries), leaks(words, rig.canaries)


async def _live(rig: Rig) -> list[str]:
    """Go through good and bad, and collect all that the driver hands out."""
    assert rig.canaries, "the rig names no canaries"
    words = [repr(rig.driver)]
    try:
        rig.driver.check({**rig.settings, UNKNOWN_KEY: 1}, rig.secret)
    except SettingsRejected as error:
        words += _said(error)
    for sequence, cause in enumerate([lambda: None, *rig.faults.values()], start=1):
        cause()
        await _encode(rig, sequence, RigDesk(rig), words)
    nobody = RigDesk(rig, hand=Hand.NONE, strike=strike_on(Step.ASK, withdraw))
    await _encode(rig, len(rig.faults) + 2, nobody, words)
    async with opened(rig) as device:
        if isinstance(device, Reader):
            contents = await within(rig.patience_s, "read", device.read(RigDesk(rig, hand=Hand.LAST)))
            words.append(repr(contents))
    return words


async def _encode(rig: Rig, sequence: int, desk: RigDesk, words: list[str]) -> None:
    async with opened(rig) as device:
        words += [repr(device), repr(device.capabilities)]
        try:
            receipt = await within(rig.patience_s, "encode", device.encode(rig.credential(sequence), desk))
        except DriverError as error:
            words += _said(error)
        else:
            words += [repr(receipt), repr(dict(receipt.note))]
    words += [repr(intent) for intent in desk.intents]


def _said(error: DriverError) -> list[str]:
    raw = error.raw
    shown = raw.hex() if isinstance(raw, bytes | bytearray) else str(raw)
    return [str(error), repr(error), repr(raw), shown, *traceback.format_exception_only(error)]
