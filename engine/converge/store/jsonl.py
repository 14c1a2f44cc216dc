"""The journal as a folder of JSON lines, `runs/RUN/HOST.jsonl`: each line is on the disk before the host is touched.

Beside it `open/HOST/RUN` marks each run that may have left something open on that host, so that reading the past costs
only the runs that matter, however many there were. The marks follow from the journals: without the folder every run is read.
One run at a time writes about a host: `open/HOST/.lock` is held while it does.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from converge.errors import JournalUnavailable
from converge.model.change import Json
from converge.model.journal import History, JournalEvent, RegistrySnapshot, RunEnded, event_as_json
from converge.store import durable
from converge.store.fold import OpenEnds
from converge.store.names import file_name

LONGEST_LINE = 64 * 1024 * 1024  # bytes; a line holds at most one change, and a change at most a few 1 MiB files in hex


class JsonLinesJournal:
    """The journal of one host in one run. `folder` is `.converge`; `render` makes the text of a .reg file."""

    def __init__(self, folder: Path, *, run: str, host: str, render: Callable[[RegistrySnapshot], bytes]) -> None:
        self._folder = folder
        self._run = run
        self._host = host
        self._render = render
        self._descriptor: int | None = None
        self._lock: int | None = None
        self._own = OpenEnds()
        self._writing = threading.Lock()

    @property
    def run(self) -> str:
        """The run's id."""
        return self._run

    @property
    def path(self) -> Path:
        """Where this journal is written."""
        return _journal_path(self._folder, self._run, self._host)

    def write(self, event: JournalEvent) -> None:
        """Make one event durable. Raises JournalUnavailable (code `held` where another run is writing about this host).

        `RunEnded` is the last: it lets go of the host.
        """
        line = event_as_json(event)
        data = json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"
        with self._writing:
            try:
                durable.append(self._open(), data)
                self._own.take(self._run, line)
                if isinstance(event, RunEnded):
                    self._settle_marks()
                    self._close()
            except OSError as error:
                raise _unavailable(self.path, error) from error

    def back_up(self, snapshot: RegistrySnapshot) -> str:
        """Keep registry keys as `HOST.reg` beside the journal (`HOST-2.reg`, ... when asked again) and return its path."""
        content = self._render(snapshot)
        with self._writing:
            try:
                self._open()
                descriptor, path = self._new_backup()
                try:
                    durable.append(descriptor, content)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise _unavailable(self.path.with_suffix(".reg"), error) from error
        return str(path)

    def history(self) -> History:
        """What earlier runs left open on this host. Raises JournalUnavailable where it cannot be read."""
        return read_history(self._folder, host=self._host, before=self._run)

    def close(self) -> None:
        """Let go of the file, and of the host, where a run ends without having said so."""
        with self._writing:
            self._close()

    def _close(self) -> None:
        for descriptor in (self._descriptor, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._lock = None

    def _open(self) -> int:
        if self._descriptor is None:
            marks = _marks_folder(self._folder, self._host)
            first_time = not marks.is_dir()
            earlier = _runs_of(self._folder, self._host) if first_time else []
            durable.make_folder(marks)
            self._lock = self._lock or _lock_host(marks, self._host)
            for run in (*earlier, self._run):
                (marks / run).touch(mode=durable.OWNER_ONLY)
            durable.sync_folder(marks)
            durable.make_folder(self.path.parent)
            self._descriptor = durable.create(self.path)
        return self._descriptor

    def _new_backup(self) -> tuple[int, Path]:
        for number in range(1, 1000):
            suffix = ".reg" if number == 1 else f"-{number}.reg"
            path = self.path.with_name(file_name(self._host) + suffix)
            try:
                return durable.create(path), path
            except FileExistsError:
                continue
        raise FileExistsError(f"{self.path.parent} holds 999 backups of {self._host} already")

    def _settle_marks(self) -> None:
        """Forget the runs that left nothing open. Only this run writes about the host: nobody adds to them meanwhile."""
        marks = _marks_folder(self._folder, self._host)
        if self._own.history() == History() and self._settles_nothing():
            (marks / self._run).unlink(missing_ok=True)
        elif read_history(self._folder, host=self._host) == History():
            for run in _marked_runs(marks):
                (marks / run).unlink(missing_ok=True)

    def _settles_nothing(self) -> bool:
        """Whether earlier runs leave the same open with this run and without it."""
        return read_history(self._folder, host=self._host) == self.history()


def read_history(folder: Path, *, host: str, before: str | None = None) -> History:
    """What the runs under `folder` left open on a host, the run `before` left out. Reads only; raises JournalUnavailable."""
    ends = OpenEnds()
    marks = _marks_folder(folder, host)
    try:
        runs = _marked_runs(marks) if marks.is_dir() else _runs_of(folder, host)
        for run in runs:
            if run == before:
                continue
            path = _journal_path(folder, run, host)
            for number, event in _events(path):
                _take(ends, run, event, path=path, number=number)
    except OSError as error:
        raise _unavailable(folder, error) from error
    return ends.history()


def _take(ends: OpenEnds, run: str, event: Json, *, path: Path, number: int) -> None:
    try:
        ends.take(run, event)
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, number) from error


def _events(path: Path) -> Iterator[tuple[int, Json]]:
    """The lines of a journal, numbered. A last line torn by a crash told of nothing that was done: it is left out."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return  # marked, and stopped before the first line
    with file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            if not line.endswith(b"\n"):
                if len(line) >= LONGEST_LINE:
                    raise _damaged(path, number)
                return
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise _damaged(path, number) from error


def _journal_path(folder: Path, run: str, host: str) -> Path:
    return folder / "runs" / run / (file_name(host) + ".jsonl")


def _marks_folder(folder: Path, host: str) -> Path:
    return folder / "open" / file_name(host)


def _marked_runs(marks: Path) -> list[str]:
    return sorted(name for name in os.listdir(marks) if not name.startswith("."))


def _runs_of(folder: Path, host: str) -> list[str]:
    """Every run that has a journal of this host, oldest first. Only for a folder without marks."""
    runs = folder / "runs"
    if not runs.is_dir():
        return []
    return sorted(run for run in os.listdir(runs) if _journal_path(folder, run, host).is_file())


def _lock_host(marks: Path, host: str) -> int:
    descriptor = os.open(marks / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, durable.OWNER_ONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise JournalUnavailable(
            f"another run is changing {host}", try_="wait for it to end, or stop it", code="held"
        ) from error
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _damaged(path: Path, number: int) -> JournalUnavailable:
    return JournalUnavailable(
        f"line {number} of {path} is damaged",
        why="What an earlier run left open on this host cannot be told.",
        try_="look at the host, then move that file away",
    )


def _unavailable(path: Path, error: OSError) -> JournalUnavailable:
    return JournalUnavailable(
        f"the journal {path} cannot be used: {error.strerror or error}",
        why="Nothing is done to a host that could not be told of afterwards.",
        try_=f"make {path.parent} writable for this account, with space left on its disk",
    )
