"""One writer per host: leases with a deadline, and a token that grows with every new owner.

A lease is renewed while its owner works, and ends by itself when the owner is gone: at its deadline, or, where owners share a
state folder, at once (each keeps a file locked that the system unlocks when the process ends).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, RowMapping, select, text, update

from converge.errors import Held, JournalUnavailable, LeaseLost
from converge.store.database import Database
from converge.store.liveness import Beacon, is_gone
from converge.store.tables import LEASES

TERM = 30.0  # seconds from a renewal to the deadline
RENEWALS = 3  # of a term: two may fail before the lease is lost
LOOK = 0.25  # seconds between two looks at a lease that is waited for
_FIRST_ROW = text(
    "INSERT INTO leases (host, token, holder, owner, run, since, deadline) VALUES (:host, 0, NULL, '', '', '', 0)"
    " ON CONFLICT (host) DO NOTHING"
)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS has the one; its other counts sleep as well


def since_boot() -> float:
    """Seconds that also pass while the computer sleeps, as a deadline does for everybody else."""
    return time.clock_gettime(_CLOCK)


class Lease:
    """The right to change one host, until released. From the moment another owner has it, every use raises LeaseLost."""

    def __init__(self, leases: Leases, *, host: str, run: str, token: int) -> None:
        self._leases = leases
        self.host = host
        self.run = run
        self.token = token
        self._good_until = since_boot() + leases.term

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def confirm(self) -> None:
        """Called before each action: returns at once while the lease is known to be good, else asks the store. Raises LeaseLost."""
        if since_boot() < self._good_until:
            return
        with self._leases.database.writing() as connection:
            self.extend(connection)

    def extend(self, connection: Connection) -> None:
        """Renew within a transaction, which then commits only what this owner may still write. Raises LeaseLost."""
        began = since_boot()
        deadline = self._leases.database.now(connection) + self._leases.term
        mine = (LEASES.c.host == self.host) & (LEASES.c.token == self.token) & (LEASES.c.holder == self._leases.holder)
        if connection.execute(update(LEASES).where(mine).values(deadline=deadline)).rowcount != 1:
            self.lose()
            raise LeaseLost(
                f"another run has taken {self.host} over",
                why="This run did not renew its lease in time: it was suspended, or the store could not be reached.",
                try_="let the other run end, then run converge again",
            )
        self._good_until = began + self._leases.term

    def renewed(self, began: float) -> None:
        """The renewing thread renewed it, having begun at `began` (seconds since boot)."""
        self._good_until = max(self._good_until, began + self._leases.term)

    def lose(self) -> None:
        """It is no longer ours."""
        self._good_until = 0.0

    def release(self) -> None:
        """Let the next one in. A lease that cannot be released ends by itself."""
        self._leases.release(self)


class Leases:
    """The leases of this process, renewed by one thread. `owner` is what others are told: user, machine, process."""

    def __init__(self, database: Database, *, owner: str, beacons: Path | None, term: float = TERM) -> None:
        self.database = database
        self.holder = secrets.token_hex(8)
        self.term = term
        self._owner = owner
        self._beacons = beacons
        self._beacon: Beacon | None = None
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._renewer: threading.Thread | None = None

    def acquire(self, host: str, *, run: str, wait: float = 0.0, stop: Callable[[], bool] = lambda: False) -> Lease:
        """The lease of a host, waiting at most `wait` seconds for another owner. Raises Held and JournalUnavailable."""
        self._show_life()
        deadline = time.monotonic() + wait
        while True:
            with self.database.writing() as connection:
                lease = self._taken(connection, host, run)
                other = None if lease else self._row(connection, host)
            if lease is not None:
                self._keep(lease)
                return lease
            if other is not None and (time.monotonic() >= deadline or stop()):
                raise self._held_by(other)
            self._closed.wait(min(LOOK, max(0.0, deadline - time.monotonic())))

    def release(self, lease: Lease) -> None:
        """End a lease, if it is still ours."""
        lease.lose()
        with self._lock:
            self._held.pop(lease.host, None)
        mine = (LEASES.c.host == lease.host) & (LEASES.c.token == lease.token)
        try:
            with self.database.writing() as connection:
                connection.execute(update(LEASES).where(mine).values(holder=None, deadline=0.0))
        except JournalUnavailable:
            return

    def close(self) -> None:
        """Renew no more. What is still held, by threads that hang, ends by itself."""
        self._closed.set()
        if self._renewer is not None:
            self._renewer.join(timeout=5.0)
        if self._beacon is not None and not self._held:
            self._beacon.end()

    def _taken(self, connection: Connection, host: str, run: str) -> Lease | None:
        now = self.database.now(connection)
        connection.execute(_FIRST_ROW, {"host": host})
        row = self._row(connection, host)
        if row["holder"] is not None and row["deadline"] > now and not self._is_gone(row["holder"]):
            return None
        token = row["token"] + 1
        values = {
            "token": token, "holder": self.holder, "owner": self._owner, "run": run, "deadline": now + self.term,
            "since": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        connection.execute(update(LEASES).where(LEASES.c.host == host).values(values))
        return Lease(self, host=host, run=run, token=token)

    def _row(self, connection: Connection, host: str) -> RowMapping:
        wanted = select(LEASES).where(LEASES.c.host == host).with_for_update()
        return connection.execute(wanted).mappings().one()

    def _is_gone(self, holder: str) -> bool:
        return self._beacons is not None and is_gone(self._beacons, holder)

    def _held_by(self, row: RowMapping) -> Held:
        return Held(
            f"{row['host']} is held by {row['owner']} since {row['since']}, run {row['run']}",
            why="Only one run at a time changes a host.",
            try_=f"wait for it to end (--lease-timeout SECONDS); if it died, its lease ends by itself within {self.term:g} s",
        )

    def _show_life(self) -> None:
        if self._beacons is None:
            return
        with self._lock:
            if self._beacon is None:
                self._beacon = Beacon(self._beacons, self.holder)

    def _keep(self, lease: Lease) -> None:
        with self._lock:
            self._held[lease.host] = lease
            if self._renewer is None:
                self._renewer = threading.Thread(target=self._renew_all, name="leases", daemon=True)
                self._renewer.start()

    def _renew_all(self) -> None:
        while not self._closed.wait(self.term / RENEWALS):
            with self._lock:
                held = dict(self._held)
            if not held:
                continue
            began = since_boot()
            try:
                self._renew(held, began)
            except JournalUnavailable:
                continue  # the leases stay good for the rest of their term; then `confirm` says what is wrong

    def _renew(self, held: dict[str, Lease], began: float) -> None:
        with self.database.writing() as connection:
            deadline = self.database.now(connection) + self.term
            mine = LEASES.c.holder == self.holder
            connection.execute(update(LEASES).where(mine).values(deadline=deadline))
            tokens = dict(connection.execute(select(LEASES.c.host, LEASES.c.token).where(mine)).all())
        for host, lease in held.items():
            if tokens.get(host) == lease.token:
                lease.renewed(began)
            else:
                lease.lose()
