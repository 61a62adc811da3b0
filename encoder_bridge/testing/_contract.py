"""The whole contract, as one class to inherit from."""

from __future__ import annotations

import pytest

from ._abilities import AbilityContract
from ._faults import FaultContract
from ._life import LifeContract
from ._resume import ResumeContract
from ._rig import Rig
from ._secrecy import SecrecyContract
from ._write import WriteContract


class EncoderContract(LifeContract, WriteContract, ResumeContract, FaultContract, AbilityContract, SecrecyContract):
    """What every driver of an encoder does.  Inherit in a class named `Test...` and give it a `rig`."""

    @pytest.fixture
    def rig(self) -> Rig:
        """Build the bench, anew for every test.

        Raises:
            NotImplementedError: unless overridden.
        """
        raise NotImplementedError("give your contract test a fixture `rig` that returns an encoder_bridge.testing.Rig")
