"""Kill at every point that a run without a kill came by, one need after the other on the same desks."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from kill.desk import Desk, Violation
from kill.judge import Judge
from kill.nursery import Daemon
from kill.rig import Rig


@dataclass(slots=True, kw_only=True)
class Count:
    """What a matrix did."""

    points: int = 0
    kills: int = 0
    needs: int = 0
    reports: int = 0
    duplicates: int = 0
    missed: list[str] = field(default_factory=list)
    """Points that the daemon did not come by again."""

    def __str__(self) -> str:
        return (
            f"{self.points:4} points  {self.kills:4} kills  {self.needs:4} needs  {self.reports:4} reports delivered  "
            f"{self.duplicates:3} of them again  missed: {' '.join(self.missed) or 'none'}"
        )


def record(rig: Rig, name: str, prelude: str | None = None, **settings: Any) -> list[str]:
    """Every point that one need comes by, from the start of the daemon to its orderly stop.

    Args:
        rig: see `Rig`.
        name: of a new desk.
        prelude: kill the daemon here first; what follows is recorded.
        settings: of the desk.
    """
    with rig.desk(name, **settings) as desk:
        _begin(desk, "recorded", prelude)
        daemon = _run(desk, "recorded", None)
        assert daemon.status == 0
        Judge(desk).at_the_end("recorded")
        return daemon.reached()


def strike(
    rig: Rig, name: str, points: Sequence[str], prelude: str | None = None, *, desks: int = 3, **settings: Any
) -> Count:
    """Kill at each of the points, each in a need of its own, on some desks at once; see `record`.

    Raises:
        Violation: the first that was found on one of the desks.
    """
    grown = [point for point in points if not point.startswith("commit.migrate.")]
    with ThreadPoolExecutor(desks) as pool:
        shares = [
            pool.submit(_chain, rig.desk(f"{name}-{at}", **settings), grown[at::desks], prelude) for at in range(desks)
        ]
        return _sum(share.result() for share in shares)


def strike_newborn(rig: Rig, name: str, points: Sequence[str], *, desks: int = 3) -> Count:
    """Kill a daemon that starts for the first time, at each of the points up to its being online.

    Raises:
        Violation: the first that was found.
    """
    start = points[: points.index("publish.availability.before@1") + 1]
    with ThreadPoolExecutor(desks) as pool:
        return _sum(pool.map(lambda each: _newborn(rig, f"{name}-{each[0]}", each[1]), enumerate(start)))


def _chain(desk: Desk, points: Sequence[str], prelude: str | None) -> Count:
    count = Count()
    with desk:
        judge = Judge(desk)
        for number, point in enumerate(points):
            count.points += 1
            method = f"{desk.name}.{number}"
            for _ in range(2):  # a point that depends on how messages were batched may not come the first time
                count.needs += 1
                killed = _strike(desk, judge, method, point, prelude)
                count.kills += 1 + killed + bool(prelude)
                if killed:
                    break
                method += ".again"
            else:
                count.missed.append(point)
        count.reports += sum(map(len, desk.hearing.events.values()))
        count.duplicates += desk.hearing.duplicates
    return count


def _strike(desk: Desk, judge: Judge, method: str, point: str, prelude: str | None) -> bool:
    try:
        _begin(desk, method, prelude)
        killed = _run(desk, method, point).was_killed
        judge.at_any_moment(method)
        rest = desk.start()
        if method not in desk.triggers:
            desk.trigger(method)
        if not desk.until(lambda: desk.is_told(method) and desk.owes_nothing(), f"{method} was not reported"):
            raise desk.violation("the daemon died without a kill")
        rest.end(signal.SIGKILL)
        judge.at_the_end(method)
    except Violation as violation:
        raise Violation(f"killed at {point}{f' after {prelude}' if prelude else ''}: {violation}") from None
    return killed


def _begin(desk: Desk, method: str, prelude: str | None) -> None:
    """Bring a need to the point of its first kill."""
    if prelude is None:
        return
    daemon = desk.start(prelude)
    desk.trigger(method)
    desk.until(lambda: False, f"{prelude} was not reached")
    assert daemon.was_killed


def _run(desk: Desk, method: str, kill: str | None) -> Daemon:
    """Run a daemon until the need has met its end and nothing is owed, or until it is killed."""
    daemon = desk.start(kill)
    if method not in desk.triggers and desk.has_session:
        desk.trigger(method)
    if method in desk.triggers and desk.until(
        lambda: desk.is_told(method) and desk.owes_nothing(), f"{method} was not reported"
    ):
        daemon.end(signal.SIGTERM)
    return daemon


def _newborn(rig: Rig, method: str, point: str) -> Count:
    with rig.desk(method) as desk:
        killed = desk.start(point).was_killed
        daemon = desk.start()
        desk.trigger(method)
        if not desk.until(
            lambda: desk.is_told(method) and desk.owes_nothing(), f"killed at {point}: {method} was not reported"
        ):
            raise desk.violation("the daemon died without a kill")
        daemon.end(signal.SIGTERM)
        Judge(desk).at_the_end(method)
        return Count(
            points=1,
            kills=int(killed),
            needs=1,
            reports=sum(map(len, desk.hearing.events.values())),
            duplicates=desk.hearing.duplicates,
            missed=[] if killed else [point],
        )


def _sum(counts: Iterable[Count]) -> Count:
    total = Count()
    for count in counts:
        for name in ("points", "kills", "needs", "reports", "duplicates", "missed"):
            setattr(total, name, getattr(total, name) + getattr(count, name))
    return total
