"""The simulated encoder passes the contract that every driver passes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cards import read_cards
from encoder_bridge_simulated import FAULTS, Stock, driver
from simulated_desk import credential

from encoder_bridge.driver import Card, Credential, Prompt
from encoder_bridge.testing import EncoderContract, Rig

GUEST = "Wilhelmine Oberhuber"
CONTENTS = bytes.fromhex("c0ffee5ec2e7") * 2


class Hands:
    """Somebody at the desk who moves the cards of the stock."""

    def __init__(self, stock: Stock) -> None:
        self.stock = stock
        self.last: str | None = None

    def fresh(self, prompt: Prompt) -> None:
        self.last = self.stock.lay_fresh("simulated", box=20)

    def again(self, prompt: Prompt, card: Card | None) -> None:
        uid = card.uid if card is not None else self.last
        if uid is not None:
            self.stock.lay("simulated", uid)

    def lift(self) -> None:
        self.stock.lift("simulated")


def wanted(sequence: int) -> Credential:
    return credential(sequence, fields={"guest": GUEST, "room": "101"}, data={"block": CONTENTS})


def carries(stock: Path, credential: Credential) -> int:
    found = read_cards(stock).values()
    return sum(
        isinstance(card, dict)
        and (card["sequence"], card["access_method_id"], card["fields"])
        == (credential.sequence, credential.access_method_id, credential.fields)
        for card in found
    )


def written(stock: Path) -> dict[str, bytes]:
    cards = ((path.name, path.read_bytes()) for path in stock.glob("*.card"))
    return {name: content for name, content in cards if any(content[64:])}


def bench(stock: Path) -> Rig:
    settings: dict[str, object] = {"stock": str(stock), "clerk": "absent", "replug_s": 0, "silence_s": 2}

    def happens(fault: str) -> Callable[[], None]:
        return partial(settings.__setitem__, "faults", [fault])

    names = [*(set(FAULTS) - {"hung"}), "encoder_not_online@3"]
    return Rig(
        driver=driver,
        settings=settings,
        person=Hands(Stock.open(stock, cards=20)),
        credential=wanted,
        snapshot=partial(written, stock),
        carries=partial(carries, stock),
        canaries=(GUEST, CONTENTS),
        impossible=credential(77, data={"block": bytes(4096)}),
        faults={name: happens(name) for name in sorted(names)},
        patience_s=10,
    )


class TestSimulated(EncoderContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        return bench(tmp_path / "stock")
