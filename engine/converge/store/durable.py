"""Files that are on the disk when the call returns, readable by their owner alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

OWNER_ONLY = 0o600
FOLDER_OF_OWNER = 0o700


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a new file is lost with its folder's entry."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each one's name durable."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=FOLDER_OF_OWNER, exist_ok=True)
    sync_folder(folder.parent)


def create(path: Path) -> int:
    """A new, empty file, open for appending; its name is durable. Raises FileExistsError where there is one."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, OWNER_ONLY)
    sync_folder(path.parent)
    return descriptor


def replace_whole(path: Path, write: Callable[[IO[str]], object]) -> None:
    """What `write` writes, and a line end, for its owner alone, in place of a file that may be there: all of it, or nothing."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            write(file)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    sync_folder(path.parent)


def append(descriptor: int, data: bytes) -> None:
    """Write all of it at the end and wait for the disk. What a failure wrote by half is taken back where that is possible."""
    end = os.fstat(descriptor).st_size
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise
