"""Which messages are the same need, what a job may become, and what is left of it."""

from __future__ import annotations

import base64
import fcntl
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge import sqlite, wire
from encoder_bridge.driver import Card, Evidence, Intent, Receipt
from encoder_bridge.errors import MalformedMessage, StoreError
from encoder_bridge.model import MOVES, OPEN, IllegalMove, Job, Problem, State, iso
from encoder_bridge.reports import ReplyAddress
from encoder_bridge.sqlite import open_alone
from encoder_bridge.store.work import Verdict

from .desk import CARD, DAY, MINUTE, OTHER_CARD, RULES, START, Desk, credential, rules

HOUR = 60 * MINUTE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    desk = Desk(path)
    yield desk
    desk.close()


def issued(desk: Desk, method: str = "m1") -> Job:
    """A need that arose an hour ago and was met now."""
    desk.need(method, at=desk.now - HOUR)
    job = desk.begin()
    assert desk.issue(job)
    return desk.job(job.job_id)


# The same message.


def test_a_message_that_comes_twice_is_answered_from_the_store(desk: Desk) -> None:
    assert desk.need(event_id="one", at=START).status == "accepted"
    again = desk.need(event_id="one", at=START)
    assert (again.status, again.state) == ("duplicate", "queued")
    desk.claim()
    assert desk.need(event_id="one", at=START).state == "waiting_for_card"
    assert len(desk.jobs()) == 1


def test_a_message_that_comes_again_after_the_end_is_told_the_end(desk: Desk) -> None:
    desk.need(event_id="one")
    desk.issue(desk.begin())
    desk.need(event_id="one", reply_to="answers/me")
    answer = desk.outbox("response")[-1]
    assert (answer["status"], answer["state"], answer["is_issued"]) == ("duplicate", "issued", True)
    assert desk.states() == [State.ISSUED]


def test_a_message_is_the_same_whichever_fields_nobody_heeds_have_changed(desk: Desk) -> None:
    desk.need(event_id="one", created_at=iso(START), workspace_id="w1")
    assert desk.need(event_id="one", created_at=iso(START + 5), workspace_id="w1").status == "duplicate"


@pytest.mark.parametrize(
    "change",
    [
        {"access_method_id": "m2"},
        {"credential": credential(fields={"room": "102"})},
        {"credential": credential(fields={"room": "101"}, data={"track": "AAAA"})},
        {"occurred_at": iso(START + 1)},
        {"encoder": "right"},
        {"event_type": "access_method.deleted"},
    ],
)
def test_one_id_with_two_contents_is_rejected_and_changes_nothing(desk: Desk, change: dict[str, Any]) -> None:
    first: dict[str, Any] = {"event_id": "one", "credential": credential(fields={"room": "101"})}
    desk.need(at=START, **first)
    before = desk.jobs(), desk.rows("personal"), desk.rows("contents")
    body = {"event_type": "access_method.card_encoding_required", "occurred_at": iso(START), **first, **change}
    method, kind = str(body.pop("access_method_id", "m1")), str(body.pop("event_type")).removeprefix("access_method.")
    answer = desk.send(kind, method, **body)
    assert answer.status == "rejected"
    assert answer.error is not None
    assert answer.error.type == "id_reuse"
    assert (desk.jobs(), desk.rows("personal"), desk.rows("contents")) == before


def test_what_is_known_of_a_message_says_nothing_of_contents_that_are_gone(path: Path, tmp_path: Path) -> None:
    digests = set()
    for name in ("one.db", "two.db"):
        desk = Desk(tmp_path / name)
        desk.need(event_id="one", credential=credential(data={"track": "AAAA"}))
        ((digest,),) = desk.connection.execute("SELECT digest FROM event").fetchall()
        digests.add(digest)
        desk.close()
    assert len(digests) == 2


# Another message for the same need.


def test_another_message_collapses_into_a_job_that_has_not_begun(desk: Desk) -> None:
    first = desk.need(at=START)
    second = desk.need(at=START + 1)
    assert (first.status, second.status) == ("accepted", "accepted")
    assert [(job.access_method_id, job.state) for job in desk.jobs()] == [("m1", State.QUEUED)]


def test_newer_contents_replace_older_ones(desk: Desk) -> None:
    desk.need(at=START, credential=credential("room", fields={"room": "101"}, data={"track": "AAAA"}))
    desk.need(at=START + 1, credential=credential("suite", entrances=["spa"], fields={"room": "102"}))
    given = desk.claim().credential
    assert (given.profile, given.entrances, dict(given.fields), dict(given.data)) == (
        "suite",
        ("spa",),
        {"room": "102"},
        {},
    )


def test_older_contents_do_not_replace_newer_ones(desk: Desk) -> None:
    desk.need(at=START, credential=credential(fields={"room": "102"}))
    assert desk.need(at=START - 1, credential=credential(fields={"room": "101"})).status == "accepted"
    assert dict(desk.claim().credential.fields) == {"room": "102"}


def test_a_message_without_contents_keeps_the_contents_of_the_one_before(desk: Desk) -> None:
    desk.need(at=START, credential=credential("suite", fields={"room": "101"}))
    desk.need(at=START + 1)
    given = desk.claim().credential
    assert (given.profile, dict(given.fields)) == ("suite", {"room": "101"})


def test_contents_that_name_no_profile_keep_the_one_before(path: Path) -> None:
    desk = Desk(path, rules(default_profile=None))
    desk.need(at=START, credential=credential("suite"))
    desk.need(at=START + 1, credential=credential(None, fields={"room": "102"}))
    assert desk.claim().credential.profile == "suite"
    desk.close()


def test_newer_contents_withdraw_the_running_prompt(desk: Desk) -> None:
    desk.need(at=START, credential=credential(fields={"room": "101"}))
    job = desk.claim().job
    desk.store.take_news()
    desk.need(at=START + 1, credential=credential(fields={"room": "102"}))
    news = desk.store.take_news()
    assert news is not None
    assert news.withdrawn
    assert desk.states() == [State.QUEUED]
    assert not desk.intend(job), "the old contents must not be written any more"
    assert dict(desk.claim().credential.fields) == {"room": "102"}


