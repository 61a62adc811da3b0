"""Brokers that a module shares, and desks on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rigs.brokers import Broker, Mosquitto, Nats
from rigs.tap import Tap

from . import clients
from .front_desk import FrontDesk


def run_or_skip(kind: type[Broker]) -> Broker:
    if reason := clients.available() or kind.available():
        pytest.skip(reason)
    return kind()


@pytest.fixture(scope="module", params=[Mosquitto, Nats], ids=["mosquitto", "nats"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """MQTT 5, then 3.1.1."""
    with run_or_skip(request.param) as running:
        yield running


@pytest.fixture(scope="module")
def tap(broker: Broker) -> Iterator[Tap]:
    with Tap(broker) as listening:
        yield listening


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[Broker]:
    with run_or_skip(Mosquitto) as running:
        yield running


@pytest.fixture(scope="module")
def mosquitto_tap(mosquitto: Broker) -> Iterator[Tap]:
    with Tap(mosquitto) as listening:
        yield listening


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[..., FrontDesk]]:
    """Start a desk on a broker; it is closed at the end of the test."""
    with ExitStack() as stack:

        def start(broker: Broker, tap: Tap, **settings: Any) -> FrontDesk:
            return stack.enter_context(FrontDesk(broker, tap, tmp_path, **settings))

        yield start


@pytest.fixture
def desk(open_desk: Callable[..., FrontDesk], broker: Broker, tap: Tap) -> FrontDesk:
    """A desk with everything as it comes, on each broker."""
    return open_desk(broker, tap)
