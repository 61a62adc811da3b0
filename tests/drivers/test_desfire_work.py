"""DESFire cards: fresh ones, those that come back, and those that are left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from desfire_desk import (
    AID,
    IMAGE,
    MASTER,
    NEW,
    OLD_PICC,
    OURS,
    PICC,
    begin,
    held,
    key,
    keys_of,
    layout,
    new_keys,
    old_keys,
    personalise,
    recognised,
    rolled_keys,
)
from encoder_bridge_cards.desfire.layout import DesfireLayout
from encoder_bridge_cards.diversification import Cipher, diversified
from encoder_bridge_cards.link import Activation, Link, LinkError, NoAnswer
from encoder_bridge_cards.personalisation import Mismatch
from virtual.card import Tear
from virtual.desfire import Desfire
from virtual.desfire.crypto import Kind
from virtual.desfire.memory import Application, File, Key, Mode

from encoder_bridge.driver import CardRejected

GENERATIONS = ["ev1", "ev2", "ev3"]
MODES = ["plain", "mac", "full"]
RIGHTS = 0x1200
"""Key 1 reads, key 2 writes, key 0 does all."""
OTHERS = b"\x99" * 16
ISSUED = [(NEW[number], 2) for number in range(3)]
CREATE, COMMIT, WRITE, CHANGE_KEY, CONFIGURE, KEY_SETTINGS = 0xCA, 0xC7, 0x3D, 0xC4, 0x5C, 0x45
AES, EV2_FIRST, ISO = 0xAA, 0x71, 0x1A
AUTHENTICATIONS = {AES, EV2_FIRST, ISO}


class Spy(Link):
    """Notes each command that passes; `answer` may put another answer in the place of the card's."""

    def __init__(self, card: Desfire, answer: Callable[[int, bytes], bytes] | None = None) -> None:
        self.card = card
        self.codes: list[int] = []
        self._answer = answer

    def activate(self) -> Activation:
        return self.card.activate()

    def exchange(self, frame: bytes) -> bytes:
        self.codes.append(frame[1])
        answer = self.card.exchange(frame)
        return answer if self._answer is None else self._answer(len(self.codes) - 1, answer)


def issued(made: DesfireLayout | None = None, generation: str = "ev2") -> Desfire:
    """A card that was personalised before."""
    card = Desfire(version=generation)
    made = made or layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    return card


def application(card: Desfire) -> Application:
    return card.memory.applications[AID]


def begun(card: Desfire, *files: File) -> Application:
    """An application like ours in every setting, without any key yet."""
    made = card.add_application(AID, *[bytes(16)] * 3, settings=0x0B)
    made.files.update(enumerate(files, start=1))
    return made


def our_file(data: bytes = bytes(64), **other: Any) -> File:
    return File(**{"is_backup": True, "mode": Mode.FULL, "access": RIGHTS, "data": data, **other})


@contextmanager
def left_as_it_was(card: Desfire, sentence: str, raw: str | None = None) -> Iterator[None]:
    before = card.snapshot()
    with pytest.raises(CardRejected, match=sentence) as caught:
        yield
    assert card.snapshot() == before
    assert raw is None or caught.value.raw == raw


# Fresh cards


@pytest.mark.parametrize("comm", MODES)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_fresh_card_carries_the_contents_under_our_keys(generation: str, comm: str) -> None:
    card, made = Desfire(version=generation), layout(comm=comm)
    told = personalise(made, card, made.places(IMAGE, ndef=False))
    assert keys_of(card) == ISSUED
    assert application(card).settings == 0x0B
    assert application(card).files == {1: our_file(IMAGE.ljust(64, b"\0"), mode=Mode[comm.upper()])}
    assert told == [(step, 7) for step in range(1, 8)]


@pytest.mark.parametrize(("generation", "exchanges"), [("ev1", 28), ("ev2", 29)])
def test_a_fresh_card_costs_28_exchanges(generation: str, exchanges: int) -> None:
    """3 to identify, 3 to look, 12 to write, 10 to prove; EV2 pads the 44 bytes of a write beyond one frame."""
    link, made = Tear(Desfire(version=generation)), layout()
    personalise(made, link, made.places(IMAGE, ndef=False))
    assert link.exchanges == exchanges


