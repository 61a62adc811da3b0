"""A card that is finished after its job has ended: the world is told which one to destroy, and it is nobody's blank."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from encoder_bridge.driver import Card, Evidence, Receipt
from encoder_bridge.model import Job, Problem, State, iso

from .desk import CARD, DAY, OTHER_CARD, START, Desk, credential

NOT_WANTED = "encoder_bridge.card_not_wanted"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store.db")
    yield desk
    desk.close()


def late(desk: Desk, job: Job, card: Card | None = CARD) -> None:
    """A call that nobody waited for any more comes back with a card."""
    assert not desk.do(desk.store.work.issue, job, Receipt(evidence=Evidence.READ_BACK, card=card), desk.now)


def told(desk: Desk) -> list[str]:
    """The uids of the cards that nobody wants."""
    return [event["card"]["uid"] for event in desk.outbox("event") if event["event_type"] == NOT_WANTED]


def hung(desk: Desk) -> Job:
    """A job that was put back because its device did not come back with what it owes."""
    desk.need("m1", credential=credential(ends_at=iso(START + 8 * DAY)))
    job = desk.claim().job
    desk.requeue(job)
    return job


def ended(desk: Desk, end: str) -> Job:
    """An attempt at a job that has come to this end meanwhile."""
    if end == "failed":
        desk.need("m1", credential=credential(ends_at=iso(START + 8 * DAY)))
        job = desk.begin()
        desk.doubt(job)
        desk.request("resolve", card="gone")
        return job
    job = hung(desk)
    if end == "cancelled":
        desk.request("cancel")
    elif end == "expired":
        desk.do(desk.store.waiting.expire, START + 8 * DAY)
    else:
        desk.send("issued")
    assert desk.states() == [State(end)]
    return job


ENDS = pytest.mark.parametrize("end", ["failed", "cancelled", "expired", "issued_elsewhere"])


@ENDS
def test_a_card_that_comes_after_its_job_has_ended_is_told_to_the_world(desk: Desk, end: str) -> None:
    job = ended(desk, end)
    desk.forget_outbox()
    late(desk, job)
    (event,) = desk.outbox("event")
    assert (event["event_type"], event["access_method_id"], event["card"]["uid"], event["evidence"]) == (
        NOT_WANTED,
        "m1",
        CARD.uid,
        "read_back",
    )
    assert event["error"]["type"] == "late_receipt"
    assert desk.states() == [State(end)], "the job stays as it ended"
    assert [line["what"] for line in desk.log()][-1] == "late_receipt"


@ENDS
def test_a_card_that_came_too_late_is_known_and_may_be_used_again(desk: Desk, end: str) -> None:
    """Nobody wants it, and nothing better can happen to it."""
    late(desk, ended(desk, end))
    known = desk.store.cards.made_here(CARD.uid, desk.now)
    assert known is not None
    assert (known.access_method_id, known.is_valid, known.is_certain) == ("m1", True, False)
    desk.need("m2")
    assert desk.intend(desk.claim().job)


def test_a_card_that_came_too_late_is_remembered_after_a_restart(desk: Desk) -> None:
    late(desk, ended(desk, "cancelled"))
    later = desk.restart()
    assert told(later) == [CARD.uid]
    assert later.store.cards.made_here(CARD.uid, later.now) is not None
    later.close()


def test_a_second_card_for_a_job_that_was_issued_on_another_is_told(desk: Desk) -> None:
    job = hung(desk)
    desk.issue(desk.begin(card=OTHER_CARD))
    late(desk, job, CARD)
    assert told(desk) == [CARD.uid]
    known = desk.store.cards.made_here(OTHER_CARD.uid, desk.now)
    assert known is not None
    assert known.access_method_id == "m1", "the one that was issued is known as well"


def test_the_very_card_a_job_was_issued_on_is_told_once_as_issued(desk: Desk) -> None:
    desk.need()
    job = desk.begin()
    desk.doubt(job)
    desk.issue(desk.claim().job)
    late(desk, job)
    late(desk, desk.job())
    assert [event["event_type"] for event in desk.outbox("event")][-1] == "access_method.issued"
    assert told(desk) == []


def test_a_card_nobody_can_tell_from_the_issued_one_is_not_told(desk: Desk) -> None:
    desk.need()
    job = desk.claim().job
    desk.requeue(job)
    issued = desk.begin(card=None)
    assert desk.do(desk.store.work.issue, issued, Receipt(evidence=Evidence.ATTESTED, card=None), desk.now)
    late(desk, job, None)
    assert not [event for event in desk.outbox("event") if event["event_type"] == NOT_WANTED]


@pytest.mark.parametrize("state", [State.QUEUED, State.WAITING_FOR_CARD, State.WRITING, State.UNSURE])
def test_nothing_is_told_of_a_late_card_while_its_job_is_open(desk: Desk, state: State) -> None:
    desk.need()
    if state is State.UNSURE:
        job = desk.begin()
        desk.doubt(job)
        desk.claim()
    else:
        job = desk.claim().job
        desk.requeue(job)
    if state is State.WAITING_FOR_CARD:
        desk.claim()
    elif state is State.WRITING:
        desk.begin(card=OTHER_CARD)
    assert desk.job().state is state
    late(desk, job)
    assert told(desk) == []
    assert desk.job().state is state


def test_two_late_cards_of_one_job_are_two_reports(desk: Desk) -> None:
    desk.need()
    jobs = []
    for _ in range(2):
        job = desk.claim().job
        desk.requeue(job)
        jobs.append(job)
    desk.request("cancel")
    late(desk, jobs[0], CARD)
    late(desk, jobs[1], OTHER_CARD)
    assert told(desk) == [CARD.uid, OTHER_CARD.uid]
    identities = {event["event_id"] for event in desk.outbox("event")}
    assert len(identities) == len(desk.outbox("event"))


def test_a_job_that_failed_with_a_problem_of_its_own_is_told_with_the_late_cards(desk: Desk) -> None:
    desk.need()
    job = desk.claim().job
    desk.do(desk.store.work.fail, job, Problem(type="credential_rejected", message="no"), desk.now)
    late(desk, job)
    assert told(desk) == [CARD.uid]
