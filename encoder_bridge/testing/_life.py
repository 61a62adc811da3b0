"""Behaviours of settings, opening and closing."""

from __future__ import annotations

import asyncio

import pytest

from encoder_bridge.driver import PORT, DeviceUnavailable, SettingsRejected

from ._desk import RigDesk
from ._rig import Rig
from ._run import encode, in_loop, opened, within
from ._watch import unwatched, watched_io

UNKNOWN_KEY = "no_such_setting_of_yours"


class LifeContract:
    """Settings, opening, closing, and what holds as long as a device is open."""

    def test_the_port_is_the_one_the_driver_was_built_against(self, rig: Rig) -> None:
        """The driver states a (major, minor) whose major is this port's."""
        port = rig.driver.port
        assert type(port) is tuple
        assert [type(part) for part in port] == [int, int]
        assert port[0] == PORT[0], f"built against port {port}, this is port {PORT}"

    @in_loop
    async def test_checking_settings_does_no_io(self, rig: Rig) -> None:
        """`check` can be repeated, also while the device is open, and opens, connects to and starts nothing."""
        rig.driver.check(rig.settings, rig.secret)
        async with opened(rig):
            with watched_io() as heard:
                rig.driver.check(rig.settings, unwatched(rig.secret))
        assert not heard, f"check did input or output: {heard}"

    def test_an_unknown_setting_is_refused_by_its_name(self, rig: Rig) -> None:
        """`check` raises `SettingsRejected` with the key in its sentence."""
        with pytest.raises(SettingsRejected) as refused:
            rig.driver.check({**rig.settings, UNKNOWN_KEY: 1}, rig.secret)
        assert UNKNOWN_KEY in str(refused.value)

    @in_loop
    async def test_discovery_finds_what_can_be_opened_and_changes_nothing(self, rig: Rig) -> None:
        """Every `Found` has an identity, and settings that `check` accepts on top of the rig's."""
        before = rig.snapshot()
        found = await within(rig.patience_s, "discover", _discover(rig))
        assert found == await within(rig.patience_s, "discover", _discover(rig)), "two looks, two answers"
        for identity, settings in found:
            assert identity
            rig.driver.check({**rig.settings, **settings}, rig.secret)
        assert rig.snapshot() == before

    @in_loop
    async def test_a_device_opens_closes_twice_and_opens_again(self, rig: Rig) -> None:
        """Closing what is closed is nothing; the next open gives a device that works."""
        context = rig.driver.open(rig.settings, rig.secret)
        await within(rig.patience_s, "opening", context.__aenter__())
        await within(rig.patience_s, "closing", context.__aexit__(None, None, None))
        await within(rig.patience_s, "closing again", context.__aexit__(None, None, None))
        async with opened(rig) as device:
            await encode(rig, device, rig.credential(1), RigDesk(rig))

    @in_loop
    async def test_closing_hides_no_error(self, rig: Rig) -> None:
        """What goes wrong while the device is open is still known after it was closed."""
        with pytest.raises(LookupError):
            async with rig.driver.open(rig.settings, rig.secret):
                raise LookupError

    @in_loop
    async def test_capabilities_are_constant_and_complete(self, rig: Rig) -> None:
        """They are the same before and after a card, and a second time open, and promise something."""
        async with opened(rig) as device:
            first = device.capabilities
            await encode(rig, device, rig.credential(1), RigDesk(rig))
            assert device.capabilities == first
        async with opened(rig) as device:
            assert device.capabilities == first
        assert first.technologies
        assert first.silence_s > 0
        assert type(first.time_step_s) is int, "the time step is a whole number of seconds"
        assert first.time_step_s >= 1
        assert type(first.tells_cards_apart) is bool

    @in_loop
    async def test_an_open_device_is_not_opened_again(self, rig: Rig) -> None:
        """The second caller gets `DeviceUnavailable`; the first goes on undisturbed."""
        async with opened(rig) as device:
            with pytest.raises(DeviceUnavailable):
                async with opened(rig):
                    pass
            await encode(rig, device, rig.credential(1), RigDesk(rig))
        assert rig.carries(rig.credential(1)) == 1

    @in_loop
    async def test_a_plugged_device_is_not_lost(self, rig: Rig) -> None:
        """`lost` does not return while the device works, and ends when it is cancelled."""
        async with opened(rig) as device:
            lost = asyncio.ensure_future(device.lost())
            await encode(rig, device, rig.credential(1), RigDesk(rig))
            assert not lost.done(), "lost returned although the device works"
            lost.cancel()
            done, _ = await asyncio.wait({lost}, timeout=device.capabilities.silence_s)
            assert done, "lost ignores cancellation"

    @in_loop
    async def test_judging_a_credential_does_no_io(self, rig: Rig) -> None:
        """The device's `check` can be repeated and asks nobody."""
        async with opened(rig) as device:
            device.check(rig.credential(1))
            with watched_io() as heard:
                device.check(rig.credential(1))
        assert not heard, f"check did input or output: {heard}"


async def _discover(rig: Rig) -> list[tuple[str, dict[str, object]]]:
    return [(found.identity, dict(found.settings)) for found in await rig.driver.discover(rig.settings, rig.secret)]
