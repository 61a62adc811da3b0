from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rigs.brokers import Mosquitto

from kill.rig import Rig, rigged


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    if reason := Mosquitto.available():
        pytest.skip(reason)
    with rigged(tmp_path) as rig:
        yield rig
