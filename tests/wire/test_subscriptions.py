"""A session at the broker outlives a change of the configuration; what it still holds from before must not be heard."""

from __future__ import annotations

from pathlib import Path

from rigs.brokers import Broker
from rigs.tap import Tap

from . import clients
from .front_desk import FrontDesk, need


def test_a_topic_that_is_not_configured_any_more_makes_no_cards(broker: Broker, tap: Tap, tmp_path: Path) -> None:
    name = f"moved-{broker.protocol.replace('.', '')}"
    with FrontDesk(broker, tap, tmp_path, name=name, mqtt={"trigger_topics": ["old/topic"]}):
        pass
    with FrontDesk(broker, tap, tmp_path, name=name, mqtt={"trigger_topics": ["new/topic"]}) as desk:
        clients.publish(broker, "old/topic", need("unheard"))
        clients.publish(broker, "new/topic", need("heard"))
        desk.tap.wait_for(lambda heard: heard.topic == f"{desk.root}/job/heard" and b"issued" in heard.payload)
        assert desk.rows("SELECT access_method_id FROM job") == [("heard",)]


def test_an_answer_never_goes_to_a_topic_of_ours_that_is_no_response(
    mosquitto: Broker, mosquitto_tap: Tap, tmp_path: Path
) -> None:
    with FrontDesk(mosquitto, mosquitto_tap, tmp_path, mqtt={"reply_topics": ["#"]}) as desk:
        desk.trigger({**need("polite"), "reply_to": f"{desk.root}/event/access_method.issued"})
        desk.serve_one_more()
        assert all("status" not in heard.json() for heard in desk.on("event/"))
        assert [heard for heard in desk.on("response/trigger") if heard.json()["access_method_id"] == "polite"]
