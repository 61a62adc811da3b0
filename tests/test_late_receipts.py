"""What a station does with a call that ends otherwise than its desk has meanwhile decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from model import plastic
from model.bridge import Bridge, running
from model.plastic import SensingEncoder, World
from rigs.folders import memory_folder

from encoder_bridge import wire
from encoder_bridge.driver import Card, Credential, Desk, Evidence, Intent, Prompt, Receipt, Unsure, Withdrawn
from encoder_bridge.model import State, iso
from encoder_bridge.reports import ReplyAddress

CARD = Card(technology="test", uid="04aa")
GOOD = Receipt(evidence=Evidence.READ_BACK, card=CARD)
REOPENED_S = 40.0


@pytest.fixture
def world() -> World:
    world = World()
    world.unplug("attic")
    return world


@pytest.fixture
def path() -> Iterator[Path]:
    with memory_folder() as folder:
        yield folder / "store.db"


def need(bridge: Bridge, method: str = "m1") -> None:
    body = {
        "event_id": f"e-{method}",
        "event_type": "access_method.card_encoding_required",
        "access_method_id": method,
        "occurred_at": iso(bridge.clock()),
        "encoder": "left",
    }
    trigger = wire.Trigger.model_validate(body)
    bridge.do(lambda: bridge.store.needs.accept(trigger, ReplyAddress(), bridge.clock()))
    bridge.rest()


def cancel(bridge: Bridge) -> None:
    asked = wire.Request(id="c", access_method_id="m1")
    bridge.do(lambda: bridge.store.requests.cancel(asked, ReplyAddress(), bridge.clock()))
    bridge.rest()


def job(bridge: Bridge) -> tuple[State, str | None]:
    found = bridge.store.work._ledger.job(1)
    return found.state, found.error.type if found.error else None


def events(bridge: Bridge) -> list[str]:
    return [message.name for message in bridge.store.outbox.pending(100) if message.kind == "event"]


class Letting(SensingEncoder):
    """Intends, waits, and lets go without a word, which it may: it has changed nothing yet."""

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        desk.ask(Prompt.SAME_CARD if resume else Prompt.PLACE_CARD)
        await self._any_card(desk)
        await desk.intend(Intent(card=CARD))
        if self._next("torn"):
            raise Unsure("torn")
        if self._next("good"):
            return GOOD
        await desk.withdrawn()
        raise Withdrawn("nothing was changed")


def test_a_job_whose_driver_let_go_after_its_intent_because_the_device_went_is_back_in_the_queue(
    monkeypatch: pytest.MonkeyPatch, world: World, path: Path
) -> None:
    monkeypatch.setattr(plastic, "SensingEncoder", Letting)
    with running(path, world) as bridge:
        need(bridge)
        world.lay("left", world.blank())
        bridge.rest()
        assert job(bridge) == (State.WRITING, None)
        world.unplug("left")
        bridge.rest()
        assert job(bridge) == (State.QUEUED, "encoder_not_online")
        assert bridge.board.encoders["left"].state == "offline"
        world.lay("left", None)
        world.unplugged.remove("left")
        world.faults["left"].append("good")
        bridge.advance(REOPENED_S)
        world.lay("left", world.blank())
        bridge.rest()
        assert job(bridge) == (State.ISSUED, None)


def test_a_card_in_doubt_whose_driver_let_go_because_the_device_went_is_in_doubt_for_the_same_reason(
    monkeypatch: pytest.MonkeyPatch, world: World, path: Path
) -> None:
    monkeypatch.setattr(plastic, "SensingEncoder", Letting)
    with running(path, world) as bridge:
        world.faults["left"].append("torn")
        need(bridge)
        piece = world.blank()
        world.lay("left", piece)
        bridge.rest()
        assert job(bridge) == (State.UNSURE, "encoding_interrupted")
        world.lay("left", None)
        bridge.advance(5)
        world.lay("left", piece)
        bridge.rest()
        assert job(bridge)[0] is State.WRITING
        world.unplug("left")
        bridge.rest()
        assert job(bridge) == (State.UNSURE, "encoding_interrupted")


class Stubborn(SensingEncoder):
    """Comes back with a card although the job was taken off the desk, and has a light."""

    lights: list[bool]

    async def encode(self, credential: Credential, desk: Desk, resume: Intent | None = None) -> Receipt:
        desk.ask(Prompt.PLACE_CARD)
        if not self._next("good"):
            await desk.withdrawn()
        return GOOD

    async def signal(self, ok: bool) -> None:
        self.lights.append(ok)


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_card_that_comes_too_late_gets_the_red_light_and_any_other_the_green_one(
    monkeypatch: pytest.MonkeyPatch, world: World, path: Path, is_wanted: bool
) -> None:
    lights: list[bool] = []
    monkeypatch.setattr(plastic, "SensingEncoder", Stubborn)
    monkeypatch.setattr(Stubborn, "lights", lights, raising=False)
    with running(path, world) as bridge:
        if is_wanted:
            world.faults["left"].append("good")
        need(bridge)
        if is_wanted:
            assert (job(bridge), lights) == ((State.ISSUED, None), [True])
            return
        cancel(bridge)
        assert (job(bridge)[0], lights) == (State.CANCELLED, [False])
        assert events(bridge)[-1] == "encoder_bridge.card_not_wanted"


def test_the_person_is_told_not_to_hand_a_card_out_that_came_too_late(
    monkeypatch: pytest.MonkeyPatch, world: World, path: Path
) -> None:
    monkeypatch.setattr(plastic, "SensingEncoder", Stubborn)
    monkeypatch.setattr(Stubborn, "lights", [], raising=False)
    with running(path, world) as bridge:
        need(bridge)
        piece = world.blank()
        world.lay("left", piece)
        cancel(bridge)
        shown = bridge.board.encoders["left"]
        assert shown.prompt == "lift_card"
        assert shown.error is not None
        assert shown.error.type == "late_receipt"
        world.lay("left", None)
        bridge.rest()
        assert bridge.board.encoders["left"].error is None
