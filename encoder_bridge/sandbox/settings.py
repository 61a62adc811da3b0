"""The daemon's configuration for a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from encoder_bridge.config import Settings
from encoder_bridge.sandbox.addresses import Address
from encoder_bridge.sandbox.plan import Plan

SITE = "demo"
DESK = "front-desk"
DRIVER = "simulated"
_MAX_OPEN = 500
_SHORTEST_SILENCE_S = 2.0
_SLOWEST = 20
"""A fault makes a block ten times as slow, and that must not look like a device that hangs."""


def settings_for(plan: Plan, address: Address | None, *, store: Path, cards: Path, password: Path | None) -> Settings:
    """What a property would have written into its configuration.

    Args:
        plan: what was asked for.
        address: the broker; None: without one.
        store: folder of the jobs.
        cards: folder of the cards.
        password: file with the broker's password.

    Raises:
        pydantic.ValidationError: the plan asks for what cannot be configured.
    """
    values: dict[str, Any] = {
        "site": SITE,
        "desk": DESK,
        "time_zone": plan.time_zone,
        "store": store / "jobs.sqlite",
        "jobs": {"default_profile": "guest", "max_open": max(_MAX_OPEN, 2 * plan.jobs), "cards_per_minute": 0},
        "clock": "trusted",
        "encoders": {name: _encoder(plan, index, cards) for index, name in enumerate(plan.encoder_names)},
    }
    if address:
        mqtt: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "protocol": address.protocol,
            "tls": address.tls,
            "reply_topics": ["#"],
        }
        optional = {"username": address.username, "password_file": password, "ca_file": address.ca_file}
        mqtt |= {key: value for key, value in optional.items() if value is not None}
        values["mqtt"] = mqtt
    return Settings.model_validate(values)


def _encoder(plan: Plan, index: int, cards: Path) -> dict[str, Any]:
    return {
        "driver": DRIVER,
        "name": plan.encoder_names[index],
        "stock": str(cards),
        "cards": max(20, plan.jobs),
        "place_s": plan.place_s,
        "lift_s": plan.place_s / 2,
        "latency_s": plan.latency_s,
        "silence_s": max(_SHORTEST_SILENCE_S, _SLOWEST * plan.latency_s),
        "faults": list(plan.faults_of(index)),
    }
