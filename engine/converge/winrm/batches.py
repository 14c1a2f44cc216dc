"""How much is asked at once: bounded numbers of names, and bounded text, in one query; less where that was too much."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from converge.model.answer import Refused
from converge.model.names import fold
from converge.windows import wql
from converge.winrm.answering import denies_everything, refused
from converge.winrm.exchange import Faulted
from converge.winrm.session import CIMV2, Reader
from converge.wsman.cim import Properties

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


def listed(
    reader: Reader, class_name: str, names: Iterable[str], *, by: str, columns: Collection[str]
) -> Iterator[tuple[list[str], list[Properties] | Refused]]:
    """The instances of a class of root/cimv2 whose property `by` is one of the names, batch by batch.

    A batch that the host will not answer (an answer too large, a name it chokes on) is asked again in halves, so that in
    the end only the names that cause it go without an answer.
    """
    waiting = list(batches(sorted(names, key=fold)))[::-1]
    while waiting:
        batch = waiting.pop()
        where = wql.any_of([wql.equals(by, name) for name in batch])
        try:
            rows = reader.query(CIMV2, wql.select(columns, class_name, where=where))
            yield batch, [row.properties for row in rows]
        except Faulted as faulted:
            if len(batch) == 1 or denies_everything(faulted.fault):
                yield batch, refused(faulted)
            else:
                middle = len(batch) // 2
                waiting += [batch[middle:], batch[:middle]]
