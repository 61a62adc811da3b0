"""The virtual DESFire card against what nobody here wrote: a real card's log, published figures, foreign programs."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from virtual import freefare
from virtual.desfire import Desfire
from virtual.desfire.crypto import BlockCipher, Kind, crc16, crc32
from virtual.desfire.ev2 import Ev2, session_keys
from virtual.desfire.memory import File, Key, Mode
from virtual.pn532 import Pn532

VECTORS = Path(__file__).parent / "vectors"
FIGURES: dict[str, Any] = json.loads((VECTORS / "desfire_figures.json").read_text())
RECORDED: dict[str, Any] = json.loads((VECTORS / "desfire_ev1_card.json").read_text())

APPLICATION = 0x434221
ZEROS = bytes(16)
MASTER = bytes.fromhex("00112233445566778899aabbccddeeff")
OTHER = bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
NDEF_NAME = bytes.fromhex("D2760000850101")


def raw(record: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(record[name])


# A real card's log


def test_it_answers_a_recorded_session_as_the_real_card_did() -> None:
    card = Desfire()
    card.activate()
    frames = 0
    for operation in RECORDED["operations"]:
        if "RndB" in operation["fields"]:
            card.use_randoms(raw(operation["fields"], "RndB"))
        for sent, answered in zip(operation["tx"], operation["rx"], strict=True):
            assert card.exchange(bytes.fromhex(sent)).hex() == answered, operation["op"]
            frames += 1
    assert frames == 85


def test_it_answers_the_same_session_in_wrapped_frames() -> None:
    card = Desfire()
    card.activate()
    for operation in RECORDED["operations"]:
        if "RndB" in operation["fields"]:
            card.use_randoms(raw(operation["fields"], "RndB"))
        for sent, answered in zip(operation["tx"], operation["rx"], strict=True):
            body = sent[2:]
            length = f"{len(body) // 2:02x}" if body else ""
            frame = bytes.fromhex(f"90{sent[:2]}0000{length}{body}00")
            assert card.exchange(frame).hex() == f"{answered[2:]}91{answered[:2]}", operation["op"]


# Published figures


@pytest.mark.parametrize("name", [name for name in FIGURES if "cmac" in name and "desfire" not in name])
def test_its_cmac_gives_the_published_figures(name: str) -> None:
    given, expected = FIGURES[name]["inputs"], FIGURES[name]["expected"]
    kind = Kind.AES if name.startswith("aes") else Kind.TRIPLE if "3tdea" in name else Kind.DES
    assert BlockCipher(kind, raw(given, "key")).cmac(raw(given, "message")) == raw(expected, "cmac")


def test_its_checksums_give_the_published_figures() -> None:
    wide, narrow = FIGURES["desfire-crc32-fd25748e"], FIGURES["desfire-crc16-uid"]
    assert crc32(raw(wide["inputs"], "data")) == raw(wide["expected"], "crc32_le")
    assert crc16(raw(narrow["inputs"], "data")) == raw(narrow["expected"], "crc16_le")


@pytest.mark.parametrize("name", ["an12343-t16-auth-ev2first", "an12343-t40-auth", "an12196-6.6-auth-key0"])
def test_a_card_answers_a_published_handshake(name: str) -> None:
    given, expected = FIGURES[name]["inputs"], FIGURES[name]["expected"]
    card = ev2_card()
    card.use_randoms(raw(expected, "rndb"), raw(expected, "ti"))
    assert card.exchange(raw(given, "capdu1")) == raw(given, "enc_rndb") + b"\x91\xaf"
    answer = card.exchange(raw(expected, "capdu2"))
    assert answer == raw(given, "rapdu2_body") + b"\x91\x00"
    keys = session_keys(raw(given, "key"), raw(given, "rnda"), raw(expected, "rndb"))
    assert keys == (raw(expected, "ses_auth_enc"), raw(expected, "ses_auth_mac"))


def test_a_card_knows_the_published_token_for_another_key() -> None:
    given, expected = FIGURES["an12343-t32-auth-key1"]["inputs"], FIGURES["an12343-t32-auth-key1"]["expected"]
    card = ev2_card()
    key = raw(given, "key")
    card.memory.applications[APPLICATION].keys[1] = Key(kind=Kind.AES, value=key)
    rnd_b = BlockCipher(Kind.AES, key).decrypt(raw(given, "enc_rndb"))
    card.use_randoms(rnd_b, raw(expected, "ti"))
    assert card.exchange(bytes.fromhex("9071000002010000")) == raw(given, "enc_rndb") + b"\x91\xaf"
    assert card.exchange(bytes.fromhex("90af000020") + raw(expected, "token") + b"\0")[-2:] == b"\x91\x00"
    keys = session_keys(key, raw(given, "rnda"), rnd_b)
    assert keys == (raw(expected, "ses_auth_enc"), raw(expected, "ses_auth_mac"))


def test_session_keys_of_keys_that_are_not_zero_agree() -> None:
    given, expected = FIGURES["ev2-session-keys-nonzero"]["inputs"], FIGURES["ev2-session-keys-nonzero"]["expected"]
    keys = session_keys(raw(given, "key"), raw(given, "rnda"), raw(given, "rndb"))
    assert keys == (raw(expected, "ses_auth_enc"), raw(expected, "ses_auth_mac"))


def published_session(name: str) -> Ev2:
    given = FIGURES[name]["inputs"]
    return Ev2(0, (raw(given, "ses_auth_enc"), raw(given, "ses_auth_mac")), raw(given, "ti"), given["cmd_ctr"])


COMMANDS = [name for name in FIGURES if "cmd" in FIGURES[name]["inputs"]]


@pytest.mark.parametrize("name", COMMANDS)
def test_its_messaging_opens_published_commands_and_seals_their_answers(name: str) -> None:
    given, expected = FIGURES[name]["inputs"], FIGURES[name]["expected"]
    session = published_session(name)
    header, data, apdu = raw(given, "header"), raw(given, "data"), raw(expected, "capdu")
    mode = Mode.FULL if given["comm_mode"] == "full" and data else Mode.MAC
    assert session.opened(apdu[1], apdu[5:-1], mode, len(header), len(data)) == header + data
    if "response_mac" not in expected:
        return
    plain = raw(expected, "response_plain") if "response_plain" in expected else raw(given, "response_body")
    sealed = session.sealed(plain, Mode.FULL if "response_plain" in expected else Mode.MAC)
    assert sealed == raw(given, "response_body") + raw(expected, "response_mac")


def test_a_card_acts_on_published_commands() -> None:
    """Each in the session it was published with; the files are made to fit."""
    card = ev2_card()
    files = card.memory.applications[APPLICATION].files
    create(card, 0, Mode.FULL, 0x0000, 48)
    played = []

    def play(name: str) -> None:
        given, expected = FIGURES[name]["inputs"], FIGURES[name]["expected"]
        card.state.session = published_session(name)
        answer = card.exchange(raw(expected, "capdu"))
        mac = raw(expected, "response_mac") if "response_mac" in expected else b""
        body = raw(given, "response_body") if mac else b""
        assert answer == body + mac + b"\x91\x00", name
        played.append(name)

    play("an12343-t25-writedata-full")
    assert files[0].data == b"\x22" * 25 + bytes(23)
    play("an12343-t26-readdata-full")
    files[0].mode = Mode.MAC
    play("an12343-t24-readdata-mac")
    create(card, 2, Mode.FULL, 0x0000, 128)
    play("an12196-5.4-writedata-full")
    create(card, 4, Mode.PLAIN, 0x0000, 32)
    play("an12343-t11-changefilesettings")
    assert files[4].access == 0xEEEE
    keys = card.memory.applications[APPLICATION].keys
    play("an12343-t39-changekey-other")
    assert keys[1].value == bytes.fromhex("01234567890123456789012345678901")
    play("an12196-t26-changekey-key0")
    assert keys[0].value == bytes.fromhex("5004bf991f408672b1ef00f08f9e8647")
    assert keys[0].version == 1
    card.state.uid = raw(FIGURES["an12343-t7-getcarduid"]["expected"], "response_plain")
    play("an12343-t7-getcarduid")
    assert len(played) == 8


def test_a_card_answers_a_published_session_from_its_selection_on() -> None:
    given, expected = FIGURES["an12343-t7-session"]["inputs"], FIGURES["an12343-t7-session"]["expected"]
    card = Desfire(uid=raw(given, "uid"), version="ev2")
    card.add_application(APPLICATION, raw(given, "key")).name = raw(given, "name")
    card.activate()
    card.use_randoms(raw(given, "rndb"), raw(given, "ti"))
    for sent, answered in expected["exchanges"]:
        assert card.exchange(bytes.fromhex(sent)).hex() == answered


# pylibsdm


def ev2_card() -> Desfire:
    """A card with an application of five AES keys, selected."""
    card = Desfire(version="ev2")
    card.activate()
    name = NDEF_NAME.hex()
    length = 7 + len(NDEF_NAME)
    assert card.exchange(bytes.fromhex(f"90ca0000{length:02x}2142430fa5 10e1 {name}00")) == b"\x91\x00"
    assert card.exchange(bytes.fromhex("905a00000321424300")) == b"\x91\x00"
    return card


def create(card: Desfire, number: int, mode: Mode, access: int, size: int) -> None:
    file = File(is_backup=False, mode=mode, access=access, data=bytes(size))
    card.memory.applications[APPLICATION].files[number] = file


class Sender:
    """What pylibsdm takes for a tag."""

    def __init__(self, card: Desfire) -> None:
        self._card = card

    def send_apdu(
        self, cla: int, ins: int, p1: int, p2: int, data: bytes = b"", mrl: int = 0, check_status: bool = True
    ) -> bytes:
        length = bytes((len(data),)) if data else b""
        return self._card.exchange(bytes((cla, ins, p1, p2)) + length + data + b"\0")


def pylibsdm(card: Desfire) -> Any:
    """Its client; what it imports warns of itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("pylibsdm.tag.ntag424dna", reason="pylibsdm is not installed (PyPI)")
    return module.Tag(Sender(card))


