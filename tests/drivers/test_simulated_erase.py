"""What the simulated encoder erases, and what it leaves alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cards import read_cards
from encoder_bridge_simulated import Stock
from simulated_desk import PaperDesk, come_true, credential, opened, plastic

from encoder_bridge.driver import Card, CardRejected, Intent, Prompt, Withdrawn


@pytest.mark.parametrize(
    "card", [{"content": b"somebody else's!"}, {"technology": "foreign"}, {"locked": True}], ids=lambda card: str(card)
)
def test_a_card_that_was_not_made_here_or_is_locked_is_refused(tmp_path: Path, card: dict[str, object]) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path)
        stock.lay("simulated", stock.add(**card))  # type: ignore[arg-type]
        before, desk = plastic(tmp_path), PaperDesk()
        async with opened(tmp_path, clerk="absent", cards=1) as device:
            with pytest.raises(CardRejected):
                await device.erase(desk)
        assert desk.intents == []
        after = plastic(tmp_path)
        assert {name: after[name] for name in before} == before

    asyncio.run(run())


def test_a_card_that_another_system_wrote_is_refused_as_such(tmp_path: Path) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path)
        stock.lay("simulated", stock.add(content=b"somebody else's!"))
        async with opened(tmp_path, clerk="absent", cards=1) as device:
            with pytest.raises(CardRejected) as refused:
                await device.erase(PaperDesk())
        assert refused.value.error_type == "card_not_made_here"

    asyncio.run(run())


@pytest.mark.parametrize("uids", ["fixed", "random"])
def test_a_veto_passes_and_leaves_the_card_as_it_was(tmp_path: Path, uids: str) -> None:
    veto = Withdrawn("This card is still wanted.")

    def refuse() -> None:
        raise veto

    async def run() -> None:
        async with opened(tmp_path, uids=uids) as device:
            await device.encode(credential(), PaperDesk())
            before = plastic(tmp_path)
            with pytest.raises(Withdrawn) as passed:
                await device.erase(PaperDesk(intending=refuse))
        assert passed.value is veto
        assert plastic(tmp_path) == before

    asyncio.run(run())


@pytest.mark.parametrize("resume", [None, "the card that was begun"])
def test_a_withdrawn_erasure_ends_the_wait_for_a_card(tmp_path: Path, resume: str | None) -> None:
    async def run() -> None:
        (uid,) = Stock.open(tmp_path, cards=1).uids()
        intent = Intent(card=Card(technology="simulated", uid=uid)) if resume else None
        before, desk = plastic(tmp_path), PaperDesk()
        async with opened(tmp_path, clerk="absent") as device:
            call = asyncio.ensure_future(device.erase(desk, intent))
            await desk.asked.wait()
            desk.off.set()
            with pytest.raises(Withdrawn):
                await call
        assert desk.intents == []
        assert plastic(tmp_path) == before

    asyncio.run(run())


def test_a_resumed_erasure_touches_no_card_but_its_own(tmp_path: Path) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=2)
        live, begun = stock.uids()
        async with opened(tmp_path, clerk="absent") as device:
            for sequence, uid in enumerate((live, begun), start=1):
                stock.lay("simulated", uid)
                await device.encode(credential(sequence), PaperDesk())
            wanted = Card(technology="simulated", uid=begun)
            stock.lay("simulated", live)
            desk = PaperDesk()
            call = asyncio.ensure_future(device.erase(desk, Intent(card=wanted)))
            await come_true(lambda: call.done() or len(desk.prompts) == 2)
            assert desk.prompts[1] == (Prompt.WRONG_CARD, Card(technology="simulated", uid=live))
            stock.lay("simulated", begun)
            assert (await call).card == wanted
        cards = read_cards(tmp_path)
        assert isinstance(cards[live], dict)
        assert cards[begun] == "blank"

    asyncio.run(run())
