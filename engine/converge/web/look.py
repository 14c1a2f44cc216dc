"""One look at the store for one page, and a list cut into pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from converge.errors import ConvergeError
from converge.store.store import Store
from converge.web.fleet import FleetView
from converge.web.query import PageQuery

Context = Mapping[str, Any]


class NotThere(ConvergeError):
    """Page not found, host or run."""

    code = "not-found"


@dataclass(slots=True)
class Look:
    """What a page is made from. `fleet` is made at most once for each state of the store.

    `columns` are the runs of a chart. `single`: the page is part of one file, and there is no next one.
    """

    store: Store
    query: PageQuery
    now: datetime
    fleet: Callable[[], FleetView]
    columns: int = 60
    single: bool = False


Page = Callable[[Look], Context]


@dataclass(slots=True)
class Pages:
    """One page of a list."""

    query: PageQuery
    count: int
    size: int

    @property
    def number(self) -> int:
        """Which page, counted from 1; the last one where more was asked for."""
        return min(self.query.page(), self.last_number)

    @property
    def last_number(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.count // self.size))

    @property
    def first(self) -> int:
        """The index of the first entry."""
        return (self.number - 1) * self.size

    @property
    def last(self) -> int:
        """The index behind the last entry."""
        return min(self.first + self.size, self.count)

    def link(self, number: int) -> str:
        """Another page of the same list."""
        return self.query.link(page=number if number > 1 else "")
