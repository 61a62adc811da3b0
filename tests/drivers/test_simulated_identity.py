"""Cards without a uid: a resume knows its card by what it carries, and writes no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cards import read_cards
from encoder_bridge_simulated import Stock
from simulated_desk import PaperDesk, come_true, credential, failed, opened, plastic

from encoder_bridge.driver import Card, Intent, Prompt, Unsure, Withdrawn

NAMELESS = Card(technology="simulated")

pytestmark = pytest.mark.parametrize("uids", ["random", "none"])


class Killed(BaseException):
    """The process dies here."""


def die_after(blocks: int) -> Callable[[int], None]:
    def stepping(done: int) -> None:
        if done > blocks:
            raise Killed

    return stepping


def said_wrong(desk: PaperDesk) -> bool:
    return desk.prompts[-1:] == [(Prompt.WRONG_CARD, NAMELESS)]


async def left_alone(stock: Path, uids: str, lying: str, resume: Intent) -> None:
    """Lay a card for a resume, expect that it is wrong and stays as it is, and withdraw."""
    Stock.open(stock).lay("simulated", lying)
    before, desk = plastic(stock), PaperDesk()
    async with opened(stock, uids=uids, clerk="absent") as device:
        call = asyncio.ensure_future(device.encode(credential(), desk, resume))
        await come_true(lambda: call.done() or len(desk.prompts) == 2)
        assert desk.prompts == [(Prompt.SAME_CARD, NAMELESS), (Prompt.WRONG_CARD, NAMELESS)]
        desk.off.set()
        with pytest.raises(Withdrawn):
            await call
    assert plastic(stock) == before
    assert desk.intents == []


def test_no_uid_is_told_of_any_card(tmp_path: Path, uids: str) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, uids=uids) as device:
            assert (await device.encode(credential(), desk)).card == NAMELESS
            assert (await device.read(PaperDesk())).card == NAMELESS
            assert (await device.erase(PaperDesk())).card == NAMELESS
        assert {intent.card for intent in desk.intents} == {NAMELESS}
        assert {card for _, card in desk.prompts} == {None, NAMELESS}

    asyncio.run(run())


def test_the_card_is_marked_and_the_mark_intended_before_anything_else_is_written(tmp_path: Path, uids: str) -> None:
    async def run() -> None:
        stock, seen = Stock.open(tmp_path, cards=1), []
        desk = PaperDesk(intending=lambda: seen.append(stock.read(stock.uids()[0])))
        async with opened(tmp_path, uids=uids) as device:
            await device.encode(credential(), desk)
        unmarked, marked = seen
        assert not any(unmarked)
        assert marked[:4] == b"EBSP"
        assert not any(marked[16:])
        assert [intent.note.get("marked") for intent in desk.intents] == [None, "true"]

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["encoding_interrupted@0", "encoding_interrupted", "encoder_communication_timeout"])
def test_among_cards_that_others_left_a_resume_finds_its_own(tmp_path: Path, uids: str, fault: str) -> None:
    async def run() -> None:
        torn, mine = PaperDesk(), PaperDesk()
        faults = ["encoding_interrupted", fault]
        async with opened(tmp_path, uids=uids, cards=3, faults=faults, seed=1) as device:
            for wanted, desk in ((credential(2), torn), (credential(1), mine)):
                with pytest.raises(Unsure):
                    await device.encode(wanted, desk)
        for wanted, resume in ((credential(1), mine.intents[-1]), (credential(2), torn.intents[-1])):
            async with opened(tmp_path, uids=uids, faults=faults) as device:
                await device.encode(wanted, PaperDesk(), resume)
        cards = [card if isinstance(card, str) else card["access_method_id"] for card in read_cards(tmp_path).values()]
        assert sorted(cards) == ["blank", "method-1", "method-2"]

    asyncio.run(run())


def test_once_a_card_was_marked_a_blank_one_is_left_alone(tmp_path: Path, uids: str) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, uids=uids, cards=2, faults=["encoder_communication_timeout"]) as device:
            assert isinstance(await failed(device, desk), Unsure)
        (blank,) = [uid for uid, card in read_cards(tmp_path).items() if card == "blank"]
        await left_alone(tmp_path, uids, blank, desk.intents[-1])

    asyncio.run(run())


def test_before_a_card_is_marked_any_that_is_as_it_was_will_do_and_no_other(tmp_path: Path, uids: str) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=2)
        blank, other = stock.uids()
        stock.lay("simulated", blank)
        desk = PaperDesk()
        async with opened(tmp_path, uids=uids, clerk="absent", faults=["write_ignored"]) as device:
            assert isinstance(await failed(device, desk), Unsure)
            stock.lay("simulated", other)
            await device.encode(credential(2), PaperDesk())
        await left_alone(tmp_path, uids, other, desk.intents[-1])
        stock.lay("simulated", blank)
        async with opened(tmp_path, uids=uids, clerk="absent") as device:
            await device.encode(credential(), PaperDesk(), desk.intents[-1])
        assert [isinstance(read_cards(tmp_path)[uid], dict) for uid in (blank, other)] == [True, True]

    asyncio.run(run())


@pytest.mark.parametrize("wrong", [{"locked": True}, {"technology": "foreign"}, {"blocks": 2}])
def test_a_card_that_cannot_be_written_is_not_the_one(tmp_path: Path, uids: str, wrong: dict[str, object]) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, uids=uids, faults=["write_ignored"]) as device:
            assert isinstance(await failed(device, desk), Unsure)
        stock = Stock.open(tmp_path)
        uid = stock.add(**wrong)  # type: ignore[arg-type]
        stock.lay("simulated", uid)
        again, before = PaperDesk(), plastic(tmp_path)
        async with opened(tmp_path, uids=uids, clerk="absent") as device:
            call = asyncio.ensure_future(device.encode(credential(), again, desk.intents[-1]))
            await come_true(lambda: call.done() or len(again.prompts) == 2)
            again.off.set()
            with pytest.raises(Withdrawn):
                await call
        assert again.prompts[-1][0] is Prompt.WRONG_CARD
        assert plastic(tmp_path) == before

    asyncio.run(run())


def test_a_card_that_was_written_wrong_is_known_no_more_and_left_alone(tmp_path: Path, uids: str) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, uids=uids, cards=1, faults=["verify_mismatch"]) as device:
            assert isinstance(await failed(device, desk), Unsure)
        await left_alone(tmp_path, uids, Stock.open(tmp_path).uids()[0], desk.intents[-1])

    asyncio.run(run())


def test_an_intent_that_says_nothing_of_the_card_fits_none(tmp_path: Path, uids: str) -> None:
    async def run() -> None:
        (uid,) = Stock.open(tmp_path, cards=1).uids()
        await left_alone(tmp_path, uids, uid, Intent(card=NAMELESS))

    asyncio.run(run())


def test_an_erasure_that_died_is_finished_on_its_card_and_a_live_one_is_left_alone(tmp_path: Path, uids: str) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=2)
        live, erased = stock.uids()
        async with opened(tmp_path, uids=uids, clerk="absent") as device:
            for uid, wanted in ((live, credential(2)), (erased, credential(1))):
                stock.lay("simulated", uid)
                await device.encode(wanted, PaperDesk())
            for blocks in (0, 1, 5):
                desk = PaperDesk(stepping=die_after(blocks))
                with pytest.raises(Killed):
                    await device.erase(desk)
                stock.lay("simulated", live)
                again = PaperDesk()
                call = asyncio.ensure_future(device.erase(again, desk.intents[-1]))
                await come_true(partial(said_wrong, again))
                stock.lay("simulated", erased)
                assert (await call).card == NAMELESS
                cards = read_cards(tmp_path)
                assert cards[erased] == "blank"
                assert isinstance(cards[live], dict)
                await device.encode(credential(1), PaperDesk())

    asyncio.run(run())
