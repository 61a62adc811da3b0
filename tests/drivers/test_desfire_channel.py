"""DESFire sessions against a recorded card, published figures, a card in software and cards that lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from encoder_bridge_cards.checksums import crc_32
from encoder_bridge_cards.cmac import BlockCipher, aes, chained_cmac, decrypted, encrypted, xor
from encoder_bridge_cards.desfire import ev1, ev2
from encoder_bridge_cards.desfire.channel import (
    Channel,
    Declined,
    Forged,
    KeyType,
    Mode,
    Plain,
    Status,
    select,
)
from encoder_bridge_cards.keys import Key
from encoder_bridge_cards.link import Activation, Family, Link, LinkError, NoAnswer, Refused
from hypothesis import given
from hypothesis import strategies as st
from virtual.desfire import memory as virtual
from virtual.desfire.card import Desfire
from virtual.desfire.ev2 import Ev2

Figures = dict[str, Any]

VECTORS = Path(__file__).parent / "vectors"
LOG: list[Figures] = json.loads((VECTORS / "desfire_ev1.json").read_text())["operations"]
EV2: dict[str, list[Figures]] = json.loads((VECTORS / "desfire_ev2.json").read_text())
MODES = {"mac": Mode.MAC, "full": Mode.FULL}
KINDS = {"DES": KeyType.TDEA_2, "2K3DES": KeyType.TDEA_2, "3K3DES": KeyType.TDEA_3, "AES": KeyType.AES}

ZEROS = bytes(16)
AID = 0xF51230


def name(figures: Figures) -> str:
    return str(figures["name"])


def native(frame: bytes) -> bytes:
    """Take the wrapping off a command."""
    assert (frame[0], frame[2:4], frame[-1]) == (0x90, b"\0\0", 0), frame.hex()
    data = frame[4:-1]
    if data:
        assert data[0] == len(data) - 1, frame.hex()
    return frame[1:2] + data[1:]


class Card:
    """A card that answers each native frame, status first, as it is told to."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.frames: list[bytes] = []

    def activate(self) -> Activation:
        return Activation(family=Family.ISO_DEP, uid=bytes(7))

    def exchange(self, frame: bytes) -> bytes:
        self.frames.append(native(frame))
        answer = self.answer(self.frames[-1])
        return answer[1:] + b"\x91" + answer[:1]


class Log(Card):
    """A card that was recorded: it knows these frames in this order, and falls silent at any other."""

    def __init__(self, exchanges: Iterable[tuple[bytes, bytes]]) -> None:
        self.left = list(exchanges)
        super().__init__(self.next)

    def next(self, frame: bytes) -> bytes:
        expected, answer = self.left.pop(0)
        if frame != expected:
            raise NoAnswer(f"{frame.hex()} instead of {expected.hex()}")
        return answer


class Joined(Card):
    """A card that takes one command in any number of frames, and answers in frames of 59 bytes."""

    def __init__(self, command: bytes, answer: bytes) -> None:
        self.command = command
        self.parts = [answer[at : at + 59] for at in range(0, len(answer), 59)] or [b""]
        self.received = b""
        super().__init__(self.next)

    def next(self, frame: bytes) -> bytes:
        assert len(frame) <= 60
        if self.received != self.command:
            self.received += frame[1:] if self.received else frame
            assert self.command.startswith(self.received), self.received.hex()
            if self.received != self.command:
                return b"\xaf"
        part = self.parts.pop(0)
        return (b"\xaf" if self.parts else b"\0") + part


def says(*answers: str) -> Card:
    left = [bytes.fromhex(answer) for answer in answers]
    return Card(lambda frame: left.pop(0))


def recorded() -> list[tuple[bytes, bytes]]:
    return [
        (bytes.fromhex(tx), bytes.fromhex(rx))
        for operation in LOG
        for tx, rx in zip(operation["tx"], operation["rx"], strict=True)
    ]


