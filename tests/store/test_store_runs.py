"""Records of runs: written in few rows, listed newest first, forgotten when old and nothing is open."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event
from tests.store.conftest import Bookkeeper, Rows

from converge.model.change import Change, HostResult, Problem, Status
from converge.model.journal import ActionEnded, ActionIntended, HandlerDone, HandlerPending, RunEnded
from converge.model.places import KnownPlaces, Place
from converge.model.query import RegistrySearch
from converge.model.registry import Hive, RegistryPath
from converge.store.host_state import state_digest
from converge.store.store import Store, Where

INTENDED = ActionIntended(1, 1, "service:SMTPSVC", {"action": "StartService"})
ENDED = RunEnded("changed", "")


def change(status: Status = Status.OK, data: object = 1, **more: object) -> Change:
    return Change("service:SMTPSVC", {"name": "SMTPSVC"}, "SMTP", "smtp", status, before=data, after=data, **more)  # type: ignore[arg-type]  # any field


def result(host: str, status: Status = Status.OK, *changes: Change, error: Problem | None = None) -> HostResult:
    return HostResult(host, status, changes or (change(),), seconds=0.5, error=error)


def run(store: Store, name: str, results: Sequence[HostResult], *, code: int = 0) -> None:
    recording = store.runs.begin(name, mode="check", playbooks=["a.yml"], user="me@here", version="0.1.0")
    for each in results:
        recording.host(each)
    recording.end(code)


class TestRecords:
    def test_a_run_from_its_beginning_to_its_end(self, store: Store) -> None:
        recording = store.runs.begin("r1", mode="run", playbooks=["a.yml", "b.yml"], user="me@here", version="0.1.0")
        begun = store.runs.get("r1")
        assert begun is not None
        assert (begun.mode, begun.playbooks, begun.user, begun.ended, begun.exit_code) == (
            "run", ("a.yml", "b.yml"), "me@here", None, None,
        )  # fmt: skip
        recording.host(result("a", Status.CHANGED, change(Status.CHANGED, reason="why")))
        recording.host(result("b", Status.FAILED, error=Problem("code", "what", "why", "try")))
        recording.end(3)
        ended = store.runs.get("r1")
        assert ended is not None
        assert (ended.exit_code, dict(ended.hosts)) == (3, {"changed": 1, "failed": 1})
        assert ended.ended is not None
        first, second = store.runs.hosts("r1")
        assert (first.host, first.status, first.seconds) == ("a", "changed", 0.5)
        assert first.resources[0]["address"] == "service:SMTPSVC"
        assert second.error == {"code": "code", "what": "what", "why": "why", "try": "try"}

    def test_newest_first(self, store: Store) -> None:
        for number in range(450):
            store.runs.begin(f"r{number:03}", mode="check", playbooks=[], user="", version="")
        names = [record.run for record in store.runs.newest_first()]
        assert names == [f"r{number:03}" for number in reversed(range(450))]
        assert [record.run for record in store.runs.newest_first(limit=2)] == ["r449", "r448"]
        assert store.runs.get("r9999") is None


class TestHostState:
    def test_a_host_that_is_as_it_was_costs_one_row(self, store: Store, rows: Rows) -> None:
        run(store, "r1", [result("a"), result("b")])
        run(store, "r2", [result("a"), result("b", Status.OK, change(data=2))])
        assert rows("SELECT run, host FROM host_results ORDER BY run, host") == [("r1", "a"), ("r1", "b"), ("r2", "b")]
        assert rows("SELECT host, run FROM host_state ORDER BY host") == [("a", "r2"), ("b", "r2")]
        assert store.runs.hosts_unchanged("r2") == 1

    def test_a_host_that_was_not_seen_keeps_its_state(self, store: Store, rows: Rows) -> None:
        run(store, "r1", [result("a")])
        declined = Problem("declined", "not wanted")
        run(store, "r2", [HostResult("a", Status.UNREACHABLE, error=declined)])
        run(store, "r3", [HostResult("a", Status.HELD, error=declined)])
        run(store, "r4", [HostResult("a", Status.SKIPPED, error=declined)])
        assert rows("SELECT host, run, status FROM host_state") == [("a", "r1", "ok")]
        assert [record.status for name in ("r2", "r3") for record in store.runs.hosts(name)] == ["unreachable", "held"]

    def test_the_digest_tells_states_apart_and_not_digests_of_secrets(self) -> None:
        assert state_digest(result("a")) == state_digest(result("b"))
        assert state_digest(result("a")) != state_digest(result("a", Status.OK, change(data=2)))
        assert state_digest(result("a")) != state_digest(result("a", Status.OK, change(Status.SKIPPED)))
        one, other = change(data={"sensitive": "1"}), change(data={"sensitive": "2"})
        assert state_digest(result("a", Status.OK, one)) == state_digest(result("a", Status.OK, other))

    def test_a_thousand_hosts_in_order_take_no_time(self, store: Store, rows: Rows) -> None:
        hosts = [
            result(f"web{number:04}", Status.OK, *[change(data=item) for item in range(20)]) for number in range(1000)
        ]
        run(store, "r1", hosts)
        started = time.process_time()
        run(store, "r2", hosts)
        for each in hosts:
            store.history(each.host)
        assert time.process_time() - started < 5.0  # under load; about one second alone
        assert rows("SELECT count(*) FROM host_results WHERE run = 'r2'") == [(0,)]

    def test_an_unchanged_host_costs_one_row_of_one_statement(self, store: Store, rows: Rows) -> None:
        hosts = [result(f"web{number:03}", Status.OK) for number in range(100)]
        run(store, "r1", hosts)
        before = rows("SELECT count(*) FROM host_results")
        statements: list[tuple[str, int]] = []

        def seen(
            _connection: object, _cursor: object, statement: str, given: object, _context: object, many: bool
        ) -> None:
            statements.append((statement.split(" (")[0], len(given) if many else 1))  # type: ignore[arg-type]  # rows

        event.listen(store._database._engine, "before_cursor_execute", seen)
        run(store, "r2", hosts)
        event.remove(store._database._engine, "before_cursor_execute", seen)
        written = [
            (tuple(what.split()[:3]), many) for what, many in statements if what.startswith(("INSERT", "UPDATE"))
        ]
        assert written == [
            (("INSERT", "INTO", "runs"), 1), (("INSERT", "INTO", "host_state"), 100), (("UPDATE", "runs", "SET"), 1),
        ]  # fmt: skip
        assert rows("SELECT count(*) FROM host_results") == before


class TestForgetting:
    def test_all_but_the_newest(self, store: Store, books: Bookkeeper) -> None:
        for number in range(5):
            run(store, f"r{number}", [result("mail01", Status.CHANGED)])
            books.record(f"r{number}", INTENDED, ActionEnded(1, "done"), ENDED)
        assert store.runs.keep_newest(2) == 3
        assert [record.run for record in store.runs.newest_first()] == ["r4", "r3"]
        assert store.runs.changes("r1", "mail01") == ()
        assert list(store.runs.hosts("r1")) == []
        assert store.verify("mail01") == 6
        books.record("r5", INTENDED, ActionEnded(1, "done"), ENDED)
        assert store.verify("mail01") == 9
        assert store.runs.keep_newest(0) == 2

    def test_never_a_run_that_left_something_open(self, store: Store, books: Bookkeeper, rows: Rows) -> None:
        for name in ("r1", "r2", "r3", "r4"):
            run(store, name, [])
        books.record("r1", ENDED)
        books.record("r2", HandlerPending("play", "restart", ""), ENDED)
        books.record("r3", ENDED, host="other")
        pending = store.history("mail01")
        assert store.runs.keep_newest(0) == 3
        assert [record.run for record in store.runs.newest_first()] == ["r2"]
        assert store.history("mail01") == pending
        assert store.verify("mail01") == 2
        books.record("r5", HandlerDone("play", "restart"), ENDED)
        assert store.runs.keep_newest(0) == 1
        assert store.verify("mail01") == 2
        assert rows("SELECT host, first, last FROM journal_gaps ORDER BY host") == [("mail01", 1, 3), ("other", 1, 1)]

    def test_never_a_run_that_goes_on(self, store: Store, books: Bookkeeper) -> None:
        run(store, "r1", [])
        with store.leases.acquire("mail01", run="r1"):
            assert store.runs.keep_newest(0) == 0
        assert store.runs.keep_newest(0) == 1

    def test_by_age(self, store: Store, rows: Rows) -> None:
        for days in (1, 10, 100):
            name = f"r{100 - days:03}"
            run(store, name, [])
            moment = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
            rows("UPDATE runs SET started = :moment WHERE run = :name", moment=moment, name=name)
        assert store.runs.prune_older_than(datetime.now(UTC) - timedelta(days=30)) == 1
        assert [record.run for record in store.runs.newest_first()] == ["r099", "r090"]

    def test_a_gap_does_not_hide_what_is_lost_beside_it(self, store: Store, books: Bookkeeper, rows: Rows) -> None:
        for number in range(3):
            run(store, f"r{number}", [])
            books.record(f"r{number}", INTENDED, ActionEnded(1, "done"), ENDED)
        store.runs.keep_newest(2)
        rows("DELETE FROM journal WHERE number = 4")
        with pytest.raises(Exception, match="row 4 is missing"):
            store.verify("mail01")


class TestPlaces:
    SEARCH = RegistrySearch((RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Classes"),), ("Seo.dll", "Seos.dll"))

    def test_what_a_search_found_is_known_to_the_next(self, where: Where, store: Store) -> None:
        key = RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Classes\CLSID\{é}\InprocServer32")
        found = KnownPlaces((Place(key, ""), Place(key, "\0\ud800")), (key,), datetime(2026, 11, 20, tzinfo=UTC))
        assert store.places.known("mail01", self.SEARCH) is None
        store.places.remember("mail01", self.SEARCH, found=found)
        with Store.open(where) as later:
            assert later.places.known("mail01", self.SEARCH) == found
        same = RegistrySearch((RegistryPath(Hive.LOCAL_MACHINE, r"software\CLASSES"),), ("SEOS.DLL", "seo.dll"))
        assert store.places.known("mail01", same) == found
        assert store.places.known("mail02", self.SEARCH) is None
        fewer = KnownPlaces((), (), datetime(2026, 11, 21, tzinfo=UTC))
        store.places.remember("mail01", self.SEARCH, found=fewer)
        assert store.places.known("mail01", same) == fewer


class TestPlans:
    def test_a_plan_is_claimed_once_per_host(self, where: Where, store: Store) -> None:
        assert store.plans.claim("plan", host="a", run="r1") == "r1"
        assert store.plans.claim("plan", host="a", run="r2") == "r1"
        assert store.plans.claim("plan", host="b", run="r2") == "r2"
        assert store.plans.claim("other", host="a", run="r2") == "r2"
        assert store.plans.applied("plan") == {"a": "r1", "b": "r2"}

    def test_the_signing_key_is_the_stores(self, where: Where, store: Store) -> None:
        with Store.open(where) as other:
            assert other.signing_key == store.signing_key
        assert len(store.signing_key) == 32
