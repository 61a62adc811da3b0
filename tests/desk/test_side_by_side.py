"""One encoder hangs, one is unsure, and the third goes on."""

from __future__ import annotations

from desk.conftest import OpenLobby
from desk.lobby import stay


def test_an_encoder_that_hangs_and_one_in_doubt_do_not_hold_up_the_third(lobby: OpenLobby) -> None:
    encoders = {
        "desk-1": {"faults": ["hung@3"], "silence_s": 4.0},
        "desk-2": {"faults": ["encoding_interrupted"]},
        "desk-3": {},
    }
    with lobby(encoders=encoders, cards=5) as desk:
        hung, torn, *good = [desk.blank() for _ in range(5)]
        for number, uid in ((1, hung), (2, torn)):
            desk.trigger(stay(f"stuck-{number}", encoder=f"desk-{number}"))
            desk.asks(f"stuck-{number}", f"desk-{number}")
            desk.lay(uid, f"desk-{number}")
        desk.shows_progress("desk-1", blocks=3)
        desk.reports("stuck-2", "encoder_bridge.job_unsure")
        for number, uid in enumerate(good):
            desk.make(f"good-{number}", uid, "desk-3")
        desk.shows("desk-1", state="hung")
        desk.reports("stuck-1", "encoder_bridge.job_unsure")
        assert desk.control.job("stuck-1")["state"] == "unsure"
        desk.judge()  # also as it stands: two cards in doubt, three good ones
        desk.lift("desk-1")
        for number, uid in ((1, hung), (2, torn)):
            encoder = f"desk-{number}"
            desk.shows(encoder, prompt="same_card", card=uid)
            desk.lay(uid, encoder)
            assert desk.reports(f"stuck-{number}")["card"]["uid"] == uid
            desk.lift(encoder)