def command(code: int) -> SimpleNamespace:
    return SimpleNamespace(value=(0x90, code, 0, 0))


OK = SimpleNamespace(value=b"\x91\x00")


def test_pylibsdm_opens_a_session_and_reads_and_changes_file_settings() -> None:
    card = ev2_card()
    create(card, 2, Mode.MAC, 0xE0E0, 64)
    tag = pylibsdm(card)
    assert tag.authenticate_ev2_first(0)
    settings = tag.get_file_settings(2)
    assert settings.file_size == 64
    assert settings.access_rights.read == 0xE
    assert settings.access_rights.write == 0
    settings.access_rights.write = type(settings.access_rights.write)(3)
    settings.file_option.comm_mode = type(settings.file_option.comm_mode)(0)
    tag.change_file_settings(2, settings)
    assert card.memory.applications[APPLICATION].files[2].access == 0xE3E0
    assert tag.get_file_settings(2).access_rights.write == 3


def test_pylibsdm_changes_its_key_and_the_old_one_is_refused() -> None:
    card = ev2_card()
    tag = pylibsdm(card)
    tag.authenticate_ev2_first(0)
    tag.change_key(0, MASTER, version=5)
    assert card.memory.applications[APPLICATION].keys[0].version == 5
    tag.set_key(0, MASTER)
    assert tag.authenticate_ev2_first(0)
    tag.set_key(0, ZEROS)
    with pytest.raises(Exception, match="0x91ae"):
        tag.authenticate_ev2_first(0)


