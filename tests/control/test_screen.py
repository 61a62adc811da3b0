"""The live view."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest

from control.rig import SINCE, job, serving
from encoder_bridge.cli.client import Event
from encoder_bridge.cli.screen import Screen, Standing


def encoder(name: str, **more: object) -> Event:
    return Event(kind="encoder", body={"name": name, "state": "idle", "since": SINCE, **more})


def a_job(method: str, state: str = "queued") -> Event:
    return Event(kind="job", body={"access_method_id": method, "state": state, "since": SINCE})


WHOLE = Event(kind="snapshot", body={"is_whole": True})
PART = Event(kind="snapshot", body={"is_whole": False})
LOST = Event(kind="lost")


def standing(*events: Event) -> tuple[list[str], list[str]]:
    found = Standing()
    for event in events:
        found.note(event)
    return sorted(found.encoders), sorted(found.jobs)


def test_what_a_whole_snapshot_leaves_out_is_gone_and_what_a_part_leaves_out_is_not() -> None:
    before = (encoder("desk-1"), encoder("desk-2"), a_job("am_1"), WHOLE, a_job("am_2"))
    assert standing(*before) == (["desk-1", "desk-2"], ["am_1", "am_2"])
    assert standing(*before, LOST, encoder("desk-1"), a_job("am_3"), WHOLE) == (["desk-1"], ["am_3"])
    assert standing(*before, LOST, a_job("am_3"), PART) == (["desk-1", "desk-2"], ["am_1", "am_2", "am_3"])
    assert standing(*before, a_job("am_1", "issued")) == (["desk-1", "desk-2"], ["am_2"])


def test_the_picture_is_drawn_over_itself_and_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((60, 6)))
    screen = Screen(UTC)
    screen.note(encoder("desk-1", state="writing", done=5, total=10, access_method_id="am_1\x1b[2J"))
    assert capsys.readouterr().out == ""
    screen.note(a_job("am_1"))
    screen.note(WHOLE)
    assert capsys.readouterr().out.splitlines() == [
        "\x1b[Jdesk-1        writes  am_1?[2J  [##########..........] 5/10"[: 59 + len("\x1b[J")],
        "1 open job",
        "  2025-07-12 12:00:00  am_1  waits for an encoder",
    ]
    for number in range(2, 9):
        screen.note(a_job(f"am_{number}"))
    last = capsys.readouterr().out.rpartition("\x1b[5F\x1b[J")[2].splitlines()
    assert len(last) == 5
    assert last[-1] == "... and 6 more"
    screen.note(LOST)
    assert "The bridge is gone: waiting for it to come back.\n" in capsys.readouterr().out


def lines(terminal: int) -> Iterator[str]:
    text = ""
    while True:
        text += os.read(terminal, 4096).decode()
        *whole, text = text.split("\n")
        yield from (line.rstrip("\r") for line in whole)


def test_watch_draws_on_a_terminal(tmp_path: Path) -> None:
    terminal, its_end = pty.openpty()
    try:
        with serving(tmp_path, job(1)) as running:
            command = [sys.executable, "-m", "encoder_bridge", "watch", "--socket", str(running.path)]
            with subprocess.Popen(command, stdout=its_end, stderr=subprocess.PIPE) as watching:
                said = lines(terminal)
                while not next(said).endswith("am_1  waits for an encoder"):
                    pass
                running.show("desk-1", state="writing", done=1, total=4, access_method_id="am_1")
                while "[#####...............] 1/4" not in next(said):
                    pass
                watching.send_signal(signal.SIGINT)
                _, err = watching.communicate(timeout=20)
        assert (watching.returncode, err) == (0, b"")
    finally:
        os.close(terminal)
        os.close(its_end)
