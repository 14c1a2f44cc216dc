"""How far a run is, on a terminal; silence in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO


class Progress(Protocol):
    """Is told of every host that ended."""

    def advance(self) -> None:
        """One more host ended."""


class NoProgress:
    """Where nobody watches."""

    def advance(self) -> None:
        """Nothing is shown."""


@contextmanager
def progress_on(out: TextIO, *, title: str, total: int) -> Iterator[Progress]:
    """A bar that goes away when the work is done, on a terminal; nothing elsewhere, or for a single host."""
    if not out.isatty() or total < 2:
        yield NoProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(file=out), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield _RichProgress(bar, task)


class _RichProgress:
    def __init__(self, bar: object, task: object) -> None:
        self._bar = bar
        self._task = task

    def advance(self) -> None:
        self._bar.advance(self._task)  # type: ignore[attr-defined]  # rich is imported only where there is a terminal
