"""Runs as columns: what an SVG of hosts by status needs, in numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from converge.model.recorded import RunRecord
from converge.report.vocabulary import ORDER, shown_status

WIDTH, HEIGHT = 1000, 100


@dataclass(frozen=True, slots=True)
class ChartPart:
    """One status of a column, as a box of the drawing."""

    status: str
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One run: its boxes, from the top what needs attention most."""

    run: RunRecord
    parts: tuple[ChartPart, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns from the oldest to the newest, and what the highest of them counts."""

    columns: tuple[Column, ...]
    most: int


def chart(runs: Sequence[RunRecord], *, least_columns: int = 1, without: Collection[str] = ()) -> Chart:
    """Runs, newest first, as columns of one drawing, some statuses left out.

    Few columns do not become wider than one of `least_columns`.
    """
    told = [
        (run, {status: count for status, count in shown_counts(run).items() if status not in without})
        for run in reversed(runs)
        if run.hosts
    ]
    most = max((sum(counts.values()) for _, counts in told), default=0)
    step = WIDTH / max(len(told), least_columns)
    return Chart(
        tuple(
            Column(run, _parts(counts, x=number * step, width=step * 0.86, most=most))
            for number, (run, counts) in enumerate(told)
        ),
        most,
    )


def bar(counts: Mapping[str, int]) -> tuple[ChartPart, ...]:
    """One bar across the whole width, from the left what needs attention most."""
    total = sum(counts.values())
    parts, x = [], 0.0
    for status in ORDER:
        if counts.get(status):
            width = counts[status] * WIDTH / total
            parts.append(ChartPart(status, counts[status], x, 0, width, HEIGHT))
            x += width
    return tuple(parts)


def shown_counts(run: RunRecord) -> dict[str, int]:
    """The hosts of a run by status, as it is shown."""
    return {shown_status(status, run.mode): count for status, count in run.hosts.items()}


def _parts(counts: Mapping[str, int], *, x: float, width: float, most: int) -> tuple[ChartPart, ...]:
    parts: list[ChartPart] = []
    y = float(HEIGHT)
    for status in reversed(ORDER):
        if counts.get(status):
            height = counts[status] * HEIGHT / most
            y -= height
            parts.append(ChartPart(status, counts[status], round(x, 2), round(y, 3), round(width, 2), round(height, 3)))
    return tuple(reversed(parts))
