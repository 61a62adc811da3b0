"""The guide for lock vendors says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from encoder_bridge import driver

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "drivers.md").read_text()
EXAMPLES = re.findall(r"```(?:python|toml)\n(.*?)```", GUIDE, flags=re.DOTALL)


def errors() -> list[str]:
    return [kind.__name__ for kind in driver.DriverError.__subclasses__() if kind.__module__ == driver.__name__]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_part_of_the_stranger_that_passes_the_contract(example: str) -> None:
    sources = [path.read_text() for path in (ROOT / "tests" / "stranger").rglob("*") if path.suffix in (".py", ".toml")]
    assert any(example in source for source in sources)


def test_the_guide_has_examples() -> None:
    assert len(EXAMPLES) == 6


def test_every_error_of_the_port_stands_in_the_table() -> None:
    assert re.findall(r"^\| `(\w+)` \| .* \| .* \|$", GUIDE, flags=re.MULTILINE) == errors()
