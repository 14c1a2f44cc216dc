"""Sensitive values: encrypted, or not kept at all; in clear nowhere."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.store.conftest import Rows

from converge.errors import JournalUnavailable
from converge.model.journal import ChangeBegun, ChangeEnded, event_as_json
from converge.model.secret import Secret
from converge.store.store import Store, Where

CANARY = "S3CR3T-canary-åß"
STATES = {"before": {"data": CANARY}, "after": {"data": CANARY + "2"}, "declared": {"data": CANARY + "2"}}
EVENT = ChangeBegun(
    1, "registry_value:x", "registry_value", {"name": "x"}, "x", "p", {"sensitive": "ab"}, {"sensitive": "cd"}, "full", {},
    Secret(json.dumps(STATES)),
)  # fmt: skip


def record(where: Where) -> None:
    with Store.open(where) as store, store.leases.acquire("mail01", run="1") as lease:
        book = store.journal(lease, render=lambda _: b"")
        book.write(EVENT)
        book.write(ChangeEnded(1, "changed", {"sensitive": "cd"}))


def assert_nowhere(where: Where, rows: Rows) -> None:
    written = b"".join(path.read_bytes() for path in where.folder.rglob("*") if path.is_file())
    for table in ("journal", "settings"):
        written += repr(rows(f"SELECT * FROM {table}")).encode()
    for form in (
        CANARY.encode(),
        CANARY.encode("utf-16-le"),
        json.dumps(CANARY).encode()[1:-1],
        b"S3CR3T",
        b"K3Y-text",
    ):
        assert form not in written


def test_with_a_key_they_come_back(where: Where, rows: Rows) -> None:
    keyed = replace(where, key=Secret("K3Y-text of any length"))
    record(keyed)
    with Store.open(keyed) as store:
        assert_nowhere(where, rows)
        assert store.keeps_secrets
        (change,) = store.runs.changes("1", "mail01", opener=store.sealing)
        assert (change.before, change.after, change.declared) == tuple(STATES.values())
        assert (change.readable, change.sensitive) == (True, True)
        assert CANARY not in repr(change)
        (shown,) = store.runs.changes("1", "mail01")
        assert (shown.before, shown.readable) == ({"sensitive": "ab"}, False)
    assert_nowhere(where, rows)


def test_without_a_key_they_are_not_kept(where: Where, rows: Rows) -> None:
    record(where)
    with Store.open(where) as store:
        assert not store.keeps_secrets
        (change,) = store.runs.changes("1", "mail01", opener=store.sealing)
        assert (change.before, change.declared, change.readable) == ({"sensitive": "ab"}, {}, False)
    assert_nowhere(where, rows)


def test_another_key_opens_nothing(where: Where) -> None:
    record(replace(where, key=Secret("first")))
    with Store.open(replace(where, key=Secret("second"))) as store, pytest.raises(JournalUnavailable) as told:
        store.runs.changes("1", "mail01", opener=store.sealing)
    assert told.value.code == "journal-key"
    assert "CONVERGE_JOURNAL_KEY" in told.value.try_


def test_no_line_of_the_journal_holds_them() -> None:
    assert CANARY not in repr(EVENT)
    line = json.dumps(event_as_json(EVENT))
    assert "canary" not in line
    assert '"confidential": true' in line


def test_not_in_the_write_ahead_log_while_it_is_written(tmp_path: Path) -> None:
    with Store.open(Where(tmp_path, key=Secret("k"))) as store, store.leases.acquire("mail01", run="1") as lease:
        store.journal(lease, render=lambda _: b"").write(EVENT)
        log = (tmp_path / "converge.db-wal").read_bytes()
        assert b"registry_value:x" in log
        assert b"canary" not in log
        assert os.stat(tmp_path / "converge.db-wal").st_mode & 0o077 == 0