@pytest.mark.parametrize("generation", GENERATIONS)
def test_keys_are_made_for_the_card(generation: str) -> None:
    card, made = (
        Desfire(version=generation),
        layout(keys={str(n): key("master") | {"diversify": f"0{n}"} for n in range(3)}),
    )
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert keys_of(card) == [
        (diversified(Cipher.AES_128, MASTER, bytes.fromhex("04063F72633480") + bytes([n])), 2) for n in range(3)
    ]


def test_one_key_alone_will_do() -> None:
    card, made = Desfire(), layout(keys={"0": key("new-0")}, read_key=0, write_key=0)
    personalise(made, card, made.places(IMAGE, ndef=False))
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert keys_of(card) == ISSUED[:1]
    assert application(card).files[1].access == 0


def test_keys_without_a_table_stay_as_they_came() -> None:
    card, made = Desfire(), layout(max_keys=5)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert keys_of(card) == [*ISSUED, (bytes(16), 0), (bytes(16), 0)]
    later = layout(keys=new_keys(4), max_keys=5)
    personalise(later, card, later.places(IMAGE, ndef=False))
    assert keys_of(card) == [*ISSUED, (NEW[3], 2), (bytes(16), 0)]


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("comm", MODES)
def test_a_large_file_is_written_and_read_in_many_frames(comm: str, generation: str) -> None:
    card, made = Desfire(version=generation), layout(comm=comm, size=1500)
    contents = made.places(bytes(range(1, 251)) * 6, ndef=False)
    personalise(made, card, contents)
    assert begin(made, card).read() == contents


def test_several_files_are_written_in_one_commit() -> None:
    card, made = Desfire(), layout(files={"1": 16, "2": 32, "9": 8})
    link = Spy(card)
    told = personalise(made, link, {1: b"a" * 16, 2: b"b" * 32, 9: b"c" * 8})
    assert link.codes.count(COMMIT) == 1
    assert [held(card, number) for number in (1, 2, 9)] == [b"a" * 16, b"b" * 32, b"c" * 8]
    assert told[-1] == (11, 11)
    personalise(made, card, {2: b"d" * 32})
    assert [held(card, number) for number in (1, 2, 9)] == [b"a" * 16, b"d" * 32, b"c" * 8]


@pytest.mark.parametrize(
    ("protocol", "generation", "code"),
    [
        ("auto", "ev1", AES),
        ("auto", "ev2", EV2_FIRST),
        ("auto", "ev3", EV2_FIRST),
        ("ev1", "ev3", AES),
        ("ev2", "ev2", EV2_FIRST),
    ],
)
def test_the_profile_may_say_which_protocol_is_spoken(protocol: str, generation: str, code: int) -> None:
    link, made = Spy(Desfire(version=generation)), layout(protocol=protocol)
    personalise(made, link, made.places(IMAGE, ndef=False))
    assert set(link.codes) & AUTHENTICATIONS == {code}


def test_a_card_that_is_too_old_for_the_protocol_is_refused() -> None:
    card = Desfire(version="ev1")
    with left_as_it_was(card, "too old"):
        begin(layout(protocol="ev2"), card)


# Cards that come back


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_card_of_ours_is_written_again_and_its_keys_stay(generation: str) -> None:
    card, made = issued(generation=generation), layout()
    link = Spy(card)
    assert personalise(made, link, made.places(OURS + b"\x05" * 60, ndef=False)) == [(1, 2), (2, 2)]
    assert held(card) == OURS + b"\x05" * 60
    assert CHANGE_KEY not in link.codes
    assert keys_of(card) == ISSUED


def test_only_what_differs_is_sent() -> None:
    made = layout(size=1000, comm="plain")
    card = issued(made)
    work = begin(made, card)
    contents = work.read()
    link = Spy(card)
    work = begin(made, link)
    work.write({1: contents[1][:600] + b"x" + contents[1][601:]}, lambda done, total: None)
    assert link.codes.count(WRITE) == 1
    assert link.codes[link.codes.index(WRITE) + 1] == COMMIT
    assert held(card)[599:602] == b"\0x\0"


def test_a_card_that_carries_everything_already_is_only_looked_at_and_proven() -> None:
    card, made = issued(), layout()
    link = Spy(card)
    assert personalise(made, link, made.places(IMAGE, ndef=False)) == []
    assert not {CREATE, WRITE, COMMIT, CHANGE_KEY} & set(link.codes)
    assert len(link.codes) == 23