def test_identical_contents_do_not_disturb_the_running_prompt(desk: Desk) -> None:
    block = credential(fields={"room": "101"}, data={"track": "AAAA"}, ends_at=iso(START + DAY))
    desk.need(at=START, credential=block)
    job = desk.claim().job
    desk.store.take_news()
    assert desk.need(at=START + 1, credential=block).status == "accepted"
    assert desk.states() == [State.WAITING_FOR_CARD]
    news = desk.store.take_news()
    assert news is None or not news.withdrawn
    assert desk.intend(job)


@pytest.mark.parametrize("unsure", [False, True])
def test_a_need_that_comes_once_the_write_has_begun_queues_a_successor(desk: Desk, unsure: bool) -> None:
    desk.need(at=START)
    job = desk.begin()
    if unsure:
        desk.doubt(job)
    desk.now += MINUTE
    answer = desk.need(at=desk.now)
    assert answer.status == "accepted"
    assert desk.states() == [State.UNSURE if unsure else State.WRITING, State.QUEUED]
    assert desk.nothing_to_claim("right"), "a successor waits for its predecessor"


def test_a_successor_that_arose_after_the_contents_were_fixed_is_made_as_a_reissue(desk: Desk) -> None:
    desk.need(at=START)
    job = desk.begin()
    desk.now += MINUTE
    desk.need(at=desk.now)
    desk.issue(job)
    assert desk.states() == [State.ISSUED, State.QUEUED]
    desk.issue(desk.begin())
    assert [event["event_type"] for event in desk.outbox("event")] == [
        "access_method.issued",
        "access_method.reissued",
    ]


def test_a_successor_that_arose_before_the_contents_were_fixed_is_superseded(desk: Desk) -> None:
    desk.need(at=START - 10)
    job = desk.begin()
    desk.need(at=START - 5)
    desk.issue(job)
    assert desk.states() == [State.ISSUED, State.SUPERSEDED]


def test_a_successor_without_a_time_is_held_once_its_predecessor_is_issued(desk: Desk) -> None:
    desk.need(at=START)
    job = desk.begin()
    assert desk.need().status == "accepted"
    desk.issue(job)
    assert desk.states() == [State.ISSUED, State.HELD]
    assert desk.request("confirm")["status"] == "job"
    assert desk.states() == [State.ISSUED, State.QUEUED]


def test_a_successor_goes_on_when_its_predecessor_failed(desk: Desk) -> None:
    desk.need(at=START)
    job = desk.begin()
    desk.need()
    desk.do(desk.store.work.fail, job, Problem(type="no", message="no"), desk.now)
    assert desk.states() == [State.FAILED, State.QUEUED]
    assert desk.claim().job.job_id == 2


# After an issue.


def test_after_an_issue_a_later_need_is_a_re_encode(desk: Desk) -> None:
    job = issued(desk)
    assert job.issued_at == desk.now
    assert desk.need(at=desk.now + 1).status == "accepted"
    assert desk.states() == [State.ISSUED, State.QUEUED]
    assert desk.job(2).is_reissue


@pytest.mark.parametrize("earlier", [0, 1, HOUR, DAY])
def test_after_an_issue_an_older_need_is_stale(desk: Desk, earlier: int) -> None:
    issued(desk)
    answer = desk.need(at=desk.now - earlier)
    assert answer.status == "stale"
    assert desk.states() == [State.ISSUED]


def test_after_an_issue_a_need_without_a_time_is_held_until_somebody_confirms(desk: Desk) -> None:
    issued(desk)
    assert desk.need().status == "held"
    assert desk.nothing_to_claim()
    (told,) = [event for event in desk.outbox("event") if event["event_type"] == "encoder_bridge.job_held"]
    assert told["error"]["type"] == "confirmation_required"
    desk.request("confirm")
    assert desk.claim().job.job_id == 2


def test_a_held_need_goes_on_when_the_same_need_comes_with_a_later_time(desk: Desk) -> None:
    issued(desk)
    desk.need()
    assert desk.need(at=desk.now + 1).status == "accepted"
    assert desk.states() == [State.ISSUED, State.QUEUED]


def test_a_held_need_stays_held_when_it_comes_again_without_a_time(desk: Desk) -> None:
    issued(desk)
    desk.need()
    assert desk.need(credential=credential(fields={"room": "9"})).status == "held"
    assert desk.states() == [State.ISSUED, State.HELD]


def test_somebody_elses_issue_counts_as_an_issue(desk: Desk) -> None:
    desk.need(at=START)
    desk.send("issued", occurred_at=iso(START + 5))
    assert desk.states() == [State.ISSUED_ELSEWHERE]
    assert desk.need(at=START + 5).status == "stale"
    assert desk.need(at=START + 6).status == "accepted"
    assert desk.job(2).is_reissue


def test_somebody_elses_issue_does_not_meet_a_need_that_arose_later(desk: Desk) -> None:
    desk.need(at=START + 6)
    desk.send("issued", occurred_at=iso(START + 5))
    assert desk.states() == [State.QUEUED]


def test_an_issue_of_ours_that_comes_back_is_not_taken_for_somebody_elses(desk: Desk) -> None:
    desk.need()
    assert desk.send("issued", issued_by="bridge").status == "ignored"
    assert desk.states() == [State.QUEUED]


def test_somebody_elses_issue_withdraws_the_prompt(desk: Desk) -> None:
    desk.need(at=START)
    job = desk.claim().job
    desk.store.take_news()
    desk.send("issued", occurred_at=iso(START + 5))
    news = desk.store.take_news()
    assert news is not None
    assert news.withdrawn
    assert not desk.intend(job)


