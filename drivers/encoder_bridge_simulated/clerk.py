"""The person at the simulated desk, and whoever gets in their way.

The automatic clerk lays a fresh card when asked to place one, and the named card when asked for the same one, also in
the place of a wrong one, and lifts it after the end.  Where the wanted card has no name, they lay those that were set
aside, one after the other, until one is right.  An absent clerk does nothing: somebody else lays the cards through the
`Stock`.  Wrong cards that a fault calls for are laid either way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256

from encoder_bridge.driver import Card, Prompt
from encoder_bridge_simulated.faults import Fault, Kind
from encoder_bridge_simulated.plastic import TECHNOLOGY
from encoder_bridge_simulated.settings import Simulation
from encoder_bridge_simulated.stock import Stock

_FOREIGN = "foreign"
_SMALL = 2


class Clerk:
    """Lays and lifts the cards of one open encoder; calls `moved` after each."""

    def __init__(self, settings: Simulation, stock: Stock, moved: Callable[[], None]) -> None:
        self._settings = settings
        self._stock = stock
        self._moved = moved
        self._wrong: Fault | None = None
        self._wrong_uid: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due: Callable[[], None] = lambda: None
        self._last: str | None = None
        self._untried: list[str] = []
        self._left = False

    def arrive(self, coming: tuple[Fault, ...]) -> None:
        """Take up the desk: fetch the wrong cards of the faults to come; put away what a dead process left lying."""
        for fault in coming:
            if fault.kind is Kind.WRONG_CARD:
                self._wrong_card(fault)
        left = self._stock.lying(self._settings.name)
        if left is not None and self._settings.automatic:
            self._stock.set_aside(left)
            self._stock.lift(self._settings.name)

    def expect(self, fault: Fault | None) -> None:
        """Before an encode: say what gets in the way."""
        self._wrong = fault if fault is not None and fault.kind is Kind.WRONG_CARD else None

    def hear(self, prompt: Prompt, card: Card | None, *, made: bool = False) -> None:
        """Do what the desk is asked for, after `place_s`.

        Args:
            prompt: what the desk is asked for.
            card: the very card that is wanted, where it is one; without a uid, one of those that were set aside.
            made: lay the card that was laid last rather than a fresh one.
        """
        if prompt is Prompt.SAME_CARD and card is not None and card.uid is None:
            self._untried = self._stock.asides()
        if self._settings.automatic:
            self._run_timer()
            self._later(self._settings.place_s, lambda: self._lay(card, made=made))
        elif self._wrong or self._wrong_uid:
            self._lay(card, made=made)

    def end(self, *, aside: bool | None) -> None:
        """After a call: lift the card, after `lift_s`.

        Args:
            aside: True if it may carry anything and somebody may come back to it, False if that is over, None if
                nothing has changed.
        """
        self._cancel_timer()
        uid = self._stock.lying(self._settings.name)
        if self._wrong_uid is not None:
            self._lift_wrong()
        elif self._settings.automatic and uid is not None:
            if aside is not None:
                self._stock.set_aside(uid, aside=aside)
            self._later(self._settings.lift_s, lambda: self._lift(back=not aside))
        self._wrong = None

    def snatch(self) -> None:
        """Lift the card at once, in the middle of whatever goes on."""
        uid = self._stock.lying(self._settings.name)
        if uid is not None and self._settings.automatic:
            self._stock.set_aside(uid)
        self._lift(back=False)

    def leave(self) -> None:
        """Give up the desk: what was to be lifted is lifted now, and nothing is done later."""
        self._left = True
        if self._timer is not None and self._stock.lying(self._settings.name) is not None:
            self._run_timer()
        self._cancel_timer()

    def _lay(self, card: Card | None, *, made: bool) -> None:
        name = self._settings.name
        if self._wrong_uid is not None:
            self._lift_wrong()
        if self._wrong is not None:
            self._wrong_uid, self._wrong = self._wrong_card(self._wrong), None
            self._stock.lay(name, self._wrong_uid)
        elif not self._settings.automatic:
            return
        elif card is not None:
            self._lay_same(card)
        elif made and self._last is not None and self._last in self._stock:
            self._stock.lay(name, self._last)
        else:
            self._last = self._stock.lay_fresh(name, self._settings.cards)
        self._moved()

    def _lay_same(self, card: Card) -> None:
        uid = card.uid or (self._untried.pop(0) if self._untried else None)
        if uid is not None and uid in self._stock:
            self._stock.lay(self._settings.name, uid)
            self._last = uid
        else:
            self._stock.lift(self._settings.name)

    def _lift(self, *, back: bool) -> None:
        uid = self._stock.lift(self._settings.name)
        if back and uid is not None:
            self._stock.put_back(uid)
        self._moved()

    def _lift_wrong(self) -> None:
        if self._stock.lying(self._settings.name) == self._wrong_uid:
            self._lift(back=False)
        self._wrong_uid = None

    def _wrong_card(self, fault: Fault) -> str:
        uid = "04" + sha256(f"{self._settings.name}/{fault.name}".encode()).hexdigest()[:12]
        if fault.name == "incompatible_card_format":
            return self._stock.add(uid=uid, technology=_FOREIGN)
        if fault.name == "card_full":
            return self._stock.add(uid=uid, blocks=_SMALL)
        return self._stock.add(uid=uid, technology=TECHNOLOGY, locked=True)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        if self._left or not seconds:
            act()
            return

        def ring() -> None:
            self._timer = None
            act()

        self._timer = asyncio.get_running_loop().call_later(seconds, ring)
        self._due = ring

    def _run_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._due()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
