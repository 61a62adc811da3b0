"""So many cards a minute and no more: by encoder and by requester, whatever the clock does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from encoder_bridge.driver import Card
from encoder_bridge.model import Job, State

from .desk import MINUTE, Desk, rules

LIMIT = 3


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store.db", rules(cards_per_minute=LIMIT, max_open=500))
    yield desk
    desk.close()


def ask(desk: Desk, *methods: str, requester: str | None = None) -> None:
    for method in methods:
        desk.need(method, requester=requester)


def start(desk: Desk, encoder: str = "left") -> Job:
    """The next card, on plastic of its own."""
    job = desk.claim(encoder).job
    assert desk.intend(job, encoder, Card(technology="test", uid=f"{job.job_id:06x}"))
    return job


def make(desk: Desk, count: int, encoder: str = "left") -> None:
    for _ in range(count):
        desk.issue(start(desk, encoder))


def again_at(desk: Desk, encoder: str = "left") -> int | None:
    """When there may be a job by itself, where there is none now."""
    assignment, at = desk.do(desk.store.turns.claim, encoder, desk.now)
    assert assignment is None
    return at


def test_an_encoder_starts_so_many_cards_in_a_minute_and_no_more(desk: Desk) -> None:
    ask(desk, *(f"m{n}" for n in range(5)))
    make(desk, LIMIT)
    assert again_at(desk) == desk.now + MINUTE
    desk.now += MINUTE - 1
    assert desk.nothing_to_claim()
    desk.now += 1
    make(desk, 2)


def test_the_minute_is_a_sliding_one(desk: Desk) -> None:
    ask(desk, *(f"m{n}" for n in range(8)))
    began = desk.now
    for _ in range(LIMIT):
        make(desk, 1)
        desk.now += MINUTE // 4
    assert again_at(desk) == began + MINUTE
    desk.now = began + MINUTE
    make(desk, 1)
    assert again_at(desk) == began + MINUTE // 4 + MINUTE


def test_another_encoder_has_a_minute_of_its_own(desk: Desk) -> None:
    ask(desk, *(f"m{n}" for n in range(6)))
    make(desk, LIMIT, "left")
    assert desk.nothing_to_claim("left")
    make(desk, LIMIT, "right")
    assert desk.nothing_to_claim("right")


def test_a_requester_has_so_many_cards_started_at_all_encoders_together(desk: Desk) -> None:
    ask(desk, *(f"m{n}" for n in range(6)), requester="booking")
    make(desk, 2, "left")
    make(desk, 1, "right")
    assert desk.nothing_to_claim("left")
    assert again_at(desk, "right") == desk.now + MINUTE
    desk.now += MINUTE
    make(desk, 1, "right")


def test_nobody_waits_behind_a_requester_who_is_too_fast(desk: Desk) -> None:
    ask(desk, *(f"b{n}" for n in range(300)), requester="booking")
    ask(desk, "m1", requester="reception")
    ask(desk, "m2")
    make(desk, 2, "left")
    make(desk, 1, "right")
    assert desk.claim("right").job.access_method_id == "m1"
    assert desk.claim("right").job.access_method_id == "m2"
    assert desk.nothing_to_claim("right")


def test_whoever_is_not_known_by_name_is_only_limited_by_the_encoder(desk: Desk) -> None:
    ask(desk, *(f"m{n}" for n in range(6)))
    make(desk, LIMIT, "left")
    make(desk, LIMIT, "right")
    assert desk.newest("m5").state is State.ISSUED


def test_a_card_in_doubt_is_looked_at_whatever_the_pace(desk: Desk) -> None:
    ask(desk, "m0", requester="booking")
    desk.doubt(start(desk), retry_at=desk.now + 1)
    ask(desk, "m1", "m2", "m3", requester="booking")
    make(desk, 2)
    assert desk.nothing_to_claim()
    desk.now += 1
    assert desk.claim().resumes
    assert desk.nothing_to_claim("right")


def test_a_card_that_is_looked_at_again_and_written_is_no_other_card(desk: Desk) -> None:
    ask(desk, "m0")
    job = start(desk)
    for _ in range(LIMIT):
        desk.doubt(job)
        job = start(desk)
    desk.issue(job)
    ask(desk, "m1", "m2", "m3")
    make(desk, LIMIT - 1)
    assert desk.nothing_to_claim()


def test_a_card_that_is_only_asked_for_does_not_count(desk: Desk) -> None:
    ask(desk, "m0")
    for _ in range(3 * LIMIT):
        desk.requeue(desk.claim().job)
    make(desk, 1)
    assert len(desk.rows("pace")) == 1


def test_a_job_says_that_it_waits_for_its_turn_until_an_encoder_takes_it(desk: Desk) -> None:
    ask(desk, *(f"m{n}" for n in range(4)))
    make(desk, LIMIT)
    desk.store.take_news()
    assert desk.nothing_to_claim()
    assert (desk.newest("m3").state, desk.problem(4)) == (State.QUEUED, "rate_limited")
    error = desk.newest("m3").error
    assert error is not None
    assert str(LIMIT) in error.message
    news = desk.store.take_news()
    assert news is not None
    assert "m3" in news.jobs
    assert desk.nothing_to_claim()
    assert desk.store.take_news() is None, "people are told once"
    desk.now += MINUTE
    assert desk.claim().job.error is None


def test_only_the_jobs_of_whoever_is_too_fast_say_so(desk: Desk) -> None:
    ask(desk, *(f"b{n}" for n in range(5)), requester="booking")
    ask(desk, "m1")
    make(desk, LIMIT, "left")
    desk.claim("right")
    assert [desk.problem(number) for number in (4, 5, 6)] == ["rate_limited", "rate_limited", None]


def test_a_job_for_another_encoder_does_not_wait_for_this_ones_pace(desk: Desk) -> None:
    ask(desk, *(f"m{n}" for n in range(LIMIT)))
    desk.need("other", encoder="right")
    make(desk, LIMIT, "left")
    assert desk.nothing_to_claim("left")
    assert desk.problem(LIMIT + 1) is None


def test_the_pace_is_kept_across_a_restart(desk: Desk) -> None:
    ask(desk, *(f"m{n}" for n in range(5)))
    make(desk, LIMIT)
    later = desk.restart(rules(cards_per_minute=LIMIT))
    assert later.nothing_to_claim()
    later.close()


@pytest.mark.parametrize("back", [1, MINUTE // 2, MINUTE])
def test_a_clock_that_is_put_back_a_little_lets_nobody_make_more(desk: Desk, back: int) -> None:
    ask(desk, *(f"m{n}" for n in range(5)))
    make(desk, LIMIT)
    desk.now -= back
    at = again_at(desk)
    assert at is not None
    assert at - desk.now <= 2 * MINUTE


def test_a_clock_that_is_put_back_far_keeps_nobody_waiting(desk: Desk) -> None:
    ask(desk, *(f"m{n}" for n in range(7)))
    make(desk, LIMIT)
    desk.now -= 600 * MINUTE
    make(desk, LIMIT)
    assert again_at(desk) == desk.now + MINUTE
    assert len(desk.rows("pace")) == LIMIT, "what lies ahead is forgotten"


def test_what_is_a_minute_old_is_not_kept(desk: Desk) -> None:
    ask(desk, *(f"m{n}" for n in range(5)))
    make(desk, 2)
    desk.now += MINUTE
    make(desk, 1)
    assert len(desk.rows("pace")) == 1


def test_without_a_limit_nobody_waits_and_nothing_is_counted(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "other.db", rules(cards_per_minute=0))
    ask(desk, *(f"m{n}" for n in range(40)), requester="booking")
    make(desk, 40)
    assert desk.rows("pace") == []
    desk.close()
