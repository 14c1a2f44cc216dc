"""A resource of which another state is wanted than its playbook says: the one recorded before a change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Self

from pydantic import PrivateAttr

from converge.model.action import (
    AnyAction,
    MoveDirectory,
    RemoveDirectory,
    RemoveRegistryKey,
    RemoveRegistryValue,
)
from converge.model.answer import Answers
from converge.model.change import Json, WayBack
from converge.model.names import fold
from converge.model.query import AnyQuery, Directory, RegistryKey
from converge.model.registry import RegistryPath
from converge.model.resource import Resource, State


class Restored(Resource):
    """What a run made of a resource, taken back: `was` before the run, `became` by it, `half_done` if the run did not end well.

    Keys and folders that the run made on the way go with it where nothing lies in them any more.
    """

    settles_within: ClassVar[timedelta] = timedelta(minutes=2)  # a service may take that long to stop

    _thing: Resource = PrivateAttr()
    _was: State | None = PrivateAttr()
    _became: State | None = PrivateAttr()
    _half_done: bool = PrivateAttr()
    _runs: tuple[str, str] = PrivateAttr()
    _keys: tuple[RegistryPath, ...] = PrivateAttr()
    _folders: tuple[str, ...] = PrivateAttr()

    @classmethod
    def of(
        cls,
        thing: Resource,
        *,
        was: State | None,
        became: State | None,
        made: Iterable[Mapping[str, Json]],
        half_done: bool,
        run: str,
        by: str,
    ) -> Self:
        """Take back what `run` made of a thing, in the run `by`; `made` are its actions as journaled. Raises ValueError."""
        self = cls()
        self._thing, self._was, self._became, self._half_done, self._runs = thing, was, became, half_done, (run, by)
        actions = list(made)
        keys = [RegistryPath.from_text(item["key"]) for item in actions if item.get("action") == "NewRegistryKey"]
        folders = [str(item["path"]) for item in actions if item.get("action") == "NewDirectory"]
        # Deepest first: what lies in them goes before them.
        self._keys = tuple(sorted(keys, key=lambda key: -key.subkey.count("\\")))
        self._folders = tuple(sorted(folders, key=lambda path: -path.count("\\")))
        return self

    @property
    def was(self) -> State | None:
        """How it was before the run."""
        return self._was

    @property
    def became(self) -> State | None:
        """How the run left it, if it ended well."""
        return self._became

    @property
    def half_done(self) -> bool:
        """Whether the run did not end its change well: then any state may be its work."""
        return self._half_done

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
        """What the thing asks, what was kept aside, and what lies in the keys and folders that were made on the way."""
        seen = self._seen(known)
        asked = [*self._thing.queries(seen), *self._thing.queries_to_undo(seen)]
        if self._was is None:
            asked += [RegistryKey(key) for key in self._keys]
            asked += [Directory(path, True) for path in self._folders]
        return asked

    def _seen(self, answers: Answers) -> Answers:
        run, by = self._runs
        return Answers(answers, run=run, by=by)

    def actual_state(self, answers: Answers) -> State | None:
        """How it is; as recorded where that is the same as far as the host can tell. Raises Undecided, Unforetold, ResourceError."""
        seen = self._seen(answers)
        now = self._thing.actual_state(seen)
        for recorded in (self._was, self._became):
            if self._thing.agree(now, recorded, seen):
                return recorded
        return now

    def desired_state(self, actual: State | None, answers: Answers) -> State | None:
        """As it was."""
        del actual, answers
        return self._was

    def actions(self, before: State | None, after: State | None, answers: Answers) -> Sequence[AnyAction]:
        """What leads back. Raises Undecided, Unforetold, ResourceError."""
        actions = list(self._thing.actions(before, after, self._seen(answers)))
        if after is None:
            actions += self._emptied_keys(actions, answers)
            actions += self._emptied_folders(actions, answers)
        return actions

    def _emptied_keys(self, actions: Sequence[AnyAction], answers: Answers) -> list[AnyAction]:
        gone = {action.key for action in actions if isinstance(action, RemoveRegistryKey)}
        values = {(action.key, fold(action.name)) for action in actions if isinstance(action, RemoveRegistryValue)}
        emptied: list[AnyAction] = []
        for key in self._keys:
            contents = answers.value(RegistryKey(key))
            if key in gone or contents is None:
                continue
            if all(key / name in gone for name in contents.subkeys) and all(
                (key, fold(name)) in values for name, _ in contents.values
            ):
                emptied.append(RemoveRegistryKey(key))
                gone.add(key)
        return emptied

    def _emptied_folders(self, actions: Sequence[AnyAction], answers: Answers) -> list[AnyAction]:
        gone = {fold(action.path) for action in actions if isinstance(action, RemoveDirectory)}
        moved = {fold(action.source) for action in actions if isinstance(action, MoveDirectory)}
        emptied: list[AnyAction] = []
        for path in self._folders:
            contents = answers.value(Directory(path, True))
            if fold(path) in gone | moved or contents is None or contents.files:
                continue
            if all(fold(f"{path}\\{name}") in gone for name in contents.directories):
                emptied.append(RemoveDirectory(path))
                gone.add(fold(path))
        return emptied

    def is_reached(self, answers: Answers) -> bool:
        """Whether it is as it was."""
        return self.actual_state(answers) == self._was

    def way_back(self, before: State | None, after: State | None) -> WayBack:
        """Whether this could be taken back in turn."""
        return self._thing.way_back(before, after)
