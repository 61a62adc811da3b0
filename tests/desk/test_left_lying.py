"""Five jobs wait and nobody takes the finished card away."""

from __future__ import annotations

import pytest

from desk.conftest import OpenLobby
from desk.lobby import about, stay


@pytest.mark.parametrize("is_deleted", [False, True], ids=["valid", "deleted"])
def test_not_one_byte_is_written_until_the_finished_card_is_lifted(lobby: OpenLobby, *, is_deleted: bool) -> None:
    """A deleted access method's card may be overwritten: there nothing but the lift protects what lies there."""
    with lobby() as desk:
        made, *others = [desk.blank() for _ in range(4)]
        desk.trigger(stay("a"))
        desk.asks("a")
        waiting = ["b", "c", "d", "e", "f"]
        for method in waiting:
            desk.told(stay(method), status="accepted")
        desk.lay(made)
        desk.reports("a")
        before = desk.plastics()
        if is_deleted:
            desk.told(about("a", "deleted"))
        for _ in range(2):  # whatever was about to happen at this encoder has happened when it has read a card twice
            now = desk.now()
            status, read = desk.control.ask("read", encoder="desk-1")
            assert (status, read["status"], read["card"]["uid"]) == (200, "read", made)
            assert read["made_here"]["is_valid"] is not is_deleted
            desk.shows(prompt="lift_card", after=now)
        assert desk.plastics() == before
        assert sorted(job["state"] for job in desk.control.get("/v1/jobs")["jobs"]) == ["issued", *["queued"] * 5]
        for method, uid in zip(waiting, others, strict=False):
            now = desk.now()
            desk.lift()
            desk.asks(method, after=now)
            desk.lay(uid)
            desk.reports(method)
        now = desk.now()
        desk.lift()
        desk.asks("e", after=now)