def test_somebody_elses_issue_while_the_card_is_written_ends_a_job_that_is_put_back(desk: Desk) -> None:
    desk.need(at=START)
    job = desk.begin()
    desk.send("issued", occurred_at=iso(START + 5))
    assert desk.states() == [State.WRITING]
    desk.requeue(job)
    assert desk.states() == [State.ISSUED_ELSEWHERE]


def test_a_confirmed_need_that_is_put_back_stays_confirmed(desk: Desk) -> None:
    desk.send("issued", occurred_at=iso(START - 5))
    desk.need()
    desk.request("confirm")
    desk.now += MINUTE
    desk.requeue(desk.begin())
    assert desk.states() == [State.QUEUED]


def test_a_cancelled_need_is_not_revived_by_an_older_message(desk: Desk) -> None:
    desk.need(at=START)
    desk.request("cancel")
    assert desk.need(at=START).status == "stale"
    assert desk.need(at=START + 1).status == "accepted"


# Deletions.


@pytest.mark.parametrize("state", ["held", "queued", "waiting_for_card"])
def test_a_deletion_ends_what_has_not_begun(path: Path, state: str) -> None:
    desk = Desk(path, rules(default_profile=None if state == "held" else "room"))
    desk.need()
    if state == "waiting_for_card":
        job = desk.claim().job
    assert desk.states() == [State(state)]
    desk.store.take_news()
    desk.delete()
    assert desk.states() == [State.CANCELLED]
    assert desk.nothing_to_claim()
    if state == "waiting_for_card":
        news = desk.store.take_news()
        assert news is not None
        assert news.withdrawn
        assert not desk.intend(job), "no card is started once the deletion is on disk"
    desk.close()


def test_a_need_that_comes_after_the_deletion_is_rejected(desk: Desk) -> None:
    assert desk.delete().status == "accepted"
    answer = desk.need(at=desk.now + HOUR)
    assert answer.status == "rejected"
    assert answer.error is not None
    assert answer.error.type == "credential_deleted"
    assert desk.jobs() == []


def test_a_deletion_while_the_card_is_written_lets_it_end_and_warns(desk: Desk) -> None:
    desk.need()
    job = desk.begin()
    desk.delete()
    assert desk.states() == [State.WRITING]
    assert desk.intend(job), "the note of a started write may still grow"
    desk.issue(job)
    (told,) = desk.outbox("event")
    assert told["is_issued"]
    assert [warning["type"] for warning in told["warnings"]] == ["being_deleted"]


def test_a_deletion_while_the_card_is_written_ends_the_successor(desk: Desk) -> None:
    desk.need()
    desk.begin()
    desk.need()
    desk.delete()
    assert desk.states() == [State.WRITING, State.CANCELLED]


def test_a_deletion_while_the_card_is_written_ends_a_job_that_is_put_back(desk: Desk) -> None:
    desk.need()
    job = desk.begin()
    desk.delete()
    desk.requeue(job)
    assert desk.states() == [State.CANCELLED]


@pytest.mark.parametrize("deleted_first", [True, False])
def test_a_deletion_of_an_unsure_job_ends_it_as_failed_and_names_the_card(desk: Desk, deleted_first: bool) -> None:
    desk.need()
    job = desk.begin()
    if deleted_first:
        desk.delete()
        desk.doubt(job)
    else:
        desk.doubt(job)
        desk.delete()
    ended = desk.job()
    assert ended.state is State.FAILED
    assert ended.error is not None
    assert ended.error.type == "credential_deleted"
    assert "04aa" in ended.error.message


def test_a_deletion_withdraws_the_look_at_an_unsure_card(desk: Desk) -> None:
    desk.need()
    desk.doubt(desk.begin())
    job = desk.claim().job
    desk.store.take_news()
    desk.delete()
    news = desk.store.take_news()
    assert news is not None
    assert news.withdrawn
    assert not desk.intend(job)
    assert not desk.issue(job)
    assert desk.states() == [State.FAILED]


def test_a_deletion_found_at_the_next_start_ends_what_was_being_written(desk: Desk) -> None:
    desk.need()
    desk.begin()
    desk.delete()
    later = desk.again()
    assert later.do(later.store.recovery.recover, later.now) == 1
    assert later.states() == [State.FAILED]
    later.close()


# Refusals.


def test_more_than_the_set_number_of_jobs_is_refused_and_not_remembered(path: Path) -> None:
    desk = Desk(path, rules(max_open=2))
    assert [desk.need(f"m{n}", event_id=f"e-{n}").status for n in range(3)] == ["accepted", "accepted", "refused"]
    assert desk.outbox("response")[-1]["error"]["type"] == "queue_full"
    assert len(desk.jobs()) == 2
    assert desk.need("m0").status == "accepted", "a need that is known takes no more room"
    desk.request("cancel", "m0")
    assert desk.need("m2", event_id="e-2").status == "accepted"
    desk.close()


def test_the_number_of_open_jobs_is_known_after_a_restart(path: Path) -> None:
    desk = Desk(path, rules(max_open=2))
    desk.need("m1")
    desk.issue(desk.begin())
    desk.need("m2")
    desk.need("m3")
    later = desk.again(rules(max_open=2))
    assert later.need("m4").status == "refused"
    later.close()
    desk.close()


def test_an_encoder_that_is_not_here_is_refused_by_the_names_of_those_that_are(desk: Desk) -> None:
    answer = desk.need(encoder="attic")
    assert answer.status == "rejected"
    assert answer.error is not None
    assert answer.error.type == "unknown_encoder"
    assert "left, right" in answer.error.message
    assert "attic" not in answer.error.message
    assert desk.need(encoder="right").status == "accepted"
    assert desk.nothing_to_claim("left")
    assert desk.claim("right").job.encoder == "right"


@pytest.mark.parametrize("past", [{"expires_at": iso(START)}, {"credential": credential(ends_at=iso(START - 1))}])
def test_a_need_whose_time_has_passed_is_rejected(desk: Desk, past: dict[str, Any]) -> None:
    answer = desk.need(**past)
    assert answer.status == "rejected"
    assert answer.error is not None
    assert answer.error.type == "validity_past"


