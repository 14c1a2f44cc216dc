"""Whether a process that shares our state folder still lives: it keeps a file locked, which the system unlocks at its end."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from converge.errors import JournalUnavailable
from converge.store import durable

FORGOTTEN = 24 * 3600.0  # seconds


class Beacon:
    """The locked file of this process. Raises JournalUnavailable where it cannot be made."""

    def __init__(self, folder: Path, holder: str) -> None:
        self._path = folder / holder
        try:
            durable.make_folder(folder)
            _sweep(folder)
            self._descriptor = durable.create(self._path)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalUnavailable(
                f"no lease can be taken: {self._path} cannot be made: {error.strerror or error}",
                try_=f"make {folder} writable for this account",
            ) from error

    def end(self) -> None:
        """Remove it: nobody needs to know any more."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _sweep(folder: Path) -> None:
    """Remove what processes left behind that died longer ago than any lease lasts."""
    for path in folder.iterdir():
        try:
            if time.time() - path.stat().st_mtime > FORGOTTEN and is_gone(folder, path.name):
                path.unlink(missing_ok=True)
        except OSError:
            continue


def is_gone(folder: Path, holder: str) -> bool:
    """Whether the process of this beacon has certainly ended. Where its file is missing nobody knows: False."""
    try:
        descriptor = os.open(folder / holder, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
