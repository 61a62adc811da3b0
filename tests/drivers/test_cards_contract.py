"""The card library keeps the driver port's contract with every technology: one reader in software, virtual cards."""

from __future__ import annotations

import pytest
from cards_bench import CANARIES, IMPOSSIBLE, TECHNOLOGIES, Bench, Technology, secret
from virtual.counter import Counter, CounterDriver

from encoder_bridge.testing import EncoderContract, Rig


def rig_of(technology: Technology) -> Rig:
    counter = Counter()
    bench = Bench(technology, counter)
    return Rig(
        driver=CounterDriver(counter),
        settings={"profiles": bench.profiles},
        person=bench,
        credential=bench.credential,
        snapshot=bench.snapshot,
        carries=bench.carries,
        canaries=CANARIES,
        secret=secret,
        impossible=IMPOSSIBLE,
        faults={
            "lifted before a frame": lambda: counter.tears.append((9, "before")),
            "lifted during a frame": lambda: counter.tears.append((9, "during")),
            "lifted after a frame": lambda: counter.tears.append((9, "after")),
        },
    )


@pytest.mark.parametrize("technology", TECHNOLOGIES)
class TestCards(EncoderContract):
    test_a_device_that_cannot_tell_cards_apart_gives_no_uid = None  # type: ignore[assignment] # it can

    @pytest.fixture
    def rig(self, technology: str) -> Rig:
        return rig_of(TECHNOLOGIES[technology])
