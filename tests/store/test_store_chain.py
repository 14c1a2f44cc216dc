"""Rows of the journal that were changed, removed, put in or moved are told, and nobody acts upon what they say."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.store.conftest import Bookkeeper, Rows

from converge.errors import JournalUnavailable
from converge.model.journal import ActionIntended, ChangeBegun, HandlerPending, RunEnded
from converge.store.chain import Chain, Gap, Head
from converge.store.store import Store, Where

RUN_1, RUN_2 = "2026-11-20T100000Z-0001", "2026-11-20T110000Z-0002"
BEGUN = ChangeBegun(1, "service:SMTPSVC", "service", {}, "SMTP runs", "smtp", None, None, "full", {})
INTENDED = ActionIntended(1, 1, "service:SMTPSVC", {"action": "StartService", "name": "SMTPSVC"})
PENDING = HandlerPending("play", "restart", "10:00")
STRANGER = Chain(b"a key of somebody else's choosing")


@pytest.fixture
def written(books: Bookkeeper) -> Bookkeeper:
    """Four rows of one host, of which an action and a handler are open, and three of another."""
    books.record(RUN_1, BEGUN, INTENDED, PENDING, RunEnded("failed", ""))
    books.record(RUN_1, BEGUN, INTENDED, RunEnded("failed", ""), host="mail02")
    return books


DAMAGE = [
    ("a word of it", "UPDATE journal SET body = replace(body, 'Start', 'Stop') WHERE number = 2", "row 2: it was changed"),
    ("its hash", "UPDATE journal SET hash = '00' WHERE number = 2", "row 2: it was changed"),
    ("its hash, to no hash", "UPDATE journal SET hash = 'é' WHERE number = 2", "row 2: it was changed"),
    ("all of it", "UPDATE journal SET body = '[]' WHERE number = 2", "row 2: it is no row of a journal"),
    ("all of it, to no JSON", "UPDATE journal SET body = 'x' WHERE number = 2", "row 2: it is no row of a journal"),
    ("its run", "UPDATE journal SET run = 'other' WHERE number = 2", f"row 2: it was written as row 2 of mail01, in run {RUN_1}"),
    ("its number", "UPDATE journal SET number = 9 WHERE number = 2", "row 2 is missing"),
    ("the first is missing", "DELETE FROM journal WHERE number = 1", "row 1 is missing"),
    ("two are missing", "DELETE FROM journal WHERE number IN (2, 3)", "rows 2 to 3 are missing"),
    ("the end is missing", "DELETE FROM journal WHERE number > 2", "rows 3 to 4 are missing, the end of it"),
    ("all is missing", "DELETE FROM journal", "rows 1 to 4 are missing, the end of it"),
    ("the head's hash", "UPDATE journal_heads SET hash = '00'", "what says how far it goes was changed"),
    ("the head", "DELETE FROM journal_heads", "what says how far it goes is missing"),
    ("it is called settled",
     "UPDATE journal_heads SET settled = number, settled_hash = hash", "what says how far it goes was changed"),
    ("the end is missing and the head says so too",
     "DELETE FROM journal WHERE number > 2;"
     "UPDATE journal_heads SET number = 2, hash = (SELECT hash FROM journal AS j WHERE j.host = journal_heads.host AND number = 2)",
     "what says how far it goes was changed"),
    ("a gap was invented",
     "INSERT INTO journal_gaps SELECT host, 2, number, hash, '' FROM journal WHERE number = 3;"
     "DELETE FROM journal WHERE number IN (2, 3)", "rows 2 to 3 are missing, and not by `converge runs --prune`"),
    ("two rows were swapped",
     "UPDATE journal SET number = -1 WHERE number = 2; UPDATE journal SET number = 2 WHERE number = 3;"
     "UPDATE journal SET number = 3 WHERE number = -1", "row 2: it was written as row 3 of mail01"),
    ("a row of another host",
     "UPDATE journal SET body = (SELECT body FROM journal WHERE host = 'mail02' AND number = 2),"
     " hash = (SELECT hash FROM journal WHERE host = 'mail02' AND number = 2) WHERE host = 'mail01' AND number = 2",
     "row 2: it was written as row 2 of mail02"),
    ("a row put in behind the last",
     "INSERT INTO journal SELECT host, 5, run, body, hash FROM journal WHERE host = 'mail01' AND number = 4",
     "row 5: it was written as row 4 of mail01"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "words"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_damage_is_told_and_relied_upon_by_nobody(
    written: Bookkeeper, store: Store, rows: Rows, damage: str, words: str
) -> None:
    assert store.verify("mail01") == 4
    assert [change.address for change in store.runs.changes(RUN_1, "mail01")] == ["service:SMTPSVC"]
    for statement in damage.split(";"):
        rows(statement)
    readers: list[Callable[[], object]] = [
        lambda: store.verify("mail01"),
        lambda: store.history("mail01"),
        lambda: store.runs.changes(RUN_1, "mail01"),
        lambda: store.runs.later_changes(RUN_1, "mail01"),
    ]
    for read in readers if rows("SELECT * FROM journal") else readers[:2]:
        with pytest.raises(JournalUnavailable) as told:
            read()
        assert told.value.code == "journal-damaged"
        assert told.value.what.startswith("the journal of mail01 in ")
        assert words in told.value.what
        assert "check the host" in told.value.try_


@pytest.mark.parametrize("damage", [case[1] for case in DAMAGE if "journal_heads" in case[1]])
def test_nothing_is_written_behind_a_head_that_was_changed(
    written: Bookkeeper, store: Store, rows: Rows, damage: str
) -> None:
    for statement in damage.split(";"):
        rows(statement)
    before = rows("SELECT * FROM journal ORDER BY host, number")
    book = written.journal(RUN_2)
    for use in (book.history, lambda: book.write(INTENDED)):
        with pytest.raises(JournalUnavailable):
            use()
    assert rows("SELECT * FROM journal ORDER BY host, number") == before


def test_the_journals_of_other_hosts_are_not_affected(written: Bookkeeper, store: Store, rows: Rows) -> None:
    rows("DELETE FROM journal WHERE host = 'mail01' AND number = 3")
    assert store.verify("mail02") == 3
    assert len(store.history("mail02").actions) == 1


class TestForged:
    """Who can write the rows, and does not have the key."""

    def test_a_row_with_a_hash_of_another_key(self, written: Bookkeeper, store: Store, rows: Rows) -> None:
        ((body, previous),) = rows(
            "SELECT a.body, b.hash FROM journal a, journal b"
            " WHERE a.host = 'mail01' AND a.number = 4 AND b.host = 'mail01' AND b.number = 3"
        )
        forged = str(body).replace("failed", "changed")
        for digest in (
            STRANGER.hash(str(previous), forged),
            hashlib.sha256(f"{previous}\n{forged}".encode()).hexdigest(),
        ):
            rows(
                "UPDATE journal SET body = :body, hash = :hash WHERE host = 'mail01' AND number = 4",
                body=forged,
                hash=digest,
            )
            rows("UPDATE journal_heads SET hash = :hash WHERE host = 'mail01'", hash=digest)
            with pytest.raises(JournalUnavailable, match="cannot be relied upon"):
                store.verify("mail01")

    def test_a_head_and_a_gap_sealed_with_another_key(self, written: Bookkeeper, store: Store, rows: Rows) -> None:
        ((hash_,),) = rows("SELECT hash FROM journal WHERE host = 'mail01' AND number = 2")
        gap = Gap("mail01", 1, 2, str(hash_))
        rows("DELETE FROM journal WHERE host = 'mail01' AND number < 3")
        rows(
            "INSERT INTO journal_gaps VALUES (:host, :first, :last, :hash, :seal)",
            host=gap.host, first=gap.first, last=gap.last, hash=gap.hash, seal=STRANGER.gap_seal(gap),
        )  # fmt: skip
        with pytest.raises(JournalUnavailable, match="rows 1 to 2 are missing, and not by"):
            store.verify("mail01")
        head = Head("mail02", 0, "", 0, "")
        rows("DELETE FROM journal WHERE host = 'mail02'")
        rows(
            "UPDATE journal_heads SET number = 0, hash = '', seal = :seal WHERE host = 'mail02'",
            seal=STRANGER.head_seal(head),
        )
        with pytest.raises(JournalUnavailable, match="what says how far it goes was changed"):
            store.history("mail02")

    def test_rows_of_another_store(self, written: Bookkeeper, store: Store, rows: Rows, where: Where) -> None:
        """The same rows, written under another key."""
        rows("UPDATE settings SET value = :value WHERE name = 'signing key'", value="11" * 32)
        with (
            Store.open(replace(where, is_new=True)) as other,
            pytest.raises(JournalUnavailable, match="what says how far it goes was changed"),
        ):
            other.history("mail01")

    def test_retention_does_not_seal_what_it_did_not_leave(self, written: Bookkeeper, store: Store, rows: Rows) -> None:
        store.runs.begin("r0", mode="run", playbooks=(), user="", version="").end(0)
        written.record("r0", RunEnded("ok", ""), host="mail03")
        rows("INSERT INTO journal_gaps VALUES ('mail03', 5, 9, '00', '')")
        with pytest.raises(JournalUnavailable, match="rows 5 to 9 are missing, and not by"):
            store.runs.keep_newest(0)


def test_the_key_shows_in_no_repr() -> None:
    assert "somebody" not in repr(STRANGER)


@pytest.mark.parametrize("damage", ["DELETE FROM settings", "UPDATE settings SET value = 'no hex'"])
def test_a_store_without_its_key_is_not_given_a_new_one(
    written: Bookkeeper, where: Where, rows: Rows, damage: str
) -> None:
    rows(damage)
    with pytest.raises(JournalUnavailable, match="has lost its key") as told:
        Store.open(where)
    assert told.value.code == "store-damaged"
    rows("DELETE FROM settings")
    with pytest.raises(JournalUnavailable):
        Store.open(replace(where, read_only=True))



def test_who_reads_while_another_writes_sees_a_journal_that_fits(books: Bookkeeper, where: Where, store: Store) -> None:
    book = books.journal(RUN_1)
    book.write(BEGUN)

    def write() -> None:
        for number in range(150):
            book.write(replace(INTENDED, action_number=number))

    writer = threading.Thread(target=write)
    with Store.open(where) as other:
        writer.start()
        looks = 0
        while writer.is_alive() or not looks:
            other.history("mail01")
            other.runs.changes(RUN_1, "mail01")
            looks += 1
        writer.join(timeout=60)
        assert other.verify("mail01") == 151
