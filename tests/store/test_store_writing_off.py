"""One damaged journal is given up by name and with a reason; what it told is relied upon by nobody ever after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.store.conftest import Bookkeeper, Rows
from tests.store.test_store_chain import BEGUN, DAMAGE, INTENDED, PENDING, RUN_1, RUN_2, STRANGER

from converge.errors import Held, JournalUnavailable, UsageError
from converge.model.journal import ActionEnded, History, RunEnded
from converge.store.chain import NO_ROW, canonical
from converge.store.store import Store

BROKEN = "UPDATE journal SET body = replace(body, 'Start', 'Stop') WHERE number = 2"


@pytest.fixture
def written(books: Bookkeeper) -> Bookkeeper:
    """Two hosts with open ends."""
    for host in ("mail01", "mail02"):
        books.record(RUN_1, BEGUN, INTENDED, PENDING, RunEnded("failed", ""), host=host)
    return books


@pytest.mark.parametrize("damage", [case[1] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_whatever_is_wrong_the_next_run_goes_on(books: Bookkeeper, store: Store, rows: Rows, damage: str) -> None:
    books.record(RUN_1, BEGUN, INTENDED, PENDING, RunEnded("failed", ""))
    books.record(RUN_1, BEGUN, INTENDED, RunEnded("failed", ""), host="mail02")
    for statement in damage.split(";"):
        rows(statement)
    before = rows("SELECT * FROM journal ORDER BY host, number")
    store.write_off("mail01", reason="the disk was full")
    assert [row for row in rows("SELECT * FROM journal ORDER BY host, number") if row in before] == before
    assert (store.history("mail01"), store.verify("mail01"), store.damage("mail01")) == (History(), 0, None)
    books.record(RUN_2, BEGUN, INTENDED)
    assert store.verify("mail01") == 2
    assert len(store.history("mail01").actions) == 1
    assert [change.address for change in store.runs.changes(RUN_2, "mail01")] == ["service:SMTPSVC"]
    assert store.runs.backups("mail01") == ()


def test_what_was_written_off_is_readable_and_relied_upon_by_nobody(
    written: Bookkeeper, store: Store, rows: Rows
) -> None:
    rows(BROKEN + " AND host = 'mail01'")
    store.write_off("mail01", reason="the disk was full")
    written.record(RUN_2, BEGUN, INTENDED, ActionEnded(1, "done"), RunEnded("changed", ""))
    for read in (store.runs.changes, store.runs.later_changes, store.runs.window_overridden):
        with pytest.raises(JournalUnavailable) as told:
            read(RUN_1, "mail01")
        assert told.value.code == "journal-written-off"
        for words in ("up to row 4", "the disk was full", "@"):
            assert words in told.value.what
        assert "row 2: it was changed" in told.value.why
    assert [change.address for change in store.runs.unverified_changes(RUN_1, "mail01")] == ["service:SMTPSVC"]
    assert [change.address for change in store.runs.changes(RUN_1, "mail02")] == ["service:SMTPSVC"]
    assert len(store.history("mail02").actions) == 1


def test_damage_of_the_new_journal_is_told_and_can_be_written_off_too(
    written: Bookkeeper, store: Store, rows: Rows
) -> None:
    rows(BROKEN)
    store.write_off("mail01", reason="first")
    written.record(RUN_2, BEGUN, INTENDED, RunEnded("failed", ""))
    rows("UPDATE journal SET body = replace(body, 'Start', 'Stop') WHERE number = 7 AND host = 'mail01'")
    assert "row 7: it was changed" in str(store.damage("mail01"))
    store.write_off("mail01", reason="second")
    with pytest.raises(JournalUnavailable, match="second"):
        store.runs.changes(RUN_2, "mail01")


def test_forgetting_old_runs_leaves_the_new_journal_whole(written: Bookkeeper, store: Store, rows: Rows) -> None:
    store.runs.begin(RUN_1, mode="run", playbooks=(), user="", version="")
    rows(BROKEN + " AND host = 'mail01'")
    store.write_off("mail01", reason="gone")
    rows("DELETE FROM journal WHERE host = 'mail02'")
    store.write_off("mail02", reason="gone")  # it kept the run from being forgotten
    written.record(RUN_2, BEGUN, INTENDED, ActionEnded(1, "done"), PENDING)
    assert store.runs.prune_older_than(datetime.now(UTC) + timedelta(days=1)) == 1
    assert rows("SELECT number FROM journal WHERE host = 'mail01' ORDER BY number") == [(5,), (6,), (7,), (8,), (9,)]
    assert store.verify("mail01") == 4
    assert [item.handler for item in store.history("mail01").pending] == ["restart"]


class TestNotByAccident:
    def test_a_whole_journal_is_not(self, written: Bookkeeper, store: Store, rows: Rows) -> None:
        rows(BROKEN + " AND host = 'mail02'")
        before = rows("SELECT * FROM journal")
        for host in ("mail01", "nobody"):
            with pytest.raises(UsageError, match="nothing to write off"):
                store.write_off(host, reason="by mistake")
        assert rows("SELECT * FROM journal") == before

    def test_nor_while_a_run_changes_the_host(self, written: Bookkeeper, store: Store, rows: Rows) -> None:
        rows(BROKEN)
        store.leases.acquire("mail01", run=RUN_2)
        with pytest.raises(Held):
            store.write_off("mail01", reason="too early")
        assert store.damage("mail01") is not None

    def test_nobody_without_the_key_can(self, written: Bookkeeper, store: Store, rows: Rows) -> None:
        event = {"event": "JournalWrittenOff", "by": "me", "reason": "", "damage": ""}
        body = canonical({"host": "mail01", "number": 5, "run": "write-off", "token": 1, "time": "", "event": event})
        rows(
            "INSERT INTO journal VALUES ('mail01', 5, 'write-off', :body, :hash)",
            body=body, hash=STRANGER.hash(NO_ROW, body),
        )  # fmt: skip
        rows("UPDATE journal_heads SET number = 5, settled = 5 WHERE host = 'mail01'")
        with pytest.raises(JournalUnavailable, match="cannot be relied upon"):
            store.history("mail01")
        with pytest.raises(JournalUnavailable, match="cannot be relied upon"):
            store.runs.changes(RUN_1, "mail01")
