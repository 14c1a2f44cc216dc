"""A resource of which another state is wanted than its playbook says: the one recorded before a change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, Self

from pydantic import PrivateAttr

from converge.model.action import AnyAction
from converge.model.answer import Answers
from converge.model.backup import is_backup, is_run_folder
from converge.model.change import Json, Status, WayBack
from converge.model.query import AnyQuery
from converge.model.recorded import RecordedChange
from converge.model.resource import KINDS, Resource, State

_NEVER_DONE = ("refused", "not-done")
_MOVES = ("MoveFile", "MoveDirectory")
_PLACES = {"NewRegistryKey": ("registry_key", "key", "key_"), "NewDirectory": ("directory", "path", "path")}


class Restored(Resource):
    """What a run made of a resource, taken back: `was` before the run, `became` by it, `half_done` if the run did not end well."""

    settles_within: ClassVar[timedelta] = timedelta(minutes=2)  # a service may take that long to stop

    _thing: Resource = PrivateAttr()
    _was: State | None = PrivateAttr()
    _became: State | None = PrivateAttr()
    _half_done: bool = PrivateAttr()
    _runs: tuple[str, str] = PrivateAttr()
    _backup: str = PrivateAttr()

    @classmethod
    def of(cls, change: RecordedChange, *, by: str, half_done: bool = False) -> Self:
        """Take a recorded change back in the run `by`. Raises ValueError where the record cannot be read."""
        kind = KINDS[change.kind]
        self = cls()
        self._thing = kind.model_validate(change.declared)
        self._was, self._became = (
            kind.state_type.model_validate(state) if state is not None else None
            for state in (change.before, change.after)
        )
        self._half_done = half_done or change.status != Status.CHANGED.value
        self._runs = (change.run, by)
        self._backup = backup_path_of(change)
        return self

    @property
    def was(self) -> State | None:
        """How it was before the run."""
        return self._was

    def is_foreign(self, actual: State | None) -> bool:
        """Whether it is neither as it was nor as the run left it. Any state may be the work of a run that broke off."""
        return not self._half_done and actual not in (self._was, self._became)

    @property
    def key(self) -> Mapping[str, Json]:
        """The thing's own."""
        return self._thing.key

    @property
    def address(self) -> str:
        """The thing's own."""
        return self._thing.address

    def as_declared(self) -> dict[str, Json]:
        """The thing as it was declared in the run: so this can be taken back as well."""
        return self._thing.as_declared()

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What the thing asks, and what became of what was kept aside."""
        seen = self._seen(known)
        return (*self._thing.queries(seen), *self._thing.queries_to_undo(seen))

    def _seen(self, answers: Answers) -> Answers:
        run, by = self._runs
        return Answers(answers, run=run, by=by, backup_folder=answers.backup_folder, backup=self._backup)

    def actual_state(self, answers: Answers) -> State | None:
        """How it is; as recorded where that is the same to the host. Raises Undecided, Unpredictable, ResourceError."""
        seen = self._seen(answers)
        now = self._thing.actual_state(seen)
        for recorded in (self._was, self._became):
            if self._thing.agree(now, recorded, seen):
                return recorded
        return now

    def desired_state(self, actual: State | None, answers: Answers) -> State | None:
        """As it was."""
        return self._was

    def actions(self, before: State | None, after: State | None, answers: Answers) -> Sequence[AnyAction]:
        """What leads back. Raises Undecided, Unpredictable and ResourceError."""
        return self._thing.actions(before, after, self._seen(answers))

    def is_reached(self, answers: Answers) -> bool:
        """Whether it is as it was."""
        return self.actual_state(answers) == self._was

    def way_back(self, before: State | None, after: State | None) -> WayBack:
        """Whether this could be taken back in turn."""
        return self._thing.way_back(before, after)


def backup_path_of(change: RecordedChange) -> str:
    """Where a change kept what it replaced or removed, as its journal tells; empty where it kept nothing."""
    for action in change.actions:
        target = action.action.get("target")
        moved = action.action.get("action") in _MOVES and action.outcome not in _NEVER_DONE
        if moved and isinstance(target, str) and is_backup(target, run=change.run):
            return target
    return ""


def made_on_the_way(change: RecordedChange) -> Sequence[RecordedChange]:
    """The keys and folders that a change made for what it brought, the last one first, each as a change of its own."""
    made = []
    for action in reversed(change.actions):
        kind, argument, name = _PLACES.get(str(action.action.get("action")), ("", "", ""))
        if not kind or argument not in action.action or action.outcome in _NEVER_DONE:
            continue
        place = action.action[argument]
        if change.kind == kind and change.declared.get(name) == place:
            continue  # the thing itself
        if kind == "directory" and is_run_folder(str(place), change.run):
            continue  # the run's own folder, in which other changes keep things too
        made.append(
            replace(
                change, address=f"{kind}:{place}", kind=kind, key={"kind": kind, argument: place}, way_back="full",
                before=None, after={"exists": True}, declared={name: place}, actions=(action,), notify=(),
                sensitive=False, readable=True, status=Status.CHANGED.value if action.outcome == "done" else None,
            )
        )  # fmt: skip
    return made
