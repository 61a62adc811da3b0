"""What all desks share: the broker, the nursery, a requester and a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rigs.brokers import Broker, Mosquitto

from kill.desk import Desk
from kill.nursery import Nursery
from kill.requester import Requester


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """Makes desks."""

    broker: Broker
    nursery: Nursery
    requester: Requester
    folder: Path

    def desk(self, name: str, **settings: Any) -> Desk:
        """See `Desk`."""
        return Desk(
            self.folder / name,
            name,
            broker=self.broker,
            nursery=self.nursery,
            requester=self.requester,
            **settings,
        )


@contextmanager
def rigged(folder: Path) -> Iterator[Rig]:
    """Start all of it."""
    with Mosquitto() as broker, Nursery() as nursery, Requester(broker) as requester:
        yield Rig(broker=broker, nursery=nursery, requester=requester, folder=folder)
