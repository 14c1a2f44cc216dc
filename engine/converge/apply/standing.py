"""What later runs did that stands still, and which of it concerns a change that is to be taken back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from converge.model.answer import Answers
from converge.model.backup import is_backup, is_manifest, is_run_folder
from converge.model.change import Json, Status
from converge.model.names import fold
from converge.model.query import AnyQuery, Directory, File, RegistryKey, RegistryValue, Service
from converge.model.recorded import LaterRun, RecordedChange
from converge.model.resource import KINDS, Resource

NEVER_DONE = ("refused", "not-done")
BLACK_BOXES = ("RunCommand", "InvokeCimMethod")  # a program that was refused by its exit code has run all the same
_GOOD = (Status.OK.value, Status.CHANGED.value)
_SERVICES = fold(r"HKLM\SYSTEM\CurrentControlSet\Services")
_SERVICE_VALUES = {"SetServiceStartMode": "Start", "SetServiceImagePath": "ImagePath"}


@dataclass(frozen=True, slots=True)
class Claim:
    """A thing on the host, in folded words; with `below` also all that lies below it."""

    space: str
    path: str
    below: bool = False

    def meets(self, other: Claim) -> bool:
        """Whether both are about one thing."""
        if self.space != other.space:
            return False
        return self.path == other.path or self._holds(other) or other._holds(self)

    def _holds(self, other: Claim) -> bool:
        return self.below and other.path.startswith(self.path + "\\")


def left_traces(change: RecordedChange) -> bool:
    """Whether a change may have left something on the host. Restarts leave nothing; they are done again where that is needed."""
    kind: type[Resource] | None = KINDS.get(change.kind)
    if not change.kind or (kind is not None and kind.handler_only):
        return False
    return any(action.outcome not in NEVER_DONE or _ran_all_the_same(action.action) for action in change.actions)


def standing(run: str, later: Sequence[LaterRun]) -> tuple[RecordedChange, ...]:
    """The changes of later runs that were not taken back since, in their order; what only took `run` back is none of them."""
    reverts = {each.run: each.reverts for each in later if each.reverts}
    found: list[RecordedChange] = []
    for each in later:
        if _leads_to(run, each.run, reverts):
            continue
        changes = [change for change in each.changes if left_traces(change)]
        stands = any(change.run == each.reverts for change in found)
        if not each.reverts or (each.reverts in reverts and not stands):
            found += changes  # of an undo that is taken back: what it took back is there again
            continue
        gone = {change.address for change in changes if change.status == Status.CHANGED.value}
        found = [
            change
            for change in found
            if change.run != each.reverts
            or change.way_back.startswith("none")
            or not (each.status in _GOOD or change.address in gone)
        ]
    return tuple(found)


def reverted_by(change: RecordedChange, later: Sequence[LaterRun]) -> str:
    """The undo that took this change back and was not taken back itself; an empty text where there is none."""
    undone = {each.reverts for each in later if each.reverts and each.status in _GOOD}
    for each in reversed(later):
        if each.reverts == change.run and each.run not in undone:
            done = {item.address for item in each.changes if item.status == Status.CHANGED.value}
            if each.status in _GOOD or change.address in done:
                return each.run
    return ""


def _leads_to(run: str, by: str, reverts: Mapping[str, str]) -> bool:
    while by in reverts:
        by = reverts[by]
        if by == run:
            return True
    return False


def is_black_box(change: RecordedChange) -> bool:
    """Whether it ran something that may have changed more than anybody was told."""
    return any(action.action.get("action") in BLACK_BOXES for action in change.actions)


def needed(changes: Iterable[RecordedChange]) -> Iterator[Resource]:
    """The resources whose questions tell where what they brought lies."""
    for change in changes:
        if is_black_box(change) and (resource := _resource(change)) is not None:
            yield resource


def concerned(change: RecordedChange, by: RecordedChange, answers: Answers) -> bool:
    """Whether what a later run did is about a thing that this change touched, or that serves a service which was brought anew."""
    theirs = claims(by, answers)
    ours = {*claims(change, answers), *(Claim("service", fold(name)) for name in _served(change, theirs))}
    return any(one.meets(other) for one in ours for other in theirs)


def _served(change: RecordedChange, theirs: Collection[Claim]) -> Iterator[str]:
    """The services that the change serves, where they were brought as a whole: a start or stop of one is none of its affair."""
    return (name for name in change.serves if Claim("service", fold(name), below=True) in theirs)


def claims(change: RecordedChange, answers: Answers) -> frozenset[Claim]:
    """What a change touched, as its actions tell, and what a program that it ran says that it brings."""
    if is_black_box(change):
        resource = _resource(change)
        brought = resource.brings(answers) if resource is not None else ()
        return frozenset(claim for query in brought for claim in _brought(query))
    touched = (action.action for action in change.actions if action.outcome not in NEVER_DONE)
    return frozenset(claim for action in touched for claim in _touched(action, change.run))


def _resource(change: RecordedChange) -> Resource | None:
    kind = KINDS.get(change.kind)
    try:
        return kind.model_validate(change.declared) if kind is not None else None
    except ValueError:
        return None  # sensitive and not opened, or of a converge that knew this kind otherwise


def _ran_all_the_same(action: Mapping[str, Json]) -> bool:
    return action.get("action") in BLACK_BOXES


def _brought(query: AnyQuery) -> Iterator[Claim]:
    match query:
        case Service(name):
            yield Claim("service", fold(name), below=True)
            yield Claim("registry", f"{_SERVICES}\\{fold(name)}", below=True)
        case File(path):
            yield Claim("files", fold(path))
        case Directory(path):
            yield Claim("files", fold(path).rstrip("\\"), below=True)
        case RegistryKey(key):
            yield Claim("registry", fold(str(key)), below=True)
        case RegistryValue(key, name):
            yield _value(str(key), name)
        case _:
            pass


def _touched(action: Mapping[str, Json], run: str) -> Iterator[Claim]:
    kind = str(action.get("action"))
    if kind.endswith("RegistryValue") and "key" in action:
        yield _value(str(action["key"]), str(action["name"]))
    elif kind.endswith("RegistryKey") and "key" in action:
        yield Claim("registry", fold(str(action["key"])), below=kind.startswith("Remove"))
    elif kind.endswith("Service") and "name" in action:
        yield Claim("service", fold(str(action["name"])))
    elif kind in _SERVICE_VALUES and "name" in action:
        yield _value(f"{_SERVICES}\\{action['name']}", _SERVICE_VALUES[kind])
    elif kind.endswith(("File", "Directory")):
        # What is copied is only read there.
        named = (action.get(name) for name in ("path", "target", *(() if kind == "CopyFile" else ("source",))))
        for path in (str(name) for name in named if name):
            if not (is_backup(path, run=run) or is_run_folder(path, run) or is_manifest(path)):
                yield Claim("files", fold(path), below=kind in ("MoveDirectory", "RemoveDirectory"))


def _value(key: str, name: str) -> Claim:
    return Claim("registry", f"{fold(key)}\\\0{fold(name)}")
