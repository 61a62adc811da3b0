"""What is known of a card outlives the history for as long as it opens doors, and whatever becomes of its erasure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge.driver import Card, Evidence, Intent, Receipt
from encoder_bridge.model import Problem, State, iso
from encoder_bridge.reports import job_state
from encoder_bridge.store.cards import Erasure
from encoder_bridge.store.views import Views

from .desk import CARD, DAY, OTHER_CARD, RULES, START, Desk, credential

KEPT_DAYS = RULES.keep_history_ms // DAY


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store.db")
    yield desk
    desk.close()


def made(desk: Desk, method: str = "m1", card: Card | None = CARD, **fields: Any) -> None:
    """A card that was made."""
    desk.need(method, credential=credential(**fields))
    job = desk.begin(card=card)
    assert desk.do(desk.store.work.issue, job, Receipt(evidence=Evidence.READ_BACK, card=card), desk.now)


def remembered(desk: Desk) -> list[str]:
    return [job.access_method_id for job in desk.jobs()]


def whose(desk: Desk, card: Card = CARD) -> str | None:
    made_here = desk.store.cards.made_here(card.uid, desk.now)
    return made_here.access_method_id if made_here else None


def forget_what_is_old(desk: Desk, days: int = KEPT_DAYS) -> None:
    """Let days pass at a desk that is in use, and forget what is too old then."""
    desk.now += days * DAY + 1
    desk.delete("somebody-else")
    desk.do(desk.store.retention.prune, desk.now)


# Retention.


def test_a_card_that_is_still_valid_outlives_the_history(desk: Desk) -> None:
    made(desk, ends_at=iso(START + 400 * DAY))
    forget_what_is_old(desk)
    assert (remembered(desk), whose(desk)) == (["m1"], "m1")
    desk.need("m2")
    assert desk.store.cards.is_in_use("04aa", desk.claim().job, desk.now)


def test_a_card_is_forgotten_once_its_stay_is_over(desk: Desk) -> None:
    made(desk, ends_at=iso(START + 400 * DAY))
    forget_what_is_old(desk, 399)
    assert remembered(desk) == ["m1"]
    forget_what_is_old(desk, 1)
    assert (remembered(desk), whose(desk)) == ([], None)


def test_a_card_without_an_end_is_never_forgotten(desk: Desk) -> None:
    made(desk)
    for _ in range(3):
        forget_what_is_old(desk, 4 * KEPT_DAYS)
    assert (remembered(desk), whose(desk)) == (["m1"], "m1")
    assert [line["what"] for line in desk.log()] == ["prompted", "intended", "issued"]


def test_a_card_without_an_end_is_forgotten_once_its_access_method_is_deleted(desk: Desk) -> None:
    made(desk)
    forget_what_is_old(desk)
    desk.delete("m1")
    forget_what_is_old(desk, 1)
    assert remembered(desk) == []


def test_a_card_without_an_end_is_forgotten_once_it_was_erased(desk: Desk) -> None:
    made(desk)
    forget_what_is_old(desk)
    erase(desk)
    forget_what_is_old(desk, 1)
    assert remembered(desk) == []


def test_a_card_that_came_too_late_outlives_the_history_like_any_other(desk: Desk) -> None:
    desk.need("m1", credential=credential(ends_at=iso(START + 400 * DAY)))
    job = desk.claim().job
    desk.requeue(job)
    desk.request("cancel")
    desk.do(desk.store.work.issue, job, Receipt(evidence=Evidence.READ_BACK, card=CARD), desk.now)
    forget_what_is_old(desk)
    assert whose(desk) == "m1"


@pytest.mark.parametrize("end", ["cancelled", "failed", "card without a uid"])
def test_a_job_that_left_no_card_that_is_known_does_not_outlive_the_history(desk: Desk, end: str) -> None:
    if end == "card without a uid":
        made(desk, card=None)
    else:
        desk.need("m1")
        desk.request("cancel") if end == "cancelled" else desk.fail(desk.claim().job)
    forget_what_is_old(desk, KEPT_DAYS - 1)
    assert remembered(desk) == ["m1"]
    forget_what_is_old(desk, 1)
    assert remembered(desk) == []


def test_the_deletion_of_an_access_method_is_remembered_as_long_as_its_job(desk: Desk) -> None:
    desk.need("m1", expires_at=iso(START + 400 * DAY))
    job = desk.begin()
    desk.delete("m1")  # the write under way is brought to its end
    forget_what_is_old(desk)
    assert desk.states() == [State.WRITING]
    assert desk.need("m1", at=desk.now).status == "rejected"
    desk.doubt(job)
    assert desk.problem() == "credential_deleted", "nobody looks at a card whose access method was deleted"


def test_a_card_whose_deletion_is_old_news_is_not_taken_for_a_valid_one(desk: Desk) -> None:
    desk.need("m1", credential=credential(ends_at=iso(START + 400 * DAY)))
    job = desk.begin()
    desk.delete("m1")
    desk.now += 2 * DAY
    desk.issue(job)  # its end is younger than the deletion
    forget_what_is_old(desk, KEPT_DAYS - 1)
    known = desk.store.cards.made_here(CARD.uid, desk.now)
    assert known is not None
    assert (known.is_deleted, known.is_valid) == (True, False)


def test_the_deletion_of_an_access_method_goes_with_its_last_job(desk: Desk) -> None:
    made(desk)
    desk.delete("m1")
    forget_what_is_old(desk)
    assert remembered(desk) == []
    assert desk.need("m1").status == "accepted"


# Erasing.


def begin(desk: Desk, card: Card = CARD) -> Erasure:
    begun = desk.do(
        desk.store.cards.begin_erasure,
        "left",
        Intent(card=card),
        desk.now,
        resumes=desk.store.cards.unsettled("left"),
        even_if_valid=True,
        requester=None,
        operator=None,
    )
    assert isinstance(begun, Erasure)
    return begun


def erase(desk: Desk, card: Card = CARD) -> None:
    receipt = Receipt(evidence=Evidence.READ_BACK, card=card)
    desk.do(desk.store.cards.erased, begin(desk, card), receipt, desk.now)


def give_up(desk: Desk) -> bool:
    return desk.do(desk.store.cards.give_up_erasure, "left", desk.now)


def states(desk: Desk) -> list[str]:
    return [state for (state,) in desk.connection.execute("SELECT state FROM erasure ORDER BY erasure_id").fetchall()]


def test_a_job_whose_card_was_erased_is_not_issued_any_more_for_anybody_who_asks(desk: Desk) -> None:
    desk.need(event_id="need")
    desk.issue(desk.begin())
    for issued in everything_told(desk):
        assert (issued["state"], issued["is_issued"], issued.get("error")) == ("issued", True, None)
    desk.forget_outbox()
    desk.store.take_news()
    erase(desk)
    (retained,) = desk.outbox("state")
    news = desk.store.take_news()
    assert news is not None
    for erased in [retained, json.loads(job_state(news.jobs["m1"]).body), *everything_told(desk)]:
        assert (erased["state"], erased["is_issued"], erased["error"]["type"]) == ("issued", False, "card_erased")


def everything_told(desk: Desk) -> list[dict[str, Any]]:
    """What a repeated trigger, a question and `jobs show` are answered."""
    duplicate = desk.need(event_id="need")
    assert duplicate.status == "duplicate"
    (shown,) = Views(desk.connection.execute).jobs_of("m1")
    return [json.loads(duplicate.model_dump_json(exclude_none=True)), desk.request("job"), shown]


def test_a_card_that_comes_to_light_later_does_not_issue_a_job_again_whose_card_was_erased(desk: Desk) -> None:
    desk.need()
    job = desk.begin()
    desk.issue(job)
    erase(desk)
    assert not desk.issue(job, OTHER_CARD)
    assert desk.request("job")["error"]["type"] == "card_erased"
    assert whose(desk, OTHER_CARD) == "m1"


def test_a_card_that_is_erased_after_another_took_its_place_leaves_that_one_issued(desk: Desk) -> None:
    desk.need(at=START)
    desk.issue(desk.begin())
    desk.now += 1
    desk.need(at=desk.now)
    desk.issue(desk.begin(card=OTHER_CARD))
    desk.forget_outbox()
    erase(desk, CARD)
    assert desk.outbox("state") == []
    assert desk.request("job")["is_issued"] is True


def test_the_job_of_another_card_is_issued_all_the_same(desk: Desk) -> None:
    made(desk, "m1", CARD)
    made(desk, "m2", OTHER_CARD)
    erase(desk, CARD)
    answer = desk.request("job", "m2")
    assert answer["is_issued"] is True
    assert "error" not in answer


@pytest.mark.parametrize("card", [None, Card(technology="test", uid=None)], ids=["unseen", "anonymous"])
def test_a_job_whose_card_has_no_uid_is_not_said_to_be_erased(desk: Desk, card: Card | None) -> None:
    made(desk, card=card)
    erase(desk, CARD)
    assert desk.request("job")["is_issued"] is True


@pytest.mark.parametrize("state", ["erasing", "unsure", "given_up", "withdrawn"])
def test_a_job_whose_card_may_be_half_blank_is_issued_until_it_is_known(desk: Desk, state: str) -> None:
    made(desk)
    erasure = begin(desk)
    if state == "withdrawn":
        desk.do(desk.store.cards.withdraw_erasure, erasure)
    elif state != "erasing":
        desk.do(desk.store.cards.doubt_erasure, erasure, Problem(type="torn", message="torn"), desk.now)
    if state == "given_up":
        give_up(desk)
    assert desk.request("job")["is_issued"] is True


def test_an_erasure_is_not_given_up_while_it_runs(desk: Desk) -> None:
    made(desk)
    erasure = begin(desk)
    desk.forget_outbox()
    assert not give_up(desk)
    assert states(desk) == ["erasing"]
    assert desk.outbox("event") == []
    desk.do(desk.store.cards.erased, erasure, Receipt(evidence=Evidence.READ_BACK, card=CARD), desk.now)
    assert states(desk) == ["erased"]


def test_a_card_whose_erasure_was_given_up_still_carries_what_is_known_of_it(desk: Desk) -> None:
    made(desk)
    desk.do(desk.store.cards.doubt_erasure, begin(desk), Problem(type="torn", message="torn"), desk.now)
    assert give_up(desk)
    assert whose(desk) == "m1"
    desk.need("m2")
    assert desk.store.cards.is_in_use("04aa", desk.claim().job, desk.now)
    forget_what_is_old(desk)
    assert whose(desk) == "m1", "and it has no end"


def test_an_erasure_is_given_up_once(desk: Desk) -> None:
    desk.do(desk.store.cards.doubt_erasure, begin(desk), Problem(type="torn", message="torn"), desk.now)
    assert give_up(desk)
    assert not give_up(desk)
    assert states(desk) == ["given_up"]
