"""What we write onto DESFire cards others read, and what others write we read: Debian's libfreefare as a lock."""

from __future__ import annotations

from typing import Any

import pytest
from desfire_desk import IMAGE, NEW, OLD, OURS, begin, held, layout, personalise, rolled_keys
from virtual import freefare
from virtual.desfire import Desfire
from virtual.freefare import Step
from virtual.pn532 import Pn532

MODES = ["plain", "mac", "full"]
RIGHTS = 0x1200
ZEROS = bytes(16)
DENIED = {"error": 0xAE}


@pytest.fixture(autouse=True)
def libfreefare() -> None:
    if (why := freefare.missing()) is not None:
        pytest.skip(why)


def lock(card: Desfire, *steps: Step) -> list[Any]:
    with Pn532(card) as reader:
        return freefare.run(reader.path, [["select", "f51234"], *steps])[1:]


@pytest.mark.parametrize("comm", MODES)
@pytest.mark.parametrize("generation", ["ev1", "ev2", "ev3"])
def test_a_lock_reads_our_file_with_its_key_and_no_other(generation: str, comm: str) -> None:
    card, made = Desfire(version=generation), layout(comm=comm)
    contents = made.places(IMAGE, ndef=False)
    personalise(made, card, contents)
    mode = {"plain": 0, "mac": 1, "full": 3}[comm]
    assert lock(
        card,
        ["key_settings"],
        ["file_ids"],
        ["file_settings", 1],
        ["key_version", 0],
        ["authenticate", "aes", 1, ZEROS.hex()],
        ["authenticate", "aes", 1, NEW[1].hex()],
        ["read", 1, 0, 64],
        ["authenticate", "aes", 2, NEW[2].hex()],
        ["read", 1, 0, 64, mode],
        ["authenticate", "aes", 0, NEW[0].hex()],
        ["read", 1, 0, 64, mode],
    ) == [
        [0x0B, 3],
        [1],
        [1, mode, RIGHTS, 64],
        2,
        DENIED,
        None,
        contents[1].hex(),
        None,
        DENIED,
        None,
        contents[1].hex(),
    ]


@pytest.mark.parametrize("comm", MODES)
def test_a_card_that_another_program_made_the_same_way_is_ours(comm: str) -> None:
    card, made = Desfire(), layout(comm=comm, keys=rolled_keys())
    mode = {"plain": 0, "mac": 1, "full": 3}[comm]
    with Pn532(card) as reader:
        done = freefare.run(
            reader.path,
            [
                ["create_application", "aes", "f51234", 0x0B, 3],
                ["select", "f51234"],
                ["authenticate", "aes", 0, ZEROS.hex()],
                ["create_file", "backup", 1, mode, RIGHTS, 64],
                ["change_key", 2, "aes", OLD[2].hex(), 1, ZEROS.hex()],
                ["change_key", 1, "aes", NEW[1].hex(), 2, ZEROS.hex()],
                ["change_key", 0, "aes", OLD[0].hex(), 1, ""],
                ["authenticate", "aes", 2, OLD[2].hex()],
                ["write", 1, 0, IMAGE.ljust(64, b"\0").hex()],
                ["commit"],
            ],
        )
    assert not any(isinstance(one, dict) for one in done)
    assert begin(made, card).read() == {1: IMAGE.ljust(64, b"\0")}
    assert len(personalise(made, card, made.places(OURS, ndef=False))) == 4
    assert held(card) == OURS.ljust(64, b"\0")
    assert [key.value for key in card.memory.applications[0xF51234].keys] == [NEW[0], NEW[1], NEW[2]]
