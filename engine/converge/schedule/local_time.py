"""From what a wall clock shows to the moment when it shows it, on days of 23, 24 and 25 hours."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache

SECOND = timedelta(seconds=1)


def zone_named(name: object) -> zoneinfo.ZoneInfo:
    """An IANA time zone. Raises ValueError with words."""
    if not isinstance(name, str) or not name:
        raise ValueError("timezone: the name of an IANA time zone is missing, like Europe/Berlin or UTC")
    known = _known()
    if name not in known:
        near = get_close_matches(name[:100], known, n=1, cutoff=0.6)
        if iana := _of_windows(name):
            hint = f"that is Windows' name of {iana}: write {iana}"
        else:
            hint = f"did you mean {near[0]}?" if near else "write one like Europe/Berlin, America/New_York or UTC"
        raise ValueError(f"timezone: there is no IANA time zone {name[:100]!r}; {hint}")
    return zoneinfo.ZoneInfo(name)


@cache
def _known() -> frozenset[str]:
    """The names of all zones: a walk through every file of theirs, and policies and windows are read again in each round."""
    return frozenset(zoneinfo.available_timezones())


def _of_windows(name: str) -> str:
    """The IANA zone that CLDR has for Windows' name of one, such as `W. Europe Standard Time`; else an empty text."""
    from tzlocal.windows_tz import win_tz

    return next((iana for windows, iana in win_tz.items() if windows.casefold() == name.strip().casefold()), "")


def first_moment(wall: datetime, zone: zoneinfo.ZoneInfo) -> datetime:
    """The first moment, in UTC, at which clocks of `zone` show `wall` (naive) or later on their way past it.

    Of the two moments that show a time of the autumn's double hour it is the first; for a time that the spring skips it
    is the moment of the skip.
    """
    early = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if early.astimezone(zone).replace(tzinfo=None) == wall:
        return early
    # In the gap, reading the time by the offset after it gives a moment before the skip, by the one before it one after.
    low = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    high = early
    while high - low > SECOND:
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if middle.astimezone(zone).replace(tzinfo=None) >= wall:
            high = middle
        else:
            low = middle
    return high
