"""Change windows: when hosts may be changed, told from the definition and a moment alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from converge.model.durations import read_duration
from converge.schedule.local_time import first_moment, zone_named

ALWAYS = "always"
NEVER = "never"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = timedelta(days=1)
HORIZON = timedelta(days=800)  # how far ahead the next window is looked for: rules may speak of 29 February of a year
LONGEST = timedelta(days=31)
ANCHOR = "DTSTART:20240101T000000"  # a Monday: what a rule without a beginning counts from
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
_DATED = {"BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY", "BYEASTER"}
_MOST_A_DAY = 24
_MOST_TRIES = 1000  # openings of one window that are looked at for one at which the other is open too
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_WEEKLY_KEYS = ("days", "from", "to", "timezone")
_RULE_KEYS = ("rrule", "duration", "timezone")

Span = tuple[datetime, datetime]


@runtime_checkable  # a policy holds windows in a pydantic model, which asks
class WindowRule(Protocol):
    """A definition that says when it is open."""

    def spans(self, since: datetime, until: datetime) -> Iterator[Span]:
        """Every span, in UTC and in order, that begins between two moments."""

    @property
    def longest(self) -> timedelta:
        """No span is longer."""


@dataclass(frozen=True, slots=True)
class WeeklyWindow:
    """Open on some days of the week between two times of the wall clock, past midnight where `to` is not after `from`."""

    days: frozenset[int]
    start: time
    minutes_to: int  # of the day, at most 24 * 60
    zone: ZoneInfo

    @property
    def longest(self) -> timedelta:
        """A day, and the hour that an autumn adds."""
        return 2 * DAY

    def spans(self, since: datetime, until: datetime) -> Iterator[Span]:
        """A day whose clocks skip the whole window has none."""
        day = since.astimezone(self.zone).date() - DAY
        last = until.astimezone(self.zone).date() + DAY
        while day <= last:
            if day.weekday() in self.days:
                begin, end = first_moment(datetime.combine(day, self.start), self.zone), self._end(day)
                if since <= begin < min(end, until):
                    yield begin, end
            day += DAY

    def _end(self, day: date) -> datetime:
        midnight = datetime.combine(day, time())
        overnight = self.minutes_to <= self.start.hour * 60 + self.start.minute
        return first_moment(midnight + timedelta(minutes=self.minutes_to) + overnight * DAY, self.zone)


@dataclass(frozen=True, slots=True)
class RuleWindow:
    """Open for a while from each occurrence of a rule of RFC 5545 on, but for those `excluded` (whole days as dates)."""

    rule: rrule
    duration: timedelta
    zone: ZoneInfo
    excluded: frozenset[date] = frozenset()

    @property
    def longest(self) -> timedelta:
        """Its duration."""
        return self.duration

    def spans(self, since: datetime, until: datetime) -> Iterator[Span]:
        """The wall clock shows when one begins; how long it lasts is counted in real time."""
        first = since.astimezone(self.zone).replace(tzinfo=None) - DAY
        last = until.astimezone(self.zone).replace(tzinfo=None) + DAY
        for wall in self.rule.xafter(first, inc=True):
            if wall > last:
                return
            begin = first_moment(wall, self.zone)
            if since <= begin < until and not {wall, wall.date()} & self.excluded:
                yield begin, begin + self.duration


@dataclass(frozen=True, slots=True)
class ChangeWindows:
    """All windows of a host: it may be changed while one of them is open. None at all means always.

    What `within` says must allow it as well.
    """

    windows: tuple[WindowRule, ...] = ()
    never: bool = False
    within: ChangeWindows | None = None

    @property
    def is_always(self) -> bool:
        """Whether it never closes."""
        return not (self.windows or self.never) and (self.within is None or self.within.is_always)

    def narrowed(self, within: ChangeWindows) -> ChangeWindows:
        """These windows, as far as others are open too."""
        return replace(self, within=within if self.within is None else self.within.narrowed(within))

    def open_until(self, moment: datetime) -> datetime | None:
        """When the time of changing ends that this moment lies in; None outside of it. Windows that touch are one."""
        end = self._own_end(moment)
        if end is None or self.within is None:
            return end
        other = self.within.open_until(moment)
        return None if other is None else min(end, other)

    def _own_end(self, moment: datetime) -> datetime | None:
        if self.never:
            return None
        if not self.windows:
            return datetime.max.replace(tzinfo=UTC)
        end: datetime | None = None
        reached = moment
        for begin, finish in self._around(moment):
            if begin > reached:
                break
            if finish > reached:
                reached = end = finish
        return end

    def next_opening(self, moment: datetime) -> datetime | None:
        """The first moment from this one on at which changing is allowed; None where that is not foreseeable."""
        found: datetime | None = moment
        for _ in range(_MOST_TRIES):
            if found is None or self.open_until(found) is not None:
                return found
            own = found if self._own_end(found) is not None else self._own_opening(found)
            found = own if own is None or self.within is None else self.within.next_opening(own)
        return None

    def _own_opening(self, moment: datetime) -> datetime | None:
        following = [] if self.never else [next(each.spans(moment, moment + HORIZON), None) for each in self.windows]
        return min((span[0] for span in following if span is not None), default=None)

    def _around(self, moment: datetime) -> list[Span]:
        spans = (window.spans(moment - window.longest, moment + LONGEST) for window in self.windows)
        return sorted(span for each in spans for span in each)


def read_windows(value: object) -> ChangeWindows:
    """Windows as an inventory or a policy writes them. Raises ValueError with words."""
    if value is None or value == ALWAYS:
        return ChangeWindows()
    if value == NEVER:
        return ChangeWindows(never=True)
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, Sequence) or isinstance(items, str | bytes) or not items:
        raise ValueError("a list of windows is expected, or the word always or never")
    if len(items) > 100:
        raise ValueError("more than 100 windows")
    windows = []
    for number, item in enumerate(items, start=1):
        try:
            windows.append(_read_window(item))
        except ValueError as error:
            raise ValueError(f"window {number}: {error}" if len(items) > 1 else str(error)) from None
    return ChangeWindows(tuple(windows))


def _read_window(item: object) -> WindowRule:
    if not isinstance(item, Mapping):
        raise ValueError("{days, from, to, timezone} or {rrule, duration, timezone} is expected")
    keys = _RULE_KEYS if "rrule" in item else _WEEKLY_KEYS
    unknown = [str(key)[:100] for key in item if key not in keys]
    if unknown:
        raise ValueError(f"{unknown[0]} is unknown here; known are {', '.join(keys)}")
    missing = [key for key in keys if key not in item and key != "days"]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    zone = zone_named(item["timezone"])
    if "rrule" in item:
        duration = read_duration(item["duration"])
        if not timedelta(minutes=1) <= duration <= LONGEST:
            raise ValueError(f"duration: at least a minute, at most {LONGEST.days} days")
        rule, excluded = _read_rule(item["rrule"])
        return RuleWindow(rule, duration, zone, excluded)
    start, end = _read_clock(item["from"], "from"), _read_clock(item["to"], "to")
    if start == 24 * 60:
        raise ValueError("from: 24:00 is 00:00 of the next day")
    if start == end:
        raise ValueError("from and to are the same; a whole day is from 00:00 to 24:00")
    return WeeklyWindow(_read_days(item.get("days")), time(start // 60, start % 60), end, zone)


def _read_clock(value: object, key: str) -> int:
    """Minutes since midnight. Without quotes YAML 1.1 reads 22:00 as the number 1320: sixty times 22."""
    if isinstance(value, int) and not isinstance(value, bool) and 60 <= value <= 24 * 60:
        return value
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if match and int(match[2]) < 60 and (int(match[1]) < 24 or (int(match[1]), int(match[2])) == (24, 0)):
        return int(match[1]) * 60 + int(match[2])
    raise ValueError(f"{key}: {str(value)[:40]!r} is not a time of day; write '22:00', in quotes")


def _read_days(value: object) -> frozenset[int]:
    if value is None:
        return frozenset(range(7))
    words = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(words, Iterable) or isinstance(words, Mapping | bytes):
        raise ValueError("days: a list like [mon, sat] is expected")
    days: set[int] = set()
    for word in words:
        days |= _read_day(word)
    if not days:
        raise ValueError("days: at least one day is expected; leave it out for every day")
    return frozenset(days)


def _read_day(word: object) -> set[int]:
    if isinstance(word, str):
        text = word.strip().lower()
        if text in ("daily", "all"):
            return set(range(7))
        first, dash, last = text.partition("-")
        begin, end = _day_number(first), _day_number(last if dash else first)
        if begin is not None and end is not None:
            return {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    raise ValueError(f"days: {str(word)[:40]!r} is not a day; write mon, tue, ... sun, or a range like mon-fri")


def _day_number(word: str) -> int | None:
    """By the English name or at least its first three letters."""
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    found = [number for number, name in enumerate(names) if len(word) >= 3 and name.startswith(word)]
    return found[0] if found else None


def _read_rule(value: object) -> tuple[rrule, frozenset[date]]:
    """A rule, perhaps with a line DTSTART before it and lines EXDATE after it, by the wall clock."""
    if not isinstance(value, str) or not value.strip() or len(value) > 2000:
        raise ValueError("rrule: a rule of RFC 5545 is expected, like FREQ=MONTHLY;BYDAY=2TU;BYHOUR=22;BYMINUTE=0")
    lines = [line.strip() for line in value.upper().splitlines() if line.strip()]
    excluded = _read_excluded(line for line in lines if line.startswith("EXDATE"))
    lines = [line for line in lines if not line.startswith("EXDATE")]
    if not lines or len(lines) > 1 + lines[0].startswith("DTSTART"):
        raise ValueError("rrule: one rule is expected; write several windows for several rules")
    parts = dict(part.partition("=")[::2] for part in lines[-1].removeprefix("RRULE:").split(";"))
    if parts.get("FREQ") not in _FREQUENCIES:
        raise ValueError(f"rrule: FREQ must be one of {', '.join(_FREQUENCIES)}")
    if "COUNT" in parts and not lines[0].startswith("DTSTART"):
        raise ValueError("rrule: COUNT needs to know what it counts from; write a line DTSTART:20260105T220000 before")
    if "TZID" in value.upper():
        raise ValueError("rrule: the time zone belongs into timezone")
    if parts.get("INTERVAL", "1") != "1" and not lines[0].startswith("DTSTART"):
        raise ValueError(
            "rrule: an INTERVAL needs to know what it counts from; write a line DTSTART:20260105T220000 before"
        )
    often = 1
    for name in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        often *= len(parts.get(name, "0").split(","))
    if often > _MOST_A_DAY:
        raise ValueError(f"rrule: more than {_MOST_A_DAY} windows a day")
    head = lines[0] if lines[0].startswith("DTSTART") else ANCHOR
    yearly = {**parts, "FREQ": "YEARLY"}
    yearly.pop("INTERVAL", None)
    yearly.pop("BYSETPOS", None)
    yearly.pop("COUNT", None)
    if _DATED & set(parts) and next(iter(_parsed(head, yearly)), None) is None:
        # Asked day by day, the library would look for it until the year 9999.
        raise ValueError("rrule: there is no such day")
    return _parsed(head, parts), excluded


def _read_excluded(lines: Iterable[str]) -> frozenset[date]:
    found: set[date] = set()
    for line in lines:
        head, _, values = line.partition(":")
        if head not in ("EXDATE", "EXDATE;VALUE=DATE", "EXDATE;VALUE=DATE-TIME"):
            raise ValueError(f"rrule: {head[:60]} is not understood; write EXDATE:20261224 or EXDATE:20261224T220000")
        for word in values.split(","):
            try:
                moment = datetime.strptime(word, "%Y%m%dT%H%M%S" if "T" in word else "%Y%m%d")
            except ValueError:
                hint = "write EXDATE:20261224 for a day or EXDATE:20261224T220000 for a moment, by the wall clock"
                raise ValueError(f"rrule: {word[:40]!r} is not a date of EXDATE; {hint}") from None
            found.add(moment if "T" in word else moment.date())
    return frozenset(found)


def _parsed(head: str, parts: Mapping[str, str]) -> rrule:
    try:
        rule = rrulestr(head + "\n" + ";".join(f"{name}={value}" for name, value in parts.items()))
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise ValueError(f"rrule: {str(error)[:200] or 'it cannot be read'}") from None
    if not isinstance(rule, rrule):
        raise ValueError("rrule: one rule is expected")
    return rule
