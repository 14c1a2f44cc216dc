"""The 8.3 names that a disk of Windows gives to what lies in one folder (RtlGenerate8dot3Name)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

from converge.model.names import fold

_IS_ONE = re.compile(r"[^ .+,;=\[\]]{1,8}(?:\.[^ .+,;=\[\]]{1,3})?")
_BY_LETTERS = 4  # so often six letters of the name are kept; from then on it is two, and a checksum


def eight_dot_three(names: Iterable[str]) -> dict[str, str]:
    """The 8.3 name of each of these neighbours, by its folded name. The earlier one has the lower number."""
    names = list(names)
    given = {fold(name): fold(name) for name in names if _IS_ONE.fullmatch(name)}
    taken = set(given.values())
    for name in names:
        if fold(name) not in given:
            given[fold(name)] = made = next(short for short in _candidates(name) if short not in taken)
            taken.add(made)
    return given


def _candidates(name: str) -> Iterable[str]:
    stem, extension = _parts(name)
    for number in range(1, _BY_LETTERS + 1):
        yield f"{stem[:6]}~{number}{extension}"
    checksum = f"{zlib.crc32(name.encode('utf-16-le')) & 0xFFFF:04X}"
    for number in range(1, 1_000_000):
        yield f"{stem[:2]}{checksum}"[: 7 - len(str(number))] + f"~{number}{extension}"


def _parts(name: str) -> tuple[str, str]:
    """The letters of the name and of its ending, with its point, that an 8.3 name may hold."""
    stem, dot, ending = name.lstrip(". ").rpartition(".")
    if not dot:
        stem, ending = ending, ""
    kept, ending = (fold(re.sub(r"[+,;=\[\]]", "_", re.sub(r"[ .]", "", part))) for part in (stem, ending))
    return kept, f".{ending[:3]}" if ending else ""