@pytest.mark.parametrize("old", [(0, 1, 2), (0,), (0, 2), (0, 1)])
@pytest.mark.parametrize("generation", ["ev1", "ev2"])
def test_keys_are_rolled_over(generation: str, old: tuple[int, ...]) -> None:
    card, made = issued(layout(keys=old_keys()), generation), layout(keys=rolled_keys())
    for number in range(3):
        if number not in old:
            application(card).keys[number] = Key(kind=Kind.AES, value=NEW[number], version=2)
    told = personalise(made, card, made.places(IMAGE, ndef=False))
    assert keys_of(card) == ISSUED
    assert len(told) == len(old)


def test_old_and_new_keys_cost_no_wrong_try() -> None:
    card = issued(layout(keys=old_keys()))
    personalise(layout(keys=rolled_keys()), card, {})
    assert all(one.total_failures == 0 for one in application(card).keys)


def test_an_erased_card_carries_zeros_under_our_keys() -> None:
    card, made = issued(), layout()
    work = begin(made, card)
    assert work.read() == made.places(IMAGE, ndef=False)
    work.write(work.blank(), lambda done, total: None)
    work.verify(work.blank())
    assert held(card) == bytes(64)
    assert keys_of(card) == ISSUED


def test_a_fresh_card_reads_as_zeros() -> None:
    work = begin(layout(files={"1": 2, "2": 3}), Desfire())
    assert work.read() == work.blank() == {1: bytes(2), 2: bytes(3)}


def test_what_was_written_can_be_told_without_another_look() -> None:
    card, made = Desfire(), layout()
    contents = made.places(IMAGE, ndef=False)
    work = begin(made, card)
    work.write(contents, lambda done, total: None)
    assert work.read() == contents


def test_other_applications_stay_as_they_are() -> None:
    card, made = Desfire(), layout()
    other = card.add_application(0x123456, OTHERS, settings=0x00)
    other.files[1] = our_file(b"theirs", access=0x0000)
    before = other.state()
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert other.state() == before


# Cards that are left alone


@pytest.mark.parametrize("resuming", [False, True])
@pytest.mark.parametrize("settings", [0x0F, 0x0A, 0x1B, 0xEB, 0x09, 0x00])
def test_an_application_with_other_settings_is_never_tried(settings: int, resuming: bool) -> None:
    card = Desfire(version="ev2")
    card.add_application(AID, OTHERS, OTHERS, OTHERS, settings=settings)
    link = Spy(card)
    with left_as_it_was(card, "made for something else"):
        begin(layout(), link, resuming=resuming)
    assert not AUTHENTICATIONS & set(link.codes)


@pytest.mark.parametrize("kind", [Kind.DES, Kind.TRIPLE])
def test_an_application_with_keys_of_another_kind_is_never_tried(kind: Kind) -> None:
    card = Desfire(version="ev2")
    made = begun(card)
    made.kind, made.keys = kind, [Key(kind=kind, value=bytes(kind.key_length)) for _ in range(3)]
    link = Spy(card)
    with left_as_it_was(card, "made for something else"):
        begin(layout(), link)
    assert not AUTHENTICATIONS & set(link.codes)


@pytest.mark.parametrize("version", [1, 3, 255])
def test_a_key_with_a_version_that_is_not_ours_is_never_tried(version: int) -> None:
    card = issued()
    application(card).keys[0] = Key(kind=Kind.AES, value=OTHERS, version=version)
    link = Spy(card)
    with left_as_it_was(card, "keys that are not ours", "unknown_key"):
        begin(layout(), link)
    assert not AUTHENTICATIONS & set(link.codes)


@pytest.mark.parametrize("number", [1, 2])
def test_another_key_that_is_not_ours_is_seen_before_anything_is_written(number: int) -> None:
    card = issued()
    application(card).keys[number] = Key(kind=Kind.AES, value=OTHERS, version=7)
    with left_as_it_was(card, "keys that are not ours"):
        begin(layout(), card)


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_wrong_key_is_tried_once(generation: str, version: int) -> None:
    card = issued(generation=generation)
    application(card).keys[0] = Key(kind=Kind.AES, value=OTHERS, version=version)
    link = Spy(card)
    with pytest.raises(CardRejected, match="keys that are not ours"):
        begin(layout(keys=rolled_keys()), link)
    assert sum(code in AUTHENTICATIONS for code in link.codes) == 1


def test_a_card_that_rests_after_wrong_keys_is_not_tried_again() -> None:
    card = issued()
    application(card).keys[0].delay = 2
    link = Spy(card)
    with pytest.raises(CardRejected, match="rests"):
        begin(layout(), link)
    assert sum(code in AUTHENTICATIONS for code in link.codes) == 1


