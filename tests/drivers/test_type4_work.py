"""One Type 4 Tag: looked at, written, read and erased; and cards that lie."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from encoder_bridge_cards import looking
from encoder_bridge_cards.formats.ndef import NdefFormat
from encoder_bridge_cards.link import Activation, Link, LinkError, NoAnswer, Refused
from encoder_bridge_cards.personalisation import Mismatch
from encoder_bridge_cards.profile import Profile
from encoder_bridge_cards.tables import Table
from encoder_bridge_cards.type4.area import PLACE
from encoder_bridge_cards.type4.layout import Type4Layout
from type4_desk import LONG, OURS, SHORT, begin, personalise, places
from virtual.card import Tear
from virtual.type4 import CONTAINER, UPDATE, Type4

from encoder_bridge.driver import CardRejected, Credential


class Through(Link):
    """A link to a card that changes what goes over it.

    Args:
        card: the card.
        answer: given a frame and a way to have the card act on it, what comes back.
    """

    def __init__(self, card: Type4, answer: Callable[[bytes, Callable[[bytes], bytes]], bytes]) -> None:
        self.card = card
        self._answer = answer

    def activate(self) -> Activation:
        return self.card.activate()

    def exchange(self, frame: bytes) -> bytes:
        return self._answer(frame, self.card.exchange)


class Log(Link):
    """A link that keeps the frames."""

    def __init__(self, card: Type4) -> None:
        self.card = card
        self.frames: list[str] = []

    def activate(self) -> Activation:
        return self.card.activate()

    def exchange(self, frame: bytes) -> bytes:
        self.frames.append(frame.hex())
        return self.card.exchange(frame)


def carrying(message: bytes, card: Type4 | None = None) -> Type4:
    card = card or Type4()
    card.ndef[: 2 + len(message)] = len(message).to_bytes(2, "big") + message
    return card


def refused(link: Link, raw: str | None, *, resuming: bool = False) -> str:
    with pytest.raises(CardRejected) as rejected:
        begin(link, resuming=resuming)
    assert rejected.value.raw == raw
    return str(rejected.value)


def test_a_blank_card_is_written_with_the_commands_of_the_specification_and_no_more() -> None:
    card = Type4()
    link = Log(card)
    told = personalise(link, places(SHORT))
    assert card.shown == SHORT
    file = "0022" + SHORT.hex()
    assert link.frames == [
        "00a4040007d276000085010100",
        "00a4000c02e103",
        "00b000000f",
        "00a4000c02e104",
        "00b000003b",
        "00d6000222" + SHORT.hex(),
        "00b0000222",
        "00d60000020022",
        "00a4040007d276000085010100",
        "00a4000c02e104",
        f"00b00000{len(file) // 2:02x}",
    ]
    assert told == [(1, 2), (2, 2)]


def test_an_older_message_of_ours_disappears_before_and_behind_the_new_one() -> None:
    card = carrying(LONG)
    told = personalise(card, places(SHORT))
    assert card.shown == SHORT
    assert not any(card.ndef[2 + len(SHORT) :])
    assert told[0] == (1, len(told))
    assert told[-1] == (len(told), len(told))


def test_the_old_message_is_hidden_first_and_the_new_one_shown_last() -> None:
    link = Log(carrying(LONG))
    personalise(link, places(SHORT))
    updates = [frame for frame in link.frames if frame.startswith("00d6")]
    assert updates[0] == "00d60000020000"
    assert updates[-1] == "00d60000020022"
    assert all(not frame.startswith("00d60000") for frame in updates[1:-1])


def test_what_stands_there_already_is_not_written_again() -> None:
    link = Log(carrying(LONG))
    assert personalise(link, places(LONG)) == []
    assert not any(frame.startswith("00d6") for frame in link.frames)


def test_a_card_without_a_message_is_erased_without_a_write() -> None:
    assert personalise(Type4(), places(b"")) == []


def test_an_erased_card_carries_no_byte_of_any_message_before() -> None:
    card = carrying(SHORT)
    card.ndef[200:210] = b"left over."
    personalise(card, begin(card).blank())
    assert not any(card.ndef)


def test_a_card_that_carries_more_than_zeros_is_not_erased_yet() -> None:
    card = Type4()
    work = begin(card)
    card.ndef[200] = 1
    with pytest.raises(Mismatch):
        work.verify(work.blank())


def test_what_was_written_is_read_from_the_card_again() -> None:
    card = carrying(LONG)
    work = begin(card)
    work.write(places(SHORT), lambda done, total: None)
    card.ndef[10] ^= 1
    assert work.read() == {PLACE: b"\x03\xff" + card.ndef[: 2 + len(SHORT)]}


def test_a_file_elsewhere_is_found_by_what_the_card_says() -> None:
    card = Type4(file=0x0042)
    personalise(card, places(LONG))
    assert card.shown == LONG
    assert begin(card).read() == places(LONG)


def test_a_message_fills_the_file_to_its_end() -> None:
    card = Type4(size=100)
    message = OURS.ljust(98, b"!")
    personalise(card, places(message))
    assert card.shown == message
    with pytest.raises(CardRejected, match="too small"):
        personalise(card, places(message + b"!"))
    assert card.shown == message


def test_a_card_that_says_nothing_of_its_number_has_none() -> None:
    card = Type4(uid=bytes.fromhex("08123456"))
    assert begin(card).card.uid is None


def test_somebody_elses_message_is_left_alone() -> None:
    card = carrying(b"THEIRS")
    assert "another system" in refused(card, "foreign_content")
    assert card.shown == b"THEIRS"


def test_a_length_that_cannot_be_is_somebody_elses_unless_the_card_was_begun() -> None:
    card = carrying(LONG)
    card.ndef[:2] = b"\xff\xff"
    refused(card, "foreign_content")
    work = begin(card, resuming=True)
    assert work.read() == {PLACE: b"\x03\xff\xff\xff"}
    personalise(card, places(SHORT), resuming=True)
    assert card.shown == SHORT


@pytest.mark.parametrize("access", ["00ff", "0080", "8000", "ff00"])
def test_a_card_that_is_not_free_for_everybody_is_locked(access: str) -> None:
    card = Type4(access=bytes.fromhex(access))
    assert "locked" in refused(card, "card_locked")
    assert "locked" in refused(card, "card_locked", resuming=True)


def test_a_card_without_its_container_or_its_file_is_not_prepared() -> None:
    for missing in (CONTAINER, 0xE104):
        card = Type4()
        del card.files[missing]
        assert "not prepared for NDEF" in refused(card, "6a82")


@pytest.mark.parametrize(
    ("at", "bytes_"),
    [
        (0, "000e"),
        (0, "ffff"),
        (2, "10"),
        (2, "40"),
        (3, "000e"),
        (5, "0000"),
        (5, "0001"),
        (7, "06"),
        (8, "08"),
        (9, "0000"),
        (9, "e103"),
        (9, "ffff"),
        (11, "0004"),
        (11, "ffff"),
    ],
)
def test_a_container_beyond_the_specification_is_none(at: int, bytes_: str) -> None:
    card = Type4()
    changed = bytes.fromhex(bytes_)
    card.files[CONTAINER][at : at + len(changed)] = changed
    refused(card, "no_ndef_file")


def test_a_file_that_claims_more_than_cards_have_is_used_as_far_as_cards_go() -> None:
    card = carrying(LONG, Type4(size=0xFFFE, longest_read=0xFFFF, longest_update=0xFFFF))
    link = Tear(card)
    personalise(link, places(b""))
    assert link.exchanges < 100
    card.ndef[:2] = b"\x1f\xff"
    refused(card, "foreign_content")


def test_a_card_that_declines_the_first_write_is_left_as_it_was() -> None:
    def decline(frame: bytes, act: Callable[[bytes], bytes]) -> bytes:
        return bytes.fromhex("6982") if frame[1] == UPDATE else act(frame)

    card = carrying(LONG)
    with pytest.raises(CardRejected, match="does not let itself be written"):
        personalise(Through(card, decline), places(SHORT))
    assert card.shown == LONG


def test_a_card_whose_memory_fails_at_the_first_write_may_have_changed() -> None:
    def fail(frame: bytes, act: Callable[[bytes], bytes]) -> bytes:
        return bytes.fromhex("6581") if frame[1] == UPDATE else act(frame)

    with pytest.raises(Mismatch):
        personalise(Through(Type4(), fail), places(SHORT))


def test_a_card_that_declines_in_the_middle_shows_no_message() -> None:
    def decline(frame: bytes, act: Callable[[bytes], bytes]) -> bytes:
        return bytes.fromhex("6982") if frame[1] == UPDATE and frame[2:4] == b"\x00\x36" else act(frame)

    card = carrying(SHORT)
    with pytest.raises(Mismatch):
        personalise(Through(card, decline), places(LONG))
    assert card.shown == b""


def test_a_card_that_says_yes_and_writes_nothing_is_found_out_before_its_length_is_written() -> None:
    lengths = []

    def pretend(frame: bytes, act: Callable[[bytes], bytes]) -> bytes:
        if frame[1] != UPDATE:
            return act(frame)
        lengths.append(frame[2:4] == b"\0\0")
        return bytes.fromhex("9000")

    with pytest.raises(Mismatch):
        personalise(Through(Type4(), pretend), places(LONG))
    assert not any(lengths)


def test_a_card_that_does_not_keep_its_length_is_found_out_at_the_end() -> None:
    def forget(frame: bytes, act: Callable[[bytes], bytes]) -> bytes:
        return bytes.fromhex("9000") if frame[1] == UPDATE and frame[2:4] == b"\0\0" else act(frame)

    with pytest.raises(Mismatch):
        personalise(Through(Type4(), forget), places(LONG))


def test_another_card_in_its_place_proves_nothing() -> None:
    card = Type4()
    work = begin(card)
    work.write(places(LONG), lambda done, total: None)
    card._uid = bytes(7)
    with pytest.raises(NoAnswer):
        work.verify(places(LONG))


def test_a_reader_that_reports_a_nak_does_so_of_a_card_of_another_technology() -> None:
    def nak(frame: bytes, act: Callable[[bytes], bytes]) -> bytes:
        raise Refused("NAK")

    link = Through(Type4(), nak)
    assert Type4Layout().on(link, link.activate()) is None


@pytest.mark.parametrize("cut", [1, 3, 16, 17])
def test_an_answer_of_another_length_than_was_asked_for_is_none(cut: int) -> None:
    def shorten(frame: bytes, act: Callable[[bytes], bytes]) -> bytes:
        answer = act(frame)
        return answer[: max(0, len(answer) - 2 - cut)] + answer[-2:] if len(answer) > 2 else answer

    link = Through(Type4(), shorten)
    with pytest.raises(NoAnswer):
        begin(link)


@pytest.mark.parametrize("answer", [b"", b"\x90"])
def test_an_answer_without_a_status_word_is_none(answer: bytes) -> None:
    link = Through(Type4(), lambda frame, act: answer)
    with pytest.raises(NoAnswer):
        Type4Layout().on(link, link.activate())


ACCEPTED = (LinkError, CardRejected, Mismatch)


def everything(link: Link, *, resuming: bool) -> None:
    """All that the driver may do with a card."""
    work = Type4Layout().on(link, link.activate())
    if work is None:
        return
    work.survey(lambda area: bool(area), resuming=resuming)
    work.read()
    for contents in (places(LONG), work.blank()):
        work.write(contents, lambda done, total: None)
        work.verify(contents)
        work.read()


def test_whatever_a_card_answers_only_what_the_contract_names_escapes() -> None:
    dice = random.Random(4)
    counts: Counter[str] = Counter()
    for _ in range(3000):
        odds = dice.choice((0.03, 0.2, 0.9))

        def lie(frame: bytes, act: Callable[[bytes], bytes], odds: float = odds) -> bytes:
            answer = bytearray(act(frame))
            if dice.random() >= odds:
                return bytes(answer)
            match dice.randrange(4):
                case 0:
                    return dice.randbytes(dice.choice((0, 1, 2, 3, 17, 260)))
                case 1:
                    return bytes(answer[: dice.randrange(len(answer))])
                case 2:
                    return dice.randbytes(len(answer) - 2) + b"\x90\x00"
                case _:
                    answer[dice.randrange(len(answer))] = dice.randrange(256)
                    return bytes(answer)

        try:
            everything(Through(carrying(SHORT), lie), resuming=dice.random() < 0.5)
        except ACCEPTED as error:
            counts[type(error).__name__] += 1
        else:
            counts["passed"] += 1
    print(dict(counts))
    assert min(counts.values()) > 20


def test_whatever_a_container_says_only_what_the_contract_names_escapes() -> None:
    dice = random.Random(4)
    counts: Counter[str] = Counter()
    for _ in range(3000):
        card = carrying(SHORT, Type4(size=64 if dice.random() < 0.5 else 512))
        container = card.files[CONTAINER]
        for _ in range(dice.choice((1, 2, 15))):
            container[dice.randrange(len(container))] = dice.choice((0, 1, 4, 15, 16, 0x7F, 0x80, 0xFF))
        link = Tear(card)
        try:
            everything(link, resuming=dice.random() < 0.5)
        except ACCEPTED as error:
            counts[type(error).__name__] += 1
        else:
            counts["passed"] += 1
        assert link.exchanges < 2000
    print(dict(counts))


def test_no_message_is_in_any_error_or_repr() -> None:
    def decline(frame: bytes, act: Callable[[bytes], bytes]) -> bytes:
        return bytes.fromhex("6581") if frame[1] == UPDATE else act(frame)

    card = Through(carrying(LONG), decline)
    work = begin(card)
    with pytest.raises(Mismatch) as raised:
        work.write(places(SHORT), lambda done, total: None)
    for told in (repr(work), repr(work.card), repr(raised.value), repr(raised.value.__cause__)):
        assert "OURS" not in told
        assert OURS.hex() not in told


def credential(sequence: int) -> Credential:
    return Credential(access_method_id="method", profile="guest", sequence=sequence)


def ndef_profile() -> Profile:
    def secret(name: str) -> bytes:
        raise AssertionError

    uri = "https://keys.example.com/{access_method_id}?s={sequence}"
    made = NdefFormat.parse(Table({"uri": uri}, "profiles.guest"), secret)
    return Profile(name="guest", format=made, layouts=(Type4Layout(),))


def test_a_card_with_another_number_each_time_is_not_issued() -> None:
    card = Type4(uid=bytes.fromhex("08123456"))
    with pytest.raises(CardRejected, match="another number each time"):
        looking.for_writing(ndef_profile(), credential(1), card, card.activate(), resuming=False)
    assert card.snapshot() == Type4().snapshot()


def test_a_profile_of_ndef_issues_reads_and_erases_such_a_card() -> None:
    profile = ndef_profile()
    card = Type4()
    assert looking.at_contents((profile,), card, card.activate()).fields == {"state": "blank"}
    for sequence in (1, 22):
        seen = looking.for_writing(profile, credential(sequence), card, card.activate(), resuming=False)
        seen.write(lambda done, total: None)
        assert looking.at_contents((profile,), card, card.activate()).fields == {
            "state": "whole",
            "profile": "guest",
            "uri": f"https://keys.example.com/method?s={sequence}",
        }
    seen = looking.for_blanking((profile,), card, card.activate(), resuming=False)
    seen.write(lambda done, total: None)
    assert looking.at_contents((profile,), card, card.activate()).fields == {"state": "blank"}
    with pytest.raises(CardRejected, match="blank"):
        looking.for_blanking((profile,), card, card.activate(), resuming=False)
