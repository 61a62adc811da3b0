"""A store of version 1, opened by the program of today: nothing is lost, work goes on, numbers go up."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from rigs.folders import memory_folder

from encoder_bridge.driver import Card, Intent
from encoder_bridge.model import State, to_ms
from encoder_bridge.sqlite import SCHEMA_VERSION, open_store

from . import version_1
from .desk import MINUTE, OTHER_CARD, START, Desk, credential

if TYPE_CHECKING:
    from rigs import powercut
else:
    try:
        from rigs import powercut
    except ModuleNotFoundError:
        powercut = None

STAY = {
    "profile": "room",
    "entrances": ["101"],
    "starts_at": "2025-06-15T15:00:00+02:00",
    "ends_at": "2025-07-15T11:00:00+02:00",
    "fields": {"guest": version_1.GUEST},
    "data": {"track": "dGhlLWNvbnRlbnRzLW9mLWEtY2FyZA=="},
}
"""What every trigger of that day brought."""
FRESH = Card(technology="test", uid="04dd")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    version_1.write(path)
    return path


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    """After the first start of today's program."""
    desk = Desk(path, numbers=itertools.count(100))
    desk.do(desk.store.recovery.recover, desk.now)
    yield desk
    desk.close()


def rows(path: Path) -> dict[str, list[Any]]:
    """What version 1 knew, as far as no start changes it."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            "job": connection.execute(f"SELECT {version_1.JOB_COLUMNS} FROM job").fetchall(),
            "attempt": connection.execute("SELECT attempt_id, job_id, attempt, at, what, card FROM attempt").fetchall(),
            "event": connection.execute("SELECT * FROM event").fetchall(),
            "outbox": connection.execute("SELECT * FROM outbox").fetchall(),
            "identity": connection.execute("SELECT * FROM meta WHERE name != 'sequence_floor'").fetchall(),
        }


def test_opening_it_loses_nothing(path: Path) -> None:
    before = rows(path)
    assert [len(found) for found in before.values()] == [4, 7, 4, 9, 2]
    open_store(path).close()
    assert rows(path) == before


def test_jobs_stand_where_a_start_puts_them(desk: Desk) -> None:
    assert desk.states() == [State.ISSUED, State.UNSURE, State.QUEUED, State.QUEUED]


def test_what_was_not_told_yet_is_told_once_and_in_order(desk: Desk) -> None:
    told = desk.store.outbox.pending(100)
    assert [message.report_id for message in told] == list(range(1, 10))
    assert [event["event_type"] for event in desk.outbox("event")] == [
        "access_method.issued",
        "encoder_bridge.job_unsure",
    ]


@pytest.mark.parametrize(
    ("number", "more"),
    [
        (1, {"occurred_at": "2025-06-15T14:00:00Z"}),
        (2, {"access_grant_ids": ["g2"]}),
        (3, {"occurred_at": "2025-06-15T15:00:00Z"}),
        (4, {"access_grant_ids": ["g4"], "acs_system_id": "s1", "workspace_id": "w1"}),
    ],
)
def test_a_message_of_that_time_that_comes_again_is_known(desk: Desk, number: int, more: dict[str, Any]) -> None:
    assert desk.need(f"m{number}", event_id=f"e{number}", credential=STAY, **more).status == "duplicate"
    assert len(desk.jobs()) == 4


def test_a_card_in_doubt_is_looked_at_with_its_old_number_and_all_its_contents(desk: Desk) -> None:
    given = desk.claim("left")
    assert given.job.access_method_id == "m2"
    assert given.resumes
    assert given.job.intent == Intent(card=OTHER_CARD, note={"k": "v"})
    assert given.credential.sequence == 2
    assert given.credential.fields == {"guest": version_1.GUEST}
    assert given.credential.data == {"track": version_1.SECRET}
    assert desk.issue(given.job)
    assert desk.states()[1] is State.ISSUED


def test_jobs_that_had_not_begun_are_made_with_all_their_contents(desk: Desk) -> None:
    for n, method in enumerate(("m3", "m4")):
        given = desk.claim("right")
        assert given.job.access_method_id == method
        assert given.credential.entrances == ("101",)
        assert given.credential.ends_at == datetime.fromisoformat(str(STAY["ends_at"]))
        assert given.credential.fields == {"guest": version_1.GUEST}
        assert given.credential.data == {"track": version_1.SECRET}
        assert desk.intend(given.job, "right", Card(technology="test", uid=f"05{n:02x}"))
        assert desk.issue(given.job)
    assert desk.states()[2:] == [State.ISSUED, State.ISSUED]


def test_numbers_go_on_above_the_old_ones(desk: Desk) -> None:
    waited, queued = desk.claim("right"), desk.claim("right")
    assert waited.credential.sequence == 3, "it was told in that time"
    assert queued.credential.sequence == 4, "the next one of this door"
    desk.need("m5", credential=credential(entrances=["101"]))
    desk.need("m6", credential=credential(entrances=["202"]))
    assert desk.claim("right").credential.sequence == 5
    assert desk.claim("right").credential.sequence == 5, "another door, and above all of that time"


def test_a_number_of_that_time_is_never_given_again(desk: Desk) -> None:
    desk.request("cancel", "m3")
    desk.request("cancel", "m4")
    desk.need("m5", credential=credential(entrances=["101"]))
    assert desk.claim("right").credential.sequence == 4, "3 may have been told to an encoder"


def test_a_job_of_that_time_that_moves_to_another_door_is_numbered_there(desk: Desk) -> None:
    desk.now = to_ms(datetime.fromisoformat("2025-06-16T00:00:00+00:00"))
    desk.need("m3", at=desk.now, credential=STAY | {"entrances": ["202"]})
    given = desk.claim("right")
    assert (given.job.access_method_id, given.credential.sequence) == ("m3", 5)


def test_a_guests_card_of_that_time_is_not_overwritten(desk: Desk) -> None:
    job = desk.claim("right").job
    assert not desk.intend(job, "right", Card(technology="test", uid="04aa"))
    assert not desk.intend(job, "right", OTHER_CARD), "of this one nobody knows what is on it"
    assert desk.intend(job, "right", FRESH)


def test_another_card_is_asked_for_in_place_of_one_that_is_gone(desk: Desk) -> None:
    assert desk.request("resolve", "m2", card="gone", again=True)["state"] == "queued"
    desk.request("claim", "m2", encoder="right")
    given = desk.claim("right").credential
    assert (given.sequence, given.fields, given.data) == (
        4,
        {"guest": version_1.GUEST},
        {"track": version_1.SECRET},
    )
    desk.request("cancel", "m2")
    assert desk.request("retry", "m2")["status"] == "rejected", "the contents are gone with the job"


def test_a_job_that_ended_then_is_not_made_again_with_half_its_contents(desk: Desk) -> None:
    desk.request("cancel", "m4")
    answer = desk.request("retry", "m4")
    assert (answer["status"], answer["error"]["type"]) == ("rejected", "contents_missing")


def test_the_log_of_that_time_says_of_nobody_who_asked(desk: Desk) -> None:
    assert {(line["requester"], line["operator"]) for line in desk.log(1)} == {(None, None)}
    desk.claim("right")
    desk.do(desk.store.waiting.expire, START + 40 * 24 * 60 * MINUTE)
    assert desk.states()[3] is State.EXPIRED


@pytest.mark.skipif(powercut is None, reason="apsw is not installed: no power cuts can be played")
def test_a_power_cut_in_the_middle_of_the_migration_loses_nothing() -> None:
    with memory_folder() as folder:
        path = folder / "store.db"
        version_1.write(path)
        before = rows(path)
        recorder = powercut.Recorder()
        desk = Desk(path, connect=lambda name: recorder.connect(name))
        desk.do(desk.store.recovery.recover, desk.now)
        desk.store.retention.tidy()
        desk.close()
        recovered: dict[str, Any] = {}
        found_versions = set()
        for cut in recorder.cuts()[1:]:  # at the first the file is not open yet
            for disk in recorder.disk_states(cut, Random(cut), how_many=3):
                with closing(sqlite3.connect(disk.write_to(folder))) as left:
                    found_versions.add(left.execute("PRAGMA user_version").fetchone()[0])
                survivor = Desk(path)
                survivor.do(survivor.store.recovery.recover, survivor.now)
                sealed = survivor.store.work._ledger.sealed
                assert all(sealed.fields(number) == {"guest": version_1.GUEST} for number in (1, 2, 3, 4))
                assert all(sealed.data(number) == {"track": version_1.SECRET} for number in (2, 3, 4))
                assert survivor.connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
                after = rows(path)
                recovered = recovered or after
                assert after == recovered
                survivor.close()
        assert found_versions == {1, 2}
        assert {**recovered, "job": []} == {**before, "job": []}
        assert [row[:2] for row in recovered["job"]] == [row[:2] for row in before["job"]]
