"""Changes go out in portions, canaries first, and stop when too much has gone wrong; sites take only so many at once."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from converge.errors import HostUnreachable
from converge.fleet.logins import LoginGuard
from converge.fleet.parallel import Fleet
from converge.fleet.rollout import FailureBudget, batches, strictest
from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Status
from converge.model.rollout import Rollout, Share, parse_batches

BOUND = 120.0  # seconds
HOSTS = [f"h{number:02}" for number in range(20)]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ("", [20]),
        ("5", [5, 5, 5, 5]),
        ("30%", [6, 6, 6, 2]),
        ("1,4,50%", [1, 4, 10, 5]),
        ("1%", [1] * 20),
        ("100", [20]),
    ],
)
def test_portions_hold_every_host_once_and_in_payload(sizes: str, expected: list[int]) -> None:
    portions = list(batches(HOSTS, parse_batches(sizes.split(",")) if sizes else ()))
    assert [len(portion) for portion in portions] == expected
    assert [host for portion in portions for host in portion] == HOSTS


def test_canaries_go_first_and_by_themselves() -> None:
    portions = list(batches(HOSTS, parse_batches([10]), first={"h07", "h03", "elsewhere"}))
    assert [len(portion) for portion in portions] == [2, 10, 8]
    assert portions[0] == ("h03", "h07")
    assert list(batches(["h01"], (), first={"h01"})) == [("h01",)]
    assert list(batches([], parse_batches([3]))) == []


@pytest.mark.parametrize("raw", ["", "0", "x", "-1", "101%", True, 1.5, "10 %%", None])
def test_what_is_no_batch_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="hosts"):
        parse_batches([raw])


def test_several_plays_are_satisfied_by_the_strictest() -> None:
    wishes = [
        Rollout(parse_batches([50, 100]), Share(10, percent=True), "canary1", 60.0),
        Rollout(parse_batches(["1%"]), Share(2), "canary2", 5.0),
        Rollout(),
    ]
    assert strictest(wishes) == Rollout(parse_batches(["1%"]), Share(2), "canary1,canary2", 60.0)


def test_failed_and_unreachable_count_together_and_both_are_told() -> None:
    budget = FailureBudget(Share(10, percent=True), hosts=20)
    for status in (Status.FAILED, Status.OK, Status.UNREACHABLE, Status.CHANGED, Status.SKIPPED):
        budget.count(HostResult("h", status))
    assert budget.spent is None
    budget.count(HostResult("h", Status.UNDECIDED))
    assert budget.spent is not None
    assert "2 failed and 1 unreachable" in budget.spent.why


def test_once_enough_went_wrong_no_further_host_is_begun_and_those_under_way_end() -> None:
    budget = FailureBudget(Share(1), hosts=len(HOSTS))
    results: list[HostResult] = []

    def work(host: str, _: StopToken) -> HostResult:
        time.sleep(0.02)
        if host in ("h02", "h03"):
            raise HostUnreachable("it is dead")
        return HostResult(host, Status.CHANGED)

    for result in Fleet(forks=2, enough=lambda: budget.spent).run(HOSTS, work):
        budget.count(result)
        results.append(result)
    by_status = Counter(result.status for result in results)
    assert sorted(result.host for result in results) == HOSTS
    assert by_status[Status.UNREACHABLE] == 2
    assert by_status[Status.CHANGED] <= 6
    assert by_status[Status.UNKNOWN] == 0
    skipped = [result for result in results if result.status is Status.SKIPPED]
    assert len(skipped) >= 12
    assert {result.error.code for result in skipped if result.error} == {"rollout-stopped"}


def test_a_site_takes_only_so_many_at_once_and_keeps_nobody_else_waiting() -> None:
    at_once: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock, near, went_on = threading.Lock(), threading.Barrier(4), threading.Event()

    def site_of(host: str) -> tuple[str, int]:
        return ("far", 2) if host < "h12" else ("near", 0)

    def work(host: str, _: StopToken) -> HostResult:
        site = site_of(host)[0]
        with lock:
            at_once[site] += 1
            most[site] = max(most[site], at_once[site])
        if site == "near":
            near.wait(BOUND)  # so many of them are under way at once, or it breaks
            went_on.set()
        else:
            assert went_on.wait(BOUND), "those of the full site keep the others waiting"
        with lock:
            at_once[site] -= 1
        return HostResult(host, Status.OK)

    results = list(Fleet(forks=10, site_of=site_of).run(HOSTS, work))
    assert sorted(result.host for result in results) == HOSTS
    assert {result.status for result in results} == {Status.OK}
    assert most["far"] == 2
    assert most["near"] >= 4


def test_hosts_of_a_full_site_are_told_too_when_the_run_is_stopped() -> None:
    stop = StopToken()

    def work(host: str, _: StopToken) -> HostResult:
        stop.ask()
        return HostResult(host, Status.OK)

    results = list(Fleet(forks=10, stop=stop, site_of=lambda _: ("far", 1)).run(HOSTS, work))
    assert sorted(result.host for result in results) == HOSTS
    assert sum(result.status is Status.SKIPPED for result in results) == 19


def test_only_so_many_logins_are_under_way_at_once() -> None:
    guard = LoginGuard(at_once=3)
    guard.attempt("corp\\deploy", lambda: None)  # the account is known to be good from here on
    at_once = most = 0
    lock = threading.Lock()

    def login() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1

    threads = [threading.Thread(target=guard.attempt, args=("corp\\deploy", login)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert most == 3
