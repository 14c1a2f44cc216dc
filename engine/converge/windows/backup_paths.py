"""The names under which a run keeps what it replaces or removes, and the folders they lie in.

Beside the thing it is `NAME.converge-RUN`. In a folder set aside for it, it is `FOLDER\\RUN\\` and the whole path as one
name: `C:\\App\\a.dll` is `C!App!a.dll`, where `!` in a name is written `;1` and `;` is `;0`, so that no two paths share a
name and each can be told from its own. A path too long for that is named by a digest; the manifest tells the path.

Things are kept by renaming them, never by copying: a rename takes a DLL that is in use (it could not be deleted), leaves
permissions, streams and times as they are, and is either done or not. A rename stays on one volume. So what lies on
another volume than the folder is kept beside, as if there were no folder; a folder without a drive (`\\converge`) is taken
on the volume of each thing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from converge.model.backup import MARK
from converge.model.names import fold, same
from converge.windows import paths

LONGEST_NAME = 255  # characters of one name (Naming Files, Paths, and Namespaces)
LONGEST_PATH = 259  # of a full path, without its closing null
MOST_TIMES = 9  # things of one name that one run keeps
_DIGEST = 16  # hex digits


@dataclass(frozen=True, slots=True)
class BackupPlace:
    """Where something is kept: its new path, and the folder that must be made for it (empty where it lies beside)."""

    path: str
    folder: str = ""


def place(path: str, *, run: str, folder: str = "", time: int = 1) -> BackupPlace:
    """Where a run keeps what lies at `path`, for the nth time; `folder` is the one set aside, or empty.

    Raises ValueError where the path is so long that nothing can be kept beside it.
    """
    again = f".{time}" if time > 1 else ""
    if own := run_folder(path, run=run, folder=folder):
        return BackupPlace(_flat(path, own, again), own)
    return BackupPlace(_beside(path, f"{MARK}{run}{again}"))


def run_folder(path: str, *, run: str, folder: str) -> str:
    """The folder in which a run keeps what lies at `path`; empty where it is kept beside."""
    if not folder or not paths.drive(path):
        return ""
    whole = paths.normalise(folder if paths.drive(folder) else paths.drive(path) + folder)
    elsewhere = not same(paths.drive(whole), paths.drive(path))
    # A folder cannot be moved into itself, and what is kept already is not kept in itself again.
    return "" if elsewhere or paths.is_within(whole, path) or paths.is_within(path, whole) else paths.join(whole, run)


def _flat(path: str, folder: str, again: str) -> str:
    text = paths.normalise(path).replace(";", ";0").replace("!", ";1").replace(":\\", "!", 1).replace("\\", "!")
    # `;` followed by a dot is written for nothing else.
    suffix = f";{again}" if again else ""
    room = min(LONGEST_NAME, LONGEST_PATH - _units(folder) - 1) - _units(suffix)
    if _units(text) > room:
        head = f"!{_digest(path)}!"
        text = head + _end(text, room - len(head))
    return paths.join(folder, text + suffix)


def _beside(path: str, mark: str) -> str:
    folder, name = paths.parent(path), paths.name(path)
    room = min(LONGEST_NAME, LONGEST_PATH - _units(folder.rstrip("\\")) - 1) - _units(mark)
    if _units(name) > room:
        head = f"~{_digest(path)}~"
        if room < len(head):
            raise ValueError(f"{path} is too long for anything to be kept beside it")
        name = head + _end(name, room - len(head))
    return paths.join(folder, name + mark)


def _units(text: str) -> int:
    """How long Windows holds a text to be: in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _end(text: str, room: int) -> str:
    """The last part of a text that fits."""
    start = len(text)
    while start and _units(text[start - 1 :]) <= room:
        start -= 1
    return text[start:]


def _digest(path: str) -> str:
    return hashlib.sha256(fold(paths.normalise(path)).encode("utf-16-le", "surrogatepass")).hexdigest()[:_DIGEST]