def test_pylibsdm_writes_and_reads_in_all_three_modes_and_commits() -> None:
    """With its messaging and our choice of commands, which it lacks."""
    card = ev2_card()
    for number, mode in enumerate((Mode.PLAIN, Mode.MAC, Mode.FULL)):
        create(card, number, mode, 0x0000, 100)
    card.exchange(bytes.fromhex("90cb0000070a03000064000000"))
    tag = pylibsdm(card)
    tag.authenticate_ev2_first(0)
    content = bytes(range(90))
    header = bytes(4) + b"\x5a\0\0"

    def extent(number: int) -> bytes:
        return bytes((number,)) + header[1:]

    tag.send_command_plain(command(0x8D), extent(0), content, expected=OK)
    tag.cmdctr += 1
    assert tag.send_command_plain(command(0xAD), extent(0), expected=OK) == content
    tag.cmdctr += 1
    tag.send_command_mac(0, command(0x8D), extent(1), content, expected=OK)
    assert tag.send_command_mac(0, command(0xAD), extent(1), b"", expected=OK) == content
    for number in (2, 10):
        tag.send_command_full(0, command(0x8D), extent(number), content, expected=OK)
    tag.send_command_mac(0, command(0xC7), b"", b"", expected=OK)
    for number in (2, 10):
        secret = tag.send_command_mac(0, command(0xAD), extent(number), b"", expected=OK)
        plain = BlockCipher(Kind.AES, tag.k_ses_auth_enc).decrypt(secret, tag.ivr)
        assert plain == content + b"\x80" + bytes(5)
    assert tag.send_command_mac(0, command(0x64), b"\0", b"", expected=OK) == b"\0"


