"""One measurement, and a table of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.bench.processes import Used

_COLUMNS = (
    "what", "login", "hosts", "latency ms", "hosts/s", "CPU ms/host", "× bare loop", "peak MB", "requests/host",
    "KB/host", "first result s", "answering CPU ms/host",
)  # fmt: skip
HEAD = (f"| {' | '.join(_COLUMNS)} |", "|---|---|" + "--:|" * (len(_COLUMNS) - 2))


@dataclass(frozen=True, slots=True)
class Row:
    """What one program used on so many hosts. `size` is in bytes for each host, `beside` the bare loop's CPU ms per host.

    `first` is the seconds until the first result, where the program tells results as they come.
    """

    what: str
    login: str
    hosts: int
    latency: int
    used: Used
    requests: float = 0.0
    size: float = 0.0
    answering: float = 0.0
    beside: float = 0.0
    first: float = 0.0

    @property
    def cpu(self) -> float:
        """Milliseconds for each host, start-up of the whole tree of processes included."""
        return self.used.cpu / self.hosts * 1000

    def __str__(self) -> str:
        cells = (
            self.what, self.login, f"{self.hosts:,}", str(self.latency), f"{self.hosts / self.used.wall:.1f}",
            f"{self.cpu:.1f}", _told(self.cpu / self.beside if self.beside else 0, 2), _told(self.used.memory, 0),
            _told(self.requests, 1), _told(self.size / 1024, 0), _told(self.first, 2), _told(self.answering, 1),
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


def _told(number: float, digits: int) -> str:
    return f"{number:.{digits}f}" if number else ""


def beside_ansible(rows: Iterable[Row]) -> list[str]:
    """How many times Ansible's CPU for each host is that of converge, at the largest fleet without latency, in sentences."""
    rows = list(rows)
    told = []
    for login in ("basic", "ntlm"):
        ours = [row for row in rows if row.what == "converge --check" and row.login == login and not row.latency]
        theirs = [row for row in rows if row.what.startswith("ansible") and row.login == login]
        for other in theirs if ours else ():
            best = max(ours, key=lambda row: row.hosts)
            times = other.cpu / best.cpu
            told.append(
                f"{other.what} over {login}: {times:.0f} times the CPU of converge for each host"
                f" ({other.cpu:.0f} ms with {other.hosts} hosts, {best.cpu:.1f} ms with {best.hosts:,})."
            )
    return told
