"""Writing a run down while it goes on: results of hosts are gathered and written about once a second, in one transaction."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select, text, update

from converge.model.change import HostResult, Status
from converge.model.recorded import UNDO_CHECK
from converge.store.chain import canonical
from converge.store.database import Database
from converge.store.host_state import IN_ORDER, differing, state_digest
from converge.store.tables import HOST_STATE, RUNS

PAUSE = 1.0  # seconds between two transactions
MOST = 500  # results that are gathered before that
_STATE = text(
    "INSERT INTO host_state (host, digest, status, run, seen) VALUES (:host, :digest, :status, :run, :seen)"
    " ON CONFLICT (host) DO UPDATE SET digest = excluded.digest, status = excluded.status, run = excluded.run,"
    " seen = excluded.seen"
)
_RESULT = text(
    "INSERT INTO host_results (run, host, status, seconds, error, resources)"
    " VALUES (:run, :host, :status, :seconds, :error, :resources)"
    " ON CONFLICT (run, host) DO UPDATE SET status = excluded.status, seconds = excluded.seconds,"
    " error = excluded.error, resources = excluded.resources"
)


class Recording:
    """One run being written down, from one thread. Every method may raise JournalUnavailable."""

    def __init__(self, database: Database, run: str, *, mode: str = "") -> None:
        self._database = database
        self._run = run
        self._tells_hosts = mode != UNDO_CHECK  # what an undo would do says nothing of how a host stands to what is declared
        self._waiting: list[HostResult] = []
        self._last = time.monotonic()
        self._counts: Counter[str] = Counter()

    def host(self, result: HostResult) -> None:
        """What became of a host."""
        self._waiting.append(result)
        if len(self._waiting) >= MOST or time.monotonic() - self._last >= PAUSE:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        results, self._waiting = self._waiting, []
        self._last = time.monotonic()
        if results:
            with self._database.writing() as connection:
                self._write(connection, results)

    def end(self, exit_code: int) -> None:
        """The run is over."""
        self.flush()
        with self._database.writing() as connection:
            ended = {"ended": now_text(), "exit_code": exit_code, "hosts": json.dumps(dict(self._counts))}
            connection.execute(update(RUNS).where(RUNS.c.run == self._run).values(ended))

    def _write(self, connection: Connection, results: Sequence[HostResult]) -> None:
        hosts = [result.host for result in results]
        wanted = select(HOST_STATE.c.host, HOST_STATE.c.digest).where(HOST_STATE.c.host.in_(hosts))
        known = dict(connection.execute(wanted).all())
        seen = now_text()
        states, unusual = [], []
        for result in results:
            self._counts[result.status.value] += 1
            digest = state_digest(result)
            same = known.get(result.host) == digest
            status = result.status.value
            if self._tells_hosts and _was_seen(result):
                states.append({"host": result.host, "digest": digest, "status": status, "run": self._run, "seen": seen})
            if not same or result.status not in IN_ORDER or not self._tells_hosts:
                unusual.append(self._row(result))
        for statement, rows in ((_STATE, states), (_RESULT, unusual)):
            if rows:
                connection.execute(statement, rows)

    def _row(self, result: HostResult) -> dict[str, object]:
        return {
            "run": self._run,
            "host": result.host,
            "status": result.status.value,
            "seconds": result.seconds,
            "error": canonical(result.error.as_json()) if result.error else None,
            "resources": json.dumps(differing(result)),
        }


def _was_seen(result: HostResult) -> bool:
    """Whether anything was learnt of the host: not if it was held, out of reach, or left out."""
    left_out = result.status is Status.SKIPPED and result.error is not None
    return not left_out and result.status not in (Status.HELD, Status.UNREACHABLE)


def begin(database: Database, *, run: str, mode: str, playbooks: Sequence[str], user: str, version: str) -> Recording:
    """Write down that a run begins. Raises JournalUnavailable."""
    values = {
        "run": run, "started": now_text(), "mode": mode, "playbooks": json.dumps(list(playbooks)), "username": user,
        "version": version, "hosts": "{}",
    }  # fmt: skip
    with database.writing() as connection:
        connection.execute(insert(RUNS).values(values))
    return Recording(database, run, mode=mode)


def now_text() -> str:
    """The present moment, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
