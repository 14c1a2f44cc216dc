"""Handing hosts to workers: whatever becomes of these, every host has one true result, and a change is handed out once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import pytest

from converge.errors import HostUnreachable, UsageError
from converge.fleet.executor import Payload
from converge.fleet.links import Arrived, Inbox, Link, Lost
from converge.fleet.messages import Go, Message, pack, unpack
from converge.fleet.parallel import Fleet
from converge.fleet.remote import Remote
from converge.fleet.stop import StopToken
from converge.fleet.worker import Worker
from converge.model.change import HostResult, Problem, Status

BOUND = 120.0
HOSTS = [f"web{number:02}" for number in range(30)]
Visit = Callable[[str, StopToken], HostResult]


def ok(host: str, _stop: StopToken) -> HostResult:
    return HostResult(host, Status.OK)


@dataclass
class StageRunner:
    """Visits as a test says; `lets_in` is what a host says of the account."""

    visit_host: Visit
    lets_in: Callable[[str], bool | None]
    visited: Counter[str]

    def run(self, message: Go, stop: StopToken, *, logged_in: Callable[[bool | None], None]) -> HostResult:
        self.visited[message.host] += 1
        if not message.quiet:
            accepted = self.lets_in(message.host)
            logged_in(accepted)
            if accepted is False:
                raise HostUnreachable("refused", code="login-refused")
        return self.visit_host(message.host, stop)

    def bug(self, host: str, error: BaseException) -> Problem:
        return Problem("internal", f"{host}: {type(error).__name__}")

    def close(self) -> None:
        pass


class NearLink:
    """A worker in this process, behind the same bytes as one elsewhere."""

    is_elsewhere = False

    def __init__(self, name: str, inbox: Inbox, runner: StageRunner, *, sites: Collection[str] = ()) -> None:
        self.name = name
        self.sites = sites
        self.under_way: set[str] = set()
        self.most = 0
        self._inbox = inbox
        self._lost = False
        self._shift = Worker(lambda _payload: runner, self._tell)

    def serves(self, site: str) -> bool:
        return not site or site in self.sites

    def send(self, message: Message) -> None:
        if isinstance(message, Go):
            self.under_way.add(message.host)
            self.most = max(self.most, len(self.under_way))
        if not self._lost:
            self._shift.take(unpack(pack(message)))

    def close(self, *, at_once: bool) -> None:
        self._shift.stop.ask()

    def die(self) -> None:
        self._lost = True
        self._inbox.put(Arrived(self, Lost("It was ended by signal 9.")))

    def _tell(self, message: Message) -> None:
        self.under_way.discard(getattr(getattr(message, "result", None), "host", ""))
        if not self._lost:
            self._inbox.put(Arrived(self, unpack(pack(message))))


@dataclass
class NearLinks:
    """Two workers, or one for each of the sites."""

    visit: Visit = ok
    lets_in: Callable[[str], bool | None] = lambda _host: True
    sites: Collection[str] = ()
    visited: Counter[str] = field(default_factory=Counter)
    links: list[NearLink] = field(default_factory=list)

    def open(self, inbox: Inbox, *, sites: Collection[str]) -> list[Link]:
        runner = StageRunner(self.visit, self.lets_in, self.visited)
        named: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in self.sites] or [
            ("first", ()),
            ("second", ()),
        ]
        self.links = [NearLink(name, inbox, runner, sites=served) for name, served in named]
        return list(self.links)

    def close(self) -> None:
        pass


@dataclass
class Job:
    """Every host by one account, and nothing that could go wrong on this side."""

    changes_hosts: bool = False
    account: Callable[[str], str] = lambda _host: "deploy"

    def here(self, host: str, stop: StopToken) -> HostResult:
        raise AssertionError("it is for workers")

    def stage_payload(self, *, elsewhere: bool) -> object:
        return "order"

    def payload(self, host: str) -> Payload | HostResult:
        return Payload(host, "content")

    def account_of(self, host: str) -> str:
        return self.account(host)


def run(
    links: NearLinks, job: Job, fleet: Fleet, *, login_forks: int = 0, hosts: list[str] = HOSTS
) -> list[HostResult]:
    remote = Remote(links, login_forks=login_forks)
    remote.prepare(job, sites=())
    results = list(remote.run(fleet, hosts, job))
    remote.close()
    assert sorted(result.host for result in results) == sorted(hosts), "one result for each"
    return results


@pytest.mark.parametrize("forks", [1, 4, 50])
def test_every_host_is_visited_once_and_no_more_than_forks_at_once(forks: int) -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    def visit(host: str, _stop: StopToken) -> HostResult:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with lock:
            under_way -= 1
        return HostResult(host, Status.OK)

    links = NearLinks(visit)
    assert {result.status for result in run(links, Job(), Fleet(forks=forks))} == {Status.OK}
    assert set(links.visited.values()) == {1}
    assert most <= forks
    if forks == 4:
        assert [link.most for link in links.links] == [2, 2], "the load is shared"


def test_a_site_goes_to_its_worker_and_takes_so_many_at_once() -> None:
    def visit(host: str, _stop: StopToken) -> HostResult:
        time.sleep(0.01)
        return HostResult(host, Status.OK)

    links = NearLinks(visit, sites=("lyon", "oslo"))
    site_of = {host: ("lyon" if number % 3 else "oslo", 3) for number, host in enumerate(HOSTS)}
    run(links, Job(), Fleet(forks=20, site_of=site_of.__getitem__))
    assert [link.most for link in links.links] == [3, 3]


def test_a_host_whose_site_nobody_serves_any_more_is_told_so() -> None:
    links = NearLinks(sites=("lyon",))
    (result,) = run(links, Job(), Fleet(site_of=lambda _: ("oslo", 0)), hosts=["web01"])
    assert result.status is Status.UNDECIDED
    assert result.error is not None
    assert result.error.code == "no-worker"


@pytest.mark.parametrize("changes", [False, True])
def test_what_a_lost_worker_was_to_change_is_unknown_and_what_it_was_to_look_at_is_looked_at_by_another(
    changes: bool,
) -> None:
    links = NearLinks()

    def visit(host: str, stop: StopToken) -> HostResult:
        if host == "web00" and links.visited[host] == 1:
            next(link for link in links.links if host in link.under_way).die()
            stop.wait(BOUND)
        return HostResult(host, Status.OK)

    links.visit = visit
    results = {result.host: result for result in run(links, Job(changes), Fleet(forks=1))}
    if changes:
        assert results["web00"].status is Status.UNKNOWN
        assert results["web00"].error is not None
        assert "signal 9" in results["web00"].error.why
        assert links.visited["web00"] == 1, "nobody else was sent there"
    else:
        assert results["web00"].status is Status.OK
        assert links.visited["web00"] == 2
    assert {result.status for host, result in results.items() if host != "web00"} == {Status.OK}


def test_an_account_is_refused_twice_at_most_over_all_workers() -> None:
    links = NearLinks(lets_in=lambda _host: False)
    results = run(links, Job(), Fleet(forks=20))
    assert sum(links.visited.values()) == 2
    codes = Counter(result.error.code for result in results if result.error is not None)
    assert codes == {"login-refused": 2, "login-not-tried": 28}


def test_once_an_account_was_let_in_nobody_waits_and_accounts_are_counted_apart() -> None:
    links = NearLinks(lets_in=lambda host: host != "web01")
    job = Job(account=lambda host: f"{host}\\admin" if host < "web10" else "deploy")
    results = {result.host: result.status for result in run(links, job, Fleet(forks=20))}
    assert {host for host, status in results.items() if status is not Status.OK} == {"web01"}


def test_logins_at_once_are_bounded_over_all_workers() -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    def lets_in(_host: str) -> bool:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with lock:
            under_way -= 1
        return True

    run(NearLinks(lets_in=lets_in), Job(), Fleet(forks=20), login_forks=3)
    assert 0 < most <= 3


def test_a_bug_in_a_worker_is_that_hosts_result() -> None:
    def visit(host: str, _stop: StopToken) -> HostResult:
        if host == "web03":
            raise ZeroDivisionError("secret")
        return HostResult(host, Status.OK)

    results = {result.host: result for result in run(NearLinks(visit), Job(), Fleet())}
    assert results["web03"].error == Problem("internal", "web03: ZeroDivisionError")


@pytest.mark.parametrize("times", [1, 2])
def test_the_end_comes_though_hosts_hang(times: int) -> None:
    stop, hang = StopToken(), threading.Event()

    def visit(host: str, _stop: StopToken) -> HostResult:
        for _ in range(times):
            stop.ask()
        hang.wait()
        return HostResult(host, Status.OK)

    results = run(NearLinks(visit), Job(changes_hosts=True), Fleet(forks=1, stop=stop))
    hang.set()
    assert [result.status for result in results] == [Status.UNKNOWN, *[Status.SKIPPED] * 29]


def test_a_worker_that_cannot_do_what_is_ordered_is_an_error_before_any_host() -> None:
    links = NearLinks()
    remote = Remote(links)

    class Unfit(Job):
        def stage_payload(self, *, elsewhere: bool) -> object:
            raise UsageError("these playbooks use hostvars")

    with pytest.raises(UsageError, match="hostvars"):
        remote.prepare(Unfit(), sites=())
    assert not links.visited
