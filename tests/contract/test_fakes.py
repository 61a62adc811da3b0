"""The throw-away fakes keep the port honest, and the contract with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from encoder_bridge.testing import EncoderContract, Rig

from .behaviours import judge
from .fakes.contactless import contactless
from .fakes.delegated import delegated
from .fakes.magstripe import magstripe


class TestContactless(EncoderContract):
    """The one fake that can do everything."""

    test_a_device_that_cannot_tell_cards_apart_gives_no_uid = None  # type: ignore[assignment] # it can

    @pytest.fixture
    def rig(self) -> Rig:
        return contactless()


@pytest.mark.parametrize(
    "bench",
    [
        pytest.param(partial(magstripe, reads=True), id="a magstripe writer that reads"),
        pytest.param(partial(magstripe, reads=False), id="a magstripe writer that cannot read"),
        pytest.param(delegated, id="a delegated encoder"),
    ],
)
def test_a_fake_passes_all_but_what_it_is_not_made_for(bench: Callable[[], Rig]) -> None:
    failed, skipped = judge(bench)
    assert failed == {}
    lacking = {f"this device is no {ability}" for ability in ("Reader", "Eraser", "Sensing", "Signaller")}
    lacking |= {"the rig names no impossible credential", "nobody can tell one card of this device from another"}
    assert set(skipped.values()) == lacking
