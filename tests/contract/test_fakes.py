"""The throw-away fakes keep the port honest, and the contract with it."""

from __future__ import annotations

import pytest

from encoder_bridge.testing import EncoderContract, Rig

from .fakes.contactless import contactless


class TestContactless(EncoderContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return contactless()
