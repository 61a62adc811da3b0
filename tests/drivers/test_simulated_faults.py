"""Each fault: what is raised, what it leaves on the cards, and that the job can be finished afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from cards import read_cards
from encoder_bridge_simulated import FAULTS, Stock, driver
from encoder_bridge_simulated.script import Script
from simulated_desk import PaperDesk, come_true, credential, failed, opened, plastic, secret

from encoder_bridge.driver import (
    CardRejected,
    CredentialRejected,
    DeviceUnavailable,
    DriverError,
    NoCard,
    Prompt,
    Receipt,
    Unsure,
)

NO_CHANGE: dict[str, tuple[type[DriverError], str]] = {
    "no_credential_on_encoder": (NoCard, "no_credential_on_encoder"),
    "incompatible_card_format": (CardRejected, "incompatible_card_format"),
    "card_full": (CardRejected, "incompatible_card_format"),
    "card_locked": (CardRejected, "incompatible_card_format"),
    "encoder_not_online": (DeviceUnavailable, "encoder_not_online"),
    "bridge_disconnected": (DeviceUnavailable, "bridge_disconnected"),
    "credential_cannot_be_reissued": (CredentialRejected, "credential_cannot_be_reissued"),
    "credential_deleted": (CredentialRejected, "credential_deleted"),
}
UNSURE: dict[str, tuple[str, str]] = {
    "encoding_interrupted": ("encoding_interrupted", "torn"),
    "encoding_interrupted@0": ("encoding_interrupted", "blank"),
    "encoding_interrupted@1": ("encoding_interrupted", "torn"),
    "encoding_interrupted@9999": ("encoding_interrupted", "whole"),
    "encoder_not_online@2": ("encoder_not_online", "torn"),
    "encoder_communication_timeout": ("encoder_communication_timeout", "whole"),
    "action_attempt_expired": ("action_attempt_expired", "whole"),
    "uncategorized_error": ("uncategorized_error", "torn"),
    "verify_mismatch": ("uncategorized_error", "torn"),
    "verify_mismatch@0": ("uncategorized_error", "torn"),
    "verify_mismatch@9999": ("uncategorized_error", "torn"),
    "write_ignored": ("uncategorized_error", "blank"),
}


def states(stock: Path) -> list[str]:
    return sorted(card if isinstance(card, str) else "whole" for card in read_cards(stock).values())


async def can_be_opened(stock: Path) -> bool:
    try:
        async with opened(stock):
            return True
    except DeviceUnavailable:
        return False


def test_every_fault_is_tried_here() -> None:
    tried = {name.partition("@")[0] for name in (*NO_CHANGE, *UNSURE)} | {"slow", "hung"}
    assert tried == set(FAULTS)


@pytest.mark.parametrize("clerk", ["automatic", "absent"])
@pytest.mark.parametrize("name", NO_CHANGE)
def test_a_fault_that_says_so_changes_no_card(tmp_path: Path, name: str, clerk: str) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, cards=3, faults=[name], clerk=clerk) as device:
            before = plastic(tmp_path)
            error = await failed(device, desk)
            assert (type(error), error.error_type) == NO_CHANGE[name]
            assert error.raw == name
            assert plastic(tmp_path) == before
            assert desk.intents == []
            assert Stock.open(tmp_path).lying("simulated") is None

    asyncio.run(run())


@pytest.mark.parametrize("name", UNSURE)
def test_a_fault_after_the_intent_is_unsure_and_resumed_on_the_same_card(tmp_path: Path, name: str) -> None:
    async def run() -> None:
        first, second = PaperDesk(), PaperDesk()
        error_type, state = UNSURE[name]
        async with opened(tmp_path, cards=2, faults=[name], replug_s=0) as device:
            error = await failed(device, first)
        assert (type(error), error.error_type, error.raw) == (Unsure, error_type, name.partition("@")[0])
        assert states(tmp_path) == sorted(["blank", state])
        async with opened(tmp_path, faults=[name]) as device:
            receipt = await device.encode(credential(), second, first.intents[-1])
        assert receipt.card == first.intents[-1].card
        assert bool(second.intents) is (state != "whole")
        assert states(tmp_path) == ["blank", "whole"]

    asyncio.run(run())


def test_a_card_torn_over_an_older_credential_carries_neither(tmp_path: Path) -> None:
    async def run() -> None:
        stock = Stock.open(tmp_path, cards=1)
        stock.lay("simulated", stock.uids()[0])
        async with opened(tmp_path, clerk="absent") as device:
            await device.encode(credential(2), PaperDesk())
        async with opened(tmp_path, clerk="absent", faults=["encoding_interrupted@1"]) as device:
            assert isinstance(await failed(device, PaperDesk()), Unsure)
            assert stock.lying("simulated") is None
        assert states(tmp_path) == ["torn"]

    asyncio.run(run())


def test_faults_come_in_order_one_for_each_encode(tmp_path: Path) -> None:
    async def run() -> None:
        names = ["credential_deleted", "no_credential_on_encoder", "card_full"]
        async with opened(tmp_path, faults=names) as device:
            assert [(await failed(device, PaperDesk())).raw for _ in names] == names
            assert isinstance(await device.encode(credential(), PaperDesk()), Receipt)

    asyncio.run(run())


def test_a_restart_does_not_play_a_fault_again(tmp_path: Path) -> None:
    async def run() -> None:
        names = ["bridge_disconnected", "card_locked"]
        for name in names:
            async with opened(tmp_path, faults=names) as device:
                assert (await failed(device, PaperDesk())).raw == name
        async with opened(tmp_path, faults=names) as device:
            await device.encode(credential(), PaperDesk())
        async with opened(tmp_path, faults=[*names, "card_full"]) as device:
            assert (await failed(device, PaperDesk())).raw == "card_full"
        async with opened(tmp_path, faults=["credential_deleted"]) as device:
            assert (await failed(device, PaperDesk())).raw == "credential_deleted"

    asyncio.run(run())


def test_a_refused_credential_waits_for_a_fresh_encode(tmp_path: Path) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, faults=["uncategorized_error", "credential_deleted"]) as device:
            await failed(device, desk)
            await device.encode(credential(), PaperDesk(), desk.intents[0])
            assert (await failed(device, PaperDesk())).raw == "credential_deleted"

    asyncio.run(run())


def test_a_wrong_card_during_a_resume_is_taken_away_and_the_right_one_laid(tmp_path: Path) -> None:
    async def run() -> None:
        first, second = PaperDesk(), PaperDesk()
        async with opened(tmp_path, faults=["uncategorized_error", "card_full"]) as device:
            await failed(device, first)
            receipt = await device.encode(credential(), second, first.intents[0])
        assert receipt.card == first.intents[0].card
        assert [prompt for prompt, _ in second.prompts] == [Prompt.SAME_CARD, Prompt.WRONG_CARD, Prompt.KEEP_CARD]

    asyncio.run(run())


def test_an_unplugged_encoder_is_lost_refuses_to_open_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("encoder_bridge_simulated.plug.time", SimpleNamespace(monotonic=lambda: now))

    async def run() -> None:
        async with opened(tmp_path, faults=["encoder_not_online"], replug_s=0.5) as device:
            lost = asyncio.ensure_future(device.lost())
            await asyncio.sleep(0)
            assert not lost.done()
            await failed(device, PaperDesk())
            await asyncio.wait_for(lost, 10)
        assert not await can_be_opened(tmp_path)
        assert await driver.discover({"stock": str(tmp_path)}, secret) == ()
        nonlocal now
        now += 0.5
        async with opened(tmp_path) as device:
            await device.encode(credential(), PaperDesk())

    asyncio.run(run())


@pytest.mark.parametrize(("name", "state"), [("hung", "blank"), ("hung@2", "torn")])
def test_a_hung_encoder_is_silent_until_it_is_closed(tmp_path: Path, name: str, state: str) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, cards=1, faults=[name]) as device:
            call = asyncio.ensure_future(failed(device, desk))
            await come_true(lambda: desk.intents)
            desk.off.set()
            await asyncio.wait({call}, timeout=0.05)
            assert not call.done()
            device.close()
            error = await call
        assert (type(error), error.raw) == (Unsure, "hung")
        assert states(tmp_path) == [state]

    asyncio.run(run())


def test_a_hung_encoder_yields_to_a_shutdown(tmp_path: Path) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, faults=["hung"]) as device:
            call = asyncio.ensure_future(device.encode(credential(), desk))
            await come_true(lambda: desk.intents)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(run())


def test_a_slow_encoder_still_makes_the_card_and_keeps_talking(tmp_path: Path) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, faults=["slow"], latency_s=0.0001) as device:
            receipt = await device.encode(credential(), desk)
        assert len(desk.steps) == int(receipt.note["blocks"])

    asyncio.run(run())


def test_a_card_somebody_may_come_back_to_is_not_given_to_the_next_job(tmp_path: Path) -> None:
    async def run() -> None:
        desk = PaperDesk()
        async with opened(tmp_path, cards=1, faults=["write_ignored"]) as device:
            await failed(device, desk)
            assert (await device.read(PaperDesk())).card == desk.intents[0].card
            other = await device.encode(credential(2), PaperDesk())
            assert other.card != desk.intents[0].card
            await device.encode(credential(1), PaperDesk(), desk.intents[0])
        assert states(tmp_path) == ["whole", "whole"]

    asyncio.run(run())


def test_random_faults_repeat_with_the_seed_go_on_after_a_restart_and_never_hang(tmp_path: Path) -> None:
    def drawn(path: Path, rate: float, seed: int | None, restart: bool) -> list[str | None]:
        names = []
        script = Script(path, (), rate, seed)
        for _ in range(200):
            if restart:
                script = Script(path, (), rate, seed)
            fault = script.take(resumed=False)
            names.append(fault.name if fault else None)
        return names

    through = drawn(tmp_path / "a", 0.5, 7, restart=False)
    assert drawn(tmp_path / "b", 0.5, 7, restart=True) == through
    assert drawn(tmp_path / "c", 0.5, 8, restart=False) != through
    assert 60 < sum(name is not None for name in through) < 140
    assert set(drawn(tmp_path / "d", 1.0, None, restart=False)) == set(FAULTS) - {"hung"}
    assert set(drawn(tmp_path / "e", 0.0, 7, restart=False)) == {None}


def test_with_any_mixture_of_faults_every_job_ends_with_one_good_card(tmp_path: Path) -> None:
    async def run() -> None:
        settings = {"cards": 5, "fault_rate": 0.7, "seed": 3, "replug_s": 0}
        for sequence in range(25):
            wanted, intent = credential(sequence), None
            for _ in range(60):
                desk, before = PaperDesk(), plastic(tmp_path)
                async with opened(tmp_path, **settings) as device:
                    before = plastic(tmp_path)
                    try:
                        await device.encode(wanted, desk, intent)
                        break
                    except Unsure:
                        intent = desk.intents[-1] if desk.intents else intent
                    except DriverError:
                        after = plastic(tmp_path)
                        assert {uid: after[uid] for uid in before} == before
            else:
                raise AssertionError("no card after 60 calls")

    asyncio.run(run())
    good = [card["access_method_id"] for card in read_cards(tmp_path).values() if isinstance(card, dict)]
    assert sorted(good) == sorted(f"method-{sequence}" for sequence in range(25))
    assert "torn" not in read_cards(tmp_path).values()
