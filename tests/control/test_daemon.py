"""The command line and the real daemon, in processes of their own, with simulated encoders."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from control.rig import Watcher
from encoder_bridge.errors import StoreError

CONFIGURATION = """
site = "harbour-hotel"
desk = "front-desk"
time_zone = "Europe/Berlin"
store = "jobs.sqlite"
clock = "trusted"
[jobs]
default_profile = "guest"
[encoders.desk-1]
driver = "simulated"
stock = "cards"
cards = 1
place_s = {place_s}
lift_s = 0.02
latency_s = 0.001
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return configured(tmp_path)


def configured(folder: Path, *, place_s: float = 0.02) -> Path:
    file = folder / "encoder-bridge.toml"
    file.write_text(CONFIGURATION.format(place_s=place_s).replace('"cards"', f'"{folder}/cards"'))
    return file


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ENCODER_BRIDGE_")}


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "encoder_bridge", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def run(*arguments: str | Path) -> tuple[int, str, str]:
    with start(*arguments) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def told(*arguments: str | Path) -> Any:
    code, out, err = run(*arguments, "--json")
    assert code == 0, (out, err)
    return json.loads(out)


@contextmanager
def daemon(file: Path) -> Iterator[subprocess.Popen[str]]:
    with start("run", "--config", file) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if "ready" in line:
                    break
            else:
                raise AssertionError("the daemon did not start")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


def issued(out: str) -> bool:
    return out.splitlines()[-1].startswith("am_1 is issued, card ")


def test_encode_makes_a_card_at_the_daemon(file: Path) -> None:
    with daemon(file):
        code, out, err = run("encode", "--config", file, "--access-method", "am_1", "--field", "room=101")
        assert (code, err) == (0, "")
        assert out.splitlines()[0] == "am_1 is on disk."
        assert issued(out)
        (job,) = told("jobs", "show", "am_1", "--config", file)
        assert (job["state"], job["evidence"], job["encoder"]) == ("issued", "read_back", "desk-1")
        assert job["requester"].startswith("local:")
        assert job["attempts"]
        (encoder,) = told("encoders", "--config", file)
        assert {"encode", "read", "erase"} <= set(encoder["can"])
        assert encoder["driver"] == "simulated"
    assert not (file.parent / "control.sock").exists()


def test_encode_makes_a_card_without_a_daemon_and_the_daemon_knows_of_it(file: Path) -> None:
    code, out, err = run("encode", "--config", file, "--access-method", "am_1")
    assert (code, err) == (0, ""), out
    assert issued(out)
    assert not (file.parent / "control.sock").exists()
    beside = told("jobs", "list", "--config", file)
    with daemon(file):
        assert told("jobs", "list", "--config", file) == beside
    assert [job["state"] for job in beside] == ["issued"]


def test_a_card_that_was_made_here_is_known_again_and_erased_only_on_purpose(file: Path) -> None:
    until = ("--until", "2099-01-01T11:00")
    with daemon(file):
        assert run("encode", "--config", file, "--access-method", "am_1", "--field", "room=101", *until)[0] == 0
        made = told("read", "--config", file)
        refused = run("erase", "--config", file)
        erased = told("erase", "--config", file, "--even-if-valid")
        blank = told("read", "--config", file)
    assert made["made_here"]["access_method_id"] == "am_1"
    assert made["made_here"]["is_valid"]
    assert refused[0] == 1
    assert (erased["status"], erased["card"]) == ("erased", made["card"])
    assert "room" not in blank["fields"]


def test_a_card_is_read_without_a_daemon(tmp_path: Path) -> None:
    code, out, err = run("read", "--config", configured(tmp_path, place_s=0.5))
    assert (code, err) == (0, "")
    assert "Lay a card on desk-1.\n" in out
    assert out.endswith("It was not made here.\n")


def test_jobs_are_queued_and_taken_off_without_a_daemon(file: Path) -> None:
    assert told("encode", "--no-wait", "--config", file, "--access-method", "am_1")["status"] == "accepted"
    assert [job["state"] for job in told("jobs", "list", "--config", file)] == ["queued"]
    code, out, err = run("jobs", "cancel", "am_1", "--config", file)
    assert (code, err) == (0, "")
    assert out.startswith("am_1 is cancelled. ")
    code, out, err = run("jobs", "cancel", "am_1", "--config", file)
    assert (code, out) == (1, "")
    assert err
    code, out, err = run("jobs", "retry", "1", "--config", file)
    assert (code, err) == (0, "")
    newest, first = told("jobs", "show", "am_1", "--config", file)
    assert (newest["state"], first["state"]) == ("queued", "cancelled")


