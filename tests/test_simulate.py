"""`encoder-bridge simulate` as a person or a program meets it: a process, its output, its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from encoder_bridge_simulated import FAULTS, Stock
from encoder_bridge_simulated.content import fields
from encoder_bridge_simulated.faults import AT_BLOCK, fault
from rigs.brokers import Mosquitto, Nats, User

from encoder_bridge.sandbox import words
from encoder_bridge.sandbox.outside import Hear, Heard
from encoder_bridge.sandbox.plan import Plan
from encoder_bridge.sandbox.play import Play
from encoder_bridge.sandbox.settings import settings_for
from encoder_bridge.sandbox.steps import Step, Verdict
from encoder_bridge.sandbox.story import Story

QUICK = ("--place", "0", "--latency", "0")
PACE = ("--place", "0.01", "--latency", "0.01")
NEVER_ISSUED = {"credential_cannot_be_reissued", "credential_deleted"}
LIMIT_S = 50.0

Said = dict[str, Any]

needs_mosquitto = pytest.mark.skipif(Mosquitto.available() is not None, reason=str(Mosquitto.available()))
needs_nats = pytest.mark.skipif(Nats.available() is not None, reason=str(Nats.available()))
needs_clients = pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "encoder_bridge", "simulate", *map(str, arguments)]


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **environment},
    )


def steps(*arguments: object, code: int = 0, **environment: str) -> list[Said]:
    """What a run with --json says; it must end with `code`."""
    done = run("--json", *arguments, **environment)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == code, done.stdout + done.stderr
    return said


def only(said: list[Said], step: str) -> Said:
    found = [about for about in said if about["step"] == step]
    assert len(found) == 1, said
    return found[0]


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A run that goes on."""
    process = subprocess.Popen(
        command("--json", *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def until(process: subprocess.Popen[str], step: str, **wanted: object) -> Said:
    """Read on to a step."""
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        about: Said = json.loads(line)
        heard.append(about)
        if about["step"] == step and all(about.get(key) == value for key, value in wanted.items()):
            return about
    raise AssertionError(f"it ended without the step {step}: {heard}")


def processes_with(text: str) -> list[int]:
    """The processes that carry a text in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:  # ended meanwhile
            continue
    return found


def private_folder(port: int) -> str:
    """The folder of the private broker on a port."""
    for process in processes_with("encoder-bridge-broker-"):
        try:
            arguments = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        for argument in arguments:
            if argument.endswith("broker.conf") and f"{port}" in Path(argument).read_text():
                return str(Path(argument).parent)
    raise AssertionError(f"no private broker on port {port}")


def whole_cards(stock: Path) -> list[str]:
    """The access methods that are on cards."""
    cards = Stock.open(stock)
    found = (fields(cards.read(uid)) for uid in cards.uids())
    return [card["access_method_id"] for card in found if card["state"] == "whole"]


@pytest.mark.parametrize(
    ("broker", "name", "protocol"),
    [
        pytest.param("mosquitto", "a private mosquitto", "5", marks=needs_mosquitto),
        pytest.param("nats", "a private NATS", "3.1.1", marks=needs_nats),
    ],
)
def test_a_trigger_becomes_an_issued_report_over_a_private_broker(broker: str, name: str, protocol: str) -> None:
    said = steps("--once", "--broker", broker, "--place", "0.05", "--latency", "0.01")

    about = only(said, "started")["broker"]
    assert (about["name"], about["host"], about["protocol"]) == (name, "127.0.0.1", protocol)
    event = only(said, "trigger_sent")["event"]
    assert event["event_type"] == "access_method.card_encoding_required"
    assert only(said, "accepted")["access_method_id"] == event["access_method_id"]
    assert next(about for about in said if about["step"] == "prompt")["sentence"] == "lay a card on desk-1"
    assert {about["total"] for about in said if about["step"] == "writing"} == {12}
    assert only(said, "evidence")["evidence"] == "read_back"
    report = only(said, "issued")["report"]
    assert report["is_issued"] is True
    assert report["trigger_event_id"] == event["event_id"]
    assert report["card"]["uid"] in only(said, "issued")["sentence"]
    assert (said[-1]["step"], said[-1]["is_issued"], said[-1]["is_right"]) == ("end", True, True)


@needs_mosquitto
def test_without_a_word_about_brokers_a_mosquitto_is_started_and_ended() -> None:
    with started(*QUICK) as process:
        port = until(process, "started")["broker"]["port"]
        until(process, "staying")
        folder = private_folder(port)

        process.send_signal(signal.SIGINT)

        assert process.wait(LIMIT_S) == 0
    assert not processes_with(folder)
    assert not Path(folder).exists()


def test_it_runs_without_a_broker_when_told_so() -> None:
    said = steps("--once", "--no-broker", *QUICK)

    assert only(said, "started")["broker"] is None
    assert [about["done"] for about in said if about["step"] == "writing"] == list(range(1, 13))
    assert only(said, "issued")["report"]["is_issued"] is True


def test_it_says_so_when_no_broker_is_installed() -> None:
    code = "from encoder_bridge.sandbox import broker; broker.KINDS.clear()\nfrom encoder_bridge.cli import cli; cli()"
    done = subprocess.run(
        [sys.executable, "-c", code, "simulate", *QUICK],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )

    assert done.returncode == 0, done.stderr
    assert "none is installed, so this runs without MQTT" in done.stdout
    assert "without a broker nobody else can ask" in done.stdout


def test_a_person_sees_plain_lines_that_fit_a_terminal_and_the_report_at_the_end() -> None:
    done = run("--once", "--no-broker", "--fail-next", "encoding_interrupted", *QUICK)

    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    timed = [line for line in done.stdout.splitlines() if re.match(r" *\d+\.\d\d s  ", line)]
    assert timed
    assert all(len(line) <= 80 for line in timed)
    head, _, tail = done.stdout.partition("The report, as it was told:\n")
    assert "lay the same card on desk-1 again (card 04" in head
    report, _, last = tail.rpartition("}\n")
    assert json.loads(report + "}")["is_issued"] is True
    assert last == "\nis_issued: true\n"


@pytest.mark.parametrize("name", FAULTS)
def test_each_documented_fault_ends_as_it_should(name: str) -> None:
    said = steps("--once", "--no-broker", "--fail-next", name, *QUICK)

    (outcome,) = said[-1]["outcomes"].values()
    assert outcome == (name if name in NEVER_ISSUED else "issued")
    assert said[-1]["is_issued"] == (name not in NEVER_ISSUED)
    clerks = "set the card aside" if name == "hung" else fault(name).says
    told = [about for about in said if clerks in about.get("sentence", "")] if name != "slow" else [{}]
    assert len(told) == 1, said


def test_faults_strike_the_first_jobs_one_by_one() -> None:
    faults = ("--fail-next", "credential_deleted", "--fail-next", "card_locked")
    said = steps("--once", "--no-broker", "--jobs", 3, "--encoders", 2, *faults, *QUICK)

    assert sorted(said[-1]["outcomes"].values()) == ["credential_deleted", "issued", "issued"]
    assert fault("card_locked").says in str(said)


def test_a_fault_strikes_again_with_a_stock_that_is_kept(tmp_path: Path) -> None:
    for _ in range(2):
        said = steps("--once", "--no-broker", "--card-stock", tmp_path / "cards", "--fail-next", "card_full", *QUICK)

        assert only(said, "problem")["sentence"] == fault("card_full").says


@needs_mosquitto
def test_many_jobs_are_made_on_many_encoders(tmp_path: Path) -> None:
    said = steps("--once", "--jobs", 12, "--encoders", 3, "--rate", 100, "--card-stock", tmp_path / "cards", *PACE)

    assert said[-1]["issued"] == 12
    assert {about["report"]["encoder"] for about in said if about["step"] == "issued"} == {"desk-1", "desk-2", "desk-3"}
    assert sorted(whole_cards(tmp_path / "cards")) == sorted(said[-1]["outcomes"])


def test_cards_that_nobody_asked_to_keep_are_removed() -> None:
    cards = only(steps("--once", "--no-broker", *QUICK), "started")["cards"]

    assert not Path(cards).parent.exists()


@needs_mosquitto
@needs_clients
def test_a_strangers_trigger_ends_in_a_report_while_it_stays() -> None:
    event = {
        "event_id": "22222222-3333-4444-5555-666666666666",
        "event_description": "An access method representing a physical card requires encoding.",
        "event_type": "access_method.card_encoding_required",
        "acs_system_id": "11111111-1111-1111-1111-111111111111",
        "access_method_id": "c7d8e9f0-1a2b-3c4d-5e6f-7a8b9c0d1e2f",
    }
    with started("--jobs", 0, *QUICK) as process:
        about = until(process, "started")
        until(process, "staying")

        port = str(about["broker"]["port"])
        subprocess.run(
            ["mosquitto_pub", "-p", port, "-q", "1", "-t", about["trigger_topic"], "-m", json.dumps(event)], check=True
        )

        assert until(process, "trigger_seen")["access_method_id"] == event["access_method_id"]
        assert until(process, "issued")["report"]["trigger_event_id"] == event["event_id"]
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0


@needs_mosquitto
def test_nonsense_on_the_topics_disturbs_nothing() -> None:
    with Mosquitto() as broker, started("--broker", f"{broker.host}:{broker.port}", "--jobs", 0, *QUICK) as process:
        about = until(process, "started")
        until(process, "staying")
        root = about["topics"].removesuffix("/#")
        for topic in ("event/access_method.issued", "encoder/desk-1/state", "response/trigger", "trigger"):
            for nonsense in ("", "{}", "[1]", '{"state": 7}', "\x1b[2J"):
                subprocess.run(
                    ["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", f"{root}/{topic}", "-m", nonsense],
                    check=True,
                )

        until(process, "rejected")
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


@needs_mosquitto
def test_a_killed_run_is_resumed_and_makes_exactly_one_card(tmp_path: Path) -> None:
    kept = ("--store", tmp_path / "jobs", "--card-stock", tmp_path / "cards")
    with started("--once", *kept, "--place", "0", "--latency", "0.2") as process:
        port = until(process, "started")["broker"]["port"]
        folder = private_folder(port)
        method = until(process, "writing", done=3)["access_method_id"]

        process.kill()
        process.wait()

    deadline = time.monotonic() + LIMIT_S
    while processes_with(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not processes_with(folder)
    assert whole_cards(tmp_path / "cards") == []

    said = steps("--once", *kept, "--jobs", 0, *QUICK)

    assert only(said, "left_over")["access_methods"] == [method]
    assert only(said, "issued")["access_method_id"] == method
    assert whole_cards(tmp_path / "cards") == [method]
    assert steps("--once", *kept, "--jobs", 0, *QUICK)[-1]["jobs"] == 0


def test_a_job_that_does_not_end_in_time_makes_the_exit_code_one() -> None:
    said = steps("--once", "--no-broker", "--fail-next", "hung", "--time-limit", "0.2", *QUICK, code=1)

    assert "given up" in only(said, "time_limit")["sentence"]
    assert list(said[-1]["outcomes"].values()) == ["not_ended"]
    assert said[-1]["is_right"] is False


def test_nothing_is_told_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hears: list[Hear] = []
    monkeypatch.setattr("encoder_bridge.sandbox.play.watch", lambda _board, hear: hears.append(hear))
    plan = Plan(jobs=0, once=True)
    settings = settings_for(plan, None, store=tmp_path, cards=tmp_path / "cards", password=None)
    heard_of: list[Step] = []

    def summarise(_verdicts: Sequence[Verdict]) -> None:
        hears[0](Heard(kind="broker", name="lost", body={}))

    asyncio.run(Play(plan, settings, None, heard_of.append).run(summarise))

    assert heard_of == []


def told(*heard: Heard) -> list[str]:
    """The sentences that follow from what is heard."""
    found: list[Step] = []
    story = Story(found.append)
    for message in heard:
        story.hear(message)
    return [step.sentence for step in found]


def encoder(state: str, **more: object) -> Heard:
    return Heard(kind="encoder", name="desk-1", body={"state": state, "since": "now", **more})


def issued(method: str) -> Heard:
    report = {
        "event_id": method,
        "event_type": "access_method.issued",
        "event_description": "",
        "access_method_id": method,
        "created_at": "now",
        "occurred_at": "now",
        "trigger_event_id": "event-1",
        "state": "issued",
        "is_issued": True,
        "evidence": "read_back",
    }
    return Heard(kind="event", name="access_method.issued", body=report)


def test_lifting_the_card_is_told_after_what_became_of_it_whichever_is_heard_first() -> None:
    before = [encoder("waiting_for_card", access_method_id="a", prompt="place_card")]
    before += [encoder("writing", access_method_id="a", prompt="keep_card")]
    lift, end = encoder("idle", prompt="lift_card"), issued("a")
    idle = encoder("idle")

    assert told(*before, lift, idle, end) == told(*before, end, lift, idle)
    assert told(*before, lift, idle, end)[-2:] == ["issued: a card without a number, evidence read_back", words.LIFT]


def test_nobody_is_asked_to_lift_a_card_that_was_never_laid() -> None:
    lift = encoder("idle", prompt="lift_card")
    asked = encoder("waiting_for_card", access_method_id="a", prompt="place_card")

    assert told(lift, encoder("idle")) == []
    assert told(asked, encoder("offline"), encoder("idle"), lift) == ["lay a card on desk-1"]


def test_why_a_card_will_not_do_is_told_once_before_it_is_lifted() -> None:
    asked = {"access_method_id": "a", "prompt": "place_card"}
    error = {"type": "card_full", "message": "It is full."}

    assert told(
        encoder("waiting_for_card", **asked),
        encoder("idle", prompt="lift_card", error=error),
        encoder("idle", error=error),
        encoder("waiting_for_card", error=error, **asked),
    ) == ["lay a card on desk-1", "It is full.", words.LIFT, "lay a card on desk-1"]


@pytest.mark.parametrize(
    ("verb", "more", "sentence"),
    [
        ("confirm", {"status": "job", "state": "queued"}, "asked to confirm the job: it waits for an encoder"),
        ("cancel", {"status": "job", "state": "cancelled"}, "asked to cancel the job: it is cancelled"),
        (
            "cancel",
            {"status": "rejected", "error": {"type": "job_ended", "message": "It has ended."}},
            "asked to cancel the job: not cancelled: It has ended.",
        ),
        ("job", {"status": "job", "state": "held"}, "asked for the job: it is held"),
    ],
)
def test_an_answer_to_a_request_says_what_happened(verb: str, more: dict[str, Any], sentence: str) -> None:
    assert told(Heard(kind="response", name=verb, body={"id": "1", "access_method_id": "a", **more})) == [sentence]


def test_an_interrupt_before_the_jobs_have_ended_is_no_success() -> None:
    with started("--no-broker", "--place", 60) as process:
        until(process, "prompt")

        process.send_signal(signal.SIGINT)

        assert process.wait(LIMIT_S) == 130


@needs_mosquitto
def test_a_given_broker_is_used_with_a_password_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("horse-battery\n")
    with Mosquitto(users=[User(name="desk", password="horse-battery")]) as broker:
        url = f"mqtt://desk@{broker.host}:{broker.port}"
        by_file = run("--once", "--broker", url, "--password-file", secret, *QUICK)
        without = run("--once", "--broker", url, *QUICK)

    assert by_file.returncode == 0, by_file.stderr
    assert by_file.stdout.endswith("is_issued: true\n")
    assert "horse-battery" not in by_file.stdout + by_file.stderr
    assert without.returncode == 69


def test_a_broker_that_is_not_there_is_told_in_one_sentence() -> None:
    done = run("--broker", "mqtt://127.0.0.1:1", *QUICK)

    assert done.returncode == 69
    assert done.stderr.startswith("The broker at 127.0.0.1:1 cannot be used")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--broker", "mqtt://me:horse-battery@host"),
        ("--broker", "http://horse-battery"),
        ("--broker", "mqtt://host:99999/horse-battery"),
        ("--fail-next", "nonsense"),
        ("--fail-next", "card_full@x"),
        ("--time-zone", "Nowhere/At_all"),
        ("--no-broker", "--broker", "host"),
        ("--ca-file", __file__),
        ("--ca-file", __file__, "--broker", "host"),
        ("--password-file", __file__, "--broker", "host"),
        ("--encoders", "0"),
    ],
)
def test_a_wrong_command_line_is_refused_without_quoting_a_password(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert "Error:" in done.stderr
    assert "horse-battery" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--ca-file", __file__, "--broker", "mqtt://host"), "--ca-file needs mqtts://"),
        (("--password-file", __file__, "--broker", "mqtt://host"), "give --broker mqtt://NAME@host"),
        (("--fail-next", "crd_full"), "there is no fault 'crd_full': did you mean card_full?"),
        (("--fail-next", "card_full@3"), "the fault 'card_full' takes no number of blocks: write card_full alone"),
        (("--fail-next", "hung@x"), "'hung@x' has no number of blocks after the @: write hung@3, or hung alone"),
    ],
)
def test_a_wrong_command_line_is_told_what_would_be_right(arguments: tuple[str, ...], sentence: str) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert sentence in done.stderr


def test_an_error_is_one_more_line_for_programs() -> None:
    *_, last = steps("--broker", "mqtt://127.0.0.1:1", *QUICK, code=69)

    assert last["step"] == "error"
    assert (last["error"]["type"], last["error"]["exit_code"]) == ("broker_error", 69)
    assert last["sentence"] == last["error"]["message"]


def test_a_file_that_cannot_be_used_is_not_blamed_on_the_broker(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_bytes(b"\xff\xfe")
    by_name = run("--broker", "mqtt://desk@127.0.0.1:1", "--password-file", secret, *QUICK)
    by_certificate = run("--broker", "mqtts://127.0.0.1:1", "--ca-file", __file__, *QUICK)

    assert (by_name.returncode, by_certificate.returncode) == (78, 78)
    assert by_name.stderr == "--password-file: the password is not UTF-8: save the file as UTF-8.\n"
    assert "no certificate in it" in by_certificate.stderr


def test_the_help_lists_every_fault_and_which_may_strike_after_some_blocks() -> None:
    shown = run("--help").stdout

    for name in FAULTS:
        assert f"\n  {name}{'[@k]' if fault(name).kind in AT_BLOCK else ''} " in shown
    assert "strikes after K blocks" in shown


@needs_mosquitto
def test_the_daemons_own_log_is_shown_on_request() -> None:
    assert "broker_connected" in run("--once", "--verbose", *QUICK).stderr
    assert run("--once", *QUICK).stderr == ""
