"""Many hosts at once: every host has one true result, whatever happens to it or to the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from converge.errors import ConvergeError, HostUnreachable, JournalUnavailable, LoginRefused, Undecided
from converge.fleet.parallel import Fleet
from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Status

BOUND = 120.0  # seconds


def ok(host: str, _stop: StopToken) -> HostResult:
    return HostResult(host, Status.OK)


def names(count: int) -> list[str]:
    return [f"web{number:05}" for number in range(count)]


class TestResults:
    @pytest.mark.parametrize("forks", [1, 2, 7, 50])
    def test_every_host_has_exactly_one_result(self, forks: int) -> None:
        seen = [result.host for result in Fleet(forks=forks).run(names(300), ok)]
        assert sorted(seen) == names(300)

    def test_no_hosts_is_no_work(self) -> None:
        assert not list(Fleet().run([], ok))

    def test_hosts_are_begun_in_payload(self) -> None:
        begun: list[str] = []

        def work(host: str, stop: StopToken) -> HostResult:
            begun.append(host)
            return ok(host, stop)

        list(Fleet(forks=1).run(names(50), work))
        assert begun == names(50)

    def test_never_more_than_forks_at_once_and_as_many_where_there_is_work(self) -> None:
        lock, under_way, most = threading.Lock(), 0, 0
        eight = threading.Barrier(8)

        def work(host: str, stop: StopToken) -> HostResult:
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            eight.wait(BOUND)  # so many are under way at once, or it breaks
            with lock:
                under_way -= 1
            return ok(host, stop)

        list(Fleet(forks=8).run(names(64), work))
        assert most == 8

    def test_a_result_is_handed_on_while_others_are_still_under_way(self) -> None:
        release = threading.Event()
        seen: list[str] = []

        def work(host: str, stop: StopToken) -> HostResult:
            if host == "slow":
                assert release.wait(BOUND)
            return ok(host, stop)

        for result in Fleet(forks=2).run(["slow", "fast"], work):
            seen.append(result.host)
            release.set()
        assert seen == ["fast", "slow"]

    def test_hosts_are_taken_only_as_they_are_begun(self) -> None:
        """Memory stays flat: neither the hosts nor their results pile up behind a slow reader."""
        taken = 0
        ahead: list[int] = []

        def hosts() -> Iterator[str]:
            nonlocal taken
            for name in names(500):
                taken += 1
                yield name

        reported = 0

        for _ in Fleet(forks=4).run(hosts(), ok):
            reported += 1
            ahead.append(taken - reported)

        assert reported == 500
        assert max(ahead) <= 3 * 4


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (HostUnreachable("no answer"), Status.UNREACHABLE, "unreachable"),
            (LoginRefused("wrong password"), Status.UNREACHABLE, "login-refused"),
            (Undecided("refused"), Status.UNDECIDED, "undecided"),
            (ConvergeError("odd"), Status.FAILED, "error"),
            (JournalUnavailable("disk full"), Status.FAILED, "journal-unavailable"),
            (JournalUnavailable("another run", code="held"), Status.HELD, "held"),
            (ZeroDivisionError("1/0"), Status.FAILED, "internal"),
            (SystemExit(3), Status.FAILED, "internal"),
        ],
    )
    def test_an_error_is_that_hosts_result_and_nobody_elses(
        self, error: BaseException, status: Status, code: str
    ) -> None:
        def work(host: str, stop: StopToken) -> HostResult:
            if host == "web00003":
                raise error
            return ok(host, stop)

        seen = {result.host: result for result in Fleet(forks=3).run(names(9), work)}
        broken = seen.pop("web00003")
        assert broken.status is status
        assert broken.error is not None
        assert broken.error.code == code
        assert {result.status for result in seen.values()} == {Status.OK}
        assert len(seen) == 8

    def test_a_broken_reader_ends_the_run(self) -> None:
        begun: list[str] = []

        def work(host: str, stop: StopToken) -> HostResult:
            begun.append(host)
            return ok(host, stop)

        for _ in Fleet(forks=2).run(names(1000), work):
            break
        time.sleep(0.2)
        assert len(begun) < 100


class TestStopping:
    def test_no_further_host_is_begun_and_those_under_way_stop_at_their_boundary(self) -> None:
        stop = StopToken()

        def work(host: str, token: StopToken) -> HostResult:
            stop.ask()
            assert token.wait(BOUND)
            return HostResult(host, Status.FAILED)

        seen = {result.host: result for result in Fleet(forks=2, stop=stop).run(names(5), work)}
        assert sorted(seen) == names(5)
        begun = [result for result in seen.values() if result.status is Status.FAILED]
        assert 1 <= len(begun) <= 2
        for result in seen.values():
            if result not in begun:
                assert result.status is Status.SKIPPED
                assert result.error is not None
                assert result.error.code == "stopped"

    @pytest.mark.parametrize("abandoned", [Status.UNKNOWN, Status.UNDECIDED])
    def test_a_run_ends_though_hosts_hang(self, abandoned: Status) -> None:
        stop, hang, hanging = StopToken(), threading.Event(), threading.Semaphore(0)

        def work(host: str, token: StopToken) -> HostResult:
            if host != "web00000":
                hanging.release()
                hang.wait()
            return ok(host, token)

        def ask() -> None:
            for _ in range(3):
                hanging.acquire()
            stop.ask()

        threading.Thread(target=ask).start()
        fleet = Fleet(forks=3, stop=stop, recount=lambda host, why: HostResult(host, abandoned, error=why))
        seen = {result.host: result for result in fleet.run(names(6), work)}
        hang.set()
        assert sorted(seen) == names(6)
        statuses = [seen[name].status for name in names(6)]
        assert statuses.count(Status.OK) == 1
        assert statuses.count(abandoned) == 3
        assert statuses.count(Status.SKIPPED) == 2

    def test_asked_twice_it_ends_at_once(self) -> None:
        stop, hang, hanging = StopToken(), threading.Event(), threading.Semaphore(0)

        def work(host: str, token: StopToken) -> HostResult:
            hanging.release()
            hang.wait()
            return ok(host, token)

        def ask_twice() -> None:
            for _ in range(2):
                hanging.acquire()
            stop.ask()
            stop.ask()

        threading.Thread(target=ask_twice).start()
        fleet = Fleet(forks=2, stop=stop, grace=10_000)
        seen = [result.status for result in fleet.run(names(2), work)]
        hang.set()
        assert seen == [Status.UNKNOWN, Status.UNKNOWN]
