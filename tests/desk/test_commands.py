"""A clerk's morning on the command line, beside the daemon that has the reader and the store."""

from __future__ import annotations

from desk.conftest import OpenLobby
from desk.lobby import stay


def test_a_morning_on_the_command_line(lobby: OpenLobby) -> None:
    with lobby(encoders={"desk-1": {"faults": ["slow", "encoding_interrupted"]}}) as desk:
        first, torn, second = (desk.blank() for _ in range(3))
        assert desk.cli("operator", "Ana")[0] == 0
        ask = ("encode", "--access-method", "a", "--entrance", "101", "--field", "room=101")
        with desk.asking(lambda: desk.cli(*ask)) as encoding:
            desk.asks("a")
            desk.lay(first)
            code, told = encoding.result()
        assert (code, told["job"]["state"]) == (0, "issued")
        code, read = desk.cli("read")
        assert (code, read["card"]["uid"], read["made_here"]["access_method_id"]) == (0, first, "a")
        assert read["made_here"]["operator"] == "Ana"
        before = desk.plastics()
        code, refused = desk.cli("erase")
        assert (code, refused["error"]["type"]) == (1, "card_still_valid")
        assert desk.plastics() == before

        desk.told(stay("b"), status="accepted")
        desk.lift()
        desk.asks("b")
        desk.lay(torn)
        desk.reports("b", "encoder_bridge.job_unsure")
        desk.shows(prompt="same_card", card=torn)
        code, (job,) = desk.cli("jobs", "list", "--state", "unsure")
        assert (code, job["access_method_id"], job["card"]["uid"]) == (0, "b", torn)
        now = desk.now()
        assert desk.cli("jobs", "resolve", "b", "--gone", "--again")[0] == 0
        desk.asks("b", after=now)
        desk.lay(second)
        assert desk.reports("b")["card"]["uid"] == second
        assert desk.reports("b", "access_method.failed_to_issue")["error"]["type"] == "card_gone"

        code, erased = desk.cli("erase", "--even-if-valid")
        assert (code, erased["status"], erased["card"]["uid"]) == (0, "erased", second)
        desk.hears("event/encoder_bridge.card_erased", card=second)
        desk.lift()
        desk.told(stay("c"), status="accepted")
        desk.asks("c")
        assert desk.cli("jobs", "cancel", "c")[0] == 0
        desk.reports("c", "encoder_bridge.job_cancelled")
