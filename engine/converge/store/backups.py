"""Registry keys as they were before a run touched them: `runs/RUN/HOST.reg` below the state folder, for regedit to import."""

from __future__ import annotations

import os
from pathlib import Path

from converge.errors import JournalUnavailable
from converge.store import durable
from converge.store.names import file_name

MOST = 999  # backups of one host in one run


def keep(content: bytes, *, folder: Path, run: str, host: str) -> Path:
    """Write one backup durably, for its owner alone; `HOST-2.reg`, ... when there is one already. Raises JournalUnavailable."""
    place = folder / "runs" / run
    try:
        durable.make_folder(place)
        descriptor, path = _create(place, file_name(host))
        try:
            durable.append(descriptor, content)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise JournalUnavailable(
            f"no registry backup can be kept in {place}: {error.strerror or error}",
            why="No registry key is touched that was not exported first.",
            try_=f"make {place.parent} writable for this account, with space left on its disk",
        ) from error
    return path


def _create(place: Path, name: str) -> tuple[int, Path]:
    for number in range(1, MOST + 1):
        path = place / (name + (".reg" if number == 1 else f"-{number}.reg"))
        try:
            return durable.create(path), path
        except FileExistsError:
            continue
    raise FileExistsError(f"it holds {MOST} backups of this host already")
