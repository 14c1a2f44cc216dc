"""Every test of the store that asks for `where` runs twice: on a SQLite file and on a real PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.store.postgresql_server import ABSENT, programs, served

from converge.model.journal import RegistrySnapshot
from converge.store.journal import StoredJournal
from converge.store.store import Store, Where

_schemas = 0


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Path]:
    """The folder of the socket of a PostgreSQL server."""
    binaries = programs()
    if binaries is None:
        pytest.skip(ABSENT)
    with served(binaries) as folder:
        yield folder


@pytest.fixture
def postgresql_url(postgresql: Path) -> str:
    """An empty schema of its own."""
    import psycopg

    global _schemas
    _schemas += 1
    name = f"test_{os.getpid()}_{_schemas}"
    with psycopg.connect(host=str(postgresql), user="converge", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"postgresql://converge@/postgres?host={postgresql}&options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """An empty store on each kind of database."""
    if request.param == "sqlite":
        return Where(tmp_path / "state")
    return Where(tmp_path / "state", url=request.getfixturevalue("postgresql_url"))


@pytest.fixture
def store(where: Where) -> Iterator[Store]:
    """An open store on each kind of database."""
    with Store.open(where) as opened:
        yield opened


def render(snapshot: RegistrySnapshot) -> bytes:
    """A .reg file, as far as it matters here."""
    return f"{len(snapshot.keys)} keys".encode()


@dataclass
class Bookkeeper:
    """Writes journals as runs do, one host at a time."""

    store: Store

    def record(self, run: str, *events: object, host: str = "mail01") -> None:
        """One run's journal of a host; without RunEnded among the events it is a run that was broken off."""
        with self.store.leases.acquire(host, run=run) as lease:
            book = self.store.journal(lease, render=render)
            for event in events:
                book.write(event)  # type: ignore[arg-type]  # events of every kind

    def journal(self, run: str, host: str = "mail01") -> StoredJournal:
        """A journal that is being written; its lease is held to the end of the test."""
        return self.store.journal(self.store.leases.acquire(host, run=run), render=render)


@pytest.fixture
def books(store: Store) -> Bookkeeper:
    """Journals in an open store."""
    return Bookkeeper(store)


Rows = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def rows(where: Where, store: Store) -> Rows:
    """Reads and writes the database behind the store's back."""
    from sqlalchemy import create_engine, text

    url = where.url.replace("postgresql:", "postgresql+psycopg:") or f"sqlite:///{where.folder}/converge.db"
    engine = create_engine(url)

    def execute(statement: str, **values: object) -> list[tuple[object, ...]]:
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    return execute
