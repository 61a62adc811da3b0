"""Fitting a window into what a lock can express.

Coarse locks count wall-clock time from local midnight: a step of 1800 s knows 00:00, 00:30, 01:00 and so on, every day
anew (the last step of a day is shorter where the day is no multiple of it).  The night the clocks change::

    spring, Berlin     01:00  01:30 ┃ 03:00  03:30     02:00 and 02:30 never come
    autumn, Berlin     02:00  02:30 ┃ 02:00  02:30     both come twice, told apart by `fold`
    spring, Havana     23:00  23:30 ┃ 01:00            00:00 never comes: it stands for the moment of the change, ┃

In the last case a step of a day, which knows nothing but 00:00, would otherwise lose a whole day.  PEP 495 reads a
local time at the very start of a gap, with `fold` 0, as just that moment.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, tzinfo

from encoder_bridge.driver import Credential

_DAY_S = 86_400
_TICK = timedelta.resolution
_NONE = timedelta(0)


class NothingLeft(ValueError):
    """A window holds no moment any more once it is rounded inward, so no card can express it."""


def rounded_inward(credential: Credential, step_s: int, zone: tzinfo) -> Credential:
    """Move `starts_at` up and `ends_at` down to multiples of `step_s` from local midnight; never widen the window.

    An end of the window that is None stays None.  All comparing is done in UTC.

    Args:
        credential: its moments are aware.
        step_s: seconds, at most a day; 1 and less: only parts of a second are rounded.
        zone: the property's; the moments in the result carry it.

    Returns:
        The very same object if nothing changes.

    Raises:
        NothingLeft: the rounded window ends no later than it starts.
        ValueError: `step_s` is longer than a day.
    """
    if step_s > _DAY_S:
        raise ValueError(f"a step of {step_s} s is longer than a day")
    grid = _Grid(timedelta(seconds=max(step_s, 1)), zone)
    starts_at, ends_at = credential.starts_at, credential.ends_at
    if starts_at is not None:
        starts_at = _kept(starts_at, grid.up(starts_at.astimezone(UTC)))
    if ends_at is not None:
        ends_at = _kept(ends_at, grid.down(ends_at.astimezone(UTC)))
    if starts_at is not None and ends_at is not None and ends_at.astimezone(UTC) <= starts_at.astimezone(UTC):
        raise NothingLeft(f"Nothing is left of the window in steps of {step_s} s: ask for a longer one.")
    if starts_at is credential.starts_at and ends_at is credential.ends_at:
        return credential
    return replace(credential, starts_at=starts_at, ends_at=ends_at)


def _kept(old: datetime, new: datetime) -> datetime:
    """`old` where `new` says the same: moment, zone and what the clock on the wall shows."""
    same = old.tzinfo == new.tzinfo and old.replace(tzinfo=None) == new.replace(tzinfo=None)
    return old if same and old.astimezone(UTC) == new.astimezone(UTC) else new


class _Grid:
    """The moments a lock can express; takes moments in UTC and gives them in the zone."""

    def __init__(self, step: timedelta, zone: tzinfo) -> None:
        self._step = step
        self._zone = zone

    def up(self, moment: datetime) -> datetime:
        """The first of them that is not before `moment`."""
        while (point := self._at(moment)) is None:
            wall, offset = self._wall(moment)
            ceiling = min(self._floor(wall) + self._step, datetime.combine(wall, time()) + timedelta(days=1))
            found = ceiling.replace(tzinfo=UTC) - offset
            moment = self._change(moment, found) or found
        return point

    def down(self, moment: datetime) -> datetime:
        """The last of them that is not after `moment`."""
        while (point := self._at(moment)) is None:
            wall, offset = self._wall(moment)
            found = self._floor(wall).replace(tzinfo=UTC) - offset
            change = self._change(found, moment)
            moment = found
            if change is not None:
                moment = change if self._at(change) else change - _TICK
        return point

    def _at(self, moment: datetime) -> datetime | None:
        """How the lock expresses this very moment, if it can."""
        wall, offset = self._wall(moment)
        if self._floor(wall) == wall:
            return moment.astimezone(self._zone)
        before = self._wall(moment - _TICK)[1]
        skipped = wall - offset + before
        if before < offset and self._floor(skipped) == skipped:
            return skipped.replace(tzinfo=self._zone)
        return None

    def _floor(self, wall: datetime) -> datetime:
        midnight = datetime.combine(wall, time())
        return midnight + (wall - midnight) // self._step * self._step

    def _wall(self, moment: datetime) -> tuple[datetime, timedelta]:
        """What the clock on the wall shows, and how far it is ahead of UTC."""
        local = moment.astimezone(self._zone)
        return local.replace(tzinfo=None), local.utcoffset() or _NONE

    def _change(self, early: datetime, late: datetime) -> datetime | None:
        """When the clocks change after `early` and no later than `late`; two changes in a day are not looked for."""
        offset = self._wall(early)[1]
        if self._wall(late)[1] == offset:
            return None
        while late - early > _TICK:
            middle = early + (late - early) // 2
            if self._wall(middle)[1] == offset:
                early = middle
            else:
                late = middle
        return late
