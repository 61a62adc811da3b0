"""The driver keeps the contract of encoder-bridge."""

from pathlib import Path

import pytest
from encoder_bridge_stranger import contents, driver

from encoder_bridge.driver import Card, Credential, Prompt
from encoder_bridge.testing import EncoderContract, Rig

GUEST = "Wilhelmine Oberhuber"


class Bench:
    """A folder of cards, and whoever puts them into the slot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last = ""

    def fresh(self, prompt: Prompt) -> None:
        self.last = f"{len(self.cards()) + 1:08x}"
        (self.folder / f"{self.last}.card").touch()
        self.lay(self.last)

    def again(self, prompt: Prompt, card: Card | None) -> None:
        self.lay(card.uid if card and card.uid else self.last)

    def lift(self) -> None:
        (self.folder / "slot").unlink(missing_ok=True)

    def lay(self, uid: str) -> None:
        (self.folder / "slot").write_text(uid)

    def cards(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.glob("*.card"))]

    def snapshot(self) -> list[bytes]:
        return [card for card in self.cards() if card]

    def carries(self, credential: Credential) -> int:
        return self.cards().count(contents(credential))


def credential(sequence: int, *, joins: bool = False) -> Credential:
    fields = {"room": str(sequence), "guest": GUEST}
    return Credential(
        access_method_id=f"method-{sequence}", profile="room", sequence=sequence, joins=joins, fields=fields
    )


class TestStranger(EncoderContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        bench = Bench(tmp_path)
        return Rig(
            driver=driver,
            settings={"folder": str(tmp_path)},
            person=bench,
            credential=credential,
            snapshot=bench.snapshot,
            carries=bench.carries,
            canaries=[GUEST],
            impossible=credential(1, joins=True),
        )
