"""The access method is deleted while its card is waited for, being written, and in doubt."""

from __future__ import annotations

from desk.conftest import OpenLobby
from desk.lobby import SLOW, about, stay


def test_deleted_while_the_card_is_waited_for_nothing_is_written(lobby: OpenLobby) -> None:
    with lobby() as desk:
        desk.trigger(stay("a"))
        desk.asks("a")
        now, before = desk.now(), desk.plastics()
        desk.told(about("a", "deleted"), status="accepted")
        assert desk.reports("a", "encoder_bridge.job_cancelled")["error"]["type"] == "credential_deleted"
        desk.shows(state="idle", after=now)
        desk.lay(desk.blank())
        status, read = desk.control.ask("read", encoder="desk-1")
        assert (status, read["fields"]) == (200, {"state": "blank"})
        assert desk.plastics() == before
        desk.lift()
        desk.make("b", desk.blank())


def test_deleted_while_it_is_written_the_card_is_finished_and_said_to_be_deleted(lobby: OpenLobby) -> None:
    with lobby(encoders={"desk-1": SLOW}) as desk:
        card = desk.blank()
        desk.trigger(stay("a"))
        desk.asks("a")
        desk.lay(card)
        desk.shows_progress(blocks=1)
        assert desk.told(about("a", "deleted"), status="accepted").get("state") is None
        made = desk.reports("a")
        assert [warning["type"] for warning in made["warnings"]] == ["being_deleted"]
        status, read = desk.control.ask("read", encoder="desk-1")
        assert (status, read["made_here"]["is_deleted"], read["made_here"]["is_valid"]) == (200, True, False)
        desk.lift()
        assert desk.told(stay("a", occurred_at="2090-01-01T00:00:00Z"))["error"]["type"] == "credential_deleted"


def test_deleted_while_in_doubt_nothing_more_is_written_and_the_card_is_named(lobby: OpenLobby) -> None:
    with lobby(encoders={"desk-1": {"faults": ["uncategorized_error@5"]}}) as desk:
        card = desk.blank()
        desk.trigger(stay("a"))
        desk.asks("a")
        desk.lay(card)
        desk.reports("a", "encoder_bridge.job_unsure")
        desk.lift()
        desk.shows(prompt="same_card", card=card)
        before, now = desk.plastics(), desk.now()
        desk.told(about("a", "deleted"), status="accepted")
        ended = desk.reports("a", "access_method.failed_to_issue", error="credential_deleted")
        assert ended["card"]["uid"] == card
        assert card in ended["error"]["message"]
        desk.shows(state="idle", after=now)
        desk.lay(card)
        desk.control.ask("read", encoder="desk-1")
        assert desk.plastics() == before
        desk.lift()
        desk.make("b", desk.blank())
