"""What a station makes of a driver that misbehaves, and of a world that changes its mind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from rigs.folders import memory_folder

from encoder_bridge import wire
from encoder_bridge.model import State, iso
from encoder_bridge.reports import ReplyAddress

from .bridge import START, Bridge, running
from .plastic import CARD_CHANGED, NO_CARD_CHANGED, World

SETTLED_S = 120


@pytest.fixture
def world() -> World:
    world = World()
    world.unplug("attic")
    return world


@pytest.fixture
def bridge(world: World) -> Iterator[Bridge]:
    with memory_folder() as folder, running(folder / "store.db", world) as bridge:
        yield bridge


def need(bridge: Bridge, number: int, **fields: object) -> Callable[[], object]:
    body = {
        "event_id": f"e{number}",
        "event_type": "access_method.card_encoding_required",
        "access_method_id": "m1",
        "occurred_at": iso(START + number),
        **fields,
    }
    trigger = wire.Trigger.model_validate(body)
    return partial(bridge.store.needs.accept, trigger, ReplyAddress(), bridge.clock())


def states(bridge: Bridge) -> list[State]:
    return [job.state for job in bridge.store.work._ledger.jobs("ORDER BY job_id")]


def test_a_blank_card_that_is_laid_down_is_issued(bridge: Bridge, world: World) -> None:
    bridge.do(need(bridge, 1, encoder="left"))
    bridge.rest()
    assert states(bridge) == [State.WAITING_FOR_CARD]
    world.lay("left", world.blank())
    bridge.advance(2)
    assert states(bridge) == [State.ISSUED]
    assert world.good(1) == ["0001"]


@pytest.mark.parametrize("fault", NO_CARD_CHANGED)
def test_a_driver_that_changed_no_card_costs_the_need_nothing(bridge: Bridge, world: World, fault: str) -> None:
    world.faults["left"].append(fault)
    bridge.do(need(bridge, 1, encoder="left"))
    bridge.rest()
    world.lay("left", world.blank())
    bridge.advance(60)
    world.lay("left", None)
    bridge.rest()
    world.lay("left", world.blank())
    bridge.advance(60)
    assert states(bridge) == [State.ISSUED]


@pytest.mark.parametrize("fault", NO_CARD_CHANGED)
def test_whatever_a_driver_does_another_encoder_can_serve_the_need(bridge: Bridge, world: World, fault: str) -> None:
    world.unplug("right")
    bridge.advance(1)
    world.faults["left"].append(fault)
    bridge.do(need(bridge, 1))
    world.lay("left", world.blank())
    while world.faults["left"]:
        bridge.spin(1)
    bridge.advance(0)
    if states(bridge) != [State.ISSUED]:
        world.unplug("left")
        world.unplugged.remove("right")
        world.lay("right", world.blank())
    bridge.advance(60)
    assert states(bridge) == [State.ISSUED]


@pytest.mark.parametrize("fault", CARD_CHANGED)
def test_a_card_that_may_have_been_changed_is_looked_at_again_and_is_the_only_one(
    bridge: Bridge, world: World, fault: str
) -> None:
    world.faults["left"].append(fault)
    bridge.do(need(bridge, 1, encoder="left"))
    bridge.rest()
    first = world.blank()
    world.lay("left", first)
    bridge.advance(1)
    world.lay("left", None)
    bridge.advance(SETTLED_S)
    assert states(bridge) in ([State.UNSURE], [State.ISSUED])
    world.lay("left", world.blank())
    bridge.advance(SETTLED_S)
    world.lay("left", None)
    bridge.advance(1)
    world.lay("left", first)
    bridge.advance(SETTLED_S)
    assert states(bridge) == [State.ISSUED]
    assert world.good(1) == [first.uid]
    assert world.touched[1] == {first.uid}


def test_a_driver_that_always_breaks_fails_the_need_after_a_while(bridge: Bridge, world: World) -> None:
    world.faults["left"].extend(["breaks in its check"] * 10)
    bridge.do(need(bridge, 1, encoder="left"))
    bridge.advance(300)
    assert states(bridge) == [State.FAILED]


def test_cards_that_were_refused_are_not_held_against_the_driver(bridge: Bridge, world: World) -> None:
    world.faults["right"].extend(["card refused"] * 2)
    bridge.do(need(bridge, 1, encoder="right"))
    world.lay("right", world.blank())
    bridge.advance(1.5)
    world.faults["right"].append("breaks")
    bridge.advance(60)
    world.lay("right", world.blank())
    bridge.advance(5)
    assert states(bridge) == [State.ISSUED]


def test_a_job_that_is_taken_from_one_encoder_and_given_to_another_in_one_commit_is_served(
    bridge: Bridge, world: World
) -> None:
    bridge.do(need(bridge, 1))
    bridge.rest()
    ((taken_by,),) = bridge.connection.execute("SELECT encoder FROM attempt").fetchall()
    other = "right" if taken_by == "left" else "left"
    # Newer contents arrive in the very group in which the other encoder asks for work.
    bridge.dispatcher._stations[other].wake()
    newer = need(bridge, 2, credential={"fields": {"room": "9"}})
    while not bridge.commits.waiting:
        bridge.spin(1)
    bridge.commits.hand_in(newer)
    bridge.commits.waiting.reverse()
    bridge.rest()
    assert states(bridge) == [State.WAITING_FOR_CARD]
    world.lay(other, world.blank())
    world.lay(taken_by, world.blank())
    bridge.advance(5)
    assert states(bridge) == [State.ISSUED]


def test_an_idle_bridge_wakes_up_for_nothing(bridge: Bridge) -> None:
    bridge.rest()
    before = bridge.connection.total_changes
    bridge.advance(3600)
    assert bridge.connection.total_changes == before
