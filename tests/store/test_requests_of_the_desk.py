"""What a person may ask of a job: once more, here, that card is gone; and who asked is written down."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge import wire
from encoder_bridge.model import State, iso

from .desk import CARD, DAY, MINUTE, OTHER_CARD, START, Desk, credential, rules

ENCODERS = {"left": "one", "right": "one", "swipe": "two"}
SECRET = base64.b64encode(b"track").decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    desk = Desk(path, rules(encoders=ENCODERS))
    yield desk
    desk.close()


def rejected(answer: dict[str, Any]) -> str:
    """Why a request was rejected."""
    assert answer["status"] == "rejected"
    return str(answer["error"]["type"])


def in_doubt(desk: Desk, method: str = "m1", encoder: str = "left", **fields: Any) -> None:
    desk.need(method, **fields)
    desk.doubt(desk.begin(encoder))


# Retry.


def test_a_job_in_the_queue_is_tried_next_when_somebody_says_so(desk: Desk) -> None:
    for name in ("m1", "m2", "m3"):
        desk.need(name)
    assert desk.request("retry", "m3")["state"] == "queued"
    assert [desk.claim().job.access_method_id for _ in range(3)] == ["m3", "m1", "m2"]


def test_a_job_that_pauses_is_tried_at_once_when_somebody_says_so(desk: Desk) -> None:
    in_doubt(desk)
    desk.fail(desk.claim().job)
    assert desk.nothing_to_claim()
    assert desk.request("retry")["state"] == "unsure"
    assert desk.claim().resumes


def test_a_job_whose_card_is_being_written_cannot_be_tried_again(desk: Desk) -> None:
    desk.need()
    desk.begin()
    assert rejected(desk.request("retry")) == "card_being_written"


def test_a_held_job_is_not_let_go_by_a_retry(path: Path) -> None:
    desk = Desk(path, rules(default_profile=None))
    desk.need()
    assert rejected(desk.request("retry")) == "profile_missing"
    assert desk.states() == [State.HELD]
    desk.close()


def test_a_retry_means_the_job_in_doubt_before_its_successor(desk: Desk) -> None:
    in_doubt(desk, at=START)
    desk.need(at=START + 1)
    desk.request("retry")
    assert [line["what"] for line in desk.log(1)][-1] == "retried"
    assert desk.log(2) == []


@pytest.mark.parametrize("end", ["failed", "cancelled", "expired"])
def test_a_job_that_ended_without_a_card_is_opened_again_with_its_contents(desk: Desk, end: str) -> None:
    block = credential("suite", entrances=["101"], fields={"guest": "Ms Guest"}, starts_at=iso(START))
    desk.need(credential=block, access_grant_ids=["g1"], requester="booking")
    if end == "failed":
        desk.fail(desk.begin())
    elif end == "cancelled":
        desk.request("cancel")
    else:
        desk.do(desk.store.waiting.expire, START + 8 * DAY)
    answer = desk.request("retry", id="again")
    assert (answer["status"], answer["state"]) == ("job", "queued")
    assert desk.states() == [State(end), State.QUEUED]
    given = desk.claim()
    assert (given.credential.profile, given.credential.entrances) == ("suite", ("101",))
    assert dict(given.credential.fields) == {"guest": "Ms Guest"}
    assert (given.job.event_id, given.job.requester) == ("request/retry/again", "booking")
    assert given.job.origin == {"access_grant_ids": ["g1"]}


def test_a_job_that_was_opened_again_is_reported_like_any_other(desk: Desk) -> None:
    desk.need()
    desk.request("cancel")
    desk.request("retry")
    desk.issue(desk.begin())
    assert [event["event_type"] for event in desk.outbox("event")] == [
        "encoder_bridge.job_cancelled",
        "access_method.issued",
    ]


def test_a_job_whose_contents_are_gone_is_not_opened_again(desk: Desk) -> None:
    desk.need(credential=credential(fields={"guest": "Ms Guest"}, data={"track": SECRET}))
    desk.request("cancel")
    assert rejected(desk.request("retry")) == "contents_missing"
    assert desk.states() == [State.CANCELLED]


def test_a_job_whose_guest_was_erased_is_not_opened_again(desk: Desk) -> None:
    desk.need(credential=credential(fields={"guest": "Ms Guest"}))
    desk.request("cancel")
    desk.do(desk.store.guests.forget, wire.EraseGuest(id="x", who="Ms Guest"), desk.now)
    assert rejected(desk.request("retry")) == "contents_missing"


def test_a_job_whose_stay_is_over_is_not_opened_again(desk: Desk) -> None:
    desk.need(credential=credential(ends_at=iso(START + DAY)))
    desk.request("cancel")
    desk.now = START + DAY
    assert rejected(desk.request("retry")) == "validity_past"


def test_a_job_that_never_had_a_profile_is_opened_again_with_the_default_or_not_at_all(path: Path) -> None:
    desk = Desk(path, rules(default_profile=None))
    desk.need()
    desk.request("cancel")
    assert rejected(desk.request("retry")) == "profile_missing"
    later = desk.restart(rules(default_profile="enrol"))
    assert later.request("retry")["state"] == "queued"
    assert later.claim().credential.profile == "enrol"
    later.close()


def test_a_job_whose_encoder_is_gone_is_opened_again_for_any(desk: Desk) -> None:
    desk.need(encoder="right")
    desk.request("cancel")
    later = desk.restart(rules(encoders={"left": "one"}))
    later.request("retry")
    assert later.claim("left").job.encoder is None
    later.close()


@pytest.mark.parametrize(
    ("end", "reason"),
    [("issued", "cannot_retry"), ("issued_elsewhere", "cannot_retry"), ("deleted", "credential_deleted")],
)
def test_what_has_its_card_or_is_gone_is_not_opened_again(desk: Desk, end: str, reason: str) -> None:
    desk.need()
    if end == "issued":
        desk.issue(desk.begin())
    elif end == "issued_elsewhere":
        desk.send("issued")
    else:
        desk.delete()
    assert rejected(desk.request("retry")) == reason
    assert len(desk.jobs()) == 1


# Claim.


def test_a_claimed_job_is_made_at_that_encoder_and_next(desk: Desk) -> None:
    desk.need("m1")
    desk.need("m2")
    answer = desk.request("claim", "m2", encoder="swipe")
    assert (answer["status"], answer["state"]) == ("job", "queued")
    assert desk.claim("swipe").job.access_method_id == "m2"
    assert desk.claim("left").job.access_method_id == "m1"
    assert desk.nothing_to_claim("right")


def test_a_claim_overrules_the_encoder_that_was_asked_for(desk: Desk) -> None:
    desk.need(encoder="left")
    desk.request("claim", encoder="swipe")
    assert desk.nothing_to_claim("left")
    assert desk.claim("swipe").job.encoder == "swipe"


def test_a_claim_takes_the_prompt_from_another_encoder(desk: Desk) -> None:
    desk.need()
    asked = desk.claim("left").job
    desk.store.take_news()
    assert desk.request("claim", encoder="right")["state"] == "queued"
    news = desk.store.take_news()
    assert news is not None
    assert news.withdrawn == {(asked.job_id, asked.attempt)}
    assert desk.nothing_to_claim("left")
    assert desk.claim("right").job.job_id == asked.job_id
    assert not desk.intend(asked, "left")


def test_a_held_job_that_is_claimed_is_still_held_for_what_it_lacks(path: Path) -> None:
    desk = Desk(path, rules(default_profile=None))
    desk.need()
    assert desk.request("claim", encoder="right")["state"] == "held"
    desk.need(credential=credential("room"))
    assert desk.nothing_to_claim("left")
    assert desk.claim("right").job.encoder == "right"
    desk.close()


def test_a_card_that_is_being_written_cannot_be_claimed(desk: Desk) -> None:
    desk.need()
    desk.begin("left")
    assert rejected(desk.request("claim", encoder="right")) == "card_being_written"
    assert desk.job().encoder == "left"


def test_a_card_in_doubt_may_be_looked_at_by_a_device_of_the_same_kind(desk: Desk) -> None:
    in_doubt(desk)
    assert desk.request("claim", encoder="right")["state"] == "unsure"
    assert desk.nothing_to_claim("left")
    assert desk.claim("right").resumes


def test_a_card_in_doubt_means_nothing_to_a_device_of_another_kind(desk: Desk) -> None:
    in_doubt(desk)
    assert rejected(desk.request("claim", encoder="swipe")) == "not_claimable"
    assert desk.claim("left").resumes


def test_nobody_goes_on_looking_for_a_card_in_doubt_that_another_encoder_claimed(desk: Desk) -> None:
    in_doubt(desk)
    looked_for = desk.claim("left").job
    desk.store.take_news()
    desk.request("claim", encoder="right")
    news = desk.store.take_news()
    assert news is not None
    assert news.withdrawn == {(looked_for.job_id, looked_for.attempt)}
    desk.claim("right")
    assert not desk.intend(looked_for, "left")
    assert not desk.issue(looked_for)
    assert desk.states() == [State.UNSURE]


def test_a_card_in_doubt_is_not_withdrawn_from_the_encoder_that_claims_it(desk: Desk) -> None:
    in_doubt(desk)
    desk.claim("left")
    desk.store.take_news()
    desk.request("claim", encoder="left")
    news = desk.store.take_news()
    assert news is not None
    assert not news.withdrawn


def test_an_encoder_that_is_not_here_claims_nothing(desk: Desk) -> None:
    desk.need()
    answer = desk.request("claim", encoder="attic")
    assert rejected(answer) == "unknown_encoder"
    assert "left, right, swipe" in answer["error"]["message"]


# Resolve.


@pytest.mark.parametrize("card", ["gone", "destroyed"])
def test_a_job_in_doubt_ends_when_its_card_will_not_come_back(desk: Desk, card: str) -> None:
    in_doubt(desk)
    desk.forget_outbox()
    answer = desk.request("resolve", card=card)
    assert (answer["status"], answer["state"], answer["is_issued"]) == ("job", "failed", False)
    assert desk.problem() == f"card_{card}"
    (event,) = desk.outbox("event")
    assert (event["event_type"], event["error"]["type"]) == ("access_method.failed_to_issue", f"card_{card}")
    assert event["card"]["uid"] == CARD.uid, "people have to know which card"
    assert desk.nothing_to_claim()


def test_the_desk_is_told_which_card_may_turn_up_again(desk: Desk) -> None:
    in_doubt(desk)
    desk.request("resolve", card="gone")
    error = desk.job().error
    assert error is not None
    assert error.values == {"card": CARD.uid}


def test_another_card_is_asked_for_in_its_place(desk: Desk) -> None:
    block = credential(entrances=["101"], fields={"guest": "Ms Guest"}, data={"track": SECRET})
    in_doubt(desk, credential=block)
    answer = desk.request("resolve", card="destroyed", again=True)
    assert answer["state"] == "queued"
    assert desk.states() == [State.FAILED, State.QUEUED]
    given = desk.claim()
    assert (dict(given.credential.fields), dict(given.credential.data)) == ({"guest": "Ms Guest"}, {"track": b"track"})
    assert not given.resumes
    assert [row[0] for row in desk.rows("contents")] == [2], "the one that ended keeps none"
    assert desk.intend(given.job, card=OTHER_CARD)


def test_the_card_of_a_job_that_was_resolved_may_be_written_again(desk: Desk) -> None:
    in_doubt(desk)
    desk.request("resolve", card="gone", again=True)
    assert desk.intend(desk.claim().job, card=CARD)


def test_a_look_at_a_card_ends_when_that_card_is_gone(desk: Desk) -> None:
    in_doubt(desk)
    job = desk.claim().job
    desk.store.take_news()
    desk.request("resolve", card="gone")
    news = desk.store.take_news()
    assert news is not None
    assert news.withdrawn == {(job.job_id, job.attempt)}
    assert not desk.issue(job)


@pytest.mark.parametrize("again", [False, True])
def test_a_successor_that_is_open_already_is_the_other_card(desk: Desk, again: bool) -> None:
    in_doubt(desk, at=START)
    desk.need(at=START + 1)
    assert desk.request("resolve", card="gone", again=again)["status"] == "job"
    assert desk.states() == [State.FAILED, State.QUEUED]
    assert desk.claim().job.job_id == 2


def test_nothing_is_resolved_when_the_other_card_cannot_be_asked_for(desk: Desk) -> None:
    in_doubt(desk, credential=credential(ends_at=iso(START + DAY)))
    desk.now = START + DAY
    assert rejected(desk.request("resolve", card="gone", again=True)) == "validity_past"
    assert desk.states() == [State.UNSURE]
    assert desk.request("resolve", card="gone")["state"] == "failed"


@pytest.mark.parametrize("state", ["held", "queued", "waiting_for_card", "writing"])
def test_only_a_job_in_doubt_is_resolved(path: Path, state: str) -> None:
    desk = Desk(path, rules(default_profile=None if state == "held" else "room"))
    desk.need()
    if state == "waiting_for_card":
        desk.claim()
    elif state == "writing":
        desk.begin()
    assert rejected(desk.request("resolve", card="gone")) == "not_unsure"
    assert desk.states() == [State(state)]
    desk.close()


@pytest.mark.parametrize("verb", ["claim", "resolve", "cancel", "confirm"])
def test_a_word_to_a_job_that_ended_or_never_was_is_rejected(desk: Desk, verb: str) -> None:
    more = {"claim": {"encoder": "left"}, "resolve": {"card": "gone"}}.get(verb, {})
    assert rejected(desk.request(verb, **more)) == "unknown_job"
    desk.need()
    desk.issue(desk.begin())
    answer = desk.request(verb, **more)
    assert rejected(answer) == "job_ended"
    assert answer["state"] == "issued"


# The same request twice.


def confirmable(desk: Desk) -> None:
    desk.send("issued")
    desk.need()


def put_back(desk: Desk) -> None:
    desk.need("m0")
    desk.need("m1")


TWICE: dict[str, tuple[Callable[[Desk], None], dict[str, Any]]] = {
    "cancel": (put_back, {}),
    "confirm": (confirmable, {}),
    "retry": (put_back, {}),
    "claim": (put_back, {"encoder": "right"}),
    "resolve": (in_doubt, {"card": "gone", "again": True}),
}


def truth(desk: Desk) -> list[Any]:
    return [desk.rows(table) for table in ("job", "attempt", "sequence", "personal", "contents")]


@pytest.mark.parametrize("verb", TWICE)
def test_a_request_that_is_delivered_twice_does_its_work_once(desk: Desk, verb: str) -> None:
    prepare, more = TWICE[verb]
    prepare(desk)
    first = desk.request(verb, id="once", **more)
    assert first["status"] == "job"
    before = truth(desk)
    desk.now += MINUTE
    second = desk.request(verb, id="once", **more)
    assert truth(desk) == before
    assert (second["status"], second["state"]) == ("job", first["state"]), "and is answered like the first"


@pytest.mark.parametrize("verb", TWICE)
def test_the_work_of_a_request_is_done_once_even_across_a_restart(desk: Desk, verb: str) -> None:
    prepare, more = TWICE[verb]
    prepare(desk)
    desk.request(verb, id="once", **more)
    later = desk.restart(rules(encoders=ENCODERS))
    before = truth(later)
    later.request(verb, id="once", **more)
    assert truth(later) == before
    later.close()


def test_one_id_means_two_things_in_two_verbs(desk: Desk) -> None:
    desk.need()
    desk.request("claim", id="same", encoder="right")
    assert desk.request("cancel", id="same")["state"] == "cancelled"


def test_a_retry_that_is_delivered_twice_opens_one_job(desk: Desk) -> None:
    desk.need()
    desk.request("cancel")
    for _ in range(2):
        assert desk.request("retry", id="once")["state"] == "queued"
    assert desk.states() == [State.CANCELLED, State.QUEUED]


# Who it was.


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("cancel", "cancelled"),
        ("confirm", "confirmed"),
        ("retry", "retried"),
        ("claim", "claimed"),
        ("resolve", "card_gone"),
    ],
)
def test_the_log_has_who_asked_for_what(desk: Desk, verb: str, what: str) -> None:
    prepare, more = TWICE[verb]
    prepare(desk)
    desk.request(verb, requester="local:clerk", operator="Anna", **more)
    lines = [line for job in desk.jobs() for line in desk.log(job.job_id) if line["what"] == what]
    assert [(line["requester"], line["operator"]) for line in lines] == [("local:clerk", "Anna")]


def test_the_log_has_who_opened_a_job_again(desk: Desk) -> None:
    desk.need(requester="booking")
    desk.request("cancel", operator="Anna")
    desk.request("retry", requester="local:clerk", operator="Ben")
    (line,) = desk.log(2)
    assert (line["what"], line["requester"], line["operator"]) == ("retried", "local:clerk", "Ben")


def test_the_log_has_who_asked_for_a_card_and_who_was_at_the_desk(desk: Desk) -> None:
    desk.do(desk.store.guests.set_operator, wire.Operator(id="o", operator="Anna"))
    desk.need(requester="booking")
    job = desk.begin()
    desk.do(desk.store.guests.set_operator, wire.Operator(id="o", operator="Ben"))
    desk.issue(job)
    assert [(line["what"], line["requester"], line["operator"]) for line in desk.log()] == [
        ("prompted", "booking", "Anna"),
        ("intended", "booking", "Anna"),
        ("issued", "booking", "Ben"),
    ]
    assert desk.outbox("event")[-1]["requester"] == "booking"


def test_whoever_is_at_the_desk_is_so_after_a_restart_too_until_they_leave(desk: Desk) -> None:
    desk.do(desk.store.guests.set_operator, wire.Operator(id="o", operator="Anna"))
    later = desk.restart()
    later.need()
    later.claim()
    assert later.log()[-1]["operator"] == "Anna"
    later.do(later.store.guests.set_operator, wire.Operator(id="o"))
    again = later.restart()
    again.claim()
    assert again.log()[-1]["operator"] is None
    again.close()
