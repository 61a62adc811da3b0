"""A simulated encoder with a stock of cards that persist.

It has no hardware and behaves as if: what is on a card survives the death of the process at any moment, block by
block.  Settings: `settings.Simulation`; cards: `stock.Stock`; what can go wrong: `faults.FAULTS`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from encoder_bridge.driver import DeviceUnavailable, Driver, Found, Secret, Settings
from encoder_bridge_simulated.device import SensingEncoder, SimulatedEncoder
from encoder_bridge_simulated.faults import FAULTS
from encoder_bridge_simulated.plug import Plug, is_in
from encoder_bridge_simulated.script import Script
from encoder_bridge_simulated.settings import parse
from encoder_bridge_simulated.stock import Stock

__all__ = ["FAULTS", "SensingEncoder", "SimulatedDriver", "SimulatedEncoder", "Stock", "driver"]


class SimulatedDriver:
    """The entry point's object; see `encoder_bridge.driver.Driver`."""

    port = (1, 0)
    faults = FAULTS
    """What may stand in the setting of that name."""

    def check(self, settings: Settings, secret: Secret) -> None:  # noqa: ARG002
        """See `Driver`; there are no secrets."""
        parse(settings)

    async def discover(self, settings: Settings, secret: Secret) -> Sequence[Found]:  # noqa: ARG002
        """List the encoder of the stock that is configured; without a stock there is none."""
        if "stock" not in settings:
            return ()
        simulation = parse(settings)
        if not is_in(simulation.stock, simulation.name):
            return ()
        return (Found(identity=simulation.name, settings={"stock": str(simulation.stock), "name": simulation.name}),)

    @asynccontextmanager
    async def open(self, settings: Settings, secret: Secret) -> AsyncIterator[SimulatedEncoder]:  # noqa: ARG002
        """See `Driver`.  Another opening of the same encoder, here or in another process, is refused."""
        simulation = parse(settings)
        try:
            stock = Stock.open(simulation.stock, cards=simulation.cards, seed=simulation.seed)
            plug = Plug(simulation.stock, simulation.name)
        except OSError as error:
            raise DeviceUnavailable("The stock of cards cannot be used: check its folder.", raw=error) from error
        try:
            script = Script(
                simulation.stock / "readers" / f"{simulation.name}.faults",
                simulation.faults,
                simulation.fault_rate,
                simulation.seed,
            )
            kind = SensingEncoder if simulation.senses else SimulatedEncoder
            device = kind(simulation, stock, script, plug)
        except OSError as error:
            plug.release()
            raise DeviceUnavailable("The stock of cards cannot be used: check its folder.", raw=error) from error
        try:
            yield device
        finally:
            device.close()


driver: Driver = SimulatedDriver()