class Reader:
    """Does what the recorded reader did, with the random numbers it drew."""

    def __init__(self, card: Log) -> None:
        self.card = card
        self.plain = Plain(card)
        self.channel: Channel = self.plain

    def do(self, operation: Figures) -> None:
        first = bytes.fromhex(operation["tx"][0])
        match operation["op"]:
            case "SelectApplication":
                self.channel = self.plain = select(self.card, int.from_bytes(first[1:], "little"))
            case "Authenticate":
                self.channel = ev1.authenticate(
                    self.plain,
                    first[1],
                    bytes.fromhex(operation["key"]),
                    kind=KINDS[operation["kind"]],
                    random=lambda length: bytes.fromhex(operation["rnd_a"]),
                )
            case "ChangeKey":
                new = Key(value=bytes.fromhex(operation["new"]), version=operation.get("version", 0))
                old = Key(value=bytes.fromhex(operation["old"])) if "old" in operation else None
                self.channel.change_key(first[1], new, old)
            case "ChangeKeySettings":
                assert self.channel.command(first[0], data=b"\x0d", mode=Mode.FULL) == b""
            case _:
                for code, parameters, carried in self.commands(operation):
                    is_open = not isinstance(self.channel, Plain)
                    assert self.channel.command(code, parameters) == (carried[:-8] if is_open else carried)

    def do_all(self) -> None:
        for operation in LOG:
            self.do(operation)

    def commands(self, operation: Figures) -> list[tuple[int, bytes, bytes]]:
        """Code and parameters of each command, and what its frames carried back."""
        found: list[tuple[int, bytes, bytes]] = []
        for sent, answer in zip(operation["tx"], operation["rx"], strict=True):
            frame, data = bytes.fromhex(sent), bytes.fromhex(answer)[1:]
            if frame[0] == Status.MORE:
                code, parameters, before = found.pop()
                found.append((code, parameters, before + data))
            else:
                found.append((frame[0], frame[1:], data))
        return found


def test_a_recorded_card_is_spoken_to_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    macs: list[str] = []

    def noted(cipher: BlockCipher, message: bytes, iv: bytes) -> bytes:
        mac = chained_cmac(cipher, message, iv)
        macs.append(mac.hex())
        return mac

    monkeypatch.setattr(ev1, "chained_cmac", noted)
    card = Log(recorded())
    reader = Reader(card)
    checked = 0
    for operation in LOG:
        macs.clear()
        reader.do(operation)
        received = operation.get("rx_cmac", [])
        sent = operation.get("tx_cmac") or [None] * len(received)  # ChangeKey sends none
        published = [mac for pair in zip(sent, received, strict=True) for mac in pair if mac is not None]
        assert macs == published, operation["op"]
        checked += len(published)
    assert not card.left
    done = [operation["op"] for operation in LOG]
    assert (done.count("Authenticate"), done.count("ChangeKey"), checked) == (18, 15, 55)
    assert (len(done), len(card.frames)) == (63, 85)


def test_what_a_recorded_card_reads_back_is_what_was_written() -> None:
    reader = Reader(Log(recorded()))
    at = next(index for index, operation in enumerate(LOG) if operation["op"] == "ReadFileData")
    for operation in LOG[:at]:
        reader.do(operation)
    read = reader.channel.command(0xBD, bytes.fromhex("05000000300000"), answer=Mode.PLAIN, length=48)
    read += reader.channel.command(0xBD, bytes.fromhex("05300000200000"), answer=Mode.MAC, length=32)
    assert read == bytes(range(80))


PROTECTED = [
    (index, at)
    for index, (_, answer) in enumerate(recorded())
    if len(answer) >= 9 and answer[0] == Status.OK and recorded()[index][0][0] != Status.MORE
    for at in sorted({1, len(answer) - 8, len(answer) - 1})
]


@pytest.mark.parametrize(("index", "at"), PROTECTED)
def test_a_flipped_bit_in_a_recorded_answer_is_noticed(index: int, at: int) -> None:
    exchanges = recorded()
    sent, answer = exchanges[index]
    exchanges[index] = (sent, answer[:at] + bytes((answer[at] ^ 0x10,)) + answer[at + 1 :])
    reader = Reader(Log(exchanges))
    with pytest.raises(Forged):
        reader.do_all()
    assert len(reader.card.frames) == index + 1


