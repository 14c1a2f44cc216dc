"""The store as a page reads it: opened late, looked at again when it was away, and asked whether it changed."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from converge.errors import ConvergeError, JournalUnavailable
from converge.store.store import FILE_NAME, Store, Where

PATIENCE = 2.0  # seconds to wait for somebody who has the store to himself
READERS = 4  # threads
Found = TypeVar("Found")


class NoStoreYet(JournalUnavailable):
    """Nothing was ever run here."""

    code = "no-store"


@dataclass(slots=True)
class _Open:
    """One opening of the store: to read, and by itself to count what is written. `number` tells openings apart."""

    reader: Store
    counter: Store
    identity: object
    number: str
    counting: threading.Lock

    def close(self) -> None:
        self.reader.close()
        self.counter.close()


class Reading:
    """Reads the store in threads of its own. Where it is away, the next one who asks tries again."""

    def __init__(self, where: Where) -> None:
        self._where = replace(where, read_only=True, key=None, patience=PATIENCE)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="reading")
        self._lock = threading.Lock()
        self._open: _Open | None = None

    def check(self) -> None:
        """Raise UsageError where this can never be a store. One that is away may come."""
        with suppress(JournalUnavailable):
            self._opened()

    async def version(self) -> str:
        """A text that differs whenever something was written. Raises JournalUnavailable, UsageError."""
        return await self._in_thread(self._version)

    async def read(self, question: Callable[[Store], Found]) -> Found:
        """The answer to a question, from a thread. Raises JournalUnavailable, UsageError, and what the question raises."""
        return await self._in_thread(lambda: self._guarded(question))

    def close(self) -> None:
        """Let go of it; whoever still reads gets an error."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    async def _in_thread(self, work: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _version(self) -> str:
        def count(opened: _Open) -> str:
            with opened.counting:
                return f"{opened.number}-{opened.counter.overview.version()}"

        return self._with(count)

    def _guarded(self, question: Callable[[Store], Found]) -> Found:
        return self._with(lambda opened: question(opened.reader))

    def _with(self, use: Callable[[_Open], Found]) -> Found:
        opened = self._opened()
        try:
            return use(opened)
        except JournalUnavailable:
            self._retire(opened)
            raise

    def _opened(self) -> _Open:
        """The store as it is now: opened anew where its file is another one than before."""
        identity = self._identity()
        with self._lock:
            known = self._open
            if known is not None and known.identity == identity:
                return known
            self._open = None
            if known is not None:
                known.close()
            self._open = _Open(*self._two(), identity, secrets.token_hex(4), threading.Lock())
            return self._open

    def _two(self) -> tuple[Store, Store]:
        reader = Store.open(self._where)
        try:
            return reader, Store.open(self._where)
        except ConvergeError:
            reader.close()
            raise

    def _retire(self, opened: _Open) -> None:
        """Do not use it again. Who is reading from it reads on: only connections that nobody uses are closed."""
        with self._lock:
            if self._open is opened:
                self._open = None
                opened.close()

    def _identity(self) -> object:
        """What tells one file from another in its place. Raises NoStoreYet where there is none."""
        path = self._path()
        if path is None:
            return None
        try:
            known = path.stat()
        except FileNotFoundError:
            raise NoStoreYet(
                f"there is not a store at {path} yet", why="Nothing was run here.", try_="run `converge --check`"
            ) from None
        except OSError as error:
            raise JournalUnavailable(f"the store {path} cannot be read: {error.strerror or error}") from error
        if os.access(path.parent, os.W_OK):
            return known.st_dev, known.st_ino
        # Where no log can be shared with writers the file was opened as one that does not change: look at each version anew.
        return known.st_dev, known.st_ino, known.st_mtime_ns, path.with_name(path.name + "-wal").exists()

    def _path(self) -> Path | None:
        """The file of the store; None for a server."""
        url = self._where.url
        if not url:
            return self._where.folder / FILE_NAME
        return Path(url.partition(":///")[2].partition("?")[0]) if url.startswith("sqlite:///") else None
