"""The store asked as a whole: hosts as they are known now, one host's past, a run's hosts by the page, and whether it changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.store.conftest import Bookkeeper
from tests.store.test_store_runs import INTENDED, change, result, run

from converge.errors import JournalUnavailable
from converge.model.change import HostResult, Problem, Status
from converge.store.store import Store, Where

DOWN = Problem("unreachable", "no answer")


def test_a_host_is_as_the_last_run_that_spoke_of_it_left_it(store: Store) -> None:
    run(store, "r1", [result("a"), result("b", Status.CHANGED), result("c")])
    run(store, "r2", [HostResult("a", Status.UNREACHABLE, error=DOWN), HostResult("d", Status.UNREACHABLE, error=DOWN)])
    run(store, "r3", [result("c")])
    found = {each.host: each for each in store.overview.hosts()}
    assert {host: (each.status, each.run, each.seen is None) for host, each in found.items()} == {
        "a": ("unreachable", "r2", False),
        "b": ("changed", "r1", False),
        "c": ("ok", "r3", False),
        "d": ("unreachable", "r2", True),
    }
    assert found["c"].result is None
    assert found["a"].result is not None
    assert "no answer" in found["a"].result.error


def test_small_states_are_kept_with_a_result_and_large_ones_are_not(store: Store) -> None:
    large = replace(change(Status.CHANGED, "x" * 5000), address="service:large")
    failed = replace(change(Status.FAILED), address="service:failed", error=Problem("code", "what", "why", "try"))
    run(store, "r1", [HostResult("a", Status.CHANGED, (change(Status.CHANGED, "small"), large, failed))])
    record = store.overview.result("r1", "a")
    assert record is not None
    small, too_large, told = record.resources
    assert small["after"] == "small"
    assert "after" not in too_large
    assert too_large["states_too_large"] is True
    assert told["error"]["what"] == "what"


def test_one_hosts_story_by_the_page(store: Store, books: Bookkeeper) -> None:
    for number in range(5):
        run(store, f"r{number}", [result("a", Status.CHANGED), result("b")])
    store.runs.begin("r5", mode="run", playbooks=[], user="", version="")
    books.record("r5", INTENDED)
    told = store.overview.story("mail01", limit=10)
    assert [(each.run, each.result, each.journaled) for each in told] == [("r5", None, True)]
    assert store.overview.without_result("r5", limit=5) == ["mail01"]
    assert store.overview.without_result("r4", limit=5) == []
    first = store.overview.story("a", limit=3)
    assert [each.run for each in first] == ["r4", "r3", "r2"]
    assert [each.run for each in store.overview.story("a", limit=3, before="r2")] == ["r1", "r0"]
    assert store.overview.story("nobody", limit=3) == []


def test_a_runs_hosts_by_the_page_and_so_far(store: Store) -> None:
    run(store, "r1", [result(f"web{number:02}", Status.CHANGED) for number in range(10)] + [result("50%_ok")])
    count, page = store.overview.results("r1", offset=4, limit=3, status="changed")
    assert (count, [each.host for each in page]) == (10, ["web04", "web05", "web06"])
    _, page = store.overview.results("r1", offset=0, limit=2, first=("failed", "changed", "ok"))
    assert [each.host for each in page] == ["web00", "web01"]
    assert store.overview.results("r1", offset=0, limit=10, text="%_O")[0] == 1
    assert store.overview.results("r1", offset=0, limit=10, text="%")[0] == 1
    begun = store.runs.begin("r2", mode="check", playbooks=["a.yml", 'b"%.yml'], user="", version="")
    begun.host(result("50%_ok"))
    begun.host(result("web00", Status.CHANGED))
    begun.flush()
    assert store.overview.progress("r2") == {"ok": 1, "changed": 1}
    assert store.overview.last_heard("r2") is not None
    assert [each.run for each in store.overview.runs(limit=5, playbook='b"%.yml')] == ["r2"]
    assert [each.run for each in store.overview.runs(limit=5, before="r2")] == ["r1"]
    assert store.overview.runs(limit=5, modes=["enforce"]) == []
    assert 'b"%.yml' in store.overview.playbooks(newest=5)


def test_whatever_is_written_changes_the_version_and_nothing_else_does(where: Where) -> None:
    with Store.open(where) as writer, Store.open(replace(where, read_only=True)) as reader:
        before = reader.overview.version()
        assert reader.overview.version() == before
        recording = writer.runs.begin("r1", mode="check", playbooks=[], user="", version="")
        begun = reader.overview.version()
        assert begun != before
        assert reader.overview.version() == begun
        recording.end(0)
        assert reader.overview.version() != begun


def test_a_store_opened_to_be_read_cannot_be_written(where: Where) -> None:
    Store.open(where).close()
    with Store.open(replace(where, read_only=True)) as reader, pytest.raises(JournalUnavailable):
        reader.runs.begin("r1", mode="check", playbooks=[], user="", version="")
