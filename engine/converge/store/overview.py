"""The store asked as a whole, for whoever shows it: the fleet now, one host's past, a run's hosts by the page. Only reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Row, case, func, select, text

from converge.model.overview import HostLatest, LastResult, Told
from converge.model.recorded import HostRecord, RunRecord
from converge.store.database import Database
from converge.store.runs import host_record, run_record
from converge.store.tables import HOST_RESULTS, HOST_STATE, JOURNAL, RUNS

# From host to host along the index: a scan of all results would read as many rows as there are runs to each host.
_LATEST = text(
    "WITH RECURSIVE names(host) AS (SELECT min(host) FROM host_results UNION ALL"
    " SELECT (SELECT min(more.host) FROM host_results more WHERE more.host > names.host) FROM names"
    " WHERE names.host IS NOT NULL)"
    " SELECT r.host, r.run, r.status, r.error, r.resources, runs.mode, runs.started, runs.playbooks FROM names"
    " JOIN host_results r ON r.host = names.host"
    " AND r.run = (SELECT newest.run FROM host_results newest JOIN runs its ON its.run = newest.run"
    " WHERE newest.host = names.host AND its.mode <> 'undo-check' ORDER BY newest.run DESC LIMIT 1)"
    " JOIN runs ON runs.run = r.run WHERE names.host IS NOT NULL"
)
_STATES = text(
    "SELECT s.host, s.status, s.run, s.seen, runs.mode, runs.playbooks FROM host_state s"
    " LEFT JOIN runs ON runs.run = s.run"
)


class Overview:
    """What the store knows, in few queries. Every method may raise JournalUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def version(self) -> str:
        """A text that differs whenever something was written since it was last asked for, by one thread at a time.

        SQLite counts for each connection by itself: ask a store that is opened for nothing else.
        """
        question = "SELECT pg_current_snapshot()::text" if self._database.is_shared else "PRAGMA data_version"
        with self._database.reading() as connection:
            return str(connection.exec_driver_sql(question).scalar_one())

    def hosts(self) -> list[HostLatest]:
        """Every host that was ever spoken of, in no order."""
        with self._database.reading() as connection:
            results = {row.host: row for row in connection.execute(_LATEST)}
            states = connection.execute(_STATES).all()
        found = []
        for state in states:
            row = results.pop(state.host, None)
            if row is None or state.run > row.run:
                mode, playbooks = state.mode or "", state.playbooks or "[]"
                found.append(HostLatest(state.host, state.status, state.run, mode, playbooks, state.seen, None))
            else:
                result = _result(row)
                found.append(HostLatest(state.host, row.status, row.run, row.mode, row.playbooks, state.seen, result))
        for host, row in results.items():
            found.append(HostLatest(host, row.status, row.run, row.mode, row.playbooks, None, _result(row)))
        return found

    def runs(
        self, *, limit: int, before: str | None = None, modes: Sequence[str] = (), playbook: str = ""
    ) -> list[RunRecord]:
        """Runs, newest first: those before a run, of some modes, of a playbook."""
        wanted = select(RUNS).order_by(RUNS.c.run.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(RUNS.c.run < before)
        if modes:
            wanted = wanted.where(RUNS.c.mode.in_(modes))
        if playbook:
            wanted = wanted.where(RUNS.c.playbooks.contains(json.dumps(playbook), autoescape=True))
        with self._database.reading() as connection:
            return [run_record(row) for row in connection.execute(wanted)]

    def playbooks(self, *, newest: int) -> list[str]:
        """The playbooks of the newest runs, by name."""
        wanted = select(RUNS.c.playbooks).order_by(RUNS.c.run.desc()).limit(newest)
        with self._database.reading() as connection:
            texts = set(connection.execute(wanted).scalars())
        return sorted({str(name) for each in texts for name in json.loads(each)})

    def progress(self, run: str) -> Counter[str]:
        """How many hosts of each status a run that has not ended came to so far."""
        told = select(HOST_RESULTS.c.host).where(HOST_RESULTS.c.run == run)
        results = select(HOST_RESULTS.c.status, func.count()).where(HOST_RESULTS.c.run == run)
        states = select(HOST_STATE.c.status, func.count()).where(HOST_STATE.c.run == run)
        states = states.where(HOST_STATE.c.host.not_in(told))
        counts: Counter[str] = Counter()
        with self._database.reading() as connection:
            for query, column in ((results, HOST_RESULTS.c.status), (states, HOST_STATE.c.status)):
                counts.update(dict(connection.execute(query.group_by(column)).all()))
        return counts

    def last_heard(self, run: str) -> str | None:
        """When a run last wrote down that it had seen a host (ISO 8601 in UTC)."""
        wanted = select(func.max(HOST_STATE.c.seen)).where(HOST_STATE.c.run == run)
        with self._database.reading() as connection:
            seen: str | None = connection.execute(wanted).scalar()
        return seen

    def results(
        self, run: str, *, offset: int, limit: int, status: str = "", text: str = "", first: Sequence[str] = ()
    ) -> tuple[int, list[HostRecord]]:
        """The hosts of which a run has something to tell: how many, and one page of them by name, some statuses first."""
        which = HOST_RESULTS.c.run == run
        if status:
            which &= HOST_RESULTS.c.status == status
        if text:
            which &= func.lower(HOST_RESULTS.c.host).contains(text.lower(), autoescape=True)
        rank = case({each: number for number, each in enumerate(first)}, value=HOST_RESULTS.c.status, else_=len(first))
        page = select(HOST_RESULTS).where(which).order_by(*([rank] if first else []), HOST_RESULTS.c.host)
        with self._database.reading() as connection:
            count = connection.execute(select(func.count()).select_from(HOST_RESULTS).where(which)).scalar_one()
            rows = connection.execute(page.offset(offset).limit(limit)).all()
        return count, [host_record(row) for row in rows]

    def result(self, run: str, host: str) -> HostRecord | None:
        """What one run has to tell of one host."""
        wanted = select(HOST_RESULTS).where((HOST_RESULTS.c.run == run) & (HOST_RESULTS.c.host == host))
        with self._database.reading() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else host_record(row)

    def without_result(self, run: str, *, limit: int) -> list[str]:
        """Hosts on which a run began something and of which it has told no result yet, by name."""
        told = select(HOST_RESULTS.c.host).where(HOST_RESULTS.c.run == run)
        wanted = select(JOURNAL.c.host).where((JOURNAL.c.run == run) & JOURNAL.c.host.not_in(told)).distinct()
        with self._database.reading() as connection:
            return list(connection.execute(wanted.order_by(JOURNAL.c.host).limit(limit)).scalars())

    def story(self, host: str, *, limit: int, before: str | None = None) -> list[Told]:
        """What there is to tell of a host, run by run, newest first: results, and runs that left only a journal."""
        results = select(HOST_RESULTS, RUNS.c.mode, RUNS.c.started).join(RUNS, RUNS.c.run == HOST_RESULTS.c.run)
        results = results.where(HOST_RESULTS.c.host == host).order_by(HOST_RESULTS.c.run.desc()).limit(limit)
        journals = select(JOURNAL.c.run, RUNS.c.mode, RUNS.c.started).join(RUNS, RUNS.c.run == JOURNAL.c.run)
        journals = journals.where(JOURNAL.c.host == host).distinct().order_by(JOURNAL.c.run.desc()).limit(limit)
        if before is not None:
            results = results.where(HOST_RESULTS.c.run < before)
            journals = journals.where(JOURNAL.c.run < before)
        with self._database.reading() as connection:
            told = connection.execute(results).all()
            journaled = {row.run: row for row in connection.execute(journals)}
        found = {row.run: Told(row.run, row.mode, row.started, host_record(row), row.run in journaled) for row in told}
        for run, row in journaled.items():
            found.setdefault(run, Told(run, row.mode, row.started, None, journaled=True))
        return sorted(found.values(), key=lambda each: each.run, reverse=True)[:limit]


def _result(row: Row[tuple[object, ...]]) -> LastResult:
    return LastResult(row.run, row.mode, row.started, row.status, row.error or "", row.resources)
