"""The API as curl sees it: an HTTP client nobody here wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.rig import Running, job, serving
from encoder_bridge import wire

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed: apt install curl")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path, job(1)) as running:
        yield running


def curl(running: Running, *arguments: str) -> tuple[int, str]:
    """Status and body."""
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "10", "--unix-socket", str(running.path), "-w", "\n%{http_code}", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_curl_lists_encoders_and_jobs(running: Running) -> None:
    status, body = curl(running, "http://localhost/v1/encoders")
    assert (status, [encoder["name"] for encoder in json.loads(body)["encoders"]]) == (200, ["desk-1", "desk-2"])
    status, body = curl(running, "http://localhost/v1/jobs?state=queued&limit=5")
    assert (status, [job["access_method_id"] for job in json.loads(body)["jobs"]]) == (200, ["am_1"])


def test_curl_sends_a_trigger(running: Running) -> None:
    running.intake.answers["trigger"] = wire.Response(id="ev_1", status="accepted")
    status, body = curl(running, "--json", '{"event_id": "ev_1"}', "http://localhost/v1/jobs")
    assert (status, json.loads(body)["status"]) == (202, "accepted")
    assert running.intake.arrived[0].payload == b'{"event_id": "ev_1"}'


def test_what_curl_sends_as_a_form_is_refused(running: Running) -> None:
    status, body = curl(running, "-d", '{"event_id": "ev_1"}', "http://localhost/v1/jobs")
    assert (status, json.loads(body)["error"]["type"]) == (415, "content_type_refused")
    assert not running.intake.arrived


def test_curl_sends_too_much_with_and_without_saying_so(running: Running, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b" " * (wire.MAX_PAYLOAD_BYTES + 1))
    kind = ["-H", "Content-Type: application/json", "-H", "Expect:", "--data-binary", f"@{tmp_path}/large"]
    for more in ([], ["-H", "Transfer-Encoding: chunked"]):
        status, body = curl(running, *kind, *more, "http://localhost/v1/jobs")
        assert (status, json.loads(body)["error"]["type"]) == (413, "payload_too_large")
    assert not running.intake.arrived


def test_curl_watches(running: Running) -> None:
    with subprocess.Popen(
        ["curl", "-sSN", "--unix-socket", str(running.path), "http://localhost/v1/events"],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
    ) as watching:
        assert watching.stdout is not None
        lines = iter(watching.stdout.readline, "")
        try:
            while next(lines) != "event: snapshot\n":
                pass
            running.show("desk-1", state="writing", done=1, total=4)
            while next(lines) != "event: encoder\n":
                pass
            assert next(lines).startswith("id: ")
            assert json.loads(next(lines).removeprefix("data: "))["done"] == 1
        finally:
            watching.terminate()
