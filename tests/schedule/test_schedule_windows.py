"""Change windows at the days on which clocks are set, past midnight, by rules, and written wrong."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from converge.schedule.windows import ChangeWindows, read_windows

HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def weekly(start: str, end: str, *, days: object = None, zone: str = "Europe/Berlin") -> ChangeWindows:
    named = {} if days is None else {"days": days}
    return read_windows([{**named, "from": start, "to": end, "timezone": zone}])


def open_minutes(windows: ChangeWindows, since: str, until: str) -> int:
    """How many minutes between two moments are open, each asked for by itself."""
    moment, last, found = utc(since), utc(until), 0
    while moment < last:
        found += windows.open_until(moment) is not None
        moment += timedelta(minutes=1)
    return found


def test_a_window_opens_and_closes_by_the_local_clock_in_winter_and_in_summer() -> None:
    windows = weekly("22:00", "23:00")
    assert windows.open_until(utc("2026-01-15T21:00")) == utc("2026-01-15T22:00")
    assert windows.open_until(utc("2026-01-15T20:59:59")) is None
    assert windows.open_until(utc("2026-01-15T22:00")) is None
    assert windows.open_until(utc("2026-07-15T20:00")) == utc("2026-07-15T21:00")


def test_past_midnight_belongs_to_the_day_on_which_it_began() -> None:
    windows = weekly("22:00", "02:00", days=["sat"], zone="UTC")
    assert windows.open_until(utc("2026-11-21T23:00")) == utc("2026-11-22T02:00")  # a Saturday
    assert windows.open_until(utc("2026-11-22T01:59")) == utc("2026-11-22T02:00")
    assert windows.open_until(utc("2026-11-21T01:00")) is None
    assert windows.next_opening(utc("2026-11-22T02:00")) == utc("2026-11-28T22:00")


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        ("01:00", "04:00", 120),  # 02:00 to 03:00 does not exist on that day
        ("02:15", "02:45", 0),
        ("02:15", "03:30", 30),
        ("01:30", "02:30", 30),
        ("00:00", "24:00", 23 * 60),
    ],
)
def test_the_hour_that_spring_skips(start: str, end: str, minutes: int) -> None:
    assert open_minutes(weekly(start, end, days="sun"), "2026-03-28T20:00", "2026-03-30T04:00") == minutes


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        ("01:00", "04:00", 240),  # 02:00 to 03:00 comes twice
        ("02:30", "03:30", 120),
        ("01:30", "02:30", 60),  # closes when the clock shows 02:30 for the first time
        ("02:00", "02:30", 30),
        ("00:00", "24:00", 25 * 60),
    ],
)
def test_the_hour_that_autumn_doubles(start: str, end: str, minutes: int) -> None:
    assert open_minutes(weekly(start, end, days="sun"), "2026-10-24T20:00", "2026-10-26T04:00") == minutes


def test_a_window_over_the_spring_gap_of_another_zone_ends_an_hour_earlier_in_real_time() -> None:
    windows = weekly("22:00", "06:00", days="sat", zone="America/New_York")
    begin = windows.next_opening(utc("2026-03-02T00:00"))
    assert begin == utc("2026-03-08T03:00")
    assert windows.open_until(begin) == begin + 7 * HOUR


def test_windows_that_touch_are_one_and_one_that_never_closes_never_closes() -> None:
    touching = read_windows(
        [
            {"days": "mon", "from": "22:00", "to": "24:00", "timezone": "UTC"},
            {"days": "tue", "from": "00:00", "to": "03:00", "timezone": "UTC"},
        ]
    )
    assert touching.open_until(utc("2026-11-23T22:30")) == utc("2026-11-24T03:00")
    always = weekly("00:00", "24:00", zone="UTC")
    end = always.open_until(utc("2026-11-23T22:30"))
    assert end is not None
    assert end > utc("2026-12-20T00:00")


def test_a_rule_of_the_second_tuesday_lasts_its_duration_in_real_time() -> None:
    rule = "FREQ=MONTHLY;BYDAY=2TU;BYHOUR=22;BYMINUTE=0"
    windows = read_windows({"rrule": rule, "duration": "4h", "timezone": "Europe/Berlin"})
    assert windows.next_opening(utc("2026-11-21T00:00")) == utc("2026-12-08T21:00")
    assert windows.open_until(utc("2026-12-09T00:59")) == utc("2026-12-09T01:00")
    assert windows.open_until(utc("2026-12-09T01:00")) is None
    over = read_windows(
        {"rrule": "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;BYHOUR=1", "duration": "2h", "timezone": "Europe/Berlin"}
    )
    assert over.open_until(utc("2026-03-29T00:30")) == utc("2026-03-29T02:00")


def test_every_other_week_counts_from_what_it_says() -> None:
    rule = "DTSTART:20261102T200000\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO"
    windows = read_windows({"rrule": rule, "duration": "1h", "timezone": "UTC"})
    assert windows.open_until(utc("2026-11-16T20:30")) is not None
    assert windows.open_until(utc("2026-11-09T20:30")) is None


def test_no_window_is_always_and_never_is_never() -> None:
    moment = utc("2026-11-21T00:00")
    assert read_windows("always").open_until(moment) is not None
    assert read_windows(None).open_until(moment) is not None
    assert read_windows("never").open_until(moment) is None
    assert read_windows("never").next_opening(moment) is None


def test_a_time_that_yaml_took_for_a_number_is_a_time() -> None:
    windows = read_windows([{"from": 1320, "to": 1380, "timezone": "UTC"}])
    assert windows.open_until(utc("2026-11-21T22:30")) == utc("2026-11-21T23:00")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "always or never"),
        ("sometimes", "always or never"),
        ([7], "is expected"),
        ([{"from": "22:00", "to": "23:00"}], "timezone is missing"),
        ([{"from": "22:00", "to": "23:00", "timezone": "Europe/Berlln"}], "did you mean Europe/Berlin"),
        ([{"from": "22:00", "to": "23:00", "timezone": "../../etc/passwd"}], "no IANA time zone"),
        ([{"from": "25:00", "to": "23:00", "timezone": "UTC"}], "from: '25:00' is no time of day"),
        ([{"from": 22, "to": "23:00", "timezone": "UTC"}], "from: '22' is no time of day"),
        ([{"from": "22:00", "to": "22:00", "timezone": "UTC"}], "a whole day is"),
        ([{"days": ["mo"], "from": "22:00", "to": "23:00", "timezone": "UTC"}], "'mo' is no day"),
        ([{"days": [], "from": "22:00", "to": "23:00", "timezone": "UTC"}], "at least one day"),
        ([{"day": "mon", "from": "22:00", "to": "23:00", "timezone": "UTC"}], "day is unknown here"),
        ({"rrule": "FREQ=HOURLY", "duration": "1h", "timezone": "UTC"}, "FREQ must be one of"),
        ({"rrule": "FREQ=DAILY;BYHOUR=x", "duration": "1h", "timezone": "UTC"}, "rrule"),
        ({"rrule": "FREQ=DAILY;COUNT=3", "duration": "1h", "timezone": "UTC"}, "COUNT"),
        ({"rrule": "FREQ=WEEKLY;INTERVAL=2", "duration": "1h", "timezone": "UTC"}, "DTSTART"),
        ({"rrule": "FREQ=DAILY", "duration": "soon", "timezone": "UTC"}, "no duration"),
        ({"rrule": "FREQ=DAILY", "duration": "900d", "timezone": "UTC"}, "at most 31 days"),
        (
            {"rrule": f"FREQ=DAILY;BYMINUTE={','.join(map(str, range(60)))}", "duration": "1m", "timezone": "UTC"},
            "a day",
        ),
        ([{"days": "mon", "from": "1:00", "to": "2:00", "timezone": "UTC"}, 3], "window 2"),
    ],
)
def test_what_is_written_wrong_is_told_in_words(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        read_windows(value)


def test_a_rule_without_any_day_is_refused_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match="no such day"):
        read_windows({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31", "duration": "1h", "timezone": "UTC"})
    assert time.monotonic() - began < 3
