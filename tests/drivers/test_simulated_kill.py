"""SIGKILL in the middle of a write: the plastic is what was written so far, and the next process finishes the job."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cards import read_cards
from encoder_bridge_simulated import Stock
from simulated_desk import PaperDesk, credential, opened, plastic

from encoder_bridge.driver import Card, Intent

CHILD = """
import asyncio, os, signal, sys
sys.path[:0] = sys.argv[3].split(os.pathsep)
from pathlib import Path
from simulated_desk import PaperDesk, credential, opened

stock, stop = Path(sys.argv[1]), int(sys.argv[2])

def die(done):
    if done == stop:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with opened(stock) as device:
        if sys.argv[4] == "erase":
            await device.encode(credential(), PaperDesk())
            await device.erase(PaperDesk(stepping=die))
        else:
            await device.encode(credential(), PaperDesk(stepping=die))
    print("finished")

asyncio.run(main())
"""


def killed_after(stock: Path, blocks: int, call: str = "encode") -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, stock, str(blocks), str(Path(__file__).parent), call],
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr


@pytest.mark.parametrize("blocks", [1, 2, 13])
def test_a_kill_after_any_block_leaves_a_torn_card_that_a_resume_makes_good(tmp_path: Path, blocks: int) -> None:
    Stock.open(tmp_path, cards=2)
    killed_after(tmp_path, blocks)
    ((uid, file),) = [(name, file) for name, file in plastic(tmp_path).items() if any(file[64:])]
    written = [at for at in range(64, len(file), 16) if any(file[at : at + 16])]
    assert len(written) == blocks
    assert sorted(map(str, read_cards(tmp_path).values())) == ["blank", "torn"]

    async def resume() -> None:
        card = Card(technology="simulated", uid=uid.removesuffix(".card"))
        async with opened(tmp_path) as device:
            other = await device.encode(credential(2), PaperDesk())
            receipt = await device.encode(credential(1), PaperDesk(), Intent(card=card))
            assert receipt.card == card != other.card

    asyncio.run(resume())
    good = [card["access_method_id"] for card in read_cards(tmp_path).values() if isinstance(card, dict)]
    assert sorted(good) == ["method-1", "method-2"]


def test_a_kill_after_the_last_block_leaves_a_good_card_that_a_resume_only_reads(tmp_path: Path) -> None:
    async def total() -> int:
        desk = PaperDesk()
        async with opened(tmp_path / "other") as device:
            await device.encode(credential(), desk)
        return desk.steps[-1][1]

    Stock.open(tmp_path / "stock", cards=1)
    killed_after(tmp_path / "stock", asyncio.run(total()))
    before = plastic(tmp_path / "stock")
    ((uid, card),) = read_cards(tmp_path / "stock").items()
    assert isinstance(card, dict)

    async def resume() -> None:
        desk = PaperDesk()
        async with opened(tmp_path / "stock") as device:
            await device.encode(credential(), desk, Intent(card=Card(technology="simulated", uid=uid)))
        assert desk.intents == []

    asyncio.run(resume())
    assert plastic(tmp_path / "stock") == before


@pytest.mark.parametrize("blocks", [1, 2, 13])
def test_a_kill_in_the_middle_of_an_erasure_is_resumed_to_a_blank_card(tmp_path: Path, blocks: int) -> None:
    (uid,) = Stock.open(tmp_path, cards=1).uids()
    killed_after(tmp_path, blocks, "erase")
    assert read_cards(tmp_path) == {uid: "torn"}

    async def resume() -> None:
        card = Card(technology="simulated", uid=uid)
        async with opened(tmp_path) as device:
            assert (await device.erase(PaperDesk(), Intent(card=card))).card == card

    asyncio.run(resume())
    assert read_cards(tmp_path) == {uid: "blank"}


def test_the_card_still_lies_there_after_a_kill_and_an_absent_clerk_leaves_it(tmp_path: Path) -> None:
    stock = Stock.open(tmp_path, cards=1)
    killed_after(tmp_path, 2)
    assert stock.lying("simulated") == stock.uids()[0]

    async def look() -> None:
        async with opened(tmp_path, clerk="absent"):
            assert stock.lying("simulated") == stock.uids()[0]
        async with opened(tmp_path):
            assert stock.lying("simulated") is None

    asyncio.run(look())
