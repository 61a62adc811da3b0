"""Which encoder makes which card, and what becomes of what waits for one that is gone."""

from __future__ import annotations

from desk.conftest import OpenLobby
from desk.lobby import stay

ROUTES = (
    {"entrances": ["tower-*"], "encoders": ["desk-1"], "backup": ["desk-2"]},
    {"entrances": ["garden-*"], "encoders": ["desk-2"]},
)


def test_each_entrance_has_its_encoder_and_what_fits_no_route_is_claimed(lobby: OpenLobby) -> None:
    with lobby(encoders={"desk-1": {}, "desk-2": {}}, routes=ROUTES) as desk:
        desk.told(stay("garden", room="garden-7"), status="accepted")
        desk.told(stay("tower", room="tower-7"), status="accepted")
        desk.asks("garden", "desk-2")
        desk.asks("tower", "desk-1")
        held = desk.told(stay("pool", room="pool"), status="held")
        assert held["error"]["type"] == "no_route"
        desk.reports("pool", "encoder_bridge.job_held")
        for method, encoder in (("garden", "desk-2"), ("tower", "desk-1")):
            desk.lay(desk.blank(), encoder)
            assert desk.reports(method)["encoder"] == encoder
            now = desk.now()
            desk.lift(encoder)
            desk.shows(encoder, state="idle", after=now)
        assert desk.control.job("pool")["state"] == "held"
        status, claimed = desk.control.ask("claim", access_method_id="pool", encoder="desk-2", operator="Ana")
        assert (status, claimed["state"]) == (200, "queued")
        desk.asks("pool", "desk-2")
        desk.lay(desk.blank(), "desk-2")
        assert desk.reports("pool")["encoder"] == "desk-2"
        desk.lift("desk-2")


def test_what_waits_for_an_encoder_that_was_unplugged_is_handed_over(lobby: OpenLobby) -> None:
    unplugged = {"faults": ["encoder_not_online"], "replug_s": 3600.0}
    with lobby(
        encoders={"desk-1": unplugged, "desk-2": {}},
        routes=ROUTES,
        jobs={"default_profile": "guest", "hand_over_s": 5},
    ) as desk:
        desk.told(stay("a", room="tower-1"), status="accepted")
        desk.shows("desk-1", state="offline", error="encoder_not_online")
        before = desk.plastics()
        desk.asks("a", "desk-2")
        assert "handed_over" in [line["what"] for line in desk.control.job("a")["attempts"]]
        assert desk.plastics() == before
        desk.lay(desk.blank(), "desk-2")
        made = desk.reports("a")
        assert made["encoder"] == "desk-2"
        assert desk.control.encoder("desk-1")["state"] == "offline"
        desk.lift("desk-2")


def test_a_card_in_doubt_whose_encoder_is_gone_is_brought_to_another_one(lobby: OpenLobby) -> None:
    unplugged = {"faults": ["encoder_not_online@5"], "replug_s": 3600.0}
    with lobby(encoders={"desk-1": unplugged, "desk-2": {}}) as desk:
        card, other = desk.blank(), desk.blank()
        desk.told(stay("a", encoder="desk-1"), status="accepted")
        desk.asks("a", "desk-1")
        desk.lay(card, "desk-1")
        unsure = desk.reports("a", "encoder_bridge.job_unsure")
        desk.shows("desk-1", state="offline")
        desk.make("b", other, "desk-2")  # whoever waits at the other one is not held up
        assert desk.control.job("a")["state"] == "unsure"
        desk.judge()
        status, answer = desk.control.ask("claim", access_method_id="a", encoder="desk-2")
        assert (status, answer["state"]) == (200, "unsure")
        desk.shows("desk-2", prompt="same_card", card=card)
        desk.lay(card, "desk-2")
        made = desk.reports("a")
        assert (made["card"]["uid"], made["encoder"], made["sequence"]) == (card, "desk-2", unsure["sequence"])
        desk.lift("desk-2")
