"""From any older schema to the present one, by numbered steps that are never changed once released."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, func, insert, inspect, select, text

from converge.errors import JournalUnavailable
from converge.store.database import Database
from converge.store.rechaining import key_the_chains
from converge.store.tables import VERSIONS

_ADVISORY_LOCK = 0x636F6E76  # of PostgreSQL; any number that all of us agree on


def _first(connection: Connection) -> None:
    for statement in (
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE runs (run TEXT PRIMARY KEY, started TEXT NOT NULL, ended TEXT, mode TEXT NOT NULL,"
        " playbooks TEXT NOT NULL, username TEXT NOT NULL, version TEXT NOT NULL, exit_code BIGINT, hosts TEXT NOT NULL)",
        "CREATE TABLE host_results (run TEXT NOT NULL, host TEXT NOT NULL, status TEXT NOT NULL,"
        " seconds DOUBLE PRECISION NOT NULL, error TEXT, resources TEXT NOT NULL, PRIMARY KEY (run, host))",
        "CREATE TABLE host_state (host TEXT PRIMARY KEY, digest TEXT NOT NULL, status TEXT NOT NULL, run TEXT NOT NULL,"
        " seen TEXT NOT NULL)",
        "CREATE TABLE journal (host TEXT NOT NULL, number BIGINT NOT NULL, run TEXT NOT NULL, body TEXT NOT NULL,"
        " hash TEXT NOT NULL, PRIMARY KEY (host, number))",
        "CREATE INDEX journal_by_run ON journal (run, host, number)",
        "CREATE TABLE journal_heads (host TEXT PRIMARY KEY, number BIGINT NOT NULL, hash TEXT NOT NULL,"
        " settled BIGINT NOT NULL, settled_hash TEXT NOT NULL)",
        "CREATE TABLE journal_gaps (host TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, hash TEXT NOT NULL,"
        " PRIMARY KEY (host, first))",
        "CREATE TABLE leases (host TEXT PRIMARY KEY, token BIGINT NOT NULL, holder TEXT, owner TEXT NOT NULL,"
        " run TEXT NOT NULL, since TEXT NOT NULL, deadline DOUBLE PRECISION NOT NULL)",
        "CREATE TABLE applied_plans (plan TEXT NOT NULL, host TEXT NOT NULL, run TEXT NOT NULL, applied TEXT NOT NULL,"
        " PRIMARY KEY (plan, host))",
        "CREATE TABLE places (host TEXT NOT NULL, search TEXT NOT NULL, found TEXT NOT NULL, last_full TEXT NOT NULL,"
        " PRIMARY KEY (host, search))",
    ):
        connection.execute(text(statement))


def _second(connection: Connection) -> None:
    for statement in (
        "CREATE TABLE enforced_groups (name TEXT PRIMARY KEY, begun TEXT NOT NULL)",
        "CREATE TABLE enforced_drift (name TEXT NOT NULL, host TEXT NOT NULL, address TEXT NOT NULL, since TEXT,"
        " repaired TEXT, reverted BIGINT NOT NULL, quarantined TEXT, PRIMARY KEY (name, host, address))",
    ):
        connection.execute(text(statement))


def _third(connection: Connection) -> None:
    for statement in (
        "CREATE TABLE enforced_outlook (name TEXT PRIMARY KEY, mode TEXT NOT NULL, revision TEXT NOT NULL,"
        " owner TEXT NOT NULL, written TEXT NOT NULL, due TEXT, error TEXT NOT NULL)",
        "CREATE TABLE enforced_intentions (name TEXT NOT NULL, host TEXT NOT NULL, address TEXT NOT NULL,"
        " reason TEXT NOT NULL, due TEXT, words TEXT NOT NULL, PRIMARY KEY (name, host, address))",
        "CREATE TABLE refused_logins (account TEXT NOT NULL, host TEXT NOT NULL, refused TEXT NOT NULL,"
        " PRIMARY KEY (account, host))",
    ):
        connection.execute(text(statement))


def _fourth(connection: Connection) -> None:
    connection.execute(text("CREATE INDEX host_results_by_host ON host_results (host, run)"))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first, _second, _third, _fourth, key_the_chains)
"""The step at index n leads from version n to n + 1."""


def migrate(database: Database) -> None:
    """Bring the schema up to date, whoever else does so at the same time. Raises JournalUnavailable for a newer one."""
    with database.reading() as connection:
        if _version(connection, database) == len(MIGRATIONS):
            return
    with database.writing() as connection:
        if database.is_shared:
            connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        for number in range(_version(connection, database), len(MIGRATIONS)):
            if number == 0:
                connection.execute(
                    text("CREATE TABLE schema_version (version BIGINT PRIMARY KEY, applied TEXT NOT NULL)")
                )
            MIGRATIONS[number](connection)
            connection.execute(insert(VERSIONS).values(version=number + 1, applied=datetime.now(UTC).isoformat()))


def require_present(database: Database) -> None:
    """For a store that is only read: its schema must be the present one. Raises JournalUnavailable."""
    with database.reading() as connection:
        version = _version(connection, database)
    if version != len(MIGRATIONS):
        raise JournalUnavailable(
            f"the store {database.name} has schema {version}; this converge reads {len(MIGRATIONS)}",
            try_="open it once with an account that may write to it",
        )


def _version(connection: Connection, database: Database) -> int:
    """The version of the schema; 0 for an empty database."""
    if not inspect(connection).has_table(VERSIONS.name):
        return 0
    version = connection.execute(select(func.max(VERSIONS.c.version))).scalar() or 0
    if version > len(MIGRATIONS):
        raise JournalUnavailable(
            f"the store {database.name} was written by a newer converge: its schema is {version}, "
            f"this one knows {len(MIGRATIONS)}",
            try_="use the newer converge, or another --store",
            code="store-newer",
        )
    return int(version)
