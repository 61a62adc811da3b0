"""Behaviour: an accident that the rig names does happen, and shows in something."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from encoder_bridge.driver import DriverError

from ._desk import RigDesk
from ._rig import Rig
from ._run import encode, in_loop, opened, outcome
from ._watch import line, overheard

_NUMBER = re.compile(r"\w*\d\w*")


class FaultContract:
    """What a bench claims about its own accidents."""

    @in_loop
    async def test_every_fault_of_the_rig_is_noticed(self, rig: Rig) -> None:
        """It ends in an error, takes another way at the desk, or leaves a line in the log that good runs do not."""
        if not rig.faults:
            pytest.skip("the rig names no faults")
        usual = RigDesk(rig)
        with overheard(line) as lines:
            async with opened(rig) as device:
                await encode(rig, device, rig.credential(1), usual)
        said = _bare(lines)
        for sequence, (name, cause) in enumerate(rig.faults.items(), start=2):
            desk = RigDesk(rig)
            cause()
            with overheard(line) as lines:
                async with opened(rig) as device:
                    ending = await outcome(rig, device, rig.credential(sequence), desk)
            assert (
                isinstance(ending, DriverError)
                or desk.prompts != usual.prompts
                or len(desk.intents) != len(usual.intents)
                or not set(desk.strides) <= set(usual.strides)
                or not _bare(lines) <= said
            ), f"{name}: did not strike, or the driver noticed nothing"


def _bare(lines: Iterable[str]) -> set[str]:
    """Leave out what differs from card to card."""
    return {_NUMBER.sub("#", line) for line in lines}
