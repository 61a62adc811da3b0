"""A Type 4 Tag lifted at every exchange, in every way, and laid down again: each one is finished."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from encoder_bridge_cards.link import LinkError
from encoder_bridge_cards.personalisation import Contents
from type4_desk import LONG, SHORT, begin, personalise, places
from virtual.card import Tear
from virtual.type4 import TORN, Torn, Type4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A card as it comes, and what it is to carry."""

    card: Type4
    contents: Contents


def card_with(message: bytes, card: Type4 | None = None) -> Type4:
    card = card or Type4()
    personalise(card, places(message))
    return card


def fresh() -> Scene:
    return Scene(card=Type4(), contents=places(LONG))


def longer() -> Scene:
    return Scene(card=card_with(SHORT), contents=places(LONG))


def shorter() -> Scene:
    return Scene(card=card_with(LONG), contents=places(SHORT))


def unchanged() -> Scene:
    return Scene(card=card_with(LONG), contents=places(LONG))


def erased() -> Scene:
    return Scene(card=card_with(LONG), contents=places(b""))


def of_few_words() -> Scene:
    """A card that takes the least there is in one command."""
    card = card_with(LONG[:40], Type4(size=64, longest_read=15, longest_update=2))
    return Scene(card=card, contents=places(LONG[:7]))


def of_many_words() -> Scene:
    card = card_with(LONG, Type4(size=4096, longest_read=256, longest_update=255))
    return Scene(card=card, contents=places(3 * LONG))


SCENES = [fresh, longer, shorter, unchanged, erased, of_few_words, of_many_words]
WAYS: list[tuple[str, Torn]] = [("before", "nothing"), ("after", "nothing"), *(("during", torn) for torn in TORN)]


def torn(scene: Scene, at: int, how: str, left: Torn, *, resuming: bool = False) -> tuple[Type4, bool]:
    """The card after it was lifted at one exchange, and whether its desk had intended to write by then."""
    card = copy.deepcopy(scene.card)
    card.torn = left
    link = Tear(card, at, how)
    is_intended = False
    try:
        work = begin(link, resuming=resuming)
        is_intended = True
        work.write(scene.contents, lambda done, total: None)
        work.verify(scene.contents)
    except LinkError:
        assert link.is_torn
    return card, is_intended


def goal(scene: Scene, *, resuming: bool = False) -> tuple[object, int]:
    """What the card is to hold in the end, and how many exchanges that takes undisturbed."""
    card = copy.deepcopy(scene.card)
    link = Tear(card)
    personalise(link, scene.contents, resuming=resuming)
    return card.snapshot(), link.exchanges


def tears(exchanges: int) -> Iterator[tuple[int, str, Torn]]:
    for at in range(exchanges):
        for how, left in WAYS:
            yield at, how, left


@pytest.mark.parametrize("make", SCENES, ids=lambda make: make.__name__)
def test_a_card_lifted_at_any_exchange_is_finished_to_the_last_byte(make: Callable[[], Scene]) -> None:
    scene = make()
    wanted, exchanges = goal(scene)
    counts: Counter[str] = Counter()
    for at, how, left in tears(exchanges):
        card, is_intended = torn(scene, at, how, left)
        if not is_intended:
            assert card.snapshot() == scene.card.snapshot()
        personalise(card, scene.contents, resuming=is_intended)
        assert card.snapshot() == wanted, (at, how, left)
        counts["begun" if is_intended else "not begun"] += 1
    print(f"{make.__name__}: {exchanges} exchanges, {counts.total()} tears, all whole: {dict(counts)}")


@pytest.mark.parametrize("make", SCENES, ids=lambda make: make.__name__)
def test_a_card_lifted_between_two_commands_shows_a_whole_message_or_none(make: Callable[[], Scene]) -> None:
    scene = make()
    finished = copy.deepcopy(scene.card)
    personalise(finished, scene.contents)
    shown = {scene.card.shown, b"", finished.shown}
    for at, how, left in tears(goal(scene)[1]):
        if how != "during":
            card, _ = torn(scene, at, how, left)
            assert card.shown in shown, (at, how)


@pytest.mark.parametrize("make", [longer, shorter, erased], ids=lambda make: make.__name__)
def test_a_card_lifted_again_while_it_is_finished_is_finished_all_the_same(make: Callable[[], Scene]) -> None:
    scene = make()
    wanted, exchanges = goal(scene)
    count = 0
    for at, how, left in tears(exchanges):
        card, is_intended = torn(scene, at, how, left)
        if not is_intended:
            continue
        again = Scene(card=card, contents=scene.contents)
        for second in range(goal(again, resuming=True)[1]):
            twice, _ = torn(again, second, "during", TORN[(at + second) % len(TORN)], resuming=True)
            personalise(twice, scene.contents, resuming=True)
            assert twice.snapshot() == wanted, (at, how, left, second)
            count += 1
    print(f"{make.__name__} twice: {count} tears, all whole")
