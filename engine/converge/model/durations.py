"""Durations as people write them, read in one way everywhere: `90`, `90s`, `10m`, `1h30m`, `2d`, `1w`, `10 minutes`."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final

_NAMES: Final = (
    (604800, ("w", "week", "weeks")),
    (86400, ("d", "day", "days")),
    (3600, ("h", "hour", "hours")),
    (60, ("m", "min", "minute", "minutes")),
    (1, ("s", "sec", "second", "seconds")),
)
"""Each unit's seconds and spellings, in the order in which a duration names them."""
_NUMBER: Final = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
LONGEST: Final = timedelta(days=100 * 366)


def _in_any_case(word: str) -> str:
    return "".join(f"[{letter}{letter.upper()}]" for letter in word)


def _part(names: tuple[str, ...]) -> str:
    longest_first = sorted(names, key=len, reverse=True)
    return rf"(?:({_NUMBER}) *(?:{'|'.join(map(_in_any_case, longest_first))})(?![A-Za-z]) *)?"


_BARE: Final = re.compile(_NUMBER)
_PARTS: Final = re.compile("".join(_part(names) for _, names in _NAMES))
SPELLINGS: Final[tuple[dict[str, object], ...]] = (
    {"type": "number", "minimum": 0},
    {"type": "string", "pattern": rf"^ *(?=[0-9])(?:{_NUMBER}|{_PARTS.pattern}) *$"},
)
"""As JSON Schema: any of these."""


def read_duration(value: object) -> timedelta:
    """A length of time; a bare number is seconds. Raises ValueError with words."""
    seconds = math.nan
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str):
        text = value.strip(" ")
        if _BARE.fullmatch(text):
            seconds = float(text)
        elif text and (found := _PARTS.fullmatch(text)):
            seconds = sum(float(number or 0) * unit for number, (unit, _) in zip(found.groups(), _NAMES, strict=True))
    if not 0 <= seconds <= LONGEST.total_seconds():
        raise ValueError(f"{str(value)[:40]!r} is not a duration; write seconds, or one like 90s, 10m, 1h30m, 2d or 1w")
    return timedelta(seconds=seconds)


def in_words(duration: timedelta) -> str:
    """The two largest parts of a duration: `3 h 20 min`, `45 s`."""
    seconds = max(0, round(duration.total_seconds()))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    told = [f"{number} {unit}" for number, unit in parts if number][:2]
    return " ".join(told) or "0 s"
