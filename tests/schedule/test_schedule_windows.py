"""Change windows at the days on which clocks are set, past midnight, by rules, and written wrong."""

from __future__ import annotations

import time
import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest

from converge.schedule.local_time import zone_named
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


def test_days_and_moments_are_left_out_of_a_rule() -> None:
    rule = "FREQ=DAILY;BYHOUR=2,22;BYMINUTE=0\nEXDATE:20261224,20261225T220000\nEXDATE;VALUE=DATE:20261231"
    windows = read_windows({"rrule": rule, "duration": "1h", "timezone": "Europe/Berlin"})
    opened = [f"{day}T{hour}:30" for day in ("2026-12-24", "2026-12-25", "2026-12-31") for hour in ("01", "21")]
    assert [windows.open_until(utc(moment)) is not None for moment in opened] == [
        False,
        False,
        True,
        False,
        False,
        False,
    ]


def test_a_rule_that_counts_ends_when_it_has_counted() -> None:
    rule = "DTSTART:20261102T220000\nRRULE:FREQ=WEEKLY;COUNT=2"
    windows = read_windows({"rrule": rule, "duration": "1h", "timezone": "UTC"})
    assert [windows.open_until(utc(f"2026-11-{day:02}T22:30")) is not None for day in (2, 9, 16)] == [True, True, False]
    assert windows.next_opening(utc("2026-11-09T23:00")) is None


@pytest.mark.parametrize(
    ("day", "start", "end", "minutes"),
    [
        ("2026-10-04", "01:00", "04:00", 150),  # 02:00 to 02:30 does not exist
        ("2026-10-04", "02:00", "02:30", 0),
        ("2026-10-04", "02:10", "03:00", 30),
        ("2026-04-05", "01:00", "04:00", 210),  # 01:30 to 02:00 comes twice
        ("2026-04-05", "01:45", "02:15", 60),
        ("2026-04-05", "22:00", "02:00", 240),
    ],
)
def test_clocks_that_are_set_by_half_an_hour(day: str, start: str, end: str, minutes: int) -> None:
    """Lord Howe Island: summer time is half an hour."""
    windows = weekly(start, end, days=datetime.fromisoformat(day).strftime("%a").lower(), zone="Australia/Lord_Howe")
    noon = utc(day + "T00:00") - timedelta(hours=18)
    assert (
        open_minutes(windows, noon.strftime("%Y-%m-%dT%H:%M"), (noon + 2 * 24 * HOUR).strftime("%Y-%m-%dT%H:%M"))
        == minutes
    )


@pytest.mark.parametrize(("zone", "night", "hours"), [
    ("America/New_York", "2026-10-31", 7 + 1), ("America/New_York", "2026-03-07", 7 - 1),
    ("Europe/Berlin", "2026-10-24", 7 + 1), ("Europe/Berlin", "2026-03-28", 7 - 1),
])  # fmt: skip
def test_a_night_over_the_switch_is_an_hour_longer_or_shorter(zone: str, night: str, hours: int) -> None:
    windows = weekly("22:00", "05:00", days="sat", zone=zone)
    begin = windows.next_opening(utc(night + "T12:00"))
    assert begin is not None
    assert windows.open_until(begin) == begin + hours * HOUR
    assert windows.open_until(begin + hours * HOUR) is None
    assert windows.open_until(begin + hours * HOUR - timedelta(seconds=1)) is not None


def test_windows_within_windows_are_open_where_both_are() -> None:
    night = weekly("22:00", "06:00", zone="UTC")
    both = weekly("04:00", "12:00", zone="UTC").narrowed(night)
    assert open_minutes(both, "2026-11-20T00:00", "2026-11-21T00:00") == 120
    assert both.open_until(utc("2026-11-20T05:00")) == utc("2026-11-20T06:00")
    assert both.next_opening(utc("2026-11-20T06:00")) == utc("2026-11-21T04:00")
    assert weekly("10:00", "11:00", zone="UTC").narrowed(night).next_opening(utc("2026-11-20T06:00")) is None
    assert read_windows("always").narrowed(night).next_opening(utc("2026-11-20T06:00")) == utc("2026-11-20T22:00")
    assert read_windows("never").narrowed(night).next_opening(utc("2026-11-20T06:00")) is None
    assert not read_windows("always").narrowed(night).is_always
    assert read_windows("always").narrowed(read_windows("always")).is_always


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
        ([{"from": "25:00", "to": "23:00", "timezone": "UTC"}], "from: '25:00' is not a time of day"),
        ([{"from": 22, "to": "23:00", "timezone": "UTC"}], "from: '22' is not a time of day"),
        ([{"from": "22:00", "to": "22:00", "timezone": "UTC"}], "a whole day is"),
        ([{"days": ["mo"], "from": "22:00", "to": "23:00", "timezone": "UTC"}], "'mo' is not a day"),
        ([{"days": [], "from": "22:00", "to": "23:00", "timezone": "UTC"}], "at least one day"),
        ([{"day": "mon", "from": "22:00", "to": "23:00", "timezone": "UTC"}], "day is unknown here"),
        ({"rrule": "FREQ=HOURLY", "duration": "1h", "timezone": "UTC"}, "FREQ must be one of"),
        ({"rrule": "FREQ=DAILY;BYHOUR=x", "duration": "1h", "timezone": "UTC"}, "rrule"),
        ({"rrule": "FREQ=DAILY;COUNT=3", "duration": "1h", "timezone": "UTC"}, "COUNT needs to know"),
        ({"rrule": "FREQ=DAILY\nEXDATE:tomorrow", "duration": "1h", "timezone": "UTC"}, "not a date of EXDATE"),
        ({"rrule": "FREQ=DAILY\nEXDATE;TZID=UTC:20261224", "duration": "1h", "timezone": "UTC"}, "TZID=UTC is not"),
        ({"rrule": "EXDATE:20261224", "duration": "1h", "timezone": "UTC"}, "one rule is expected"),
        ({"rrule": "FREQ=DAILY\nFREQ=WEEKLY", "duration": "1h", "timezone": "UTC"}, "one rule is expected"),
        ({"rrule": "FREQ=WEEKLY;INTERVAL=2", "duration": "1h", "timezone": "UTC"}, "DTSTART"),
        ({"rrule": "FREQ=DAILY", "duration": "soon", "timezone": "UTC"}, "not a duration"),
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
    began = time.process_time()
    with pytest.raises(ValueError, match="no such day"):
        read_windows({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31", "duration": "1h", "timezone": "UTC"})
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("name", "iana"),
    [
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("eastern standard time", "America/New_York"),
        ("China Standard Time", "Asia/Shanghai"),
    ],
)
def test_windows_name_of_a_zone_is_answered_with_the_right_one(name: str, iana: str) -> None:
    with pytest.raises(ValueError, match=f"that is Windows' name of {iana}"):
        read_windows({"days": "sat", "from": "22:00", "to": "23:00", "timezone": name})


def test_the_files_of_all_zones_are_walked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    zone_named("Europe/Berlin")
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: pytest.fail("once is enough"))
    assert zone_named("America/New_York").key == "America/New_York"
