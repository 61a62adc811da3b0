"""Cards that are read and blanked between two jobs: who comes first, who is told what, and what an accident leaves."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from model import plastic
from model.bridge import Bridge, running
from model.plastic import SILENCE_S, Piece, SensingEncoder, World
from rigs.folders import memory_folder

from encoder_bridge import wire
from encoder_bridge.driver import (
    Card,
    CardRejected,
    Contents,
    CredentialRejected,
    Desk,
    DeviceUnavailable,
    DriverError,
    Intent,
    NoCard,
    Prompt,
    Receipt,
    Withdrawn,
)
from encoder_bridge.model import State, iso
from encoder_bridge.reports import ReplyAddress

SERVED_S = 2.0
CARD_WAIT_S = 90.0
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


@pytest.fixture
def bridge(world: World, path: Path) -> Iterator[Bridge]:
    with running(path, world) as bridge:
        yield bridge


def need(bridge: Bridge, method: str) -> None:
    trigger = wire.Trigger.model_validate(
        {
            "event_id": f"e-{method}",
            "event_type": "access_method.card_encoding_required",
            "access_method_id": method,
            "occurred_at": iso(bridge.clock()),
            "encoder": "left",
        }
    )
    bridge.do(lambda: bridge.store.needs.accept(trigger, ReplyAddress(), bridge.clock()))


def job(bridge: Bridge, job_id: int = 1) -> tuple[State, str | None]:
    found = bridge.store.work._ledger.job(job_id)
    return found.state, found.error.type if found.error else None


def made(bridge: Bridge, world: World, method: str = "m1") -> Piece:
    """A card that was made and lies there still."""
    need(bridge, method)
    piece = world.blank()
    world.lay("left", piece)
    bridge.advance(SERVED_S)
    assert piece.mark
    return piece


def read(bridge: Bridge, name: str = "r") -> asyncio.Task[wire.Response]:
    return bridge.send(wire.Read(id=name, encoder="left"))


def erase(bridge: Bridge, name: str = "x") -> asyncio.Task[wire.Response]:
    return bridge.send(wire.Erase(id=name, encoder="left", even_if_valid=True))


def outcome(errand: asyncio.Task[wire.Response]) -> tuple[str, str | None]:
    answer = errand.result()
    return answer.status, answer.error.type if answer.error else None


def erasures(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as store:
        return [state for (state,) in store.execute("SELECT state FROM erasure ORDER BY erasure_id")]


def told(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as store:
        rows = store.execute("SELECT name FROM outbox WHERE kind = 'event' ORDER BY report_id").fetchall()
    return [name for (name,) in rows if "card_" in name]


def shows(bridge: Bridge) -> str:
    return bridge.board.encoders["left"].state


def asked(world: World) -> str | None:
    return world.asked["left"].verb if "left" in world.asked else None


# Who comes first.


@pytest.mark.parametrize("rounds", range(16))
def test_a_read_comes_before_a_job_whenever_it_is_sent_while_that_is_claimed(
    bridge: Bridge, world: World, rounds: int
) -> None:
    need(bridge, "m1")
    bridge.spin(rounds)
    errand = read(bridge)
    bridge.rest()
    assert asked(world) == "read"
    assert job(bridge)[0] is State.QUEUED
    piece = world.blank()
    world.lay("left", piece)
    bridge.advance(SERVED_S)
    assert outcome(errand) == ("read", None)
    assert piece.is_blank
    world.lay("left", None)
    bridge.rest()
    world.lay("left", piece)
    bridge.advance(SERVED_S)
    assert job(bridge) == (State.ISSUED, None)


def test_the_card_that_lies_there_can_be_read_while_it_is_to_be_lifted(bridge: Bridge, world: World) -> None:
    piece = made(bridge, world)
    need(bridge, "m2")
    bridge.rest()
    assert bridge.board.encoders["left"].prompt == "lift_card"
    before = dict(vars(piece))
    for name in ("one", "two"):
        errand = read(bridge, name)
        bridge.advance(SERVED_S)
        answer = errand.result()
        assert (answer.status, answer.card.uid if answer.card else None) == ("read", piece.uid)
        assert answer.made_here is not None
        assert answer.made_here.access_method_id == "m1"
        assert bridge.board.encoders["left"].prompt == "lift_card", "it is to be lifted all the same"
    assert vars(piece) == before
    assert job(bridge, 2)[0] is State.QUEUED
    world.lay("left", None)
    bridge.rest()
    assert asked(world) == "encode"


def test_the_card_that_lies_there_can_be_blanked_while_it_is_to_be_lifted(
    bridge: Bridge, world: World, path: Path
) -> None:
    piece = made(bridge, world)
    errand = erase(bridge)
    bridge.advance(SERVED_S)
    assert outcome(errand) == ("erased", None)
    assert piece.is_blank
    assert erasures(path) == ["erased"]
    assert bridge.board.encoders["left"].prompt == "lift_card"


@pytest.mark.parametrize("first", [read, erase])
@pytest.mark.parametrize("second", [read, erase])
def test_a_second_errand_is_refused_while_the_first_waits_for_its_card(
    bridge: Bridge, world: World, first: Callable[..., Any], second: Callable[..., Any]
) -> None:
    one = first(bridge, "one")
    bridge.rest()
    two = second(bridge, "two")
    bridge.rest()
    assert outcome(two) == ("rejected", "encoder_busy")
    assert not one.done()
    world.lay("left", world.blank())
    bridge.advance(SERVED_S)
    assert one.result().status in {"read", "erased"}
    world.lay("left", None)
    bridge.rest()
    again = second(bridge, "three")
    bridge.rest()
    assert not again.done(), "now it is its turn"


def test_two_errands_in_one_moment_are_not_both_done(bridge: Bridge) -> None:
    one, two = read(bridge, "one"), read(bridge, "two")
    bridge.rest()
    assert outcome(two) == ("rejected", "encoder_busy")
    assert not one.done()


# Whoever asked goes away.


@pytest.mark.parametrize("verb", [read, erase])
@pytest.mark.parametrize("rounds", [*range(10), 1000])
def test_an_errand_whose_asker_goes_away_is_withdrawn(
    bridge: Bridge, world: World, path: Path, verb: Callable[..., Any], rounds: int
) -> None:
    errand = verb(bridge)
    bridge.spin(rounds)
    errand.cancel()
    bridge.rest()
    assert (asked(world), shows(bridge)) == (None, "idle")
    assert erasures(path) == []
    need(bridge, "m1")
    world.lay("left", world.blank())
    bridge.advance(SERVED_S)
    assert job(bridge) == (State.ISSUED, None)


def test_a_blanking_that_has_begun_is_finished_although_its_asker_goes_away(
    bridge: Bridge, world: World, path: Path
) -> None:
    piece = made(bridge, world)
    errand = erase(bridge)
    bridge.advance(0.1)
    assert erasures(path) == ["erasing"]
    errand.cancel()
    bridge.advance(SERVED_S)
    assert piece.is_blank
    assert erasures(path) == ["erased"]
    assert told(path)[-1] == "encoder_bridge.card_erased"


def test_nobody_lays_a_card_down_in_time_and_the_desk_goes_on(bridge: Bridge, world: World) -> None:
    errand = read(bridge)
    bridge.advance(CARD_WAIT_S + 1)
    assert outcome(errand) == ("failed", "no_credential_on_encoder")
    assert shows(bridge) == "idle"


# The device goes.


@pytest.mark.parametrize("verb", [read, erase])
def test_whoever_asked_is_told_when_the_device_goes_during_an_errand(
    bridge: Bridge, world: World, path: Path, verb: Callable[..., Any]
) -> None:
    errand = verb(bridge)
    bridge.rest()
    world.unplug("left")
    bridge.rest()
    assert outcome(errand) == ("failed", "encoder_not_online")
    assert shows(bridge) == "offline"
    assert erasures(path) == []
    assert outcome(refused := verb(bridge, "again")) == ("rejected", "encoder_not_online"), refused
    world.unplugged.remove("left")
    bridge.advance(REOPENED_S)
    world.lay("left", world.blank())
    bridge.rest()
    third = verb(bridge, "third")
    bridge.advance(SERVED_S)
    assert third.result().status in {"read", "erased"}


def test_a_blanking_during_which_the_device_goes_is_in_doubt(bridge: Bridge, world: World, path: Path) -> None:
    made(bridge, world)
    errand = erase(bridge)
    bridge.advance(0.1)
    world.unplug("left")
    bridge.advance(SERVED_S)
    assert errand.result().status == "unsure"
    assert erasures(path) == ["unsure"]


class Letting(SensingEncoder):
    """Lets go of an errand without a word when its device is gone, after its intent too."""

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        piece = await self._card(desk, plastic.Wanted(verb="erase", job=None, card=None), None, "")
        await desk.intend(Intent(card=Card(technology="test", uid=piece.uid)))
        await desk.withdrawn()
        raise Withdrawn("nothing was changed")


def test_a_blanking_that_its_gone_device_let_go_is_told_as_that_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, world: World, path: Path
) -> None:
    monkeypatch.setattr(plastic, "SensingEncoder", Letting)
    with running(path, world) as bridge:
        world.lay("left", world.blank())
        errand = erase(bridge)
        bridge.advance(1)
        assert erasures(path) == ["erasing"]
        world.unplug("left")
        bridge.rest()
        assert outcome(errand) == ("failed", "encoder_not_online")
        assert erasures(path) == []


# Torn.


def test_a_blanking_that_was_torn_is_in_doubt_and_taken_up_by_the_next_one(
    bridge: Bridge, world: World, path: Path
) -> None:
    piece = made(bridge, world)
    world.faults["left"].append("torn")
    errand = erase(bridge)
    bridge.advance(SERVED_S)
    assert errand.result().status == "unsure"
    assert erasures(path) == ["unsure"]
    assert told(path)[-1] == "encoder_bridge.card_unsure"
    world.lay("left", None)
    bridge.rest()
    again = erase(bridge, "y")
    bridge.rest()
    assert world.asked["left"].card == piece.uid
    world.lay("left", piece)
    bridge.advance(SERVED_S)
    assert outcome(again) == ("erased", None)
    assert piece.is_blank
    assert erasures(path) == ["erased"], "it was one erasure"
    assert told(path)[-1] == "encoder_bridge.card_erased"


def test_a_torn_blanking_that_is_taken_up_with_another_card_stays_in_doubt(
    bridge: Bridge, world: World, path: Path
) -> None:
    made(bridge, world)
    world.faults["left"].append("torn")
    erase(bridge)
    bridge.advance(SERVED_S)
    other = world.blank()
    world.lay("left", other)
    bridge.rest()
    again = erase(bridge, "y")
    bridge.advance(SERVED_S)
    assert outcome(again)[0] == "failed"
    assert erasures(path) == ["unsure"]
    assert other.is_blank


def changes_nothing(error: DriverError) -> type[SensingEncoder]:
    class Refusing(SensingEncoder):
        async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
            piece = await self._card(desk, plastic.Wanted(verb="erase", job=None, card=None), None, "")
            await desk.intend(Intent(card=Card(technology="test", uid=piece.uid)))
            raise error

    return Refusing


@pytest.mark.parametrize(
    "error",
    [CardRejected("locked"), NoCard("lifted"), DeviceUnavailable("busy"), CredentialRejected("no"), Withdrawn("off")],
    ids=lambda error: type(error).__name__,
)
def test_a_blanking_whose_driver_changed_nothing_after_its_intent_leaves_no_erasure_behind(
    monkeypatch: pytest.MonkeyPatch, world: World, path: Path, error: DriverError
) -> None:
    monkeypatch.setattr(plastic, "SensingEncoder", changes_nothing(error))
    with running(path, world) as bridge:
        piece = world.blank()
        world.lay("left", piece)
        bridge.rest()
        errand = erase(bridge)
        bridge.advance(SERVED_S)
        assert errand.result().status == "failed"
        assert erasures(path) == []
        assert told(path) == []
        world.lay("left", None)
        need(bridge, "m1")
        bridge.advance(REOPENED_S)
        world.lay("left", piece)
        bridge.advance(SERVED_S)
        assert job(bridge) == (State.ISSUED, None), "the card is free"


# Hung.


class Deaf(SensingEncoder):
    """Answers nobody for a long time."""

    async def read(self, desk: Desk) -> Contents:
        desk.ask(Prompt.PLACE_CARD)
        await asyncio.sleep(CARD_WAIT_S + 3 * SILENCE_S)
        return Contents(card=Card(technology="test", uid="ff"))


def test_a_read_that_hangs_is_answered_and_the_device_opened_again_once_it_comes_back(
    monkeypatch: pytest.MonkeyPatch, world: World, path: Path
) -> None:
    monkeypatch.setattr(plastic, "SensingEncoder", Deaf)
    with running(path, world) as bridge:
        first = world.devices["left"]
        errand = read(bridge)
        bridge.advance(CARD_WAIT_S + SILENCE_S - 0.1)
        assert not errand.done()
        bridge.advance(0.2)
        assert outcome(errand) == ("failed", "encoder_communication_timeout")
        assert shows(bridge) == "hung"
        assert outcome(read(bridge, "again")) == ("rejected", "encoder_not_online")
        need(bridge, "m1")
        bridge.advance(SILENCE_S)
        assert "left" not in world.devices, "one caller at a time"
        bridge.advance(REOPENED_S + SILENCE_S)
        assert world.devices["left"] is not first
        world.lay("left", world.blank())
        bridge.advance(SERVED_S)
        assert job(bridge) == (State.ISSUED, None)


def test_a_blanking_that_hangs_is_in_doubt_and_counts_when_it_comes_back_after_all(
    bridge: Bridge, world: World, path: Path
) -> None:
    piece = made(bridge, world)
    world.faults["left"].append("hangs")
    errand = erase(bridge)
    bridge.advance(SILENCE_S + 1)
    assert outcome(errand) == ("failed", "encoder_communication_timeout")
    assert shows(bridge) == "hung"
    assert erasures(path) == ["unsure"]
    bridge.advance(4 * SILENCE_S)
    assert piece.is_blank
    assert erasures(path) == ["erased"]
    assert told(path)[-2:] == ["encoder_bridge.card_unsure", "encoder_bridge.card_erased"]


class LateAndUnsound(SensingEncoder):
    """Comes back from a blanking far too late, with a receipt that cannot be stored."""

    async def erase(self, desk: Desk, resume: Intent | None = None) -> Receipt:
        desk.ask(Prompt.PLACE_CARD)
        await desk.intend(Intent(card=Card(technology="test", uid="ff")))
        await asyncio.sleep(4 * SILENCE_S)
        evidence: Any = "read_back"
        return Receipt(evidence=evidence, card=None)


def test_a_late_receipt_that_cannot_be_stored_leaves_the_blanking_in_doubt_and_the_desk_at_work(
    monkeypatch: pytest.MonkeyPatch, world: World, path: Path
) -> None:
    monkeypatch.setattr(plastic, "SensingEncoder", LateAndUnsound)
    with running(path, world) as bridge:
        errand = erase(bridge)
        bridge.advance(SILENCE_S + 1)
        assert outcome(errand) == ("failed", "encoder_communication_timeout")
        bridge.advance(REOPENED_S + 4 * SILENCE_S)
        assert erasures(path) == ["unsure"]
        assert shows(bridge) == "idle", "the encoder is opened again"


# Shutting down.


def test_a_blanking_that_has_begun_is_finished_before_a_shutdown(bridge: Bridge, world: World, path: Path) -> None:
    piece = made(bridge, world)
    errand = erase(bridge)
    bridge.advance(0.1)
    assert erasures(path) == ["erasing"]
    bridge.stop()
    assert piece.is_blank
    assert outcome(errand) == ("erased", None)
    assert erasures(path) == ["erased"]
    assert told(path)[-1] == "encoder_bridge.card_erased"


@pytest.mark.parametrize(
    ("fault", "answer", "left"),
    [
        ("hangs", ("unsure", "erase_unsure"), ["unsure"]),
        ("torn", ("unsure", "encoding_interrupted"), ["unsure"]),
        ("card refused after the intent", ("failed", "incompatible_card_format"), []),
        ("device busy after the intent", ("failed", "encoder_not_online"), []),
    ],
)
def test_whoever_asked_for_a_blanking_is_told_at_a_shutdown_what_it_came_to(
    bridge: Bridge, world: World, path: Path, fault: str, answer: tuple[str, str], left: list[str]
) -> None:
    made(bridge, world)
    world.faults["left"].append(fault)
    errand = erase(bridge)
    while not erasures(path):
        bridge.spin(1)
    bridge.stop()
    assert outcome(errand) == answer
    assert erasures(path) == left
    assert told(path) == ["encoder_bridge.card_unsure" for _ in left]


@pytest.mark.parametrize("verb", [read, erase])
def test_an_errand_that_still_waits_for_its_card_is_refused_at_a_shutdown(
    bridge: Bridge, path: Path, verb: Callable[..., Any]
) -> None:
    errand = verb(bridge)
    bridge.rest()
    bridge.stop()
    assert outcome(errand) == ("rejected", "bridge_stopping")
    assert erasures(path) == []


def test_a_blanking_that_hangs_does_not_hold_up_a_shutdown_and_is_in_doubt_at_the_next_start(
    world: World, path: Path
) -> None:
    with running(path, world) as bridge:
        piece = made(bridge, world)
        world.faults["left"].append("hangs")
        erase(bridge)
        bridge.advance(0.1)
    with running(path, world) as bridge:
        assert erasures(path) == ["unsure"]
        assert told(path)[-1] == "encoder_bridge.card_unsure"
        world.lay("left", None)
        bridge.rest()
        again = erase(bridge, "y")
        bridge.rest()
        world.lay("left", piece)
        bridge.advance(SERVED_S)
        assert outcome(again) == ("erased", None)
    assert piece.is_blank
