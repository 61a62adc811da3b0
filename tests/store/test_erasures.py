"""Cards that are blanked: what must not be, what nobody knows of, and what the world is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge.driver import Card, Evidence, Intent, Receipt
from encoder_bridge.model import Problem, iso
from encoder_bridge.store.cards import Erasure
from encoder_bridge.store.views import Views

from .desk import CARD, DAY, MINUTE, OTHER_CARD, RULES, START, Desk, credential

INTENT = Intent(card=CARD)
BLANK = Receipt(evidence=Evidence.READ_BACK, card=CARD)
PROBLEM = Problem(type="erase_unsure", message="torn")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store.db")
    yield desk
    desk.close()


def tried(
    desk: Desk,
    card: Card | None = CARD,
    encoder: str = "left",
    *,
    even_if_valid: bool = False,
    note: dict[str, str] | None = None,
) -> Erasure | Problem:
    """What the store says when this card is laid down to be blanked."""
    return desk.do(
        desk.store.cards.begin_erasure,
        encoder,
        Intent(card=card, note=note or {}),
        desk.now,
        resumes=desk.store.cards.unsettled(encoder),
        even_if_valid=even_if_valid,
        requester="local:clerk",
        operator="Anna",
    )


def begun(desk: Desk, card: Card | None = CARD, encoder: str = "left", **more: Any) -> Erasure:
    erasure = tried(desk, card, encoder, **more)
    assert isinstance(erasure, Erasure)
    return erasure


def vetoed(desk: Desk, card: Card | None = CARD, encoder: str = "left", **more: Any) -> str:
    problem = tried(desk, card, encoder, **more)
    assert isinstance(problem, Problem)
    return problem.type


def erased(desk: Desk, erasure: Erasure, receipt: Receipt = BLANK) -> None:
    desk.do(desk.store.cards.erased, erasure, receipt, desk.now)


def doubted(desk: Desk, erasure: Erasure) -> None:
    desk.do(desk.store.cards.doubt_erasure, erasure, PROBLEM, desk.now)


def made(desk: Desk, method: str = "m1", card: Card = CARD, **fields: Any) -> None:
    desk.need(method, credential=credential(**fields))
    assert desk.issue(desk.begin(card=card))
    desk.forget_outbox()


def states(desk: Desk) -> list[str]:
    return [state for (state,) in desk.connection.execute("SELECT state FROM erasure ORDER BY erasure_id").fetchall()]


def is_free(desk: Desk, card: Card = CARD) -> bool:
    """Whether the card would be written for somebody else."""
    desk.need("somebody-else")
    job = desk.claim("right").job
    may = desk.intend(job, "right", card)
    desk.requeue(job)
    desk.request("cancel", "somebody-else")
    return may


# Beginning.


def test_what_is_about_to_be_blanked_is_on_the_disk_first(desk: Desk) -> None:
    made(desk)
    begun(desk, even_if_valid=True, note={"step": "1"})
    (row,) = desk.connection.execute(
        "SELECT state, encoder, card_uid, access_method_id, requester, operator, begun_at FROM erasure"
    ).fetchall()
    assert row == ("erasing", "left", CARD.uid, "m1", "local:clerk", "Anna", START)
    known = desk.store.cards.unsettled("left")
    assert known is not None
    assert known.intent == Intent(card=CARD, note={"step": "1"})
    assert desk.outbox("event") == [], "nothing has happened yet"


def test_a_card_that_was_not_made_here_may_be_blanked(desk: Desk) -> None:
    erased(desk, begun(desk))
    (event,) = desk.outbox("event")
    assert "access_method_id" not in event


def test_another_guests_card_is_not_blanked_by_mistake(desk: Desk) -> None:
    made(desk)
    assert vetoed(desk) == "card_still_valid"
    assert states(desk) == []
    begun(desk, even_if_valid=True)


@pytest.mark.parametrize("why", ["past", "deleted"])
def test_a_card_that_serves_nobody_any_more_is_blanked_without_ado(desk: Desk, why: str) -> None:
    made(desk, ends_at=iso(START + DAY))
    if why == "past":
        desk.now = START + DAY
    else:
        desk.delete("m1")
    begun(desk)


@pytest.mark.parametrize("state", ["writing", "unsure"])
def test_a_card_that_is_to_be_looked_at_for_a_job_is_not_blanked_whatever_is_said(desk: Desk, state: str) -> None:
    desk.need()
    job = desk.begin("right")
    if state == "unsure":
        desk.doubt(job)
    assert vetoed(desk, even_if_valid=True) == "card_in_use"


def test_a_card_that_is_half_blanked_is_left_to_the_encoder_that_began(desk: Desk) -> None:
    doubted(desk, begun(desk, encoder="left"))
    assert vetoed(desk, encoder="right", even_if_valid=True) == "card_in_use"


# How it ends.


def test_a_blanked_card_is_told_with_what_it_carried_and_is_free(desk: Desk) -> None:
    made(desk)
    assert not is_free(desk)
    desk.forget_outbox()
    erased(desk, begun(desk, even_if_valid=True))
    (event,) = desk.outbox("event")
    assert (
        event["event_type"],
        event["access_method_id"],
        event["card"]["uid"],
        event["evidence"],
        event["encoder"],
    ) == (
        "encoder_bridge.card_erased",
        "m1",
        CARD.uid,
        "read_back",
        "left",
    )
    assert states(desk) == ["erased"]
    assert desk.store.cards.unsettled("left") is None
    assert is_free(desk)


def test_only_the_card_that_was_blanked_is_free(desk: Desk) -> None:
    made(desk, "m1", CARD)
    made(desk, "m2", OTHER_CARD)
    erased(desk, begun(desk, even_if_valid=True))
    assert not is_free(desk, OTHER_CARD)


def test_a_card_without_a_uid_is_blanked_and_told(desk: Desk) -> None:
    made(desk)
    erased(desk, begun(desk, card=None), Receipt(evidence=Evidence.ATTESTED, card=None))
    (event,) = desk.outbox("event")
    assert event["evidence"] == "attested"
    assert "card" not in event
    assert not is_free(desk), "nobody knows which card it was"


def test_a_card_that_was_blanked_and_made_again_is_another_guests(desk: Desk) -> None:
    made(desk, "m1")
    erased(desk, begun(desk, even_if_valid=True))
    made(desk, "m2")
    assert not is_free(desk)
    assert vetoed(desk) == "card_still_valid"


def test_a_call_that_changed_no_card_leaves_no_trace(desk: Desk) -> None:
    made(desk)
    desk.do(desk.store.cards.withdraw_erasure, begun(desk, even_if_valid=True))
    assert states(desk) == []
    assert desk.outbox("event") == []
    assert not is_free(desk)


def test_a_look_that_changed_no_card_leaves_the_doubt_of_before(desk: Desk) -> None:
    doubted(desk, begun(desk))
    desk.do(desk.store.cards.withdraw_erasure, begun(desk))
    assert states(desk) == ["unsure"]
    assert desk.store.cards.unsettled("left") is not None


# Doubt.


def test_a_card_that_may_be_half_blanked_is_told_and_serves_nobody(desk: Desk) -> None:
    made(desk)
    desk.delete("m1")
    desk.forget_outbox()
    doubted(desk, begun(desk))
    (event,) = desk.outbox("event")
    assert (event["event_type"], event["error"]["type"], event["card"]["uid"], event["access_method_id"]) == (
        "encoder_bridge.card_unsure",
        "erase_unsure",
        CARD.uid,
        "m1",
    )
    assert "evidence" not in event
    assert states(desk) == ["unsure"]
    known = desk.store.cards.made_here(CARD.uid, desk.now)
    assert known is not None
    assert known.access_method_id == "m1", "it may still carry that"
    assert not is_free(desk)


def test_a_card_in_doubt_is_the_next_thing_its_encoder_is_asked_to_blank(desk: Desk) -> None:
    doubted(desk, begun(desk, note={"step": "1"}))
    known = desk.store.cards.unsettled("left")
    assert known is not None
    assert known.intent.note == {"step": "1"}
    assert desk.store.cards.unsettled("right") is None
    erased(desk, begun(desk, note={"step": "2"}))
    assert states(desk) == ["erased"], "it is the same one, not another"
    assert is_free(desk)


def test_going_on_with_a_card_in_doubt_needs_no_word_that_it_is_still_valid(desk: Desk) -> None:
    made(desk)
    doubted(desk, begun(desk, even_if_valid=True))
    begun(desk, even_if_valid=False)


def test_a_grown_note_is_what_a_restart_finds(desk: Desk) -> None:
    begun(desk)
    begun(desk, note={"blocks": "7"})
    later = desk.restart()
    known = later.store.cards.unsettled("left")
    assert known is not None
    assert known.intent.note == {"blocks": "7"}
    later.close()


def test_a_blanking_that_a_crash_interrupted_is_in_doubt_at_the_next_start_and_told_once(desk: Desk) -> None:
    made(desk)
    begun(desk, even_if_valid=True)
    later = desk.restart()
    assert states(later) == ["unsure"]
    (event,) = later.outbox("event")
    assert event["event_type"] == "encoder_bridge.card_unsure"
    again = later.restart()
    assert len(again.outbox("event")) == 1
    assert not is_free(again)
    again.close()


def test_a_half_blanked_card_that_will_not_come_back_is_given_up(desk: Desk) -> None:
    made(desk)
    doubted(desk, begun(desk, even_if_valid=True))
    desk.forget_outbox()
    assert desk.do(desk.store.cards.give_up_erasure, "left", desk.now)
    assert states(desk) == ["given_up"]
    assert desk.store.cards.unsettled("left") is None
    (event,) = desk.outbox("event")
    assert (event["event_type"], event["error"]["type"]) == ("encoder_bridge.card_unsure", "card_gone")
    assert not is_free(desk), "should it turn up, it may still carry what it carried"
    desk.delete("m1")
    assert is_free(desk)


def test_nothing_is_given_up_where_nothing_is_in_doubt(desk: Desk) -> None:
    assert not desk.do(desk.store.cards.give_up_erasure, "left", desk.now)
    doubted(desk, begun(desk, encoder="left"))
    assert not desk.do(desk.store.cards.give_up_erasure, "right", desk.now)
    assert states(desk) == ["unsure"]


# What is told.


def test_every_report_of_a_card_has_an_id_of_its_own(desk: Desk) -> None:
    for _ in range(2):
        doubted(desk, begun(desk))
        desk.now += MINUTE
    erased(desk, begun(desk))
    erased(desk, begun(desk))
    identities = [event["event_id"] for event in desk.outbox("event")]
    assert len(identities) == len(set(identities)) == 4


def test_the_same_report_of_a_card_keeps_its_id_until_it_is_told(desk: Desk) -> None:
    erased(desk, begun(desk))
    before = desk.outbox("event")
    later = desk.restart()
    assert later.outbox("event") == before
    later.close()


def test_an_erasure_is_remembered_as_long_as_the_history_and_one_in_doubt_until_it_is_settled(desk: Desk) -> None:
    erased(desk, begun(desk))
    doubted(desk, begun(desk, OTHER_CARD))
    desk.now += RULES.keep_history_ms
    desk.need("m2")
    desk.do(desk.store.retention.prune, desk.now)
    assert states(desk) == ["erased", "unsure"]
    desk.now += 1
    desk.do(desk.store.retention.prune, desk.now)
    assert states(desk) == ["unsure"]


def test_the_state_of_a_job_whose_card_was_erased_says_so(desk: Desk) -> None:
    desk.need("m1")
    desk.issue(desk.begin())
    desk.forget_outbox()
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
    assert isinstance(erasure, Erasure)
    desk.do(desk.store.cards.erased, erasure, Receipt(evidence=Evidence.READ_BACK, card=CARD), desk.now)
    (state,) = desk.outbox("state")
    assert (state["access_method_id"], state["is_issued"], state["error"]["type"]) == ("m1", False, "card_erased")
    (job,) = Views(desk.connection.execute).jobs_of("m1")
    assert job["error"]["type"] == "card_erased"
