"""The numbers of cards: minted once, kept through every retry, never given to two different keys of one door."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge.driver import Card
from encoder_bridge.model import Job, State, iso

from .desk import DAY, MINUTE, OTHER_CARD, RULES, START, Desk, credential, rules

HOUR = 60 * MINUTE
WINDOW = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    desk = Desk(path, rules(sequence_window=WINDOW))
    yield desk
    desk.close()


def key(desk: Desk, method: str, *entrances: str, **fields: Any) -> None:
    """Ask for a card that opens these."""
    names = {name: fields.pop(name) for name in ("at", "access_grant_ids", "encoder") if name in fields}
    desk.need(method, credential=credential(entrances=list(entrances), **fields), **names)


def plastic(number: int) -> Card:
    return Card(technology="test", uid=f"{number:06x}")


def made(desk: Desk, method: str, *entrances: str, **fields: Any) -> int:
    """The number on a card that was asked for and made, on plastic of its own."""
    key(desk, method, *entrances, **fields)
    job = desk.begin(card=plastic(len(desk.jobs())))
    assert desk.issue(job)
    return number(desk.job(job.job_id))


def number(job: Job) -> int:
    assert job.sequence is not None
    return job.sequence


def numbers(desk: Desk) -> list[int | None]:
    return [job.sequence for job in desk.jobs()]


# Minting.


def test_a_card_has_no_number_until_an_encoder_takes_it(desk: Desk) -> None:
    key(desk, "m1", "101")
    assert desk.job().sequence is None
    assert desk.claim().credential.sequence == 1
    assert desk.job().sequence == 1


def test_every_new_key_of_an_entrance_has_the_next_number(desk: Desk) -> None:
    assert [made(desk, f"m{n}", "101") for n in range(3)] == [1, 2, 3]


def test_every_entrance_counts_for_itself(desk: Desk) -> None:
    assert [made(desk, f"m{n}", room) for n, room in enumerate(("101", "102", "101", "103"))] == [1, 1, 2, 1]


def test_every_profile_counts_for_itself(desk: Desk) -> None:
    assert made(desk, "m1", "101") == 1
    assert made(desk, "m2", "101", profile="staff") == 1


def test_a_suite_whose_rooms_counted_differently_goes_on_above_the_highest_for_both(desk: Desk) -> None:
    for n in range(4):
        made(desk, f"a{n}", "101")
    made(desk, "b", "102")
    assert made(desk, "suite", "101", "102") == 5
    assert made(desk, "next-a", "101") == 6
    assert made(desk, "next-b", "102") == 6


def test_the_same_entrance_named_twice_counts_once(desk: Desk) -> None:
    assert made(desk, "m1", "101", "101") == 1
    assert made(desk, "m2", "101") == 2


def test_a_stay_that_names_no_entrance_counts_for_its_grant(desk: Desk) -> None:
    assert made(desk, "m1", access_grant_ids=["g1"]) == 1
    assert made(desk, "m2", access_grant_ids=["g1"]) == 2
    assert made(desk, "m3", access_grant_ids=["g2"]) == 1


def test_a_stay_without_a_grant_counts_for_its_access_method(desk: Desk) -> None:
    assert made(desk, "m1") == 1
    assert made(desk, "m2") == 1
    desk.now += 1
    assert made(desk, "m1", at=desk.now) == 2


# Copies.


def test_a_copy_carries_the_number_of_the_card_it_joins(desk: Desk) -> None:
    made(desk, "m1", "101")
    assert made(desk, "m2", "101") == 2
    assert made(desk, "copy", "101", joins=True) == 2
    assert made(desk, "m3", "101") == 3


def test_a_copy_that_comes_before_any_card_is_a_card_of_its_own(desk: Desk) -> None:
    assert made(desk, "copy", "101", joins=True) == 1
    assert made(desk, "m1", "101") == 2


def test_a_copy_that_is_claimed_before_the_card_it_joins_carries_that_ones_number(desk: Desk) -> None:
    made(desk, "old", "101")
    key(desk, "m1", "101", encoder="right")
    key(desk, "m2", "101", joins=True, encoder="left")
    assert desk.claim("left").credential.sequence == 2
    assert desk.claim("right").credential.sequence == 2


def test_a_number_that_a_copy_shares_is_not_given_again(desk: Desk) -> None:
    made(desk, "old", "101")
    key(desk, "m1", "101")
    key(desk, "m2", "101", joins=True)
    desk.claim("left")
    copy = desk.begin("right")
    desk.request("cancel", "m1")
    desk.issue(copy)
    assert number(desk.newest("m2")) == 2
    assert made(desk, "m3", "101") == 3


def test_a_number_that_a_copy_shares_is_not_given_again_after_a_later_one_was_given_back(desk: Desk) -> None:
    key(desk, "m1", "101")
    key(desk, "m2", "101", joins=True)
    desk.claim("left")
    desk.issue(desk.begin("right"))
    key(desk, "m3", "101")
    desk.claim("right")
    desk.request("cancel", "m3")
    desk.request("cancel", "m1")
    assert made(desk, "m4", "101") == 2


def test_a_copy_that_is_taken_off_leaves_the_number_where_it_was(desk: Desk) -> None:
    made(desk, "m1", "101")
    key(desk, "copy", "101", joins=True)
    desk.claim()
    desk.request("cancel", "copy")
    assert made(desk, "m2", "101") == 2


# What a number survives.


def test_a_number_survives_every_way_of_trying_again(desk: Desk) -> None:
    made(desk, "old", "101")
    key(desk, "m1", "101")
    seen = []
    desk.requeue(desk.claim().job)
    seen.append(desk.job(2).sequence)
    desk.requeue(desk.claim().job, yields=True)
    job = desk.claim().job
    desk.do(desk.store.work.abandon, job, desk.now)
    seen.append(desk.job(2).sequence)
    desk.request("retry", "m1")
    desk.requeue(desk.begin(card=OTHER_CARD))
    seen.append(desk.job(2).sequence)
    desk.request("claim", "m1", encoder="right")
    desk.doubt(desk.begin("right", card=OTHER_CARD))
    seen.append(desk.job(2).sequence)
    desk.request("claim", "m1", encoder="left")
    desk.fail(desk.claim().job)
    seen.append(desk.job(2).sequence)
    desk.request("retry", "m1")
    assert desk.claim().credential.sequence == 2
    assert seen == [2] * 5


@pytest.mark.parametrize("begun", [False, True])
def test_a_number_survives_a_restart(desk: Desk, begun: bool) -> None:
    made(desk, "old", "101")
    key(desk, "m1", "101")
    desk.begin() if begun else desk.claim()
    later = desk.restart()
    assert later.claim("left").credential.sequence == 2
    key(later, "m2", "101")
    assert later.claim("right").credential.sequence == 3
    later.close()


def test_a_number_survives_a_second_message_with_the_same_contents(desk: Desk) -> None:
    key(desk, "m1", "101", at=START)
    desk.claim()
    key(desk, "m1", "101", at=START + 1)
    assert desk.job().sequence == 1


def test_a_card_that_is_made_again_has_a_number_of_its_own(desk: Desk) -> None:
    key(desk, "m1", "101")
    desk.doubt(desk.begin())
    desk.request("resolve", card="destroyed", again=True)
    assert desk.claim().credential.sequence == 2


def test_numbers_go_on_when_the_history_is_forgotten(desk: Desk) -> None:
    made(desk, "m1", "101", ends_at=iso(START + DAY))
    made(desk, "m2", access_grant_ids=["g1"], ends_at=iso(START + DAY))
    desk.now += RULES.keep_history_ms + 1
    key(desk, "m3", "101")
    desk.do(desk.store.retention.prune, desk.now)
    assert [job.access_method_id for job in desk.jobs()] == ["m3"]
    assert [row[:3] for row in desk.rows("sequence")] == [("room", "entrance:101", 1)]
    assert desk.claim().credential.sequence == 2


def test_a_stay_of_which_nothing_is_known_any_more_goes_on_above_its_old_numbers(desk: Desk) -> None:
    for n in range(3):
        made(desk, f"m{n}", access_grant_ids=["long"])
    desk.now += RULES.keep_history_ms + 1
    desk.need("other")
    desk.do(desk.store.retention.prune, desk.now)
    assert desk.rows("sequence") == []
    desk.request("cancel", "other")
    assert made(desk, "m9", access_grant_ids=["long"]) == 4
    later = desk.again()
    assert made(later, "m10", access_grant_ids=["stranger"]) == 4, "a restart remembers it too"
    later.close()


# What becomes of a number nobody was given.


@pytest.mark.parametrize("end", ["cancelled", "deleted", "expired", "failed", "issued_elsewhere"])
def test_a_job_that_ends_before_a_card_was_begun_gives_its_number_back(desk: Desk, end: str) -> None:
    made(desk, "old", "101")
    key(desk, "m1", "101")
    job = desk.claim().job
    if end == "cancelled":
        desk.request("cancel", "m1")
    elif end == "deleted":
        desk.delete("m1")
    elif end == "expired":
        desk.do(desk.store.waiting.expire, desk.now + 8 * DAY)
    elif end == "failed":
        desk.fail(job)
    else:
        desk.send("issued", "m1")
    assert desk.job(2).state is State(end if end != "deleted" else "cancelled")
    assert desk.job(2).sequence is None
    assert made(desk, "m2", "101") == 2


@pytest.mark.parametrize("end", ["failed", "cancelled", "doubted"])
def test_the_number_of_a_card_that_was_begun_is_never_given_again(desk: Desk, end: str) -> None:
    key(desk, "m1", "101")
    job = desk.begin()
    if end == "failed":
        desk.fail(job)
    elif end == "cancelled":
        desk.requeue(job)
        desk.request("cancel", "m1")
    else:
        desk.doubt(job)
        desk.request("resolve", "m1", card="gone")
    assert desk.job().state not in (State.QUEUED, State.UNSURE)
    assert desk.job().sequence == 1, "so that people can tell which card it was"
    assert made(desk, "m2", "101") == 2


def test_a_number_is_not_given_back_once_a_later_one_was_minted(desk: Desk) -> None:
    key(desk, "m1", "101")
    key(desk, "m2", "101")
    desk.claim("left")
    desk.claim("right")
    desk.request("cancel", "m1")
    assert made(desk, "m3", "101") == 3


def test_a_number_is_given_back_once_however_the_job_goes_on(desk: Desk) -> None:
    key(desk, "m1", "101")
    desk.claim()
    desk.request("cancel", "m1")
    desk.request("retry", "m1")
    assert desk.claim().credential.sequence == 1
    assert [job.state for job in desk.jobs()] == [State.CANCELLED, State.WAITING_FOR_CARD]


def test_contents_that_move_to_another_entrance_take_a_number_there(desk: Desk) -> None:
    for n in range(3):
        made(desk, f"b{n}", "102")
    key(desk, "m1", "101", at=START)
    assert desk.claim().credential.sequence == 1
    key(desk, "m1", "102", at=START + 1)
    assert desk.claim().credential.sequence == 4
    assert made(desk, "m2", "101") == 1, "nobody has the one of before"


def test_contents_that_move_to_another_entrance_after_a_card_was_begun_take_a_number_there_too(desk: Desk) -> None:
    for n in range(3):
        made(desk, f"b{n}", "102")
    key(desk, "m1", "101", at=START)
    desk.requeue(desk.begin(card=OTHER_CARD))
    key(desk, "m1", "102", at=START + 1)
    assert desk.claim().credential.sequence == 4
    assert made(desk, "m2", "101") == 2, "the one of before may be on a card"
    assert made(desk, "m3", "102") == 5


def test_a_copy_that_becomes_a_key_of_its_own_takes_a_new_number(desk: Desk) -> None:
    made(desk, "m1", "101")
    key(desk, "m2", "101", at=START, joins=True)
    desk.requeue(desk.begin(card=OTHER_CARD))
    key(desk, "m2", "101", at=START + 1)
    assert desk.claim().credential.sequence == 2


def test_a_later_message_that_names_no_grant_keeps_the_stay(desk: Desk) -> None:
    made(desk, "m1", access_grant_ids=["g1"])
    desk.need("m2", at=START, access_grant_ids=["g1"])
    desk.need("m2", at=START + 1, credential=credential(fields={"room": "101"}))
    assert desk.claim().credential.sequence == 2


# Cards that may never have been used.


def unused(desk: Desk, scope: str = "entrance:101") -> int:
    """How far the last number is ahead of what the lock is presumed to know."""
    ((count,),) = desk.connection.execute(
        "SELECT last - iif(used_at <= ?, issued, met) FROM sequence WHERE scope = ?", (desk.now, scope)
    ).fetchall()
    return int(count)


def test_cards_that_may_never_have_met_the_lock_are_counted(desk: Desk) -> None:
    later = iso(START + DAY)
    for n in range(1, 4):
        made(desk, f"m{n}", "101", starts_at=later)
        assert unused(desk) == n
    made(desk, "copy", "101", joins=True, starts_at=later)
    assert unused(desk) == 3, "a copy takes no number, so the lock has none to skip"


def test_cards_of_two_encoders_at_once_are_both_counted(desk: Desk) -> None:
    key(desk, "m1", "101")
    key(desk, "m2", "101")
    one, two = desk.claim("left").job, desk.claim("right").job
    desk.intend(one, "left", plastic(1))
    desk.intend(two, "right", plastic(2))
    assert unused(desk) == 2


def test_a_card_that_is_tried_again_is_counted_once(desk: Desk) -> None:
    key(desk, "m1", "101")
    desk.requeue(desk.begin())
    desk.doubt(desk.begin())
    desk.issue(desk.begin())
    assert unused(desk) == 1


def test_a_card_is_presumed_used_an_hour_after_its_window_began(desk: Desk) -> None:
    made(desk, "m1", "101", starts_at=iso(START + DAY))
    desk.now = START + DAY + HOUR - 1
    made(desk, "m2", "101", starts_at=iso(START + DAY))
    assert unused(desk) == 2
    desk.now = START + DAY + 2 * HOUR
    made(desk, "m3", "101")
    assert unused(desk) == 1


def test_a_card_whose_window_began_long_ago_is_presumed_used_an_hour_after_it_was_made(desk: Desk) -> None:
    made(desk, "m1", "101", starts_at=iso(START - DAY))
    made(desk, "m2", "101", starts_at=iso(START - DAY))
    assert unused(desk) == 2
    desk.now += HOUR
    made(desk, "m3", "101")
    assert unused(desk) == 1


def test_only_the_newest_card_sets_the_lock_free_again(desk: Desk) -> None:
    key(desk, "m1", "101")
    key(desk, "m2", "101", starts_at=iso(START + 2 * DAY))
    one, two = desk.claim("left").job, desk.claim("right").job
    desk.intend(one, "left", plastic(1))
    desk.intend(two, "right", plastic(2))
    desk.issue(one)
    desk.issue(two)
    desk.now += DAY
    made(desk, "m3", "101", starts_at=iso(START + 2 * DAY))
    assert unused(desk) == 3


def warnings_told(desk: Desk) -> list[list[str]]:
    return [[warning["type"] for warning in event.get("warnings", [])] for event in desk.outbox("event")]


def test_the_desk_is_warned_when_four_fifths_of_the_window_are_gone(desk: Desk) -> None:
    for n in range(1, WINDOW):
        made(desk, f"m{n}", "101", starts_at=iso(START + DAY))
    assert warnings_told(desk) == [[]] * 7 + [["sequence_window"]] * 2
    (warning,) = desk.newest(f"m{WINDOW - 1}").warnings
    assert "101" in warning.message
    assert warning.values["unused"] == "9"
    assert warning.values["window"] == "10"


def test_the_warning_names_the_entrance_that_is_worst_off(desk: Desk) -> None:
    made(desk, "other", "102", starts_at=iso(START + DAY))
    for n in range(1, 8):
        made(desk, f"m{n}", "101", starts_at=iso(START + DAY))
    key(desk, "suite", "102", "101")
    (warning,) = desk.claim().job.warnings
    assert warning.values["scope"] == "101"


def test_nobody_is_warned_of_cards_that_are_presumed_used(desk: Desk) -> None:
    for n in range(1, 8):
        made(desk, f"m{n}", "101")
    desk.now += HOUR
    key(desk, "m8", "101")
    assert desk.claim().job.warnings == ()


def test_a_warning_goes_with_the_number_it_was_about(desk: Desk) -> None:
    for n in range(1, 8):
        made(desk, f"m{n}", "101", starts_at=iso(START + DAY))
    key(desk, "m8", "101", at=START)
    assert desk.claim().job.warnings
    key(desk, "m8", "102", at=START + 1)
    assert desk.newest("m8").warnings == ()
    assert desk.claim().job.warnings == ()


def test_without_a_window_nobody_is_warned(path: Path) -> None:
    desk = Desk(path)
    for n in range(1, 30):
        made(desk, f"m{n}", "101", starts_at=iso(START + DAY))
    assert warnings_told(desk) == [[]] * 29
    desk.close()


# Two at once, and many.


def test_a_job_whose_number_was_overtaken_by_a_card_that_was_begun_gets_another_one(desk: Desk) -> None:
    key(desk, "m1", "101")
    key(desk, "m2", "101")
    one, two = desk.claim("left").job, desk.claim("right").job
    assert desk.intend(two, "right", plastic(2))
    desk.store.take_news()
    assert not desk.intend(one, "left", plastic(1)), "its lock would take it for an old card"
    assert (desk.job(1).state, desk.job(1).sequence) == (State.QUEUED, None)
    news = desk.store.take_news()
    assert news is not None
    assert news.withdrawn == {(one.job_id, one.attempt)}
    again = desk.claim("left")
    assert again.credential.sequence == 3
    assert desk.intend(again.job, "left", plastic(1))


def test_a_job_that_is_begun_in_its_turn_is_not_overtaken_by_one_that_waits(desk: Desk) -> None:
    key(desk, "m1", "101")
    key(desk, "m2", "101")
    one, two = desk.claim("left").job, desk.claim("right").job
    assert desk.intend(one, "left", plastic(1))
    assert desk.intend(two, "right", plastic(2))


def test_a_job_is_overtaken_at_one_of_its_doors_and_not_at_another_ones(desk: Desk) -> None:
    key(desk, "suite", "101", "102")
    key(desk, "m2", "103")
    key(desk, "m3", "102")
    suite, other = desk.claim("left").job, desk.claim("right").job
    assert desk.intend(other, "right", plastic(2))
    desk.issue(other)
    assert desk.intend(desk.claim("right").job, "right", plastic(3))
    assert not desk.intend(suite, "left", plastic(1))


def test_a_copy_is_never_overtaken_and_a_card_that_was_refused_is(desk: Desk) -> None:
    made(desk, "m1", "101")
    key(desk, "copy", "101", joins=True)
    key(desk, "m3", "101")
    copy = desk.claim("left").job
    new = desk.begin("right", plastic(3))
    assert desk.intend(copy, "left", plastic(2))
    desk.requeue(new)
    key(desk, "m4", "101")
    again = desk.claim("right").job
    assert again.job_id == new.job_id
    desk.issue(copy)
    desk.begin("left", plastic(4))
    assert not desk.intend(again, "right", plastic(3))
    assert desk.claim("right").credential.sequence == 4


def test_two_encoders_that_claim_at_the_same_moment_get_two_numbers(path: Path) -> None:
    desk = Desk(path)
    for n in range(20):
        key(desk, f"m{n}", "101")
    other = desk.again()
    gate = threading.Barrier(2)
    got: list[int] = []

    def claims(store: Desk, encoder: str) -> None:
        gate.wait()
        got.extend(store.claim(encoder).credential.sequence for _ in range(10))

    threads = [threading.Thread(target=claims, args=pair) for pair in ((desk, "left"), (other, "right"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 21))
    assert sorted(number(job) for job in desk.jobs()) == list(range(1, 21))
    other.close()
    desk.close()


class Planned:
    """A connection that explains every statement before it runs."""

    def __init__(self, desk: Desk) -> None:
        self._connection = desk.connection
        self.plans: list[str] = []

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        if sql.lstrip().upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            rows = self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
            self.plans += [str(row[-1]) for row in rows]
        return self._connection.execute(sql, parameters)


def test_a_long_history_does_not_make_minting_slower(path: Path) -> None:
    desk = Desk(path)
    made(desk, "m0", "101")
    desk.connection.execute("BEGIN")
    desk.connection.execute(
        """WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
           INSERT INTO job (access_method_id, state, place, attempt, profile, credential, origin, event_id, is_reissue,
                            created_at, state_at, expires_at, sequence, scope)
           SELECT 'h' || i, 'issued', i, 1, profile, credential, origin, 'h' || i, 0, i, i, i, i, scope FROM job, n"""
    )
    desk.connection.execute("INSERT INTO attempt (job_id, attempt, at, what) SELECT job_id, 1, 0, 'intended' FROM job")
    desk.connection.execute("COMMIT")
    planned = Planned(desk)
    sequences = desk.store.work._ledger.sequences
    sequences._execute = planned.execute
    key(desk, "m1", "101")
    key(desk, "m2", "101", joins=True)
    for _ in range(2):
        job = desk.claim().job
        desk.do(sequences.spend, job.job_id)
        desk.do(sequences.issued, job.job_id, desk.now, desk.now)
        desk.do(sequences.take_back, job.job_id)
    assert any("job" in plan for plan in planned.plans)
    scans = [plan for plan in planned.plans if plan.startswith("SCAN") and "json_each" not in plan]
    assert all("USING" in plan and "job_in_turn" in plan for plan in scans), scans
    desk.close()


def test_a_suite_that_is_cancelled_leaves_the_copies_of_its_rooms_alone(desk: Desk) -> None:
    for number in range(3):
        made(desk, f"a{number}", "101")
    for number in range(7):
        made(desk, f"b{number}", "102")
    desk.need("suite", credential=credential(entrances=["101", "102"]))
    assert desk.claim().credential.sequence == 8
    desk.request("cancel", "suite")
    desk.need("copy", credential=credential(entrances=["101"], joins=True))
    assert desk.claim().credential.sequence == 3
    desk.need("next", credential=credential(entrances=["102"]))
    assert desk.claim().credential.sequence == 8


def test_a_copy_that_cannot_be_sure_says_so(desk: Desk) -> None:
    desk.need("stranger", credential=credential(entrances=["101"], joins=True))
    assert [warning.type for warning in desk.claim().job.warnings] == ["copy_uncertain"]
    made(desk, "a", "102")
    desk.need("sure", credential=credential(entrances=["102"], joins=True))
    assert not desk.claim().job.warnings
    desk.need("both", credential=credential(entrances=["101", "103"], joins=True))
    assert [warning.type for warning in desk.claim().job.warnings] == ["copy_uncertain"]


def test_a_copy_of_a_card_that_was_never_begun_says_that_it_is_not_sure(desk: Desk) -> None:
    desk.need("first", credential=credential(entrances=["101"]))
    assert desk.claim().credential.sequence == 1
    desk.request("cancel", "first")
    desk.need("copy", credential=credential(entrances=["101"], joins=True))
    copy = desk.claim()
    assert copy.credential.sequence == 1
    assert [warning.type for warning in copy.job.warnings] == ["copy_uncertain"]


def test_a_card_that_was_refused_and_overtaken_gets_another_number(desk: Desk) -> None:
    desk.need("m1", credential=credential(entrances=["101"]))
    desk.requeue(desk.begin(card=plastic(1)), yields=True)
    waiting = desk.claim("left").job
    made(desk, "m2", "101")
    assert waiting.sequence == 1
    assert not desk.intend(waiting, card=plastic(3))
    assert desk.claim().credential.sequence == 3