def test_a_message_nobody_can_act_on_is_kept_and_answered(desk: Desk) -> None:
    problem = MalformedMessage("invalid_json", "No JSON.", message_id=None)
    bad = b'{"event_id": "e1", "credential": {"fields": {"guest": "Jane"}}, "note": "hers"}'
    desk.do(desk.store.needs.reject, "trigger", problem, bad, ReplyAddress(topic="me"), desk.now)
    ((_, at, verb, size, error, shown),) = desk.rows("poison")
    assert (at, verb, size, error) == (desk.now, "trigger", len(bad), "invalid_json")
    assert '"e1"' in shown
    assert "Jane" not in shown
    assert "hers" not in shown
    (answer,) = desk.outbox("response")
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "invalid_json")


# Held for want of a profile.


def test_a_need_that_names_no_profile_is_held_and_says_so(path: Path) -> None:
    desk = Desk(path, rules(default_profile=None))
    assert desk.need().status == "held"
    assert desk.outbox("event")[-1]["error"]["type"] == "profile_missing"
    assert desk.nothing_to_claim()
    assert desk.request("confirm")["error"]["type"] == "profile_missing"
    assert desk.need(credential=credential("suite")).status == "accepted"
    assert desk.claim().credential.profile == "suite"
    desk.close()


def test_a_need_held_for_its_profile_goes_on_once_one_is_configured(path: Path) -> None:
    desk = Desk(path, rules(default_profile=None))
    desk.need()
    later = desk.again(rules(default_profile="enrol"))
    later.do(later.store.recovery.recover, later.now)
    assert later.claim().credential.profile == "enrol"
    later.close()
    desk.close()


def test_a_need_held_for_a_confirmation_is_not_released_by_a_configured_profile(path: Path) -> None:
    desk = Desk(path, rules(default_profile=None))
    desk.need(at=START - 1, credential=credential("room"))
    desk.issue(desk.begin())
    assert desk.need().status == "held"
    later = desk.again(rules(default_profile="enrol"))
    later.do(later.store.recovery.recover, later.now)
    assert later.states() == [State.ISSUED, State.HELD]
    later.request("confirm")
    assert later.states() == [State.ISSUED, State.QUEUED]
    later.close()
    desk.close()


def test_a_successor_without_time_and_profile_still_wants_confirmation_when_a_profile_is_configured(path: Path) -> None:
    desk = Desk(path, rules(default_profile=None))
    desk.need(at=START, credential=credential("room"))
    job = desk.begin()
    assert desk.need().status == "held"
    desk.issue(job)
    later = desk.again(rules(default_profile="enrol"))
    later.do(later.store.recovery.recover, later.now)
    assert later.states() == [State.ISSUED, State.HELD]
    later.request("confirm")
    assert later.states() == [State.ISSUED, State.QUEUED]
    later.close()
    desk.close()


# Moves.


def test_a_job_moves_along_the_arrows_and_nowhere_else(desk: Desk) -> None:
    desk.need()
    ledger = desk.store.work._ledger
    for start, to in itertools.product(State, State):
        desk.connection.execute("BEGIN")
        desk.connection.execute("UPDATE job SET state = ?, open = ?", (start, 1 if start in OPEN else None))
        job = desk.job()
        if to in MOVES[start]:
            assert ledger.move(job, to, desk.now).state is to
        else:
            with pytest.raises(IllegalMove, match=f"job 1: {start} -> {to}"):
                ledger.move(job, to, desk.now)
            assert desk.job() == job
            assert desk.outbox("event") == []
        desk.connection.execute("ROLLBACK")


def test_what_has_ended_stays_ended() -> None:
    ended = {State.ISSUED, State.FAILED, State.CANCELLED, State.EXPIRED, State.SUPERSEDED, State.ISSUED_ELSEWHERE}
    assert set(MOVES) == set(State)
    assert {state for state, moves in MOVES.items() if not moves} == ended


def test_only_a_started_write_can_end_as_issued() -> None:
    assert {state for state, moves in MOVES.items() if State.ISSUED in moves} == {State.WRITING, State.UNSURE}


# An encoder at work.


def test_a_job_is_given_to_one_encoder_only(desk: Desk) -> None:
    desk.need()
    desk.claim("left")
    assert desk.nothing_to_claim("right")


def test_jobs_are_given_in_the_order_of_arrival(desk: Desk) -> None:
    for name in ("m3", "m1", "m2"):
        desk.need(name)
    assert [desk.claim().job.access_method_id for _ in range(3)] == ["m3", "m1", "m2"]


def test_a_job_whose_person_did_not_come_goes_behind_the_others(desk: Desk) -> None:
    desk.need("m1")
    desk.need("m2")
    desk.now += 1
    desk.requeue(desk.claim().job, yields=True)
    assert [desk.claim().job.access_method_id for _ in range(2)] == ["m2", "m1"]


def test_an_older_attempt_changes_nothing_any_more(desk: Desk) -> None:
    desk.need()
    old = desk.claim().job
    desk.requeue(old)
    new = desk.claim().job
    assert not desk.intend(old)
    assert not desk.issue(old)
    desk.requeue(old)
    desk.doubt(old)
    desk.do(desk.store.work.fail, old, Problem(type="no", message="no"), desk.now)
    assert desk.states() == [State.WAITING_FOR_CARD]
    assert desk.intend(new)
    assert "late_receipt" in [row[4] for row in desk.rows("attempt")]


def test_a_job_that_is_put_back_unwritten_may_be_served_by_any_encoder(desk: Desk) -> None:
    desk.need()
    desk.requeue(desk.begin("left"))
    assert desk.claim("right").job.job_id == 1


def test_a_job_that_asked_for_an_encoder_is_put_back_for_that_one(desk: Desk) -> None:
    desk.need(encoder="left")
    desk.requeue(desk.begin("left"))
    assert desk.nothing_to_claim("right")
    assert desk.claim("left").job.job_id == 1


