"""The journal in the store: rows that are only ever added, each chained to the one before, each on the disk when `write` returns.

Every write renews the lease of its host in the same transaction: who has lost it writes nothing more, and so does nothing more.
What is read back is compared with the chain first: a journal that does not fit together is relied upon by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, bindparam, insert, select, text, update

from converge.errors import JournalUnavailable
from converge.model.change import Json
from converge.model.journal import ChangeBegun, History, JournalEvent, RegistrySnapshot, RunEnded, event_as_json
from converge.store import backups
from converge.store.chain import NO_ROW, Chain, Gap, Head, Row, canonical
from converge.store.committing import Committer
from converge.store.database import Database
from converge.store.fold import OpenEnds
from converge.store.leases import Lease
from converge.store.sealing import Sealing
from converge.store.tables import JOURNAL, JOURNAL_GAPS, JOURNAL_HEADS
from converge.store.writing_off import last_write_off

PAGE = 500  # rows read at once
# Asked for every host of every run: put together once.
_HEAD = select(JOURNAL_HEADS).where(JOURNAL_HEADS.c.host == bindparam("of"))
_PAGE = (
    select(JOURNAL.c.host, JOURNAL.c.number, JOURNAL.c.run, JOURNAL.c.body, JOURNAL.c.hash)
    .where((JOURNAL.c.host == bindparam("of")) & (JOURNAL.c.number > bindparam("after")))
    .order_by(JOURNAL.c.number)
    .limit(PAGE)
)
JOURNAL_DAMAGED = "journal-damaged"
_FIRST_HEAD = text(
    "INSERT INTO journal_heads (host, number, hash, settled, settled_hash, seal) VALUES (:host, 0, '', 0, '', :seal)"
    " ON CONFLICT (host) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class JournalParts:
    """What a journal needs beside its rows: the state folder for .reg files, their form, the key for sensitive values.

    `committer` is shared by the journals of all hosts.
    """

    chain: Chain
    committer: Committer
    folder: Path
    render: Callable[[RegistrySnapshot], bytes]
    sealing: Sealing | None


class StoredJournal:
    """The journal of one host in one run, for as long as its lease is held."""

    def __init__(self, database: Database, lease: Lease, *, parts: JournalParts) -> None:
        self._database = database
        self._lease = lease
        self._parts = parts

    @property
    def run(self) -> str:
        """The run's id."""
        return self._lease.run

    def write(self, *events: JournalEvent) -> None:
        """Make events durable, all or none. Raises JournalUnavailable; LeaseLost where another run has taken the host over."""
        lines = [self._line(event) for event in events]

        def work(connection: Connection) -> None:
            self._lease.extend(connection)
            for line in lines:
                self._append(connection, line)
            if any(isinstance(event, RunEnded) for event in events):
                settle(connection, self._lease.host, chain=self._parts.chain, name=self._database.name)

        self._parts.committer.do(work)

    def _line(self, event: JournalEvent) -> Mapping[str, Json]:
        line = event_as_json(event)
        if isinstance(event, ChangeBegun) and event.confidential is not None:
            sealing = self._parts.sealing
            line["sealed"] = sealing.seal(event.confidential) if sealing else None
        return line

    def back_up(self, snapshot: RegistrySnapshot) -> str:
        """Keep registry keys as a .reg file of the run and return its path. Raises JournalUnavailable."""
        self._lease.confirm()
        content = self._parts.render(snapshot)
        path = backups.keep(content, folder=self._parts.folder, run=self.run, host=self._lease.host)
        return str(path)

    def history(self) -> History:
        """What earlier runs left open on this host. Raises JournalUnavailable where it cannot be read or does not fit together."""
        return read_history(self._database, self._lease.host, chain=self._parts.chain, before=self.run)

    def _append(self, connection: Connection, line: Mapping[str, Json]) -> None:
        host, chain = self._lease.host, self._parts.chain
        connection.execute(_FIRST_HEAD, {"host": host, "seal": chain.head_seal(Head(host, 0, NO_ROW, 0, NO_ROW))})
        head = _head(connection, host, chain=chain, name=self._database.name)
        assert head is not None
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
        digest = chain.hash(head.hash, body)
        connection.execute(insert(JOURNAL).values(host=host, number=number, run=self.run, body=body, hash=digest))
        _keep_head(connection, replace(head, number=number, hash=digest), chain=chain)


def read_history(database: Database, host: str, *, chain: Chain, before: str | None = None) -> History:
    """What runs left open on a host, the run `before` left out. Raises JournalUnavailable."""
    with database.reading() as connection:
        return _open_ends(connection, host, before=before, chain=chain, name=database.name).history()


def hosts_with_open_rows(database: Database) -> tuple[str, ...]:
    """Hosts of which something may be open: their journals go on behind what is settled. Raises JournalUnavailable."""
    unsettled = select(JOURNAL_HEADS.c.host).where(JOURNAL_HEADS.c.number > JOURNAL_HEADS.c.settled)
    with database.reading() as connection:
        return tuple(connection.execute(unsettled.order_by(JOURNAL_HEADS.c.host)).scalars())


def settle(connection: Connection, host: str, *, chain: Chain, name: str) -> None:
    """Remember that nothing up to the last row is open, if so: later runs need not read it again."""
    if _open_ends(connection, host, chain=chain, name=name).history() == History():
        head = _head(connection, host, chain=chain, name=name)
        assert head is not None
        _keep_head(connection, replace(head, settled=head.number, settled_hash=head.hash), chain=chain)


