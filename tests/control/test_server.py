"""The API, over HTTP from the standard library."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import threading
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from control.rig import SINCE, Running, UnixConnection, insert, job, send, serving
from encoder_bridge import wire
from encoder_bridge.control.answers import status_of
from encoder_bridge.control.server import VERBS
from encoder_bridge.errors import StoreError
from encoder_bridge.model import State


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as running:
        yield running


def refused(answer: tuple[int, Any]) -> tuple[int, str]:
    status, body = answer
    assert body["status"] == "rejected"
    assert body["is_issued"] is False
    wire.Response.model_validate(body)
    return status, body["error"]["type"]


def test_health_tells_who_answers(running: Running) -> None:
    status, body = running.ask("GET", "/v1/health")
    assert status == 200
    assert (body["state"], body["site"], body["time_zone"]) == ("online", "harbour-hotel", "Asia/Tokyo")
    assert body["version"]


def test_a_store_that_is_gone_is_503(running: Running) -> None:
    running.intake.answers["trigger"] = StoreError("The store cannot be written (disk full): free some space.")
    status, body = running.ask("POST", "/v1/jobs", {})
    assert (status, body["error"]["message"]) == (503, "The store cannot be written (disk full): free some space.")
    running.connection.execute("DROP TABLE job")
    assert refused(running.ask("GET", "/v1/health")) == (503, "store_error")


def test_encoders_are_listed_in_the_configurations_order_with_what_they_do(running: Running) -> None:
    running.show("desk-2", state="waiting_for_card", prompt="place_card")
    running.board.abilities["desk-2"] = {"can": ["encode", "read"], "not_enforced": ["lift"]}
    status, body = running.ask("GET", "/v1/encoders")
    assert status == 200
    assert body["encoders"] == [
        {"name": "desk-1", "driver": "simulated", "state": "idle", "since": SINCE, "not_enforced": [], "warnings": []},
        {
            "name": "desk-2",
            "driver": "acme",
            "state": "waiting_for_card",
            "since": SINCE,
            "prompt": "place_card",
            "not_enforced": ["lift"],
            "warnings": [],
            "can": ["encode", "read"],
        },
    ]


def test_jobs_are_listed_by_state_and_limit(tmp_path: Path) -> None:
    with serving(tmp_path, job(1), job(2, State.HELD), job(3)) as running:

        def listed(query: str) -> list[int]:
            status, body = running.ask("GET", f"/v1/jobs{query}")
            assert status == 200
            return [job["job_id"] for job in body["jobs"]]

        assert listed("") == [3, 2, 1]
        assert listed("?state=held") == [2]
        assert listed("?limit=2") == [3, 2]
        for query in ("?state=x", "?limit=0", "?limit=x", "?limit=1001", "?limit=-1", f"?limit={'9' * 5000}"):
            assert refused(running.ask("GET", f"/v1/jobs{query}")) == (400, "invalid_message")


def test_a_job_is_shown_with_who_asked_its_number_its_route_and_its_attempts(running: Running) -> None:
    insert(running.connection, job(1, State.ISSUED, "am_1"))
    insert(
        running.connection,
        job(2, State.QUEUED, "am_1"),
        requester="pms",
        sequence=7,
        route='["desk-1"]',
        backup='["desk-2"]',
        warnings='[{"type": "sequence_window", "message": "Two more."}]',
    )
    running.connection.execute(
        "INSERT INTO attempt (job_id, attempt, at, what, encoder, card, detail, requester, operator)"
        " VALUES (2, 1, 1752321600000, 'intended', 'desk-1', '04a1', '{\"digest\": \"ab\"}', 'pms', 'Kim')"
    )
    status, body = running.ask("GET", "/v1/jobs/am_1")
    assert status == 200
    assert [job["job_id"] for job in body["jobs"]] == [2, 1]
    newest = body["jobs"][0]
    assert (newest["requester"], newest["sequence"]) == ("pms", 7)
    assert (newest["route"], newest["backup"]) == (["desk-1"], ["desk-2"])
    (warning,) = newest["warnings"]
    assert (warning["type"], warning["message"]) == ("sequence_window", "Two more.")
    assert warning["clerk"].startswith("For this room, several new cards were made")
    assert newest["attempts"] == [
        {
            "attempt": 1,
            "at": SINCE,
            "what": "intended",
            "encoder": "desk-1",
            "card": "04a1",
            "detail": {"digest": "ab"},
            "requester": "pms",
            "operator": "Kim",
        }
    ]
    assert running.ask("GET", "/v1/jobs/1")[1]["jobs"][0]["job_id"] == 1
    assert refused(running.ask("GET", "/v1/jobs/am_9")) == (404, "unknown_job")


def test_no_answer_holds_anything_personal(running: Running) -> None:
    insert(running.connection, job(1))
    running.connection.execute('INSERT INTO personal VALUES (1, \'{"guest": "Canary Guestmann"}\')')
    running.connection.execute('INSERT INTO contents VALUES (1, \'{"key": "Canary"}\')')
    for path in ("/v1/jobs", "/v1/jobs/1"):
        assert "Canary" not in json.dumps(running.ask("GET", path))


def test_a_trigger_is_taken_in_under_the_name_of_who_sent_it(running: Running) -> None:
    running.intake.answers["trigger"] = wire.Response(id="ev_1", status="accepted", state="queued")
    status, body = running.ask("POST", "/v1/jobs", {"event_id": "ev_1"})
    assert (status, body) == (202, {"id": "ev_1", "status": "accepted", "state": "queued", "is_issued": False})
    (arrived,) = running.intake.arrived
    assert (arrived.verb, arrived.payload, arrived.reply) == ("trigger", b'{"event_id": "ev_1"}', None)
    assert arrived.requester == f"local:{pwd.getpwuid(os.getuid()).pw_name}"


def test_what_nobody_has_a_use_for_is_said_to_be_ignored(running: Running) -> None:
    assert running.ask("POST", "/v1/jobs", {"event_id": "ev_1"}) == (
        200,
        {"id": "ev_1", "status": "ignored", "is_issued": False},
    )


def test_every_verb_reaches_the_intake_and_nothing_else_does(running: Running) -> None:
    for verb in VERBS:
        running.intake.answers[verb] = wire.Response(id="r", status="done")
        assert running.ask("POST", f"/v1/requests/{verb}", {"id": "r"})[0] == 200
    assert [envelope.verb for envelope in running.intake.arrived] == list(VERBS)
    assert {"cancel", "confirm", "retry", "resolve", "claim", "job", "read", "erase"} <= set(VERBS)
    assert {"erase-guest", "operator"} <= set(VERBS)
    for verb in ("trigger", "format-disk", "%2e%2e"):
        assert refused(running.ask("POST", f"/v1/requests/{verb}", {"id": "r"}))[0] == 404
    assert len(running.intake.arrived) == len(VERBS)


@pytest.mark.parametrize(
    ("word", "error", "expected"),
    [
        ("accepted", None, 202),
        ("held", "profile_missing", 202),
        ("duplicate", None, 200),
        ("ignored", None, 200),
        ("stale", "stale", 409),
        ("refused", "queue_full", 429),
        ("refused", "clock_not_set", 503),
        ("rejected", "bridge_stopping", 503),
        ("rejected", "invalid_json", 400),
        ("rejected", "missing_field", 400),
        ("rejected", "expired", 400),
        ("rejected", "payload_too_large", 413),
        ("rejected", "unknown_job", 404),
        ("rejected", "unknown_request", 404),
        ("rejected", "job_ended", 409),
        ("rejected", "a_word_of_tomorrow", 409),
        ("job", None, 200),
        ("job", "encoder_not_online", 200),
        ("read", None, 200),
        ("failed", "no_credential_on_encoder", 409),
        ("unsure", "erase_unsure", 409),
        ("done", None, 200),
    ],
)
def test_the_http_status_says_what_the_body_says(word: Any, error: str | None, expected: int) -> None:
    problem = wire.Problem(type=error, message="m") if error else None
    assert status_of(wire.Response(status=word, error=problem)) == expected


def test_every_status_word_has_an_http_status() -> None:
    words = wire.Response.model_json_schema()["properties"]["status"]["enum"]
    assert all(isinstance(status_of(wire.Response(status=word)), HTTPStatus) for word in words)


def test_a_web_page_is_refused_whatever_it_asks_for(running: Running) -> None:
    origin = {"Origin": "http://evil.example"}
    for method, path in (("GET", "/v1/jobs"), ("GET", "/v1/events"), ("POST", "/v1/jobs"), ("GET", "/nowhere")):
        body: object = {} if method == "POST" else None
        assert refused(running.ask(method, path, body, origin)) == (403, "origin_refused")
    assert refused(running.ask("GET", "/v1/health", None, {"Origin": ""})) == (403, "origin_refused")
    assert not running.intake.arrived


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_what_a_form_can_send_is_refused(running: Running, kind: str) -> None:
    answer = running.ask("POST", "/v1/jobs", b'{"event_id": "ev_1"}', {"Content-Type": kind})
    assert refused(answer) == (415, "content_type_refused")
    assert not running.intake.arrived


def test_a_body_of_64_kib_is_taken_and_a_larger_one_is_not(running: Running) -> None:
    running.intake.answers["trigger"] = wire.Response(status="accepted")
    assert running.ask("POST", "/v1/jobs", b" " * wire.MAX_PAYLOAD_BYTES)[0] == 202
    assert refused(running.ask("POST", "/v1/jobs", b" " * (wire.MAX_PAYLOAD_BYTES + 1))) == (413, "payload_too_large")
    assert len(running.intake.arrived) == 1


def test_paths_and_methods_that_are_not_there_are_told_in_json(running: Running) -> None:
    assert refused(running.ask("GET", "/")) == (404, "unknown_path")
    assert refused(running.ask("DELETE", "/v1/jobs")) == (405, "method_not_allowed")


def test_a_bug_is_logged_and_answered_without_its_words(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    running.intake.answers["trigger"] = RuntimeError("canary")
    status, body = running.ask("POST", "/v1/jobs", {})
    assert (status, body["error"]["type"]) == (500, "internal_error")
    assert "canary" not in json.dumps(body)
    assert running.ask("GET", "/v1/health")[0] == 200


def test_a_reader_that_goes_while_it_waits_for_a_card_withdraws(running: Running) -> None:
    running.intake.answers["read"] = running.intake.wait_for_a_card
    with closing(UnixConnection(running.path)) as connection:
        connection.request("POST", "/v1/requests/read", b"{}", {"Content-Type": "application/json"})
        assert running.intake.waits.wait(10)
        assert not running.intake.withdrawn.is_set()
    assert running.intake.withdrawn.wait(10)
    assert running.ask("GET", "/v1/health")[0] == 200


def test_whoever_waits_for_a_card_is_told_that_the_bridge_stops(running: Running) -> None:
    running.intake.answers["erase"] = running.intake.wait_for_a_card
    told: list[tuple[int, Any]] = []
    asking = threading.Thread(target=lambda: told.append(running.ask("POST", "/v1/requests/erase", {"id": "e"})))
    asking.start()
    assert running.intake.waits.wait(10)
    running.stop()
    asking.join(10)
    assert refused(told[0]) == (503, "bridge_stopping")
    assert running.intake.withdrawn.is_set()


def test_a_request_that_is_being_committed_is_answered_though_the_bridge_stops(running: Running) -> None:
    begun = threading.Event()

    async def commit(_: object) -> wire.Response:
        begun.set()
        while not running.control._is_stopping:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return wire.Response(id="c", status="job")

    running.intake.answers["cancel"] = commit
    told: list[tuple[int, Any]] = []
    asking = threading.Thread(target=lambda: told.append(running.ask("POST", "/v1/requests/cancel", {"id": "c"})))
    asking.start()
    assert begun.wait(10)
    running.stop()
    asking.join(10)
    assert told == [(200, {"id": "c", "status": "job", "is_issued": False})]


def test_one_connection_serves_many_requests(running: Running) -> None:
    with closing(UnixConnection(running.path)) as connection:
        for _ in range(3):
            response = send(connection, "GET", "/v1/health")
            assert response.status == 200
            response.read()
