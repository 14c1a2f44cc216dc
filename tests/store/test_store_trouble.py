"""Disks that are full, folders that may not be written, files that are damaged, schemas that are newer, many processes at once."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect
from tests.store.conftest import Bookkeeper, Rows

from converge.errors import ConvergeError, JournalUnavailable, UsageError
from converge.model.journal import ActionIntended, History, RunEnded
from converge.store.schema import VERSION
from converge.store.store import Store, Where
from converge.store.tables import METADATA

INTENDED = ActionIntended(1, 1, "service:SMTPSVC", {"action": "StartService"})


def script(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    head = (
        "import sys\nfrom pathlib import Path\nfrom converge.errors import ConvergeError\n"
        "from converge.model.journal import *\nfrom converge.store.store import Store, Where\n"
    )
    return subprocess.run(
        [sys.executable, "-c", head + code, *map(str, words)], capture_output=True, text=True, timeout=90, check=False
    )


def as_stranger(work: Callable[[], str]) -> str:
    """What `work` returns in a process that owns nothing: permissions bind nobody who is root."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(writer, work().encode())
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is what the test is told
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        return pipe.read().decode()


class TestFiles:
    def test_they_are_for_their_owner_alone(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            with Store.open(Where(tmp_path / "state")) as store:
                store.leases.acquire("mail01", run="1")
                found = {
                    path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").glob("converge*")
                }
        finally:
            os.umask(before)
        assert found == {"converge.db": 0o600, "converge.db-wal": 0o600, "converge.db-shm": 0o600}
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700

    def test_what_is_journaled_waits_for_the_disk(self, tmp_path: Path) -> None:
        with Store.open(Where(tmp_path)) as store, store._database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2

    def test_postgresql_is_told_to_wait_for_its_disk(self, tmp_path: Path, postgresql_url: str) -> None:
        with Store.open(Where(tmp_path, url=postgresql_url)) as store, store._database.reading() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"

    @pytest.mark.parametrize("content", [b"no database " * 2000, b"SQLite format 3\0" + b"\xff" * 8000])
    def test_a_damaged_file_is_told_with_what_to_do(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "converge.db").write_bytes(content)
        with pytest.raises(JournalUnavailable, match="is damaged") as told:
            Store.open(Where(tmp_path))
        assert str(tmp_path / "converge.db") in told.value.what
        assert "move it away" in told.value.try_
        assert (tmp_path / "converge.db").read_bytes() == content, "what could be rescued is left alone"

    def test_a_file_damaged_in_the_middle_is_told(self, tmp_path: Path) -> None:
        where = Where(tmp_path)
        with Store.open(where) as store, store.leases.acquire("mail01", run="1") as lease:
            for _ in range(200):
                store.journal(lease, render=lambda _: b"").write(INTENDED)
        path = tmp_path / "converge.db"
        data = bytearray(path.read_bytes())
        data[20 * 4096 :] = b"\xa5" * (len(data) - 20 * 4096)
        path.write_bytes(data)
        with pytest.raises(JournalUnavailable, match="damaged"), Store.open(where) as store:
            store.history("mail01")

    def test_a_folder_where_the_file_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "converge.db").mkdir()
        with pytest.raises(JournalUnavailable, match="cannot be used"):
            Store.open(Where(tmp_path))

    def test_a_full_disk_keeps_what_was_written_and_says_so(self, tmp_path: Path) -> None:
        code = (
            "import resource\n"
            "with Store.open(Where(Path(sys.argv[1]))) as store, store.leases.acquire('mail01', run='1') as lease:\n"
            "    book = store.journal(lease, render=lambda _: b'')\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
            "    written = 0\n"
            "    try:\n"
            "        while True:\n"
            "            book.write(ActionIntended(written + 1, 1, 'a:b', {'data': 'x' * 5000}))\n"
            "            written += 1\n"
            "    except ConvergeError as error:\n"
            "        print(written, type(error).__name__, error.code)\n"
        )
        done = script(code, tmp_path)
        written, error, code = done.stdout.split()
        assert (error, code) == ("JournalUnavailable", "journal-unavailable"), done.stderr
        assert int(written) > 3
        with Store.open(Where(tmp_path)) as store:
            assert store.verify("mail01") == int(written)
            assert len(store.history("mail01").actions) == int(written)


