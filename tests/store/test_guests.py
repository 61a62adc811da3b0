"""A guest's data and a card's contents: sealed while they are needed, gone when they are not, never in clear."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge import wire
from encoder_bridge.model import State, iso
from encoder_bridge.sealing import Seal

from . import version_1
from .desk import DAY, OTHER_CARD, RULES, START, Desk, credential, rules

GUEST = "Ms Violetta Guest"
ROOM = "Tower Suite 101"
SECRET = b"the-contents-of-a-card"
OTHER_KEY = Seal(bytes(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    desk = Desk(path)
    yield desk
    desk.close()


def stay(guest: str = GUEST, **more: Any) -> dict[str, Any]:
    data = {"track": base64.b64encode(SECRET).decode()}
    return {"credential": credential(fields={"guest": guest, "room": ROOM}, data=data, **more)}


def forget(desk: Desk, who: str, **more: Any) -> wire.Response:
    return desk.do(desk.store.guests.forget, wire.EraseGuest(id="x", who=who, **more), desk.now)


def sealed(desk: Desk, table: str = "personal") -> dict[int, bytes]:
    """Job and what lies on the disk for it."""
    return {job_id: text.encode() for job_id, text in desk.rows(table)}


def fields(desk: Desk, job_id: int) -> dict[str, str]:
    return desk.store.work._ledger.sealed.fields(job_id)


# Forgetting a guest.


@pytest.mark.parametrize("who", ["m1", GUEST])
def test_a_guest_is_forgotten_by_access_method_or_name_and_the_history_stays(desk: Desk, who: str) -> None:
    desk.need("m1", **stay())
    desk.need("m2", **stay("Somebody Else"))
    desk.issue(desk.begin())
    desk.issue(desk.begin(card=OTHER_CARD))
    jobs, log = desk.jobs(), desk.rows("attempt")
    answer = forget(desk, who, operator="Anna")
    assert (answer.status, answer.fields) == ("done", {"jobs": "1"})
    assert fields(desk, 1) == {}
    assert fields(desk, 2)["guest"] == "Somebody Else"
    assert desk.jobs() == jobs
    assert desk.rows("attempt")[: len(log)] == log
    (line,) = [line for line in desk.log(1) if line["what"] == "guest_erased"]
    assert line["operator"] == "Anna"


def test_a_guest_is_forgotten_by_any_value_a_trigger_brought_in_every_job(desk: Desk) -> None:
    for name in ("m1", "m2"):
        desk.need(name, **stay())
        desk.request("cancel", name)
    desk.need("m3", credential=credential(fields={"guest": f"{GUEST} the Younger"}))
    desk.request("cancel", "m3")
    assert forget(desk, ROOM).fields == {"jobs": "2"}
    assert [*sealed(desk)] == [3], "a part of a value is somebody else's"
    assert forget(desk, GUEST).status == "rejected"


def test_a_guest_whose_card_is_still_to_be_made_is_not_forgotten(desk: Desk) -> None:
    desk.need("m1", **stay())
    desk.issue(desk.begin())
    desk.need("m2", **stay())
    for who in (GUEST, "m2"):
        answer = forget(desk, who)
        assert answer.status == "rejected"
        assert answer.error is not None
        assert answer.error.type == "guest_in_use"
    assert [*sealed(desk)] == [1, 2], "all or nothing"
    desk.request("cancel", "m2")
    assert forget(desk, GUEST).fields == {"jobs": "2"}


def test_a_guest_whose_card_is_in_doubt_is_not_forgotten(desk: Desk) -> None:
    desk.need("m1", **stay())
    desk.doubt(desk.begin())
    assert forget(desk, "m1").status == "rejected"


def test_a_guest_nobody_knows_cannot_be_forgotten(desk: Desk) -> None:
    desk.need("m1", **stay())
    desk.request("cancel")
    answer = forget(desk, "somebody")
    assert answer.error is not None
    assert (answer.status, answer.error.type) == ("rejected", "unknown_guest")
    assert "somebody" not in answer.model_dump_json()


def test_of_a_forgotten_guest_nothing_is_left_on_the_disk(desk: Desk) -> None:
    desk.need("m1", **stay())
    desk.issue(desk.begin())
    row = sealed(desk)[1]
    desk.store.retention.tidy()
    assert row in desk.bytes_on_disk(), "sealed it was there"
    forget(desk, GUEST)
    desk.store.retention.tidy()
    disk = desk.bytes_on_disk()
    assert row not in disk
    assert row[:24] not in disk
    assert GUEST.encode() not in disk


# What lies on the disk.


def test_the_same_guest_looks_different_on_the_disk_every_time(desk: Desk) -> None:
    for name in ("m1", "m2"):
        desk.need(name, **stay())
    one, two = sealed(desk).values()
    assert one[:24] != two[:24]
    assert len(one) == len(two)


def test_what_was_sealed_for_one_job_opens_for_no_other(desk: Desk) -> None:
    desk.need("m1", **stay())
    desk.need("m2", **stay("Somebody Else"))
    desk.connection.execute("UPDATE personal SET fields = (SELECT fields FROM personal WHERE job_id = 2)")
    assert desk.claim().job.access_method_id == "m2"
    assert (desk.job(1).state, desk.problem(1)) == (State.HELD, "contents_missing")


def test_no_table_but_the_two_sealed_ones_knows_of_a_guest(desk: Desk) -> None:
    desk.need("m1", reply_to="answers/me", **stay())
    desk.doubt(desk.begin())
    desk.request("resolve", card="gone")
    desk.need("m1", at=desk.now + 1, **stay())
    tables = [name for (name,) in desk.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    told = repr([desk.rows(table) for table in tables])
    assert GUEST not in told
    assert ROOM not in told
    assert base64.b64encode(SECRET).decode() not in told


# Another key.


def test_a_job_whose_contents_do_not_open_is_held_and_told_and_not_lost(desk: Desk) -> None:
    desk.need("m1", **stay())
    desk.need("m2")
    before = desk.rows("personal"), desk.rows("contents")
    later = desk.restart(seal=OTHER_KEY)
    assert later.claim().job.access_method_id == "m2", "the others go on"
    assert (later.job(1).state, later.problem(1)) == (State.HELD, "contents_missing")
    (event,) = later.outbox("event")
    assert (event["event_type"], event["error"]["type"]) == ("encoder_bridge.job_held", "contents_missing")
    assert (later.rows("personal"), later.rows("contents")) == before
    later.close()


def test_very_many_jobs_whose_contents_do_not_open_hold_up_nobody(path: Path) -> None:
    many = rules(max_open=2000)
    desk = Desk(path, many)
    for n in range(1100):
        desk.need(f"m{n}", credential=credential(fields={"guest": GUEST}))
    desk.need("last")
    later = desk.restart(many, seal=OTHER_KEY)
    assert later.claim().job.access_method_id == "last"
    later.close()


def test_a_job_whose_contents_do_not_open_goes_on_when_the_key_is_back(desk: Desk) -> None:
    desk.need("m1", **stay())
    without = desk.restart(seal=OTHER_KEY)
    assert without.nothing_to_claim()
    still = without.restart(seal=OTHER_KEY)
    assert still.job(1).state is State.HELD
    assert len(still.outbox("event")) == 1, "the world is told once"
    later = still.restart()
    given = later.claim().credential
    assert (given.fields["guest"], given.data["track"]) == (GUEST, SECRET)
    later.close()


def test_a_job_whose_contents_do_not_open_goes_on_when_they_are_sent_again(desk: Desk) -> None:
    desk.need("m1", at=START, **stay())
    later = desk.restart(seal=OTHER_KEY)
    assert later.nothing_to_claim()
    assert later.need("m1", at=START + 1, **stay()).status == "accepted"
    assert later.claim().credential.data["track"] == SECRET
    later.close()


def test_a_job_in_doubt_whose_contents_do_not_open_stays_in_doubt(desk: Desk) -> None:
    desk.need("m1", **stay())
    desk.doubt(desk.begin())
    later = desk.restart(seal=OTHER_KEY)
    assert later.nothing_to_claim()
    assert (later.job(1).state, later.problem(1)) == (State.UNSURE, "contents_missing")
    answer = later.request("resolve", card="gone", again=True)
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "contents_missing")
    back = later.restart()
    back.request("retry")
    assert back.claim().credential.data["track"] == SECRET
    back.close()


def test_a_guest_whose_data_do_not_open_is_forgotten_by_access_method(desk: Desk) -> None:
    desk.need("m1", **stay())
    desk.issue(desk.begin())
    later = desk.restart(seal=OTHER_KEY)
    assert forget(later, GUEST).status == "rejected"
    assert forget(later, "m1").status == "done"
    assert sealed(later) == {}
    later.close()


# A store of version 1.


def test_what_a_store_of_version_1_had_in_clear_is_sealed_at_the_start_and_gone_from_the_disk(path: Path) -> None:
    version_1.write(path)
    assert all(text in path.read_bytes() for text in version_1.IN_CLEAR)
    desk = Desk(path)
    desk.do(desk.store.recovery.recover, desk.now)
    desk.store.retention.tidy()
    disk = desk.bytes_on_disk()
    assert not any(text in disk for text in version_1.IN_CLEAR)
    assert [*sealed(desk)] == [1, 2, 3, 4]
    assert [*sealed(desk, "contents")] == [2, 3, 4]
    assert all(fields(desk, number) == {"guest": version_1.GUEST} for number in (1, 2, 3, 4))
    desk.close()


def test_what_is_sealed_is_not_sealed_again_at_the_next_start(path: Path) -> None:
    version_1.write(path)
    desk = Desk(path)
    desk.do(desk.store.recovery.recover, desk.now)
    before = sealed(desk), sealed(desk, "contents")
    later = desk.restart()
    assert (sealed(later), sealed(later, "contents")) == before
    later.close()


# By age.


def test_a_guests_data_are_kept_for_a_shorter_time_than_the_history(path: Path) -> None:
    desk = Desk(path, rules(keep_personal_ms=30 * DAY, keep_history_ms=90 * DAY))
    desk.need("done", **stay(ends_at=iso(START + DAY)))
    desk.issue(desk.begin())
    desk.need("open", expires_at=iso(START + 400 * DAY), **stay())
    row = sealed(desk)[1]
    desk.now += 30 * DAY
    desk.need("fresh", **stay())
    desk.do(desk.store.retention.prune, desk.now)
    assert [*sealed(desk)] == [1, 2, 3]
    desk.now += 1
    assert not desk.do(desk.store.retention.prune, desk.now)
    assert [*sealed(desk)] == [2, 3]
    assert [job.access_method_id for job in desk.jobs()] == ["done", "open", "fresh"]
    assert desk.log(1), "the history stays"
    desk.store.retention.tidy()
    assert row not in desk.bytes_on_disk()
    desk.close()


def test_many_guests_are_forgotten_in_slices(path: Path) -> None:
    desk = Desk(path, rules(max_open=2000))
    for n in range(600):
        desk.need(f"m{n}", **stay())
        desk.request("cancel", f"m{n}")
    desk.now += RULES.keep_personal_ms + 1
    desk.need("fresh")
    assert desk.do(desk.store.retention.prune, desk.now)
    assert not desk.do(desk.store.retention.prune, desk.now)
    assert sealed(desk) == {}
    desk.close()
