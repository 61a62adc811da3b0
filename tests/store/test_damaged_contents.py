"""A row in which a bit has tipped: the job says what it lacks, and nobody else is held up."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encoder_bridge import wire
from encoder_bridge.model import State

from .desk import START, Desk, credential

GUEST = "Ms Guest"
SECRET = b"track"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "store.db")
    yield desk
    desk.close()


def stay() -> dict[str, Any]:
    return {"credential": credential(fields={"guest": GUEST}, data={"track": base64.b64encode(SECRET).decode()})}


def damage(desk: Desk, how: str, table: str) -> None:
    """Spoil what is kept for all jobs."""
    column = {"personal": "fields", "contents": "data"}[table]
    rows = desk.connection.execute(f"SELECT job_id, {column} FROM {table}").fetchall()
    for job_id, text in rows:
        spoilt = {
            "no base64": f"!{text[1:]}",
            "cut off": text[:-3],
            "beyond ASCII": f"é{text[1:]}",
            "empty": "",
            "another byte": f"{text[:40]}{'B' if text[40] == 'A' else 'A'}{text[41:]}",
        }[how]
        desk.connection.execute(f"UPDATE {table} SET {column} = ? WHERE job_id = ?", (spoilt, job_id))


DAMAGED = pytest.mark.parametrize("how", ["no base64", "cut off", "beyond ASCII", "empty", "another byte"])
IN = pytest.mark.parametrize("table", ["personal", "contents"])


@IN
@DAMAGED
def test_a_job_whose_contents_are_damaged_is_held_and_the_others_go_on(desk: Desk, how: str, table: str) -> None:
    desk.need("m1", at=START, **stay())
    damage(desk, how, table)
    desk.need("m2")
    assert desk.claim().job.access_method_id == "m2"
    assert (desk.job(1).state, desk.problem(1)) == (State.HELD, "contents_missing")


@IN
@DAMAGED
def test_a_job_whose_contents_are_damaged_goes_on_when_they_are_sent_again(desk: Desk, how: str, table: str) -> None:
    desk.need(at=START, **stay())
    damage(desk, how, table)
    assert desk.nothing_to_claim()
    later = desk.restart()
    assert later.nothing_to_claim(), "a restart does not mend it"
    assert later.need(at=START + 1, **stay()).status == "accepted"
    given = later.claim().credential
    assert (given.fields["guest"], given.data["track"]) == (GUEST, SECRET)
    later.close()


@DAMAGED
def test_a_card_in_doubt_whose_contents_are_damaged_stays_in_doubt(desk: Desk, how: str) -> None:
    desk.need(at=START, **stay())
    desk.doubt(desk.begin())
    damage(desk, how, "contents")
    assert desk.nothing_to_claim()
    assert (desk.states(), desk.problem()) == ([State.UNSURE], "contents_missing")
    assert desk.request("resolve", card="gone", again=True)["error"]["type"] == "contents_missing"
    assert desk.request("resolve", card="gone")["state"] == "failed"


@DAMAGED
def test_a_job_whose_contents_are_damaged_is_not_opened_again(desk: Desk, how: str) -> None:
    desk.need(at=START, credential=credential(fields={"guest": GUEST}))
    desk.request("cancel")
    damage(desk, how, "personal")
    assert desk.request("retry")["error"]["type"] == "contents_missing"


@DAMAGED
def test_guests_are_forgotten_although_somebodys_data_are_damaged(desk: Desk, how: str) -> None:
    desk.need("m1", at=START, **stay())
    desk.issue(desk.begin())
    damage(desk, how, "personal")
    desk.need("m2", credential=credential(fields={"guest": "Mr Other"}))
    desk.request("cancel", "m2")
    forget = desk.store.guests.forget
    assert desk.do(forget, wire.EraseGuest(id="a", who="Mr Other"), desk.now).status == "done"
    assert desk.do(forget, wire.EraseGuest(id="b", who=GUEST), desk.now).status == "rejected"
    assert desk.do(forget, wire.EraseGuest(id="c", who="m1"), desk.now).status == "done"
    assert desk.rows("personal") == []


def test_a_damaged_row_from_before_the_seal_does_not_keep_the_desk_from_starting(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "store.db")
    desk.need("m1", credential=credential(data={"track": "AAAA"}))
    desk.connection.execute("UPDATE contents SET data = '{\"track\": '")
    later = desk.restart()
    assert later.nothing_to_claim()
    assert later.problem() == "contents_missing"
    later.close()
