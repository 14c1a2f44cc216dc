"""The backup of what is replaced or removed, for the kinds that make one: what to ask, what to do, and what to say of it."""

from __future__ import annotations

from collections.abc import Sequence

from converge.errors import ResourceError
from converge.model.action import AnyAction, MoveDirectory, MoveFile
from converge.model.answer import Absent, Answers, Found, Refused
from converge.model.query import AnyQuery, Directory, File
from converge.windows import backup_paths, paths


def questions(path: str, known: Answers, *, is_folder: bool) -> list[AnyQuery]:
    """Where what lies at `path` can be kept: asked only where it is to be replaced or removed."""
    asked: list[AnyQuery] = []
    if own := backup_paths.run_folder(path, run=known.by, folder=known.backup_folder):
        asked += [Directory(own), File(paths.parent(own)), Directory(paths.drive(own) + "\\")]
        if not isinstance(known.get(asked[0]), Found):
            return asked  # nothing lies yet in a folder that is not there
    for time in range(1, backup_paths.MOST_TIMES + 1):
        asked.append(_at(_place(path, known, time).path, is_folder=is_folder))
        if not isinstance(known.get(asked[-1]), Found):
            break
    return asked


def aside(path: str, answers: Answers, *, is_folder: bool) -> AnyAction:
    """Rename it to where it is kept. Raises ResourceError where that cannot be, as far as it can be told before, and Undecided."""
    for time in range(1, backup_paths.MOST_TIMES + 1):
        place = _place(path, answers, time)
        if place.folder and time == 1:
            _check_folder(place.folder, answers)
        if not _is_there(_at(place.path, is_folder=is_folder), answers):
            return MoveDirectory(path, place.path) if is_folder else MoveFile(path, place.path)
    raise ResourceError(f"this run has kept {path} {backup_paths.MOST_TIMES} times already")


def describe(path: str, answers: Answers) -> Sequence[str]:
    """Where what lies at `path` will be kept, in words, and why not in the folder set aside."""
    try:
        place = _place(path, answers, 1)
    except ResourceError:
        return ()
    if not answers.backup_folder or place.folder:
        return (f"what is there is kept as {place.path}",)
    why = f"{answers.backup_folder} is on another drive, and keeping is renaming"
    if not paths.drive(answers.backup_folder) or paths.drive(answers.backup_folder).upper() == paths.drive(path).upper():
        why = f"one of it and {answers.backup_folder} lies in the other"
    return (f"what is there is kept as {place.path}: {why}",)


def backup_path(path: str, answers: Answers) -> str:
    """Where the run that is taken back kept what lay at `path`."""
    return answers.backup or _place(path, Answers({}, run=answers.run), 1).path


def is_gone(what: str, path: str) -> ResourceError:
    """That something cannot be brought back, as it is not where it was kept."""
    return ResourceError(
        f"the {what} cannot be brought back: {path}, where it was kept, is not there", code="kept-is-gone"
    )


def _place(path: str, answers: Answers, time: int) -> backup_paths.BackupPlace:
    try:
        return backup_paths.place(path, run=answers.by, folder=answers.backup_folder, time=time)
    except ValueError as error:
        raise ResourceError(str(error), try_="set converge_backup_directory to a folder on its drive") from error


def _check_folder(own: str, answers: Answers) -> None:
    """What would keep the run's folder from being made: told in check, before anything is moved."""
    folder = paths.parent(own)
    _is_there(Directory(own), answers)
    if isinstance(answers.get(Directory(paths.drive(own) + "\\")), Absent):
        raise ResourceError(f"there is no drive {paths.drive(own)}", try_="set converge_backup_directory otherwise")
    if _is_there(File(folder), answers):
        raise ResourceError(f"{folder} is a file", try_="set converge_backup_directory otherwise")


def _is_there(query: AnyQuery, answers: Answers) -> bool:
    """Whether it is, for certain. What a command may bring has none of these names. Raises Undecided where the host refused."""
    answer = answers.get(query)
    if isinstance(answer, Refused):
        answers.value(query)
    return isinstance(answer, Found)


def _at(path: str, *, is_folder: bool) -> AnyQuery:
    return Directory(path) if is_folder else File(path)
