"""What the composition root makes of a configuration."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from zoneinfo import ZoneInfo

from encoder_bridge.app import _rules
from encoder_bridge.config import load
from encoder_bridge.config.tables import RouteSettings
from encoder_bridge.routing import Route
from encoder_bridge.store import Rules

DAY_MS = 86_400_000
EVERYTHING = """
site = "s"
desk = "d"
time_zone = "Asia/Tokyo"
store = "jobs.sqlite"
[jobs]
max_open = 7
default_profile = "room"
open_for_s = 60
cards_per_minute = 3
sequence_window = 9
[privacy]
keep_personal_days = 2
keep_history_days = 8
[encoders.left]
driver = "simulated"
[encoders.right]
driver = "acme"
[[routes]]
entrances = ["garage"]
spaces = ["lobby"]
acs_systems = ["acs"]
requesters = ["pms"]
encoders = ["left"]
backup = ["right"]
"""
RULES = Rules(
    encoders={"left": "simulated", "right": "acme"},
    routes=(
        Route(
            encoders=("left",),
            backup=("right",),
            entrances=("garage",),
            spaces=("lobby",),
            acs_systems=("acs",),
            requesters=("pms",),
        ),
    ),
    default_profile="room",
    max_open=7,
    open_for_ms=60_000,
    cards_per_minute=3,
    sequence_window=9,
    zone=ZoneInfo("Asia/Tokyo"),
    keep_personal_ms=2 * DAY_MS,
    keep_history_ms=8 * DAY_MS,
)


def test_every_rule_of_the_store_is_taken_from_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "encoder-bridge.toml"
    file.write_text(EVERYTHING)
    assert _rules(load(file, {})) == RULES


def test_no_rule_is_left_out_of_the_test_before() -> None:
    left_out = [field.name for field in fields(Rules) if getattr(RULES, field.name) == field.default]
    assert not left_out
    assert {field.name for field in fields(Route)} == set(RouteSettings.model_fields)