def verify_chain(database: Database, host: str, *, chain: Chain) -> int:
    """Look through every row of a host's journal; how many there are. Raises JournalUnavailable at the first that does not fit.

    Rows that retention removed are accounted for by their last hash; those that were written off are left out.
    """
    with database.reading() as connection:
        return sum(1 for _ in verified(connection, host, after=0, chain=chain, name=database.name))


def verified(
    connection: Connection, host: str, *, after: int, chain: Chain, name: str
) -> Iterator[tuple[Row, Mapping[str, Json]]]:
    """The rows of a host behind a number with their contents, in order, each compared with the chain, up to the last one.

    None that was written off is among them. Raises JournalUnavailable where one does not fit: what came before it is not to be
    relied upon either.
    """
    if (row := last_write_off(connection, host, chain=chain)) is not None:
        after = max(after, row["number"])
    head = _head(connection, host, chain=chain, name=name)
    return _behind(head, connection, host=host, after=after, chain=chain, name=name)


def _behind(
    head: Head | None, connection: Connection, *, host: str, after: int, chain: Chain, name: str
) -> Iterator[tuple[Row, Mapping[str, Json]]]:
    """The same, where it is known how far the journal goes."""
    if head is None:
        if next(rows_of(connection, host, after=0), None) is not None:
            raise _damaged(name, host, "what says how far it goes is missing")
        return
    gaps = {gap.first: gap for gap in _gaps(connection, host, chain=chain, name=name)}
    number, previous = after, _hash_of(connection, head, after, gaps.values(), name=name)
    for row in rows_of(connection, host, after=after):
        while number + 1 in gaps and row.number != number + 1:
            number, previous = gaps[number + 1].last, gaps[number + 1].hash
        if row.number != number + 1:
            raise _damaged(name, host, _missing(number + 1, row.number - 1))
        try:
            content = chain.read(row, previous)
        except ValueError as error:
            raise _damaged(name, host, f"row {row.number}: {error}") from error
        yield row, content
        number, previous = row.number, row.hash
    while number + 1 in gaps:
        number, previous = gaps[number + 1].last, gaps[number + 1].hash
    if number < head.number:
        raise _damaged(name, host, _missing(number + 1, head.number) + ", the end of it")
    if (number, previous) != (head.number, head.hash):
        raise _damaged(name, host, f"row {number} is not the one that was written last")


def rows_of(connection: Connection, host: str, *, after: int) -> Iterator[Row]:
    """The rows of a host behind a number as they are, in order, a page at a time."""
    while True:
        page = [Row(*row) for row in connection.execute(_PAGE, {"of": host, "after": after})]
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].number


def believed(gaps: Iterable[Gap], *, chain: Chain, name: str) -> list[Gap]:
    """Gaps of which each was left by retention. Raises JournalUnavailable."""
    found = list(gaps)
    for gap in found:
        if not chain.believes(gap):
            raise _damaged(name, gap.host, f"{_missing(gap.first, gap.last)}, and not by `converge runs --prune`")
    return found


def _open_ends(connection: Connection, host: str, *, chain: Chain, name: str, before: str | None = None) -> OpenEnds:
    ends = OpenEnds()
    head = _head(connection, host, chain=chain, name=name)
    after = head.settled if head is not None else 0
    for row, content in _behind(head, connection, host=host, after=after, chain=chain, name=name):
        if row.run != before:
            try:
                ends.take(row.run, content["event"])
            except (KeyError, TypeError, AttributeError) as error:
                raise _damaged(name, host, f"row {row.number} lacks what it must hold") from error
    return ends


def _head(connection: Connection, host: str, *, chain: Chain, name: str) -> Head | None:
    row = connection.execute(_HEAD, {"of": host}).first()
    if row is None:
        return None
    head = Head(row.host, row.number, row.hash, row.settled, row.settled_hash, row.seal)
    if not chain.believes(head):
        raise _damaged(name, host, "what says how far it goes was changed")
    return head


def _keep_head(connection: Connection, head: Head, *, chain: Chain) -> None:
    sealed = asdict(replace(head, seal=chain.head_seal(head)))
    connection.execute(update(JOURNAL_HEADS).where(JOURNAL_HEADS.c.host == head.host).values(sealed))


def _gaps(connection: Connection, host: str, *, chain: Chain, name: str) -> list[Gap]:
    rows = connection.execute(select(JOURNAL_GAPS).where(JOURNAL_GAPS.c.host == host))
    return believed((Gap(row.host, row.first, row.last, row.hash, row.seal) for row in rows), chain=chain, name=name)


def _hash_of(connection: Connection, head: Head, number: int, gaps: Iterable[Gap], *, name: str) -> str:
    """The hash of a row, of which only the number is known."""
    if number == 0:
        return NO_ROW
    if number == head.settled:
        return head.settled_hash
    for gap in gaps:
        if gap.last == number:
            return gap.hash
    wanted = select(JOURNAL.c.hash).where((JOURNAL.c.host == head.host) & (JOURNAL.c.number == number))
    found = connection.execute(wanted).scalar()
    if found is None:
        raise _damaged(name, head.host, _missing(number, number))
    return str(found)


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first >= last else f"rows {first} to {last} are missing"


def _damaged(name: str, host: str, why: str) -> JournalUnavailable:
    return JournalUnavailable(
        f"the journal of {host} in {name} cannot be relied upon: {why}",
        why="What runs did to this host, and what they left unfinished on it, is not known: nothing is done to it.",
        try_="find out who changed the store; check the host; put back a copy of the store. "
        f"Where there is none: converge runs --write-off {host} --reason WHY",
        code=JOURNAL_DAMAGED,
    )
