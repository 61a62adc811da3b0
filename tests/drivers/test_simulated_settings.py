"""What the simulated encoder takes for settings."""

from __future__ import annotations

import asyncio
import json
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from encoder_bridge_simulated import FAULTS, driver
from encoder_bridge_simulated.settings import Simulation
from simulated_desk import opened, secret

from encoder_bridge.driver import SettingsRejected


def test_a_stock_is_all_that_is_needed(tmp_path: Path) -> None:
    driver.check({"stock": str(tmp_path / "stock")}, secret)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stock", ""),
        ("stock", 3),
        ("stock", "cards"),
        ("stock", "./cards"),
        ("stock", "~nobody-of-this-name/cards"),
        ("name", "../up"),
        ("name", ""),
        ("cards", 0),
        ("cards", True),
        ("cards", "20"),
        ("clerk", "asleep"),
        ("clerk", []),
        ("place_s", -1),
        ("lift_s", "1"),
        ("latency_s", float("nan")),
        ("latency_s", True),
        ("faults", "hung"),
        ("faults", [1]),
        ("faults", ["no_such_fault"]),
        ("faults", ["card_full@2"]),
        ("faults", ["encoding_interrupted@"]),
        ("faults", ["encoding_interrupted@-1"]),
        ("fault_rate", 1.01),
        ("seed", 1.0),
        ("replug_s", float("inf")),
        ("silence_s", 0),
        ("time_step_s", 0),
        ("time_step_s", 0.5),
        ("time_step_s", True),
        ("time_step_s", 86_401),
        ("uids", "changing"),
        ("uids", []),
        ("senses", 0),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(SettingsRejected, match=repr(key)):
        driver.check({"stock": str(tmp_path), key: value}, secret)


def test_a_relative_stock_is_refused_with_what_to_give() -> None:
    with pytest.raises(SettingsRejected, match="'stock' is wrong: give an absolute path"):
        driver.check({"stock": "cards"}, secret)


def test_a_missing_stock_is_named() -> None:
    with pytest.raises(SettingsRejected, match="'stock'"):
        driver.check({}, secret)


@pytest.mark.parametrize(("key", "near"), [("latency", "latency_s"), ("fault", "faults"), ("stok", "stock")])
def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path: Path, key: str, near: str) -> None:
    with pytest.raises(SettingsRejected, match=f"'{key}'.*'{near}'"):
        driver.check({"stock": str(tmp_path), key: 1}, secret)


def test_every_setting_and_its_default_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text(encoding="utf-8")
    for key in fields(Simulation):
        said = {MISSING: "**required**", None: "none"}
        default = said[key.default] if key.default in said else f"`{json.dumps(key.default)}`"
        assert f"\n| `{key.name}` | {default} | " in page


def test_every_fault_is_a_setting_and_has_a_sentence(tmp_path: Path) -> None:
    driver.check({"stock": str(tmp_path), "faults": [*FAULTS, "encoding_interrupted@3"]}, secret)
    assert all(sentence.endswith(".") for sentence in FAULTS.values())


def test_discovery_lists_the_configured_encoder(tmp_path: Path) -> None:
    async def look() -> None:
        settings = {"stock": str(tmp_path / "stock"), "name": "desk-1"}
        (found,) = await driver.discover(settings, secret)
        assert (found.identity, dict(found.settings)) == ("desk-1", settings)
        assert await driver.discover({}, secret) == ()
        assert not (tmp_path / "stock").exists()
        async with opened(tmp_path / "stock", name="desk-1"):
            assert len(await driver.discover(settings, secret)) == 1

    asyncio.run(look())
