"""Version numbers of files and of Windows, compared number by number."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"\s*v?(\d{1,10}(?:[.,]\s*\d{1,10}){0,7})(?![\d.])", re.IGNORECASE)
_FULL = 4  # numbers of a file version; shorter ones mean zeros


def parse(text: str) -> tuple[int, ...]:
    """`5.0.2195.6713 (xpsp.1)` as (5, 0, 2195, 6713); at least four numbers. Raises ValueError for a text that is none."""
    found = _NUMBERS.match(text)
    if not found:
        raise ValueError(f"{text!r} is no version number such as 5.0.2195.6713")
    numbers = tuple(int(part) for part in re.split(r"[.,]\s*", found.group(1)))
    return numbers + (0,) * (_FULL - len(numbers))


def is_newer(left: str, right: str) -> bool:
    """Whether the left version is later than the right one. Raises ValueError."""
    return parse(left) > parse(right)


def same_version(left: str | None, right: str | None) -> bool:
    """Whether two version texts mean one version; texts that are no versions are compared as they stand."""
    if left is None or right is None:
        return left is right
    try:
        return parse(left) == parse(right)
    except ValueError:
        return left.strip() == right.strip()
