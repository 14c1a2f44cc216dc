"""Hosts visited by workers in other processes: who gets which, what came back, and what is told of a worker that is lost.

A message is sent once. What a lost worker was to change is told as unknown, and never handed to another; what it was to
look at is looked at by another.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from converge.errors import UsageError
from converge.fleet.accounts import Account
from converge.fleet.executor import Job, Payload
from converge.fleet.links import Arrived, Inbox, Link, Links, Lost
from converge.fleet.logins import SLOW_SECONDS, not_tried
from converge.fleet.messages import Begin, Begun, Go, HostEnded, LoggedIn, Stop
from converge.fleet.parallel import ABANDONED, TICK, Fleet, attempted
from converge.fleet.turns import Turns
from converge.model.change import HostResult, Problem, Status
from converge.model.names import fold

BEGIN_SECONDS = 120.0  # that workers get to read an order: their playbooks, the store
PACKERS = 4  # threads of the control node that fetch passwords and variables ahead
MOST_TRIES = 2  # of looking at a host: one at which two workers died is left alone

Group = tuple[str, int, str]
"""The site of a host, how many of that site may be under way, and its account."""


class Remote:
    """An executor whose workers are reached over links. `login_forks` bounds logins at once over all of them."""

    def __init__(self, links: Links, *, login_forks: int = 0) -> None:
        self._source = links
        self.login_forks = login_forks
        self.inbox: Inbox = queue.SimpleQueue()
        self.links: dict[Link, str] = {}  # lines that work; the values are only words for errors
        self.accounts: dict[str, Account] = {}
        self.stage = 0
        self._begun: Job | None = None
        self._busy = False

    def prepare(self, job: Job, *, sites: Collection[str]) -> None:
        """Find workers, and have them read the order. Raises UsageError."""
        self.links = {link: link.name for link in self._source.open(self.inbox, sites=sites)}
        unfit = self._begin(job)
        if unfit:
            name, problem = next(iter(unfit.items()))
            more = f" (and {len(unfit) - 1} more)" if len(unfit) > 1 else ""
            raise UsageError(f"the worker {name}{more}: {problem.what}", why=problem.why, try_=problem.try_)

    def run(self, fleet: Fleet, hosts: Iterable[str], job: Job) -> Iterator[HostResult]:
        """Visit them."""
        if job is not self._begun:
            self._begin(job)
        dispatch = _Dispatch(self, fleet, hosts, job)
        try:
            yield from dispatch.land()
        finally:
            dispatch.closed.set()
            self._busy = self._busy or dispatch.left_behind

    def close(self) -> None:
        """Dismiss the workers."""
        for link in self.links:
            link.close(at_once=self._busy)
        self._source.close()

    def account(self, name: str) -> Account:
        """What is known of an account."""
        return self.accounts.setdefault(fold(name), Account(SLOW_SECONDS))

    def _begin(self, job: Job) -> dict[str, Problem]:
        """Have every worker read an order. Those that cannot are let go; by their names, why."""
        order = job.stage_payload(elsewhere=any(link.is_elsewhere for link in self.links))
        self.stage += 1
        self._begun = job
        waiting = set(self.links)
        unfit: dict[str, Problem] = {}
        for link in self.links:
            link.send(Begin(self.stage, order))
        deadline = time.monotonic() + BEGIN_SECONDS
        while waiting and (left := deadline - time.monotonic()) > 0:
            try:
                arrived = self.inbox.get(timeout=left)
            except queue.Empty:
                break
            if not isinstance(arrived, Arrived) or arrived.link not in waiting:
                continue
            if isinstance(arrived.what, Begun) and arrived.what.stage == self.stage:
                waiting.discard(arrived.link)
                if arrived.what.problem is not None:
                    unfit[arrived.link.name] = self._let_go(arrived.link, arrived.what.problem)
            elif isinstance(arrived.what, Lost):
                waiting.discard(arrived.link)
                unfit[arrived.link.name] = self._let_go(arrived.link, _lost(arrived.link, arrived.what.why))
        for link in waiting:
            unfit[link.name] = self._let_go(
                link, Problem("worker-silent", "it does not answer", try_="look at its log")
            )
        return unfit

    def _let_go(self, link: Link, problem: Problem) -> Problem:
        self.links.pop(link, None)
        link.close(at_once=True)
        return problem


@dataclass(slots=True)
class _UnderWay:
    """A host that is under way: its group, when it began, who has it, and whether its login is over."""

    group: Group
    began: float
    link: Link | None = None
    logging_in: bool = True


@dataclass(frozen=True, slots=True)
class _Packed:
    """A host is ready to be sent, or has its result already."""

    dispatch: _Dispatch
    host: str
    what: Payload | HostResult


class _Dispatch:
    """One stage over the hosts: who is waiting, who is under way with whom, what came back."""

    def __init__(self, remote: Remote, fleet: Fleet, hosts: Iterable[str], job: Job) -> None:
        self._remote = remote
        self._fleet = fleet
        self._job = job
        self.closed = threading.Event()
        self.left_behind = False
        self._turns: Turns[Group] = Turns(hosts, group_of=self._group_of, has_room=self._has_room)
        self._under_way: dict[str, _UnderWay] = {}
        self._at_site: Counter[str] = Counter()
        self._with: Counter[Link] = Counter()
        self._logging_in = 0
        self._tries: Counter[str] = Counter()
        self._to_pack: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._packers = 0
        self._results: list[HostResult] = []

    def land(self) -> Iterator[HostResult]:
        deadline: float | None = None
        while True:
            self._begin_what_may()
            self._receive()
            results, self._results = self._results, []
            yield from results
            if results:
                continue
            if self._fleet.stop.is_set():
                if deadline is None:
                    deadline = time.monotonic() + self._fleet.grace
                    for link in self._remote.links:
                        link.send(Stop())
                if self._fleet.stop.at_once or time.monotonic() >= deadline:
                    break
            if not self._under_way and not self._begin_what_may():
                break
        yield from self._rest()

    # Who goes next

    def _group_of(self, host: str) -> Group:
        return (*self._fleet.site_of(host), fold(self._job.account_of(host)))

    def _has_room(self, group: Group) -> bool:
        site, most, name = group
        account = self._remote.account(name)
        if account.is_lost:
            return True  # it will be told so, and goes nowhere
        return (not most or self._at_site[site] < most) and account.until_room(time.monotonic()) <= 0

    def _begin_what_may(self) -> bool:
        """Begin as many as may be under way; whether any was begun."""
        began = False
        while self._may_begin() and (host := self._turns.next()) is not None:
            self._begin(host)
            began = True
        return began

    def _may_begin(self) -> bool:
        if len(self._under_way) >= self._fleet.forks or self._fleet.stop.is_set():
            return False
        if 0 < self._remote.login_forks <= self._logging_in:
            return False
        return self._fleet.enough() is None

    def _begin(self, host: str) -> None:
        found = self._under_way[host] = _UnderWay(self._group_of(host), time.monotonic())
        self._at_site[found.group[0]] += 1
        self._logging_in += 1
        account = self._remote.account(found.group[2])
        account.begin(found.began)
        if account.is_lost:
            error = not_tried(self._job.account_of(host), account.refused)
            self._end(HostResult(host, Status.UNREACHABLE, error=Problem.of(error)))
            return
        self._to_pack.put(host)
        if self._packers < min(PACKERS, self._fleet.forks):
            self._packers += 1
            threading.Thread(target=self._pack, name="host packer", daemon=True).start()

    def _pack(self) -> None:
        """Of a thread: fetch what hosts need."""
        while not self.closed.is_set():
            try:
                host = self._to_pack.get(timeout=1.0)
            except queue.Empty:
                continue
            what = attempted(host, lambda host=host: self._job.payload(host), on_bug=self._fleet.on_bug)  # type: ignore[misc]  # mypy does not infer a lambda with a default
            self._remote.inbox.put(_Packed(self, host, what))

    # What comes back

    def _receive(self) -> None:
        """Wait a moment for something to arrive, then take all that has."""
        try:
            self._take(self._remote.inbox.get(timeout=TICK))
            while True:
                self._take(self._remote.inbox.get_nowait())
        except queue.Empty:
            return

    def _take(self, item: object) -> None:
        if isinstance(item, _Packed):
            if item.dispatch is self:
                self._send(item.host, item.what)
            return
        assert isinstance(item, Arrived)
        match item.what:
            case HostEnded(stage, result) if stage == self._remote.stage:
                self._end(result, link=item.link)
            case LoggedIn(stage, host, accepted) if stage == self._remote.stage:
                self._login_over(host, accepted)
            case Lost(why):
                self._lose(item.link, why)

    def _send(self, host: str, what: Payload | HostResult) -> None:
        found = self._under_way.get(host)
        if found is None:
            return
        if isinstance(what, HostResult):
            self._end(what)
            return
        site = found.group[0]
        serving = [link for link in self._remote.links if link.serves(site)]
        if not serving:
            self._end(HostResult(host, self._status_untouched(), error=_nobody(site)))
            return
        link = min(serving, key=lambda link: self._with[link])
        found.link = link
        self._with[link] += 1
        quiet = self._remote.account(found.group[2]).proven and not self._remote.login_forks
        link.send(Go(self._remote.stage, host, quiet, what.content))

    def _status_untouched(self) -> Status:
        return Status.FAILED if self._job.changes_hosts else Status.UNDECIDED

    def _login_over(self, host: str, accepted: bool | None) -> None:
        found = self._under_way.get(host)
        if found is not None and found.logging_in:
            found.logging_in = False
            self._logging_in -= 1
            self._remote.account(found.group[2]).end(found.began, accepted=accepted)

    def _end(self, result: HostResult, *, link: Link | None = None) -> None:
        found = self._under_way.get(result.host)
        if found is None or found.link is not link:
            return  # told already: the worker was thought lost, or the stage was left
        self._release(result.host)
        self._results.append(result)

    def _release(self, host: str) -> None:
        self._login_over(host, None)
        found = self._under_way.pop(host)
        self._at_site[found.group[0]] -= 1
        if found.link is not None:
            self._with[found.link] -= 1

    def _lose(self, link: Link, why: str) -> None:
        if self._remote.links.pop(link, None) is None:
            return
        link.close(at_once=True)
        for host in [host for host, found in self._under_way.items() if found.link is link]:
            self._release(host)
            self._tries[host] += 1
            if not self._job.changes_hosts and self._tries[host] < MOST_TRIES and self._remote.links:
                self._turns.back(host)
            else:
                found = self._fleet.recount(host, _lost(link, why))
                # A worker that is only out of reach goes on to its next boundary: what it does meanwhile nobody knows.
                self._results.append(replace(found, status=Status.UNKNOWN) if self._job.changes_hosts else found)

    def _rest(self) -> Iterator[HostResult]:
        self._receive()
        yield from self._results
        for host, found in self._under_way.items():
            self.left_behind = self.left_behind or found.link is not None
            if found.link is not None:
                yield self._fleet.recount(host, ABANDONED)
            else:
                yield HostResult(host, Status.SKIPPED, error=self._fleet.not_begun())
        for host in self._turns.rest():
            yield HostResult(host, Status.SKIPPED, error=self._fleet.not_begun())


def _lost(link: Link, why: str) -> Problem:
    return Problem(
        "worker-lost", f"the worker {link.name} was lost while this host was in progress", why,
        "run converge again: it checks what was started and continues from there",
    )  # fmt: skip


def _nobody(site: str) -> Problem:
    where = f" of the site {site}" if site else ""
    return Problem("no-worker", f"no worker{where} is left", "This host was not contacted.", "run converge again")
