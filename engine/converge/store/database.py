"""The database behind the store: SQLite in a file of its own, or PostgreSQL. Knows transactions, durability and errors, no tables."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from converge.errors import JournalUnavailable, UsageError
from converge.model.extras import how_to_install
from converge.model.opening import require_ordinary
from converge.store import durable

PATIENCE = 30.0  # seconds to wait for another process that is writing
CONNECTIONS = 5  # of one process; threads wait for one another
_WRITES = "converge_writes"


class Database:
    """Transactions on one database, from many threads. Every error of it is JournalUnavailable, with what can be done."""

    def __init__(self, engine: Engine, *, name: str, is_shared: bool, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock
        self.name = name
        self.is_shared = is_shared
        # SQLite has one writer at a time: waiting in line here is fairer than polling the file's lock.
        self._turn = nullcontext() if is_shared else threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent look. Raises JournalUnavailable."""
        with self._told(), self._engine.connect() as connection:
            # A server shows each statement what was committed by then, unless it is asked for one moment for all of them.
            yield connection.execution_options(isolation_level="REPEATABLE READ") if self.is_shared else connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: on the disk when this block has ended, undone when it raises. Raises JournalUnavailable."""
        with self._told(), self._turn, self._engine.connect() as plain:
            connection = plain.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    def now(self, connection: Connection) -> float:
        """Seconds since 1970 by the clock that everybody who shares this database goes by."""
        if not self.is_shared:
            return self._clock()
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise unavailable(self.name, _words(error)) from error
        except (OSError, sqlite3.Error, UnicodeEncodeError) as error:
            raise unavailable(self.name, _in_words(error)) from error


def open_sqlite(
    path: Path, *, read_only: bool = False, patience: float = PATIENCE, clock: Callable[[], float] = time.time
) -> Database:
    """The database in this file, made if it is not there and may be. `patience` is in seconds. Raises JournalUnavailable."""
    try:
        if not read_only:
            durable.make_folder(path.parent)
            _make_private(path)
        elif path.exists():
            require_ordinary(path)
    except OSError as error:
        raise unavailable(str(path), error.strerror or str(error)) from error
    address = f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rw'}"

    def connect() -> sqlite3.Connection:
        try:
            return opened(address)
        except sqlite3.OperationalError as error:
            # Without space, or a writable folder, SQLite cannot share memory with writers; without a log there are none to miss.
            # One who has it to himself is there, and waited for.
            if not read_only or _has_log(path) or error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            return opened(f"{address}&immutable=1")

    def opened(address: str) -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None, check_same_thread=False)
        try:
            if not read_only:
                _log_ahead(connection)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("SELECT count(*) FROM sqlite_master")  # whether it can be read at all
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=CONNECTIONS, max_overflow=0,
        pool_timeout=4 * patience, hide_parameters=True,
    )  # fmt: skip

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return Database(engine, name=str(path), is_shared=False, clock=clock)


def open_postgresql(url: URL, *, read_only: bool = False, patience: float = PATIENCE) -> Database:
    """The database at this URL. `patience` is in seconds. Raises JournalUnavailable and UsageError."""
    shown = url.set(drivername="postgresql").difference_update_query(["password"])
    name = shown.render_as_string(hide_password=True)
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"), pool_size=CONNECTIONS, max_overflow=0, pool_pre_ping=True,
            pool_timeout=4 * patience, hide_parameters=True, connect_args={"connect_timeout": min(10, int(patience) + 1)},
        )  # fmt: skip
    except ImportError as error:
        raise UsageError(
            "PostgreSQL needs psycopg, which is not installed", try_=how_to_install("postgres")
        ) from error
    except (ArgumentError, TypeError, ValueError) as error:
        raise UsageError(f"the store {name} is not a URL of PostgreSQL", try_="postgresql://USER@HOST/DATABASE") from error

    @event.listens_for(engine, "connect")
    def connect(connection: object, _record: object) -> None:
        # A server may be set to answer before its disk has; what is journaled must not be lost with its power.
        with connection.cursor() as cursor:  # type: ignore[attr-defined]  # a connection of psycopg
            cursor.execute("SET synchronous_commit = on")
            cursor.execute(f"SET lock_timeout = '{patience:.0f}s'")
            cursor.execute(f"SET statement_timeout = '{4 * patience:.0f}s'")
            if read_only:
                cursor.execute("SET default_transaction_read_only = on")
        connection.commit()  # type: ignore[attr-defined]

    return Database(engine, name=name, is_shared=True)


def unavailable(name: str, words: str) -> JournalUnavailable:
    """The error for a store that does not work, with what can be done about it."""
    if any(sign in words for sign in ("not a database", "malformed", "disk image", "no such table", "no such column")):
        return JournalUnavailable(
            f"the store {name} is damaged: {words}",
            why="What earlier runs left unfinished on the hosts is not known.",
            try_="put back a copy of it; or check the hosts, then move it away with its -wal and -shm files",
            code="store-damaged",
        )
    return JournalUnavailable(
        f"the store {name} cannot be used: {words}",
        why="Nothing is changed on a host that could not be recorded.",
        try_="make it reachable and writable for this account, with space left on its disk",
    )


def _make_private(path: Path) -> None:
    try:
        os.close(durable.create(path))
    except FileExistsError:
        require_ordinary(path)


def _has_log(path: Path) -> bool:
    """Whether something was written that is not in the file itself yet."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. Whoever else opens a new file at this moment is waited for: SQLite does not."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.05)


def _words(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error.__cause__ or error
    return _in_words(cause)


def _in_words(error: BaseException) -> str:
    if getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE":  # "disk I/O error" would be read as damage
        return "database or disk is full"
    return " ".join(str(error).split())
