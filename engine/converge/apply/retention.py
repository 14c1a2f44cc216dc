"""Removing what older runs kept, once it is older than the inventory wants it kept.

Only what the journal knows that converge kept is ever removed, by the very path at which it was kept. A folder goes leaf by
leaf, as it was found: what somebody puts into it meanwhile keeps it from going.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import ClassVar

from pydantic import PrivateAttr

from converge.apply.carrying import Carrier
from converge.apply.manifests import Tidying
from converge.errors import ResourceError
from converge.model.action import AnyAction, RemoveDirectory, RemoveFile
from converge.model.answer import Answers
from converge.model.backup import BackupRecord, is_backup
from converge.model.change import Change, Json, Problem, Status, WayBack
from converge.model.names import fold
from converge.model.query import AnyQuery, Directory, File
from converge.model.resource import Resource, State
from converge.plan.answer_cache import gather
from converge.plan.decision import Label
from converge.windows.paths import folder_of

KIND = "kept_file"
PLAY = "retention"
MOST_ENTRIES = 2000  # files and folders of one kept folder that are removed


class BackupState(State):
    """Something that is kept: since when, by which run, of which path, and of how many entries if it is a folder."""

    kept_since: str
    kept_by: str
    original: str
    entries: int | None = None


class Outdated(Resource):
    """Something that a run kept longer than wanted: it is to be gone."""

    state_type: ClassVar[type[State]] = BackupState
    _held: BackupRecord = PrivateAttr()

    @classmethod
    def of(cls, held: BackupRecord) -> Outdated:
        """What is remembered of it."""
        self = cls()
        self._held = held
        return self

    @property
    def key(self) -> dict[str, Json]:
        """Its path."""
        return {"kind": KIND, "path": self._held.thing.path}

    @property
    def address(self) -> str:
        """`kept_file:PATH`."""
        return f"{KIND}:{self._held.thing.path}"

    def as_declared(self) -> dict[str, Json]:
        """Nothing of it is declared."""
        return {}

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The file, or the folder with all in it."""
        path = self._held.thing.path
        return self._folders(path, known) if self._held.thing.is_folder else [File(path)]

    def _folders(self, path: str, known: Answers) -> list[AnyQuery]:
        asked: list[AnyQuery] = []
        waiting = [path]
        while waiting and len(asked) <= MOST_ENTRIES:
            asked.append(Directory(waiting.pop(), True))
            facts = known.known(asked[-1])
            waiting += [f"{facts.path}\\{name}" for name in facts.directories] if facts is not None else []
        return asked

    def actual_state(self, answers: Answers) -> BackupState | None:
        """Whether it is kept still. Raises Undecided, Unpredictable and ResourceError."""
        held = self._held
        if held.thing.is_folder:
            entries = len(self._removals(answers))
            return BackupState(**self._told, entries=entries - 1) if entries else None
        return BackupState(**self._told) if answers.value(File(held.thing.path)) is not None else None

    @property
    def _told(self) -> dict[str, str]:
        held = self._held
        return {"kept_since": held.time, "kept_by": held.run, "original": held.thing.original}

    def desired_state(self, actual: State | None, answers: Answers) -> None:
        """Gone."""
        del actual, answers

    def actions(self, before: State | None, after: State | None, answers: Answers) -> Sequence[AnyAction]:
        """Remove it; of a folder first what lies in it."""
        return self._removals(answers) if self._held.thing.is_folder else [RemoveFile(self._held.thing.path)]

    def _removals(self, answers: Answers) -> list[AnyAction]:
        removals: list[AnyAction] = []
        waiting = [self._held.thing.path]
        while waiting:
            facts = answers.value(Directory(waiting.pop(), True))
            if facts is None:
                continue
            removals += [RemoveDirectory(facts.path), *(RemoveFile(file.path) for file in facts.files)]
            waiting += [f"{facts.path}\\{name}" for name in facts.directories]
            if len(removals) + len(waiting) > MOST_ENTRIES:
                what = f"more than {MOST_ENTRIES} files and folders lie in {self._held.thing.path}"
                raise ResourceError(what, try_="remove it by hand")
        return removals[::-1]

    def way_back(self, before: State | None, after: State | None) -> WayBack:
        """None: it is what a way back was kept for."""
        return WayBack("none", f"it was kept so that run {self._held.run} can be taken back, and is removed for good")


def outdated(records: Iterable[BackupRecord], *, before: datetime) -> tuple[Outdated, ...]:
    """What was kept before a moment and is not known to be gone, in the order of the paths. Each path is one of its run's."""
    found = [
        held
        for held in records
        if not held.removed and datetime.fromisoformat(held.time) < before and is_backup(held.thing.path, run=held.run)
    ]
    return tuple(Outdated.of(held) for held in sorted(found, key=lambda held: fold(held.thing.path)))


def remove_outdated(carrier: Carrier, *, only: Collection[str] | None = None) -> list[Change]:
    """Remove it, or in a rehearsal show that it would be; with `only` at these addresses alone.

    Asks the host nothing where there is nothing to remove.
    """
    performer = carrier.performer
    options = performer.options
    if options.backup.retention is None:
        return []
    records = tuple(options.backups())
    known = outdated(records, before=options.now() - options.backup.retention)
    resources = [resource for resource in known if only is None or resource.address in only]
    if not resources:
        return []
    gather(tuple(resource.queries for resource in resources), performer.cache)
    changes = [carrier.carry_out(resource, _label(resource)) for resource in resources]
    if not performer.rehearsing:
        for run in dict.fromkeys(resource._held.run for resource in resources):
            things = [held.thing for held in records if held.run == run]
            tidying = Tidying(performer, performer.cache, run, performer.moment)
            tidying.after_removal(things, {fold(folder_of(thing.path)): folder_of(thing.path) for thing in things})
    return [change for change in changes if change.status is not Status.OK]


def _label(resource: Outdated) -> Label:
    return Label(f"kept longer than converge_backup_retention wants: {resource._held.thing.original}", PLAY, None)


def gone_by_retention(path: str, records: Iterable[BackupRecord]) -> Problem | None:
    """That what was kept at a path was removed, and when, if it was."""
    held = next((held for held in records if fold(held.thing.path) == fold(path) and held.removed), None)
    if held is None:
        return None
    what = f"it cannot be brought back: {path}, where it was kept, was removed by retention on {held.removed[:10]}"
    return Problem("kept-is-gone", what, f"run {held.removed_by} removed it", "restore it from a backup of your own")