# libfreefare


@pytest.fixture
def libfreefare() -> None:
    if reason := freefare.missing():
        pytest.skip(reason)


def results(card: Desfire, *steps: freefare.Step) -> list[Any]:
    with Pn532(card) as reader:
        return freefare.run(reader.path, steps)


def passed(results: Sequence[Any]) -> bool:
    return not any(isinstance(result, dict) for result in results)


@pytest.mark.usefixtures("libfreefare")
def test_libfreefare_personalises_a_card() -> None:
    card = Desfire()
    content = bytes(range(90)).hex()
    done = results(
        card,
        ["authenticate", "legacy", 0, "00" * 8],
        ["card_uid"],
        ["create_application", "aes", "434221", 0x0F, 3],
        ["application_ids"],
        ["select", "434221"],
        ["authenticate", "aes", 0, ZEROS.hex()],
        ["create_file", "std", 1, 1, 0x1010, 40],
        ["create_file", "backup", 2, 3, 0x1010, 100],
        ["file_settings", 2],
        ["change_key", 1, "aes", OTHER.hex(), 7, ZEROS.hex()],
        ["change_key", 0, "aes", MASTER.hex(), 9, ""],
        ["authenticate", "aes", 0, MASTER.hex()],
        ["key_version", 0],
        ["key_version", 1],
        ["authenticate", "aes", 1, OTHER.hex()],
        ["write", 2, 0, content],
        ["read", 2, 0, 90],
        ["commit"],
        ["read", 2, 0, 90],
        ["write", 1, 5, "bb" * 20],
        ["read", 1, 0, 30],
        ["write", 2, 0, "cc" * 5],
        ["abort"],
        ["read", 2, 0, 8],
    )
    assert passed(done)
    assert done[1] == card.state.uid.hex()
    assert done[3] == ["434221"]
    assert done[8] == [1, 3, 0x1010, 100]
    assert done[12:14] == [9, 7]
    assert done[16] == bytes(90).hex()
    assert done[18] == content
    assert done[20] == bytes(5).hex() + "bb" * 20 + bytes(5).hex()
    assert done[23] == content[:16]


@pytest.mark.usefixtures("libfreefare")
def test_libfreefare_is_refused_with_a_wrong_key() -> None:
    card = Desfire()
    done = results(
        card,
        ["authenticate", "legacy", 0, "11" * 8],
        ["create_application", "aes", "434221", 0x0B, 2],
        ["select", "434221"],
        ["authenticate", "aes", 0, MASTER.hex()],
        ["authenticate", "aes", 5, ZEROS.hex()],
        ["create_file", "std", 1, 0, 0x0000, 40],
        ["select", "999999"],
    )
    assert done == [{"error": 0xAE}, None, None, {"error": 0xAE}, {"error": 0x40}, {"error": 0xAE}, {"error": 0xA0}]


