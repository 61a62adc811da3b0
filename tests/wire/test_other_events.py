"""A source that sends all of Seam's events sends many that a desk has no use for."""

from __future__ import annotations

import json
from pathlib import Path

from rigs.brokers import Broker
from rigs.tap import Tap

from .front_desk import FrontDesk


def test_an_event_that_names_no_access_method_is_passed_over_in_silence(
    mosquitto: Broker, mosquitto_tap: Tap, tmp_path: Path
) -> None:
    with FrontDesk(mosquitto, mosquitto_tap, tmp_path) as desk:
        desk.trigger({"event_id": "d1", "event_type": "device.connected", "device_id": "d"})
        desk.serve_one_more()
        assert not desk.rows("SELECT error FROM poison")
        assert not [heard for heard in desk.on("response/") if json.loads(heard.payload).get("id") == "d1"]
