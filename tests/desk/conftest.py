"""A broker for each module, and desks on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rigs.brokers import Broker, Mosquitto
from rigs.tap import Tap
from wire.conftest import run_or_skip

from desk.lobby import Lobby

OpenLobby = Callable[..., Lobby]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with run_or_skip(Mosquitto) as running:
        yield running


@pytest.fixture(scope="module")
def tap(broker: Broker) -> Iterator[Tap]:
    with Tap(broker) as listening:
        yield listening


@pytest.fixture
def lobby(broker: Broker, tap: Tap, tmp_path: Path) -> OpenLobby:
    """Make a desk, to be used as a context."""

    def make(**settings: Any) -> Lobby:
        return Lobby(broker, tap, tmp_path, **settings)

    return make