def test_encoders_without_a_daemon_say_that_none_runs(file: Path) -> None:
    code, out, err = run("encoders", "--config", file)
    assert (code, err) == (0, "No bridge runs, so no encoder is open: start it with 'encoder-bridge run'.\n")
    assert out.startswith("desk-1  simulated     is offline")


def test_an_interrupted_encode_leaves_no_job_behind(tmp_path: Path) -> None:
    file = configured(tmp_path, place_s=3600)
    for number in (signal.SIGINT, signal.SIGTERM):
        with start("encode", "--config", file, "--access-method", f"am_{number}") as encoding:
            assert encoding.stdout is not None
            assert encoding.stdout.readline() == f"am_{number} is on disk.\n"
            assert encoding.stdout.readline().startswith("Lay a card on desk-1.")
            encoding.send_signal(number)
            out, err = encoding.communicate(timeout=30)
        assert (encoding.returncode, err) == (130, "")
        assert out.startswith(f"am_{number} is cancelled. ")
    assert {job["state"] for job in told("jobs", "list", "--config", file)} == {"cancelled"}


def test_a_read_that_is_interrupted_frees_the_encoder(tmp_path: Path) -> None:
    file = configured(tmp_path, place_s=3600)
    with daemon(file), Watcher(tmp_path / "control.sock") as watcher:
        watcher.until("snapshot")
        with start("read", "--config", file) as reading:
            while watcher.until("encoder")[-1].body["state"] != "reading":
                pass
            reading.send_signal(signal.SIGINT)
            _, err = reading.communicate(timeout=30)
        assert (reading.returncode, err) == (130, "Nothing was read.\n")
        while watcher.until("encoder")[-1].body["state"] != "idle":
            pass


def test_two_never_work_on_one_store(file: Path) -> None:
    with daemon(file):
        (file.parent / "control.sock").unlink()
        code, out, err = run("jobs", "cancel", "am_1", "--config", file)
        assert (code, out) == (69, "")
        assert err == (
            f"A bridge works on {file.parent}/jobs.sqlite, but none answers at {file.parent}/control.sock: "
            "wait until it has started, or name its socket with --socket.\n"
        )


def test_an_operator_and_a_guest_are_kept_by_the_bridge(file: Path) -> None:
    with daemon(file):
        assert run("operator", "Kim", "--config", file)[:2] == (0, "Kim is at the desk.\n")
        field = "guest=Canary Guestmann"
        assert run("encode", "--config", file, "--access-method", "am_1", "--field", field)[0] == 0
        (job,) = told("jobs", "show", "am_1", "--config", file)
        assert "Kim" in {attempt["operator"] for attempt in job["attempts"]}
        assert run("store", "erase-guest", "Canary Guestmann", "--config", file)[0] == 0


def test_what_the_daemon_refuses_is_one_sentence_without_it_too(file: Path) -> None:
    code, out, err = run("encode", "--config", file, "--until", "2020-01-01")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    code, out, err = run("jobs", "show", "am_9", "--config", file)
    assert code == 1


def test_a_command_without_a_daemon_talks_to_no_broker(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        broker.setblocking(False)
        file.write_text(f"{file.read_text()}\n[mqtt]\nport = {broker.getsockname()[1]}\n")
        assert run("encode", "--config", file)[0] == 0
        with pytest.raises(BlockingIOError):
            broker.accept()


DYING = """
import asyncio
from encoder_bridge import app
from encoder_bridge.errors import StoreError

boards = []

class Board(app.Board):
    def __init__(self):
        super().__init__()
        boards.append(self)

async def die(commits, store):
    while not any(encoder.prompt for board in boards for encoder in board.encoders.values()):
        await asyncio.sleep(0.01)
    raise StoreError("The disk is full: make room.")

app.Board, app._feed_watchdog = Board, die
from encoder_bridge.cli import cli
cli()
"""


@pytest.mark.parametrize("command", ["encode", "read"])
def test_a_command_whose_own_bridge_dies_says_what_it_died_of(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING, command, "--config", configured(tmp_path, place_s=3600)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (StoreError.exit_code, "The disk is full: make room.\n")
    assert "Lay a card on desk-1." in done.stdout


def test_a_bridge_says_so_where_the_key_to_what_it_keeps_is_gone(file: Path) -> None:
    assert "key_lost" not in run("encoders", "--config", file)[2]
    key = file.with_name("jobs.key")
    key.unlink()
    assert "key_lost" not in run("encode", "--no-wait", "--config", file, "--field", "room=101")[2]
    key.unlink()
    code, _, err = run("encoders", "--config", file)
    assert code == 0
    assert "key_lost" in err
    assert f"The key {key} is gone: put it back, or what is waiting has to be sent again." in err
    assert key.exists()
