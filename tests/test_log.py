from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge import log, redaction, wire
from encoder_bridge.driver import Credential, Unsure
from encoder_bridge.errors import ConfigError

GUEST = "Canary Guestmann"
SECRET = b"canary-s3cret\x00'\"\xff"
logger = log.get_logger("encoder_bridge.test")


@pytest.fixture(autouse=True)
def everything_is_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_concealed", {})
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def listen(level: str = "traffic", form: str = "json") -> io.StringIO:
    stream = io.StringIO()
    logging.getLogger().handlers.clear()  # pytest's own would quote what is to be hidden
    log.configure(level, form, stream=stream, environ={})
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def line(stream: io.StringIO) -> dict[str, Any]:
    (only,) = lines(stream)
    return only


def test_a_line_of_json_says_when_how_bad_who_and_what() -> None:
    stream = listen()
    logger.bind(encoder="desk-1").info("card written", job_id=7, technologies=["mifare", "ntag"])
    said = line(stream)
    assert said.pop("time").endswith("Z")
    assert said == {
        "level": "info",
        "logger": "encoder_bridge.test",
        "event": "card written",
        "encoder": "desk-1",
        "job_id": 7,
        "technologies": ["mifare", "ntag"],
    }


def test_a_drivers_own_logging_goes_the_same_way() -> None:
    stream = listen()
    logging.getLogger("acme").warning("reader %s is slow", 3)
    said = line(stream)
    assert (said["level"], said["logger"], said["event"]) == ("warning", "acme", "reader 3 is slow")


def test_text_is_one_line_for_one_event_and_carries_no_control_characters() -> None:
    stream = listen(form="text")
    logger.warning("card refused", encoder="desk-1", sentence="a\nb\x1b[31m", count=3)
    logging.getLogger("acme").info("first\nsecond")
    first, second = stream.getvalue().splitlines()
    told, where = "encoder=desk-1  sentence=a\\nb\N{REPLACEMENT CHARACTER}[31m  count=3", "(encoder_bridge.test)"
    assert first[9:] == f"warning card refused  {told}  {where}"
    assert second.endswith("first\\nsecond  (acme)")


def test_levels_below_the_chosen_one_are_silent() -> None:
    stream = listen("warning")
    logger.info("unheard")
    logger.traffic("in", "t", b"{}")
    logging.getLogger("acme").info("unheard")
    logger.error("heard")
    assert [said["event"] for said in lines(stream)] == ["heard"]


def test_libraries_are_heard_from_warnings_on_even_when_everything_is_logged() -> None:
    stream = listen("traffic")
    for name in ("mqtt", "aiomqtt", "paho", "asyncio"):
        logging.getLogger(name).info("unheard")
        logging.getLogger(name).warning("heard")
    assert [said["event"] for said in lines(stream)] == ["heard"] * 4


def test_configuring_again_replaces_the_stream() -> None:
    first, second = listen(), io.StringIO()
    log.configure("info", "json", stream=second, environ={})
    logger.info("once")
    assert not first.getvalue()
    assert len(lines(second)) == 1


def test_fields_that_are_not_on_the_list_are_hidden() -> None:
    stream = listen()
    logger.info(
        "job taken in",
        access_method_id="am_1",
        guest=GUEST,
        event_type=GUEST,
        fields={"guest": GUEST},
        state={"guest": GUEST},
        data=SECRET,
    )
    said = line(stream)
    assert said["access_method_id"] == "am_1"
    assert {said[key] for key in ("guest", "event_type", "fields", "state", "data")} == {"…"}


TRIGGER = {
    "event_id": "ev_1",
    "event_type": "access_method.card_encoding_required",
    "access_method_id": "am_1",
    "occurred_at": "2025-07-13T15:00:00Z",
    "guest_name": GUEST,
    GUEST: 1,
    "encoder": GUEST,
    "acs_system_id": [GUEST],
    "error": {"type": "x", "message": GUEST},
    "card": GUEST,
    "warnings": [GUEST, {"message": GUEST, "type": "being_deleted"}],
    "credential": {
        "profile": "guest",
        "starts_at": "2025-07-13T15:00:00Z",
        "entrances": [GUEST],
        "fields": {"guest": GUEST},
        "data": {"sector": "Y2FuYXJ5"},
    },
}


