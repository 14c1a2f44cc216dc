"""Durations as people write them: `90s`, `30m`, `4h`, `1h30m`, `2d`."""

from __future__ import annotations

import re
from datetime import timedelta

_PART = re.compile(r"([0-9]{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_duration(value: object) -> timedelta:
    """More than nothing. Raises ValueError with words."""
    text = value.strip().lower() if isinstance(value, str) else ""
    if not text or len(text) > 60 or _PART.sub("", text).strip():
        raise ValueError(f"{str(value)[:40]!r} is no duration; write one like 30m, 4h or 1h30m")
    found = sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in _PART.findall(text)), timedelta())
    if not found:
        raise ValueError("a duration of nothing")
    return found


def in_words(duration: timedelta) -> str:
    """The two largest parts of a duration: `3 h 20 min`, `45 s`."""
    seconds = max(0, round(duration.total_seconds()))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    told = [f"{number} {unit}" for number, unit in parts if number][:2]
    return " ".join(told) or "0 s"
