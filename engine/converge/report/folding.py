"""Many host names in few words: `web[01-40,42].example.com`."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBERED = re.compile(r"(?P<before>[^.]*?)(?P<number>[0-9]{1,15})(?P<after>[^0-9.]*(?:\..*)?)", re.DOTALL)


def folded(names: Iterable[str]) -> str:
    """The names, sorted, ranges folded. `[01-12]` counts with the width of its first number, `[8-12]` without padding.

    What varies is the last number before the first dot; addresses and names without a number stand as they are.
    """
    alone: list[str] = []
    families: dict[tuple[str, str], set[str]] = {}
    for name in set(names):
        match = _NUMBERED.fullmatch(name)
        if match is None or (match["before"][-1:].isdigit()) or _is_address(name):
            alone.append(name)
        else:
            families.setdefault((match["before"], match["after"]), set()).add(match["number"])
    for (before, after), numbers in families.items():
        if len(numbers) == 1:
            alone.append(f"{before}{numbers.pop()}{after}")
        else:
            alone.append(f"{before}[{','.join(_ranges(numbers))}]{after}")
    return ", ".join(sorted(alone, key=natural))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key under which web2 comes before web10."""
    parts = re.findall(r"[0-9]{1,15}|[^0-9]+", name)
    return tuple((0, int(part), part) if part[0] in "0123456789" else (1, 0, part) for part in parts)


def _is_address(name: str) -> bool:
    return bool(re.fullmatch(r"[0-9.]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*", name))


def _ranges(numbers: set[str]) -> list[str]:
    rest = set(numbers)
    ranges = []
    for first in sorted(numbers, key=lambda number: (int(number), len(number))):
        if first not in rest:
            continue
        last = first
        rest.discard(first)
        while (following := str(int(last) + 1).zfill(len(first))) in rest:
            rest.discard(following)
            last = following
        ranges.append(first if first == last else f"{first}-{last}")
    return ranges
