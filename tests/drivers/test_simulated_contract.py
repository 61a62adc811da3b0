"""The simulated encoder keeps the contract, and so do its faults."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from encoder_bridge_simulated import FAULTS, Stock, driver
from encoder_bridge_simulated.codec import Torn, decode

from encoder_bridge.driver import Card, Credential, Prompt
from encoder_bridge.testing import EncoderContract, Rig

NAME = "bench"
GUEST = "Wilhelmine Oberhuber"
CONTENTS = bytes.fromhex("c0ffee5ec2e7") * 2

BROUGHT_TO_AN_END = sorted(set(FAULTS) - {"hung"})
"""All faults but the one that the core's watch ends."""


def credential(sequence: int) -> Credential:
    return Credential(
        access_method_id=f"method-{sequence}",
        profile="guest",
        sequence=sequence,
        fields={"room": "101", "guest": GUEST},
        data={"block": CONTENTS},
    )


class Bench:
    """The stock's folder, and somebody who lays its cards on the encoder."""

    def __init__(self, folder: Path) -> None:
        self.stock = Stock.open(folder)
        self.last: str | None = None

    def fresh(self, prompt: Prompt) -> None:
        if self.stock.lying(NAME) is None:  # a fault may have laid the wrong card
            self.last = self.stock.add()
            self.stock.lay(NAME, self.last)

    def again(self, prompt: Prompt, card: Card | None) -> None:
        if card and card.uid:
            self.last = card.uid
        if self.last is None:
            self.fresh(prompt)
        else:
            self.stock.lay(NAME, self.last)

    def lift(self) -> None:
        self.stock.lift(NAME)

    def snapshot(self) -> dict[str, bytes]:
        cards = {uid: self.stock.read(uid) for uid in self.stock.uids()}
        return {uid: content for uid, content in cards.items() if any(content)}

    def carries(self, wanted: Credential) -> int:
        return sum(1 for content in self.snapshot().values() if whole(content) == wanted)


def whole(content: bytes) -> Credential | None:
    try:
        return decode(content)
    except Torn:
        return None


def rig_of(folder: Path, faults: Iterable[str], **settings: object) -> Rig:
    bench = Bench(folder)
    coming: list[str] = []
    usual = {"stock": str(folder), "name": NAME, "clerk": "absent", "replug_s": 0.0, "faults": coming}
    return Rig(
        driver=driver,
        settings=usual | settings,
        person=bench,
        credential=credential,
        snapshot=bench.snapshot,
        carries=bench.carries,
        canaries=[GUEST, CONTENTS],
        impossible=Credential(access_method_id="m", profile="guest", sequence=1, entrances=("door" * 20,) * 50),
        faults={name: partial(coming.append, name) for name in faults},
    )


class TestSimulated(EncoderContract):
    test_a_device_that_cannot_tell_cards_apart_gives_no_uid = None  # type: ignore[assignment] # it can

    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        return rig_of(tmp_path / "stock", BROUGHT_TO_AN_END)


class TestSimulatedWithoutUids(EncoderContract):
    """A card that was written wrong has lost all that it could be known by, and nobody writes it again."""

    # What a device has to do that tells cards apart, or knows when one is lifted.
    test_a_wrong_card_laid_on_resume_is_left_alone = None  # type: ignore[assignment]
    test_a_wrong_card_laid_on_resume_is_called_so = None  # type: ignore[assignment]
    test_a_wrong_card_laid_to_resume_an_erasure_is_left_alone = None  # type: ignore[assignment]
    test_lifted_returns_after_the_card_was_lifted_and_not_before = None  # type: ignore[assignment]

    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        faults = [name for name in BROUGHT_TO_AN_END if name != "verify_mismatch"]
        return rig_of(tmp_path / "stock", faults, uids="none", senses=False)
