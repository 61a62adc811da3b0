"""What the virtual DESFire card enforces, in the manner of its data sheets."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from encoder_bridge_cards.link import Family

from virtual.card import VirtualCard
from virtual.desfire import Desfire
from virtual.desfire.crypto import BlockCipher, Kind, crc32, filled, rotated
from virtual.desfire.ev1 import Legacy
from virtual.desfire.memory import Fault, File, Mode, Status
from virtual.desfire.terminal import Declined, Ev1Terminal, Ev2Terminal, Wire

ZEROS = bytes(16)
MASTER = bytes.fromhex("00112233445566778899aabbccddeeff")
ONE = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
TWO = bytes.fromhex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf")
AID = 0x434221
STD, BACKUP, BACKUP_2 = 1, 2, 3


def card(
    version: str = "ev1", *, mode: Mode = Mode.PLAIN, access: int = 0x0000, size: int = 40, settings: int = 0x0F
) -> Desfire:
    """One with an application of three keys, a standard file and two backup files."""
    made = Desfire(version=version)
    application = made.add_application(AID, MASTER, ONE, TWO, settings=settings)
    for number in (STD, BACKUP, BACKUP_2):
        file = File(is_backup=number != STD, mode=mode, access=access, data=bytes(size))
        application.files[number] = file
        made.memory.take(file.cost())
    selected(made)
    return made


def selected(made: Desfire) -> Wire:
    made.activate()
    wire = Wire(made)
    wire.select(AID)
    return wire


def declined(status: Status, act: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(Declined) as declining:
        act(*arguments)
    assert Status(declining.value.status) is status


def data(made: Desfire, number: int) -> bytes:
    return made.memory.applications[AID].files[number].data


def extent(number: int, length: int, offset: int = 0) -> bytes:
    return bytes((number,)) + offset.to_bytes(3, "little") + length.to_bytes(3, "little")


def test_it_is_a_virtual_card() -> None:
    made: VirtualCard = Desfire()
    activation = made.activate()
    assert (activation.family, activation.uid) == (Family.ISO_DEP, bytes.fromhex("04063f72633480"))
    assert made.ats[0] == len(made.ats)
    hash(made.snapshot())


# Identity


@pytest.mark.parametrize(("version", "major"), [("ev1", 0x01), ("ev2", 0x12), ("ev3", 0x33)])
def test_its_generation_is_told_by_its_version(version: str, major: int) -> None:
    made = Desfire(version=version)
    made.activate()
    told = Wire(made).send(0x60)
    assert len(told) == 28
    assert told[3] == major
    assert told[14:21] == made.activate().uid


def test_a_random_number_hides_its_own_from_who_has_no_key() -> None:
    made = card()
    made.memory.random_id = True
    first, second = made.activate(), made.activate()
    assert first.has_random_uid
    assert first.uid != second.uid
    wire = selected(made)
    assert wire.send(0x60)[14:21] == bytes(7)
    declined(Status.AUTHENTICATION, lambda: wire.send(0x51))
    wire.select(AID)
    assert Ev1Terminal(made, 2, TWO).read_full(0x51, b"", 7) == made.state.uid


def test_random_numbers_are_switched_on_for_ever() -> None:
    made = Desfire(version="ev2")
    made.set_master_key(MASTER)
    made.activate()
    Ev1Terminal(made, 0, MASTER).full(0x5C, b"\0", b"\x02")
    assert made.activate().has_random_uid
    Ev2Terminal(made, 0, MASTER).full(0x5C, b"\0", b"\x00")
    assert made.activate().has_random_uid


def test_native_frames_are_answered_with_the_status_first() -> None:
    made = card()
    assert made.exchange(bytes.fromhex("5a000000")) == b"\0"
    assert made.exchange(b"\x6a") == bytes.fromhex("00214243")
    assert made.exchange(b"\x6f") == bytes((Status.ILLEGAL_COMMAND,))


def test_more_applications_than_fit_into_a_frame_come_in_several() -> None:
    made = Desfire()
    for aid in range(1, 26):
        made.add_application(aid, ZEROS)
    made.activate()
    wire = Wire(made)
    assert wire.frame(0x6A)[0] == Status.MORE
    assert wire.frame(0x6A)[0] == Status.ABORTED
    assert len(wire.send(0x6A)) == 75


# Keys and sessions


@pytest.mark.parametrize("terminal", [Ev1Terminal, Ev2Terminal])
def test_a_wrong_key_is_refused_and_opens_nothing(terminal: Callable[[Desfire, int, bytes], object]) -> None:
    made = card("ev2")
    declined(Status.AUTHENTICATION, lambda: terminal(made, 0, ONE))
    declined(Status.AUTHENTICATION, lambda: Wire(made).send(0xBD, extent(STD, 4)))
    declined(Status.NO_SUCH_KEY, lambda: terminal(made, 3, ONE))


def test_the_first_generation_knows_nothing_of_later_commands() -> None:
    made = card("ev1")
    for command in (0x71, 0x77, 0x8D, 0xAD):
        declined(Status.ILLEGAL_COMMAND, Wire(made).send, command, bytes(2))


@pytest.mark.parametrize("version", ["ev1", "ev2"])
def test_any_error_ends_the_session(version: str) -> None:
    made = card(version)
    terminal = Ev1Terminal(made, 0, MASTER)
    terminal.read(STD, 4, Mode.PLAIN)
    declined(Status.NO_FILE, lambda: terminal.read(9, 4, Mode.PLAIN))
    declined(Status.AUTHENTICATION, lambda: terminal.read(STD, 4, Mode.PLAIN))


def test_selecting_ends_the_session() -> None:
    made = card()
    terminal = Ev1Terminal(made, 0, MASTER)
    terminal.select(AID)
    declined(Status.AUTHENTICATION, lambda: terminal.read(STD, 4, Mode.PLAIN))


def test_a_command_that_its_reader_does_not_finish_is_aborted() -> None:
    made = card()
    wire = Wire(made)
    assert wire.frame(0xAA, b"\0")[0] == Status.MORE
    assert wire.frame(0x6F)[0] == Status.ABORTED
    assert wire.frame(0xAF)[0] == Status.ILLEGAL_COMMAND


def test_a_loss_of_power_ends_a_handshake_and_a_long_answer() -> None:
    made = card()
    for command, parameters in ((0xAA, b"\0"), (0x60, b"")):
        assert Wire(made).frame(command, parameters)[0] == Status.MORE
        made.activate()
        assert Wire(made).frame(0xAF)[0] == Status.ILLEGAL_COMMAND


def test_a_card_repeats_what_its_reader_says_it_can_do() -> None:
    made = card("ev2")
    wire = Wire(made)
    cipher = BlockCipher(Kind.AES, MASTER)
    rnd_b = cipher.decrypt(wire.frame(0x71, bytes.fromhex("0003010203"))[1])
    status, proof = wire.frame(0xAF, cipher.encrypt(bytes(16) + rotated(rnd_b)))
    assert status == Status.OK
    assert cipher.decrypt(proof)[4:] == bytes(16) + bytes(6) + bytes.fromhex("010203000000")


def test_the_cards_own_key_becomes_one_of_another_kind() -> None:
    made = Desfire()
    made.set_master_key(MASTER)
    made.activate()
    terminal = Ev1Terminal(made, 0, MASTER)
    body = ZEROS + crc32(b"\xc4\x00" + ZEROS)
    assert terminal.secret(0xC4, b"\x00", filled(body, 16)) == b""
    assert Wire(made).send(0x45) == b"\x0f\x01"
    declined(Status.AUTHENTICATION, Ev1Terminal, made, 0, ZEROS)


def test_a_changed_key_replaces_the_old_one() -> None:
    made = card()
    terminal = Ev1Terminal(made, 0, MASTER)
    terminal.change_key(1, TWO, 7, old=ONE)
    assert terminal.plain(0x64, b"\1") == b"\7"
    assert terminal.change_key(0, ONE, 9) == b""
    declined(Status.AUTHENTICATION, lambda: terminal.read(STD, 4, Mode.PLAIN))
    selected(made)
    declined(Status.AUTHENTICATION, lambda: Ev1Terminal(made, 0, MASTER))
    Ev1Terminal(made, 0, ONE)
    Ev1Terminal(made, 1, TWO)


def test_the_old_key_must_be_known_to_change_another() -> None:
    made = card()
    before = made.snapshot()
    declined(Status.INTEGRITY, lambda: Ev1Terminal(made, 0, MASTER).change_key(1, ZEROS, old=TWO))
    declined(Status.INTEGRITY, lambda: Ev1Terminal(made, 0, MASTER).change_key(1, ZEROS))
    assert made.snapshot() == before


def test_an_ev2_session_needs_the_old_key_too() -> None:
    made = card("ev2")
    before = made.snapshot()
    declined(Status.INTEGRITY, lambda: Ev2Terminal(made, 0, MASTER).change_key(1, ZEROS, old=TWO))
    declined(Status.INTEGRITY, lambda: Ev2Terminal(made, 0, MASTER).change_key(1, ZEROS))
    assert made.snapshot() == before


def test_an_ev2_session_changes_keys() -> None:
    made = card("ev2")
    terminal = Ev2Terminal(made, 0, MASTER)
    terminal.change_key(1, TWO, 7, old=ONE)
    assert terminal.maced(0x64, b"\1") == b"\7"
    terminal.change_key(0, ONE, 9)
    declined(Status.AUTHENTICATION, lambda: Ev2Terminal(made, 0, MASTER))
    Ev2Terminal(made, 0, ONE)
    Ev2Terminal(made, 1, TWO)


@pytest.mark.parametrize(
    ("settings", "holder", "changed", "status"),
    [
        (0x0F, 1, 2, Status.AUTHENTICATION),
        (0x1F, 0, 2, Status.AUTHENTICATION),
        (0x1F, 1, 2, None),
        (0x1F, 0, 1, None),
        (0xEF, 0, 2, Status.AUTHENTICATION),
        (0xEF, 2, 2, None),
        (0xFF, 0, 2, Status.PERMISSION_DENIED),
        (0xFF, 0, 0, None),
        (0x0E, 0, 0, Status.PERMISSION_DENIED),
    ],
)
def test_the_settings_say_who_changes_keys(settings: int, holder: int, changed: int, status: Status | None) -> None:
    made = card(settings=settings)
    keys = (MASTER, ONE, TWO)
    terminal = Ev1Terminal(made, holder, keys[holder])

    def change() -> None:
        terminal.change_key(changed, ZEROS, old=None if holder == changed else keys[changed])

    if status is None:
        change()
        selected(made)
        Ev1Terminal(made, changed, ZEROS)
    else:
        declined(status, change)


def test_settings_are_changed_by_the_master_until_they_are_frozen() -> None:
    made = card()
    declined(Status.AUTHENTICATION, lambda: Ev1Terminal(made, 1, ONE).full(0x54, b"", b"\x01"))
    terminal = Ev1Terminal(made, 0, MASTER)
    terminal.full(0x54, b"", b"\x01")
    assert terminal.plain(0x45) == b"\x01\x83"
    declined(Status.PERMISSION_DENIED, lambda: terminal.full(0x54, b"", b"\x0f"))
    wire = selected(made)
    for command in (0x45, 0x6F):
        declined(Status.AUTHENTICATION, wire.send, command)
    declined(Status.AUTHENTICATION, lambda: wire.send(0xF5, b"\1"))
    declined(Status.AUTHENTICATION, lambda: wire.send(0xDF, b"\1"))


# Files


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("number", [STD, BACKUP])
def test_ev1_data_travels_as_the_file_says(mode: Mode, number: int) -> None:
    made = card(mode=mode, size=200)
    content = bytes(range(1, 191))
    terminal = Ev1Terminal(made, 0, MASTER)
    terminal.write(number, content, mode, offset=5)
    if number == BACKUP:
        assert terminal.read(number, 200, mode) == bytes(200)
        terminal.plain(0xC7)
    assert terminal.read(number, 190, mode, offset=5) == content


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("command", [0x3D, 0x8D])
def test_ev2_data_travels_as_the_file_says(mode: Mode, command: int) -> None:
    made = card("ev2", mode=mode, size=200)
    content = bytes(range(1, 191))
    terminal = Ev2Terminal(made, 0, MASTER)
    header = extent(BACKUP, 190, 5)
    asked = 0xAD if command == 0x8D else 0xBD
    if mode is Mode.FULL:
        terminal.full(command, header, content)
    else:
        (terminal.maced if mode is Mode.MAC else terminal.free)(command, header + content)
    terminal.maced(0xC7)
    if mode is Mode.FULL:
        assert terminal.read_full(asked, header) == content
    else:
        assert (terminal.maced if mode is Mode.MAC else terminal.free)(asked, header) == content


@pytest.mark.parametrize(("mode", "wrong"), [(Mode.MAC, Mode.PLAIN), (Mode.FULL, Mode.MAC), (Mode.PLAIN, Mode.FULL)])
def test_data_that_travels_otherwise_is_not_taken(mode: Mode, wrong: Mode) -> None:
    made = card(mode=mode, size=64)
    before = made.snapshot()
    terminal = Ev1Terminal(made, 0, MASTER)
    with pytest.raises((Declined, AssertionError)):
        terminal.write(STD, bytes(range(32)), wrong)
    made.activate()
    assert made.snapshot() == before


def test_a_wrong_mac_is_noticed() -> None:
    made = card(mode=Mode.MAC)
    before = made.snapshot()
    for number in (STD, BACKUP):
        Ev1Terminal(made, 0, MASTER)
        declined(Status.INTEGRITY, Wire(made).send, 0x3D, extent(number, 4) + b"data" + bytes(8))
    assert made.snapshot() == before


def test_a_wrong_mac_of_the_first_generation_is_noticed() -> None:
    session = Legacy(0, ZEROS)
    with pytest.raises(Fault):
        session.opened(0x3D, extent(STD, 4) + b"data" + bytes(4), Mode.MAC, 7, 4)


def test_a_wrong_checksum_and_wrong_zeros_are_noticed() -> None:
    made = card(mode=Mode.FULL)
    before = made.snapshot()
    header = extent(STD, 4)
    checksum = crc32(b"\x3d" + header + b"data")
    for plain in (b"data" + bytes(12), b"data" + checksum + bytes(7) + b"\1"):
        terminal = Ev1Terminal(made, 0, MASTER)
        declined(Status.INTEGRITY, terminal.secret, 0x3D, header, plain)
    assert made.snapshot() == before
    Ev1Terminal(made, 0, MASTER).secret(0x3D, header, b"data" + checksum + bytes(8))
    assert data(made, STD)[:4] == b"data"


def test_data_of_another_length_than_announced_is_noticed_in_an_ev2_session() -> None:
    made = card("ev2", mode=Mode.FULL)
    declined(Status.INTEGRITY, lambda: Ev2Terminal(made, 0, MASTER).full(0x3D, extent(STD, 4), b"five!"))


def test_an_answer_whose_length_was_not_asked_for_is_marked_at_its_end() -> None:
    made = card(mode=Mode.FULL, size=39)
    assert Ev1Terminal(made, 0, MASTER).read_full(0xBD, extent(STD, 39), 39, tail=bytes(5)) == bytes(39)
    assert Ev1Terminal(made, 0, MASTER).read_full(0xBD, extent(STD, 0), 39, tail=b"\x80" + bytes(4)) == bytes(39)


def test_a_replayed_ev2_command_is_refused() -> None:
    made = card("ev2", mode=Mode.MAC)
    terminal = Ev2Terminal(made, 0, MASTER)
    terminal.maced(0xBD, extent(STD, 4))
    terminal.counter -= 1
    declined(Status.INTEGRITY, lambda: terminal.maced(0xBD, extent(STD, 4)))


def test_plain_commands_count_in_an_ev2_session() -> None:
    made = card("ev2")
    terminal = Ev2Terminal(made, 0, MASTER)
    terminal.free(0xBD, extent(STD, 4))
    assert terminal.counter == 1
    assert terminal.maced(0x45) == b"\x0f\x83"


@pytest.mark.parametrize(
    ("access", "key", "reads", "writes"),
    [
        (0x1200, 0, None, None),
        (0x1200, 1, None, Status.AUTHENTICATION),
        (0x1200, 2, Status.AUTHENTICATION, None),
        (0xFF1F, 1, None, None),
        (0xFFFF, 0, Status.PERMISSION_DENIED, Status.PERMISSION_DENIED),
        (0x1FFF, 0, Status.AUTHENTICATION, Status.PERMISSION_DENIED),
    ],
)
def test_the_access_rights_name_the_keys(access: int, key: int, reads: Status | None, writes: Status | None) -> None:
    keys = (MASTER, ONE, TWO)
    acts: list[tuple[Status | None, Callable[[Ev1Terminal], object]]] = [
        (reads, lambda terminal: terminal.read(STD, 4, Mode.FULL)),
        (writes, lambda terminal: terminal.write(STD, b"data", Mode.FULL)),
    ]
    for status, act in acts:
        terminal = Ev1Terminal(card(mode=Mode.FULL, access=access), key, keys[key])
        if status is None:
            act(terminal)
        else:
            declined(status, act, terminal)


def test_what_is_free_travels_in_plain_whatever_the_file_says() -> None:
    made = card(mode=Mode.FULL, access=0xE1FF)
    assert Wire(made).send(0xBD, extent(STD, 40)) == bytes(40)
    assert Ev1Terminal(made, 2, TWO).read(STD, 40, Mode.PLAIN) == bytes(40)
    declined(Status.AUTHENTICATION, lambda: Wire(made).send(0x3D, extent(STD, 4) + b"data"))


def test_file_settings_are_changed_by_the_key_they_name() -> None:
    made = card(access=0x0002)
    declined(Status.AUTHENTICATION, lambda: Ev1Terminal(made, 0, MASTER).full(0x5F, b"\1", b"\3\x00\x00"))
    terminal = Ev1Terminal(made, 2, TWO)
    terminal.full(0x5F, bytes((STD,)), b"\3\xff\x12")
    assert terminal.plain(0xF5, bytes((STD,))) == bytes.fromhex("0003ff12280000")
    selected(made)
    declined(Status.PERMISSION_DENIED, lambda: Ev1Terminal(made, 2, TWO).full(0x5F, b"\1", b"\3\x00\x00"))


def test_access_rights_name_keys_that_are_there() -> None:
    made = card()
    wire = Wire(made)
    declined(Status.PARAMETER, wire.send, 0xCD, bytes.fromhex("0500 0030 200000"))
    wire.select(AID)
    wire.send(0xCD, bytes.fromhex("0500 0020 200000"))


def test_nothing_reaches_beyond_a_file() -> None:
    made = card()
    declined(Status.BOUNDARY, lambda: Ev1Terminal(made, 0, MASTER).write(STD, bytes(8), Mode.PLAIN, offset=33))
    declined(Status.BOUNDARY, lambda: Ev1Terminal(made, 0, MASTER).read(STD, 41, Mode.PLAIN))
    declined(Status.BOUNDARY, lambda: Ev1Terminal(made, 0, MASTER).read(STD, 0, Mode.PLAIN, offset=40))
    assert len(Ev1Terminal(made, 0, MASTER).read(STD, 0, Mode.PLAIN, offset=30)) == 10


# Transactions


def test_what_was_not_committed_is_gone_after_an_abort_an_error_a_selection_and_a_loss_of_power() -> None:
    def fail(made: Desfire, terminal: Ev1Terminal) -> None:
        declined(Status.NO_FILE, lambda: terminal.read(9, 1, Mode.PLAIN))

    ends: list[Callable[[Desfire, Ev1Terminal], object]] = [
        lambda made, terminal: terminal.plain(0xA7),
        fail,
        lambda made, terminal: terminal.select(AID),
        lambda made, terminal: selected(made),
    ]
    for end in ends:
        made = card()
        before = made.snapshot()
        terminal = Ev1Terminal(made, 0, MASTER)
        terminal.write(BACKUP, b"new", Mode.PLAIN)
        end(made, terminal)
        declined(Status.NO_CHANGES, Ev1Terminal(made, 0, MASTER).plain, 0xC7)
        assert made.snapshot() == before


def test_a_transaction_outlives_a_change_of_keys_but_not_a_new_ev2_session() -> None:
    made = card("ev2", access=0x1200)
    first = Ev2Terminal(made, 2, TWO)
    first.free(0x3D, extent(BACKUP, 3) + b"new")
    second = Ev2Terminal(made, 1, ONE, before=first)
    second.maced(0xC7)
    assert data(made, BACKUP)[:3] == b"new"
    second.select(AID)
    third = Ev2Terminal(made, 2, TWO)
    third.free(0x3D, extent(BACKUP, 3) + b"old")
    fourth = Ev2Terminal(made, 1, ONE)
    declined(Status.NO_CHANGES, lambda: fourth.maced(0xC7))


def test_a_second_handshake_needs_a_first() -> None:
    made = card("ev2")
    terminal = Ev2Terminal(made, 0, MASTER)
    terminal.select(AID)
    declined(Status.PERMISSION_DENIED, lambda: Ev2Terminal(made, 0, MASTER, before=terminal))


# Loss of power


def interrupted(made: Desfire, prepare: Callable[[], object], act: Callable[[], object]) -> None:
    """Take the power away in the middle of the only frame of `act`."""
    prepare()
    exchange, interrupt = made.exchange, made.interrupt

    class Gone(Exception):
        pass

    def cut(frame: bytes) -> bytes:
        made.exchange = exchange  # type: ignore[method-assign]
        interrupt(frame)
        raise Gone

    made.exchange = cut  # type: ignore[method-assign]
    with pytest.raises(Gone):
        act()


@pytest.mark.parametrize("survives", [False, True])
@pytest.mark.parametrize("version", ["ev1", "ev2"])
def test_an_interrupted_commit_is_all_or_nothing(survives: bool, version: str) -> None:
    made = card(version)
    made.commit_survives = survives
    terminal = Ev1Terminal(made, 0, MASTER)

    def prepare() -> None:
        terminal.write(BACKUP, b"new", Mode.PLAIN)
        terminal.write(BACKUP_2, b"too", Mode.PLAIN)

    interrupted(made, prepare, lambda: terminal.plain(0xC7))
    expected = (b"new", b"too") if survives else (bytes(3), bytes(3))
    assert (data(made, BACKUP)[:3], data(made, BACKUP_2)[:3]) == expected
    declined(Status.ILLEGAL_COMMAND, Wire(made).send, 0xBD, extent(STD, 4))  # it is back at its own level


@pytest.mark.parametrize("survives", [False, True])
def test_an_interrupted_change_of_a_key_leaves_the_old_or_the_new_one(survives: bool) -> None:
    made = card()
    made.key_survives = survives
    terminal = Ev1Terminal(made, 0, MASTER)
    interrupted(made, lambda: None, lambda: terminal.change_key(0, ONE))
    selected(made)
    Ev1Terminal(made, 0, ONE if survives else MASTER)


@pytest.mark.parametrize("survives", [False, True])
def test_an_interrupted_creation_has_happened_or_not(survives: bool) -> None:
    made = Desfire()
    made.structure_survives = survives
    made.activate()
    interrupted(made, lambda: None, lambda: Wire(made).send(0xCA, bytes.fromhex("2142430f82")))
    assert (AID in made.memory.applications) is survives
    assert (made.memory.free < made.memory.size) is survives


@pytest.mark.parametrize("mode", list(Mode))
def test_an_interrupted_write_tears_a_standard_file_and_no_backup_file(mode: Mode) -> None:
    made = card(mode=mode)
    terminal = Ev1Terminal(made, 0, MASTER)
    interrupted(made, lambda: None, lambda: terminal.write(STD, b"\x11" * 10, mode))
    assert data(made, STD) == b"\x11" * 5 + bytes(35)
    selected(made)
    before = made.snapshot()
    terminal = Ev1Terminal(made, 0, MASTER)
    interrupted(made, lambda: None, lambda: terminal.write(BACKUP, b"\x11" * 10, mode))
    assert made.snapshot() == before


def test_a_long_write_in_plain_that_is_not_finished_stays_as_far_as_it_came() -> None:
    made = card(access=0xEEEE, size=100)
    wire = Wire(made)
    assert wire.frame(0x3D, extent(STD, 100) + b"\x11" * 40)[0] == Status.MORE
    made.activate()
    assert data(made, STD) == b"\x11" * 40 + bytes(60)


def test_an_interrupted_frame_that_changes_nothing_changes_nothing() -> None:
    made = card()
    before = made.snapshot()
    for frame in ("9060000000", "905a00000321424300", "90aa0000010000", "90c7000000", ""):
        made.interrupt(bytes.fromhex(frame))
        assert made.snapshot() == before


# Memory


def test_memory_is_paid_in_units_twice_for_a_backup_and_given_back_by_formatting_alone() -> None:
    made = Desfire(free_memory=512)
    made.activate()
    wire = Wire(made)

    def free() -> int:
        return int.from_bytes(wire.send(0x6E), "little")

    wire.send(0xCA, bytes.fromhex("2142430f81"))
    after_application = free()
    assert after_application < 512
    wire.select(AID)
    wire.send(0xCD, bytes.fromhex("0100eeee210000"))
    assert after_application - free() == 64
    wire.send(0xCB, bytes.fromhex("0200eeee210000"))
    assert after_application - free() == 192
    declined(Status.OUT_OF_MEMORY, lambda: wire.send(0xCB, bytes.fromhex("0300eeee00ff00")))
    wire.select(AID)
    wire.send(0xDF, b"\1")
    wire.send(0xDF, b"\2")
    assert after_application - free() == 192
    assert wire.send(0x6F) == b""
    made.set_master_key(MASTER)
    wire.select(0)
    terminal = Ev1Terminal(made, 0, MASTER)
    terminal.plain(0xDA, bytes.fromhex("214243"))
    assert int.from_bytes(terminal.plain(0x6E), "little") < 512
    terminal.plain(0xFC)
    assert int.from_bytes(terminal.plain(0x6E), "little") == 512


def test_what_is_there_is_not_created_again() -> None:
    made = card()
    wire = Wire(made)
    declined(Status.DUPLICATE, lambda: wire.send(0xCD, bytes.fromhex("0100eeee210000")))
    wire.select(0)
    declined(Status.DUPLICATE, lambda: wire.send(0xCA, bytes.fromhex("2142430f81")))


def test_a_card_holds_so_many_applications() -> None:
    made = Desfire()
    for aid in range(1, 29):
        made.add_application(aid, ZEROS)
    made.activate()
    declined(Status.COUNT, lambda: Wire(made).send(0xCA, bytes.fromhex("2142430f81")))


def test_a_card_that_may_not_be_formatted_is_not() -> None:
    made = card()
    made.set_master_key(MASTER)
    made.activate()
    Ev1Terminal(made, 0, MASTER).full(0x5C, b"\0", b"\x01")
    declined(Status.PERMISSION_DENIED, lambda: Ev1Terminal(made, 0, MASTER).plain(0xFC))
    made.activate()
    declined(Status.AUTHENTICATION, lambda: Wire(made).send(0xFC))
    assert AID in made.memory.applications
    terminal = Ev1Terminal(made, 0, MASTER)
    terminal.full(0x5C, b"\0", b"\x00")
    declined(Status.PERMISSION_DENIED, terminal.plain, 0xFC)


def test_an_application_needs_memory_too() -> None:
    made = Desfire(free_memory=64)
    made.activate()
    before = made.snapshot()
    declined(Status.OUT_OF_MEMORY, Wire(made).send, 0xCA, bytes.fromhex("2142430f8e"))
    assert made.snapshot() == before


def test_without_the_masters_leave_nothing_is_created_listed_or_deleted() -> None:
    made = card()
    made.memory.card.settings = 0x09
    made.activate()
    wire = Wire(made)
    for command, parameters in ((0xCA, "2243430f81"), (0x6A, ""), (0xDA, "214243"), (0x45, "")):
        declined(Status.AUTHENTICATION, wire.send, command, bytes.fromhex(parameters))


# Failed attempts


def attempt(made: Desfire, key: bytes) -> int:
    selected(made)
    try:
        Ev2Terminal(made, 1, key)
    except Declined as refusal:
        return refusal.status
    return 0


def test_failures_in_a_row_bring_a_delay_that_a_loss_of_power_does_not_end() -> None:
    made = card("ev2")
    made.state.patience, made.state.delay = 3, 2
    assert [attempt(made, ZEROS) for _ in range(3)] == [Status.AUTHENTICATION] * 3
    assert [attempt(made, ONE) for _ in range(3)] == [Status.DELAYED, Status.DELAYED, Status.OK]
    assert attempt(made, ZEROS) == Status.AUTHENTICATION
    assert attempt(made, ONE) == Status.OK


def test_the_delay_is_of_one_key() -> None:
    made = card("ev3")
    made.state.patience = 1
    attempt(made, ZEROS)
    assert attempt(made, ONE) == Status.DELAYED
    Ev2Terminal(made, 2, TWO)


def test_too_many_failures_close_a_key_for_ever() -> None:
    made = card("ev2")
    made.memory.failure_limit, made.state.patience = 12, 100
    for _ in range(11):
        assert attempt(made, ZEROS) == Status.AUTHENTICATION
    assert attempt(made, ONE) == Status.OK  # takes ten off
    for _ in range(11):
        assert attempt(made, ZEROS) == Status.AUTHENTICATION
    assert attempt(made, ONE) == Status.PERMISSION_DENIED


def test_the_first_generation_counts_no_failures() -> None:
    made = card("ev1")
    made.state.patience = 1
    before = made.snapshot()
    for _ in range(5):
        declined(Status.AUTHENTICATION, Ev1Terminal, made, 1, ZEROS)
    assert made.snapshot() == before
    Ev1Terminal(made, 1, ONE)


# Anything else


@pytest.mark.parametrize("version", ["ev1", "ev2"])
@pytest.mark.parametrize("authenticated", [False, True])
def test_whatever_is_sent_is_answered(version: str, authenticated: bool) -> None:
    draw = random.Random(version)
    for _ in range(60):
        made = card(version, mode=draw.choice(list(Mode)), access=draw.choice([0x0000, 0xEEEE]))
        if authenticated:
            (Ev2Terminal if version == "ev2" and draw.random() < 0.5 else Ev1Terminal)(made, 0, MASTER)
        for _ in range(30):
            command = draw.choice([*made._commands, 0xAF, 0xAF, draw.randrange(256)])
            body = draw.randbytes(draw.choice([0, 1, 2, 3, 5, 7, 8, 15, 16, 23, 24, 32, 33, 39, 60, 200]))
            if body and draw.random() < 0.7:
                body = bytes((draw.choice([0, 1, 2]),)) + body[1:]
            frame = bytes((0x90, command, 0, 0)) + (bytes((len(body),)) + body if body else b"") + b"\0"
            if draw.random() < 0.2:
                frame = draw.randbytes(draw.randrange(10))
            answer = made.exchange(frame)
            assert answer or not frame
        hash(made.snapshot())


def test_a_frame_is_not_longer_than_the_card_can_take() -> None:
    made = card("ev2", access=0xEEEE, size=100)
    wire = Wire(made)
    assert wire.frame(0x3D, extent(STD, 53) + bytes(53))[0] == Status.LENGTH
    wire.select(AID)
    assert wire.frame(0x3D, extent(STD, 52) + bytes(52))[0] == Status.OK
    assert wire.frame(0x8D, extent(STD, 100) + bytes(100))[0] == Status.OK


@pytest.mark.parametrize(
    "frame",
    ["9060000001", "90600100", "9060010000", "905a0000042142430000", "905a00000221424300", "905a00000321424301"],
)
def test_a_frame_of_another_form_is_an_error_of_length(frame: str) -> None:
    made = card()
    assert made.exchange(bytes.fromhex(frame)) == bytes((0x91, Status.LENGTH))
