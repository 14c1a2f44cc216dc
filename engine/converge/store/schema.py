"""The tables of a store: made at once in an empty database, and those of this very version in any other."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from sqlalchemy import Connection, func, insert, inspect, select

from converge.errors import UsageError
from converge.store.database import Database
from converge.store.tables import METADATA, SETTINGS, SIGNING_KEY, VERSIONS

VERSION = 1
_ADVISORY_LOCK = 0x636F6E76  # of PostgreSQL; any number that all of us agree on


def create(database: Database) -> None:
    """Make the tables and the store's key where there are none, whoever else does so at the same time.

    Raises UsageError for the store of another version, JournalUnavailable.
    """
    if is_present(database):
        return
    with database.writing() as connection:
        if database.is_shared:
            connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        if _is_present(connection, database):
            return
        METADATA.create_all(connection)
        connection.execute(insert(SETTINGS).values(name=SIGNING_KEY, value=secrets.token_hex(32)))
        connection.execute(insert(VERSIONS).values(version=VERSION, applied=datetime.now(UTC).isoformat()))


def is_present(database: Database) -> bool:
    """Whether the tables are there. Raises UsageError for the store of another version, JournalUnavailable."""
    with database.reading() as connection:
        return _is_present(connection, database)


def _is_present(connection: Connection, database: Database) -> bool:
    """Whether the tables are there. One that was emptied of its version is not made anew: its rows are still there."""
    if not inspect(connection).has_table(VERSIONS.name):
        return False
    version = connection.execute(select(func.max(VERSIONS.c.version))).scalar()
    if version != VERSION:
        raise UsageError(
            f"the store {database.name} was written by another version of converge (its schema is {version}, this one "
            f"reads {VERSION})",
            try_="use that version, or another --store",
        )
    return True