@pytest.mark.usefixtures("libfreefare")
def test_libfreefare_uses_the_keys_of_every_generation() -> None:
    card = Desfire()
    triple = "0102030405060708090a0b0c0d0e0f10"
    done = results(
        card,
        ["authenticate", "iso", 0, "00" * 8],
        ["create_application", "des", "112233", 0x0F, 2],
        ["create_application", "3k3des", "112244", 0x0F, 2],
        ["select", "112233"],
        ["authenticate", "legacy", 0, "00" * 8],
        ["change_key", 0, "des", triple, 0, ""],
        ["authenticate", "legacy", 0, triple],
        ["create_file", "std", 1, 3, 0x0000, 40],
        ["create_file", "backup", 2, 1, 0x0000, 40],
        ["write", 1, 0, "0102030405"],
        ["read", 1, 0, 6],
        ["write", 2, 0, "0102030405"],
        ["commit"],
        ["read", 2, 0, 6],
        ["change_key_settings", 0x0D],
        ["card_uid"],
        ["change_file_settings", 1, 1, 0x0000],
        ["file_settings", 1],
        ["select", "112244"],
        ["authenticate", "iso", 0, "00" * 24],
        ["create_file", "std", 1, 3, 0x0000, 40],
        ["write", 1, 0, "0102030405"],
        ["read", 1, 0, 5],
        ["select", "000000"],
        ["authenticate", "legacy", 0, "00" * 8],
        ["change_key", 0, "aes", MASTER.hex(), 3, ""],
        ["authenticate", "aes", 0, MASTER.hex()],
        ["key_version", 0],
    )
    assert passed(done)
    assert (done[10], done[13], done[22]) == ("010203040500", "010203040500", "0102030405")
    assert done[15] == card.state.uid.hex()
    assert done[17] == [0, 1, 0x0000, 40]
    assert done[27] == 3


@pytest.mark.usefixtures("libfreefare")
def test_libfreefare_sees_what_a_deletion_frees_and_what_it_does_not() -> None:
    card = Desfire()
    done = results(
        card,
        ["free_mem"],
        ["authenticate", "legacy", 0, "00" * 8],
        ["create_application", "aes", "434221", 0x0F, 1],
        ["free_mem"],
        ["delete_application", "434221"],
        ["free_mem"],
        ["application_ids"],
        ["set_configuration", 0, 1],
        ["card_uid"],
        ["format"],
        ["select", "000000"],
        ["free_mem"],
        ["version"],
    )
    assert passed(done)
    before, created, deleted, formatted = done[0], done[3], done[5], done[11]
    assert created == deleted < before == formatted
    assert done[6] == []
    assert done[8] == card.state.uid.hex()
    assert bytes.fromhex(done[12])[14:21] == bytes(7)  # the number is no longer told to everybody


@pytest.mark.usefixtures("libfreefare")
def test_libfreefare_reads_a_file_to_its_end() -> None:
    card = Desfire()
    content = bytes(range(200))
    results(
        card,
        ["create_application", "aes", "434221", 0x0F, 2],
        ["select", "434221"],
        ["authenticate", "aes", 0, ZEROS.hex()],
        ["create_file", "backup", 1, 3, 0x1000, 200],
        ["write", 1, 0, content.hex()],
        ["commit"],
    )
    with Pn532(card) as reader:
        assert freefare.read_file(reader.path, 0x434221, 1, ZEROS, key_number=1) == content
        assert freefare.read_file(reader.path, 0x434221, 1, ZEROS, key_number=1, mode=3) == content
        with pytest.raises(RuntimeError, match="could not read"):
            freefare.read_file(reader.path, 0x434221, 1, MASTER)


def debian(device: str, program: str, *arguments: str) -> list[str]:
    """The lines a program of Debian's libfreefare-bin prints."""
    if (path := shutil.which(program)) is None:
        pytest.skip(f"{program} is not installed (Debian package libfreefare-bin)")
    environment = {"LIBNFC_DEVICE": f"pn532_uart:{device}"}
    done = subprocess.run([path, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_debians_info_program_describes_the_card() -> None:
    card = Desfire()
    with Pn532(card) as reader:
        told = debian(reader.path, "mifare-desfire-info")
    assert f"UID: 0x{card.state.uid.hex()}" in told
    assert "Free memory: 7936 bytes" in told


@pytest.mark.parametrize("version", ["ev1", "ev2", "ev3"])
def test_debians_programs_make_an_ndef_card_of_it(version: str, tmp_path: Path) -> None:
    card = Desfire(version=version)
    message, back = tmp_path / "in", tmp_path / "out"
    message.write_bytes(b"\xd1\x01\x0cU\x01example.org")
    with Pn532(card) as reader:
        debian(reader.path, "mifare-desfire-create-ndef", "-y")
        debian(reader.path, "mifare-desfire-write-ndef", "-y", "-i", str(message))
        debian(reader.path, "mifare-desfire-read-ndef", "-y", "-o", str(back))
        assert back.read_bytes() == message.read_bytes()
        debian(reader.path, "mifare-desfire-format", "-y")
    assert not card.memory.applications
