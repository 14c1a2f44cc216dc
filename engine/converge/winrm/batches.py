"""How much is asked at once: bounded numbers of names, and bounded text, in one query; less where that was too much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from converge.winrm.answering import denies_everything
from converge.winrm.exchange import Faulted

T = TypeVar("T")

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


def answered(names: Iterable[str], ask: Callable[[list[str]], T]) -> Iterator[tuple[list[str], T | Faulted]]:
    """Ask for the names batch by batch: each with what came back.

    A batch that the host will not answer (an answer too large, a name it chokes on) is asked again in halves, so that in
    the end only the names that cause it go without an answer.
    """
    waiting = list(batches(names))[::-1]
    while waiting:
        batch = waiting.pop()
        try:
            yield batch, ask(batch)
        except Faulted as faulted:
            if len(batch) == 1 or denies_everything(faulted.fault):
                yield batch, faulted
            else:
                middle = len(batch) // 2
                waiting += [batch[middle:], batch[:middle]]
