"""The manifests of backups on the host: one comes before the moves that it tells of, and goes when no backup is there any more.

Everything here is known from the journal. A manifest is for people: nothing is ever done because one says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from converge import __version__
from converge.apply.options import StoppedError
from converge.errors import ActionRefused, HostUnreachable, Interrupted
from converge.model.action import (
    AnyAction,
    MoveDirectory,
    MoveFile,
    Performed,
    RemoveDirectory,
    RemoveFile,
    WriteFile,
)
from converge.model.answer import Absent, Answers, Found
from converge.model.backup import Backup, is_backup, is_manifest, is_run_folder, manifest_path, manifest_text
from converge.model.change import Change
from converge.model.journal import ActionSettled, History, Journal, OpenAction
from converge.model.names import fold, same
from converge.model.query import AnyQuery, Directory, File, RegistryKey
from converge.model.recorded import RecordedChange
from converge.model.registry import Hive, RegistryPath
from converge.plan.answer_cache import AnswerCache
from converge.windows.paths import folder_of

MOST_MANIFESTS = 6  # of one run in one folder that are looked for
ADDRESS = "kept-files"  # of actions that belong to no resource
_MOVES = ("MoveFile", "MoveDirectory")
_NEVER_DONE = ("refused", "not-done")


class Doing(Protocol):
    """Performs one action, journaled."""

    def perform(self, action: AnyAction, *, change: int, address: str, sensitive: bool = False) -> Performed:
        """Do it."""


@dataclass(slots=True)
class Keeper:
    """The manifests of one run on one host: what each names, and where none could be written.

    `predicted` is what the rehearsal has shown will be kept: so one manifest for each folder is enough, written once.
    """

    predicted: tuple[Backup, ...] = ()
    manifests: dict[str, list[str]] = field(default_factory=dict)  # by the folded folder
    named: dict[str, Backup] = field(default_factory=dict)  # by the folded path
    kept: set[str] = field(default_factory=set)  # the folded paths at which something is kept by now
    unwritten: dict[str, str] = field(default_factory=dict)  # why, by the folded folder

    def manifest_before(self, action: AnyAction, cache: AnswerCache, *, time: str, secret: bool) -> WriteFile | None:
        """The manifest to be written before an action: none if it keeps nothing, or if one tells of it already."""
        thing = backup_of(action, cache.answers, run=cache.run, secret=secret)
        if thing is None or fold(thing.path) in self.named:
            return None
        folder = folder_of(thing.path)
        if fold(folder) in self.unwritten:
            return None
        written = self.manifests.setdefault(fold(folder), [])
        things = {fold(item.path): item for item in self.predicted if same(folder_of(item.path), folder) and not written}
        things.setdefault(fold(thing.path), thing)
        self.named.update(things)
        written.append(manifest_path(folder, run=cache.run, time=len(written) + 1))
        return _manifest(written[-1], tuple(things.values()), cache=cache, run=cache.run, time=time)

    def was_refused(self, manifest: WriteFile, why: str) -> None:
        """No manifest can be written there: things are kept there without one."""
        self.manifests.pop(fold(folder_of(manifest.path)))
        self.unwritten[fold(folder_of(manifest.path))] = why

    def noted(self, change: Change) -> Change:
        """The change, with a note where no manifest tells of what it kept."""
        folders = [fold(folder_of(str(action.get("target", "")))) for action in change.actions]
        why = next((self.unwritten[folder] for folder in folders if folder in self.unwritten), None)
        steps = tuple(self.noted(step) for step in change.steps)
        notes = () if why is None or steps else (f"no manifest tells there of what was kept: {why}",)
        return replace(change, notes=(*change.notes, *notes), steps=steps)


def _manifest(path: str, things: Sequence[Backup], *, cache: AnswerCache, run: str, time: str) -> WriteFile:
    return WriteFile(path, manifest_text(things, host=cache.host, run=run, time=time, version=__version__))


def backup_of(action: AnyAction, answers: Answers, *, run: str, secret: bool) -> Backup | None:
    """What an action keeps, with what is known of it; None if it keeps nothing. A secret's size and hash are not told."""
    if not isinstance(action, MoveFile | MoveDirectory) or not is_backup(action.target, run=run):
        return None
    if isinstance(action, MoveDirectory):
        return Backup(action.source, action.target, is_folder=True)
    facts = answers.known(File(action.source, True)) or answers.known(File(action.source))
    if facts is None or secret:
        return Backup(action.source, action.target)
    return Backup(action.source, action.target, size=facts.size, version=facts.version, sha256=facts.sha256 or None)


