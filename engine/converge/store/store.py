"""The store: everything that is remembered between runs, in one database. What the other rooms are given."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import make_url, select, text
from sqlalchemy.exc import ArgumentError

from converge.errors import JournalUnavailable, StoreEmpty, UsageError
from converge.model.journal import History, JournalWrittenOff, RegistrySnapshot
from converge.model.opening import require_state_folder
from converge.model.secret import Secret
from converge.store import known_stores, schema, writing_off
from converge.store.chain import Chain
from converge.store.committing import Committer
from converge.store.database import PATIENCE, Database, open_postgresql, open_sqlite
from converge.store.enforcement import Enforcement
from converge.store.intentions import Intentions
from converge.store.journal import (
    JOURNAL_DAMAGED,
    JournalParts,
    StoredJournal,
    hosts_with_open_rows,
    read_history,
    verify_chain,
)
from converge.store.keys import key_name
from converge.store.known_stores import KnownStores
from converge.store.leases import TERM, Lease, Leases
from converge.store.overview import Overview
from converge.store.places import StoredPlaces
from converge.store.plans import AppliedPlans
from converge.store.runs import Runs
from converge.store.sealing import Sealing
from converge.store.tables import SETTINGS, SIGNING_KEY

FILE_NAME = "converge.db"
SALT = "journal key salt"
_NEW_SETTING = text("INSERT INTO settings (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING")


@dataclass(frozen=True, slots=True)
class Where:
    """Where a store is: `url` of PostgreSQL, or empty for a file in the state folder; `folder` also holds the .reg files.

    `key` is the text of CONVERGE_JOURNAL_KEY; `term` the seconds of a lease; `patience` those to wait for other users of the store.
    `is_new`: a store that was used here before under this name may be gone.
    """

    folder: Path
    url: str = ""
    key: Secret | None = None
    read_only: bool = False
    is_new: bool = False
    term: float = TERM
    patience: float = PATIENCE


class Store:
    """An open store. Close it, or use it in a `with`."""

    def __init__(self, database: Database, where: Where, *, signing_key: bytes) -> None:
        self._database = database
        self._where = where
        self._committer = Committer(database)
        self._chain = Chain.of(signing_key)
        self.signing_key = signing_key
        """32 random bytes, made once for this store: what its journal is chained and saved plans are signed with."""
        self.runs = Runs(database, chain=self._chain)
        self.overview = Overview(database)
        self.plans = AppliedPlans(database)
        self.enforcement = Enforcement(database)
        self.intentions = Intentions(database)
        self.places = StoredPlaces(database)
        self.leases = Leases(
            database, owner=owner(), beacons=None if database.is_shared else where.folder / "leases", term=where.term
        )

    @classmethod
    def open(cls, where: Where) -> Self:
        """Open it, and make it where there is none. Raises JournalUnavailable and UsageError; StoreLost where one was used before."""
        require_state_folder(where.folder, only_read=where.read_only)
        database = _database(where)
        try:
            if where.read_only:
                if not schema.is_present(database):
                    raise StoreEmpty(f"the store {database.name} is empty: nothing was recorded in it")
                return cls(database, where, signing_key=_signing_key(database))
            return cls(database, where, signing_key=_key_of_known(database, where))
        except BaseException:
            database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        self.leases.close()
        self._database.close()

    @property
    def name(self) -> str:
        """The store as people are told of it: a path, or a URL without its password."""
        return self._database.name

    @property
    def is_shared(self) -> bool:
        """Whether leases bind every machine that uses it; those of a file bind one state folder."""
        return self._database.is_shared

    @property
    def read_only(self) -> bool:
        """Whether it was opened to be read only."""
        return self._where.read_only

    @property
    def keeps_secrets(self) -> bool:
        """Whether sensitive values are kept, encrypted."""
        return self._where.key is not None

    def journal(self, lease: Lease, *, render: Callable[[RegistrySnapshot], bytes]) -> StoredJournal:
        """The journal of the leased host; `render` makes the text of a .reg file."""
        parts = JournalParts(self._chain, self._committer, self._where.folder, render, self.sealing)
        return StoredJournal(self._database, lease, parts=parts)

    def history(self, host: str) -> History:
        """What is open on a host. Raises JournalUnavailable, also where its journal does not fit together."""
        return read_history(self._database, host, chain=self._chain)

    def still_open(self) -> dict[str, History]:
        """Every host on which something is open, and what. Raises JournalUnavailable."""
        found = {host: self.history(host) for host in hosts_with_open_rows(self._database)}
        return {host: history for host, history in found.items() if history != History()}

    def verify(self, host: str) -> int:
        """Look through the whole journal of a host; how many rows it has. Raises JournalUnavailable where it is damaged."""
        rows = verify_chain(self._database, host, chain=self._chain)
        self.history(host)
        self.runs.require_rows(host)
        return rows

    def journaled_hosts(self) -> tuple[str, ...]:
        """Every host that has a journal, or that a run changed. Raises JournalUnavailable."""
        return self.runs.every_host()

    def damage(self, host: str) -> JournalUnavailable | None:
        """Why the journal of a host cannot be relied upon, if so. Raises JournalUnavailable where the store does not answer."""
        try:
            self.verify(host)
        except JournalUnavailable as error:
            if error.code != JOURNAL_DAMAGED:
                raise
            return error
        return None

    def write_off(self, host: str, *, reason: str) -> None:
        """Give up a damaged journal: a new one begins behind it, and no run before now can be taken back on this host.

        Raises UsageError where the journal is whole, Held while a run changes the host, JournalUnavailable.
        """
        with self.leases.acquire(host, run=writing_off.RUN) as lease:
            if (damage := self.damage(host)) is None:
                raise UsageError(f"the journal of {host} is intact: there is nothing to write off")
            event = JournalWrittenOff(owner(), reason, damage.what)
            with self._database.writing() as connection:
                lease.extend(connection)
                writing_off.write_off(connection, host, chain=self._chain, token=lease.token, event=event)

    @cached_property
    def sealing(self) -> Sealing | None:
        """Seals and opens sensitive values; None without a key."""
        if self._where.key is None:
            return None
        return Sealing(self._where.key, salt=self._salt())

    def _salt(self) -> bytes:
        found = _setting(self._database, SALT)
        if found is None:
            with self._database.writing() as connection:
                connection.execute(_NEW_SETTING, {"name": SALT, "value": secrets.token_hex(32)})
            found = _setting(self._database, SALT)
            assert found is not None
        return found


def _setting(database: Database, name: str) -> bytes | None:
    """One of the random values of a store. Raises JournalUnavailable."""
    with database.reading() as connection:
        value = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == name)).scalar()
    try:
        return None if value is None else bytes.fromhex(value)
    except ValueError:
        return b""


def _signing_key(database: Database) -> bytes:
    """The key that was made with the store. Raises JournalUnavailable: no other would do in its place."""
    key = _setting(database, SIGNING_KEY)
    if not key:
        raise JournalUnavailable(
            f"the store {database.name} has lost its key",
            why="Without it nobody can tell whether its journals are what was written.",
            try_="put back a copy of it; or check the hosts, then use another --store",
            code="store-damaged",
        )
    return key


def _key_of_known(database: Database, where: Where) -> bytes:
    """The key of a store that is the one used here before, or that is said to be new. Raises StoreLost, JournalUnavailable."""
    known, name = KnownStores(where.folder), database.name if where.url else FILE_NAME
    before = None if where.is_new else known.key_name(name)
    if before is not None and not schema.is_present(database):
        raise known_stores.empty(database.name)
    schema.create(database)
    key = _signing_key(database)
    if before not in (None, key_name(key)):
        raise known_stores.another(database.name)
    if before is None:
        known.remember(name, key_name(key))
    return key


def _database(where: Where) -> Database:
    if not where.url:
        return open_sqlite(where.folder / FILE_NAME, read_only=where.read_only, patience=where.patience)
    try:
        url = make_url(where.url)
    except ArgumentError:
        raise _not_understood() from None  # the URL may hold a password: it is not quoted
    kind = url.get_backend_name() if url.drivername else ""
    if kind == "sqlite" and url.database:
        return open_sqlite(Path(url.database).absolute(), read_only=where.read_only, patience=where.patience)
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return open_postgresql(url, read_only=where.read_only, patience=where.patience)
    raise _not_understood()


def _not_understood() -> UsageError:
    return UsageError(
        "--store is not a store: it must be a URL of PostgreSQL or of a SQLite file",
        try_="--store postgresql://USER@HOST/DATABASE, or --store sqlite:///FILE, or none for .converge/converge.db",
    )


def owner() -> str:
    """Who this process is to others: `user@machine pid 123`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"
