"""Guest A's card is laid down for guest B."""

from __future__ import annotations

from desk.conftest import OpenLobby
from desk.lobby import Lobby, about, stay


def refused(desk: Lobby, uid: str, access_method_id: str) -> None:
    """Lay a card that must not be touched, and lift it when that was said."""
    before, now = desk.plastics(), desk.now()
    desk.lay(uid)
    shown = desk.shows(error="card_in_use", prompt="lift_card", after=now)
    assert "another" in shown["error"]["clerk"]
    assert desk.plastics() == before
    now = desk.now()
    desk.lift()
    desk.asks(access_method_id, after=now)


def test_guest_as_live_card_is_left_alone_and_guest_bs_goes_on_with_another_card(lobby: OpenLobby) -> None:
    with lobby() as desk:
        one, two = desk.blank(), desk.blank()
        desk.make("a", one)
        desk.told(stay("b"), status="accepted")
        desk.asks("b")
        refused(desk, one, "b")
        refused(desk, one, "b")
        desk.lay(two)
        assert desk.reports("b")["card"]["uid"] == two
        desk.lift()


def test_guest_as_own_card_may_be_encoded_again_for_guest_a(lobby: OpenLobby) -> None:
    with lobby() as desk:
        card = desk.blank()
        first = desk.make("a", card)
        desk.told(stay("a", occurred_at="2090-01-01T00:00:00Z"), status="accepted")
        assert desk.shows(prompt="place_card", effect="updates")["access_method_id"] == "a"
        desk.lay(card)
        again = desk.reports("a", "access_method.reissued")
        assert again["card"]["uid"] == card
        assert again["sequence"] > first["sequence"]
        desk.lift()


def test_guest_as_card_may_be_used_once_the_access_method_is_deleted(lobby: OpenLobby) -> None:
    with lobby() as desk:
        card = desk.blank()
        desk.make("a", card)
        desk.trigger(stay("b"))
        desk.asks("b")
        refused(desk, card, "b")
        desk.told(about("a", "deleted"), status="accepted")
        desk.lay(card)
        assert desk.reports("b")["card"]["uid"] == card
        desk.lift()


def test_guest_as_card_may_be_used_once_it_was_erased_although_valid(lobby: OpenLobby) -> None:
    with lobby() as desk:
        card = desk.blank()
        desk.make("a", card)
        desk.shows(state="idle", after=desk.now() - 1)
        desk.lay(card)
        before = desk.plastics()
        status, answer = desk.control.ask("erase", encoder="desk-1")
        assert (status, answer["error"]["type"]) == (409, "card_still_valid")
        assert desk.plastics() == before
        status, answer = desk.control.ask("erase", encoder="desk-1", even_if_valid=True, operator="Ana")
        assert (status, answer["status"], answer["card"]["uid"]) == (200, "erased", card)
        assert desk.hears("event/encoder_bridge.card_erased")["access_method_id"] == "a"
        desk.lift()
        desk.trigger(stay("b"))
        desk.asks("b")
        desk.lay(card)
        assert desk.reports("b")["card"]["uid"] == card
        desk.lift()
