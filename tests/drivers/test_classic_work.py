"""MIFARE Classic cards: fresh ones, those that come back, and those that are left alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from classic_desk import (
    DELIVERED,
    IMAGE,
    ISSUED,
    KEY_A,
    KEY_B,
    OLD_A,
    OLD_B,
    OURS,
    begin,
    key,
    layout,
    personalise,
)
from encoder_bridge_cards.classic.access_bits import TRANSPORT, AccessBits, By
from encoder_bridge_cards.classic.layout import ClassicLayout
from encoder_bridge_cards.classic.opening import Opened, reopen
from encoder_bridge_cards.classic.session import Session
from encoder_bridge_cards.link import Activation, Family, Link, LinkError, NoAnswer, Refused, Unsupported
from encoder_bridge_cards.personalisation import Mismatch
from encoder_bridge_cards.tables import Table
from virtual.card import Tear
from virtual.classic import TRANSPORT_KEY, TRANSPORT_TRAILER, Classic

from encoder_bridge.driver import CardRejected


def area(card: Classic, *blocks: int) -> bytes:
    return b"".join(map(card.peek, blocks))


def poke_trailer(card: Classic, sector: int, key_a: bytes, access: bytes, key_b: bytes) -> None:
    card.poke(card.trailer(sector), key_a + access + key_b)


class Sly(Link):
    """A reader that says yes to every frame of some kinds and lets none of them through.

    Args:
        card: the card that does not see them.
        eats: which frames.
    """

    def __init__(self, card: Classic, eats: Callable[[bytes], bool]) -> None:
        self._card = card
        self._eats = eats

    def activate(self) -> Activation:
        return self._card.activate()

    def exchange(self, frame: bytes) -> bytes:
        return b"" if self._eats(frame) else self._card.exchange(frame)


def test_a_fresh_card_carries_the_contents_under_our_keys() -> None:
    card, made = Classic(), layout()
    told = personalise(made, card, made.places(IMAGE, ndef=False))
    assert area(card, 4, 5, 6) == IMAGE.ljust(48, b"\0")
    assert card.peek(7) == KEY_A + ISSUED + KEY_B
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_nothing_but_our_sectors_is_changed() -> None:
    card, made = Classic(), layout(sectors=[1, 4])
    before = card.snapshot()
    personalise(made, card, made.places(IMAGE.ljust(96, b"\x01"), ndef=False))
    changed = [block for block in range(64) if card.peek(block) != before[16 * block : 16 * block + 16]]  # type: ignore[index]
    assert changed == [4, 5, 6, 7, 16, 17, 18, 19]


@pytest.mark.parametrize(("sectors", "exchanges"), [([1], 21), ([1, 2], 42), ([1, 2, 3, 4], 84)])
def test_a_fresh_sector_costs_21_exchanges(sectors: list[int], exchanges: int) -> None:
    """5 to look (a key, the trailer, three blocks), 9 to write and read back, 7 to prove.

    Looking for a directory costs the card one more, and a sector that is still open saves one.
    """
    made, link = layout(sectors=sectors), Tear(Classic())
    personalise(made, link, made.places(IMAGE.ljust(48 * len(sectors), b"\x01"), ndef=False))
    assert link.exchanges == exchanges


def test_a_further_sector_of_ours_is_not_tried_with_the_transport_key() -> None:
    made, card = layout(sectors=[1, 2]), Classic()
    contents = made.places(IMAGE, ndef=False)
    personalise(made, card, contents)
    link = Tear(card)
    begin(made, link)
    assert link.exchanges == 5  # the transport key's refusal, then ours and the trailer, twice


def test_a_card_that_carries_everything_already_is_only_looked_at_and_proven() -> None:
    card, made = Classic(), layout()
    contents = made.places(IMAGE, ndef=False)
    personalise(made, card, contents)
    link = Tear(card)
    assert personalise(made, link, contents) == []
    assert link.exchanges == 13  # the transport key's refusal, ours, the trailer, three blocks; then 7 to prove


def test_a_card_of_ours_is_written_again_without_touching_its_trailer() -> None:
    card, made = Classic(), layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    link = Sly(card, lambda frame: False)
    other = made.places(OURS + b"\x02" * 20, ndef=False)
    assert personalise(made, link, other) == [(1, 3), (2, 3)]
    assert area(card, 4, 5) == (OURS + b"\x02" * 20).ljust(32, b"\0")
    assert card.peek(7) == KEY_A + ISSUED + KEY_B


def test_a_card_under_our_key_is_ours_whatever_it_carries() -> None:
    card, made = Classic(), layout()
    card.poke(5, b"\x99" * 16)
    poke_trailer(card, 1, KEY_A, ISSUED, KEY_B)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert area(card, 4, 5, 6) == IMAGE.ljust(48, b"\0")


@pytest.mark.parametrize(
    ("key_a", "key_b"),
    [("old-a", "old-b"), ("old-a", "b"), ("a", "old-b"), ("a", "b")],
)
def test_keys_are_rolled_over(key_a: str, key_b: str) -> None:
    card = Classic()
    before = layout(key_a=key(key_a), key_b=key(key_b))
    personalise(before, card, before.places(IMAGE, ndef=False))
    made = layout(key_a=key("a", "old-a"), key_b=key("b", "old-b"))
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.peek(7) == KEY_A + ISSUED + KEY_B


def test_cards_delivered_under_another_key_are_taken() -> None:
    card, made = Classic(), layout(transport_key=key("delivered"))
    poke_trailer(card, 1, DELIVERED, TRANSPORT_TRAILER[6:10], DELIVERED)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.peek(7) == KEY_A + ISSUED + KEY_B


def test_contents_of_ours_under_the_transport_key_are_overwritten() -> None:
    card, made = Classic(), layout()
    card.poke(4, OURS.ljust(16, b"\x07"))
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert area(card, 4, 5, 6) == IMAGE.ljust(48, b"\0")


@pytest.mark.parametrize("uid", ["3E112233", "04112233445566"])
def test_numbers_of_four_and_of_seven_bytes_work(uid: str) -> None:
    card, made = Classic(uid=bytes.fromhex(uid)), layout()
    personalise(made, card, made.places(IMAGE, ndef=False))


def test_the_sectors_of_a_4k_are_written_to_their_last_block() -> None:
    card, made = Classic(blocks=256), layout(sectors=[31, 32, 39])
    image = (OURS + bytes(range(256)) * 3)[: made.capacity]
    personalise(made, card, made.places(image, ndef=False))
    assert area(card, *range(124, 127), *range(128, 143), *range(240, 255)) == image
    for sector in (31, 32, 39):
        assert card.peek(card.trailer(sector)) == KEY_A + ISSUED + KEY_B


def test_a_mini_is_written() -> None:
    card, made = Classic(blocks=20), layout(sectors=[4])
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert area(card, 16, 17, 18) == IMAGE.ljust(48, b"\0")


def test_the_area_is_read_in_order_and_only_once() -> None:
    card, made = Classic(), layout(sectors=[1, 2])
    personalise(made, card, made.places(IMAGE, ndef=False))
    link = Tear(card)
    work = begin(made, link)
    read = work.read()
    assert list(read) == [4, 5, 6, 8, 9, 10]
    assert b"".join(read.values()) == IMAGE.ljust(96, b"\0")
    looked = link.exchanges
    assert work.read() == read
    assert link.exchanges == looked


def test_the_area_can_be_read_after_its_keys_were_changed() -> None:
    card, before = Classic(), layout(key_a=key("old-a"), key_b=key("old-b"))
    personalise(before, card, before.places(IMAGE, ndef=False))
    made = layout(key_a=key("a", "old-a"), key_b=key("b", "old-b"))
    work = begin(made, card)
    work.write({4: bytes(16)}, lambda done, total: None)
    work.verify({4: bytes(16)})
    assert b"".join(work.read().values()) == bytes(16) + IMAGE[16:].ljust(32, b"\0")


@pytest.mark.parametrize(
    "trailer",
    [
        TRANSPORT_KEY + ISSUED + KEY_B,
        b"\x99" * 6 + ISSUED + KEY_B,
        KEY_A + ISSUED + TRANSPORT_KEY,
        KEY_A + bytes.fromhex("FF078069") + b"\x99" * 6,
        KEY_A + bytes.fromhex("78778800") + KEY_B,
    ],
)
def test_a_trailer_that_was_written_in_part_is_finished(trailer: bytes) -> None:
    card, made = Classic(), layout()
    card.poke(7, trailer)
    personalise(made, card, made.places(IMAGE, ndef=False), resuming=True)
    assert card.peek(7) == KEY_A + ISSUED + KEY_B


def test_an_erased_card_carries_zeros_under_our_keys_and_is_taken_again() -> None:
    card, made = Classic(), layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    work = begin(made, card)
    blank = work.blank()
    work.write(blank, lambda done, total: None)
    work.verify(blank)
    assert area(card, 4, 5, 6) == bytes(48)
    assert card.peek(7) == KEY_A + ISSUED + KEY_B
    assert set(work.read().values()) == {bytes(16)}
    personalise(made, card, made.places(IMAGE, ndef=False))


def rejection(card: Classic, sentence: str, **settings: object) -> None:
    before = card.snapshot()
    for resuming in (False, True) if "keys" in sentence else (False,):
        with pytest.raises(CardRejected, match="lost" if resuming else sentence):
            begin(layout(**settings), card, resuming=resuming)
    assert card.snapshot() == before


def test_somebody_elses_data_under_the_transport_key_is_left_alone() -> None:
    card = Classic()
    card.poke(6, bytes(15) + b"\x01")
    rejection(card, "used by another system")


def test_somebody_elses_access_bits_under_the_transport_key_are_left_alone() -> None:
    card = Classic()
    poke_trailer(card, 1, TRANSPORT_KEY, bytes.fromhex("FF078000"), TRANSPORT_KEY)
    rejection(card, "used by another system")


def test_a_card_under_unknown_keys_is_left_alone() -> None:
    card = Classic()
    poke_trailer(card, 1, b"\x01" * 6, ISSUED, b"\x02" * 6)
    rejection(card, "keys in sector 1 that are not ours")


def test_our_key_a_under_a_strange_key_b_opens_too_little() -> None:
    card = Classic()
    poke_trailer(card, 1, KEY_A, ISSUED, b"\x02" * 6)
    rejection(card, "keys in sector 1 that are not ours")


def test_somebody_elses_access_bits_for_block_0_are_left_alone() -> None:
    card = Classic()
    poke_trailer(card, 0, TRANSPORT_KEY, AccessBits((0b010, 0, 0, 1)).encode() + b"\x69", TRANSPORT_KEY)
    rejection(card, "used by another system", sectors=[0])


@pytest.mark.parametrize(
    "access",
    [
        (0, 0, 0, 0b000),  # the access bits are frozen
        (0, 0, 0, 0b010),  # the whole trailer is frozen
        (0b010, 0b010, 0b010, 0b001),  # whoever may change the trailer may not write
        (0b101, 0b101, 0b101, 0b011),
        (0b111, 0b111, 0b111, 0b111),
    ],
)
@pytest.mark.parametrize(("key_a", "key_b"), [(KEY_A, KEY_B), (TRANSPORT_KEY, TRANSPORT_KEY)])
def test_a_locked_sector_is_left_alone(access: tuple[int, int, int, int], key_a: bytes, key_b: bytes) -> None:
    card = Classic()
    poke_trailer(card, 1, key_a, AccessBits(access).encode() + b"\x69", key_b)
    rejection(card, "Sector 1 of this card is locked")


def test_a_sector_that_is_blocked_for_ever_is_left_alone() -> None:
    card = Classic()
    poke_trailer(card, 1, TRANSPORT_KEY, bytes(4), TRANSPORT_KEY)
    assert card.is_blocked(1)
    rejection(card, "keys in sector 1 that are not ours")


def test_a_card_that_is_too_small_is_left_alone() -> None:
    rejection(Classic(blocks=20), "no sector 5", sectors=[4, 5])
    rejection(Classic(), "no sector 16", sectors=[16])


def test_one_strange_sector_of_several_refuses_the_card() -> None:
    card = Classic()
    poke_trailer(card, 2, b"\x01" * 6, ISSUED, b"\x02" * 6)
    rejection(card, "keys in sector 2", sectors=[1, 2])


def test_a_number_that_is_drawn_anew_makes_no_key() -> None:
    diversified = {"secret": "master", "diversify": "01"}
    values = {"sectors": [1], "key_a": diversified, "key_b": diversified}
    made = ClassicLayout.parse(Table(values, "profiles.guest.classic"), lambda name: b"00" * 16, False)
    with pytest.raises(CardRejected, match="another number each time"):
        begin(made, Classic(uid=bytes.fromhex("08112233")))


def test_a_card_that_changed_hands_while_it_was_looked_at_is_told() -> None:
    class Swapping(Link):
        def __init__(self) -> None:
            self._cards = iter((Classic(), Classic(uid=b"\x01\x02\x03\x04"), Classic(uid=b"\x01\x02\x03\x04")))

        def activate(self) -> Activation:
            self._card = next(self._cards)
            return self._card.activate()

        def exchange(self, frame: bytes) -> bytes:
            return self._card.exchange(frame)

    with pytest.raises(NoAnswer):
        personalise(layout(), Swapping(), {})


class Gone(Link):
    """A reader that refuses every key, whether the card is there or not; only selecting it tells.

    Args:
        times: how often the card can be selected before it is lifted.
    """

    def __init__(self, times: int) -> None:
        self._left = times

    def activate(self) -> Activation:
        if not self._left:
            raise NoAnswer
        self._left -= 1
        return Classic().activate()

    def exchange(self, frame: bytes) -> bytes:
        raise Refused("6300")


def test_a_lifted_card_whose_reader_says_refused_has_no_unknown_keys() -> None:
    tries = 4
    for times in range(1, tries + 1):
        with pytest.raises(NoAnswer):
            begin(layout(), Gone(times))
    with pytest.raises(CardRejected, match="not ours"):
        begin(layout(), Gone(tries + 1))


def test_a_lifted_card_whose_reader_says_refused_carries_no_wrong_keys() -> None:
    for times, expected in ((2, NoAnswer), (3, Mismatch)):
        link = Gone(times)
        work = layout().on(link, link.activate())
        assert work is not None
        with pytest.raises(expected):
            work.verify({})


def test_a_proof_begins_with_selecting_the_card_anew() -> None:
    class Noting(Sly):
        selected = 0

        def activate(self) -> Activation:
            self.selected += 1
            return super().activate()

    card, made = Classic(), layout()
    link = Noting(card, lambda frame: False)
    contents = made.places(IMAGE, ndef=False)
    work = begin(made, link)
    work.write(contents, lambda done, total: None)
    before = link.selected
    with pytest.raises(Mismatch):
        work.verify({4: bytes(16)})
    assert link.selected == before + 2  # to begin, and to be sure that the card still lies there


@pytest.mark.parametrize("answer", [b"", bytes(15), bytes(17), bytes(4096)])
def test_an_answer_of_another_length_is_no_block(answer: bytes) -> None:
    class Odd(Sly):
        def exchange(self, frame: bytes) -> bytes:
            return answer if frame[0] == 0x30 else super().exchange(frame)

    with pytest.raises(LinkError):
        begin(layout(), Odd(Classic(), lambda frame: False))


def test_a_reader_that_writes_no_data_is_found_out_before_any_key_is_touched() -> None:
    card, made = Classic(), layout()
    before = card.snapshot()
    with pytest.raises(Mismatch, match="block 4"):
        personalise(made, Sly(card, lambda frame: frame[0] == 0xA0), made.places(IMAGE, ndef=False))
    assert card.snapshot() == before


def test_a_reader_that_writes_no_trailer_is_found_out() -> None:
    card, made = Classic(), layout()
    with pytest.raises(Mismatch, match="key A of sector 1"):
        personalise(made, Sly(card, lambda frame: frame[:2] == b"\xa0\x07"), made.places(IMAGE, ndef=False))


def test_a_reader_that_says_yes_to_every_key_is_found_out() -> None:
    card, made = Classic(), layout()
    personalise(made, card, made.places(IMAGE, ndef=False))

    class Yes(Sly):
        def exchange(self, frame: bytes) -> bytes:
            if frame[0] == 0x60:
                frame = frame[:2] + KEY_A + frame[8:]
            return super().exchange(frame)

    work = made.on(Yes(card, lambda frame: False), card.activate())
    assert work is not None
    with pytest.raises(Mismatch, match="transport key of sector 1"):
        work.verify(made.places(IMAGE, ndef=False))


@pytest.mark.parametrize(
    ("sector", "trailer", "what"),
    [
        (1, KEY_A + ISSUED + OLD_B, "key B of sector 1"),
        (1, OLD_A + ISSUED + KEY_B, "key A of sector 1"),
        (1, KEY_A + bytes.fromhex("7F078869") + KEY_B, "access bits of sector 1"),
    ],
)
def test_a_proof_names_the_key_that_is_wrong(sector: int, trailer: bytes, what: str) -> None:
    card, made = Classic(), layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    card.poke(card.trailer(sector), trailer)
    work = made.on(card, card.activate())
    assert work is not None
    with pytest.raises(Mismatch, match=what):
        work.verify(made.places(IMAGE, ndef=False))


def test_a_proof_names_the_block_that_is_wrong() -> None:
    card, made = Classic(), layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    card.poke(5, bytes(16))
    work = made.on(card, card.activate())
    assert work is not None
    with pytest.raises(Mismatch, match="block 5"):
        work.verify(made.places(IMAGE, ndef=False))


def test_a_key_that_opens_no_more_when_the_data_is_to_be_written_is_named() -> None:
    card, made = Classic(), layout(sectors=[1, 2])
    work = begin(made, card)
    card.poke(7, KEY_A + ISSUED + b"\x99" * 6)
    with pytest.raises(Mismatch, match="key of sector 1"):
        work.write(made.places(IMAGE, ndef=False), lambda done, total: None)


def test_a_card_that_was_lifted_before_the_data_was_written_has_no_wrong_key() -> None:
    found = Opened(sector=1, by=By.A, key=TRANSPORT_KEY, access=TRANSPORT, general_purpose=0x69)
    for times, expected in ((1, NoAnswer), (2, Mismatch)):
        link = Gone(times)
        session = Session(link, link.activate())
        with pytest.raises(expected):
            reopen(session, found)


class Hostile(Link):
    """A card that answers as it likes.

    Args:
        draw: where its answers come from.
    """

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def activate(self) -> Activation:
        return Activation(family=Family.CLASSIC, uid=b"\x01\x02\x03\x04", blocks=256)

    def exchange(self, frame: bytes) -> bytes:
        draw = self._draw
        if draw.random() < 0.1:
            raise draw.choice([Refused, NoAnswer, Unsupported, LinkError])("hostile")
        if frame[0] != 0x30:
            return draw.choice([b"", b"\x0a", bytes(300)])
        trailer = bytes(6) + draw.choice([b"\xff\x07\x80\x69", ISSUED, bytes(4)]) + bytes(6)
        answers = [bytes(16), trailer, trailer, draw.randbytes(16), draw.randbytes(draw.randrange(40))]
        return draw.choice(answers)


@pytest.mark.parametrize("settings", [{}, {"mad": "4811", "mad_key_b": key("mad", "old-mad"), "sectors": [2, 18]}])
@pytest.mark.parametrize("resuming", [False, True])
def test_a_card_that_answers_as_it_likes_ends_only_as_the_contract_says(
    settings: dict[str, object], resuming: bool
) -> None:
    made = layout(key_a=key("a", "old-a"), **settings)
    contents = made.places(IMAGE, ndef=False)
    ends: Counter[str] = Counter()
    for seed in range(1500):
        link = Hostile(random.Random(seed))
        try:
            personalise(made, link, contents, resuming=resuming)
        except (LinkError, CardRejected, Mismatch) as error:
            ends[type(error).__name__] += 1
    assert ends.total() == 1500
    assert {"CardRejected", "NoAnswer", "Unsupported"} <= set(ends)
