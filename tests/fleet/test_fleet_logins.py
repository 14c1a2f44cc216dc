"""A wrong password is tried twice in a run, however many hosts there are and however many at once."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection
from typing import ClassVar

import pytest

from converge.errors import HostUnreachable, LoginNotTried, LoginRefused
from converge.fleet.logins import GuardedObserver, LoginGuard
from converge.model.answer import Absent, Answers
from converge.model.query import AnyQuery, OperatingSystem, Service

BOUND = 120


def refuse() -> str:
    raise LoginRefused("wrong password")


def unreachable() -> str:
    raise HostUnreachable("no route")


def test_after_two_refusals_nobody_else_is_tried() -> None:
    guard = LoginGuard()
    for _ in range(2):
        with pytest.raises(LoginRefused):
            guard.attempt(r"CORP\deploy", refuse)
    with pytest.raises(LoginNotTried, match=r"not tried: would lock corp\\DEPLOY"):
        guard.attempt(r"corp\DEPLOY", lambda: pytest.fail("it was tried"))


def test_accounts_are_counted_apart() -> None:
    guard = LoginGuard()
    for _ in range(2):
        with pytest.raises(LoginRefused):
            guard.attempt("one", refuse)
    assert guard.attempt("two", lambda: "in") == "in"


def test_an_account_that_was_let_in_is_not_held_back() -> None:
    guard = LoginGuard()
    guard.attempt("deploy", lambda: "in")
    for _ in range(5):
        with pytest.raises(LoginRefused):
            guard.attempt("deploy", refuse)
    assert guard.attempt("deploy", lambda: "in") == "in"


def test_hosts_that_are_away_tell_nothing_of_the_account() -> None:
    guard = LoginGuard()
    for _ in range(5):
        with pytest.raises(HostUnreachable, match="no route"):
            guard.attempt("deploy", unreachable)
    assert guard.attempt("deploy", lambda: "in") == "in"


@pytest.mark.parametrize("hosts", [3, 20, 100])
def test_many_hosts_at_once_are_refused_twice_at_most(hosts: int) -> None:
    guard, lock = LoginGuard(), threading.Lock()
    tried, outcomes = 0, []

    def login() -> str:
        nonlocal tried
        with lock:
            tried += 1
        time.sleep(0.01)
        raise LoginRefused("wrong password")

    def work() -> None:
        try:
            guard.attempt("deploy", login)
        except (LoginRefused, LoginNotTried) as error:
            with lock:
                outcomes.append(type(error))

    threads = [threading.Thread(target=work) for _ in range(hosts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=BOUND)
    assert tried == 2
    assert outcomes.count(LoginRefused) == 2
    assert outcomes.count(LoginNotTried) == hosts - 2


def test_once_let_in_all_go_on_at_once() -> None:
    guard = LoginGuard()
    guard.attempt("deploy", lambda: "in")
    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=lambda: guard.attempt("deploy", lambda: barrier.wait(BOUND))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=BOUND)
    assert not barrier.broken
    assert not any(thread.is_alive() for thread in threads)


def test_a_silent_first_host_does_not_hold_back_a_thousand() -> None:
    guard, silence, asked = LoginGuard(slow=0.2), threading.Event(), threading.Event()
    done = []

    def silent() -> None:
        asked.set()
        silence.wait()
        raise HostUnreachable("silent")

    def first() -> None:
        with contextlib.suppress(HostUnreachable):
            guard.attempt("deploy", silent)

    silents = [threading.Thread(target=first) for _ in range(2)]
    others = [threading.Thread(target=lambda: guard.attempt("deploy", lambda: done.append(1))) for _ in range(1000)]
    started = time.monotonic()
    for thread in silents:
        thread.start()
    assert asked.wait(BOUND)
    for thread in others:
        thread.start()
    for thread in others:
        thread.join(timeout=BOUND)
    let_in, took = len(done), time.monotonic() - started
    silence.set()
    for thread in silents:
        thread.join(timeout=BOUND)
    assert let_in == 1000
    assert took >= 0.2


def test_what_is_asked_of_the_first_host_does_not_hold_back_the_others() -> None:
    guard, busy = LoginGuard(), threading.Event()

    class Slow:
        host, round_trips = "mail01", 0
        asked: ClassVar[list[object]] = []

        def ask(self, queries: Collection[AnyQuery]) -> Answers:
            self.asked.append(tuple(queries))
            if len(self.asked) > 1:
                busy.wait()
            return Answers({})

    slow = Slow()
    first = threading.Thread(
        target=lambda: GuardedObserver(slow, account="deploy", guard=guard).ask([Service("W3SVC")])
    )
    first.start()
    assert guard.attempt("deploy", lambda: guard.attempt("deploy", lambda: "in")) == "in"
    busy.set()
    first.join(timeout=BOUND)
    assert slow.asked == [(OperatingSystem(),), (Service("W3SVC"),)]


def test_what_the_login_told_is_not_asked_again() -> None:
    system, service = OperatingSystem(), Service("W3SVC")

    class Counting:
        host, round_trips = "mail01", 0
        asked: ClassVar[list[object]] = []

        def ask(self, queries: Collection[AnyQuery]) -> Answers:
            self.asked.append(tuple(queries))
            return Answers({query: Absent() for query in queries})

    counting = Counting()
    observer = GuardedObserver(counting, account="deploy", guard=LoginGuard())
    assert dict(observer.ask([service, system])) == {service: Absent(), system: Absent()}
    assert counting.asked == [(system,), (service,)]
    # Later it is: the host's clock goes on.
    assert dict(observer.ask([system])) == {system: Absent()}
    assert counting.asked == [(system,), (service,), (system,)]


def test_a_limit_on_logins_holds_for_an_account_that_was_let_in_too() -> None:
    guard, lock = LoginGuard(at_once=2), threading.Lock()
    guard.attempt("deploy", lambda: "in")
    under_way, most = 0, 0

    class Slow:
        host, round_trips = "mail01", 0

        def ask(self, queries: Collection[AnyQuery]) -> Answers:
            nonlocal under_way, most
            if tuple(queries) == (OperatingSystem(),):
                with lock:
                    under_way += 1
                    most = max(most, under_way)
                time.sleep(0.05)
                with lock:
                    under_way -= 1
            return Answers({query: Absent() for query in queries})

    asking = [
        threading.Thread(
            target=lambda: GuardedObserver(Slow(), account="deploy", guard=guard).ask([OperatingSystem(), Service("X")])
        )
        for _ in range(8)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(timeout=BOUND)
    assert most == 2