class TestReadOnly:
    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        """A state folder that belongs to us and that another account may read."""
        with tempfile.TemporaryDirectory(prefix="converge-store-") as name:
            path = Path(name)
            with Store.open(Where(path)) as store, store.leases.acquire("mail01", run="1") as lease:
                store.journal(lease, render=lambda _: b"").write(INTENDED)
            for each in path.iterdir():
                each.chmod(0o755 if each.is_dir() else 0o644)
            path.chmod(0o555)
            yield path
            path.chmod(0o755)

    def test_it_can_be_read(self, folder: Path) -> None:
        def read() -> str:
            with Store.open(Where(folder, read_only=True)) as store:
                return str(len(store.history("mail01").actions))

        assert as_stranger(read) == "1"

    def test_nothing_can_be_done_with_it(self, folder: Path) -> None:
        def act() -> str:
            try:
                Store.open(Where(folder)).leases.acquire("mail01", run="2")
            except ConvergeError as error:
                return error.code
            return "acted"

        assert as_stranger(act) == "usage", "another account's state folder is not used"

    def test_a_read_only_store_writes_nothing(self, where: Where) -> None:
        with Store.open(where):
            pass
        with Store.open(replace(where, read_only=True)) as store:
            assert store.history("mail01") == History()
            assert store.read_only


class TestSchema:
    def test_the_tables_are_there(self, where: Where, store: Store) -> None:
        url = where.url.replace("postgresql:", "postgresql+psycopg:") or f"sqlite:///{where.folder}/converge.db"
        found = inspect(create_engine(url))
        for table in METADATA.sorted_tables:
            columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
            assert set(columns) == set(table.columns.keys())
            key = set(found.get_pk_constraint(table.name)["constrained_columns"])
            assert key == {column.name for column in table.primary_key}
            for column in table.columns:
                if column.name not in key:
                    assert columns[column.name] == column.nullable, f"{table.name}.{column.name}"
        assert set(found.get_table_names()) == {table.name for table in METADATA.sorted_tables}

    def test_opening_again_changes_nothing(self, where: Where, rows: Rows, books: Bookkeeper) -> None:
        books.record("1", INTENDED)
        before = rows("SELECT * FROM schema_version")
        with Store.open(where) as store:
            assert store.verify("mail01") == 1
        assert rows("SELECT * FROM schema_version") == before
        assert len(before) == 1

    @pytest.mark.parametrize("read_only", [False, True])
    def test_a_store_of_another_version_is_refused(self, where: Where, rows: Rows, store: Store, read_only: bool) -> None:
        for statement in ("UPDATE schema_version SET version = version + 1", "DELETE FROM schema_version"):
            rows(statement)
            with pytest.raises(UsageError, match=f"another version of converge .*this one reads {VERSION}"):
                Store.open(replace(where, read_only=read_only))
        assert not rows("SELECT * FROM schema_version"), "a store that lost its version is not made anew over its rows"

    def test_first_use_by_many_processes_at_once(self, where: Where) -> None:
        code = (
            "with Store.open(Where(Path(sys.argv[1]), url=sys.argv[2])) as store:\n"
            "    with store.leases.acquire(sys.argv[3], run='1') as lease:\n"
            "        for number in range(5):\n"
            "            store.journal(lease, render=None).write(ActionIntended(number, 1, 'a:b', {}))\n"
            "    print(store.signing_key.hex())\n"
        )
        done: list[subprocess.CompletedProcess[str]] = []
        threads = [
            threading.Thread(target=lambda n=n: done.append(script(code, where.folder, where.url, f"host{n}")))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=100)
        assert [process.stderr for process in done] == [""] * 6
        assert len({process.stdout for process in done}) == 1, "one key for all"
        with Store.open(where) as store:
            assert [store.verify(f"host{n}") for n in range(6)] == [5] * 6


class TestAddresses:
    @pytest.mark.parametrize(
        "url", ["mysql://u:hunter2@h/d", "nonsense hunter2", "sqlite://", "postgresql+asyncpg://h/d"]
    )
    def test_what_is_no_store(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(UsageError) as told:
            Store.open(Where(tmp_path, url=url))
        assert "hunter2" not in str(told.value)

    def test_a_server_that_is_not_there_is_told_without_the_password(self, tmp_path: Path) -> None:
        with pytest.raises(JournalUnavailable) as told:
            Store.open(Where(tmp_path, url=f"postgresql://u:hunter2@/d?host={tmp_path}"))
        assert "hunter2" not in str(told.value)
        assert "cannot be used" in told.value.what

    def test_a_sqlite_file_elsewhere(self, tmp_path: Path) -> None:
        with Store.open(Where(tmp_path / "state", url=f"sqlite:///{tmp_path}/shared/runs.db")) as store:
            assert not store.is_shared
            with store.leases.acquire("mail01", run="1") as lease:
                store.journal(lease, render=lambda _: b"").write(RunEnded("ok", ""))
        with closing(sqlite3.connect(tmp_path / "shared/runs.db")) as file:
            assert file.execute("SELECT count(*) FROM journal").fetchone() == (1,)

    def test_errors_are_ours(self, store: Store) -> None:
        with pytest.raises(ConvergeError):
            store.leases.acquire("lone \ud800 surrogate", run="1")
