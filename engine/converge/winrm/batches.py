"""How much is asked at once: bounded numbers of names, and bounded text, in one query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

MOST_NAMES: Final = 40
"""WMI refuses queries with too many conditions (WBEM_E_QUERY_NOT_IMPLEMENTED, WBEM_E_QUOTA_VIOLATION)."""
MOST_CHARACTERS: Final = 6000


def batches(names: Iterable[str]) -> Iterator[list[str]]:
    """The names in lists that fit into one query each."""
    batch: list[str] = []
    length = 0
    for name in names:
        if batch and (len(batch) == MOST_NAMES or length + len(name) > MOST_CHARACTERS):
            yield batch
            batch, length = [], 0
        batch.append(name)
        length += len(name)
    if batch:
        yield batch