def test_a_key_that_is_blocked_for_ever_is_refused() -> None:
    card = issued()
    application(card).keys[0].total_failures = card.memory.failure_limit
    with left_as_it_was(card, "take another one"):
        begin(layout(), card)


@pytest.mark.parametrize(
    "other",
    [
        {"size": 32},
        {"size": 65},
        {"comm": "mac"},
        {"read_key": 2},
        {"write_key": 1},
        {"file": 2},
        {"files": {"1": 64, "2": 16}},
        {"max_keys": 4},
    ],
)
def test_a_card_made_for_another_profile_is_left_alone(other: dict[str, object]) -> None:
    card = issued()
    link = Spy(card)
    with left_as_it_was(card, "made for something else"):
        begin(layout(**other), link)
    assert not AUTHENTICATIONS & set(link.codes)


def test_a_standard_file_is_none_of_ours() -> None:
    card = issued()
    application(card).files[1] = our_file(IMAGE.ljust(64, b"\0"), is_backup=False)
    with left_as_it_was(card, "made for something else"):
        begin(layout(), card)


@pytest.mark.parametrize("free", [0, 64, 200, 255])
def test_a_full_card_is_refused_before_it_is_written(free: int) -> None:
    card = Desfire(free_memory=free)
    with left_as_it_was(card, "full"):
        begin(layout(), card)


def test_memory_is_counted_twice_for_a_backup_file() -> None:
    card, made = Desfire(free_memory=256), layout()
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert card.memory.free < 64


def test_a_card_with_28_applications_is_full() -> None:
    card = Desfire()
    for aid in range(1, 29):
        card.add_application(aid, OTHERS)
    work = begin(layout(), card)
    with left_as_it_was(card, "full"):
        work.write({}, lambda done, total: None)


@pytest.mark.parametrize("status", [0x9D, 0xA1, 0xC1, 0xCD, 0xEE])
def test_a_card_that_cannot_select_our_application_is_not_taken_for_one_without_it(status: int) -> None:
    card = Desfire()
    link = Spy(card, lambda number, answer: bytes((0x91, status)) if number == 3 else answer)
    with left_as_it_was(card, "does not do what it is asked", f"91{status:02x}"):
        begin(layout(), link)
    assert len(link.codes) == 4


@pytest.mark.parametrize("told", [bytes.fromhex("0BC3"), bytes.fromhex("0B83000000"), b""])
def test_key_settings_that_no_profile_asks_for_are_a_strangers(told: bytes) -> None:
    card = issued()
    link = Spy(card, lambda number, answer: told + b"\x91\x00" if link.codes[-1] == KEY_SETTINGS else answer)
    with left_as_it_was(card, "made for something else"):
        begin(layout(), link)
    assert not AUTHENTICATIONS & set(link.codes)


# Cards whose owner has a key


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("rights", [0x0B, 0x09, 0x00])
def test_a_locked_card_takes_nothing_without_its_owners_key(rights: int, version: int) -> None:
    card = Desfire(version="ev2")
    card.set_master_key(PICC, version)
    card.memory.card.settings = rights
    link = Spy(card)
    with left_as_it_was(card, "Only its owner", "card_locked"):
        begin(layout(), link)
    assert not AUTHENTICATIONS & set(link.codes)


@pytest.mark.parametrize(("value", "version"), [(PICC, 2), (OLD_PICC, 1)])
@pytest.mark.parametrize("rights", [0x0B, 0x09, 0x00])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_owners_key_opens_a_locked_card(generation: str, rights: int, value: bytes, version: int) -> None:
    card, made = Desfire(version=generation), layout(picc=key("picc", "old-picc"))
    card.set_master_key(value, version)
    card.memory.card.settings = rights
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert keys_of(card) == ISSUED
    assert card.memory.card.keys[0].value == value
    link = Spy(card)
    personalise(made, link, made.places(OURS, ndef=False))
    assert sum(code in AUTHENTICATIONS for code in link.codes) == 3


def test_another_owners_card_is_not_tried() -> None:
    card = Desfire()
    card.set_master_key(OTHERS, 9)
    card.memory.card.settings = 0x0B
    link = Spy(card)
    with left_as_it_was(card, "keys that are not ours"):
        begin(layout(picc=key("picc")), link)
    assert not AUTHENTICATIONS & set(link.codes)


# Cards that show another number each time


