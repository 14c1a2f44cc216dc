"""The journal in the store: rows that are only ever added, each chained to the one before, each on the disk when `write` returns.

Every write renews the lease of its host in the same transaction: who has lost it writes nothing more, and so does nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, insert, select, text, update

from converge.errors import JournalUnavailable
from converge.model.change import Json
from converge.model.journal import ChangeBegun, History, JournalEvent, RegistrySnapshot, RunEnded, event_as_json
from converge.store import backups
from converge.store.chain import NO_ROW, Row, canonical, chained
from converge.store.committing import Committer
from converge.store.database import Database
from converge.store.fold import OpenEnds
from converge.store.leases import Lease
from converge.store.sealing import Sealing
from converge.store.tables import JOURNAL, JOURNAL_GAPS, JOURNAL_HEADS

PAGE = 500  # rows read at once
_FIRST_HEAD = text(
    "INSERT INTO journal_heads (host, number, hash, settled, settled_hash) VALUES (:host, 0, '', 0, '')"
    " ON CONFLICT (host) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a journal needs beside its rows: the state folder for .reg files, their form, the key for sensitive values.

    `committer` is shared by the journals of all hosts.
    """

    committer: Committer
    folder: Path
    render: Callable[[RegistrySnapshot], bytes]
    sealing: Sealing | None


class StoredJournal:
    """The journal of one host in one run, for as long as its lease is held."""

    def __init__(self, database: Database, lease: Lease, *, keeping: Keeping) -> None:
        self._database = database
        self._lease = lease
        self._keeping = keeping

    @property
    def run(self) -> str:
        """The run's id."""
        return self._lease.run

    def write(self, event: JournalEvent) -> None:
        """Make one event durable. Raises JournalUnavailable; LeaseLost where another run has taken the host over."""
        line = event_as_json(event)
        if isinstance(event, ChangeBegun) and event.confidential is not None:
            sealing = self._keeping.sealing
            line["sealed"] = sealing.seal(event.confidential) if sealing else None

        def work(connection: Connection) -> None:
            self._lease.extend(connection)
            self._append(connection, line)
            if isinstance(event, RunEnded):
                settle(connection, self._lease.host, name=self._database.name)

        self._keeping.committer.do(work)

    def back_up(self, snapshot: RegistrySnapshot) -> str:
        """Keep registry keys as a .reg file of the run and return its path. Raises JournalUnavailable."""
        self._lease.confirm()
        content = self._keeping.render(snapshot)
        path = backups.keep(content, folder=self._keeping.folder, run=self.run, host=self._lease.host)
        return str(path)

    def history(self) -> History:
        """What earlier runs left open on this host. Raises JournalUnavailable where it cannot be read or does not fit together."""
        return read_history(self._database, self._lease.host, before=self.run)

    def _append(self, connection: Connection, line: Mapping[str, Json]) -> None:
        host = self._lease.host
        connection.execute(_FIRST_HEAD, {"host": host})
        head = connection.execute(
            select(JOURNAL_HEADS.c.number, JOURNAL_HEADS.c.hash).where(JOURNAL_HEADS.c.host == host)
        ).one()
        number = head.number + 1
        body = canonical(
            {
                "host": host,
                "number": number,
                "run": self.run,
                "token": self._lease.token,
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "event": line,
            }
        )
        row = Row(host, number, self.run, body, chained(head.hash, body))
        connection.execute(insert(JOURNAL).values(host=host, number=number, run=self.run, body=row.body, hash=row.hash))
        connection.execute(
            update(JOURNAL_HEADS).where(JOURNAL_HEADS.c.host == host).values(number=number, hash=row.hash)
        )


def read_history(database: Database, host: str, *, before: str | None = None) -> History:
    """What runs left open on a host, the run `before` left out. Raises JournalUnavailable."""
    with database.reading() as connection:
        return _open_ends(connection, host, before=before, name=database.name).history()