HANDSHAKES = EV2["handshakes"]


@pytest.mark.parametrize("figures", HANDSHAKES, ids=name)
def test_an_ev2_handshake_is_the_published_one(figures: Figures) -> None:
    key = bytes.fromhex(figures["key"])
    proof = figures.get("rapdu2_body") or (  # one of them is published without it
        encrypted(aes(key), bytes.fromhex(figures["ti"] + figures["rnda_rot"]) + bytes(12)).hex()
    )
    token = figures.get("token") or figures["capdu2"][10:-2]
    reader = says("af" + figures["enc_rndb"], "00" + proof, "ae")
    channel = ev2.authenticate(
        Plain(reader), figures["key_no"], key, random=lambda length: bytes.fromhex(figures["rnda"])
    )
    published = says("ae")
    for each in (channel, session(published, {**figures, "cmd_ctr": 0})):
        with pytest.raises(Declined):
            each.command(0x3D, b"\x01", bytes(5), mode=Mode.FULL)
    opening = [bytes((0x71, figures["key_no"], 0)), bytes.fromhex("af" + token)]
    assert reader.frames == opening + published.frames


@pytest.mark.parametrize("figures", EV2["session_keys"], ids=name)
def test_ev2_session_keys_are_the_published_ones(figures: Figures) -> None:
    keys = ev2.session_keys(*(bytes.fromhex(figures[part]) for part in ("key", "rnda", "rndb")))
    assert [key.hex() for key in keys] == [figures["ses_auth_enc"], figures["ses_auth_mac"]]


def session(card: Card, figures: Figures) -> ev2.Session:
    return ev2.Session(
        Plain(card),
        bytes.fromhex(figures["ses_auth_enc"]),
        bytes.fromhex(figures.get("ses_auth_mac", "00" * 16)),
        bytes.fromhex(figures["ti"]),
        figures["cmd_ctr"],
    )


@pytest.mark.parametrize("figures", EV2["vectors"], ids=name)
def test_an_ev2_initial_vector_is_the_published_one(figures: Figures) -> None:
    card = says("ae")
    with pytest.raises(Declined):
        session(card, figures).command(0x3D, data=bytes(15), mode=Mode.FULL)
    block = decrypted(aes(bytes.fromhex(figures["ses_auth_enc"])), card.frames[0][1:17])
    assert xor(block, bytes(15) + b"\x80").hex() == figures["iv"]


@pytest.mark.parametrize("figures", EV2["commands"], ids=name)
def test_an_ev2_command_is_the_published_one(figures: Figures) -> None:
    answer = bytes.fromhex(figures["response_body"])
    plain = bytes.fromhex(figures.get("response_plain") or figures["response_body"])
    card = Joined(native(bytes.fromhex(figures["capdu"])), answer + bytes.fromhex(figures["response_mac"]))
    data = session(card, figures).command(
        int(figures["cmd"], 16),
        bytes.fromhex(figures["header"]),
        bytes.fromhex(figures["data"]),
        mode=MODES[figures["mode"]],
        answer=MODES[figures["answer"]],
        length=len(plain),
    )
    assert data == plain
    assert not card.parts


@pytest.mark.parametrize("figures", EV2["key_changes"], ids=name)
def test_an_ev2_change_of_a_key_is_the_published_one(figures: Figures) -> None:
    data = bytes.fromhex(figures["data"])
    is_other = len(data) == 21
    card = Joined(native(bytes.fromhex(figures["capdu"])), bytes.fromhex(figures.get("response_mac", "")))
    new = Key(value=data[:16], version=data[16])  # where it is another one, the old key is zero
    session(card, figures).change_key(int(figures["header"], 16), new, Key(value=ZEROS) if is_other else None)
    assert not card.parts


# A card in software, written from the same documents by other hands.


