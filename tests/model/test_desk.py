"""Who is served where and when: routes and their backups, errands in between, cards in doubt, numbers and pace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from rigs.folders import memory_folder

from encoder_bridge import wire
from encoder_bridge.model import Job, State, iso
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.routing import Route
from encoder_bridge.store import Rules

from .bridge import HAND_OVER_S, KINDS, START, Bridge
from .plastic import World
from .truth import Truth

RULES = Rules(
    encoders=KINDS,
    routes=(
        Route(encoders=("left",), backup=("right",), entrances=("garage",)),
        Route(encoders=("right",), entrances=("gate",)),
    ),
    default_profile="room",
    zone=UTC,
)
SERVED_S = 2.0

Desk = Callable[[Rules], Bridge]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def path() -> Iterator[Path]:
    with memory_folder() as folder:
        yield folder / "store.db"


@pytest.fixture
def desk(world: World, path: Path) -> Iterator[Desk]:
    """Starts a process with these rules; the next one goes on where the one before was killed."""
    bridges: list[Bridge] = []

    def start(rules: Rules) -> Bridge:
        now = START
        for before in bridges[-1:]:
            now = before.clock()
            before.kill()
        bridges.append(Bridge(path, world, rules, now=now, watch=None))
        bridges[-1].rest()
        return bridges[-1]

    yield start
    bridges[-1].kill()


def need(bridge: Bridge, method: str, entrance: str = "garage", **fields: object) -> wire.Response:
    block = {"entrances": [entrance], "joins": bool(fields.pop("joins", False)), "ends_at": fields.pop("ends_at", None)}
    requester = fields.pop("requester", None)
    trigger = wire.Trigger.model_validate(
        {
            "event_id": f"{method}.{bridge.clock()}",
            "event_type": "access_method.card_encoding_required",
            "access_method_id": method,
            "occurred_at": iso(bridge.clock()),
            "credential": block,
            **fields,
        }
    )
    accept = bridge.store.needs.accept
    answer = bridge.do(lambda: accept(trigger, ReplyAddress(), bridge.clock(), str(requester) if requester else None))
    bridge.advance(0.01)
    return answer


def claim(bridge: Bridge, method: str, encoder: str) -> wire.Response:
    asked = wire.Claim(id=f"c{bridge.clock()}", access_method_id=method, encoder=encoder)
    answer = bridge.do(lambda: bridge.store.requests.claim(asked, None, bridge.clock()))
    bridge.advance(0.01)
    return answer


def resolve(bridge: Bridge, method: str, card: str, *, again: bool = False) -> wire.Response:
    body = {"id": f"s{bridge.clock()}", "access_method_id": method, "card": card, "again": again}
    asked = wire.Resolve.model_validate(body)
    answer = bridge.do(lambda: bridge.store.requests.resolve(asked, None, bridge.clock()))
    bridge.advance(0.01)
    return answer


def retry(bridge: Bridge, method: str) -> wire.Response:
    asked = wire.Request(id=f"t{bridge.clock()}", access_method_id=method)
    answer = bridge.do(lambda: bridge.store.requests.retry(asked, None, bridge.clock()))
    bridge.advance(0.01)
    return answer


def jobs(bridge: Bridge) -> list[Job]:
    return bridge.store.work._ledger.jobs("ORDER BY job_id")


def states(bridge: Bridge) -> list[State]:
    return [job.state for job in jobs(bridge)]


def served(world: World, bridge: Bridge, encoder: str) -> str:
    """Lay a new card down, have it made and take it away again."""
    piece = world.blank()
    world.lay(encoder, piece)
    bridge.advance(SERVED_S)
    world.lay(encoder, None)
    bridge.advance(0.1)
    return piece.uid


def asks_for(world: World, encoder: str) -> int | None:
    wanted = world.asked.get(encoder)
    return wanted.job if wanted else None


def torn(world: World, bridge: Bridge, encoder: str) -> str:
    """Lay a new card down and take it away before it is done."""
    piece = world.blank()
    world.lay(encoder, piece)
    bridge.advance(0.2)
    world.lay(encoder, None)
    bridge.advance(5)
    return piece.uid


def events(bridge: Bridge) -> list[dict[str, object]]:
    return [json.loads(each.body) for each in bridge.store.outbox.pending(1000) if each.kind == "event"]


def test_only_the_encoder_of_the_route_asks_for_the_card(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1", "garage")
    need(bridge, "m2", "gate")
    assert {name: wanted.job for name, wanted in world.asked.items()} == {"left": 1, "right": 2}


def test_a_card_that_no_route_fits_is_held_until_somebody_claims_it(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    assert need(bridge, "m1", "cellar").status == "held"
    (job,) = jobs(bridge)
    assert job.error is not None
    assert job.error.type == "no_route"
    assert not world.asked
    claim(bridge, "m1", "attic")
    assert asks_for(world, "attic") == 1


def test_the_backup_takes_over_when_the_encoder_is_away_for_long_and_not_before(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    world.unplug("left")
    bridge.advance(0.1)
    need(bridge, "m1")
    bridge.advance(HAND_OVER_S - 2)
    (job,) = jobs(bridge)
    assert job.error is not None
    assert (job.error.type, world.asked) == ("encoder_offline", {})
    bridge.advance(4)
    assert asks_for(world, "right") == 1
    served(world, bridge, "right")
    assert states(bridge) == [State.ISSUED]


def test_an_encoder_that_comes_back_in_time_keeps_its_jobs(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    world.unplug("left")
    bridge.advance(0.1)
    need(bridge, "m1")
    bridge.advance(HAND_OVER_S - 14)
    world.unplugged.clear()
    bridge.advance(60)
    assert {name: wanted.job for name, wanted in world.asked.items()} == {"left": 1}
    (job,) = jobs(bridge)
    assert job.error is None or job.error.type != "encoder_offline"


def test_a_route_that_went_with_the_contents_takes_the_job_off_the_desk(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1")
    assert need(bridge, "m1", "cellar").status == "held"
    assert not world.asked


def test_a_job_that_waited_for_its_profile_still_needs_a_route(desk: Desk, world: World) -> None:
    bridge = desk(replace(RULES, default_profile=None))
    need(bridge, "m1", "cellar")
    bridge = desk(RULES)
    bridge.advance(1)
    (job,) = jobs(bridge)
    assert job.error is not None
    assert (job.state, job.error.type) == (State.HELD, "no_route")


def test_a_read_interrupts_a_waiting_job_which_keeps_its_place_and_changes_no_card(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1")
    need(bridge, "m2")
    errand = bridge.send(wire.Read(id="r", encoder="left"))
    bridge.rest()
    assert world.asked["left"].verb == "read"
    assert states(bridge) == [State.QUEUED, State.QUEUED]
    piece = world.blank()
    world.lay("left", piece)
    bridge.advance(1)
    assert errand.result().status == "read"
    assert piece.is_blank
    assert "left" not in world.asked, "it asks for the next card while the one that was read lies there"
    bridge.advance(30)
    assert piece.is_blank
    world.lay("left", None)
    bridge.advance(1)
    assert asks_for(world, "left") == 1
    served(world, bridge, "left")
    assert states(bridge) == [State.ISSUED, State.WAITING_FOR_CARD]


def test_a_job_in_doubt_that_is_interrupted_is_asked_for_again_right_after(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1")
    torn(world, bridge, "left")
    assert asks_for(world, "left") == 1
    need(bridge, "m2")
    errand = bridge.send(wire.Read(id="r", encoder="left"))
    bridge.rest()
    world.lay("left", world.blank())
    bridge.advance(1)
    world.lay("left", None)
    bridge.advance(1)
    assert errand.result().status == "read"
    assert asks_for(world, "left") == 1
    (job, _) = jobs(bridge)
    assert job.error is not None
    assert job.error.type == "encoding_interrupted"


def test_a_read_is_refused_while_a_card_is_written(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1")
    world.lay("left", world.blank())
    bridge.advance(0.1)
    refusal = bridge.send(wire.Read(id="r", encoder="left")).result()
    assert refusal.error is not None
    assert refusal.error.type == "encoder_busy"
    bridge.advance(SERVED_S)
    assert states(bridge) == [State.ISSUED]


@pytest.mark.parametrize("even_if_valid", [False, True])
def test_a_card_is_blanked_only_once_its_access_method_is_deleted_or_somebody_insists(
    desk: Desk, world: World, even_if_valid: bool
) -> None:
    bridge = desk(RULES)
    need(bridge, "m1")
    uid = served(world, bridge, "left")
    errand = bridge.send(wire.Erase(id="x", encoder="left", even_if_valid=even_if_valid))
    bridge.rest()
    world.lay("left", world.cards[uid])
    bridge.advance(SERVED_S)
    answer = errand.result()
    told = answer.error.type if answer.error else None
    assert (answer.status, told) == (("erased", None) if even_if_valid else ("failed", "card_still_valid"))
    assert world.cards[uid].is_blank == even_if_valid
    assert (bridge.store.cards.made_here(uid, bridge.clock()) is None) == even_if_valid


def test_a_blanking_cut_short_by_a_crash_is_told_and_goes_on_with_the_same_card_alone(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1")
    uid = served(world, bridge, "left")
    bridge.send(wire.Erase(id="x", encoder="left", even_if_valid=True))
    bridge.rest()
    world.lay("left", world.cards[uid])
    bridge.advance(0.1)
    bridge = desk(RULES)
    world.lay("left", None)
    bridge.advance(1)
    assert events(bridge)[-1]["event_type"] == "encoder_bridge.card_unsure"
    errand = bridge.send(wire.Erase(id="y", encoder="left"))
    bridge.rest()
    assert world.asked["left"].card == uid
    other = world.blank()
    world.lay("left", other)
    bridge.advance(SERVED_S)
    assert errand.result().status == "failed"
    world.lay("left", None)
    bridge.advance(1)
    errand = bridge.send(wire.Erase(id="z", encoder="left"))
    bridge.rest()
    world.lay("left", world.cards[uid])
    bridge.advance(SERVED_S)
    assert errand.result().status == "erased"
    assert world.cards[uid].is_blank
    assert events(bridge)[-1]["event_type"] == "encoder_bridge.card_erased"


def test_a_blanking_that_changed_nothing_leaves_the_card_free(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    piece = world.blank()
    world.faults["left"].append("card refused after the intent")
    errand = bridge.send(wire.Erase(id="x", encoder="left"))
    bridge.rest()
    world.lay("left", piece)
    bridge.advance(SERVED_S)
    assert errand.result().status == "failed"
    world.lay("left", None)
    need(bridge, "m1")
    world.lay("left", piece)
    bridge.advance(SERVED_S)
    assert world.good(1) == [piece.uid]


def test_a_torn_card_is_written_again_under_the_same_number_and_no_other_one_is(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1")
    uid = torn(world, bridge, "left")
    other = served(world, bridge, "left")
    assert states(bridge) == [State.UNSURE]
    assert world.cards[other].is_blank
    (before,) = jobs(bridge)
    bridge.advance(60)
    world.lay("left", world.cards[uid])
    bridge.advance(SERVED_S)
    assert states(bridge) == [State.ISSUED]
    assert world.cards[uid].mark == ("m1", before.sequence)


@pytest.mark.parametrize("joins", [False, True])
@pytest.mark.parametrize("card", ["gone", "destroyed"])
def test_another_card_in_place_of_one_in_doubt_is_newer_or_the_same_copy(
    desk: Desk, world: World, card: str, joins: bool
) -> None:
    bridge = desk(RULES)
    need(bridge, "m0")
    served(world, bridge, "left")
    need(bridge, "m1", joins=joins)
    torn(world, bridge, "left")
    assert resolve(bridge, "m1", card, again=True).status == "job"
    uid = served(world, bridge, "left")
    assert states(bridge) == [State.ISSUED, State.FAILED, State.ISSUED]
    _, before, after = (job.sequence or 0 for job in jobs(bridge))
    assert after == before if joins else after > before
    assert world.cards[uid].mark == ("m1", after)
    told = [event for event in events(bridge) if event["access_method_id"] == "m1"]
    assert [event["state"] for event in told] == ["unsure", "failed", "issued"]


def test_a_job_in_doubt_is_claimed_by_an_encoder_of_the_same_kind_alone(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1")
    uid = torn(world, bridge, "left")
    assert claim(bridge, "m1", "attic").status == "rejected"
    assert asks_for(world, "left") == 1
    claim(bridge, "m1", "right")
    bridge.advance(1)
    assert (asks_for(world, "left"), asks_for(world, "right")) == (None, 1)
    world.lay("right", world.cards[uid])
    bridge.advance(SERVED_S)
    assert states(bridge) == [State.ISSUED]


def test_what_is_tried_again_comes_first(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    for method in ("m1", "m2", "m3"):
        need(bridge, method)
    retry(bridge, "m3")
    served(world, bridge, "left")
    assert asks_for(world, "left") == 3


def test_a_card_that_was_overtaken_by_a_newer_one_is_given_a_newer_number(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1", encoder="left")
    need(bridge, "m2", encoder="right")
    newer = served(world, bridge, "right")
    older = served(world, bridge, "left")
    marks = [world.cards[uid].mark for uid in (newer, older)]
    assert None not in marks
    assert [mark[0] for mark in marks if mark] == ["m2", "m1"]
    assert marks[0][1] < marks[1][1]  # type: ignore[index]


def test_two_encoders_together_keep_to_their_requesters_limit(desk: Desk, world: World) -> None:
    bridge = desk(replace(RULES, cards_per_minute=1))
    need(bridge, "m1", "garage", requester="ann")
    need(bridge, "m2", "gate", requester="ann")
    assert {name: wanted.job for name, wanted in world.asked.items()} == {"left": 1}
    served(world, bridge, "left")
    assert not world.asked
    bridge.advance(61)
    assert asks_for(world, "right") == 2


def test_a_card_in_doubt_is_nobody_elses_blank_and_is_not_to_be_blanked(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1")
    uid = torn(world, bridge, "left")
    need(bridge, "m2", "gate")
    errand = bridge.send(wire.Erase(id="x", encoder="attic", even_if_valid=True))
    bridge.rest()
    before = dict(vars(world.cards[uid]))
    for encoder in ("right", "attic"):
        world.lay(encoder, world.cards[uid])
        bridge.advance(SERVED_S)
    error = errand.result().error
    assert error is not None
    assert error.type == "card_in_use"
    assert vars(world.cards[uid]) == before
    assert world.touched[2] == set()


def test_a_card_that_is_half_blanked_is_nobodys_blank(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    bridge.send(wire.Erase(id="x", encoder="left"))
    bridge.rest()
    uid = torn(world, bridge, "left")
    need(bridge, "m2", "gate")
    world.lay("right", world.cards[uid])
    bridge.advance(SERVED_S)
    assert world.touched[1] == set()
    bridge.do(lambda: bridge.store.cards.give_up_erasure("left", bridge.clock()))
    world.lay("right", None)
    bridge.advance(SERVED_S)
    world.lay("right", world.cards[uid])
    bridge.advance(SERVED_S)
    assert world.good(1) == [uid]


@pytest.mark.parametrize("card", ["gone", "destroyed"])
def test_a_card_that_may_be_good_is_named_in_every_report_until_it_is_destroyed(
    desk: Desk, world: World, card: str
) -> None:
    bridge = desk(RULES)
    world.faults["left"].append("lost reply")
    need(bridge, "m1")
    uid = served(world, bridge, "left")
    truth = Truth()
    for event in events(bridge):
        truth.hear(event)
    mark = world.cards[uid].mark
    assert mark is not None
    assert truth.possible == {uid: {mark}}
    resolve(bridge, "m1", card)
    truth.hear(events(bridge)[-1])
    assert (truth.possible, truth.destroyed) == (({uid: {mark}}, set()) if card == "gone" else ({}, {uid}))


def test_nobody_is_asked_for_a_card_that_came_too_late(desk: Desk, world: World) -> None:
    bridge = desk(RULES)
    need(bridge, "m1", expires_at=iso(START + 30_000))
    bridge.advance(29)
    assert asks_for(world, "left") == 1
    bridge.advance(2)
    assert states(bridge) == [State.EXPIRED]
    assert not world.asked
