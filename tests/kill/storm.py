"""Random kills of daemons and brokers, with needs coming in and encoders failing all the while."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Self

from kill.desk import Desk
from kill.judge import Judge
from kill.rig import Rig

_LONGEST_S = 0.4
_REPEAT_AFTER_S = 3.0
_SETTLED_AFTER_S = 60.0


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a storm did."""

    kills: int = 0
    """Of daemons, by SIGKILL."""
    stops: int = 0
    """Of daemons, by SIGTERM."""
    broker_kills: int = 0
    broker_stops: int = 0
    needs: int = 0
    issued: int = 0
    failed: int = 0
    unsure: int = 0
    """Reports that nobody knew what was on a card."""
    repeated: int = 0
    """Triggers that were sent again, for want of an answer or for no reason."""
    reports: int = 0
    duplicates: int = 0

    def __iadd__(self, other: Self) -> Self:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self

    def __str__(self) -> str:
        return "  ".join(f"{each.name} {getattr(self, each.name)}" for each in fields(self))


class Storm:
    """Some desks at one broker.

    Args:
        rig: see `Rig`; its broker is stopped and killed.
        chance: decides everything that is random here.
        points: kill points to choose from, as recorded.
        name: beginning of the desks' names.
        desks: how many.
        faults: see `Desk`.
        fault_rate: see `Desk`.
        broker_trouble: share of the rounds in which the broker goes down.
        broker_kills: whether it may be killed then, and not only stopped; if not, no need may have to be repeated.
    """

    def __init__(
        self,
        rig: Rig,
        chance: random.Random,
        points: Sequence[str],
        *,
        name: str = "storm",
        desks: int = 2,
        faults: Sequence[str] = (),
        fault_rate: float = 0.0,
        broker_trouble: float = 0.25,
        broker_kills: bool = True,
    ) -> None:
        self._rig = rig
        self._chance = chance
        self._points = points
        self._broker_trouble = broker_trouble
        self._ways = [self._stop_broker, self._lose_broker] + [self._kill_broker] * broker_kills
        self._desks = [
            rig.desk(
                f"{name}-{at}",
                encoders=1 + at % 2,
                faults=faults,
                fault_rate=fault_rate,
                seed=chance.randrange(2**32),
            )
            for at in range(desks)
        ]
        self._told: dict[str, set[str]] = {desk.name: set() for desk in self._desks}
        self.tally = Tally()

    def rage(self, rounds: int) -> Tally:
        """Let it rage, then settle and judge.

        Raises:
            Violation: of whatever kind.
        """
        with ExitStack() as stack:
            judges = {stack.enter_context(desk).name: Judge(desk) for desk in self._desks}
            for desk in self._desks:
                desk.start().end(signal.SIGKILL)
                assert desk.has_session
            for _ in range(rounds):
                self._round()
                for desk in self._desks:
                    judges[desk.name].at_any_moment(*self._open(desk))
            self._settle()
            for desk in self._desks:
                judges[desk.name].at_the_end(*desk.triggers, may_fail=True)
                self._count(desk)
        return self.tally

    def _round(self) -> None:
        chance = self._chance
        for desk in self._desks:
            if chance.random() < 0.5:
                self._ask(desk)
            desk.launch(self._point())
            self._ask(desk)
        if chance.random() < 0.7:
            for desk in self._desks:
                desk.wait_online()
        trouble = chance.random() < self._broker_trouble
        until = time.monotonic() + chance.uniform(0, _LONGEST_S)
        if trouble:
            time.sleep(chance.uniform(0, _LONGEST_S / 2))
            chance.choice(self._ways)()
        for desk in self._desks:
            if chance.random() < 0.5:
                moment = chance.uniform(time.monotonic(), until)
                desk.until(lambda moment=moment: time.monotonic() > moment, "")  # type: ignore[misc]
                self._ask(desk)
        for desk in self._desks:
            desk.until(lambda: time.monotonic() > until, "")
            self._end(desk)

    def _point(self) -> str | None:
        """Somewhere, or nowhere: then the clock decides."""
        if self._chance.random() < 0.3:
            return None
        name, _, number = self._chance.choice(self._points).partition("@")
        return f"{name}@{self._chance.randint(1, 2 * int(number))}"

    def _ask(self, desk: Desk) -> None:
        for _ in range(self._chance.choice((0, 1, 1, 2, 3))):
            desk.trigger(f"{desk.name}.{len(desk.triggers)}")
        if desk.triggers and self._chance.random() < 0.2:
            self.tally.repeated += 1
            desk.trigger(self._chance.choice(list(desk.triggers)))

    def _end(self, desk: Desk) -> None:
        daemon = desk.daemon
        assert daemon is not None
        how = signal.SIGTERM if self._chance.random() < 0.1 else signal.SIGKILL
        if not daemon.is_dead():
            daemon.end(how)
        if daemon.status not in {0, -signal.SIGKILL, -signal.SIGTERM}:
            raise desk.violation(f"the daemon ended with {daemon.status}")
        self.tally.kills += daemon.was_killed
        self.tally.stops += not daemon.was_killed

    def _stop_broker(self) -> None:
        self._rig.broker.restart()
        self.tally.broker_stops += 1

    def _kill_broker(self) -> None:
        """Kill it when it has saved all that the daemons were promised: what it loses is not the bridge's to keep."""
        for desk in self._desks:
            self._signal(desk, signal.SIGSTOP)
        self._rig.broker.knock()
        self._rig.broker.restart(kill=True)
        for desk in self._desks:
            self._signal(desk, signal.SIGCONT)
        self.tally.broker_kills += 1

    def _lose_broker(self) -> None:
        """Leave the daemons without it for a while."""
        self._rig.broker.stop()
        time.sleep(self._chance.uniform(0, _LONGEST_S / 2))
        self._rig.broker.start()
        self.tally.broker_stops += 1

    @staticmethod
    def _signal(desk: Desk, how: signal.Signals) -> None:
        if desk.daemon is not None:
            desk.daemon.send(how)

    def _settle(self) -> None:
        """Leave the daemons in peace until all is told.

        What was not answered is repeated only if a broker was killed, which may lose what it has confirmed.
        """
        for desk in self._desks:
            desk.launch()
        for desk in self._desks:
            deadline = time.monotonic() + _SETTLED_AFTER_S
            while not desk.until(self._all_told_or(desk, time.monotonic() + _REPEAT_AFTER_S), ""):
                raise desk.violation("the daemon died without a kill")
            while self._open(desk):
                if time.monotonic() > deadline:
                    raise desk.violation(f"lost or never settled: {sorted(self._open(desk))}")
                for method in self._open(desk) if self.tally.broker_kills else ():
                    self.tally.repeated += 1
                    desk.trigger(method)
                desk.until(self._all_told_or(desk, time.monotonic() + _REPEAT_AFTER_S), "")
            desk.until(desk.owes_nothing, "the outbox does not empty")
            if desk.daemon is not None:
                desk.daemon.end(signal.SIGTERM)

    def _all_told_or(self, desk: Desk, moment: float) -> Callable[[], bool]:
        return lambda: time.monotonic() > moment or not self._open(desk)

    def _open(self, desk: Desk) -> set[str]:
        """The needs whose end was not heard yet."""
        told = self._told[desk.name]
        told |= {method for method in desk.triggers.keys() - told if desk.is_told(method)}
        return desk.triggers.keys() - told

    def _count(self, desk: Desk) -> None:
        events = [event for heard in desk.hearing.events.values() for event in heard]
        states = [event["state"] for event in {event["event_id"]: event for event in events}.values()]
        self.tally += Tally(
            needs=len(desk.triggers),
            issued=states.count("issued"),
            failed=states.count("failed"),
            unsure=states.count("unsure"),
            reports=len(events),
            duplicates=desk.hearing.duplicates,
        )