def blank(version: str) -> Desfire:
    """A card with one application of two AES keys, and files 0, 1 and 3 of the mode of that number."""
    card = Desfire(version=version)
    master = ev1.authenticate(select(card, 0), 0, ZEROS, kind=KeyType.TDEA_2)
    master.command(0xCA, AID.to_bytes(3, "little") + bytes((0x0F, 0x82)))
    channel = opened(card, 0, ZEROS)
    for mode in Mode:
        channel.command(0xCB, bytes((mode, mode)) + bytes.fromhex("0000") + (256).to_bytes(3, "little"))
    return card


def opened(card: Link, number: int, key: bytes, *, generation: str = "ev1") -> Channel:
    plain = select(card, AID)
    return ev2.authenticate(plain, number, key) if generation == "ev2" else ev1.authenticate(plain, number, key)


SESSIONS = [("ev1", "ev1"), ("ev2", "ev1"), ("ev2", "ev2"), ("ev3", "ev2")]


@pytest.mark.parametrize(("version", "generation"), SESSIONS)
@pytest.mark.parametrize("mode", Mode)
def test_files_of_every_mode_are_written_and_read_at_every_length(version: str, generation: str, mode: Mode) -> None:
    card = blank(version)
    channel = opened(card, 0, ZEROS, generation=generation)
    for length in (1, 3, 4, 11, 12, 15, 16, 17, 39, 40, 44, 51, 52, 53, 64, 111, 112, 200, 256):
        data = bytes((length + at) & 0xFF for at in range(length))
        header = bytes((mode,)) + bytes(3) + length.to_bytes(3, "little")
        assert channel.command(0x3D, header, data, mode=mode, answer=mode, length=0) == b""
        channel.command(0xC7)
        assert channel.command(0xBD, header, mode=mode, answer=mode, length=length) == data


@pytest.mark.parametrize(("version", "generation"), SESSIONS)
def test_a_file_is_read_to_its_end_without_knowing_where_that_is(version: str, generation: str) -> None:
    card = blank(version)
    channel = opened(card, 0, ZEROS, generation=generation)
    whole = bytes((Mode.FULL, 0, 0, 0, 0, 0, 0))
    assert channel.command(0xBD, whole, mode=Mode.FULL, answer=Mode.FULL) == bytes(256)
    with pytest.raises(Forged):
        channel.command(0xBD, whole, mode=Mode.FULL, answer=Mode.FULL, length=255)


class Tampered(Card):
    """A card whose answers of more than nine bytes arrive with one byte changed, counted from either end."""

    def __init__(self, card: Desfire) -> None:
        super().__init__(lambda frame: b"")
        self.card = card
        self.at: int | None = None

    def exchange(self, frame: bytes) -> bytes:
        answer = self.card.exchange(frame)
        if self.at is None or len(answer) < 10:
            return answer
        at = self.at % (len(answer) - 2)
        return answer[:at] + bytes((answer[at] ^ 1,)) + answer[at + 1 :]


CHECKED = [
    (version, generation, mode)
    for version, generation in SESSIONS
    for mode in Mode
    if generation == "ev1" or mode is not Mode.PLAIN  # there, plain means that nothing is protected
]


@pytest.mark.parametrize(("version", "generation", "mode"), CHECKED)
@pytest.mark.parametrize("at", [0, 15, 16, 19, 20, -9, -8, -1])
def test_a_flipped_bit_in_what_is_read_is_noticed(version: str, generation: str, mode: Mode, at: int) -> None:
    card = Tampered(blank(version))
    channel = opened(card, 0, ZEROS, generation=generation)
    card.at = at
    with pytest.raises(Forged):
        channel.command(0xBD, bytes((mode, 0, 0, 0, 20, 0, 0)), mode=mode, answer=mode, length=20)


@pytest.mark.parametrize(("version", "generation"), SESSIONS)
def test_a_session_tells_the_card_number(version: str, generation: str) -> None:
    card = blank(version)
    channel = opened(card, 0, ZEROS, generation=generation)
    assert channel.command(0x51, answer=Mode.FULL, length=7) == card.state.uid


