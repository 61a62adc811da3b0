"""What a later message may change of a need that is known: until when, whose it is, what is old, what comes again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from encoder_bridge import wire
from encoder_bridge.model import State, iso

from .desk import DAY, MINUTE, START, Desk, credential

HOUR = 60 * MINUTE
GUEST = "Ms Guest"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store.db")
    yield desk
    desk.close()


# Until when.


def test_a_bare_repeat_cannot_move_the_expiry_past_the_end_of_the_stay(desk: Desk) -> None:
    desk.need(at=START, credential=credential(ends_at=iso(START + DAY)))
    desk.need(at=START + 1, expires_at=iso(START + 5 * DAY))
    assert desk.job().expires_at == START + DAY
    desk.now = START + DAY
    assert desk.nothing_to_claim()


def test_a_bare_repeat_may_bring_the_expiry_forward_and_back_within_the_stay(desk: Desk) -> None:
    desk.need(at=START, credential=credential(ends_at=iso(START + DAY)))
    for expires_at in (START + HOUR, START + 2 * HOUR):
        desk.need(at=START + 1, expires_at=iso(expires_at))
        assert desk.job().expires_at == expires_at


def test_a_bare_repeat_without_an_end_of_its_own_leaves_the_expiry_alone(desk: Desk) -> None:
    desk.need(at=START, credential=credential(ends_at=iso(START + DAY)))
    desk.need(at=START + 1)
    assert desk.job().expires_at == START + DAY


def test_a_need_without_a_stay_waits_as_long_as_the_last_message_says(desk: Desk) -> None:
    desk.need(at=START, expires_at=iso(START + DAY))
    desk.need(at=START + 1, expires_at=iso(START + 5 * DAY))
    assert desk.job().expires_at == START + 5 * DAY


def test_a_longer_stay_moves_the_expiry(desk: Desk) -> None:
    desk.need(at=START, credential=credential(ends_at=iso(START + DAY)))
    desk.need(at=START + 1, credential=credential(ends_at=iso(START + 5 * DAY)))
    assert desk.job().expires_at == START + 5 * DAY


# What is old.


@pytest.mark.parametrize("kind", ["issued", "reissued"])
def test_an_issue_from_the_far_future_does_not_make_later_needs_old_for_ever(desk: Desk, kind: str) -> None:
    desk.send(kind, occurred_at=iso(START + 20_000 * DAY))
    desk.now = START + 2 * HOUR
    assert desk.need(at=desk.now).status == "accepted"


def test_an_issue_from_a_clock_that_is_a_little_ahead_is_believed(desk: Desk) -> None:
    desk.send("issued", occurred_at=iso(START + 30 * MINUTE))
    assert desk.need(at=START + 10 * MINUTE).status == "stale"
    assert desk.need(at=START + 31 * MINUTE).status == "accepted"


def test_an_issue_from_the_far_future_does_not_end_needs_that_are_to_come(desk: Desk) -> None:
    desk.need(at=START + 2 * HOUR)
    desk.send("issued", occurred_at=iso(START + 20_000 * DAY))
    assert desk.states() == [State.QUEUED]


# Whose it is.


def replaced(desk: Desk, job_id: int = 1) -> list[str | None]:
    """Who replaced the contents of a job, as the log has it."""
    return [line["requester"] for line in desk.log(job_id) if line["what"] == "contents_replaced"]


def test_contents_that_another_requester_replaces_are_that_ones_and_logged(desk: Desk) -> None:
    desk.need(at=START, requester="booking", credential=credential(fields={"room": "101"}))
    desk.need(at=START + 1, requester="kiosk", credential=credential(fields={"room": "102"}))
    assert desk.job().requester == "kiosk"
    assert replaced(desk) == ["kiosk"]
    assert desk.claim().credential.fields["room"] == "102"
    assert desk.log()[-1]["requester"] == "kiosk"


def test_the_card_is_reported_as_the_one_of_whoever_sent_its_contents(desk: Desk) -> None:
    desk.need(at=START, requester="booking", credential=credential(fields={"room": "101"}))
    desk.need(at=START + 1, requester="kiosk", credential=credential(fields={"room": "102"}))
    desk.issue(desk.begin())
    assert desk.outbox("event")[-1]["requester"] == "kiosk"


@pytest.mark.parametrize("kind", ["the same", "older", "bare", "another encoder"])
def test_a_message_that_brings_no_newer_contents_makes_nobody_the_requester(desk: Desk, kind: str) -> None:
    desk.need(at=START, requester="booking", credential=credential(fields={"room": "101"}))
    if kind == "the same":
        desk.need(at=START + 1, requester="kiosk", credential=credential(fields={"room": "101"}))
    elif kind == "older":
        desk.need(at=START - 1, requester="kiosk", credential=credential(fields={"room": "102"}))
    elif kind == "bare":
        desk.need(at=START + 1, requester="kiosk")
    else:
        desk.need(at=START + 1, requester="kiosk", encoder="right")
    assert desk.job().requester == "booking"
    assert replaced(desk) == []


# What comes again.


def digests(desk: Desk) -> dict[str, bytes]:
    return dict(desk.connection.execute("SELECT event_id, digest FROM event").fetchall())


def stay(desk: Desk, guest: str = GUEST, **more: str) -> wire.Response:
    return desk.need(event_id="one", at=START, credential=credential(fields={"guest": guest}), **more)


def forget(desk: Desk, who: str) -> None:
    assert desk.do(desk.store.guests.forget, wire.EraseGuest(id="f", who=who), desk.now).status == "done"


@pytest.mark.parametrize("who", [GUEST, "m1"])
def test_the_digest_of_a_forgotten_guests_message_is_gone_from_the_disk(desk: Desk, who: str) -> None:
    stay(desk)
    desk.issue(desk.begin())
    before = digests(desk)["one"]
    desk.store.retention.tidy()
    assert before in desk.bytes_on_disk()
    forget(desk, who)
    desk.store.retention.tidy()
    assert digests(desk)["one"] == b""
    assert before not in desk.bytes_on_disk()


def test_the_digests_of_all_messages_that_became_one_job_are_gone(desk: Desk) -> None:
    stay(desk)
    desk.need(event_id="two", at=START + 1)
    desk.need("m2", event_id="other")
    desk.issue(desk.begin())
    forget(desk, GUEST)
    after = digests(desk)
    assert (after["one"], after["two"]) == (b"", b"")
    assert after["other"], "the others are as they were"


@pytest.mark.parametrize("guest", [GUEST, "Somebody Else"])
def test_a_repetition_of_a_forgotten_guests_message_is_still_one(desk: Desk, guest: str) -> None:
    stay(desk)
    desk.issue(desk.begin())
    forget(desk, GUEST)
    answer = stay(desk, guest)
    assert (answer.status, answer.state) == ("duplicate", "issued")
    assert desk.rows("personal") == []
    later = desk.restart()
    assert stay(later, guest).status == "duplicate"
    assert len(later.jobs()) == 1
    later.close()