def predicted(performed: Iterable[AnyAction], cache: AnswerCache, *, secret: Iterable[str]) -> tuple[Backup, ...]:
    """What a rehearsal has shown will be kept. `secret` are the paths of which no facts are told, folded."""
    hidden = frozenset(secret)
    things = (
        backup_of(action, cache.answers, run=cache.run, secret=fold(action.source) in hidden)
        for action in performed
        if isinstance(action, MoveFile | MoveDirectory)
    )
    return tuple(thing for thing in things if thing is not None)


def settled(history: History, cache: AnswerCache, journal: Journal) -> tuple[History, tuple[OpenAction, ...]]:
    """The history without the actions that looking at their own traces tells of; and those that left a manifest of nothing.

    What lies under a name that only one run gives is that run's work: looking settles for certain what its line did not.
    A run that broke off while it wrote a manifest moved nothing there afterwards; it stays open until that manifest has gone
    (`Performer.prepare`). One that was being put right names what is kept still. Raises HostUnreachable.
    """
    asked = {(item.run, item.action_number): query for item in history.actions if (query := _tells(item)) is not None}
    if not asked:
        return history, ()
    answers, idle = cache.ask(tuple(asked.values())), []
    left, kept = [], set()  # of what is kept a manifest told before: it comes behind that
    for item in history.actions:
        query = asked.get((item.run, item.action_number))
        answer = answers[query] if query is not None else None
        if not isinstance(answer, Found | Absent):
            left.append(item)
            continue
        there = isinstance(answer, Found)
        if item.action["action"] == "WriteFile" and there and item.address != ADDRESS and item.run not in kept:
            idle.append(item)
            continue
        gone = item.action["action"] == "RemoveFile" or _brings_back(item)
        if there and not gone and item.action["action"] in _MOVES:
            kept.add(item.run)
        journal.write(ActionSettled(item.run, item.action_number, "done" if there is not gone else "not-done"))
    return replace(history, actions=tuple(left)), tuple(idle)


def _tells(item: OpenAction) -> AnyQuery | None:
    """What tells whether an open action was done: of moves and manifests, and of folders and keys made on the way."""
    action = item.action
    kind = action.get("action")
    if kind in _MOVES and "target" in action:
        path = str(action["source"] if _brings_back(item) else action["target"])
        ours = _brings_back(item) or is_backup(path, run=item.run)
        return (File(path) if kind == "MoveFile" else Directory(path)) if ours else None
    if kind in ("WriteFile", "RemoveFile") and (is_manifest(str(action.get("path"))) or item.address == ADDRESS):
        return File(str(action["path"]))
    if kind == "NewDirectory" and "path" in action:
        return Directory(str(action["path"]))
    if kind == "NewRegistryKey" and "key" in action:
        hive, _, subkey = str(action["key"]).partition("\\")
        return RegistryKey(RegistryPath(Hive(hive), subkey))
    return None


def _brings_back(item: OpenAction) -> bool:
    """Whether a move brings back what another run kept: to a place where nothing is kept, from one of an undone run."""
    return "target" in item.action and not is_backup(str(item.action["target"]), run=item.run)


def things_of(recorded: Iterable[RecordedChange], run: str) -> Iterator[Backup]:
    """What the journal tells that a run kept, whether it is still kept or not."""
    for change in recorded:
        for action in change.actions:
            told = action.action
            if told.get("action") not in _MOVES or action.outcome in _NEVER_DONE or "target" not in told:
                continue
            if is_backup(str(told["target"]), run=run):
                yield Backup(str(told["source"]), str(told["target"]), told["action"] == "MoveDirectory")