@pytest.mark.parametrize(("version", "generation"), SESSIONS)
def test_another_key_and_then_its_own_are_changed(version: str, generation: str) -> None:
    card = blank(version)
    channel = opened(card, 0, ZEROS, generation=generation)
    one, zero = Key(value=bytes(range(16)), version=7), Key(value=bytes(range(16, 32)), version=9)
    channel.change_key(1, one, Key(value=ZEROS))
    channel.change_key(0, zero, None)
    for number, key in enumerate((zero, one)):
        with pytest.raises(Declined) as declined:
            opened(card, number, ZEROS, generation=generation)
        assert declined.value.status is Status.AUTHENTICATION
        channel = opened(card, number, key.value, generation=generation)
        assert channel.command(0x64, bytes((number,)), length=1) == bytes((key.version,))


@pytest.mark.parametrize("version", ["ev1", "ev2", "ev3"])
def test_a_blank_card_is_given_an_aes_master_key(version: str) -> None:
    card = Desfire(version=version)
    new = Key(value=bytes(range(16)), version=3)
    master = ev1.authenticate(select(card, 0), 0, ZEROS, kind=KeyType.TDEA_2)
    master.change_key(0 | KeyType.AES, new, None)
    master = ev1.authenticate(select(card, 0), 0, new.value)
    # a version left out would be taken from the checksum behind it, which then still checks
    assert master.command(0x64, b"\0") == b"\x03"
    newer = Key(value=bytes(range(1, 17)), version=4)
    master.change_key(0 | KeyType.AES, newer, None)
    assert ev1.authenticate(select(card, 0), 0, newer.value).command(0x64, b"\0") == b"\x04"


def test_without_a_session_a_card_tells_what_it_is() -> None:
    plain = select(Desfire(version="ev2"), 0)
    assert len(plain.command(0x60, length=28)) == 28
    assert plain.command(0x64, b"\0") == b"\0"


# Cards that decline, break off or lie.


def test_a_status_is_named_and_an_unknown_one_is_not() -> None:
    with pytest.raises(Declined, match="A0 NO_SUCH_APPLICATION") as declined:
        select(says("a0"), 1)
    assert declined.value.status is Status.NO_SUCH_APPLICATION
    with pytest.raises(Declined, match=r"status 42$") as declined:
        select(says("42"), 1)
    assert declined.value.status == 0x42


def test_a_status_word_of_another_world_is_a_refusal() -> None:
    class Stranger(Card):
        def exchange(self, frame: bytes) -> bytes:
            return bytes.fromhex("6d00")

    with pytest.raises(Refused) as refused:
        select(Stranger(lambda frame: b""), 0)
    assert refused.value.raw == "6d00"


def test_a_broken_link_is_told_as_it_is() -> None:
    error = NoAnswer("6f00")

    def silence(frame: bytes) -> bytes:
        raise error

    card = Card(silence)
    for act in (
        lambda: select(card, 0),
        lambda: ev1.authenticate(Plain(card), 0, ZEROS),
        lambda: ev2.authenticate(Plain(card), 0, ZEROS),
        lambda: ev2.Session(Plain(card), ZEROS, ZEROS, bytes(4)).change_key(0, Key(value=ZEROS), None),
    ):
        with pytest.raises(LinkError) as raised:
            act()
        assert raised.value is error


def test_an_answer_without_end_is_given_up() -> None:
    card = Card(lambda frame: b"\xaf\x01")
    with pytest.raises(Forged):
        Plain(card).command(0x6A)
    assert len(card.frames) < 5000


@pytest.mark.parametrize("answer", ["00", "af01"])
def test_a_card_that_answers_before_it_was_told_everything_is_not_believed(answer: str) -> None:
    card = says(answer)
    with pytest.raises(Forged):
        Plain(card).command(0x3D, data=bytes(60))
    assert len(card.frames) == 1


