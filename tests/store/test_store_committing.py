"""Many threads share transactions: none is held up by the others, and none pays for another's mistake."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection, text
from tests.store.conftest import Bookkeeper, Rows

from converge.errors import JournalUnavailable, LeaseLost
from converge.model.journal import ActionIntended
from converge.store.committing import Committer
from converge.store.store import Store

INTENDED = ActionIntended(1, 1, "a:b", {"action": "X"})


@dataclass
class Crowd:
    """Threads that write at the same time, and what became of each."""

    ended: dict[int, str] = field(default_factory=dict)

    def run(self, work: Callable[[int], None], *, many: int) -> None:
        gate = threading.Barrier(many)

        def one(number: int) -> None:
            gate.wait(timeout=60)
            try:
                work(number)
                self.ended[number] = "written"
            except (JournalUnavailable, ValueError) as error:
                self.ended[number] = type(error).__name__

        threads = [threading.Thread(target=one, args=(number,)) for number in range(many)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=90)
        assert len(self.ended) == many, "a thread was left waiting"


def test_who_lost_its_lease_fails_alone(books: Bookkeeper, store: Store, rows: Rows) -> None:
    journals = [books.journal("run", host=f"web{number:02}") for number in range(20)]
    rows("UPDATE leases SET token = token + 1 WHERE host IN ('web03', 'web11')")

    def write_three(number: int) -> None:
        for _ in range(3):
            journals[number].write(INTENDED)

    crowd = Crowd()
    crowd.run(write_three, many=20)
    assert {number for number, ended in crowd.ended.items() if ended == LeaseLost.__name__} == {3, 11}
    assert [store.verify(f"web{number:02}") for number in range(20)] == [0 if n in (3, 11) else 3 for n in range(20)]


def test_what_cannot_be_committed_is_nobodys(store: Store, rows: Rows) -> None:
    committer = Committer(store._database)

    def work(number: int) -> None:
        def insert(connection: Connection) -> None:
            name = "same" if number == 0 else f"name {number}"
            connection.execute(text("INSERT INTO settings (name, value) VALUES (:name, '00')"), {"name": name})
            if number == 1:
                connection.execute(text("INSERT INTO nowhere VALUES (1)"))

        committer.do(insert)

    crowd = Crowd()
    crowd.run(work, many=10)
    written = {number for number, ended in crowd.ended.items() if ended == "written"}
    assert 1 not in written
    assert {name for (name,) in rows("SELECT name FROM settings WHERE name <> 'signing key'")} == {
        "same" if number == 0 else f"name {number}" for number in written
    }
    committer.do(lambda connection: None)


def test_a_bug_in_one_piece_does_not_stop_the_next(store: Store) -> None:
    committer = Committer(store._database)

    def bug(_connection: Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        committer.do(bug)
    committer.do(lambda connection: None)
