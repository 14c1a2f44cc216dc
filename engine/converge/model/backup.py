"""The backups that runs make of what they replace or remove: how they are named on the host, and what is remembered of them.

Beside the thing it is `NAME.converge-RUN`; in a folder set aside it lies in a folder of the run. Beside what is kept lies
a manifest for people, `converge-RUN.json`. converge itself goes by its journal, never by what a host's manifest says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from converge.model.names import fold, same

MARK = ".converge-"
_MANIFEST = re.compile(r"converge-(?P<run>[0-9A-Za-z-]+?)(?:\.[2-9][0-9]{0,3})?\.json", re.IGNORECASE)
FORMAT = 1  # of the manifest


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """Where a host keeps what is replaced or removed, and for how long.

    `directory` is the folder set aside for it, empty for beside. What older runs kept is removed by later ones once it is
    older than `retention`; with None it stays for good.
    """

    directory: str = ""
    retention: timedelta | None = None


def is_backup(path: str, *, run: str) -> bool:
    """Whether a full path is one under which this run keeps things."""
    folder, _, name = path.rpartition("\\")
    marked = fold(f"{MARK}{run}") in fold(name)
    return marked or (is_run_folder(folder, run) and not is_manifest(path))


def is_run_folder(path: str, run: str) -> bool:
    """Whether a folder is one in which this run keeps things: the folder set aside has one for each run."""
    return same(path.rpartition("\\")[2], run)


def is_ours(name: str) -> bool:
    """Whether a name, in any folder, is one that some run gave to what it kept, or to a manifest."""
    return fold(MARK) in fold(name) or is_manifest(name)


def is_manifest(path: str, *, run: str = "") -> bool:
    """Whether a path has the name of a manifest, of this run if one is given."""
    found = _MANIFEST.fullmatch(path.rpartition("\\")[2])
    return found is not None and (not run or same(found["run"], run))


def manifest_path(folder: str, *, run: str, time: int = 1) -> str:
    """The nth manifest of a run in a folder."""
    name = f"converge-{run}.json" if time == 1 else f"converge-{run}.{time}.json"
    return folder.rstrip("\\") + "\\" + name


@dataclass(frozen=True, slots=True)
class Backup:
    """One file or folder that is kept: where it lay and where it lies. Size, version and hash as far as they are known."""

    original: str
    path: str
    is_folder: bool = False
    size: int | None = None
    version: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """What the journal knows of something kept: by which run, when (ISO 8601 in UTC), and when and by which run it was removed."""

    run: str
    time: str
    thing: Backup
    removed: str = ""
    removed_by: str = ""


def manifest_text(things: Sequence[Backup], *, host: str, run: str, time: str, version: str) -> bytes:
    """The manifest's bytes: JSON for people, in UTF-8. It holds no contents and no secrets."""
    told = {
        "converge": version,
        "manifest": FORMAT,
        "host": host,
        "run": run,
        "time": time,
        "note": f"What run {run} replaced or removed here. `converge undo {run}` brings it back.",
        "kept": [_told(thing) for thing in things],
    }
    return (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")


def _told(thing: Backup) -> dict[str, object]:
    about = {"kind": "folder"} if thing.is_folder else {"kind": "file"}
    facts = {"size": thing.size, "version": thing.version, "sha256": thing.sha256}
    return {
        "original": thing.original,
        "kept": thing.path,
        **about,
        **{name: fact for name, fact in facts.items() if fact is not None},
    }
