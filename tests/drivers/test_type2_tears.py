"""A card with pages lifted at every exchange, in every way, and laid down again: none is lost."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import get_args

import pytest
from encoder_bridge_cards.link import LinkError
from encoder_bridge_cards.personalisation import Contents
from type2_desk import IMAGE, MESSAGE, NTAGS, OTHER, ULTRALIGHT_C, AnyCard, AnyLayout, Kind, begin, personalise
from virtual.card import Tear
from virtual.type2 import Torn

KINDS = [NTAGS[0], NTAGS[1], *NTAGS[3:], ULTRALIGHT_C]  # NTAG216 differs from NTAG215 by its length alone
WAYS: list[tuple[str, Torn]] = [("before", "old"), ("after", "new"), *(("during", torn) for torn in get_args(Torn))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A card as it comes, and what it is to carry."""

    made: AnyLayout
    card: AnyCard
    contents: Contents


Make = Callable[[Kind, bool], Scene]


def fresh(kind: Kind, at_once: bool) -> Scene:
    made = kind.layout()
    return Scene(made=made, card=kind.make(applies_at_once=at_once), contents=made.places(IMAGE, ndef=False))


def fresh_and_hidden(kind: Kind, at_once: bool) -> Scene:
    made = kind.layout(first_page=5, last_page=12, protect_from=6, read_protected=True)
    card = kind.make(applies_at_once=at_once)
    for page in (4, 5):
        card.poke(page, bytes(4))
    return Scene(made=made, card=card, contents=made.places(IMAGE[:32], ndef=False))


def without_a_key(kind: Kind, at_once: bool) -> Scene:
    made = kind.layout(keyed=False)
    return Scene(made=made, card=kind.make(applies_at_once=at_once), contents=made.places(IMAGE, ndef=False))


def used(kind: Kind, at_once: bool) -> Scene:
    made, card = kind.layout(), kind.make(applies_at_once=at_once)
    personalise(made, card, made.places(IMAGE, ndef=False))
    return Scene(made=made, card=card, contents=made.places(OTHER, ndef=False))


def erased(kind: Kind, at_once: bool) -> Scene:
    made, card = kind.layout(last_page=15, ndef=True), kind.make(applies_at_once=at_once)
    personalise(made, card, made.places(MESSAGE, ndef=True))
    return Scene(made=made, card=card, contents=begin(made, card).blank())


def rolled_over(kind: Kind, at_once: bool) -> Scene:
    before, made = kind.layout(old=True), kind.layout(previous=True)
    card = kind.make(applies_at_once=at_once)
    personalise(before, card, before.places(IMAGE, ndef=False))
    return Scene(made=made, card=card, contents=made.places(OTHER, ndef=False))


def rolled_over_and_hidden(kind: Kind, at_once: bool) -> Scene:
    before, made = kind.layout(old=True), kind.layout(previous=True, read_protected=True, protect_from=7)
    card = kind.make(applies_at_once=at_once)
    personalise(before, card, before.places(IMAGE, ndef=False))
    return Scene(made=made, card=card, contents=made.places(OTHER, ndef=False))


def ndef(kind: Kind, at_once: bool) -> Scene:
    made = kind.layout(ndef=True)
    return Scene(made=made, card=kind.make(applies_at_once=at_once), contents=made.places(MESSAGE, ndef=True))


def locked(kind: Kind, at_once: bool) -> Scene:
    made = kind.layout(lock=True, last_page=15 if kind.last == 15 else 0x1F)
    return Scene(made=made, card=kind.make(applies_at_once=at_once), contents=made.places(IMAGE, ndef=False))


SCENES: list[Make] = [
    fresh,
    fresh_and_hidden,
    without_a_key,
    used,
    erased,
    rolled_over,
    rolled_over_and_hidden,
    ndef,
    locked,
]


def torn(scene: Scene, at: int, how: str, page: Torn, *, resuming: bool = False) -> tuple[AnyCard, bool]:
    """The card after it was lifted at one exchange, and whether its desk had intended to write by then."""
    card = copy.deepcopy(scene.card)
    card.torn = page
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


def goal(scene: Scene, *, resuming: bool = False) -> tuple[Hashable, int]:
    """What the card is to hold in the end, and how many exchanges that takes undisturbed."""
    card = copy.deepcopy(scene.card)
    link = Tear(card)
    personalise(scene.made, link, scene.contents, resuming=resuming)
    return card.snapshot(), link.exchanges


def tears(exchanges: int) -> Iterator[tuple[int, str, Torn]]:
    for at in range(exchanges):
        for how, page in WAYS:
            yield at, how, page


def is_open(kind: Kind, card: AnyCard) -> bool:
    return kind.auth0(card) == kind.off


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "from the next selection"])
@pytest.mark.parametrize("make", SCENES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_card_lifted_at_any_exchange_is_finished(kind: Kind, make: Make, at_once: bool) -> None:
    scene = make(kind, at_once)
    wanted, exchanges = goal(scene)
    counts: Counter[str] = Counter()
    for at, how, page in tears(exchanges):
        card, is_intended = torn(scene, at, how, page)
        if not is_intended:
            assert card.snapshot() == scene.card.snapshot()
        counts["changed" if card.snapshot() not in {scene.card.snapshot(), wanted} else "whole or untouched"] += 1
        counts["open"] += is_open(kind, card) and not is_open(kind, scene.card)
        personalise(scene.made, card, scene.contents, resuming=is_intended)
        assert card.snapshot() == wanted
    print(f"{kind.name} {make.__name__}: {exchanges} exchanges, {exchanges * len(WAYS)} tears: {dict(counts)}")
    assert counts["changed"] > 0
    assert bool(counts["open"]) == make.__name__.startswith("rolled_over")


@pytest.mark.parametrize("make", [fresh, rolled_over], ids=lambda make: make.__name__)
@pytest.mark.parametrize("kind", [NTAGS[0], ULTRALIGHT_C], ids=lambda kind: kind.name)
def test_a_card_lifted_again_while_it_is_finished_is_finished_all_the_same(kind: Kind, make: Make) -> None:
    scene = make(kind, True)
    wanted, exchanges = goal(scene)
    count = 0
    for at, how, page in tears(exchanges):
        card, is_intended = torn(scene, at, how, page)
        again = Scene(made=scene.made, card=card, contents=scene.contents)
        for second in range(0, goal(again, resuming=is_intended)[1], 3):
            twice, is_intended_now = torn(again, second, "during", "first" if at % 2 else "last", resuming=is_intended)
            personalise(scene.made, twice, scene.contents, resuming=is_intended or is_intended_now)
            assert twice.snapshot() == wanted
            count += 1
    print(f"{kind.name} {make.__name__} twice: {count} tears")