@pytest.mark.parametrize("size", [0, 58, 59, 60, 118, 119, 177, 178])
def test_a_long_command_goes_out_in_frames_of_sixty_bytes(size: int) -> None:
    data = bytes(at & 0xFF for at in range(size))
    card = Joined(b"\x3d" + data, b"")
    assert Plain(card).command(0x3D, data=data) == b""
    assert max(len(frame) for frame in card.frames) <= 60
    assert len(card.frames) == max(1, -(-size // 59))


@pytest.mark.parametrize("module", [ev1, ev2])
@pytest.mark.parametrize(
    "answers",
    [
        ("00" + "00" * 16,),
        ("af" + "00" * 15,),
        ("af" + "00" * 17, "00"),
        ("af" + "00" * 16, "00" + "00" * 16),
        ("af" + "00" * 16, "00" + "00" * 32),
        ("af" + "00" * 16, "af" + "00" * 16),
        ("af" + "00" * 16, "00"),
    ],
)
def test_a_card_that_does_not_know_the_key_is_not_believed(module: Any, answers: tuple[str, ...]) -> None:
    with pytest.raises(Forged):
        module.authenticate(Plain(says(*answers)), 0, ZEROS)


@pytest.mark.parametrize("status", [Status.AUTHENTICATION, Status.AUTHENTICATION_DELAY, Status.NO_SUCH_KEY])
@pytest.mark.parametrize("module", [ev1, ev2])
def test_a_failed_authentication_says_why(module: Any, status: Status) -> None:
    for answers in ((f"{status:02x}",), ("af" + "00" * 16, f"{status:02x}")):
        with pytest.raises(Declined) as declined:
            module.authenticate(Plain(says(*answers)), 0, ZEROS)
        assert declined.value.status is status


def test_without_a_session_nothing_can_be_protected() -> None:
    card = says()
    plain = Plain(card)
    for mode, answer in ((Mode.MAC, Mode.MAC), (Mode.FULL, Mode.MAC), (Mode.PLAIN, Mode.FULL)):
        with pytest.raises(ValueError, match="session"):
            plain.command(0x3D, data=b"secret", mode=mode, answer=answer)
    with pytest.raises(Declined):
        plain.change_key(0, Key(value=ZEROS), None)
    assert card.frames == []


def test_an_answer_has_the_length_that_was_asked_for() -> None:
    for channel in (Plain(says("0001020304")), ev2.Session(Plain(says("0001020304")), ZEROS, ZEROS, bytes(4))):
        with pytest.raises(Forged):
            channel.command(0xBD, answer=Mode.PLAIN, length=3)


@pytest.mark.parametrize(
    ("tail", "is_right"), [("", True), ("80", True), ("8001", False), ("01", False), ("0080", False)]
)
@pytest.mark.parametrize("length", [3, None])
def test_what_follows_encrypted_data_under_ev1_is_padding(tail: str, is_right: bool, length: int | None) -> None:
    iv = chained_cmac(aes(ZEROS), b"\xbd", ZEROS)
    plain = (b"abc" + crc_32(b"abc\0") + bytes.fromhex(tail)).ljust(16, b"\0")
    session = ev1.Session(Plain(says("00" + encrypted(aes(ZEROS), plain, iv).hex())), KeyType.AES, aes(ZEROS))
    if is_right:
        assert session.command(0xBD, answer=Mode.FULL, length=length) == b"abc"
    else:
        with pytest.raises(Forged):
            session.command(0xBD, answer=Mode.FULL, length=length)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_cryptogram_that_is_no_whole_blocks_is_not_believed(size: int) -> None:
    sealed = Ev2(0, (ZEROS, ZEROS), bytes(4)).sealed(bytes(size), virtual.Mode.MAC)
    for channel in (
        ev1.Session(Plain(says("00" + bytes(size).hex())), KeyType.AES, aes(ZEROS)),
        ev2.Session(Plain(says("00" + sealed.hex())), ZEROS, ZEROS, bytes(4)),
    ):
        with pytest.raises(Forged):
            channel.command(0xBD, answer=Mode.FULL)


@pytest.mark.parametrize("plain", ["00" * 16, "11" * 16, "80" + "00" * 15, "61" * 15 + "80", "80" + "00" * 31])
def test_padding_under_ev2_is_80_and_less_than_a_block_of_zeros(plain: str) -> None:
    iv = encrypted(aes(ZEROS), bytes.fromhex("5aa5000000000100") + bytes(8))
    secret = encrypted(aes(ZEROS), bytes.fromhex(plain), iv)
    sealed = Ev2(0, (ZEROS, ZEROS), bytes(4)).sealed(secret, virtual.Mode.MAC)
    session = ev2.Session(Plain(says("00" + sealed.hex())), ZEROS, ZEROS, bytes(4))
    expected = {"80" + "00" * 15: b"", "61" * 15 + "80": b"a" * 15}.get(plain)
    if expected is not None:
        assert session.command(0xBD, answer=Mode.FULL) == expected
    else:
        with pytest.raises(Forged):
            session.command(0xBD, answer=Mode.FULL)


def test_an_answer_to_a_change_of_the_own_key_that_says_more_is_not_believed() -> None:
    for channel in (
        ev1.Session(Plain(says("0000")), KeyType.AES, aes(ZEROS)),
        ev2.Session(Plain(says("0000")), ZEROS, ZEROS, bytes(4)),
    ):
        with pytest.raises(Forged):
            channel.change_key(0, Key(value=ZEROS), None)


def test_what_is_raised_quotes_nothing_of_the_card() -> None:
    secret = "5ec2e75ec2e75ec2"
    for error in (Declined(0xAE), Declined(0x42), Forged("MAC")):
        assert len(str(error)) < 60
    with pytest.raises(Forged) as forged:
        ev1.Session(Plain(says("00" + secret * 3)), KeyType.AES, aes(ZEROS)).command(0xBD)
    assert secret not in repr(forged.value)


class Liar(Card):
    """Answers with whatever it was given, unwrapped, and then breaks off."""

    def __init__(self, answers: list[bytes]) -> None:
        super().__init__(lambda frame: b"")
        self.answers = answers

    def exchange(self, frame: bytes) -> bytes:
        if not self.answers:
            raise NoAnswer
        return self.answers.pop(0)


statuses = st.sampled_from([b"\x91\x00", b"\x91\xaf", b"\x91\xae", b"\x90\x00", b"\x63", b""])
answers = st.lists(st.builds(bytes.__add__, st.binary(max_size=64), statuses), max_size=6)


@given(
    answers=answers, mode=st.sampled_from(Mode), length=st.none() | st.integers(0, 64), kind=st.sampled_from(KeyType)
)
def test_whatever_a_card_answers_only_named_errors_come_out(
    answers: list[bytes], mode: Mode, length: int | None, kind: KeyType
) -> None:
    key, new, old = bytes(24 if kind is KeyType.TDEA_3 else 16), Key(value=bytes(16)), Key(value=bytes(16))

    def under_ev1(card: Card) -> Channel:
        return ev1.Session(Plain(card), KeyType.AES, aes(ZEROS))

    def under_ev2(card: Card) -> Channel:
        return ev2.Session(Plain(card), ZEROS, ZEROS, bytes(4))

    acts: list[Callable[[Card], object]] = [
        lambda card: select(card, 5),
        lambda card: Plain(card).command(0x60, length=length),
        lambda card: ev1.authenticate(Plain(card), 0, key, kind=kind),
        lambda card: ev2.authenticate(Plain(card), 0, ZEROS),
        lambda card: under_ev1(card).command(0xBD, mode=mode, answer=mode, length=length),
        lambda card: under_ev2(card).command(0xBD, mode=mode, answer=mode, length=length),
        lambda card: under_ev1(card).change_key(1, new, old),
        lambda card: under_ev2(card).change_key(1, new, old),
    ]
    for act in acts:
        try:
            act(Liar(list(answers)))
        except (Declined, Forged, LinkError):
            continue
