"""Hosts in parallel, one thread per host in flight; results are handed on as they come and kept by nobody here."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from converge.errors import ConvergeError, HostUnreachable, Undecided
from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Problem, Status

Work = Callable[[str, StopToken], HostResult]
TICK = 0.05  # seconds between two looks at the stop token
GRACE = 1.5  # seconds that hosts under way get to reach their next boundary once the end was asked for
STACK_SIZE = (
    1024 * 1024
)  # bytes of stack for one host; the system's default of 8 MiB is what limits threads in containers


@dataclass(slots=True)
class Fleet:
    """How to run many hosts: `forks` at once, `stop` to end early, `on_bug` to keep a bug's traceback and put it into words.

    `enough` is asked before each host: a problem means that no further one is begun, and is what they are told; those
    under way go on to their end. `site_of` names a host's site and how many hosts of it may be under way (0: any
    number). The first hosts begin within `jitter` seconds of each other, not all at once.

    `abandoned` says whether hosts that were still under way at the end may have been changed (`unknown`), or were only
    looked at (`undecided`).
    """

    forks: int = 50
    stop: StopToken = field(default_factory=StopToken)
    on_bug: Callable[[str, BaseException], Problem] | None = None
    abandoned: Status = Status.UNKNOWN
    grace: float = GRACE
    enough: Callable[[], Problem | None] = lambda: None
    site_of: Callable[[str], tuple[str, int]] = lambda _: ("", 0)
    jitter: float = 0.0

    def run(self, hosts: Iterable[str], work: Work, *, on_result: Callable[[HostResult], None]) -> None:
        """Work on every host; `on_result` is called in this thread, once per host, as they end.

        An error or a bug in one host's work is that host's result. Once the end is asked for, no further host is begun,
        those under way get `grace` seconds to stop by themselves, and every host that did not end is told as such.
        """
        flight = _Flight(self, hosts, work)
        try:
            flight.land(on_result)
        finally:
            # Whatever ended this loop (a reader that went away, a bug in a report) ends the work as well.
            flight.closed.set()


class _Flight:
    """One run over the hosts: who is waiting, who is under way, what came back."""

    def __init__(self, fleet: Fleet, hosts: Iterable[str], work: Work) -> None:
        self.fleet = fleet
        self.work = work
        self.closed = threading.Event()
        self._waiting: Iterator[str] = iter(hosts)
        self._held_back: dict[str, deque[str]] = {}
        self._at_site: Counter[str] = Counter()
        self._under_way: dict[str, None] = {}
        self._lock = threading.Lock()
        self._results: queue.Queue[HostResult] = queue.Queue(maxsize=max(1, fleet.forks))

    def land(self, on_result: Callable[[HostResult], None]) -> None:
        threads = 0
        deadline: float | None = None
        while True:
            if threads < self.fleet.forks and (host := self._next()) is not None:
                self._start(host)
                threads += 1
                if self._results.empty():
                    continue  # fill up first, hand on what is there in between
            try:
                on_result(self._results.get(timeout=TICK))
                continue
            except queue.Empty:
                pass
            if not self._busy():
                break
            if self.fleet.stop.is_set():
                deadline = deadline or time.monotonic() + self.fleet.grace
                if self.fleet.stop.at_once or time.monotonic() >= deadline:
                    break
        self._tell_the_rest(on_result)

    def _busy(self) -> bool:
        with self._lock:
            return bool(self._under_way) or not self._results.empty()

    def _next(self, ended: str | None = None) -> str | None:
        """The next host, under way from now on in place of the one that ended; None when none is left or the end was asked for."""
        with self._lock:
            if ended is not None:
                self._under_way.pop(ended, None)
                self._at_site[self.fleet.site_of(ended)[0]] -= 1
            if self.fleet.stop.is_set() or self.closed.is_set() or self.fleet.enough() is not None:
                return None
            host = self._with_room()
            if host is not None:
                self._under_way[host] = None
                self._at_site[self.fleet.site_of(host)[0]] += 1
            return host

    def _with_room(self) -> str | None:
        """The first host whose site takes one more; the others of that site wait, and take up no thread."""
        for site, hosts in self._held_back.items():
            if hosts and self._at_site[site] < self.fleet.site_of(hosts[0])[1]:
                return hosts.popleft()
        for host in self._waiting:
            site, most = self.fleet.site_of(host)
            if not most or self._at_site[site] < most:
                return host
            self._held_back.setdefault(site, deque()).append(host)
        return None

    def _start(self, host: str) -> None:
        previous = threading.stack_size(STACK_SIZE)
        try:
            delay = random.uniform(0, self.fleet.jitter)  # noqa: S311  # it only spreads load
            threading.Thread(target=self._fly, args=(host, delay), name=f"host {host}", daemon=True).start()
        finally:
            threading.stack_size(previous)

    def _fly(self, host: str | None, delay: float) -> None:
        self.fleet.stop.wait(delay)
        while host is not None:
            self._hand_on(self._result(host))
            host = self._next(ended=host)

    def _hand_on(self, result: HostResult) -> None:
        while not self.closed.is_set():
            try:
                self._results.put(result, timeout=1.0)
                return
            except queue.Full:
                continue

    def _result(self, host: str) -> HostResult:
        started = time.monotonic()
        try:
            return self.work(host, self.fleet.stop)
        except ConvergeError as error:
            return HostResult(host, _status_of(error), seconds=time.monotonic() - started, error=Problem.of(error))
        except BaseException as error:  # noqa: BLE001  # a bug met by one host, even a call of exit, must not stop the others
            return HostResult(host, Status.FAILED, seconds=time.monotonic() - started, error=self._bug(host, error))

    def _bug(self, host: str, error: BaseException) -> Problem:
        if self.fleet.on_bug is not None:
            return self.fleet.on_bug(host, error)
        return Problem("internal", f"a bug in converge: {type(error).__name__}")

    def _tell_the_rest(self, on_result: Callable[[HostResult], None]) -> None:
        with self._lock:
            hanging = list(self._under_way)
            self.closed.set()
        told = set()
        while not self._results.empty():
            result = self._results.get_nowait()
            told.add(result.host)
            on_result(result)
        for host in hanging:
            if host not in told:
                on_result(HostResult(host, self.fleet.abandoned, error=_ABANDONED))
        reason = _NOT_BEGUN if self.fleet.stop.is_set() else self.fleet.enough() or _NOT_BEGUN
        for host in chain(*self._held_back.values(), self._waiting):
            on_result(HostResult(host, Status.SKIPPED, error=reason))


def _status_of(error: ConvergeError) -> Status:
    if isinstance(error, HostUnreachable):
        return Status.UNREACHABLE
    if isinstance(error, Undecided):
        return Status.UNDECIDED
    return Status.HELD if error.code == "held" else Status.FAILED


_ABANDONED = Problem(
    "stopped",
    "the run was stopped while this host was under way",
    try_="run converge again: it looks at what was begun and goes on from there",
)
_NOT_BEGUN = Problem("stopped", "the run was stopped before this host was begun")
