"""Writing a damaged journal off: a row that says so begins a chain of its own, and nobody relies on the rows before it any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, insert, select

from converge.errors import JournalUnavailable
from converge.model.change import Json
from converge.model.journal import JournalWrittenOff, event_as_json
from converge.store.chain import NO_ROW, Chain, Head, Row, canonical
from converge.store.tables import JOURNAL, JOURNAL_GAPS, JOURNAL_HEADS

RUN = "write-off"
"""What stands for the run of such a row: no run has that name, so that none is forgotten or taken back with it."""
WRITTEN_OFF = "journal-written-off"


def write_off(connection: Connection, host: str, *, chain: Chain, token: int, event: JournalWrittenOff) -> None:
    """Begin a new chain behind every row of a host. The old rows stay as they are."""
    last = connection.execute(select(func.max(JOURNAL.c.number)).where(JOURNAL.c.host == host)).scalar() or 0
    number = last + 1
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    body = canonical(
        {"host": host, "number": number, "run": RUN, "token": token, "time": now, "event": event_as_json(event)}
    )
    digest = chain.hash(NO_ROW, body)
    head = Head(host, number, digest, number, digest)
    for table in (JOURNAL_GAPS, JOURNAL_HEADS):
        connection.execute(delete(table).where(table.c.host == host))
    connection.execute(insert(JOURNAL).values(host=host, number=number, run=RUN, body=body, hash=digest))
    connection.execute(insert(JOURNAL_HEADS).values({**asdict(head), "seal": chain.head_seal(head)}))


def last_write_off(connection: Connection, host: str, *, chain: Chain) -> Mapping[str, Json] | None:
    """The row that the present chain of a host begins with, if rows before it were written off. Who has no key can write none."""
    wanted = select(JOURNAL.c.host, JOURNAL.c.number, JOURNAL.c.run, JOURNAL.c.body, JOURNAL.c.hash).where(
        (JOURNAL.c.host == host) & (JOURNAL.c.run == RUN)
    )
    for row in connection.execute(wanted.order_by(JOURNAL.c.number.desc())):
        try:
            return chain.read(Row(*row), NO_ROW)
        except ValueError:
            continue
    return None


def written_off(name: str, host: str, row: Mapping[str, Json]) -> JournalUnavailable:
    """Why nothing is done by rows that were written off."""
    event = row["event"]
    return JournalUnavailable(
        f"the journal of {host} in {name} was written off up to row {row['number'] - 1} by {event['by']} on {row['time']}: "
        f"{event['reason']}",
        why=f"It was damaged ({event['damage']}). What it says of this run is not to be relied upon: none of it is taken back.",
        try_="check the host; what is wrong there is put right by hand, or by a new run",
        code=WRITTEN_OFF,
    )
