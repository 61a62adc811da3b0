"""A DESFire card lifted at every exchange, in every way, and laid down again: always one that ends whole."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from desfire_desk import (
    AID,
    IMAGE,
    OURS,
    PICC,
    begin,
    key,
    layout,
    new_keys,
    old_keys,
    personalise,
    rolled_keys,
)
from encoder_bridge_cards.desfire.layout import DesfireLayout
from encoder_bridge_cards.link import Link, LinkError
from encoder_bridge_cards.personalisation import Contents, Mismatch
from virtual.card import Tear
from virtual.desfire import Desfire

WAYS = [("before", False), ("during", False), ("during", True), ("after", False)]
"""How the card is lifted, and whether what it was doing survives a loss of power in the middle."""
GENERATIONS = ["ev1", "ev2", "ev3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A card as it comes, and what it is to carry."""

    made: DesfireLayout
    card: Desfire
    contents: Contents


def fresh(generation: str) -> Scene:
    made = layout()
    return Scene(made=made, card=Desfire(version=generation), contents=made.places(IMAGE, ndef=False))


def fresh_with_several_files(generation: str) -> Scene:
    made = layout(files={"1": 100, "2": 16, "5": 40}, comm="mac")
    contents = {1: OURS + b"\x01" * 96, 2: b"\x02" * 16, 5: b"\x03" * 40}
    return Scene(made=made, card=Desfire(version=generation), contents=contents)


def fresh_under_keys_of_its_own(generation: str) -> Scene:
    made = layout(keys=new_keys(diversify="F51234"), comm="plain")
    return Scene(made=made, card=Desfire(version=generation), contents=made.places(IMAGE, ndef=False))


def locked(generation: str) -> Scene:
    made, card = layout(picc=key("picc")), Desfire(version=generation)
    card.set_master_key(PICC, 2)
    card.memory.card.settings = 0x09
    return Scene(made=made, card=card, contents=made.places(IMAGE, ndef=False))


def used(generation: str) -> Scene:
    scene = fresh(generation)
    personalise(scene.made, scene.card, scene.contents)
    return Scene(made=scene.made, card=scene.card, contents=scene.made.places(OURS + b"\x05" * 60, ndef=False))


def erased(generation: str) -> Scene:
    scene = used(generation)
    return Scene(made=scene.made, card=scene.card, contents=begin(scene.made, scene.card).blank())


def rolled_over(generation: str) -> Scene:
    before, card = layout(keys=old_keys()), Desfire(version=generation)
    personalise(before, card, before.places(IMAGE, ndef=False))
    made = layout(keys=rolled_keys())
    return Scene(made=made, card=card, contents=made.places(OURS + b"\x05" * 60, ndef=False))


def with_a_random_number(generation: str) -> Scene:
    made = layout(keys=new_keys(diversify="01"))
    card = Desfire(version=generation, random_id=True)
    return Scene(made=made, card=card, contents=made.places(IMAGE, ndef=False))


def given_a_random_number(generation: str) -> Scene:
    made, card = layout(random_uid=True, picc=key("picc")), Desfire(version=generation)
    card.set_master_key(PICC, 2)
    return Scene(made=made, card=card, contents=made.places(IMAGE, ndef=False))


SCENES = [
    fresh,
    fresh_with_several_files,
    fresh_under_keys_of_its_own,
    locked,
    used,
    erased,
    rolled_over,
    with_a_random_number,
    given_a_random_number,
]


def copied(card: Desfire) -> Desfire:
    """The same card once more; what its commands are bound to cannot be copied, so only its memory is."""
    other = Desfire(uid=card.state.uid)
    other.state.generation = card.state.generation
    other.state.memory = copy.deepcopy(card.memory)
    return other


def torn(scene: Scene, at: int, how: str, survives: bool, *, resuming: bool = False) -> tuple[Desfire, bool]:
    """The card after it was lifted at one exchange, and whether its desk had intended to write by then."""
    card = copied(scene.card)
    card.commit_survives = card.key_survives = card.structure_survives = survives
    link = Tear(card, at, how)
    is_intended = False
    try:
        work = begin(scene.made, link, resuming=resuming)
        is_intended = True
        work.write(scene.contents, lambda done, total: None)
        work.verify(scene.contents)
    except LinkError:
        assert link.is_torn
    return card, is_intended