def test_a_message_on_the_wire_is_reduced_to_its_allowed_keys() -> None:
    stream = listen()
    logger.traffic("in", "encoder-bridge/site/desk/trigger", json.dumps(TRIGGER).encode())
    said = line(stream)
    assert (said["level"], said["direction"], said["topic"]) == ("traffic", "in", "encoder-bridge/site/desk/trigger")
    assert said["payload"] == {
        "event_id": "ev_1",
        "event_type": "access_method.card_encoding_required",
        "access_method_id": "am_1",
        "occurred_at": "2025-07-13T15:00:00Z",
        "guest_name": "…",
        "…": "…",
        "encoder": "…",
        "acs_system_id": ["…"],
        "error": {"type": "x", "message": "…"},
        "card": "…",
        "warnings": ["…", {"message": "…", "type": "being_deleted"}],
        "credential": {
            "profile": "guest",
            "starts_at": "2025-07-13T15:00:00Z",
            "entrances": "…",
            "fields": "…",
            "data": "…",
        },
    }


def test_our_own_sentences_are_shown_on_their_way_out() -> None:
    stream = listen()
    report = {"state": "failed", "error": {"type": "x", "message": "Lay down another card."}, "receipt": {"n": "1"}}
    logger.traffic("out", "a/b", json.dumps(report).encode())
    assert line(stream)["payload"] == {**report, "receipt": "…"}


@pytest.mark.parametrize("payload", [b"", GUEST.encode(), b'["' + GUEST.encode() + b'"]', b"\xff", b"[" * 50_000])
def test_what_is_no_object_is_shown_by_its_size(payload: bytes) -> None:
    stream = listen()
    logger.traffic("in", "guests/" + GUEST, payload)
    said = line(stream)
    assert said["payload"] == f"({len(payload)} bytes)"
    assert said["topic"] == "…"


def spellings(secret: bytes) -> list[str]:
    return [repr(secret), secret.hex(), secret.hex().upper(), secret.hex(" ")]


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_secret_is_replaced_wherever_it_turns_up(form: str) -> None:
    stream = listen(form=form)
    redaction.conceal(SECRET)
    redaction.conceal('canary-pässword "quoted"'.encode())
    driver = logging.getLogger("acme")
    for spelling in spellings(SECRET):
        driver.info("sending %s", spelling)
    driver.info("password is %s", 'canary-pässword "quoted"')
    driver.error("failed with %r", {"password": 'canary-pässword "quoted"'})
    logger.info('canary-pässword "quoted"', name='canary-pässword "quoted"')
    said = stream.getvalue()
    assert "canary" not in said
    assert SECRET.hex() not in said.lower().replace(" ", "")
    assert said.count("\n") == 7


def test_no_rest_of_a_secret_is_left_that_begins_like_another() -> None:
    stream = listen()
    for secret in (b"canary", b"canary-and-more", b"canary-and"):
        redaction.conceal(secret)
    logger.info("it is canary-and-more")
    assert line(stream)["event"] == "it is …"


def test_a_very_short_secret_does_not_blot_out_the_log() -> None:
    stream = listen()
    redaction.conceal(b"a")
    logger.info("a card")
    assert line(stream)["event"] == "a card"


