"""Forgetting old runs: their records, and their journals where nothing they began is open."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select

from converge.store.database import Database
from converge.store.tables import HOST_RESULTS, JOURNAL, JOURNAL_GAPS, JOURNAL_HEADS, LEASES, RUNS

BATCH = 50  # runs forgotten in one transaction, so that nobody waits long


def prune(database: Database, *, older_than: datetime | None = None, keep: int | None = None) -> int:
    """Forget runs; how many. Never one that goes on, or that left something open on a host. Raises JournalUnavailable."""
    candidates = select(RUNS.c.run).order_by(RUNS.c.run)
    if older_than is not None:
        moment = older_than.astimezone(UTC).isoformat(timespec="seconds")
        candidates = candidates.where(RUNS.c.started < moment)
    if keep is not None:
        newest = select(RUNS.c.run).order_by(RUNS.c.run.desc()).limit(keep)
        candidates = candidates.where(RUNS.c.run.not_in(newest))
    with database.reading() as connection:
        runs = list(connection.execute(candidates).scalars())
    forgotten = 0
    for start in range(0, len(runs), BATCH):
        with database.writing() as connection:
            kept = _needed(connection)
            going = [run for run in runs[start : start + BATCH] if run not in kept]
            _forget(connection, going)
            forgotten += len(going)
    return forgotten


def _needed(connection: Connection) -> set[str]:
    """The runs with journal rows behind what is settled, and those that hold a lease."""
    open_rows = (
        select(JOURNAL.c.run)
        .join(JOURNAL_HEADS, JOURNAL_HEADS.c.host == JOURNAL.c.host)
        .where((JOURNAL_HEADS.c.number > JOURNAL_HEADS.c.settled) & (JOURNAL.c.number > JOURNAL_HEADS.c.settled))
        .distinct()
    )
    leased = select(LEASES.c.run).where(LEASES.c.holder.is_not(None))
    return {*connection.execute(open_rows).scalars(), *connection.execute(leased).scalars()}


def _forget(connection: Connection, runs: Iterable[str]) -> None:
    for run in runs:
        stretches = connection.execute(
            select(JOURNAL.c.host, JOURNAL.c.number, JOURNAL.c.hash)
            .where(JOURNAL.c.run == run)
            .order_by(JOURNAL.c.host, JOURNAL.c.number)
        )
        gaps: list[dict[str, object]] = []
        for host, number, digest in stretches:
            last = gaps[-1] if gaps else None
            if last is not None and last["host"] == host and last["last"] == number - 1:
                last |= {"last": number, "hash": digest}
            else:
                gaps.append({"host": host, "first": number, "last": number, "hash": digest})
        if gaps:
            connection.execute(insert(JOURNAL_GAPS), gaps)
            connection.execute(delete(JOURNAL).where(JOURNAL.c.run == run))
            _join_gaps(connection, {str(gap["host"]) for gap in gaps})
        connection.execute(delete(HOST_RESULTS).where(HOST_RESULTS.c.run == run))
        connection.execute(delete(RUNS).where(RUNS.c.run == run))


def _join_gaps(connection: Connection, hosts: Iterable[str]) -> None:
    """Gaps that touch become one: a host keeps few of them, however long it is looked after."""
    for host in hosts:
        rows = connection.execute(
            select(JOURNAL_GAPS).where(JOURNAL_GAPS.c.host == host).order_by(JOURNAL_GAPS.c.first)
        ).all()
        joined: list[dict[str, object]] = []
        for row in rows:
            if joined and joined[-1]["last"] == row.first - 1:
                joined[-1] |= {"last": row.last, "hash": row.hash}
            else:
                joined.append({"host": host, "first": row.first, "last": row.last, "hash": row.hash})
        if len(joined) < len(rows):
            connection.execute(delete(JOURNAL_GAPS).where(JOURNAL_GAPS.c.host == host))
            connection.execute(insert(JOURNAL_GAPS), joined)