def goal(scene: Scene, *, resuming: bool = False) -> tuple[object, int]:
    """What the card is to hold in the end, and how many exchanges that takes undisturbed."""
    card = copied(scene.card)
    link = Tear(card)
    personalise(scene.made, link, scene.contents, resuming=resuming)
    return card.snapshot(), link.exchanges


def resume(scene: Scene, link: Link) -> None:
    """Bring a card that was begun to its end: prove it first, for it may have reached it."""
    try:
        begin(scene.made, link, resuming=True).verify(scene.contents)
    except Mismatch:
        personalise(scene.made, link, scene.contents, resuming=True)


def tears(exchanges: int) -> Iterator[tuple[int, str, bool]]:
    for at in range(exchanges):
        for how, survives in WAYS:
            yield at, how, survives


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("make", SCENES, ids=lambda make: make.__name__)
def test_a_card_lifted_at_any_exchange_is_finished(make: Callable[[str], Scene], generation: str) -> None:
    scene = make(generation)
    wanted, exchanges = goal(scene)
    states: Counter[object] = Counter()
    for at, how, survives in tears(exchanges):
        card, is_intended = torn(scene, at, how, survives)
        states[card.snapshot()] += 1
        if not is_intended:
            assert card.snapshot() == scene.card.snapshot()
        if is_intended:
            resume(scene, card)
        else:
            personalise(scene.made, card, scene.contents)
        assert card.snapshot() == wanted, (at, how)
    print(
        f"{make.__name__} {generation}: {exchanges} exchanges, {states.total()} tears, {len(states)} states, all whole"
    )


@pytest.mark.parametrize("generation", ["ev1", "ev2"])
@pytest.mark.parametrize("make", [fresh, used, rolled_over, given_a_random_number], ids=lambda make: make.__name__)
def test_a_card_that_was_begun_and_forgotten_is_finished_all_the_same(
    make: Callable[[str], Scene], generation: str
) -> None:
    scene = make(generation)
    wanted, exchanges = goal(scene)
    for at, how, survives in tears(exchanges):
        card, _ = torn(scene, at, how, survives)
        personalise(scene.made, card, scene.contents)
        assert card.snapshot() == wanted, (at, how)
    print(f"{make.__name__} {generation}: {4 * exchanges} tears forgotten, all whole")


@pytest.mark.parametrize("generation", ["ev1", "ev2"])
@pytest.mark.parametrize("make", [fresh, rolled_over], ids=lambda make: make.__name__)
def test_a_card_lifted_again_while_it_is_finished_is_finished_all_the_same(
    make: Callable[[str], Scene], generation: str
) -> None:
    scene = make(generation)
    wanted, exchanges = goal(scene)
    count = 0
    for at in range(exchanges):
        card, is_intended = torn(scene, at, "after", False)
        again = Scene(made=scene.made, card=card, contents=scene.contents)
        _, left = goal(again, resuming=is_intended)
        for second in range(0, left, 2):
            twice, _ = torn(again, second, "during", bool(at % 2), resuming=is_intended)
            resume(scene, twice)
            assert twice.snapshot() == wanted, (at, second)
            count += 1
    print(f"{make.__name__} {generation} twice: {count} tears, all whole")


def test_a_card_lifted_at_any_exchange_shows_the_old_contents_or_the_new() -> None:
    scene = used("ev2")
    old = scene.card.memory.applications[AID].files[1].data
    _, exchanges = goal(scene)
    seen: Counter[bool] = Counter()
    for at, how, survives in tears(exchanges):
        card, _ = torn(scene, at, how, survives)
        file = card.memory.applications[AID].files[1]
        assert file.data in (old, scene.contents[1])
        seen[file.data == old] += 1
    assert set(seen) == {True, False}
