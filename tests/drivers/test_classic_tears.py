"""A MIFARE Classic card lifted at every exchange, in every way, and laid down again.

Nothing but a trailer that lost power in the middle may cost a card, and then the clerk is told.  A directory of others
may be lost the same way: its entries are known to nobody else.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

import pytest
from classic_desk import IMAGE, OURS, begin, key, layout, ndef_layout, personalise
from encoder_bridge_cards.classic import mad
from encoder_bridge_cards.classic.layout import ClassicLayout
from encoder_bridge_cards.classic.mad import Page
from encoder_bridge_cards.link import LinkError
from encoder_bridge_cards.personalisation import Contents
from virtual.card import Tear
from virtual.classic import Classic, Torn

from encoder_bridge.driver import CardRejected

MESSAGE = bytes.fromhex("D1010A55046578616D706C652E")
OTHER = 0x1234
WAYS: list[tuple[str, Torn]] = [
    ("before", "old"),
    ("after", "new"),
    *(("during", torn) for torn in get_args(Torn)),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A card as it comes, and what it is to carry."""

    made: ClassicLayout
    card: Classic
    contents: Contents


def fresh() -> Scene:
    made = layout()
    return Scene(made=made, card=Classic(), contents=made.places(IMAGE, ndef=False))


def fresh_with_a_directory() -> Scene:
    made = layout(sectors=[1, 9], mad="4811", mad_key_b=key("mad"))
    return Scene(made=made, card=Classic(), contents=made.places(IMAGE + IMAGE, ndef=False))


def used() -> Scene:
    made, card = layout(sectors=[1, 2]), Classic()
    personalise(made, card, made.places(IMAGE + IMAGE, ndef=False))
    return Scene(made=made, card=card, contents=made.places(OURS + b"\x05" * 60, ndef=False))


def erased() -> Scene:
    made, card = layout(mad="4811"), Classic()
    personalise(made, card, made.places(IMAGE, ndef=False))
    return Scene(made=made, card=card, contents=begin(made, card).blank())


def rolled_over() -> Scene:
    before, card = layout(sectors=[1, 2], key_a=key("old-a"), key_b=key("old-b")), Classic()
    personalise(before, card, before.places(IMAGE, ndef=False))
    made = layout(sectors=[1, 2], key_a=key("a", "old-a"), key_b=key("b", "old-b"))
    return Scene(made=made, card=card, contents=made.places(OURS + b"\x05" * 60, ndef=False))


def rolled_over_with_a_directory() -> Scene:
    before, card = layout(mad="4811", mad_key_b=key("old-mad")), Classic()
    personalise(before, card, before.places(IMAGE, ndef=False))
    made = layout(mad="4811", mad_key_b=key("mad", "old-mad"))
    return Scene(made=made, card=card, contents=made.places(IMAGE, ndef=False))


def delivered_otherwise() -> Scene:
    made, card = layout(transport_key=key("delivered")), Classic(uid=bytes.fromhex("04112233445566"))
    card.poke(7, bytes.fromhex("C0C1C2C3C4C5FF078069C0C1C2C3C4C5"))
    return Scene(made=made, card=card, contents=made.places(IMAGE, ndef=False))


def large() -> Scene:
    made = layout(sectors=[15, 17, 32], mad="4811", mad_key_b=key("mad"))
    return Scene(made=made, card=Classic(blocks=256), contents=made.places(OURS + bytes(range(1, 230)), ndef=False))


def ndef() -> Scene:
    made = ndef_layout(sectors=[1, 2])
    return Scene(made=made, card=Classic(), contents=made.places(MESSAGE, ndef=True))


def ndef_with_our_keys() -> Scene:
    made = ndef_layout(key_b=key("b"), mad_key_b=key("mad"))
    return Scene(made=made, card=Classic(), contents=made.places(MESSAGE, ndef=True))


def beside_others() -> Scene:
    made, card = layout(sectors=[2, 6, 10], mad="4811", mad_key_b=key("mad")), Classic()
    theirs = layout(sectors=[1], mad="1234", mad_key_b=key("mad"))
    personalise(theirs, card, theirs.places(OURS, ndef=False))
    stored = Page(home=0, info=1, ids={1: OTHER, 4: OTHER, 15: OTHER}).encode()
    card.poke(1, stored[:16])
    card.poke(2, stored[16:])
    return Scene(made=made, card=card, contents=made.places(IMAGE, ndef=False))


