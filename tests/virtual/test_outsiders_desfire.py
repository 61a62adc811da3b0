"""The virtual DESFire card against what nobody here wrote: a real card's log, published figures, foreign programs."""

from __future__ import annotations

import json
from pathlib import Path

from virtual.desfire import Desfire

VECTORS = Path(__file__).parent / "vectors"


def test_it_answers_a_recorded_session_as_the_real_card_did() -> None:
    recorded = json.loads((VECTORS / "desfire_ev1_card.json").read_text())
    card = Desfire()
    card.activate()
    frames = 0
    for operation in recorded["operations"]:
        if "RndB" in operation["fields"]:
            card.use_randoms(bytes.fromhex(operation["fields"]["RndB"]))
        for sent, answered in zip(operation["tx"], operation["rx"], strict=True):
            assert card.exchange(bytes.fromhex(sent)).hex() == answered, operation["op"]
            frames += 1
    assert frames == 85


def test_it_answers_the_same_session_in_wrapped_frames() -> None:
    recorded = json.loads((VECTORS / "desfire_ev1_card.json").read_text())
    card = Desfire()
    card.activate()
    for operation in recorded["operations"]:
        if "RndB" in operation["fields"]:
            card.use_randoms(bytes.fromhex(operation["fields"]["RndB"]))
        for sent, answered in zip(operation["tx"], operation["rx"], strict=True):
            body = sent[2:]
            length = f"{len(body) // 2:02x}" if body else ""
            frame = bytes.fromhex(f"90{sent[:2]}0000{length}{body}00")
            assert card.exchange(frame).hex() == f"{answered[2:]}91{answered[:2]}", operation["op"]
