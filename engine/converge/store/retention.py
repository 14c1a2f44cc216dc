"""Forgetting old runs: their records, and their journals where nothing they began is open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select

from converge.store.chain import Chain, Gap
from converge.store.database import Database
from converge.store.journal import believed
from converge.store.tables import HOST_RESULTS, JOURNAL, JOURNAL_GAPS, JOURNAL_HEADS, LEASES, RUNS

BATCH = 50  # runs forgotten in one transaction, so that nobody waits long


def prune(database: Database, *, chain: Chain, older_than: datetime | None = None, keep: int | None = None) -> int:
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
            _forget(connection, going, chain=chain, name=database.name)
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


def _forget(connection: Connection, runs: Iterable[str], *, chain: Chain, name: str) -> None:
    for run in runs:
        stretches = connection.execute(
            select(JOURNAL.c.host, JOURNAL.c.number, JOURNAL.c.hash)
            .where(JOURNAL.c.run == run)
            .order_by(JOURNAL.c.host, JOURNAL.c.number)
        )
        gaps = _joined(Gap(host, number, number, digest) for host, number, digest in stretches)
        if gaps:
            connection.execute(delete(JOURNAL).where(JOURNAL.c.run == run))
            for host in dict.fromkeys(gap.host for gap in gaps):
                _leave(connection, host, [gap for gap in gaps if gap.host == host], chain=chain, name=name)
        connection.execute(delete(HOST_RESULTS).where(HOST_RESULTS.c.run == run))
        connection.execute(delete(RUNS).where(RUNS.c.run == run))


def _leave(connection: Connection, host: str, new: Sequence[Gap], *, chain: Chain, name: str) -> None:
    """Keep a host's gaps with the new ones. Gaps that touch become one: there are few, however long a host is looked after."""
    rows = connection.execute(select(JOURNAL_GAPS).where(JOURNAL_GAPS.c.host == host))
    known = believed(
        (Gap(row.host, row.first, row.last, row.hash, row.seal) for row in rows), chain=chain, name=name
    )  # fmt: skip
    gaps = _joined(sorted((*known, *new), key=lambda gap: gap.first))
    connection.execute(delete(JOURNAL_GAPS).where(JOURNAL_GAPS.c.host == host))
    connection.execute(insert(JOURNAL_GAPS), [asdict(replace(gap, seal=chain.gap_seal(gap))) for gap in gaps])


def _joined(gaps: Iterable[Gap]) -> list[Gap]:
    """The same stretches, in their order, each as long as can be."""
    joined: list[Gap] = []
    for gap in gaps:
        if joined and joined[-1].host == gap.host and joined[-1].last == gap.first - 1:
            joined[-1] = replace(joined[-1], last=gap.last, hash=gap.hash)
        else:
            joined.append(gap)
    return joined
