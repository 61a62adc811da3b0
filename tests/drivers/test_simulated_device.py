"""The simulated encoder with nothing going wrong but people."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cards import read_cards
from encoder_bridge_simulated import Stock
from simulated_desk import PaperDesk, come_true, credential, failed, opened, plastic

from encoder_bridge.driver import (
    Card,
    CardRejected,
    CredentialRejected,
    DeviceUnavailable,
    Encoder,
    Eraser,
    Evidence,
    Intent,
    Prompt,
    Reader,
    Sensing,
    Signaller,
    Unsure,
    Withdrawn,
)


def good_cards(stock: Path) -> list[str]:
    return [card["access_method_id"] for card in read_cards(stock).values() if isinstance(card, dict)]


def test_a_card_is_written_read_back_and_lifted(tmp_path: Path) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path) as device:
            receipt = await device.encode(credential(), desk)
            await device.lifted()
        assert receipt.evidence is Evidence.READ_BACK
        assert receipt.card is not None
        assert receipt.card.uid is not None
        assert desk.prompts == [(Prompt.PLACE_CARD, None), (Prompt.KEEP_CARD, receipt.card)]
        assert desk.intents == [Intent(card=receipt.card, note=receipt.note)]
        done, total = desk.steps[-1]
        assert done == total == int(receipt.note["blocks"])
        seen = read_cards(tmp_path)[receipt.card.uid]
        assert isinstance(seen, dict)
        assert seen["fields"] == {"guest": "Zoë Ångström", "room": "101"}
        assert seen["starts_at"] == "2026-07-01T15:00:00+02:00"

    asyncio.run(run())


def test_it_can_do_all_that_the_port_knows(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, silence_s=2) as device:
            for ability in (Encoder, Reader, Eraser, Sensing, Signaller):
                assert isinstance(device, ability)
            assert device.capabilities.silence_s == 2
            assert device.capabilities.time_step_s == 1
            assert device.capabilities.tells_cards_apart

    asyncio.run(run())


def test_it_can_do_less_than_the_port_knows(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, senses=False, time_step_s=3600, uids="none") as device:
            assert not isinstance(device, Sensing)
            for ability in (Encoder, Reader, Eraser, Signaller):
                assert isinstance(device, ability)
            assert device.capabilities.time_step_s == 3600
            assert not device.capabilities.tells_cards_apart
            assert (await device.encode(credential(), PaperDesk())).card == Card(technology="simulated")
        async with opened(tmp_path, uids="random") as device:
            assert device.capabilities.tells_cards_apart

    asyncio.run(run())


def test_each_job_gets_a_fresh_card_until_the_box_is_empty_and_then_a_new_box(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, cards=2) as device:
            for sequence in range(5):
                await device.encode(credential(sequence), PaperDesk())

    asyncio.run(run())
    assert sorted(good_cards(tmp_path)) == [f"method-{sequence}" for sequence in range(5)]


def test_reading_tells_blank_whole_and_unreadable_cards_apart_and_changes_none(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, cards=2) as device:
            assert (await device.read(PaperDesk())).fields == {"state": "blank"}
            receipt = await device.encode(credential(7), PaperDesk())
            before = plastic(tmp_path)
            contents = await device.read(PaperDesk())
            assert contents.card == receipt.card
            assert contents.fields == {
                "state": "whole",
                "access_method_id": "method-7",
                "profile": "guest",
                "sequence": "7",
                "joins": "false",
                "digest": receipt.note["digest"],
                "entrances": "room 101,pool",
                "starts_at": "2026-07-01T15:00:00+02:00",
                "ends_at": "2026-07-03T11:00:00+02:00",
            }
            assert plastic(tmp_path) == before
            assert receipt.card is not None
            Stock.open(tmp_path).write(receipt.card.uid or "", 4, bytes(16))
            assert (await device.read(PaperDesk())).fields == {"state": "unreadable"}

    asyncio.run(run())


def test_an_erased_card_is_blank_and_used_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, cards=1) as device:
            made = await device.encode(credential(), PaperDesk())
            desk = PaperDesk()
            erased = await device.erase(desk)
            assert erased.card == made.card == desk.intents[0].card
            assert set(read_cards(tmp_path).values()) == {"blank"}
            again = PaperDesk()
            assert (await device.erase(again, resume=desk.intents[0])).note == erased.note
            assert again.intents == []
            assert (await device.encode(credential(), PaperDesk())).card == made.card

    asyncio.run(run())


def test_a_card_that_some_other_system_wrote_is_not_erased(tmp_path: Path) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=1)
        stock.write(stock.uids()[0], 0, b"somebody else's!")
        stock.lay("simulated", stock.uids()[0])
        before = plastic(tmp_path)
        async with opened(tmp_path, clerk="absent") as device:
            with pytest.raises(CardRejected):
                await device.erase(PaperDesk())
        assert plastic(tmp_path) == before

    asyncio.run(run())


def test_what_was_complete_is_resumed_without_a_write_or_an_intent(tmp_path: Path) -> None:
    async def run() -> None:
        first, second = PaperDesk(), PaperDesk()
        async with opened(tmp_path) as device:
            receipt = await device.encode(credential(), first)
            before = plastic(tmp_path)
            assert await device.encode(credential(), second, first.intents[0]) == receipt
        assert (second.intents, second.steps) == ([], [])
        assert second.prompts == [(Prompt.SAME_CARD, receipt.card)]
        assert plastic(tmp_path) == before

    asyncio.run(run())


def test_a_resume_names_each_wrong_card_asks_again_when_it_is_off_and_writes_no_other(tmp_path: Path) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=2)
        right, wrong = stock.uids()
        worse = stock.add(technology="foreign")
        intent = Intent(card=Card(technology="simulated", uid=right))
        said = [
            (Prompt.SAME_CARD, intent.card),
            (Prompt.WRONG_CARD, Card(technology="simulated", uid=wrong)),
            (Prompt.WRONG_CARD, Card(technology="foreign", uid=worse)),
            (Prompt.SAME_CARD, intent.card),
            (Prompt.WRONG_CARD, Card(technology="simulated", uid=wrong)),
        ]
        desk = PaperDesk()
        async with opened(tmp_path, clerk="absent") as device:
            stock.lay("simulated", wrong)
            call = asyncio.ensure_future(device.encode(credential(), desk, intent))
            await come_true(lambda: desk.prompts == said[:2])
            stock.lay("simulated", worse)
            await come_true(lambda: desk.prompts == said[:3])
            stock.lift("simulated")
            await come_true(lambda: desk.prompts == said[:4])
            stock.lay("simulated", wrong)
            await come_true(lambda: desk.prompts == said)
            stock.lay("simulated", right)
            receipt = await call
        assert receipt.card == intent.card
        assert [uid for uid, card in read_cards(tmp_path).items() if card != "blank"] == [right]

    asyncio.run(run())


def test_a_resume_with_the_wrong_card_on_it_can_be_withdrawn(tmp_path: Path) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=2)
        right, wrong = stock.uids()
        stock.lay("simulated", wrong)
        before = plastic(tmp_path)
        desk = PaperDesk()
        async with opened(tmp_path, clerk="absent") as device:
            call = asyncio.ensure_future(
                device.encode(credential(), desk, Intent(card=Card(technology="simulated", uid=right)))
            )
            await come_true(lambda: len(desk.prompts) == 2)
            desk.off.set()
            with pytest.raises(Withdrawn):
                await call
        assert plastic(tmp_path) == before

    asyncio.run(run())


def test_a_resume_that_names_no_card_touches_none(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as device:
            before = plastic(tmp_path)
            assert isinstance(await failed(device, PaperDesk(), Intent(card=None)), Unsure)
        assert plastic(tmp_path) == before

    asyncio.run(run())


@pytest.mark.parametrize("clerk", ["automatic", "absent"])
def test_a_withdrawal_ends_the_wait_for_a_card(tmp_path: Path, clerk: str) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, clerk=clerk, place_s=1000) as device:
            before = plastic(tmp_path)
            call = asyncio.ensure_future(device.encode(credential(), desk))
            await desk.asked.wait()
            desk.off.set()
            with pytest.raises(Withdrawn):
                await call
            desk.off.clear()
        assert plastic(tmp_path) == before
        assert desk.intents == []

    asyncio.run(run())


def test_a_veto_passes_touches_nothing_and_the_next_card_is_another(tmp_path: Path) -> None:
    veto = CardRejected("This card is another guest's.")

    laid = []

    def refuse() -> None:
        laid.append(Stock.open(tmp_path).lying("simulated"))
        raise veto

    async def run() -> None:
        async with opened(tmp_path, cards=2) as device:
            before = plastic(tmp_path)
            vetoed = PaperDesk(intending=refuse)
            assert await failed(device, vetoed) is veto
            assert plastic(tmp_path) == before
            first = await device.encode(credential(1), PaperDesk())
            assert first.card is not None
            assert first.card.uid not in laid, "the vetoed card comes after the others"
            await device.encode(credential(2), PaperDesk())

    asyncio.run(run())
    assert sorted(good_cards(tmp_path)) == ["method-1", "method-2"]
    assert len(plastic(tmp_path)) == 2, "the vetoed card was put back"


def test_a_card_that_already_carries_another_credential_is_written_over_completely(tmp_path: Path) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=1)
        stock.lay("simulated", stock.uids()[0])
        async with opened(tmp_path, clerk="absent") as device:
            await device.encode(credential(1, fields={"guest": "G" * 900}), PaperDesk())
            await device.encode(credential(2), PaperDesk())
        assert good_cards(tmp_path) == ["method-2"]
        assert b"GGGG" not in stock.read(stock.uids()[0])

    asyncio.run(run())


def test_a_card_changed_by_hand_in_the_middle_of_a_write_is_unsure_and_the_other_card_is_left_alone(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=2)
        first, second = stock.uids()
        stock.lay("simulated", first)
        desk = PaperDesk(stepping=lambda done: stock.lay("simulated", second) if done == 3 else None)
        async with opened(tmp_path, clerk="absent") as device:
            error = await failed(device, desk)
        assert isinstance(error, Unsure)
        assert error.error_type == "encoding_interrupted"
        assert read_cards(tmp_path) == {first: "torn", second: "blank"}

    asyncio.run(run())


def test_lifted_waits_for_the_hand_that_lifts(tmp_path: Path) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=1)
        stock.lay("simulated", stock.uids()[0])
        async with opened(tmp_path, clerk="absent") as device:
            lifted = asyncio.ensure_future(device.lifted())
            await asyncio.wait({lifted}, timeout=0.05)
            assert not lifted.done()
            stock.lift("simulated")
            await asyncio.wait_for(lifted, 10)

    asyncio.run(run())


def test_the_automatic_clerk_lifts_the_card_before_the_next_one_comes(tmp_path: Path) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=2)
        async with opened(tmp_path, lift_s=1000, place_s=0.001) as device:
            one = await device.encode(credential(1), PaperDesk())
            assert one.card == Card(technology="simulated", uid=stock.lying("simulated"))
            two = await device.encode(credential(2), PaperDesk())
            assert two.card != one.card
        assert stock.lying("simulated") is None
        assert sorted(good_cards(tmp_path)) == ["method-1", "method-2"]

    asyncio.run(run())


def test_what_does_not_fit_on_any_card_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path) as device:
            for wrong in (credential(data={"block": bytes(4096)}), credential(-1)):
                with pytest.raises(CredentialRejected):
                    device.check(wrong)
                with pytest.raises(CredentialRejected):
                    await device.encode(wrong, desk)
        assert desk.prompts == []

    asyncio.run(run())


def test_an_encoder_is_opened_once_here_and_anywhere(tmp_path: Path) -> None:
    elsewhere = (
        "import asyncio, sys\n"
        "from encoder_bridge.driver import DeviceUnavailable\n"
        "from encoder_bridge_simulated import driver\n"
        "async def main():\n"
        "    try:\n"
        "        async with driver.open({'stock': sys.argv[1]}, None): print('open')\n"
        "    except DeviceUnavailable: print('refused')\n"
        "asyncio.run(main())\n"
    )

    def there() -> str:
        return subprocess.run([sys.executable, "-c", elsewhere, tmp_path], capture_output=True, text=True).stdout

    async def run() -> None:
        async with opened(tmp_path), opened(tmp_path, name="another"):
            with pytest.raises(DeviceUnavailable):
                await opened(tmp_path).__aenter__()
            assert await asyncio.to_thread(there) == "refused\n"
        assert await asyncio.to_thread(there) == "open\n"

    asyncio.run(run())


def test_two_encoders_share_a_stock_and_never_a_card(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, name="a", latency_s=0.0001) as a, opened(tmp_path, name="b") as b:
            await asyncio.gather(*(asyncio.ensure_future(many(device, first)) for device, first in ((a, 0), (b, 100))))

    async def many(device: Encoder, first: int) -> None:
        for sequence in range(first, first + 5):
            await device.encode(credential(sequence), PaperDesk())

    asyncio.run(run())
    assert len(good_cards(tmp_path)) == len(set(good_cards(tmp_path))) == 10


def test_closing_ends_what_still_waits_and_may_be_done_twice(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, clerk="absent") as device:
            desk = PaperDesk()
            call = asyncio.ensure_future(failed(device, desk))
            await desk.asked.wait()
            device.close()
            device.close()
            assert isinstance(await call, DeviceUnavailable)
            await device.lost()
            await device.lifted()
            assert isinstance(await failed(device, PaperDesk()), DeviceUnavailable)
        async with opened(tmp_path) as device:
            await device.encode(credential(), PaperDesk())

    asyncio.run(run())


def test_closing_in_the_middle_of_a_write_is_unsure_and_writes_no_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, cards=1, lift_s=1000) as device:
            desk = PaperDesk(stepping=lambda done: device.close() if done == 3 else None)
            error = await failed(device, desk)
            assert isinstance(error, Unsure)
            assert error.error_type == "encoder_not_online"
            assert len(desk.steps) == 3
            assert Stock.open(tmp_path).lying("simulated") is None
        assert list(read_cards(tmp_path).values()) == ["torn"]

    asyncio.run(run())


def test_a_folder_that_cannot_be_used_is_an_unavailable_device(tmp_path: Path) -> None:
    async def run() -> None:
        (tmp_path / "file").write_text("not a folder")
        with pytest.raises(DeviceUnavailable):
            await opened(tmp_path / "file").__aenter__()
        async with opened(tmp_path / "stock", clerk="absent") as device:
            stock = Stock.open(tmp_path / "stock")
            uid = stock.uids()[0]
            stock.lay("simulated", uid)
            (tmp_path / "stock" / f"{uid}.card").unlink()
            assert isinstance(await failed(device, PaperDesk()), DeviceUnavailable)

    asyncio.run(run())


def test_a_stock_that_breaks_during_a_write_is_unsure(tmp_path: Path) -> None:
    reader = tmp_path / "stock" / "readers" / "simulated.reader"

    def damage(done: int) -> None:
        if done == 3:
            reader.unlink()
            reader.mkdir()

    async def run() -> None:
        for breaks in (lambda done: shutil.rmtree(tmp_path / "stock") if done == 3 else None, damage):
            async with opened(tmp_path / "stock") as device:
                assert isinstance(await failed(device, PaperDesk(stepping=breaks)), Unsure)

    asyncio.run(run())


def test_an_idle_encoder_sets_no_timer_and_runs_no_task(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as device:
            await device.encode(credential(), PaperDesk())
            loop = asyncio.get_running_loop()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert not [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]

    asyncio.run(run())