def raise_with_locals(error: BaseException) -> None:
    guest = GUEST  # noqa: F841
    raise error


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError(GUEST), "ValueError: …"),
        (KeyError(GUEST), "KeyError: …"),
        (RuntimeError(), "RuntimeError"),
        (ConfigError("Do this."), "ConfigError: Do this."),
        (Unsure("Look at the card."), "Unsure: Look at the card."),
        (FileNotFoundError(2, "No such file or directory", "x.toml"), "FileNotFoundError: [Errno 2] No such file"),
        (sqlite3.OperationalError("disk is full"), "OperationalError: disk is full"),
        (ExceptionGroup(GUEST, [ValueError(GUEST)]), "ExceptionGroup: …"),
    ],
)
def test_an_exception_keeps_its_stack_and_loses_what_it_carries(error: Exception, shown: str) -> None:
    stream = listen()
    try:
        try:
            raise_with_locals(KeyError(GUEST))
        except KeyError as cause:
            raise error from cause
    except Exception as caught:
        logger.exception("bug", reason=caught)
        logging.getLogger("acme").exception("driver's bug")
    ours, theirs = lines(stream)
    assert ours["reason"].startswith(shown)
    for said in (ours, theirs):
        assert shown in said["exception"]
        assert "raise_with_locals" in said["exception"]
        assert "direct cause" in said["exception"]
    assert GUEST not in stream.getvalue()


def test_a_validation_error_shows_no_input() -> None:
    stream = listen()
    try:
        wire.Trigger.model_validate_json(json.dumps({**TRIGGER, "event_id": GUEST}))
    except ValueError:
        logger.exception("bug")
    assert "ValidationError: …" in line(stream)["exception"]
    assert GUEST not in stream.getvalue()


def test_an_exception_that_nobody_fetched_from_a_task_is_logged_without_its_repr() -> None:
    stream = listen()

    async def fails() -> None:
        raise_with_locals(ValueError(GUEST))

    async def forget() -> None:
        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        del task

    asyncio.run(forget())
    gc.collect()
    said = line(stream)
    assert said["event"] == "Task exception was never retrieved"
    assert "ValueError: …" in said["exception"]
    assert GUEST not in stream.getvalue()


def test_a_thread_that_dies_is_logged_without_what_it_carried() -> None:
    stream = listen()
    thread = threading.Thread(target=raise_with_locals, args=(ValueError(GUEST),))
    thread.start()
    thread.join()
    assert "ValueError: …" in line(stream)["exception"]
    assert GUEST not in stream.getvalue()


def test_a_line_that_cannot_be_made_is_told_without_its_contents(capsys: pytest.CaptureFixture[str]) -> None:
    stream = listen()
    logging.getLogger("acme").info("%d cards", GUEST)
    assert stream.getvalue().startswith("a line could not be logged (acme, test_log.py:")
    assert GUEST not in stream.getvalue()
    assert not capsys.readouterr().err


def test_a_stream_that_is_gone_ends_nothing() -> None:
    stream = listen()
    stream.close()
    logger.info("unheard")


def test_values_that_are_personal_are_in_no_repr() -> None:
    stream = listen()
    credential = Credential(
        access_method_id="am_1", profile="p", sequence=1, fields={"guest": GUEST}, data={"key": SECRET}
    )
    logging.getLogger("acme").info("encoding %s", credential)
    assert "canary" not in stream.getvalue().lower()


def run(code: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environ}, check=True
    )
    assert not done.stdout
    return done.stderr


SPEAK = """
import os, sys
if len(sys.argv) == 1 and os.environ.get("AS_JOURNAL"):
    status = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
from encoder_bridge import log
log.configure("info", os.environ["FORM"])
for say in (log.get_logger("a").info, log.get_logger("a").warning, log.get_logger("a").error):
    say("heard")
"""


def test_in_the_journal_a_line_is_json_behind_its_priority() -> None:
    said = run(SPEAK, AS_JOURNAL="1", FORM="auto").splitlines()
    assert [text[:4] for text in said] == ["<6>{", "<4>{", "<3>{"]
    assert json.loads(said[0][3:])["event"] == "heard"


def test_the_variable_alone_does_not_make_a_journal() -> None:
    assert "<6>" not in run(SPEAK, FORM="auto", JOURNAL_STREAM="1:1")
    assert run(SPEAK, FORM="json", AS_JOURNAL="1").startswith("{")
    assert "info    heard" in run(SPEAK, FORM="text", AS_JOURNAL="1")


def test_logging_loads_neither_rich_nor_a_command_line_library(tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ImportError('not here')")
    code = "import sys; from encoder_bridge import log, config; assert not {'click', 'typer'} & set(sys.modules)"
    assert not run(code, PYTHONPATH=str(tmp_path))
