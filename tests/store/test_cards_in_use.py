"""No card that still serves somebody is overwritten: whose it is, until when, and what sets it free."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge import wire
from encoder_bridge.driver import Card, Evidence, Intent, Receipt
from encoder_bridge.model import State, iso
from encoder_bridge.store.work import Verdict

from .desk import CARD, DAY, MINUTE, OTHER_CARD, RULES, START, Desk, credential


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store.db")
    yield desk
    desk.close()


def made(desk: Desk, method: str = "m1", card: Card = CARD, **fields: Any) -> None:
    """A card that was made."""
    desk.need(method, credential=credential(**fields))
    assert desk.issue(desk.begin(card=card))


def verdict(desk: Desk, method: str = "m2", card: Card | None = CARD, **fields: Any) -> Verdict:
    """What the store says when this card is laid down for another access method."""
    desk.need(method, **fields)
    job = desk.claim().job
    return desk.do(desk.store.work.intend, job, "left", Intent(card=card), desk.now)


def known(desk: Desk, card: Card = CARD) -> wire.MadeHere | None:
    return desk.store.cards.made_here(card.uid, desk.now)


# Refused.


def test_a_card_without_an_end_is_another_guests_for_ever(desk: Desk) -> None:
    made(desk)
    desk.now += 60 * DAY
    assert verdict(desk) is Verdict.CARD_IN_USE


def test_a_card_is_another_guests_until_its_last_moment(desk: Desk) -> None:
    made(desk, ends_at=iso(START + DAY))
    desk.now = START + DAY - 1
    desk.need("m2")
    job = desk.claim().job
    intent = Intent(card=CARD)
    assert desk.do(desk.store.work.intend, job, "left", intent, desk.now) is Verdict.CARD_IN_USE
    assert desk.do(desk.store.work.intend, job, "left", intent, START + DAY) is Verdict.GO


def test_a_card_that_is_not_valid_yet_is_another_guests_already(desk: Desk) -> None:
    made(desk, starts_at=iso(START + DAY), ends_at=iso(START + 2 * DAY))
    assert verdict(desk) is Verdict.CARD_IN_USE


def test_a_refused_card_changes_nothing(desk: Desk) -> None:
    made(desk)
    before = desk.rows("attempt"), desk.rows("sequence"), desk.rows("pace")
    desk.need("m2")
    job = desk.claim().job
    desk.do(desk.store.work.intend, job, "left", Intent(card=CARD), desk.now)
    assert desk.newest("m2").state is State.WAITING_FOR_CARD
    assert desk.newest("m2").intent is None
    assert [line["what"] for line in desk.log(2)] == ["prompted"]
    assert (desk.rows("attempt")[: len(before[0])], desk.rows("sequence")[:1], desk.rows("pace")) == before
    assert desk.intend(job, card=OTHER_CARD), "another card is welcome"


@pytest.mark.parametrize("state", ["writing", "unsure"])
def test_a_card_of_which_nobody_knows_what_is_on_it_is_left_for_its_own_job(desk: Desk, state: str) -> None:
    desk.need("m1")
    job = desk.begin("right")
    if state == "unsure":
        desk.doubt(job)
    assert verdict(desk) is Verdict.CARD_IN_USE


def test_a_card_is_judged_again_when_a_job_in_doubt_is_offered_another_one(desk: Desk) -> None:
    made(desk, "m1", OTHER_CARD)
    desk.need("m2")
    desk.doubt(desk.begin(card=CARD))
    job = desk.claim().job
    intend = desk.store.work.intend
    assert desk.do(intend, job, "left", Intent(card=OTHER_CARD), desk.now) is Verdict.CARD_IN_USE
    assert desk.newest("m2").state is State.UNSURE
    assert desk.do(intend, job, "left", Intent(card=CARD), desk.now) is Verdict.GO


def test_a_card_that_was_made_twice_is_the_last_ones(desk: Desk) -> None:
    made(desk, "m1", ends_at=iso(START + DAY))
    desk.now = START + DAY
    made(desk, "m2", ends_at=iso(START + 3 * DAY))
    assert verdict(desk, "m1", at=desk.now + 1) is Verdict.CARD_IN_USE


def test_a_card_is_another_guests_after_a_restart_too(desk: Desk) -> None:
    made(desk)
    later = desk.restart()
    assert verdict(later) is Verdict.CARD_IN_USE
    later.close()


# Free.


def test_a_card_is_free_once_its_access_method_is_deleted(desk: Desk) -> None:
    made(desk)
    desk.delete("m1")
    assert verdict(desk) is Verdict.GO


def test_a_card_that_went_to_another_method_is_not_freed_by_the_end_of_the_first(desk: Desk) -> None:
    made(desk, "m1", ends_at=iso(START + DAY))
    desk.now = START + DAY
    made(desk, "m2")
    desk.delete("m1")
    assert verdict(desk, "m3") is Verdict.CARD_IN_USE


def test_a_card_may_be_written_again_for_its_own_access_method(desk: Desk) -> None:
    made(desk)
    desk.now += MINUTE
    assert verdict(desk, "m1", at=desk.now) is Verdict.GO


def test_a_card_may_be_written_again_for_a_job_that_looks_at_it(desk: Desk) -> None:
    desk.need()
    desk.doubt(desk.begin())
    assert desk.intend(desk.claim().job)


def test_the_note_of_a_write_under_way_may_grow_whatever_else_is_known(desk: Desk) -> None:
    desk.need()
    job = desk.begin()
    desk.delete()
    assert desk.intend(job)


def test_a_card_that_a_device_knows_only_once_it_has_begun_is_not_refused_any_more(desk: Desk) -> None:
    made(desk)
    desk.need("m2")
    job = desk.begin(card=None)
    assert desk.intend(job, card=CARD)


def test_a_card_that_was_erased_is_free(desk: Desk) -> None:
    made(desk)
    erasure = desk.do(
        desk.store.cards.begin_erasure,
        "left",
        Intent(card=CARD),
        desk.now,
        resumes=None,
        even_if_valid=True,
        requester=None,
        operator=None,
    )
    desk.do(desk.store.cards.erased, erasure, Receipt(evidence=Evidence.READ_BACK, card=CARD), desk.now)  # type: ignore[arg-type]
    assert known(desk) is None
    assert verdict(desk) is Verdict.GO


def test_a_card_nobody_can_tell_from_others_is_not_judged(desk: Desk) -> None:
    desk.need("m1")
    desk.issue(desk.begin(card=None))
    assert verdict(desk, card=None) is Verdict.GO
    desk.requeue(desk.newest("m2"))
    anonymous = Card(technology="test", uid=None)
    assert verdict(desk, "m2", card=anonymous) is Verdict.GO


def test_the_card_counts_that_was_written_not_the_one_that_was_intended(desk: Desk) -> None:
    desk.need("m1")
    desk.issue(desk.begin(card=CARD), OTHER_CARD)
    assert verdict(desk, card=CARD) is Verdict.GO
    assert known(desk, OTHER_CARD) is not None


def test_a_card_of_a_stay_that_is_forgotten_is_free(desk: Desk) -> None:
    made(desk, ends_at=iso(START + DAY))
    desk.now += RULES.keep_history_ms + 1
    desk.need("m2")
    desk.do(desk.store.retention.prune, desk.now)
    assert known(desk) is None


# What is known of a card.


def test_what_a_card_carries_can_be_told(desk: Desk) -> None:
    desk.do(desk.store.guests.set_operator, wire.Operator(id="o", operator="Anna"))
    made(desk, entrances=["101", "spa"], starts_at=iso(START), ends_at=iso(START + DAY))
    assert known(desk) == wire.MadeHere(
        access_method_id="m1",
        issued_at=iso(START),
        starts_at=iso(START).replace(".000", ""),
        ends_at=iso(START + DAY).replace(".000", ""),
        entrances=["101", "spa"],
        is_deleted=False,
        is_valid=True,
        is_certain=True,
        operator="Anna",
    )


def test_a_card_is_known_as_deleted_or_past(desk: Desk) -> None:
    made(desk, "m1", CARD, ends_at=iso(START + DAY))
    made(desk, "m2", OTHER_CARD)
    desk.delete("m2")
    one, two = known(desk, CARD), known(desk, OTHER_CARD)
    assert one is not None
    assert two is not None
    assert (one.is_valid, one.is_deleted) == (True, False)
    assert (two.is_valid, two.is_deleted) == (False, True)
    desk.now = START + DAY
    past = known(desk, CARD)
    assert past is not None
    assert (past.is_valid, past.is_deleted) == (False, False)


def test_nothing_is_known_of_a_card_that_was_not_made_here(desk: Desk) -> None:
    made(desk)
    assert known(desk, OTHER_CARD) is None
    assert desk.store.cards.made_here(None, desk.now) is None


@pytest.mark.parametrize("verdict", ["gone", "destroyed"])
def test_a_card_that_was_given_up_in_doubt_is_known_and_may_be_used_again(desk: Desk, verdict: str) -> None:
    desk.need("m1")
    desk.doubt(desk.begin())
    desk.request("resolve", "m1", card=verdict)
    told = known(desk)
    assert (told is None) == (verdict == "destroyed")
    assert told is None or (told.access_method_id, told.is_certain) == ("m1", False)
    desk.need("m2")
    desk.issue(desk.begin())
    told = known(desk)
    assert told is not None
    assert (told.access_method_id, told.is_certain) == ("m2", True)
