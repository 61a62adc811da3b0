"""The id of a request: what was asked under it once is not done again, and it stands for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge import wire
from encoder_bridge.model import State, iso
from encoder_bridge.reports import ReplyAddress

from .desk import DAY, MINUTE, RULES, START, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store.db")
    yield desk
    desk.close()


def wanted(desk: Desk, method: str) -> None:
    desk.need(method, at=desk.now)


def in_doubt(desk: Desk, method: str) -> None:
    wanted(desk, method)
    desk.doubt(desk.begin(card=None))


def unconfirmed(desk: Desk, method: str) -> None:
    desk.send("issued", method)
    desk.need(method)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A request, what has to be there for it, and what it leaves in the log."""

    prepare: Callable[[Desk, str], None]
    leaves: str
    fields: dict[str, Any] = field(default_factory=dict)


VERBS = {
    "cancel": Verb(prepare=wanted, leaves="cancelled"),
    "confirm": Verb(prepare=unconfirmed, leaves="confirmed"),
    "retry": Verb(prepare=wanted, leaves="retried"),
    "claim": Verb(prepare=wanted, leaves="claimed", fields={"encoder": "right"}),
    "resolve": Verb(prepare=in_doubt, leaves="card_gone", fields={"card": "gone"}),
}
EVERY = pytest.mark.parametrize("verb", VERBS)


def ask(desk: Desk, verb: str, method: str = "m1", **more: Any) -> dict[str, Any]:
    return desk.request(verb, method, id="same", **{**VERBS[verb].fields, **more})


def done(desk: Desk, verb: str, method: str = "m1") -> int:
    """How often this was done to the jobs of an access method."""
    jobs = [job.job_id for job in desk.jobs() if job.access_method_id == method]
    return sum(line["what"] == VERBS[verb].leaves for job_id in jobs for line in desk.log(job_id))


@EVERY
def test_an_id_that_meant_something_else_is_refused_and_nothing_is_done(desk: Desk, verb: str) -> None:
    VERBS[verb].prepare(desk, "m1")
    assert ask(desk, verb)["status"] == "job"
    VERBS[verb].prepare(desk, "m2")
    before = desk.jobs()
    answer = ask(desk, verb, "m2")
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "id_reuse")
    assert (done(desk, verb, "m1"), done(desk, verb, "m2")) == (1, 0)
    assert desk.jobs() == before


@pytest.mark.parametrize(
    ("verb", "other"),
    [("claim", {"encoder": "left"}), ("resolve", {"card": "destroyed"}), ("resolve", {"again": True})],
)
def test_an_id_that_meant_the_same_job_otherwise_is_refused(desk: Desk, verb: str, other: dict[str, Any]) -> None:
    VERBS[verb].prepare(desk, "m1")
    ask(desk, verb)
    before = desk.jobs()
    assert ask(desk, verb, **other)["error"]["type"] == "id_reuse"
    assert desk.jobs() == before


@EVERY
def test_a_reused_id_is_refused_after_a_restart_too(desk: Desk, verb: str) -> None:
    VERBS[verb].prepare(desk, "m1")
    ask(desk, verb)
    later = desk.restart()
    assert ask(later, verb, "m2")["error"]["type"] == "id_reuse"
    later.close()


@EVERY
def test_a_request_that_was_rejected_may_be_asked_again_under_its_id(desk: Desk, verb: str) -> None:
    assert ask(desk, verb)["error"]["type"] == "unknown_job"
    VERBS[verb].prepare(desk, "m1")
    assert ask(desk, verb)["status"] == "job"
    assert done(desk, verb) == 1


@EVERY
def test_the_id_of_a_rejected_request_is_free_for_anything(desk: Desk, verb: str) -> None:
    assert ask(desk, verb, "m2")["error"]["type"] == "unknown_job"
    VERBS[verb].prepare(desk, "m1")
    assert ask(desk, verb, "m1")["status"] == "job"


def test_a_cancellation_that_came_while_the_card_was_written_may_be_sent_again(desk: Desk) -> None:
    wanted(desk, "m1")
    job = desk.begin()
    assert ask(desk, "cancel")["error"]["type"] == "card_being_written"
    desk.requeue(job)
    assert ask(desk, "cancel")["state"] == "cancelled"


@EVERY
def test_a_repeated_request_answers_and_does_nothing_to_what_came_since(desk: Desk, verb: str) -> None:
    VERBS[verb].prepare(desk, "m1")
    assert ask(desk, verb)["status"] == "job"
    desk.request("cancel")
    desk.now += MINUTE
    VERBS[verb].prepare(desk, "m1")  # the same word would mean something once more
    before = desk.jobs(), desk.rows("attempt")
    again = ask(desk, verb)
    assert (again["id"], again["status"], again["state"]) == ("same", "job", desk.newest().state)
    assert (desk.jobs(), desk.rows("attempt")) == before


@EVERY
def test_who_asks_and_until_when_does_not_make_it_another_request(desk: Desk, verb: str) -> None:
    VERBS[verb].prepare(desk, "m1")
    ask(desk, verb, operator="Anna", reply_to="here")
    again = ask(desk, verb, operator="Ben", reply_to="there", expires_at=iso(START + DAY))
    assert again["status"] == "job"
    assert done(desk, verb) == 1


def test_where_a_job_stands_may_be_asked_under_one_id_for_ever(desk: Desk) -> None:
    wanted(desk, "m1")
    assert desk.request("job", id="same")["state"] == "queued"
    wanted(desk, "m2")
    desk.claim()
    assert desk.request("job", id="same")["state"] == "waiting_for_card"
    assert desk.request("job", "m2", id="same")["state"] == "queued"


def test_the_id_of_a_request_is_forgotten_with_the_history(desk: Desk) -> None:
    wanted(desk, "m1")
    ask(desk, "cancel")
    desk.now += RULES.keep_history_ms + 1
    wanted(desk, "m2")
    desk.do(desk.store.retention.prune, desk.now)
    assert ask(desk, "cancel", "m2")["state"] == "cancelled"


@pytest.mark.parametrize("verb", ["read", "erase"])
def test_an_errand_is_done_once_it_has_its_answer_and_not_before(desk: Desk, verb: str) -> None:
    requests = desk.store.requests
    asked = wire.Read(id="q", encoder="left") if verb == "read" else wire.Erase(id="q", encoder="left")
    assert not requests.is_done(verb, asked)
    answer = wire.Response(id="q", status="failed", encoder="left")
    desk.do(requests.done, verb, asked, answer, ReplyAddress(), desk.now)
    assert requests.is_done(verb, asked)
    assert [body["status"] for body in desk.outbox("response")] == ["failed"]
    later = desk.restart()
    assert later.store.requests.is_done(verb, asked)
    other = "erase" if verb == "read" else "read"
    assert not later.store.requests.is_done(other, asked)
    later.close()


def test_a_job_that_a_retry_opened_is_opened_once(desk: Desk) -> None:
    wanted(desk, "m1")
    desk.request("cancel")
    ask(desk, "retry")
    desk.request("cancel")
    assert ask(desk, "retry")["state"] == "cancelled"
    assert desk.states() == [State.CANCELLED, State.CANCELLED]
