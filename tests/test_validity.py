"""Windows in steps coarser than a second, on ordinary days and in the nights the clocks change.

The figures in the tables are worked out by hand from the dates the clocks change:

Europe/Berlin         2026-03-29 01:00Z +1 → +2 (02:00 → 03:00)   2026-10-25 01:00Z +2 → +1 (03:00 → 02:00)
America/Havana        2024-03-10 05:00Z -5 → -4 (00:00 → 01:00)   2024-11-03 05:00Z -4 → -5 (01:00 → 00:00)
Asia/Beirut           2024-03-30 22:00Z +2 → +3 (00:00 → 01:00)
Africa/Cairo          2024-04-25 22:00Z +2 → +3 (00:00 → 01:00)   2024-10-31 21:00Z +3 → +2 (00:00 → 23:00)
Australia/Lord_Howe   2024-10-05 15:30Z +10:30 → +11 (02:00 → 02:30)   2024-04-06 15:00Z +11 → +10:30 (02:00 → 01:30)
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder_bridge.driver import Credential
from encoder_bridge.validity import NothingLeft, rounded_inward

BERLIN = ZoneInfo("Europe/Berlin")
HAVANA = ZoneInfo("America/Havana")
HOUR = 3600
DAY = 86_400
ZONES = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/St_Johns",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "UTC",
)
LONGEST_SHIFT = timedelta(hours=1)
"""Of the zones above in the years below."""
FIRST, LAST = datetime(2012, 2, 1), datetime(2030, 12, 1)  # noqa: DTZ001 - the ends of a range in any zone


def window(starts_at: datetime | None, ends_at: datetime | None) -> Credential:
    return Credential(access_method_id="m", profile="p", sequence=1, starts_at=starts_at, ends_at=ends_at)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def start(text: str, step: int, zone: str) -> tuple[str, int, str]:
    """What becomes of a start: wall clock, fold, UTC."""
    there = ZoneInfo(zone)
    return told(rounded_inward(window(utc(text).astimezone(there), None), step, there).starts_at)


def end(text: str, step: int, zone: str) -> tuple[str, int, str]:
    there = ZoneInfo(zone)
    return told(rounded_inward(window(None, utc(text).astimezone(there)), step, there).ends_at)


def told(moment: datetime | None) -> tuple[str, int, str]:
    assert moment is not None
    return f"{moment:%Y-%m-%d %H:%M}", moment.fold, f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def test_a_window_on_an_ordinary_day_shrinks_to_the_grid_of_local_midnight() -> None:
    kathmandu = ZoneInfo("Asia/Kathmandu")  # +05:45
    asked = window(datetime(2026, 6, 1, 14, 10, tzinfo=kathmandu), datetime(2026, 6, 2, 11, 50, tzinfo=kathmandu))
    given = rounded_inward(asked, 1800, kathmandu)
    assert given == replace(
        asked,
        starts_at=datetime(2026, 6, 1, 14, 30, tzinfo=kathmandu),
        ends_at=datetime(2026, 6, 2, 11, 30, tzinfo=kathmandu),
    )


def test_a_step_that_does_not_divide_the_day_starts_anew_at_midnight() -> None:
    """Of 7 h: 00:00, 07:00, 14:00, 21:00 and again 00:00."""
    assert start("2026-06-01 21:10", 7 * HOUR, "UTC") == ("2026-06-02 00:00", 0, "2026-06-02 00:00")
    assert end("2026-06-02 06:59", 7 * HOUR, "UTC") == ("2026-06-02 00:00", 0, "2026-06-02 00:00")


@pytest.mark.parametrize(
    ("moment", "step", "expected"),
    [
        ("2026-03-29 00:10", 1800, ("2026-03-29 01:30", 0, "2026-03-29 00:30")),
        ("2026-03-29 00:40", 1800, ("2026-03-29 03:00", 0, "2026-03-29 01:00")),  # 01:40, and no 02:00 to come
        ("2026-03-29 00:40", 2 * HOUR, ("2026-03-29 02:00", 0, "2026-03-29 01:00")),  # the change; 03:00 is no figure
        ("2026-03-28 23:30", DAY, ("2026-03-30 00:00", 0, "2026-03-29 22:00")),  # a day of 23 h
        ("2026-10-25 00:40", 1800, ("2026-10-25 02:00", 1, "2026-10-25 01:00")),  # 02:40 comes before the second 02:00
        ("2026-10-25 00:10", HOUR, ("2026-10-25 02:00", 1, "2026-10-25 01:00")),
        ("2026-10-25 01:10", HOUR, ("2026-10-25 03:00", 0, "2026-10-25 02:00")),
        ("2026-10-24 22:01", DAY, ("2026-10-26 00:00", 0, "2026-10-25 23:00")),  # a day of 25 h
    ],
)
def test_a_start_in_berlin_moves_up(moment: str, step: int, expected: tuple[str, int, str]) -> None:
    assert start(moment, step, "Europe/Berlin") == expected


@pytest.mark.parametrize(
    ("moment", "step", "expected"),
    [
        ("2026-03-29 01:10", 1800, ("2026-03-29 03:00", 0, "2026-03-29 01:00")),
        ("2026-03-29 00:50", HOUR, ("2026-03-29 01:00", 0, "2026-03-29 00:00")),
        ("2026-03-29 01:10", 2 * HOUR, ("2026-03-29 02:00", 0, "2026-03-29 01:00")),
        ("2026-03-29 21:59", DAY, ("2026-03-29 00:00", 0, "2026-03-28 23:00")),
        ("2026-10-25 01:10", HOUR, ("2026-10-25 02:00", 1, "2026-10-25 01:00")),
        ("2026-10-25 00:59", HOUR, ("2026-10-25 02:00", 0, "2026-10-25 00:00")),
        ("2026-10-25 01:40", 1800, ("2026-10-25 02:30", 1, "2026-10-25 01:30")),
        ("2026-10-25 22:59", DAY, ("2026-10-25 00:00", 0, "2026-10-24 22:00")),
    ],
)
def test_an_end_in_berlin_moves_down(moment: str, step: int, expected: tuple[str, int, str]) -> None:
    assert end(moment, step, "Europe/Berlin") == expected


@pytest.mark.parametrize(
    ("zone", "before", "after", "midnight"),
    [
        ("America/Havana", "2024-03-10 04:30", "2024-03-10 19:00", ("2024-03-10 00:00", 0, "2024-03-10 05:00")),
        ("Asia/Beirut", "2024-03-30 21:30", "2024-03-31 12:00", ("2024-03-31 00:00", 0, "2024-03-30 22:00")),
        ("Africa/Cairo", "2024-04-25 21:30", "2024-04-26 12:00", ("2024-04-26 00:00", 0, "2024-04-25 22:00")),
    ],
)
def test_a_midnight_that_never_comes_is_the_moment_of_the_change(
    zone: str, before: str, after: str, midnight: tuple[str, int, str]
) -> None:
    assert start(before, DAY, zone) == midnight
    assert end(after, DAY, zone) == midnight
    day, _, change = midnight
    assert start(before, HOUR, zone) == (day.replace("00:00", "01:00"), 0, change), "01:00 is the same moment and comes"


def test_a_midnight_that_never_comes_is_kept_as_it_is() -> None:
    asked = window(datetime(2024, 3, 10, tzinfo=HAVANA), datetime(2024, 3, 11, tzinfo=HAVANA))
    assert rounded_inward(asked, DAY, HAVANA) is asked


def test_a_midnight_that_comes_twice_is_told_apart() -> None:
    """Havana, 2024-11-03: 00:00 at 04:00Z and again at 05:00Z."""
    assert start("2024-11-03 03:59", DAY, "America/Havana") == ("2024-11-03 00:00", 0, "2024-11-03 04:00")
    assert start("2024-11-03 04:30", DAY, "America/Havana") == ("2024-11-03 00:00", 1, "2024-11-03 05:00")
    assert end("2024-11-03 04:30", DAY, "America/Havana") == ("2024-11-03 00:00", 0, "2024-11-03 04:00")
    assert end("2024-11-03 05:30", DAY, "America/Havana") == ("2024-11-03 00:00", 1, "2024-11-03 05:00")


def test_the_last_hour_of_a_day_comes_twice() -> None:
    """Cairo, 2024-10-31: at what would be midnight it is 23:00 again, and midnight comes an hour later."""
    assert start("2024-10-31 20:10", DAY, "Africa/Cairo") == ("2024-11-01 00:00", 0, "2024-10-31 22:00")
    assert start("2024-10-31 20:10", HOUR, "Africa/Cairo") == ("2024-10-31 23:00", 1, "2024-10-31 21:00")
    assert end("2024-10-31 21:50", DAY, "Africa/Cairo") == ("2024-10-31 00:00", 0, "2024-10-30 21:00")


def test_a_shift_of_half_an_hour_leaves_the_grid_and_comes_back() -> None:
    """Lord Howe: 02:00 → 02:30 in October, 02:00 → 01:30 in April."""
    zone = "Australia/Lord_Howe"
    assert start("2024-10-05 15:10", HOUR, zone) == ("2024-10-06 02:00", 0, "2024-10-05 15:30")
    assert start("2024-10-05 15:31", HOUR, zone) == ("2024-10-06 03:00", 0, "2024-10-05 16:00")
    assert end("2024-10-05 15:59", HOUR, zone) == ("2024-10-06 02:00", 0, "2024-10-05 15:30")
    assert start("2024-04-06 14:10", HOUR, zone) == ("2024-04-07 02:00", 0, "2024-04-06 15:30")
    assert end("2024-04-06 15:15", HOUR, zone) == ("2024-04-07 01:00", 0, "2024-04-06 14:00")
    assert start("2024-04-06 14:40", 1800, zone) == ("2024-04-07 01:30", 1, "2024-04-06 15:00")


def test_a_day_that_was_left_out_is_the_moment_of_the_change() -> None:
    """Apia crossed the date line at 2011-12-30 10:00Z, -10 → +14: no 30 December."""
    midnight = ("2011-12-31 00:00", 0, "2011-12-30 10:00")
    assert start("2011-12-30 09:59", DAY, "Pacific/Apia") == midnight
    assert end("2011-12-30 15:00", DAY, "Pacific/Apia") == midnight


def test_a_window_given_in_another_zone_comes_back_in_the_propertys() -> None:
    given = rounded_inward(window(utc("2026-06-01 12:00"), None), HOUR, BERLIN)
    assert given.starts_at is not None
    assert given.starts_at.tzinfo is BERLIN
    assert told(given.starts_at) == ("2026-06-01 14:00", 0, "2026-06-01 12:00")


def test_a_local_time_that_never_comes_is_given_as_the_one_that_does() -> None:
    given = rounded_inward(window(datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN), None), 60, BERLIN)
    assert told(given.starts_at) == ("2026-03-29 03:30", 0, "2026-03-29 01:30")


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_a_device_that_knows_seconds_loses_only_parts_of_them(step: int) -> None:
    asked = window(
        datetime(2026, 6, 1, 12, 0, 0, 1, tzinfo=BERLIN), datetime(2026, 6, 1, 12, 0, 59, 999_999, tzinfo=BERLIN)
    )
    given = rounded_inward(asked, step, BERLIN)
    assert given.starts_at == datetime(2026, 6, 1, 12, 0, 1, tzinfo=BERLIN)
    assert given.ends_at == datetime(2026, 6, 1, 12, 0, 59, tzinfo=BERLIN)
    assert rounded_inward(given, step, BERLIN) is given


def test_an_open_window_stays_open() -> None:
    asked = window(None, None)
    assert rounded_inward(asked, DAY, BERLIN) is asked
    late = rounded_inward(window(None, datetime(2026, 6, 1, 12, 1, tzinfo=BERLIN)), HOUR, BERLIN)
    assert late.starts_at is None
    early = rounded_inward(window(datetime(2026, 6, 1, 12, 1, tzinfo=BERLIN), None), HOUR, BERLIN)
    assert early.ends_at is None


@pytest.mark.parametrize(("first", "last"), [("12:10", "12:50"), ("12:00", "12:59"), ("12:01", "13:00")])
def test_a_window_of_which_nothing_is_left_is_refused(first: str, last: str) -> None:
    asked = window(utc(f"2026-06-01 {first}"), utc(f"2026-06-01 {last}"))
    with pytest.raises(NothingLeft, match="in steps of 3600 s"):
        rounded_inward(asked, HOUR, ZoneInfo("UTC"))


def test_a_window_within_the_hour_that_comes_twice_is_measured_in_utc() -> None:
    """The same two figures on the clock, an hour apart; and the later figure first."""
    twice = window(datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN))
    assert rounded_inward(twice, 1800, BERLIN) is twice
    back = window(datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), datetime(2026, 10, 25, 2, 0, fold=1, tzinfo=BERLIN))
    assert rounded_inward(back, 1800, BERLIN) is back


def test_a_step_longer_than_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than a day"):
        rounded_inward(window(None, None), DAY + 1, BERLIN)


def changes(zone: ZoneInfo) -> list[datetime]:
    """The hours in which the clocks change, in UTC."""
    days = [FIRST.replace(tzinfo=UTC) + timedelta(days=n) for n in range((LAST - FIRST).days)]
    return [a for a, b in pairwise(days) if a.astimezone(zone).utcoffset() != b.astimezone(zone).utcoffset()]


CHANGES = {name: changes(ZoneInfo(name)) for name in ZONES}


@st.composite
def moments(draw: st.DrawFn) -> tuple[datetime, ZoneInfo]:
    """Half of them around a change of the clocks."""
    name = draw(st.sampled_from(ZONES))
    zone = ZoneInfo(name)
    if len(CHANGES[name]) > 0 and draw(st.booleans()):
        away = draw(st.timedeltas(min_value=timedelta(days=-1), max_value=timedelta(days=2)))
        return draw(st.sampled_from(CHANGES[name])) + away, zone
    return draw(st.datetimes(FIRST, LAST, timezones=st.just(UTC))), zone


STEPS = st.sampled_from([1, 60, 600, 900, 1200, 1800, HOUR, 2 * HOUR, 5 * HOUR, 6 * HOUR, 12 * HOUR, DAY])


def on_the_grid(wall: datetime, step: int) -> bool:
    return (wall.hour * 3600 + wall.minute * 60 + wall.second) % step == 0 and wall.microsecond == 0


@settings(deadline=None)
@given(moments(), STEPS)
def test_each_end_moves_inward_onto_the_grid_by_less_than_a_step_and_a_shift(
    drawn: tuple[datetime, ZoneInfo], step: int
) -> None:
    moment, zone = drawn
    least = timedelta(seconds=step) + LONGEST_SHIFT
    later = rounded_inward(window(moment.astimezone(zone), None), step, zone)
    earlier = rounded_inward(window(None, moment.astimezone(zone)), step, zone)
    assert later.starts_at is not None
    assert earlier.ends_at is not None
    assert timedelta(0) <= later.starts_at.astimezone(UTC) - moment < least
    assert timedelta(0) <= moment - earlier.ends_at.astimezone(UTC) < least
    for rounded in (later.starts_at, earlier.ends_at):
        assert rounded.tzinfo is zone
        assert on_the_grid(rounded, step)
    assert rounded_inward(later, step, zone) is later
    assert rounded_inward(earlier, step, zone) is earlier


@settings(deadline=None)
@given(moments(), st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4)), STEPS)
def test_a_window_never_widens_and_comes_to_rest(
    drawn: tuple[datetime, ZoneInfo], length: timedelta, step: int
) -> None:
    moment, zone = drawn
    asked = window(moment.astimezone(zone), (moment + length).astimezone(zone))
    try:
        given = rounded_inward(asked, step, zone)
    except NothingLeft:
        assert length < 2 * (timedelta(seconds=step) + LONGEST_SHIFT)
        return
    assert given.starts_at is not None
    assert given.ends_at is not None
    first, last = given.starts_at.astimezone(UTC), given.ends_at.astimezone(UTC)
    assert moment <= first < last <= moment + length
    assert rounded_inward(given, step, zone) is given


@settings(deadline=None)
@given(moments(), st.sampled_from([1800, HOUR, 6 * HOUR, DAY]))
def test_no_moment_that_the_lock_could_express_is_passed_over(drawn: tuple[datetime, ZoneInfo], step: int) -> None:
    """Walking minute by minute through what was cut off, none of them shows a figure of the grid."""
    moment, zone = drawn[0].replace(second=0, microsecond=0), drawn[1]
    later = rounded_inward(window(moment.astimezone(zone), None), step, zone).starts_at
    earlier = rounded_inward(window(None, moment.astimezone(zone)), step, zone).ends_at
    assert later is not None
    assert earlier is not None
    minute = moment
    while minute < later.astimezone(UTC):
        assert not on_the_grid(minute.astimezone(zone), step)
        minute += timedelta(minutes=1)
    minute = moment
    while minute > earlier.astimezone(UTC):
        assert not on_the_grid(minute.astimezone(zone), step)
        minute -= timedelta(minutes=1)
