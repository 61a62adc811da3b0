"""A simulated encoder's place: its stock, its clerk and its plug; and what goes wrong there during a write."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from encoder_bridge.driver import Desk, Unsure
from encoder_bridge_simulated.clerk import Clerk
from encoder_bridge_simulated.codec import Step
from encoder_bridge_simulated.faults import AT_BLOCK, Fault, Kind, fault
from encoder_bridge_simulated.plastic import Plastic
from encoder_bridge_simulated.plug import Plug
from encoder_bridge_simulated.settings import Simulation
from encoder_bridge_simulated.stock import Stock

_SLOWER = 10
_SLOW_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where one open encoder stands."""

    settings: Simulation
    stock: Stock
    plug: Plug
    clerk: Clerk

    def lying(self) -> str | None:
        """Return the uid of the card that lies on the encoder."""
        return self.stock.lying(self.settings.name)

    def unplug(self) -> None:
        """Pull the plug; it is back after `replug_s`."""
        self.plug.pull(self.settings.replug_s)

    def stay(self, plastic: Plastic) -> None:
        """Make sure that the encoder is there and the card still lies on it.

        Raises:
            Unsure: it is not.
        """
        if self.plug.out.is_set():
            raise fault("encoder_not_online").error(Unsure)
        if self.lying() != plastic.uid:
            raise fault("encoding_interrupted").error()

    def mark(self, plastic: Plastic, block: bytes, met: Fault | None) -> None:
        """Write a mark as block 0 and read it back.

        Raises:
            Unsure: it is not there.
        """
        self.stay(plastic)
        if met is None or met.kind is not Kind.IGNORED:
            plastic.write(0, block)
        if plastic.read()[: len(block)] != block:
            raise (met or fault("verify_mismatch")).error(Unsure)

    async def write(self, plastic: Plastic, steps: list[Step], desk: Desk, met: Fault | None) -> None:
        """Write block by block, as well as `met` lets it.

        Raises:
            Unsure: it did not come to its end, or does not say so.
        """
        kind = met.kind if met is not None else None
        strikes = met.after(len(steps)) if met is not None and kind in AT_BLOCK else None
        latency_s = self.settings.latency_s
        if kind is Kind.SLOW:
            latency_s = max(_SLOWER * latency_s, _SLOW_S)
        for done, (index, block) in enumerate(self._spoiled(steps, strikes) if kind is Kind.SPOILED else steps):
            if met is not None and done == strikes:
                await self._strike(met)
            if latency_s:
                await asyncio.sleep(latency_s)
            self.stay(plastic)
            if kind is not Kind.IGNORED:
                plastic.write(index, block)
            desk.progress(done + 1, len(steps))
        if met is not None and strikes == len(steps):
            await self._strike(met)
        if met is not None and kind is Kind.REPLY_LOST:
            raise met.error()

    async def _strike(self, met: Fault) -> None:
        match met.kind:
            case Kind.SPOILED:
                return
            case Kind.LIFTED:
                self.clerk.snatch()
            case Kind.UNPLUGGED:
                self.unplug()
            case Kind.HUNG:
                await self.plug.out.wait()
        raise met.error(Unsure)

    @staticmethod
    def _spoiled(steps: list[Step], strikes: int | None) -> list[Step]:
        """Return the steps with one wrong byte in the first block after `strikes` that is not to be cleared."""
        first = min(strikes or 0, len(steps) - 1)
        at = next(at for at in range(first, len(steps)) if any(steps[at][1]))
        index, block = steps[at]
        return [*steps[:at], (index, bytes([block[0] ^ 0xFF]) + block[1:]), *steps[at + 1 :]]