def test_an_unsure_job_goes_back_to_the_encoder_that_wrote_it(desk: Desk) -> None:
    desk.need()
    desk.doubt(desk.begin("left"))
    assert desk.nothing_to_claim("right")
    assignment = desk.claim("left")
    assert assignment.resumes
    assert assignment.job.intent is not None
    assert assignment.job.intent.card == CARD


def test_an_unsure_job_stays_unsure_when_it_is_put_back_or_fails(desk: Desk) -> None:
    desk.need()
    desk.doubt(desk.begin())
    desk.requeue(desk.claim().job)
    assert desk.states() == [State.UNSURE]
    desk.do(desk.store.work.fail, desk.claim().job, Problem(type="no", message="no"), desk.now)
    assert desk.states() == [State.UNSURE]


def test_a_write_that_was_taken_up_again_and_is_put_back_is_as_unsure_as_before(desk: Desk) -> None:
    desk.need()
    desk.doubt(desk.begin())
    desk.requeue(desk.begin())
    assert desk.states() == [State.UNSURE]
    assert desk.claim().resumes


def test_an_unsure_job_that_no_card_can_take_is_not_tried_again_at_once(desk: Desk) -> None:
    desk.need()
    desk.doubt(desk.begin())
    desk.do(desk.store.work.fail, desk.claim().job, Problem(type="no", message="no"), desk.now)
    assignment, ready_at = desk.do(desk.store.turns.claim, "left", desk.now)
    assert assignment is None
    assert ready_at is not None
    assert ready_at > desk.now


def test_what_is_given_to_an_encoder_is_the_same_in_every_attempt(desk: Desk) -> None:
    desk.need(credential=credential(entrances=["101"], fields={"room": "101"}))
    first = desk.claim()
    desk.intend(first.job)
    desk.doubt(first.job)
    assert desk.claim().credential == first.credential


def test_at_the_start_what_was_asked_for_is_queued_and_what_was_written_is_unsure(desk: Desk) -> None:
    desk.need("m1")
    desk.need("m2")
    desk.need("m3")
    desk.begin()
    desk.claim()
    later = desk.again()
    assert later.do(later.store.recovery.recover, later.now) == 1
    assert later.states() == [State.UNSURE, State.QUEUED, State.QUEUED]
    later.close()


def test_what_waits_past_its_time_expires_and_what_is_written_does_not(desk: Desk) -> None:
    for name in ("m1", "m2", "m3", "m4"):
        desk.need(name, expires_at=iso(START + MINUTE if name != "m4" else START + HOUR))
    desk.begin()
    desk.claim()
    assert desk.do(desk.store.waiting.expire, START + MINUTE - 1) == START + MINUTE
    assert desk.do(desk.store.waiting.expire, START + MINUTE) == START + HOUR
    assert desk.states() == [State.WRITING, State.EXPIRED, State.EXPIRED, State.QUEUED]
    told = [event for event in desk.outbox("event") if event["state"] == "expired"]
    assert [event["is_issued"] for event in told] == [False, False]


def test_an_expired_job_is_not_given_out_even_before_it_was_noticed(desk: Desk) -> None:
    desk.need(expires_at=iso(START + MINUTE))
    desk.now += MINUTE
    assert desk.nothing_to_claim()


def test_a_card_is_not_started_after_its_time_even_before_that_was_noticed(desk: Desk) -> None:
    desk.need(expires_at=iso(START + MINUTE))
    job = desk.claim().job
    desk.now += MINUTE
    assert not desk.intend(job)


# Words of the people.


@pytest.mark.parametrize("verb", ["cancel", "confirm", "job"])
def test_a_word_to_a_job_nobody_knows_is_rejected(desk: Desk, verb: str) -> None:
    answer = desk.request(verb)
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "unknown_job")


def test_a_cancelled_job_withdraws_its_prompt_and_makes_no_card(desk: Desk) -> None:
    desk.need()
    job = desk.claim().job
    desk.store.take_news()
    assert desk.request("cancel")["state"] == "cancelled"
    news = desk.store.take_news()
    assert news is not None
    assert news.withdrawn
    assert not desk.intend(job)


def test_a_card_that_is_being_written_cannot_be_cancelled(desk: Desk) -> None:
    desk.need()
    desk.begin()
    answer = desk.request("cancel")
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "card_being_written")
    assert desk.states() == [State.WRITING]


def test_an_unsure_job_that_is_cancelled_failed_and_names_the_card_to_destroy(desk: Desk) -> None:
    desk.need()
    desk.doubt(desk.begin())
    assert desk.request("cancel")["state"] == "failed"
    error = desk.job().error
    assert error is not None
    assert "04aa" in error.message
    assert "destroy" in error.message


def test_a_job_is_told_where_it_stands(desk: Desk) -> None:
    desk.need()
    desk.begin()
    assert desk.request("job")["state"] == "writing"


# What is told.


def test_the_end_and_its_report_are_one_commit(desk: Desk) -> None:
    desk.need(reply_to="answers/me")
    desk.forget_outbox()
    job = desk.begin()
    assert desk.outbox("event") == []
    desk.issue(job)
    (event,), (state,), (answer,) = desk.outbox("event"), desk.outbox("state"), desk.outbox("response")
    assert (event["is_issued"], event["evidence"], event["issued_by"]) == (True, "read_back", "bridge")
    assert state["state"] == "issued"
    assert answer["status"] == "issued"


def test_reports_stay_until_they_were_told_in_the_order_they_arose(desk: Desk) -> None:
    desk.need("m1")
    desk.need("m2")
    desk.issue(desk.begin())
    first = desk.store.outbox.pending(1)
    assert desk.store.outbox.pending(1) == first
    everything = [message.report_id for message in desk.store.outbox.pending(100)]
    assert everything == sorted(everything)
    desk.do(desk.store.outbox.told, [first[0].report_id])
    assert [message.report_id for message in desk.store.outbox.pending(100)] == everything[1:]


