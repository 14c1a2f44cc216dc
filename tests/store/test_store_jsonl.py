"""The journal on disk: durable lines, private files, and what earlier runs left open."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converge.errors import JournalUnavailable
from converge.model.journal import (
    ActionEnded,
    ActionIntended,
    ActionSettled,
    HandlerOwed,
    HandlerPaid,
    History,
    JournalEvent,
    OpenAction,
    OpenProcedure,
    OpenRestart,
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
from converge.store.jsonl import JsonLinesJournal, read_history
from converge.store.names import file_name, host_name, new_run_id

RUN_1, RUN_2, RUN_3 = "2026-11-20T100000Z-0001", "2026-11-20T110000Z-0002", "2026-11-20T120000Z-0003"
INTENDED = ActionIntended(1, 1, "service:SMTPSVC", {"action": "StartService", "name": "SMTPSVC"})
ENDED = RunEnded("changed", "2026-11-20T10:00:01Z")


def render(snapshot: RegistrySnapshot) -> bytes:
    return f"{len(snapshot.keys)} keys".encode()


def journal(folder: Path, run: str, host: str = "mail01") -> JsonLinesJournal:
    return JsonLinesJournal(folder, run=run, host=host, render=render)


def record(folder: Path, run: str, *events: JournalEvent, host: str = "mail01") -> None:
    """One run's journal; without RunEnded among the events it is a run that crashed."""
    book = journal(folder, run, host)
    for event in events:
        book.write(event)
    book.close()


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


