"""The journal in the store: durable rows in a chain, one writer, and what earlier runs left open."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.conftest import Bookkeeper, Rows

from converge.errors import JournalUnavailable
from converge.model.journal import (
    ActionEnded,
    ActionIntended,
    ActionSettled,
    ChangeBegun,
    ChangeEnded,
    HandlerDone,
    HandlerPending,
    History,
    JournalEvent,
    NeedGone,
    NeedRemains,
    OpenAction,
    OpenNeed,
    OpenProcedure,
    OpenRestart,
    PendingHandler,
    ProcedureBegun,
    ProcedureEnded,
    RegistrySnapshot,
    RunBegun,
    RunEnded,
    ServicesStarted,
    ServicesStopped,
    StepBegun,
    StepEnded,
)
from converge.store.store import Store, Where

RUN_1, RUN_2, RUN_3 = "2026-11-20T100000Z-0001", "2026-11-20T110000Z-0002", "2026-11-20T120000Z-0003"
INTENDED = ActionIntended(1, 1, "service:SMTPSVC", {"action": "StartService", "name": "SMTPSVC"})
BEGUN = ChangeBegun(
    1, "service:SMTPSVC", "service", {"kind": "service", "name": "SMTPSVC"}, "SMTP runs", "smtp",
    {"state": "stopped"}, {"state": "running"}, "full", {"name": "SMTPSVC", "running": True},
)  # fmt: skip
ENDED = RunEnded("changed", "2026-11-20T10:00:01Z")


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


class TestWriting:
    def test_each_event_is_there_for_others_when_write_returns(self, books: Bookkeeper, rows: Rows) -> None:
        book = books.journal(RUN_1)
        book.write(RunBegun(RUN_1, "mail01", "2026-11-20T10:00:00Z", "0.1.0", ("playbooks/a.yml",)))
        book.write(INTENDED)
        found = rows("SELECT host, number, run, body FROM journal ORDER BY number")
        assert [row[:3] for row in found] == [("mail01", 1, RUN_1), ("mail01", 2, RUN_1)]
        body = json.loads(str(found[1][3]))
        assert body["event"]["event"] == "ActionIntended"
        assert body["event"]["action"] == {"action": "StartService", "name": "SMTPSVC"}

    def test_backups_are_private_files_one_beside_the_other(self, books: Bookkeeper, where: Where) -> None:
        book = books.journal(RUN_1)
        first, second = book.back_up(RegistrySnapshot(())), book.back_up(RegistrySnapshot((), windows_version="5.0"))
        assert Path(first) == where.folder / "runs" / RUN_1 / "mail01.reg"
        assert Path(second).name == "mail01-2.reg"
        assert Path(first).read_bytes() == b"0 keys"
        assert stat.S_IMODE(Path(first).stat().st_mode) == 0o600

    def test_a_backup_that_cannot_be_kept_is_told(self, books: Bookkeeper, where: Where) -> None:
        where.folder.mkdir(exist_ok=True)
        (where.folder / "runs").write_text("a file where the folder should be")
        with pytest.raises(JournalUnavailable, match="no registry backup can be kept"):
            books.journal(RUN_1).back_up(RegistrySnapshot(()))

    @pytest.mark.parametrize("host", ["a/b", "..", "é.example", "x" * 5000, "日本", "a'b\"c;--", "%41"])
    def test_any_host_name_keeps_its_own_journal(self, books: Bookkeeper, store: Store, host: str) -> None:
        books.record(RUN_1, INTENDED, host=host)
        assert len(store.history(host).actions) == 1
        assert store.history("mail01") == History()

    def test_text_of_any_kind_survives(self, books: Bookkeeper, store: Store) -> None:
        hostile = "\0\x1b \ud800 \U0001f600 é '\";-- \\u0000 \r\n"
        books.record(RUN_1, ActionIntended(1, 1, hostile, {"action": "SetRegistryValue", "data": hostile}))
        (action,) = store.history("mail01").actions
        assert (action.address, action.action["data"]) == (hostile, hostile)

    def test_a_large_event_survives(self, books: Bookkeeper, store: Store) -> None:
        books.record(RUN_1, ActionIntended(1, 1, "a:b", {"action": "X", "data": "ab" * 2_000_000}))
        assert len(store.history("mail01").actions[0].action["data"]) == 4_000_000

    def test_events_of_many_threads_are_one_chain(self, books: Bookkeeper, store: Store) -> None:
        book = books.journal(RUN_1)

        def write_ten(number: int) -> None:
            for i in range(10):
                book.write(ActionEnded(number * 10 + i, "done", text="x" * 500))

        threads = [threading.Thread(target=write_ten, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert store.verify("mail01") == 40

    def test_many_hosts_at_once(self, books: Bookkeeper, store: Store) -> None:
        def one(host: str) -> None:
            books.record(RUN_1, INTENDED, ActionEnded(1, "done"), ENDED, host=host)

        threads = [threading.Thread(target=one, args=(f"web{number:02}",)) for number in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert [store.verify(f"web{number:02}") for number in range(30)] == [3] * 30


class TestHistory:
    def test_nothing_is_open_where_there_was_no_run(self, store: Store) -> None:
        assert store.history("mail01") == History()
        assert store.still_open() == {}

    @pytest.mark.parametrize(
        ("first", "second", "left"),
        [
            ((INTENDED,), (), 1),
            ((INTENDED, ActionEnded(1, "unknown")), (), 1),
            ((INTENDED, ActionEnded(1, "done")), (), 0),
            ((INTENDED, ActionEnded(1, "refused")), (), 0),
            ((INTENDED,), (ActionSettled(RUN_1, 1, "done"),), 0),
            ((INTENDED,), (ActionSettled(RUN_1, 1, "not-done", "person"),), 0),
            ((INTENDED,), (ActionSettled(RUN_1, 1, "unknown"),), 1),
            ((INTENDED,), (ActionSettled(RUN_2, 1, "done"),), 1),
        ],
    )
    def test_an_action_is_open_until_somebody_knows(
        self, books: Bookkeeper, first: tuple[JournalEvent, ...], second: tuple[JournalEvent, ...], left: int
    ) -> None:
        books.record(RUN_1, *first, ENDED)
        books.record(RUN_2, *second, ENDED)
        expected = (OpenAction(RUN_1, 1, "service:SMTPSVC", INTENDED.action),)[:left]
        assert books.journal(RUN_3).history().actions == expected

    def test_a_run_is_not_its_own_past(self, books: Bookkeeper, store: Store) -> None:
        book = books.journal(RUN_1)
        book.write(INTENDED)
        assert book.history() == History()
        assert store.history("mail01").actions

    def test_pending_handlers_keep_the_last_notification_until_they_are_done(
        self, books: Bookkeeper, store: Store
    ) -> None:
        early, late = HandlerPending("smtp", "restart SMTP", "10:00"), HandlerPending("smtp", "restart SMTP", "10:05")
        books.record(RUN_1, early, late, HandlerPending("smtp", "other", "10:01"), ENDED)
        assert store.history("mail01").pending == (
            PendingHandler("smtp", "restart SMTP", "10:00", "10:05", (RUN_1,)),
            PendingHandler("smtp", "other", "10:01", "10:01", (RUN_1,)),
        )
        books.record(RUN_2, HandlerDone("smtp", "restart SMTP"), ENDED)
        assert [pending.handler for pending in store.history("mail01").pending] == ["other"]

    def test_a_handler_that_did_not_help_is_remembered_until_its_need_is_gone(
        self, books: Bookkeeper, store: Store
    ) -> None:
        books.record(RUN_1, NeedRemains("smtp", "restart SMTP", "2026-11-20T10:00:00+00:00"), ENDED)
        assert store.history("mail01").needs == (OpenNeed("smtp", "restart SMTP", "2026-11-20T10:00:00+00:00"),)
        books.record(RUN_2, NeedGone("smtp", "restart SMTP"), ENDED)
        assert store.history("mail01") == History()

    def test_services_stopped_by_a_broken_restart_are_remembered(self, books: Bookkeeper, store: Store) -> None:
        books.record(RUN_1, ServicesStopped("restart", "IISADMIN", ("W3SVC", "SMTPSVC")))
        assert store.history("mail01").restarts == (OpenRestart("restart", "IISADMIN", ("W3SVC", "SMTPSVC")),)
        books.record(RUN_2, ServicesStarted("restart", "IISADMIN"), ENDED)
        assert store.history("mail01") == History()

    def test_a_procedure_resumes_at_its_first_unfinished_step(self, books: Bookkeeper, store: Store) -> None:
        begun = ProcedureBegun("mail", "procedure:reinstall", ("remove", "install", "start"))
        remove, install = ("procedure:reinstall", "remove"), ("procedure:reinstall", "install")
        books.record(RUN_1, begun, StepBegun(*remove), StepEnded(*remove), StepBegun(*install))
        expected = OpenProcedure("mail", "procedure:reinstall", ("remove",), "install")
        assert store.history("mail01").procedures == (expected,)
        books.record(RUN_2, begun, StepBegun(*install), StepEnded(*install))
        resumed = OpenProcedure("mail", "procedure:reinstall", ("remove", "install"), None)
        assert store.history("mail01").procedures == (resumed,)
        books.record(RUN_3, ProcedureEnded("procedure:reinstall"), ENDED)
        assert store.history("mail01") == History()

    def test_every_host_with_something_open_is_found(self, books: Bookkeeper, store: Store) -> None:
        books.record(RUN_1, INTENDED, host="mail01")
        books.record(RUN_1, INTENDED, ActionEnded(1, "done"), host="mail02")
        books.record(RUN_1, ENDED, host="mail03")
        assert list(store.still_open()) == ["mail01"]

    def test_runs_that_ended_cost_nothing_to_read(self, books: Bookkeeper, store: Store, rows: Rows) -> None:
        books.record(RUN_1, *[event for _ in range(300) for event in (INTENDED, ActionEnded(1, "done"))], ENDED)
        assert rows("SELECT number, settled FROM journal_heads") == [(601, 601)]
        started = time.process_time()
        for _ in range(20):
            assert store.history("mail01") == History()
        assert time.process_time() - started < 3.0


class TestReadingBack:
    def test_a_change_with_its_actions(self, books: Bookkeeper, store: Store) -> None:
        second = ActionIntended(2, 1, "service:SMTPSVC", {"action": "Second"})
        third = ActionIntended(3, 1, "service:SMTPSVC", {"action": "Third"})
        books.record(
            RUN_1, BEGUN, INTENDED, ActionEnded(1, "done", "0", "fine"), second, ActionEnded(2, "refused", "5", "no"),
            third, ChangeEnded(1, "failed", None, "no"), ENDED,
        )  # fmt: skip
        (change,) = store.runs.changes(RUN_1, "mail01")
        assert (change.address, change.kind, change.name, change.play) == (
            "service:SMTPSVC", "service", "SMTP runs", "smtp",
        )  # fmt: skip
        assert (change.before, change.after) == ({"state": "stopped"}, {"state": "running"})
        assert change.declared == {"name": "SMTPSVC", "running": True}
        assert (change.status, change.text, change.readable) == ("failed", "no", True)
        assert [(action.number, action.outcome, action.text) for action in change.actions] == [
            (1, "done", "fine"), (2, "refused", "no"), (3, "unknown", ""),
        ]  # fmt: skip

    def test_what_a_later_run_learnt_of_it(self, books: Bookkeeper, store: Store) -> None:
        books.record(RUN_1, BEGUN, INTENDED)
        (change,) = store.runs.changes(RUN_1, "mail01")
        assert (change.status, change.actions[0].outcome) == (None, "unknown")
        books.record(RUN_2, ActionSettled(RUN_1, 1, "not-done"), ENDED)
        (change,) = store.runs.changes(RUN_1, "mail01")
        assert change.actions[0].outcome == "not-done"
        assert store.runs.changes(RUN_2, "mail01") == ()

    def test_the_hosts_of_a_run(self, books: Bookkeeper, store: Store) -> None:
        books.record(RUN_1, BEGUN, host="b")
        books.record(RUN_1, BEGUN, host="a")
        books.record(RUN_2, BEGUN, host="c")
        assert store.runs.journaled_hosts(RUN_1) == ("a", "b")


def test_looking_at_a_journal_needs_no_lease(books: Bookkeeper, where: Where) -> None:
    book = books.journal(RUN_1)
    book.write(INTENDED)
    with Store.open(where) as other:
        assert len(other.history("mail01").actions) == 1