@pytest.mark.parametrize("diversify", [None, "01"])
@pytest.mark.parametrize("picc", [None, key("picc")])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_card_with_a_random_number_is_known_by_its_own(
    generation: str, picc: dict[str, object] | None, diversify: str | None
) -> None:
    keys = new_keys() if diversify is None else new_keys(diversify=diversify)
    card, made = Desfire(version=generation, random_id=True), layout(keys=keys, picc=picc)
    if picc is not None:
        card.set_master_key(PICC, 2)
    contents = made.places(IMAGE, ndef=False)
    for _ in range(2):
        work = begin(made, card)
        assert work.card.uid == "04063f72633480"
        work.write(contents, lambda done, total: None)
        work.verify(contents)
    assert held(card) == contents[1]


def test_our_own_key_tells_the_number_where_the_owners_is_not_known() -> None:
    made = layout(keys={**new_keys(diversify="01"), "0": key("new-0")})
    card = issued(made)
    card.memory.random_id = True
    card.set_master_key(OTHERS, 9)
    link = Spy(card)
    personalise(made, link, made.places(OURS, ndef=False))
    assert sum(code in AUTHENTICATIONS for code in link.codes) == 3


@pytest.mark.parametrize("picc", [None, key("picc") | {"diversify": "01"}])
def test_a_card_that_tells_its_number_to_nobody_here_is_refused(picc: dict[str, object] | None) -> None:
    card = Desfire(random_id=True)
    card.set_master_key(OTHERS, 2)
    link = Spy(card)
    with left_as_it_was(card, "another number each time", "no_uid"):
        begin(layout(picc=picc), link)
    assert not AUTHENTICATIONS & set(link.codes)


@pytest.mark.parametrize("picc", [None, key("picc")])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_card_shows_another_number_each_time_where_the_profile_says_so(
    generation: str, picc: dict[str, object] | None
) -> None:
    card, made = Desfire(version=generation), layout(random_uid=True, picc=picc)
    if picc is not None:
        card.set_master_key(PICC, 2)
    link = Spy(card)
    told = personalise(made, link, made.places(IMAGE, ndef=False))
    assert card.activate().has_random_uid
    assert card.memory.may_format
    assert link.codes.index(CONFIGURE) > max(at for at, code in enumerate(link.codes) if code == CHANGE_KEY)
    assert told[-1] == (8, 8)
    again = Spy(card)
    personalise(made, again, made.places(OURS, ndef=False))
    assert CONFIGURE not in again.codes


def test_a_card_that_still_shows_its_own_number_is_not_done() -> None:
    card, made = Desfire(), layout(random_uid=True)
    contents = made.places(IMAGE, ndef=False)
    work = begin(made, card)
    work.write(contents, lambda done, total: None)
    work.verify(contents)
    card.memory.random_id = False
    with pytest.raises(Mismatch, match="random number"):
        work.verify(contents)


def test_a_card_that_could_not_be_given_random_numbers_is_refused_first() -> None:
    card = Desfire()
    card.set_master_key(OTHERS, 9)
    with left_as_it_was(card, "Only its owner"):
        begin(layout(random_uid=True), card)


# Cards that were begun


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("files", [(), (our_file(),), (our_file(IMAGE.ljust(64, b"\0")),)])
def test_a_card_that_was_begun_and_forgotten_is_finished(files: tuple[File, ...], generation: str) -> None:
    card, made = Desfire(version=generation), layout()
    begun(card, *files)
    personalise(made, card, made.places(IMAGE, ndef=False))
    assert keys_of(card) == ISSUED
    assert held(card) == IMAGE.ljust(64, b"\0")


def test_contents_that_nobody_recognises_are_a_strangers_unless_the_card_was_begun() -> None:
    card, made = Desfire(), layout()
    begun(card, our_file(OTHERS * 4))
    with left_as_it_was(card, "made for something else"):
        begin(made, card)
    personalise(made, card, made.places(IMAGE, ndef=False), resuming=True)
    assert held(card) == IMAGE.ljust(64, b"\0")


@pytest.mark.parametrize("resuming", [False, True])
@pytest.mark.parametrize(
    "files",
    [
        (our_file(), our_file()),
        (our_file(data=bytes(32)),),
        (our_file(mode=Mode.MAC),),
        (our_file(access=0x1230),),
        (our_file(is_backup=False),),
    ],
)
def test_a_blank_application_with_other_files_is_a_strangers(files: tuple[File, ...], resuming: bool) -> None:
    card = Desfire()
    begun(card, *files)
    link = Spy(card)
    with left_as_it_was(card, "made for something else"):
        begin(layout(), link, resuming=resuming)
    assert not AUTHENTICATIONS & set(link.codes)


