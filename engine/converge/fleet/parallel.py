"""Hosts in parallel, one thread per host in flight; results are handed on as they come and kept by nobody here."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from converge.errors import ConvergeError, HostUnreachable, Undecided
from converge.fleet.stop import StopToken
from converge.fleet.turns import Turns
from converge.model.change import HostResult, Problem, Status

T = TypeVar("T")
Work = Callable[[str, StopToken], HostResult]
TICK = 0.05  # seconds between two looks at the stop token
GRACE = 1.5  # seconds that hosts under way get to reach their next boundary once the end was asked for
STACK_SIZE = (
    1024 * 1024
)  # bytes of stack for one host; the system's default of 8 MiB is what limits threads in containers
_starting = threading.Lock()  # the size of stacks is one for the whole process


@dataclass(slots=True)
class Fleet:
    """How to run many hosts: `forks` at once, `stop` to end early, `on_bug` to keep a bug's traceback and put it into words.

    `enough` is asked before each host: a problem means that no further one is begun, and is what they are told; those
    under way go on to their end. `site_of` names a host's site and how many hosts of it may be under way (0: any
    number). The first hosts begin within `jitter` seconds of each other, not all at once.

    `recount` tells what is known of a host that was still under way at the end, say by its journal.
    """

    forks: int = 50
    stop: StopToken = field(default_factory=StopToken)
    on_bug: Callable[[str, BaseException], Problem] | None = None
    recount: Callable[[str, Problem], HostResult] = lambda host, problem: HostResult(host, Status.UNKNOWN, error=problem)
    grace: float = GRACE
    enough: Callable[[], Problem | None] = lambda: None
    site_of: Callable[[str], tuple[str, int]] = lambda _: ("", 0)
    jitter: float = 0.0

    def run(self, hosts: Iterable[str], work: Work) -> Iterator[HostResult]:
        """Work on every host; yields one result of each, as they end. Nothing is begun before the first is asked for.

        An error or a bug in one host's work is that host's result. Once the end is asked for, no further host is begun,
        those under way get `grace` seconds to stop by themselves, and every host that did not end is told as such.
        """
        flight = _Flight(self, hosts, work)
        try:
            yield from flight.land()
        finally:
            # Whatever ended this loop (a reader that went away, a bug in a report) ends the work as well.
            flight.closed.set()

    def not_begun(self) -> Problem:
        """What hosts are told that were never begun."""
        return _NOT_BEGUN if self.stop.is_set() else self.enough() or _NOT_BEGUN


class _Flight:
    """One run over the hosts: who is waiting, who is under way, what came back."""

    def __init__(self, fleet: Fleet, hosts: Iterable[str], work: Work) -> None:
        self.fleet = fleet
        self.work = work
        self.closed = threading.Event()
        self._at_site: Counter[str] = Counter()
        self._turns = Turns(hosts, group_of=fleet.site_of, has_room=self._has_room)
        self._under_way: dict[str, None] = {}
        self._lock = threading.Lock()
        self._results: queue.Queue[HostResult] = queue.Queue(maxsize=max(1, fleet.forks))

    def land(self) -> Iterator[HostResult]:
        threads = 0
        deadline: float | None = None
        while True:
            if threads < self.fleet.forks and (host := self._next()) is not None:
                self._start(host)
                threads += 1
                if self._results.empty():
                    continue  # fill up first, hand on what is there in between
            try:
                yield self._results.get(timeout=TICK)
                continue
            except queue.Empty:
                pass
            if not self._busy():
                break
            if self.fleet.stop.is_set():
                deadline = deadline or time.monotonic() + self.fleet.grace
                if self.fleet.stop.at_once or time.monotonic() >= deadline:
                    break
        yield from self._rest()

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
            host = self._turns.next()
            if host is not None:
                self._under_way[host] = None
                self._at_site[self.fleet.site_of(host)[0]] += 1
            return host

    def _has_room(self, site: tuple[str, int]) -> bool:
        name, most = site
        return not most or self._at_site[name] < most

    def _start(self, host: str) -> None:
        delay = random.uniform(0, self.fleet.jitter)  # noqa: S311  # it only spreads load
        in_a_thread(f"host {host}", lambda: self._fly(host, delay))

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
        return attempted(host, lambda: self.work(host, self.fleet.stop), on_bug=self.fleet.on_bug)

    def _rest(self) -> Iterator[HostResult]:
        with self._lock:
            hanging = list(self._under_way)
            self.closed.set()
        told = set()
        while not self._results.empty():
            result = self._results.get_nowait()
            told.add(result.host)
            yield result
        for host in hanging:
            if host not in told:
                yield self.fleet.recount(host, ABANDONED)
        for host in self._turns.rest():
            yield HostResult(host, Status.SKIPPED, error=self.fleet.not_begun())


def in_a_thread(name: str, step: Callable[[], None]) -> None:
    """Begin a step in a thread of little stack, which ends with the process."""
    with _starting:
        previous = threading.stack_size(STACK_SIZE)
        try:
            threading.Thread(target=step, name=name, daemon=True).start()
        finally:
            threading.stack_size(previous)


def attempted(
    host: str, step: Callable[[], T], *, on_bug: Callable[[str, BaseException], Problem] | None
) -> T | HostResult:
    """What a step of one host's work returns; an error or a bug in it is that host's result, and stops no other."""
    started = time.monotonic()
    try:
        return step()
    except ConvergeError as error:
        return HostResult(host, _status_of(error), seconds=time.monotonic() - started, error=Problem.of(error))
    except BaseException as error:  # noqa: BLE001  # a bug met by one host, even a call of exit, must not stop the others
        told = on_bug(host, error) if on_bug is not None else _bug(error)
        return HostResult(host, Status.FAILED, seconds=time.monotonic() - started, error=told)


def _bug(error: BaseException) -> Problem:
    return Problem("internal", f"a bug in converge: {type(error).__name__}")


def _status_of(error: ConvergeError) -> Status:
    if isinstance(error, HostUnreachable):
        return Status.UNREACHABLE
    if isinstance(error, Undecided):
        return Status.UNDECIDED
    return Status.HELD if error.code == "held" else Status.FAILED


ABANDONED = Problem(
    "stopped",
    "the run was stopped while this host was in progress",
    try_="run converge again: it checks what was started and continues from there",
)
_NOT_BEGUN = Problem("stopped", "the run was stopped before this host was started")
