"""Daemons and their broker die at random, encoders fail: every need still ends in one good card and one report."""

from __future__ import annotations

import os
import random

import pytest

from kill.matrix import record
from kill.rig import Rig
from kill.storm import Storm

SEED = int(os.environ.get("ENCODER_BRIDGE_SEED", "20260101"))
FAULTS = (
    "encoding_interrupted",
    "encoder_communication_timeout",
    "verify_mismatch",
    "encoder_not_online",
    "encoder_not_online@3",
    "write_ignored",
    "card_locked",
    "encoding_interrupted@1",
    "verify_mismatch@2",
    "action_attempt_expired",
    "uncategorized_error@0",
)


@pytest.mark.slow
def test_needs_end_well_while_daemons_and_broker_die(rig: Rig) -> None:
    points = record(rig, "record")
    tally = Storm(rig, random.Random(SEED), points).rage(60)
    print(f"\nseed {SEED}: {tally}")
    assert tally.failed == 0
    assert tally.kills > 40
    assert tally.broker_kills
    assert tally.broker_stops


@pytest.mark.slow
def test_needs_end_well_while_daemons_die_brokers_restart_and_encoders_fail(rig: Rig) -> None:
    points = record(rig, "record")
    tally = Storm(rig, random.Random(SEED), points, faults=FAULTS, broker_kills=False).rage(40)
    print(f"\nseed {SEED}: {tally}")
    assert tally.failed == 0
    assert tally.unsure
    assert tally.broker_stops