def test_a_report_has_the_same_id_whenever_it_is_made_and_no_other_report_has_it(desk: Desk) -> None:
    for name, card in (("m1", CARD), ("m2", OTHER_CARD)):
        desk.need(name)
        job = desk.begin(card=card)
        desk.doubt(job)
        job = desk.claim().job
        desk.doubt(job)
        job = desk.claim().job
        assert desk.intend(job, card=card)
        desk.doubt(job)
        desk.issue(desk.claim().job)
    identities = [event["event_id"] for event in desk.outbox("event")]
    assert len(identities) == len(set(identities)) == 6


def test_a_job_that_is_held_a_second_time_tells_it_under_another_id(path: Path) -> None:
    desk = Desk(path, rules(default_profile=None))
    desk.need(at=START, credential=credential("room"))
    job = desk.begin()
    desk.need()
    desk.need(credential=credential("room"))
    desk.issue(job)
    held = [event for event in desk.outbox("event") if event["state"] == "held"]
    assert [event["error"]["type"] for event in held] == ["profile_missing", "confirmation_required"]
    assert held[0]["event_id"] != held[1]["event_id"]
    desk.close()


def test_everybody_who_asked_for_a_job_is_told_its_end(desk: Desk) -> None:
    desk.need(event_id="one", reply_to="answers/one")
    desk.need(event_id="two", reply_to="answers/two")
    desk.forget_outbox()
    desk.issue(desk.begin())
    messages = [message for message in desk.store.outbox.pending(100) if message.kind == "response"]
    assert [message.reply.topic for message in messages] == ["answers/one", "answers/two"]


def test_the_attempts_log_cannot_be_rewritten(desk: Desk) -> None:
    desk.need()
    desk.begin()
    before = desk.rows("attempt")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        desk.connection.execute("UPDATE attempt SET what = 'nothing'")
    assert desk.rows("attempt") == before


def test_the_attempts_log_tells_who_did_what_to_which_card(desk: Desk) -> None:
    desk.need()
    job = desk.begin("right")
    desk.doubt(job)
    desk.issue(desk.claim("right").job)
    log = [(row[2], row[4], row[5], row[6]) for row in desk.rows("attempt")]
    assert log == [
        (1, "prompted", "right", None),
        (1, "intended", "right", "04aa"),
        (1, "unsure", None, None),
        (2, "resumed", "right", None),
        (2, "issued", "right", "04aa"),
    ]


# Secrets and personal data.

SECRET = b"the-contents-of-a-card"
GUEST = "Ms Violetta Guest"


def with_secrets(guest: str = GUEST, secret: bytes = SECRET) -> dict[str, Any]:
    block = credential(fields={"guest": guest}, data={"track": base64.b64encode(secret).decode()})
    return {"credential": block}


def findable(secret: bytes, where: bytes) -> bool:
    """Whether the secret is there, as it is or as base64 at any offset."""
    return secret in where or base64.b64encode(secret)[:-4] in where


def in_clear(desk: Desk) -> bool:
    """Whether anything of what `with_secrets` brought can be read from the disk."""
    disk = desk.bytes_on_disk()
    return findable(SECRET, disk) or GUEST.encode() in disk


def sealed_rows(desk: Desk, table: str) -> list[bytes]:
    """What lies on the disk, as text, for the rows of a sealed table."""
    return [text.encode() for _, text in desk.rows(table)]


def ended(desk: Desk, end: str) -> None:
    if end == "issued":
        desk.issue(desk.begin())
    elif end == "failed":
        desk.do(desk.store.work.fail, desk.begin(), Problem(type="no", message="no"), desk.now)
    elif end == "cancelled":
        desk.request("cancel")
    elif end == "deleted":
        desk.delete()
    elif end == "expired":
        desk.do(desk.store.waiting.expire, desk.now + 8 * DAY)
    elif end == "issued_elsewhere":
        desk.send("issued")


def test_what_a_trigger_brought_never_lies_on_the_disk_in_clear(desk: Desk) -> None:
    desk.need(at=START, **with_secrets())
    assert not in_clear(desk)
    desk.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert not in_clear(desk), "nor in the database itself"
    desk.need(at=START + 1, **with_secrets(secret=b"other", guest="Another Guest"))
    desk.need(at=START + 2, **with_secrets())
    given = desk.claim().credential
    assert (given.fields["guest"], given.data["track"]) == (GUEST, SECRET), "who makes the card has them"
    job = desk.newest()
    desk.intend(job)
    desk.doubt(job)
    assert not in_clear(desk)
    desk.issue(desk.claim().job)
    assert not in_clear(desk)
    desk.connection.execute("VACUUM")
    assert not in_clear(desk)


@pytest.mark.parametrize("end", ["issued", "failed", "cancelled", "deleted", "expired", "issued_elsewhere"])
def test_contents_are_gone_from_the_disk_once_the_job_has_ended(desk: Desk, end: str) -> None:
    desk.need(**with_secrets())
    (row,) = sealed_rows(desk, "contents")
    desk.store.retention.tidy()
    assert row in desk.bytes_on_disk(), "an open job keeps its contents"
    ended(desk, end)
    assert desk.rows("contents") == []
    desk.store.retention.tidy()
    assert row not in desk.bytes_on_disk()
    assert desk.outbox("event")


def test_contents_that_were_replaced_are_gone_from_the_disk_too(desk: Desk) -> None:
    desk.need(at=START, **with_secrets())
    (contents,), (fields,) = sealed_rows(desk, "contents"), sealed_rows(desk, "personal")
    desk.store.retention.tidy()
    desk.need(at=START + 1, credential=credential(fields={"guest": "another"}))
    desk.store.retention.tidy()
    assert contents not in desk.bytes_on_disk()
    assert fields not in desk.bytes_on_disk()