SCENES = [
    fresh,
    fresh_with_a_directory,
    used,
    erased,
    rolled_over,
    rolled_over_with_a_directory,
    delivered_otherwise,
    large,
    ndef,
    ndef_with_our_keys,
    beside_others,
]


def torn(scene: Scene, at: int, how: str, trailer: Torn, *, resuming: bool = False) -> tuple[Classic, bool]:
    """The card after it was lifted at one exchange, and whether its desk had intended to write by then."""
    card = copy.deepcopy(scene.card)
    card.torn_trailer = trailer
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


def goal(scene: Scene) -> tuple[object, int]:
    """What the card is to hold in the end, and how many exchanges that takes undisturbed."""
    card = copy.deepcopy(scene.card)
    link = Tear(card)
    personalise(scene.made, link, scene.contents)
    return card.snapshot(), link.exchanges


def tears(exchanges: int) -> Iterator[tuple[int, str, Torn]]:
    for at in range(exchanges):
        for how, trailer in WAYS:
            yield at, how, trailer


def outcome(scene: Scene, card: Classic, wanted: object, *, resuming: bool) -> str:
    """Lay a torn card down again; whatever comes of it is either all that was wanted or a refusal with a sentence."""
    before = card.snapshot()
    refusal: CardRejected | None = None
    try:
        personalise(scene.made, card, scene.contents, resuming=resuming)
    except CardRejected as error:
        refusal = error
    if refusal is None:
        assert card.snapshot() == wanted
        return "whole"
    assert card.snapshot() == before
    assert "set it aside" in str(refusal) or "directory" in str(refusal)
    return str(refusal.raw)


@pytest.mark.parametrize("make", SCENES, ids=lambda make: make.__name__)
def test_a_card_lifted_at_any_exchange_is_finished_or_honestly_refused(make: Callable[[], Scene]) -> None:
    scene = make()
    wanted, exchanges = goal(scene)
    counts: Counter[str] = Counter()
    for at, how, trailer in tears(exchanges):
        card, is_intended = torn(scene, at, how, trailer)
        if not is_intended:
            assert card.snapshot() == scene.card.snapshot()
        result = outcome(scene, card, wanted, resuming=is_intended)
        counts[result] += 1
        if result == "keys_lost":
            assert (how, trailer) == ("during", "invalid")
        elif result != "whole":
            assert (how, make) == ("during", beside_others)
    print(f"{make.__name__}: {exchanges} exchanges, {sum(counts.values())} tears: {dict(counts)}")
    assert counts["whole"] > 0.9 * counts.total()


@pytest.mark.parametrize("make", [fresh, rolled_over, ndef_with_our_keys], ids=lambda make: make.__name__)
def test_a_card_lifted_again_while_it_is_finished_is_finished_all_the_same(make: Callable[[], Scene]) -> None:
    scene = make()
    wanted, exchanges = goal(scene)
    counts: Counter[str] = Counter()
    for at, how, trailer in tears(exchanges):
        if trailer == "invalid":
            continue
        card, is_intended = torn(scene, at, how, trailer)
        again = Scene(made=scene.made, card=card, contents=scene.contents)
        _, left = goal_resumed(again)
        for second in range(0, left, 3):
            twice, _ = torn(again, second, "during", "late" if at % 2 else "mixed", resuming=is_intended)
            counts[outcome(scene, twice, wanted, resuming=True)] += 1
    print(f"{make.__name__} twice: {counts.total()} tears: {dict(counts)}")
    assert set(counts) == {"whole"}


def goal_resumed(scene: Scene) -> tuple[object, int]:
    card = copy.deepcopy(scene.card)
    link = Tear(card)
    personalise(scene.made, link, scene.contents, resuming=True)
    return card.snapshot(), link.exchanges


def test_a_directory_of_others_that_was_torn_in_the_middle_is_never_made_up() -> None:
    scene = beside_others()
    card = copy.deepcopy(scene.card)
    card.poke(1, bytes(16))
    with pytest.raises(CardRejected, match="damaged"):
        begin(scene.made, card, resuming=True)
    assert mad.decode(0, card.peek(1) + card.peek(2)).ids[15] == OTHER
