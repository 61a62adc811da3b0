"""The contract finds each broken driver out, and by the behaviour that is broken."""

from __future__ import annotations

import pytest

from .behaviours import BEHAVIOURS, judge
from .zoo import ZOO


@pytest.mark.parametrize("name", ZOO)
def test_the_contract_names_what_is_broken(name: str) -> None:
    beast = ZOO[name]
    failed, _ = judge(beast.bench, beast.judged)
    assert set(failed) == {beast.culprit} | beast.also, failed


def test_every_behaviour_has_caught_a_beast() -> None:
    assert set(BEHAVIOURS) == {beast.culprit for beast in ZOO.values()}