def hosts_left_open(database: Database) -> dict[str, History]:
    """Every host on which something is open, and what. Raises JournalUnavailable."""
    with database.reading() as connection:
        unsettled = select(JOURNAL_HEADS.c.host).where(JOURNAL_HEADS.c.number > JOURNAL_HEADS.c.settled)
        hosts = connection.execute(unsettled.order_by(JOURNAL_HEADS.c.host)).scalars().all()
        found = {host: _open_ends(connection, host, name=database.name).history() for host in hosts}
    return {host: history for host, history in found.items() if history != History()}


def settle(connection: Connection, host: str, *, name: str) -> None:
    """Remember that nothing up to the last row is open, if so: later runs need not read it again."""
    if _open_ends(connection, host, name=name).history() == History():
        settled = {"settled": JOURNAL_HEADS.c.number, "settled_hash": JOURNAL_HEADS.c.hash}
        connection.execute(update(JOURNAL_HEADS).where(JOURNAL_HEADS.c.host == host).values(settled))


def verify_chain(database: Database, host: str) -> int:
    """Look through every row of a host's journal; how many there are. Raises JournalUnavailable at the first that does not fit.

    Rows that retention removed are accounted for by their last hash. The chain shows mistakes, damage and careless edits;
    who can write to the store and computes every hash anew is not found out.
    """
    with database.reading() as connection:
        head = connection.execute(select(JOURNAL_HEADS).where(JOURNAL_HEADS.c.host == host)).first()
        if head is None:
            return 0
        gaps = connection.execute(select(JOURNAL_GAPS).where(JOURNAL_GAPS.c.host == host)).all()
        follows = {gap.first: (gap.last, gap.hash) for gap in gaps}
        count, number, previous = 0, 0, NO_ROW
        for row in rows_of(connection, host, after=0):
            while number + 1 in follows and row.number != number + 1:
                number, previous = follows[number + 1]
            _content(row, number, previous=previous, name=database.name)
            count, number, previous = count + 1, row.number, row.hash
        while number + 1 in follows:
            number, previous = follows[number + 1]
        if (number, previous) != (head.number, head.hash):
            raise _damaged(database.name, host, number + 1, "it is missing")
        return count


def rows_of(connection: Connection, host: str, *, after: int, run: str | None = None) -> Iterator[Row]:
    """The rows of a host behind a number, in order, a page at a time."""
    wanted = select(JOURNAL.c.host, JOURNAL.c.number, JOURNAL.c.run, JOURNAL.c.body, JOURNAL.c.hash)
    wanted = wanted.where(JOURNAL.c.host == host).order_by(JOURNAL.c.number).limit(PAGE)
    if run is not None:
        wanted = wanted.where(JOURNAL.c.run == run)
    while True:
        page = [Row(*row) for row in connection.execute(wanted.where(JOURNAL.c.number > after))]
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].number


def _open_ends(connection: Connection, host: str, *, name: str, before: str | None = None) -> OpenEnds:
    ends = OpenEnds()
    head = connection.execute(select(JOURNAL_HEADS).where(JOURNAL_HEADS.c.host == host)).first()
    if head is None or head.number == head.settled:
        return ends
    number, previous = head.settled, head.settled_hash
    for row in rows_of(connection, host, after=number):
        content = _content(row, number, previous=previous, name=name)
        number, previous = row.number, row.hash
        if row.run != before:
            try:
                ends.take(row.run, content["event"])
            except (KeyError, TypeError, AttributeError) as error:
                raise _damaged(name, host, number, "it lacks what it must hold") from error
    if (number, previous) != (head.number, head.hash):
        raise _damaged(name, host, number + 1, "it is missing")
    return ends


def _content(row: Row, number: int, *, previous: str, name: str) -> Mapping[str, Json]:
    if row.number != number + 1:
        raise _damaged(name, row.host, number + 1, "it is missing")
    try:
        return row.read(previous)
    except (ValueError, KeyError, TypeError) as error:
        why = str(error) if type(error) is ValueError else "it cannot be read"
        raise _damaged(name, row.host, row.number, why) from error


def _damaged(name: str, host: str, number: int, why: str) -> JournalUnavailable:
    return JournalUnavailable(
        f"row {number} of the journal of {host} in {name} is damaged: {why}",
        why="What an earlier run left open on this host cannot be told.",
        try_="look at the host; put back a copy of the store, or use another --store",
        code="journal-damaged",
    )
