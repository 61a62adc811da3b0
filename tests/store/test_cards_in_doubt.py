"""Cards in doubt: what takes them off, what becomes of them after their stay, and what people are told meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from encoder_bridge.driver import Card, Evidence, Receipt
from encoder_bridge.model import State, iso
from encoder_bridge.store.views import Views

from .desk import CARD, DAY, MINUTE, OTHER_CARD, START, Desk, credential


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store.db")
    yield desk
    desk.close()


def in_doubt(desk: Desk, method: str = "m1", card: Card | None = CARD) -> None:
    desk.need(method, at=START, credential=credential(ends_at=iso(START + DAY)))
    desk.doubt(desk.begin(card=card))


def words(desk: Desk, job_id: int) -> list[str]:
    return [line["what"] for line in desk.log(job_id)]


def message(desk: Desk, job_id: int = 1) -> str:
    error = desk.job(job_id).error
    assert error is not None
    return error.message


# Cancelling.


def test_a_cancellation_gives_up_the_card_in_doubt_and_what_waits_behind_it(desk: Desk) -> None:
    in_doubt(desk)
    desk.need("m1", at=START + 1)
    answer = desk.request("cancel", operator="Anna")
    assert (answer["status"], answer["state"]) == ("job", "failed"), "the answer is about the card that may be there"
    assert "04aa" in answer["error"]["message"]
    assert desk.states() == [State.FAILED, State.CANCELLED]
    for job_id in (1, 2):
        assert (words(desk, job_id)[-1], desk.log(job_id)[-1]["operator"]) == ("cancelled", "Anna")


def test_a_cancellation_ends_the_look_at_a_card_in_doubt(desk: Desk) -> None:
    in_doubt(desk)
    job = desk.claim().job
    desk.store.take_news()
    desk.request("cancel")
    news = desk.store.take_news()
    assert news is not None
    assert (job.job_id, job.attempt) in news.withdrawn
    assert not desk.intend(job)


def test_a_cancellation_lets_the_card_that_is_written_end_and_takes_off_what_waits_behind_it(desk: Desk) -> None:
    desk.need("m1", at=START)
    job = desk.begin()
    desk.need("m1", at=START + 1)
    answer = desk.request("cancel")
    assert (answer["status"], answer["state"]) == ("job", "cancelled")
    assert desk.states() == [State.WRITING, State.CANCELLED]
    assert "cancelled" not in words(desk, 1)
    assert desk.issue(job)
    assert desk.states() == [State.ISSUED, State.CANCELLED]


def test_a_cancellation_of_a_card_that_is_written_changes_nothing(desk: Desk) -> None:
    desk.need("m1")
    job = desk.begin()
    before = desk.jobs(), desk.rows("attempt")
    assert desk.request("cancel")["error"]["type"] == "card_being_written"
    assert (desk.jobs(), desk.rows("attempt")) == before
    assert desk.issue(job)


def test_a_cancellation_leaves_other_access_methods_alone(desk: Desk) -> None:
    in_doubt(desk, "m1")
    desk.need("m2")
    desk.request("cancel", "m1")
    assert desk.states() == [State.FAILED, State.QUEUED]


# After the stay.


def test_a_card_in_doubt_is_not_written_to_after_its_stay_but_given_up_by_name(desk: Desk) -> None:
    in_doubt(desk)
    desk.now = START + DAY
    job = desk.claim().job
    desk.forget_outbox()
    assert not desk.intend(job)
    assert (desk.states(), desk.problem()) == ([State.FAILED], "validity_past")
    assert "04aa" in message(desk)
    assert words(desk, 1)[-1] == "resumed", "nothing was intended"
    (event,) = desk.outbox("event")
    assert (event["event_type"], event["error"]["type"]) == ("access_method.failed_to_issue", "validity_past")
    assert desk.nothing_to_claim()


def test_a_card_in_doubt_is_finished_until_the_last_moment_of_its_stay(desk: Desk) -> None:
    in_doubt(desk)
    desk.now = START + DAY - 1
    job = desk.claim().job
    assert desk.intend(job)
    desk.now += MINUTE
    assert desk.intend(job), "what is under way is brought to its end"
    assert desk.issue(job)


def test_a_card_in_doubt_that_nobody_saw_is_given_up_after_its_stay_too(desk: Desk) -> None:
    in_doubt(desk, card=None)
    desk.now = START + DAY
    assert not desk.intend(desk.claim().job, card=None)
    assert desk.problem() == "validity_past"
    assert "used last" in message(desk)


def test_a_card_in_doubt_that_turns_out_whole_is_issued_even_after_its_stay(desk: Desk) -> None:
    in_doubt(desk)
    desk.now = START + DAY
    assert desk.issue(desk.claim().job)
    assert desk.states() == [State.ISSUED]


def test_a_card_in_doubt_does_not_expire_unlooked_at(desk: Desk) -> None:
    in_doubt(desk)
    desk.now = START + 2 * DAY
    desk.do(desk.store.waiting.expire, desk.now)
    assert desk.states() == [State.UNSURE]


# A look that comes to nothing.


def test_a_look_that_comes_to_nothing_keeps_the_reason_and_counts_no_fault(desk: Desk) -> None:
    in_doubt(desk)
    for _ in range(5):
        job = desk.claim().job
        faults = desk.store.work.faults(job)
        desk.requeue(job)
        assert (desk.states(), desk.problem()) == ([State.UNSURE], "torn")
        assert desk.store.work.faults(job) == faults == 1
    assert words(desk, 1).count("put_back") == 5, "the log has all of them"


def test_a_look_that_had_begun_to_write_and_comes_to_nothing_keeps_the_reason(desk: Desk) -> None:
    in_doubt(desk)
    job = desk.begin()
    desk.requeue(job)
    assert (desk.states(), desk.problem()) == ([State.UNSURE], "torn")
    assert desk.store.work.faults(job) == 1


def test_after_a_look_that_came_to_nothing_the_others_have_their_turn(desk: Desk) -> None:
    in_doubt(desk)
    desk.now += 1
    desk.need("m2")
    desk.request("retry")
    looked = desk.claim().job
    assert looked.access_method_id == "m1"
    desk.now += 1
    desk.requeue(looked)
    assert desk.claim().job.access_method_id == "m2"


def test_a_look_that_comes_to_nothing_after_the_deletion_gives_the_card_up(desk: Desk) -> None:
    in_doubt(desk)
    job = desk.begin()
    desk.delete("m1")
    desk.requeue(job)
    assert (desk.states(), desk.problem()) == ([State.FAILED], "credential_deleted")


def test_a_look_that_came_to_nothing_is_news(desk: Desk) -> None:
    in_doubt(desk)
    job = desk.claim().job
    desk.store.take_news()
    desk.requeue(job)
    news = desk.store.take_news()
    assert news is not None
    assert news.queue, "an encoder may take it up again"


# What is shown.


def on(desk: Desk, method: str = "m1") -> set[int | None]:
    """The job that stands, as the reporters and whoever reads the store see it."""
    views = Views(desk.connection.execute)
    return {
        job.job_id if (job := standing.get(method)) else None
        for standing in (desk.store.outbox.standing(), views.standing())
    }


def news_of(desk: Desk, method: str = "m1") -> int:
    news = desk.store.take_news()
    assert news is not None
    return news.jobs[method].job_id


@pytest.mark.parametrize("state", [State.WRITING, State.UNSURE])
def test_the_job_that_is_on_is_shown_and_not_the_one_that_waits_behind_it(desk: Desk, state: State) -> None:
    desk.need("m1", at=START)
    job = desk.begin()
    if state is State.UNSURE:
        desk.doubt(job)
    desk.store.take_news()
    desk.need("m1", at=START + 1)
    assert desk.states() == [state, State.QUEUED]
    assert (on(desk), news_of(desk)) == ({1}, 1)


def test_the_one_that_waited_is_shown_once_it_is_on(desk: Desk) -> None:
    desk.need("m1", at=START)
    job = desk.begin()
    desk.need("m1", at=START + MINUTE)
    desk.store.take_news()
    desk.issue(job)
    assert desk.states() == [State.ISSUED, State.QUEUED]
    assert (on(desk), news_of(desk)) == ({2}, 2)


def test_what_becomes_of_the_one_that_waits_does_not_hide_the_doubt(desk: Desk) -> None:
    in_doubt(desk)
    desk.need("m1", at=START + 1, credential=credential(fields={"room": "1"}))
    desk.store.take_news()
    desk.need("m1", at=START + 2, encoder="right", credential=credential(fields={"room": "2"}))
    desk.do(desk.store.waiting.reconsider, {"left", "right"}, set(), desk.now)
    assert (on(desk), news_of(desk)) == ({1}, 1)


def test_nothing_stands_when_all_has_ended_and_the_end_is_news(desk: Desk) -> None:
    in_doubt(desk)
    desk.need("m1", at=START + 1)
    desk.store.take_news()
    desk.request("cancel")
    assert on(desk) == {None}
    news = desk.store.take_news()
    assert news is not None
    assert news.jobs["m1"].state is State.FAILED, "it names the card to destroy"


def test_what_stands_is_shown_in_the_order_in_which_it_came(desk: Desk) -> None:
    for method in ("m3", "m1", "m2"):
        desk.need(method, at=START)
    desk.doubt(desk.begin(card=OTHER_CARD))
    desk.need("m3", at=START + 1)
    for standing in (desk.store.outbox.standing(), Views(desk.connection.execute).standing()):
        assert [*standing] == ["m3", "m1", "m2"]


def test_a_receipt_for_the_card_in_doubt_ends_it_where_it_stands(desk: Desk) -> None:
    in_doubt(desk)
    desk.need("m1", at=START + 1)
    job = desk.claim().job
    assert desk.do(desk.store.work.issue, job, Receipt(evidence=Evidence.READ_BACK, card=CARD), desk.now)
    assert on(desk) in ({2}, {None})
    assert desk.job(1).state is State.ISSUED


def test_giving_up_a_card_in_doubt_names_the_card_to_the_person_at_the_desk_too(desk: Desk) -> None:
    desk.need("m1")
    desk.doubt(desk.begin())
    error = desk.request("cancel", "m1")["error"]
    assert error["message"].endswith("Card 04aa may carry it all the same: destroy that card.")
    assert error["clerk"].endswith("Destroy the card 04aa: it may open the door all the same.")