class TestWriting:
    def test_each_event_is_a_line_that_is_there_when_write_returns(self, tmp_path: Path) -> None:
        book = journal(tmp_path, RUN_1)
        book.write(RunBegun(RUN_1, "mail01", "2026-11-20T10:00:00Z", "0.1.0", ("playbooks/a.yml",)))
        book.write(INTENDED)
        lines = (tmp_path / "runs" / RUN_1 / "mail01.jsonl").read_text("ascii").splitlines()
        assert [json.loads(line)["event"] for line in lines] == ["RunBegun", "ActionIntended"]
        assert json.loads(lines[1])["action"] == {"action": "StartService", "name": "SMTPSVC"}

    def test_every_line_is_synced_to_the_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        synced: list[str] = []
        real = os.fsync

        def watch(descriptor: int) -> None:
            synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", watch)
        book = journal(tmp_path, RUN_1)
        book.write(INTENDED)
        assert synced[-1] == str(book.path)
        assert str(book.path.parent) in synced, "the name of a new file is lost with its folder"
        assert str(book.path.parent.parent) in synced
        count = len(synced)
        book.write(ENDED)
        assert synced[count] == str(book.path)

    def test_only_the_owner_can_read(self, tmp_path: Path) -> None:
        book = journal(tmp_path / "made", RUN_1)
        book.write(INTENDED)
        backup = book.back_up(RegistrySnapshot(()))
        for path in (book.path, Path(backup)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700

    def test_a_folder_that_cannot_be_made_stops_before_anything_is_done(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        book = journal(tmp_path / "file", RUN_1)
        with pytest.raises(JournalUnavailable, match=r"cannot be used"):
            book.write(INTENDED)
        with pytest.raises(JournalUnavailable):
            book.back_up(RegistrySnapshot(()))

    def test_a_full_disk_is_told_and_leaves_no_torn_line_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        book = journal(tmp_path, RUN_1)
        book.write(INTENDED)
        real = os.write
        with monkeypatch.context() as patch:

            def full(descriptor: int, data: memoryview) -> int:
                if len(data) > 5:
                    return real(descriptor, data[:5])
                raise OSError(errno.ENOSPC, "No space left on device")

            patch.setattr(os, "write", lambda d, data: full(d, data) if len(data) < 40 else real(d, data[:-20]))
            with pytest.raises(JournalUnavailable, match="No space left"):
                book.write(ActionEnded(1, "done"))
        book.write(ActionEnded(1, "done"))
        lines = book.path.read_text().splitlines()
        assert [json.loads(line)["event"] for line in lines] == ["ActionIntended", "ActionEnded"]

    def test_backups_are_kept_one_beside_the_other(self, tmp_path: Path) -> None:
        book = journal(tmp_path, RUN_1)
        first, second = book.back_up(RegistrySnapshot(())), book.back_up(RegistrySnapshot((), windows_version="5.0"))
        assert Path(first).name == "mail01.reg"
        assert Path(second).name == "mail01-2.reg"
        assert Path(first).read_bytes() == b"0 keys"

    def test_two_runs_never_write_about_one_host_at_once(self, tmp_path: Path) -> None:
        first = journal(tmp_path, RUN_1)
        first.write(INTENDED)
        with pytest.raises(JournalUnavailable, match="another run") as refused:
            journal(tmp_path, RUN_2).write(INTENDED)
        assert refused.value.code == "held"
        journal(tmp_path, RUN_2, "mail02").write(INTENDED)
        first.write(ENDED)
        journal(tmp_path, RUN_2).write(INTENDED)


class TestHistory:
    def test_nothing_is_open_where_there_was_no_run(self, tmp_path: Path) -> None:
        assert journal(tmp_path / "none", RUN_1).history() == History()
        assert not (tmp_path / "none").exists(), "looking leaves no trace"

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
        self, tmp_path: Path, first: tuple[JournalEvent, ...], second: tuple[JournalEvent, ...], left: int
    ) -> None:
        record(tmp_path, RUN_1, *first, ENDED)
        record(tmp_path, RUN_2, *second, ENDED)
        expected = (OpenAction(RUN_1, 1, "service:SMTPSVC", INTENDED.action),)[:left]
        assert journal(tmp_path, RUN_3).history().actions == expected

    def test_a_run_is_not_its_own_past(self, tmp_path: Path) -> None:
        book = journal(tmp_path, RUN_1)
        book.write(INTENDED)
        assert book.history() == History()
        assert read_history(tmp_path, host="mail01").actions

    def test_owed_handlers_keep_the_last_notification_until_they_are_paid(self, tmp_path: Path) -> None:
        early, late = HandlerOwed("smtp", "restart SMTP", "10:00"), HandlerOwed("smtp", "restart SMTP", "10:05")
        record(tmp_path, RUN_1, early, late, HandlerOwed("smtp", "other", "10:01"), ENDED)
        assert journal(tmp_path, RUN_2).history().owed == (late, HandlerOwed("smtp", "other", "10:01"))
        record(tmp_path, RUN_2, HandlerPaid("smtp", "restart SMTP"), ENDED)
        assert [owed.handler for owed in journal(tmp_path, RUN_3).history().owed] == ["other"]

    def test_services_stopped_by_a_broken_restart_are_remembered(self, tmp_path: Path) -> None:
        record(tmp_path, RUN_1, ServicesStopped("restart", "IISADMIN", ("W3SVC", "SMTPSVC")))
        assert journal(tmp_path, RUN_2).history().restarts == (
            OpenRestart("restart", "IISADMIN", ("W3SVC", "SMTPSVC")),
        )
        record(tmp_path, RUN_2, ServicesStarted("restart", "IISADMIN"), ENDED)
        assert journal(tmp_path, RUN_3).history() == History()

    def test_a_procedure_resumes_at_its_first_unfinished_step(self, tmp_path: Path) -> None:
        begun = ProcedureBegun("mail", "procedure:reinstall", ("remove", "install", "start"))
        remove, install = ("procedure:reinstall", "remove"), ("procedure:reinstall", "install")
        record(tmp_path, RUN_1, begun, StepBegun(*remove), StepEnded(*remove), StepBegun(*install))
        expected = OpenProcedure("mail", "procedure:reinstall", ("remove",), "install")
        assert journal(tmp_path, RUN_2).history().procedures == (expected,)
        record(tmp_path, RUN_2, begun, StepBegun(*install), StepEnded(*install))
        resumed = OpenProcedure("mail", "procedure:reinstall", ("remove", "install"), None)
        assert journal(tmp_path, RUN_3).history().procedures == (resumed,)
        record(tmp_path, RUN_3, ProcedureEnded("procedure:reinstall"), ENDED)
        assert read_history(tmp_path, host="mail01") == History()

    def test_hosts_do_not_see_each_others_past(self, tmp_path: Path) -> None:
        record(tmp_path, RUN_1, INTENDED, host="mail01")
        assert journal(tmp_path, RUN_2, "mail02").history() == History()

    def test_a_torn_last_line_is_left_out(self, tmp_path: Path) -> None:
        record(tmp_path, RUN_1, INTENDED)
        path = journal(tmp_path, RUN_1).path
        with path.open("ab") as file:
            file.write(b'{"event":"ActionEnded","action_number":1,"resu')
        assert len(journal(tmp_path, RUN_2).history().actions) == 1

    @pytest.mark.parametrize("damage", [b"\x00\x00\n", b"[]\n", b'{"event":"ActionEnded"}\n', b"{}\n", b"\xff\n"])
    def test_a_damaged_line_is_never_passed_over(self, tmp_path: Path, damage: bytes) -> None:
        record(tmp_path, RUN_1, INTENDED)
        path = journal(tmp_path, RUN_1).path
        path.write_bytes(path.read_bytes() + damage + b"{}\n")
        with pytest.raises(JournalUnavailable, match=r"line 2 of .*mail01\.jsonl is damaged"):
            journal(tmp_path, RUN_2).history()

    def test_the_journals_alone_tell_the_past(self, tmp_path: Path) -> None:
        record(tmp_path, RUN_1, INTENDED)
        for mark in (tmp_path / "open" / "mail01").iterdir():
            mark.unlink()
        (tmp_path / "open" / "mail01").rmdir()
        record(tmp_path, RUN_2, ENDED)
        assert len(journal(tmp_path, RUN_3).history().actions) == 1

    def test_ended_runs_cost_nothing(self, tmp_path: Path) -> None:
        record(tmp_path, RUN_1, INTENDED)
        for number in range(200):
            record(tmp_path, f"2026-11-21T{number:06}Z-0000", RunBegun("", "mail01", "", "", ()), ENDED)
        last = "2026-11-22T000000Z-0000"
        assert sorted(mark.name for mark in (tmp_path / "open" / "mail01").iterdir()) == [".lock", RUN_1]
        started = time.monotonic()
        assert len(journal(tmp_path, last).history().actions) == 1
        assert time.monotonic() - started < 0.1

    def test_a_run_that_only_settles_is_kept_as_long_as_it_matters(self, tmp_path: Path) -> None:
        record(tmp_path, RUN_1, INTENDED, HandlerOwed("smtp", "restart", "10:00"))
        record(tmp_path, RUN_2, ActionSettled(RUN_1, 1, "done"), ENDED)
        history = journal(tmp_path, RUN_3).history()
        assert not history.actions
        assert [owed.handler for owed in history.owed] == ["restart"]


class TestNames:
    def test_run_ids_sort_by_time_and_differ(self) -> None:
        moment = datetime(2026, 11, 20, 22, 1, 7, tzinfo=UTC)
        assert re.fullmatch(r"2026-11-20T220107Z-[0-9a-f]{4}", new_run_id(moment))
        assert len({new_run_id(moment) for _ in range(50)}) > 40

    @pytest.mark.parametrize(
        "host", ["mail01", "a/b", "..", ".", ".lock", "", "é.example", "a~b", "x" * 5000, "a\0b", "%41"]
    )
    def test_a_journal_stays_in_its_folder(self, tmp_path: Path, host: str) -> None:
        record(tmp_path, RUN_1, INTENDED, host=host)
        assert len(list((tmp_path / "runs" / RUN_1).iterdir())) == 1
        assert journal(tmp_path, RUN_2, host).history().actions

    @given(st.text(max_size=60))
    def test_a_file_name_reads_back_as_the_host(self, host: str) -> None:
        name = file_name(host)
        assert "/" not in name
        assert name not in ("", ".", "..")
        if "~" not in name:
            assert host_name(name) == host

    def test_long_names_differ(self) -> None:
        assert file_name("x" * 5000) != file_name("x" * 5001)
        assert len(file_name("é" * 5000)) <= 200


def test_events_of_many_threads_are_whole_lines(tmp_path: Path) -> None:
    book = journal(tmp_path, RUN_1)

    def write_ten(number: int) -> None:
        for i in range(10):
            book.write(ActionEnded(number * 10 + i, "done", text="x" * 500))

    threads = [threading.Thread(target=write_ten, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len([json.loads(line) for line in book.path.read_text().splitlines()]) == 40