def folders_of(recorded: Iterable[RecordedChange], run: str) -> dict[str, str]:
    """The folders in which a run kept things, or wrote a manifest and got no further, as its journal tells; by the folded folder."""
    found = {fold(folder): folder for thing in things_of(recorded, run) if (folder := folder_of(thing.path))}
    for change in recorded:
        for action in change.actions:
            path = str(action.action.get("path", ""))
            if is_manifest(path, run=run):
                # Also one that was not there when it was looked for: a host ends a command whose sender is long gone.
                found[fold(folder_of(path))] = folder_of(path)
            elif (
                action.outcome not in _NEVER_DONE
                and action.action.get("action") == "NewDirectory"
                and is_run_folder(path, run)
            ):
                found[fold(path)] = path
    return found


@dataclass(frozen=True, slots=True)
class Tidying:
    """Makes the manifests of a run true again: they name what is kept still, and go where that is nothing.

    Nothing of value rests on it: what cannot be put right is told in words.
    """

    performer: Doing
    cache: AnswerCache
    run: str
    time: str

    def after_run(self, keeper: Keeper) -> str:
        """Where not all was kept that was predicted."""
        missed = {fold(folder_of(thing.path)) for thing in keeper.named.values() if fold(thing.path) not in keeper.kept}
        folders = {key: folder_of(written[0]) for key, written in keeper.manifests.items() if key in missed}
        return self._put_right(folders, tuple(keeper.named.values()), changed=missed)

    def after_undo(self, recorded: Sequence[RecordedChange], brought_back: Iterable[AnyAction]) -> str:
        """Where what this run kept was brought back, or where it kept nothing."""
        sources = {fold(folder_of(move.source)) for move in brought_back if isinstance(move, MoveFile | MoveDirectory)}
        things = tuple(things_of(recorded, self.run))
        return self._put_right(folders_of(recorded, self.run), things, changed=sources)

    def after_removal(self, things: Sequence[Backup], folders: Mapping[str, str]) -> str:
        """Where what this run kept was removed for good."""
        return self._put_right(folders, things, changed=folders)

    def _put_right(self, folders: Mapping[str, str], things: Sequence[Backup], *, changed: Collection[str]) -> str:
        try:
            for key, folder in folders.items():
                here = [thing for thing in things if same(folder_of(thing.path), folder)]
                self._one(folder, here, changed=key in changed)
        except StoppedError:
            return "the run was asked to stop before the manifests beside what was kept were put right"
        except (ActionRefused, Interrupted, HostUnreachable) as error:
            return f"a manifest beside what was kept could not be put right: {error.what}"
        return ""

    def _one(self, folder: str, here: Sequence[Backup], *, changed: bool) -> None:
        queries = {thing.path: Directory(thing.path) if thing.is_folder else File(thing.path) for thing in here}
        written = [manifest_path(folder, run=self.run, time=time) for time in range(1, MOST_MANIFESTS + 1)]
        answers = self.cache.ask((*queries.values(), *(File(path) for path in written)))
        if any(not isinstance(answers[query], Found | Absent) for query in queries.values()):
            return  # what cannot be looked at is taken to be there
        left = [thing for thing in here if isinstance(answers[queries[thing.path]], Found)]
        if left and not changed:
            return
        present = [path for path in written if isinstance(answers[File(path)], Found)]
        if present and left:
            anew = written[(written.index(present[-1]) + 1) % MOST_MANIFESTS]
            self._do(_manifest(anew, left, cache=self.cache, run=self.run, time=self.time))
        for path in present:
            self._do(RemoveFile(path))
        if not left:
            self._leave(folder)

    def _leave(self, folder: str) -> None:
        """The run's own folder goes with the last that lay in it."""
        if not is_run_folder(folder, self.run):
            return
        query = Directory(folder, True)
        facts = self.cache.ask((query,)).known(query)
        if facts is not None and not facts.files and not facts.directories:
            self._do(RemoveDirectory(folder))

    def _do(self, action: AnyAction) -> None:
        self.performer.perform(action, change=0, address=ADDRESS)
