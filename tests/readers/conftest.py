"""A broker for each module, and desks with a real PC/SC service on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rigs.brokers import Broker, Mosquitto
from rigs.tap import Tap
from virtual import pcscd
from wire.conftest import run_or_skip

from readers.desk import Desk

OpenDesk = Callable[..., Desk]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with run_or_skip(Mosquitto) as running:
        yield running


@pytest.fixture(scope="module")
def tap(broker: Broker) -> Iterator[Tap]:
    with Tap(broker) as listening:
        yield listening


@pytest.fixture
def desk(broker: Broker, tap: Tap, tmp_path: Path) -> OpenDesk:
    """Make a desk, to be used as a context."""
    if reason := pcscd.available():
        pytest.skip(reason)

    def make(**settings: Any) -> Desk:
        return Desk(broker, tap, tmp_path, **settings)

    return make
