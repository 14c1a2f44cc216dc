"""How far a run is, while it goes on: a bar on a terminal, and above it a line for each host that ends in trouble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from converge.model.change import HostResult, Status
from converge.report.sink import Sink, sink_for
from converge.report.text import STYLES, in_words
from converge.report.visible import visible
from converge.report.vocabulary import title

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

LONGEST_LINE = 200  # characters; the report at the end tells everything
_IN_TROUBLE = (Status.FAILED, Status.UNREACHABLE, Status.UNDECIDED, Status.UNKNOWN, Status.STALE, Status.HELD)


class Progress(Protocol):
    """Is told of every host that ended."""

    def ended(self, result: HostResult) -> None:
        """One more host ended, and this is what became of it."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What is told while a run goes on. `would`: nothing is done yet. `every`: of every host, even in a pipe."""

    would: bool = True
    every: bool = False


@contextmanager
def progress_on(out: TextIO, *, title: str, total: int, telling: Telling) -> Iterator[Progress]:
    """A bar that goes away when the work is done, on a terminal; elsewhere lines if all hosts are told; nothing for one host."""
    if total < 2 or not (out.isatty() or telling.every):
        yield _Silence()
    elif not out.isatty():
        yield _Lines(sink_for(out), out, telling)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        words = TextColumn("{task.description}", markup=False)
        counts = TextColumn("{task.fields[counts]}", markup=False)
        columns = (words, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), counts)
        with Progress(*columns, console=Console(file=out), transient=True) as bar:
            yield _OnTerminal(bar, bar.add_task(title, total=total, counts=""), telling)


class _Silence:
    def ended(self, result: HostResult) -> None:
        """Nothing is shown."""


class _Lines:
    """A line for every host, handed on at once."""

    def __init__(self, sink: Sink, out: TextIO, telling: Telling) -> None:
        self._sink = sink
        self._out = out
        self._telling = telling

    def ended(self, result: HostResult) -> None:
        """Tell of it."""
        self._sink.line(line_of(result, would=self._telling.would))
        self._out.flush()


class _OnTerminal:
    """The bar, with how many ended how, and lines above it."""

    def __init__(self, bar: Bar, task: TaskID, telling: Telling) -> None:
        self._bar = bar
        self._task = task
        self._telling = telling
        self._counts: Counter[str] = Counter()

    def ended(self, result: HostResult) -> None:
        """Count it, and tell of it if it is in trouble."""
        trouble = result.status in _IN_TROUBLE
        self._counts["in trouble" if trouble else in_words(result.status, would=self._telling.would)] += 1
        if trouble or self._telling.every:
            from rich.text import Text

            line = visible(line_of(result, would=self._telling.would))
            self._bar.console.print(Text(line, style=STYLES[result.status]), soft_wrap=True)
        told = ", ".join(f"{number} {word}" for word, number in self._counts.items())
        self._bar.update(self._task, advance=1, counts=told)


def line_of(result: HostResult, *, would: bool) -> str:
    """One host in one line: how it ended, and the first of what went wrong with it."""
    why = result.error.what if result.error else ""
    troubled = [change for change in result.changes if change.status in _IN_TROUBLE]
    if not why and troubled:
        more = f" (and {len(troubled) - 1} more)" if len(troubled) > 1 else ""
        why = f"{title(troubled[0].name, troubled[0].address)}: {troubled[0].reason or troubled[0].status.value}{more}"
    changes = sum(change.status is Status.CHANGED for change in result.changes)
    if not why and changes:
        why = f"{changes} of {len(result.changes)}"
    line = f"{result.host}  {in_words(result.status, would=would)}" + (f"  {why}" if why else "")
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + "..."