def test_a_card_that_runs_out_of_memory_in_the_middle_says_so_when_it_is_resumed() -> None:
    card, made = Desfire(), layout()
    work = begin(made, card)
    card.memory.free = 100
    with pytest.raises(Mismatch, match="file 1"):
        work.write(made.places(IMAGE, ndef=False), lambda done, total: None)
    again = begin(made, card, resuming=True)
    with left_as_it_was(card, "full"):
        again.write(made.places(IMAGE, ndef=False), lambda done, total: None)


def test_a_card_whose_keys_come_otherwise_is_not_said_to_be_whole() -> None:
    card, made = Desfire(), layout()
    card.memory.default_key = OTHERS + bytes(8)
    with pytest.raises(Mismatch, match="key 0"):
        personalise(made, card, made.places(IMAGE, ndef=False))


# Proof


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda card: card.memory.applications.clear(), "application"),
        (lambda card: application(card).files.clear(), "file 1"),
        (lambda card: setattr(application(card).files[1], "data", bytes(64)), "file 1"),
        *((lambda card, n=n: setattr(application(card).keys[n], "version", 1), f"key {n}") for n in range(3)),
        *((lambda card, n=n: setattr(application(card).keys[n], "value", OTHERS), f"key {n}") for n in range(2)),
    ],
)
@pytest.mark.parametrize("generation", ["ev1", "ev2"])
def test_what_is_not_as_it_was_written_is_found(generation: str, spoil: Callable[[Desfire], object], what: str) -> None:
    card, made = Desfire(version=generation), layout()
    contents = made.places(IMAGE, ndef=False)
    work = begin(made, card)
    work.write(contents, lambda done, total: None)
    work.verify(contents)
    spoil(card)
    with pytest.raises(Mismatch, match=what):
        work.verify(contents)


@pytest.mark.parametrize("random_id", [False, True])
def test_another_card_proves_nothing(random_id: bool) -> None:
    card, made = Desfire(random_id=random_id), layout()
    contents = made.places(IMAGE, ndef=False)
    work = begin(made, card)
    work.write(contents, lambda done, total: None)
    card.state.uid = bytes.fromhex("04999999999999")
    with pytest.raises(NoAnswer):
        work.verify(contents)


def test_what_is_read_back_is_compared_before_the_keys_change() -> None:
    card, made = Desfire(), layout(comm="plain")
    work = begin(made, card)

    def swallow(done: int, total: int) -> None:
        if done == 3:
            card.state.pending[1] = bytes(63) + b"\x01"

    with pytest.raises(Mismatch, match="file 1"):
        work.write(made.places(IMAGE, ndef=False), swallow)
    assert keys_of(card) == [(bytes(16), 0)] * 3


# Hostile cards


LIES: list[Callable[[bytes], bytes]] = [
    lambda answer: b"",
    lambda answer: b"\x00",
    lambda answer: b"\x91\x00",
    lambda answer: b"\x91\xae",
    lambda answer: b"\x91\xff",
    lambda answer: b"\x6f\x00",
    lambda answer: bytes(59) + answer[-2:],
    lambda answer: answer[:-2] + b"\x91\x9d",
    lambda answer: answer[:-2] + bytes(1) + answer[-2:],
]


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("random_id", [False, True])
@pytest.mark.parametrize("generation", ["ev1", "ev2"])
def test_a_lie_at_any_exchange_is_harmless_or_ends_in_what_the_contract_names(
    generation: str, random_id: bool, lie: Callable[[bytes], bytes]
) -> None:
    made = layout()
    contents = made.places(IMAGE, ndef=False)
    honest = Spy(Desfire(version=generation, random_id=random_id))
    personalise(made, honest, contents)
    for at in range(len(honest.codes)):

        def answer(number: int, answer: bytes, at: int = at) -> bytes:
            return lie(answer) if number == at else answer

        link = Spy(Desfire(version=generation, random_id=random_id), answer)
        try:
            work = made.on(link, link.activate())
            if work is None:
                continue
            work.survey(recognised, resuming=False)
            work.write(contents, lambda done, total: None)
            work.verify(contents)
        except (LinkError, CardRejected, Mismatch):
            continue
        assert held(link.card) == contents[1]
        assert keys_of(link.card) == ISSUED
