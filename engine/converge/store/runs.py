"""The runs that are remembered: writing a new one down, listing them, showing one, forgetting old ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Row as DatabaseRow
from sqlalchemy import Select, func, select, union

from converge.errors import JournalUnavailable
from converge.model.backup import BackupRecord
from converge.model.change import Status
from converge.model.recorded import LOOKING, HostRecord, LaterChange, LaterRun, RecordedChange, RunRecord
from converge.store import recording, retention
from converge.store.chain import Chain
from converge.store.changes import Content, Opener, changes_of, later_changes, later_runs
from converge.store.database import Database
from converge.store.file_backups import file_backups
from converge.store.journal import JOURNAL_DAMAGED, verified
from converge.store.tables import HOST_RESULTS, HOST_STATE, JOURNAL, JOURNAL_GAPS, JOURNAL_HEADS, RUNS
from converge.store.writing_off import last_write_off, written_off

PAGE = 200


class Runs:
    """Run records. Every method may raise JournalUnavailable."""

    def __init__(self, database: Database, *, chain: Chain) -> None:
        self._database = database
        self._chain = chain

    def begin(self, run: str, *, mode: str, playbooks: Sequence[str], user: str, version: str) -> recording.Recording:
        """Write down that a run begins; what becomes of it is told to the recording."""
        return recording.begin(self._database, run=run, mode=mode, playbooks=playbooks, user=user, version=version)

    def newest_first(self, *, limit: int | None = None) -> Iterator[RunRecord]:
        """Every run, or the newest `limit`."""
        before: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            wanted = select(RUNS).order_by(RUNS.c.run.desc()).limit(size)
            if before is not None:
                wanted = wanted.where(RUNS.c.run < before)
            with self._database.reading() as connection:
                rows = connection.execute(wanted).all()
            yield from (run_record(row) for row in rows)
            if len(rows) < size:
                return
            before = rows[-1].run
            left = None if left is None else left - size

    def get(self, run: str) -> RunRecord | None:
        """One run by its id."""
        with self._database.reading() as connection:
            row = connection.execute(select(RUNS).where(RUNS.c.run == run)).first()
        return None if row is None else run_record(row)

    def hosts(self, run: str) -> Iterator[HostRecord]:
        """The hosts of a run in the order of their names: those with something to tell, and those last seen in order by it."""
        after = ""
        while True:
            wanted = select(HOST_RESULTS).where((HOST_RESULTS.c.run == run) & (HOST_RESULTS.c.host > after))
            with self._database.reading() as connection:
                rows = connection.execute(wanted.order_by(HOST_RESULTS.c.host).limit(PAGE)).all()
            yield from (host_record(row) for row in rows)
            if len(rows) < PAGE:
                return
            after = rows[-1].host

    def seconds(self, *, newest: int = 50) -> dict[str, float]:
        """How long each host took at most in the newest runs that changed it."""
        recent = select(RUNS.c.run).where(RUNS.c.mode.not_in(LOOKING)).order_by(RUNS.c.run.desc()).limit(newest)
        changed = HOST_RESULTS.c.run.in_(recent) & (HOST_RESULTS.c.status == Status.CHANGED.value)
        wanted = select(HOST_RESULTS.c.host, func.max(HOST_RESULTS.c.seconds)).where(changed)
        with self._database.reading() as connection:
            return dict(connection.execute(wanted.group_by(HOST_RESULTS.c.host)).all())

    def hosts_unchanged(self, run: str) -> int:
        """How many hosts this run was the last to see, and found as they were before."""
        told = select(HOST_RESULTS.c.host).where(HOST_RESULTS.c.run == run)
        unchanged = (HOST_STATE.c.run == run) & HOST_STATE.c.host.not_in(told)
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(HOST_STATE).where(unchanged)).scalar_one()

    def hosts_as_before(self, run: str, *, status: str = "", text: str = "", limit: int) -> list[str]:
        """Those hosts by name, of a status, and with a text in their names. Those that a later run saw are not among them."""
        told = select(HOST_RESULTS.c.host).where(HOST_RESULTS.c.run == run)
        which = (HOST_STATE.c.run == run) & HOST_STATE.c.host.not_in(told)
        if status:
            which &= HOST_STATE.c.status == status
        if text:
            which &= func.lower(HOST_STATE.c.host).contains(text.lower(), autoescape=True)
        wanted = select(HOST_STATE.c.host).where(which).order_by(HOST_STATE.c.host).limit(limit)
        with self._database.reading() as connection:
            return list(connection.execute(wanted).scalars())

    def journaled_hosts(self, run: str) -> tuple[str, ...]:
        """The hosts that a run may have changed, by name: those with rows, and those that its results say it changed."""
        journaled = select(JOURNAL.c.host).where(JOURNAL.c.run == run)
        with self._database.reading() as connection:
            return tuple(sorted(connection.execute(journaled.union(_hosts_changed(run))).scalars()))

    def changes(self, run: str, host: str, *, opener: Opener | None = None) -> tuple[RecordedChange, ...]:
        """The changes of a host in a run, oldest first, with what is known of each action by now.

        With an `opener` (`Store.sealing`) sensitive states are opened; else they are the digests that may be shown.
        Raises JournalUnavailable also where the journal does not fit together from that run on, or has no row of a run that
        changed the host as its result tells.
        """
        return changes_of(run, host, rows=self._from(run, host), opener=opener)

    def unverified_changes(self, run: str, host: str) -> tuple[RecordedChange, ...]:
        """What rows that do not fit together say of a host in a run, whoever wrote them: for people to read, and for nothing else."""
        wanted = select(JOURNAL.c.body).where((JOURNAL.c.run == run) & (JOURNAL.c.host == host))
        with self._database.reading() as connection:
            bodies = connection.execute(wanted.order_by(JOURNAL.c.number)).scalars().all()
        try:
            return changes_of(run, host, rows=[json.loads(body) for body in bodies])
        except (JournalUnavailable, ValueError, KeyError, TypeError, RecursionError):
            return ()

    def window_overridden(self, run: str, host: str) -> str:
        """Who had a run change this host outside its change window, and why; an empty text where nobody had."""
        events = (content["event"] for content in self._from(run, host) if content["run"] == run)
        return next((str(event["reason"]) for event in events if event["event"] == "WindowOverridden"), "")

    def backups(self, host: str) -> tuple[BackupRecord, ...]:
        """What runs keep on a host, or kept until retention removed it. Raises JournalUnavailable where the journal does not fit."""
        moves = (JOURNAL.c.host == host) & JOURNAL.c.body.like('%"action":"Move%')
        with self._database.reading() as connection:
            first = connection.execute(select(func.min(JOURNAL.c.number)).where(moves)).scalar()
            if first is None:
                return ()
            rows = verified(connection, host, after=first - 1, chain=self._chain, name=self._database.name)
            return file_backups(content for _, content in rows)

    def later_changes(self, run: str, host: str) -> dict[str, LaterChange]:
        """What later runs did last at each address of this host: what is found there may be their work."""
        return later_changes(run, rows=self._from(run, host))

    def later_runs(self, run: str, host: str, *, opener: Opener | None = None) -> tuple[LaterRun, ...]:
        """What other runs did to this host since the first row of a run, in their order."""
        return later_runs(run, host, rows=self._from(run, host), opener=opener)

    def _from(self, run: str, host: str) -> Iterator[Content]:
        """What a host's journal holds from the first row of a run on."""
        first = select(func.min(JOURNAL.c.number)).where((JOURNAL.c.run == run) & (JOURNAL.c.host == host))
        with self._database.reading() as connection:
            number = connection.execute(first).scalar()
            if number is None and connection.execute(_hosts_changed(run).where(HOST_RESULTS.c.host == host)).first():
                raise _without_rows(self._database.name, run, host)
            if number is not None:
                row = last_write_off(connection, host, chain=self._chain)
                if row is not None and number <= row["number"]:
                    raise written_off(self._database.name, host, row)
                rows = verified(connection, host, after=number - 1, chain=self._chain, name=self._database.name)
                yield from (content for _, content in rows)

    def every_host(self) -> tuple[str, ...]:
        """Every host of which the store holds any part of a journal, or that a run changed, by name."""
        parts = [select(table.c.host) for table in (JOURNAL, JOURNAL_HEADS, JOURNAL_GAPS)]
        with self._database.reading() as connection:
            return tuple(sorted(connection.execute(union(*parts, _hosts_changed())).scalars()))

    def require_rows(self, host: str) -> None:
        """Raises JournalUnavailable where a run changed the host, as its result tells, and has no row in the journal."""
        rows = select(JOURNAL.c.run).where(JOURNAL.c.host == host)
        changed = _hosts_changed().where(HOST_RESULTS.c.host == host, RUNS.c.run.not_in(rows))
        lost = changed.with_only_columns(RUNS.c.run, RUNS.c.started).order_by(RUNS.c.run)
        with self._database.reading() as connection:
            row = last_write_off(connection, host, chain=self._chain)
            for run, started in connection.execute(lost):
                if row is None or started > row["time"]:
                    raise _without_rows(self._database.name, run, host)

    def prune_older_than(self, moment: datetime) -> int:
        """Forget runs begun before a moment (aware); how many. A run with open ends is kept."""
        return retention.prune(self._database, chain=self._chain, older_than=moment)

    def keep_newest(self, count: int) -> int:
        """Forget all but the newest runs; how many. A run with open ends is kept."""
        return retention.prune(self._database, chain=self._chain, keep=count)


