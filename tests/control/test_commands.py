"""The command line, talking to the real control channel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from control.rig import Running, insert, job, serving
from encoder_bridge import texts, wire
from encoder_bridge.cli import cli
from encoder_bridge.intake import Envelope
from encoder_bridge.model import Job, State


@pytest.fixture(autouse=True)
def nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ENCODER_BRIDGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as running:
        yield running


def run(running: Running, *arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--socket", str(running.path)], prog_name="encoder-bridge", input=stdin)


def asked(running: Running) -> tuple[str, dict[str, Any]]:
    """The last that was asked for, without its id."""
    envelope = running.intake.arrived[-1]
    body = json.loads(envelope.payload)
    assert len(body.pop("id")) == 32
    return envelope.verb, body


def test_jobs_are_listed_and_shown_over_the_socket(running: Running) -> None:
    wanted = {"entrances": ["101", "Pool"], "starts_at": "2025-07-12T15:00:00+09:00", "ends_at": None, "joins": True}
    insert(
        running.connection,
        job(1),
        requester="pms",
        sequence=3,
        route='["desk-1"]',
        backup='["desk-2"]',
        credential=json.dumps(wanted),
    )
    running.connection.execute(
        "INSERT INTO attempt (job_id, attempt, at, what, encoder, requester, operator)"
        " VALUES (1, 1, 1752321600000, 'claimed', 'desk-1', 'pms', 'Kim')"
    )
    listed = run(running, "jobs", "list")
    assert listed.stdout.splitlines() == [
        " job  since                state             access method  (times in Asia/Tokyo)",
        "   1  2025-07-12 21:00:00  queued            am_1",
    ]
    assert run(running, "jobs", "list", "--state", "held").stdout == "There is no such job.\n"
    assert run(running, "jobs", "show", "am_1").stdout.splitlines() == [
        "   1  2025-07-12 21:00:00  queued            am_1",
        "      opens 101, Pool",
        "      from 2025-07-12 15:00:00",
        "      a copy: earlier cards keep working",
        "      asked for by pms",
        "      number 3",
        "      to be made by desk-1, or desk-2 where those are offline",
        "      attempt 1  2025-07-12 21:00:00  claimed  on desk-1  by Kim for pms",
    ]
    (shown,) = json.loads(run(running, "jobs", "show", "1", "--json").stdout)
    assert shown["attempts"][0]["operator"] == "Kim"
    assert wanted.items() <= shown.items()
    missing = run(running, "jobs", "show", "am_9")
    assert (missing.exit_code, missing.stderr) == (
        1,
        "No job is known for 'am_9': check the id, or see 'encoder-bridge jobs list'.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "verb", "body"),
    [
        (["cancel", "am_1"], "cancel", {}),
        (["cancel", "1"], "cancel", {}),
        (["confirm", "am_1"], "confirm", {}),
        (["retry", "am_1"], "retry", {}),
        (["claim", "am_1", "--encoder", "desk-2"], "claim", {"encoder": "desk-2"}),
        (["resolve", "am_1", "--gone"], "resolve", {"card": "gone", "again": False}),
        (["resolve", "am_1", "--destroyed", "--again"], "resolve", {"card": "destroyed", "again": True}),
    ],
)
def test_what_is_said_to_a_job_reaches_it(
    running: Running, arguments: list[str], verb: str, body: dict[str, object]
) -> None:
    insert(running.connection, job(1))
    running.intake.answers[verb] = wire.Response(status="job", access_method_id="am_1", state="queued")
    done = run(running, "jobs", *arguments)
    assert (done.exit_code, done.stdout) == (0, "am_1 waits for an encoder.\n")
    assert asked(running) == (verb, {"access_method_id": "am_1", **body})
    answered = json.loads(run(running, "jobs", *arguments, "--json").stdout)
    assert answered["state"] == "queued"


def test_what_a_job_refuses_is_told_in_the_clerks_words(running: Running) -> None:
    insert(running.connection, job(1))
    problem = wire.Problem(type="card_being_written", message="For the log.", clerk="Wait until \x1b[2Jit is done.")
    running.intake.answers["cancel"] = wire.Response(status="rejected", access_method_id="am_1", error=problem)
    done = run(running, "jobs", "cancel", "am_1")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "Wait until ?[2Jit is done.\n")
    programs = run(running, "jobs", "cancel", "am_1", "--json")
    assert programs.exit_code == 1
    assert json.loads(programs.stdout)["error"]["type"] == "card_being_written"


def test_a_job_that_was_followed_by_a_newer_one_is_not_mistaken_for_it(running: Running) -> None:
    insert(running.connection, job(1, State.ISSUED, "am_1"))
    insert(running.connection, job(2, State.QUEUED, "am_1"))
    done = run(running, "jobs", "cancel", "1")
    assert (done.exit_code, done.stderr) == (1, "Job 1 is issued; the newest of am_1 is 2: name that.\n")
    assert not running.intake.arrived
    assert run(running, "jobs", "cancel", "7").exit_code == 1


def test_resolve_wants_to_know_what_became_of_the_card(running: Running) -> None:
    done = run(running, "jobs", "resolve", "am_1")
    assert done.exit_code == 2
    assert "Say what became of its card: --gone or --destroyed." in done.stderr


def test_encoders_are_a_table(running: Running) -> None:
    running.show("desk-2", state="waiting_for_card", prompt="place_card", access_method_id="am_1")
    running.show("desk-1", not_enforced=["lift"])
    said = run(running, "encoders").stdout.splitlines()
    assert said == [
        "desk-1  simulated     is idle",
        "        This encoder cannot tell when a card is lifted: take the last card off before you go on.",
        "desk-2  acme          waits for a card  for am_1  Lay a card on desk-2.",
    ]
    assert [encoder["name"] for encoder in json.loads(run(running, "encoders", "--json").stdout)] == [
        "desk-1",
        "desk-2",
    ]


def test_an_operator_is_named_and_leaves(running: Running) -> None:
    running.intake.answers["operator"] = wire.Response(status="done")
    assert run(running, "operator", "Kim").stdout == "Kim is at the desk.\n"
    assert asked(running) == ("operator", {"operator": "Kim"})
    assert run(running, "operator", "--nobody").stdout == "Nobody in particular is at the desk.\n"
    assert asked(running) == ("operator", {})
    assert run(running, "operator").exit_code == 2
    assert run(running, "operator", "Kim", "--nobody").exit_code == 2


def test_a_guest_is_forgotten_by_a_name_on_standard_input(running: Running) -> None:
    running.intake.answers["erase-guest"] = wire.Response(status="done")
    done = run(running, "store", "erase-guest", "-", stdin="Ada Guestmann\n")
    assert (done.exit_code, done.stdout) == (0, "What was known of this guest is erased.\n")
    assert asked(running) == ("erase-guest", {"who": "Ada Guestmann"})
    assert run(running, "store", "erase-guest", "-", stdin="\n").exit_code == 2


CARD = wire.CardBody(technology="mifare_classic", uid="04a1")
MADE = wire.MadeHere(
    access_method_id="am_1",
    issued_at="2025-07-12T12:00:00.000Z",
    ends_at="2025-07-14T02:00:00Z",
    entrances=["101", "Pool"],
    is_deleted=False,
    is_valid=True,
    is_certain=True,
    operator="Kim",
)


def test_read_shows_the_prompt_while_it_waits_and_then_whose_card_it_is(running: Running) -> None:
    async def read(envelope: Envelope) -> wire.Response:
        running.board.amend("desk-2", state="reading", prompt="place_card")
        return wire.Response(status="read", card=CARD, fields={"room": "101"}, made_here=MADE)

    running.intake.answers["read"] = read
    done = run(running, "read", "--encoder", "desk-2")
    assert done.exit_code == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line != "Lay a card on desk-2."]
    assert lines == [
        "Card 04a1 (mifare_classic)",
        "  room: 101",
        "Made here 2025-07-12 21:00:00 for am_1, valid.",
        "  Until 2025-07-14 11:00:00",
        "  Opens 101, Pool",
        "  By Kim",
    ]
    assert asked(running) == ("read", {"encoder": "desk-2"})
    programs = run(running, "read", "--encoder", "desk-2", "--json")
    assert json.loads(programs.stdout)["fields"] == {"room": "101"}


def test_a_card_from_elsewhere_is_said_to_be_so(running: Running) -> None:
    running.intake.answers["read"] = wire.Response(status="read", card=CARD)
    assert "It was not made here.\n" in run(running, "read", "--encoder", "desk-1").stdout


def test_which_encoder_has_to_be_said_where_there_are_several(running: Running) -> None:
    several = run(running, "read")
    assert several.exit_code == 2
    assert "Say which encoder: --encoder desk-1 or desk-2." in several.stderr
    wrong = run(running, "erase", "--encoder", "desk-3")
    assert wrong.exit_code == 2
    assert "There is no encoder 'desk-3': use desk-1 or desk-2." in wrong.stderr


def test_erase_says_that_the_card_is_blank_or_why_not(running: Running) -> None:
    running.intake.answers["erase"] = wire.Response(status="erased", card=CARD)
    done = run(running, "erase", "--encoder", "desk-1", "--even-if-valid")
    assert (done.exit_code, done.stdout) == (0, "Card 04a1 is blank.\n")
    assert asked(running) == ("erase", {"encoder": "desk-1", "even_if_valid": True, "given_up": False})
    running.intake.answers["erase"] = wire.Response(status="done")
    assert run(running, "erase", "--encoder", "desk-1", "--given-up").stdout == "That card is given up.\n"
    assert asked(running)[1]["given_up"] is True
    problem = wire.Problem(type="card_still_valid", message="It is another guest's.")
    running.intake.answers["erase"] = wire.Response(status="rejected", error=problem)
    refused = run(running, "erase", "--encoder", "desk-1")
    assert (refused.exit_code, refused.stderr) == (1, "It is another guest's.\n")


def start(running: Running, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "encoder_bridge", *arguments, "--socket", str(running.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_read_is_withdrawn_when_it_is_interrupted(running: Running) -> None:
    running.intake.answers["read"] = running.intake.wait_for_a_card
    with start(running, "read", "--encoder", "desk-1") as reading:
        assert running.intake.waits.wait(20)
        reading.send_signal(signal.SIGINT)
        out, err = reading.communicate(timeout=20)
    assert (reading.returncode, out, err) == (130, "", "Nothing was read.\n")
    assert running.intake.withdrawn.wait(10)


PROMPT = (
    "Lay a card on desk-1. Earlier cards for this room stop working when this one is first used. "
    "This encoder cannot tell cards apart: make sure this card is not another guest's."
)


def issue(running: Running, *, end: State = State.ISSUED) -> Callable[[Envelope], Any]:
    """Take a trigger and bring it to its end, as far as anybody outside can tell."""

    async def take(envelope: Envelope) -> wire.Response:
        trigger = wire.parse(wire.Trigger, envelope.payload)
        method = trigger.access_method_id
        insert(running.connection, job(1, State.QUEUED, method))

        def go() -> None:
            running.board.amend(
                "desk-1",
                state="waiting_for_card",
                access_method_id=method,
                prompt="place_card",
                effect="replaces_earlier_cards",
                not_enforced=["card_in_use"],
            )
            running.loop.call_later(0.05, finish)

        def finish() -> None:
            from encoder_bridge.store import News

            error = (
                '{"type": "credential_rejected", "message": "No card can take it."}' if end is State.FAILED else None
            )
            running.connection.execute(
                "UPDATE job SET state = ?, open = NULL, encoder = 'desk-1', card_uid = '04a1', receipt = ?, error = ?",
                (end, '{"evidence": "read_back", "card": {"technology": "x", "uid": "04a1"}, "note": {}}', error),
            )
            running.control.hear(News(jobs={method: job(1, end, method)}))

        running.loop.call_soon(go)
        return wire.Response(id=trigger.event_id, status="accepted", access_method_id=method, state="queued")

    return take


def test_encode_follows_its_job_with_prompts_until_the_card_is_issued(running: Running) -> None:
    running.intake.answers["trigger"] = issue(running)
    done = run(
        running, "encode", "--access-method", "am_7", "--entrance", "101", "--entrance", "Pool", "--field", "room=101",
        "--field", "note=a=b", "--from", "2025-07-12T15:00", "--until", "2025-07-14T11:00+02:00", "--joins",
        "--profile", "guest", "--encoder", "desk-1",
    )  # fmt: skip
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            "am_7 is on disk.",
            PROMPT,
            "am_7 is issued, card 04a1, on desk-1, read back and compared.",
        ],
    ), done.stderr
    sent = json.loads(running.intake.arrived[0].payload)
    assert sent["credential"] == {
        "profile": "guest",
        "entrances": ["101", "Pool"],
        "joins": True,
        "fields": {"room": "101", "note": "a=b"},
        "starts_at": "2025-07-12T15:00:00+09:00",
        "ends_at": "2025-07-14T11:00:00+02:00",
    }
    assert (sent["event_type"], sent["encoder"]) == ("access_method.card_encoding_required", "desk-1")
    assert sent["event_id"]
    assert sent["occurred_at"]


def test_encode_ends_with_1_where_no_card_was_issued(running: Running) -> None:
    running.intake.answers["trigger"] = issue(running, end=State.FAILED)
    done = run(running, "encode")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1].endswith("look at the booking again and call IT.")


def test_encode_ends_with_1_where_the_card_of_a_known_trigger_was_erased(running: Running) -> None:
    receipt = '{"evidence": "read_back", "card": {"technology": "x", "uid": "04a1"}, "note": {}}'
    insert(running.connection, job(1, State.ISSUED, "am_1"), encoder="desk-1", receipt=receipt)
    running.intake.answers["trigger"] = wire.Response(status="duplicate", access_method_id="am_1", state="issued")
    done = run(running, "encode", "--access-method", "am_1")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1].endswith(f"read back and compared. {texts.clerk('card_erased')}")


def test_encode_answers_programs_with_the_answer_and_the_job(running: Running) -> None:
    running.intake.answers["trigger"] = issue(running)
    done = run(running, "encode", "--json")
    answer = json.loads(done.stdout)
    assert (answer["response"]["status"], answer["job"]["state"], answer["job"]["card"]["uid"]) == (
        "accepted",
        "issued",
        "04a1",
    )
    assert "Lay a card on desk-1." in done.stderr


def test_encode_says_why_a_trigger_is_refused(running: Running) -> None:
    problem = wire.Problem(type="validity_past", message="The window is past.")
    running.intake.answers["trigger"] = wire.Response(status="rejected", error=problem)
    done = run(running, "encode")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "The window is past.\n")
    programs = run(running, "encode", "--json")
    assert programs.exit_code == 1
    assert json.loads(programs.stdout)["response"]["error"]["type"] == "validity_past"


def test_encode_leaves_a_job_that_is_held(running: Running) -> None:
    async def hold(envelope: Envelope) -> wire.Response:
        insert(running.connection, job(1, State.HELD, "am_1"), error='{"type": "t", "message": "Confirm it."}')
        running.loop.call_soon(lambda: running.control.hear(news_of(job(1, State.HELD, "am_1"))))
        return wire.Response(status="held", access_method_id="am_1", state="held")

    running.intake.answers["trigger"] = hold
    done = run(running, "encode", "--access-method", "am_1")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (1, f"am_1 is held. Confirm it. {texts.clerk('t')}")


def test_encode_without_waiting_only_queues(running: Running) -> None:
    running.intake.answers["trigger"] = wire.Response(status="accepted", access_method_id="am_1", state="queued")
    done = run(running, "encode", "--no-wait")
    assert (done.exit_code, done.stdout) == (0, "am_1 waits for an encoder.\n")


@pytest.mark.parametrize("how", ["--file", "-"])
def test_encode_takes_a_trigger_or_a_credential_from_a_file(running: Running, tmp_path: Path, how: str) -> None:
    running.intake.answers["trigger"] = wire.Response(status="accepted", access_method_id="am_1", state="queued")

    def sent(brought: object, *more: str) -> dict[str, Any]:
        text = json.dumps(brought)
        (tmp_path / "need.json").write_text(text)
        where = "-" if how == "-" else str(tmp_path / "need.json")
        done = run(running, "encode", "--no-wait", "--file", where, *more, stdin=text if how == "-" else None)
        assert done.exit_code == 0, done.stderr
        found: dict[str, Any] = json.loads(running.intake.arrived[-1].payload)
        return found

    trigger = {"id": "ev_1", "event_type": "access_method.card_encoding_required", "access_method_id": "am_5"}
    found = sent(trigger)
    assert "event_id" not in found
    assert trigger.items() <= found.items()
    found = sent({"entrances": ["101"], "fields": {"room": "101"}}, "--field", "guest=Ada", "--access-method", "am_6")
    assert found["credential"] == {"entrances": ["101"], "fields": {"room": "101", "guest": "Ada"}}
    assert found["access_method_id"] == "am_6"
    assert found["event_id"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--from", "tomorrow"], "--from: 'tomorrow' is no moment: write it like 2025-07-12T15:00."),
        (["--field", "room"], "--field: this names no value: write it like room=101."),
        (["--file", "-"], "--file: this is no JSON: give a trigger, or its credential."),
    ],
)
def test_encode_refuses_what_it_cannot_mean(running: Running, arguments: list[str], sentence: str) -> None:
    done = run(running, "encode", *arguments, stdin="Ada")
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert not running.intake.arrived


def test_encode_cancels_its_job_when_it_is_interrupted(running: Running) -> None:
    arrived, cancelled = threading.Event(), threading.Event()

    async def keep(envelope: Envelope) -> wire.Response:
        insert(running.connection, job(1, State.QUEUED, "am_1"))
        arrived.set()
        return wire.Response(status="accepted", access_method_id="am_1", state="queued")

    async def cancel(envelope: Envelope) -> wire.Response:
        cancelled.set()
        return wire.Response(status="job", access_method_id="am_1", state="cancelled")

    running.intake.answers |= {"trigger": keep, "cancel": cancel}
    with start(running, "encode", "--access-method", "am_1") as encoding:
        assert encoding.stdout is not None
        assert encoding.stdout.readline() == "am_1 is on disk.\n"
        encoding.send_signal(signal.SIGINT)
        out, err = encoding.communicate(timeout=20)
    assert (encoding.returncode, out, err) == (130, "am_1 is cancelled.\n", "")
    assert asked(running) == ("cancel", {"access_method_id": "am_1"})


def test_encode_tells_programs_where_the_job_stands_when_it_is_interrupted(running: Running) -> None:
    async def keep(envelope: Envelope) -> wire.Response:
        insert(running.connection, job(1, State.QUEUED, "am_1"))
        return wire.Response(status="accepted", access_method_id="am_1", state="queued")

    async def cancel(envelope: Envelope) -> wire.Response:
        running.connection.execute("UPDATE job SET state = 'cancelled', open = NULL")
        return wire.Response(status="job", access_method_id="am_1", state="cancelled")

    running.intake.answers |= {"trigger": keep, "cancel": cancel}
    with start(running, "encode", "--json", "--access-method", "am_1") as encoding:
        assert encoding.stderr is not None
        assert encoding.stderr.readline() == "am_1 is on disk.\n"
        encoding.send_signal(signal.SIGINT)
        out, err = encoding.communicate(timeout=20)
    assert (encoding.returncode, err) == (130, "am_1 is cancelled.\n")
    told = json.loads(out)
    assert (told["response"]["status"], told["job"]["state"]) == ("accepted", "cancelled")


def test_encode_waits_for_a_card_that_is_begun_though_it_is_interrupted(running: Running) -> None:
    async def keep(envelope: Envelope) -> wire.Response:
        insert(running.connection, job(1, State.WRITING, "am_1"))
        return wire.Response(status="accepted", access_method_id="am_1", state="queued")

    async def refuse(envelope: Envelope) -> wire.Response:
        running.connection.execute("UPDATE job SET state = 'issued', open = NULL")
        running.loop.call_soon(lambda: running.control.hear(news_of(job(1, State.ISSUED, "am_1"))))
        problem = wire.Problem(type="card_being_written", message="It is being written.")
        return wire.Response(status="rejected", access_method_id="am_1", error=problem)

    running.intake.answers |= {"trigger": keep, "cancel": refuse}
    with start(running, "encode", "--access-method", "am_1") as encoding:
        assert encoding.stdout is not None
        assert encoding.stdout.readline() == "am_1 is on disk.\n"
        encoding.send_signal(signal.SIGINT)
        out, err = encoding.communicate(timeout=20)
    assert (encoding.returncode, err) == (130, "")
    assert out.splitlines() == [
        "Its card is being written: waiting for the outcome. Interrupt again to go without it.",
        "am_1 is issued.",
    ]


@pytest.mark.parametrize("waiting", [[], [job(2, State.QUEUED, "am_1")]], ids=["alone", "before another"])
def test_encode_leaves_a_card_in_doubt_to_people_though_it_is_interrupted(running: Running, waiting: list[Job]) -> None:
    async def keep(envelope: Envelope) -> wire.Response:
        for one in (job(1, State.UNSURE, "am_1"), *waiting):
            insert(running.connection, one)
        return wire.Response(status="accepted", access_method_id="am_1", state="queued")

    running.intake.answers["trigger"] = keep
    with start(running, "encode", "--access-method", "am_1") as encoding:
        assert encoding.stdout is not None
        assert encoding.stdout.readline() == "am_1 is on disk.\n"
        encoding.send_signal(signal.SIGINT)
        out, err = encoding.communicate(timeout=20)
    sentence = "Its card is in doubt and stays so: lay it down again, or see 'encoder-bridge jobs resolve am_1'.\n"
    assert (encoding.returncode, out, err) == (130, sentence, "")
    assert [envelope.verb for envelope in running.intake.arrived] == ["trigger"]


def test_encode_says_why_it_waits_once_and_what_to_know_of_the_card(running: Running) -> None:
    offline = replace(job(1, State.QUEUED, "am_1"), error=texts.problem("encoder_offline", encoders="desk-1"))
    warning = texts.problem("copy_uncertain")

    async def keep(envelope: Envelope) -> wire.Response:
        insert(running.connection, job(1, State.QUEUED, "am_1"))
        return wire.Response(status="accepted", access_method_id="am_1", state="queued")

    running.intake.answers["trigger"] = keep
    with start(running, "encode", "--access-method", "am_1") as encoding:
        assert encoding.stdout is not None
        lines = (line.rstrip("\n") for line in encoding.stdout)
        assert next(lines) == "am_1 is on disk."
        running.hear(offline)
        assert next(lines) == texts.clerk("encoder_offline", encoders="desk-1")
        running.hear(replace(offline, state_at=offline.state_at + 1))
        running.connection.execute(
            "UPDATE job SET state = 'issued', open = NULL, warnings = ?", (json.dumps([asdict(warning)]),)
        )
        running.hear(job(1, State.ISSUED, "am_1"))
        assert list(lines) == ["am_1 is issued.", texts.clerk("copy_uncertain")]
    assert encoding.returncode == 0


def test_watch_tells_each_change_in_a_line_and_finds_a_bridge_that_starts_again(tmp_path: Path) -> None:
    with serving(tmp_path, job(1)) as first, start(first, "watch") as watching:
        assert watching.stdout is not None
        try:
            lines = (line.split("  ", 1)[1].rstrip("\n") for line in watching.stdout)
            assert [next(lines) for _ in range(3)] == [
                "desk-1        is idle",
                "desk-2        is idle",
                "am_1  waits for an encoder",
            ]
            first.show("desk-1", state="writing", done=1, total=3, access_method_id="am_1")
            assert next(lines) == "desk-1        writes  am_1"
            first.show("desk-1", done=2)
            first.hear(job(1, State.ISSUED))
            assert next(lines) == "am_1  is issued"
            first.stop()
            assert next(lines) == "The bridge is gone: waiting for it to come back."
            with serving(tmp_path) as again:
                again.show("desk-2", state="hung")
                said: list[str] = []
                while "desk-2        hangs" not in said:
                    said.append(next(lines))
        finally:
            watching.send_signal(signal.SIGINT)
            _, err = watching.communicate(timeout=20)
    assert (watching.returncode, err) == (0, "")


def test_watch_tells_programs_everything(running: Running) -> None:
    with start(running, "watch", "--json") as watching:
        assert watching.stdout is not None
        told = [json.loads(watching.stdout.readline()) for _ in range(3)]
        running.show("desk-1", state="writing", done=1, total=3)
        told.append(json.loads(watching.stdout.readline()))
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=20)
    assert [one["event"] for one in told] == ["encoder", "encoder", "snapshot", "encoder"]
    assert told[-1]["done"] == 1


def test_no_bridge_at_a_named_socket_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "nobody"
    for arguments in (["jobs", "list"], ["encoders"], ["encode"], ["watch"], ["operator", "Kim"]):
        done = CliRunner().invoke(cli, [*arguments, "--socket", str(path)])
        assert (done.exit_code, done.stdout) == (69, "")
        assert done.stderr == f"No bridge listens at {path}: start it with 'encoder-bridge run'.\n"


def test_the_environment_names_the_socket(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODER_BRIDGE_SOCKET", str(running.path))
    assert CliRunner().invoke(cli, ["encoders"]).exit_code == 0


def test_the_environments_socket_is_no_key_of_the_configuration(tmp_path: Path) -> None:
    from encoder_bridge.config import load

    file = tmp_path / "c.toml"
    file.write_text(
        'site = "s"\ndesk = "d"\ntime_zone = "UTC"\nstore = "j"\n[encoders.e]\ndriver = "simulated"\nstock = "/c"\n'
    )
    assert load(file, {"ENCODER_BRIDGE_SOCKET": "/run/x"}).control_socket == tmp_path / "control.sock"


def test_the_command_line_does_without_the_daemons_libraries(running: Running) -> None:
    code = (
        "import sys; from encoder_bridge.cli import cli\n"
        f"try: cli(['encoders', '--socket', {str(running.path)!r}])\n"
        "except SystemExit: pass\n"
        "found = {'aiohttp', 'aiomqtt', 'paho', 'sqlite3', 'structlog', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def news_of(*jobs: Any) -> Any:
    from encoder_bridge.store import News

    return News(jobs={one.access_method_id: one for one in jobs})