def test_contents_of_a_job_that_ended_just_before_a_crash_are_gone_after_the_next_start(desk: Desk) -> None:
    desk.need(**with_secrets())
    (row,) = sealed_rows(desk, "contents")
    desk.issue(desk.begin())
    assert row in desk.bytes_on_disk()
    later = desk.again()
    later.do(later.store.recovery.recover, later.now)
    later.store.retention.tidy()
    assert row not in later.bytes_on_disk()
    later.close()


def test_tidying_waits_for_somebody_who_reads_and_is_done_later(desk: Desk) -> None:
    desk.need(**with_secrets())
    (row,) = sealed_rows(desk, "contents")
    desk.connection.execute("PRAGMA busy_timeout = 0")
    reader = sqlite3.connect(desk.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM job").fetchall()
    desk.issue(desk.begin())
    desk.store.retention.tidy()
    assert row in desk.bytes_on_disk()
    reader.execute("COMMIT")
    reader.close()
    desk.store.retention.tidy()
    assert row not in desk.bytes_on_disk()


def test_neither_contents_nor_personal_data_are_in_a_report_or_the_attempts_log(desk: Desk) -> None:
    desk.need(reply_to="answers/me", **with_secrets())
    desk.issue(desk.begin())
    told = "".join(message.body for message in desk.store.outbox.pending(100)) + repr(desk.rows("attempt"))
    assert GUEST not in told
    assert not findable(SECRET, told.encode())


def test_personal_data_can_be_erased_without_touching_the_history(desk: Desk) -> None:
    desk.need(**with_secrets())
    desk.issue(desk.begin())
    jobs, attempts = desk.jobs(), desk.rows("attempt")
    desk.connection.execute("DELETE FROM personal")
    assert (desk.jobs(), desk.rows("attempt")) == (jobs, attempts)
    assert GUEST not in repr([desk.rows(table) for table in ("job", "event", "attempt", "outbox", "method")])


# Forgetting.


def test_what_ended_90_days_ago_is_forgotten_and_what_is_open_is_not(desk: Desk) -> None:
    past = with_secrets()["credential"] | {"ends_at": iso(START + DAY)}
    desk.need("done", event_id="done", credential=past)
    desk.issue(desk.begin())
    desk.need("open", event_id="open", expires_at=iso(START + 400 * DAY), **with_secrets())
    desk.need("unsure", event_id="unsure")
    desk.begin(card=OTHER_CARD)
    desk.doubt(desk.begin(card=Card(technology="test", uid="04cc")))
    desk.now += RULES.keep_history_ms
    desk.need("fresh")
    desk.do(desk.store.retention.prune, desk.now)
    assert len(desk.jobs()) == 4, "90 days are not over yet"
    desk.now += 1
    assert not desk.do(desk.store.retention.prune, desk.now)
    assert [job.access_method_id for job in desk.jobs()] == ["open", "unsure", "fresh"]
    assert {row[1] for row in desk.rows("attempt")} == {2, 3}
    assert [row[0] for row in desk.rows("personal")] == [2]
    assert [row[0] for row in desk.rows("contents")] == [2]
    assert desk.need("open", event_id="open", expires_at=iso(START + 400 * DAY), **with_secrets()).status == "duplicate"


def test_ids_are_known_for_90_days(desk: Desk) -> None:
    desk.need(event_id="one", at=START)
    desk.issue(desk.begin())
    desk.now += RULES.keep_history_ms
    desk.do(desk.store.retention.prune, desk.now)
    assert desk.need(event_id="one", at=START).status == "duplicate"


def test_a_report_nobody_has_heard_yet_is_kept_whatever_its_age(desk: Desk) -> None:
    desk.need()
    desk.issue(desk.begin())
    before = desk.store.outbox.pending(100)
    desk.do(desk.store.retention.prune, desk.now + 2 * RULES.keep_history_ms)
    assert desk.store.outbox.pending(100) == before


# Whose store it is.


def test_two_bridges_cannot_work_on_one_store(path: Path) -> None:
    with open_alone(path) as connection:
        with pytest.raises(StoreError, match="Another bridge"), open_alone(path):
            pass
        connection.execute("SELECT 1")
    with open_alone(path):
        pass


@dataclass
class Impatience:
    """In place of the clock: time passes only while somebody sleeps, and then something happens."""

    then: Callable[[], None]
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now > 0.5:
            self.then()


def test_the_lock_of_a_bridge_that_was_killed_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with path.with_name("store.db.lock").open("w") as dying:
        fcntl.flock(dying, fcntl.LOCK_EX)
        time = Impatience(then=lambda: fcntl.flock(dying, fcntl.LOCK_UN))
        monkeypatch.setattr(sqlite, "time", time)
        with open_alone(path):
            assert 0.5 < time.now < 1


def test_a_lock_is_not_waited_for_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with path.with_name("store.db.lock").open("w") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        time = Impatience(then=lambda: None)
        monkeypatch.setattr(sqlite, "time", time)
        with pytest.raises(StoreError, match="Another bridge"), open_alone(path):
            pass
    assert 1 <= time.now < 2


def test_an_operation_that_raises_leaves_the_store_as_it_was(desk: Desk) -> None:
    desk.need()
    before = list(desk.connection.iterdump()) if isinstance(desk.connection, sqlite3.Connection) else []

    def half() -> None:
        desk.store.turns.claim("left", desk.now)
        raise IllegalMove

    with pytest.raises(IllegalMove):
        desk.do(half)
    assert isinstance(desk.connection, sqlite3.Connection)
    assert list(desk.connection.iterdump()) == before


def test_a_receipt_without_a_card_is_as_good_as_one_with(desk: Desk) -> None:
    desk.need()
    job = desk.claim().job
    desk.intend(job, card=None)
    desk.do(desk.store.work.issue, job, Receipt(evidence=Evidence.ATTESTED, card=None), desk.now)
    (event,) = desk.outbox("event")
    assert event["evidence"] == "attested"
    assert "card" not in event


def test_the_card_that_was_intended_is_named_while_it_is_unsure(desk: Desk) -> None:
    desk.need()
    job = desk.claim().job
    desk.intend(job, card=Card(technology="test", uid="04bb"))
    desk.doubt(job)
    (event,) = desk.outbox("event")
    assert (event["state"], event["is_issued"], event["card"]["uid"]) == ("unsure", False, "04bb")


def test_a_job_whose_encoder_is_not_configured_any_more_may_go_to_any(path: Path) -> None:
    desk = Desk(path, rules(encoders={"left": "one", "old": "one"}))
    desk.need(encoder="old")
    desk.close()
    desk = Desk(path, rules(encoders={"left": "one"}))
    assert desk.nothing_to_claim("left")
    desk.do(desk.store.recovery.recover, desk.now)
    assert not desk.nothing_to_claim("left")


# Whose card it is.


def test_a_card_that_is_to_be_looked_at_for_another_job_is_left_alone(desk: Desk) -> None:
    desk.need("m1")
    desk.need("m2")
    desk.doubt(desk.begin(), retry_at=desk.now + MINUTE)
    job = desk.claim("right").job
    assert desk.do(desk.store.work.intend, job, "right", Intent(card=CARD), desk.now) is Verdict.CARD_IN_USE
    assert desk.job(2).state is State.WAITING_FOR_CARD
    assert desk.intend(job, "right", card=OTHER_CARD)


def test_a_card_that_still_serves_another_guest_is_left_alone_until_its_time_is_over(desk: Desk) -> None:
    desk.need("m1", credential=credential(ends_at=iso(START + DAY)))
    desk.issue(desk.begin())
    desk.need("m2")
    job = desk.claim().job
    assert not desk.intend(job)
    desk.now = START + DAY + 1
    assert desk.intend(job)


def test_a_card_whose_access_method_was_deleted_may_be_used_again(desk: Desk) -> None:
    desk.need("m1", credential=credential(ends_at=iso(START + DAY)))
    desk.issue(desk.begin())
    desk.send("deleted", "m1")
    desk.need("m2")
    assert desk.intend(desk.claim().job)


def test_a_card_may_be_written_again_for_its_own_access_method(desk: Desk) -> None:
    desk.need("m1", credential=credential(ends_at=iso(START + DAY)))
    desk.issue(desk.begin())
    desk.now += MINUTE
    desk.need("m1", at=desk.now, credential=credential(ends_at=iso(START + 2 * DAY)))
    assert desk.intend(desk.claim().job)


# What comes twice, and clocks.


def test_a_cancellation_that_is_delivered_twice_does_not_cancel_the_next_need(desk: Desk) -> None:
    desk.need("m1")
    cancel = wire.Request(id="once", access_method_id="m1")
    desk.do(desk.store.requests.cancel, cancel, ReplyAddress(), desk.now)
    desk.now += MINUTE
    desk.need("m1", at=desk.now)
    desk.do(desk.store.requests.cancel, cancel, ReplyAddress(), desk.now)
    assert [job.state for job in desk.jobs()] == [State.CANCELLED, State.QUEUED]


def test_a_cancellation_takes_off_the_job_in_doubt_and_its_successor(desk: Desk) -> None:
    desk.need("m1")
    desk.doubt(desk.begin())
    desk.need("m1")
    cancel = wire.Request(id="first", access_method_id="m1")
    desk.do(desk.store.requests.cancel, cancel, ReplyAddress(), desk.now)
    assert [job.state for job in desk.jobs()] == [State.FAILED, State.CANCELLED]


def test_a_word_to_a_job_that_has_ended_says_so(desk: Desk) -> None:
    desk.need("m1")
    desk.issue(desk.begin())
    answer = desk.request("cancel")
    assert (answer["status"], answer["error"]["type"], answer["state"]) == ("rejected", "job_ended", "issued")


def test_a_clock_far_ahead_of_the_last_message_makes_nothing_forgotten(desk: Desk) -> None:
    desk.send("deleted", "gone")
    desk.do(desk.store.retention.prune, desk.now + RULES.keep_history_ms + 1)
    assert desk.need("gone").status == "rejected"


def test_a_clock_that_is_put_back_does_not_keep_a_card_from_being_looked_at(desk: Desk) -> None:
    desk.need()
    desk.doubt(desk.begin(), retry_at=desk.now + MINUTE)
    assert desk.nothing_to_claim()
    desk.now -= 60 * MINUTE
    assert not desk.nothing_to_claim()


def test_a_repetition_whose_job_is_forgotten_is_still_a_repetition(desk: Desk) -> None:
    desk.need("m1", event_id="one", at=START)
    desk.do(desk.connection.execute, "DELETE FROM job")
    assert desk.need("m1", event_id="one", at=START).status == "duplicate"


def test_an_attempt_that_ended_in_no_way_of_its_own_is_let_go_of(desk: Desk) -> None:
    desk.need("m1")
    desk.need("m2")
    asked = desk.claim().job
    desk.do(desk.store.work.abandon, asked, desk.now)
    assert desk.job(1).state is State.QUEUED
    begun = desk.begin()
    desk.do(desk.store.work.abandon, begun, desk.now)
    assert desk.job(begun.job_id).state is State.UNSURE


def test_an_unsure_job_whose_encoder_is_gone_says_so(path: Path) -> None:
    desk = Desk(path, rules(encoders={"left": "one"}))
    desk.need()
    desk.doubt(desk.begin())
    desk.close()
    desk = desk.again(rules(encoders={"right": "one"}))
    desk.do(desk.store.recovery.recover, desk.now)
    error = desk.job(1).error
    assert error is not None
    assert error.type == "encoder_gone"


def test_a_later_message_that_only_names_another_encoder_or_end_is_heeded(desk: Desk) -> None:
    desk.need(encoder="left")
    asked = desk.claim("left").job
    desk.need(encoder="right", expires_at=iso(START + MINUTE))
    assert not desk.intend(asked), "the prompt moved on"
    assert desk.nothing_to_claim("left")
    assert desk.claim("right").job.expires_at == START + MINUTE