def _hosts_changed(run: str = "") -> Select[tuple[str]]:
    """The hosts that a run, or any, changed as results tell. Who changes a host journals it: both are pruned together."""
    changed = (HOST_RESULTS.c.status == Status.CHANGED.value) & RUNS.c.mode.not_in(LOOKING)
    if run:
        changed &= HOST_RESULTS.c.run == run
    return select(HOST_RESULTS.c.host).join(RUNS, RUNS.c.run == HOST_RESULTS.c.run).where(changed)


def _without_rows(name: str, run: str, host: str) -> JournalUnavailable:
    return JournalUnavailable(
        f"the journal of {host} in {name} has lost all rows of run {run}, which changed this host",
        why="What that run did there is no longer known: none of it is undone.",
        try_="find out who changed the store; check the host; put back a copy of the store",
        code=JOURNAL_DAMAGED,
    )


def run_record(row: DatabaseRow[tuple[object, ...]]) -> RunRecord:
    """A row of `runs`."""
    return RunRecord(
        row.run, row.started, row.ended, row.mode, tuple(json.loads(row.playbooks)), row.username, row.version,
        row.exit_code, json.loads(row.hosts),
    )  # fmt: skip


def host_record(row: DatabaseRow[tuple[object, ...]]) -> HostRecord:
    """A row of `host_results`."""
    error = json.loads(row.error) if row.error else None
    return HostRecord(row.host, row.status, row.seconds, error, tuple(json.loads(row.resources)))
