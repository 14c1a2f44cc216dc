"""The kind `registry_key`: a registry key that is there, or is not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from converge.errors import ResourceError
from converge.model.action import AnyAction, NewRegistryKey, RemoveRegistryKey, SetRegistryValue
from converge.model.answer import Answers
from converge.model.change import Json, WayBack
from converge.model.facts import KeyContents
from converge.model.names import fold
from converge.model.query import AnyQuery, RegistryKey, RegistryValue
from converge.model.registry import RegistryPath
from converge.model.resource import Resource, State
from converge.resources.registry_value import ValueState, check_service_is_there, service_key, size_in_request
from converge.windows import registry, views
from converge.windows.fields import KeyName

MAX_KEYS = 2000  # keys below one that is removed with everything in it; more is hardly meant


class ValueRecord(State):
    """One value of a key that is about to be removed."""

    name: str
    value: ValueState


class KeyRecord(State):
    """One key of a tree that is about to be removed. `below` is its path below the tree's root, empty for the root."""

    below: str
    values: tuple[ValueRecord, ...] = ()


class RegistryKeyState(State):
    """A key that is there. Its contents are recorded only where they are about to be removed."""

    exists: Literal[True] = True
    contents: tuple[KeyRecord, ...] = ()

    def as_json(self) -> Json:
        """The contents only where there are some."""
        return self.model_dump(mode="json", exclude={"contents"} if not self.contents else None)


class RegistryKeyResource(Resource[RegistryKeyState]):
    """A registry key that is there, or is not. What lies in it is the business of `registry_value`."""

    model_config = ConfigDict(populate_by_name=True)
    kind: ClassVar[str] = "registry_key"
    way_back_summary: ClassVar[str] = (
        "a key that was made goes again where it is still empty; one that was removed is made again "
        "with its values, without its permissions."
    )
    example: ClassVar[str] = r"""
- name: The product has a settings key
  registry_key: {key: 'HKLM\SOFTWARE\Vendor\Product'}
"""

    key_: KeyName = Field(alias="key", description=r"The key, such as HKLM\SOFTWARE\Vendor\Product.")
    view: Literal[32, 64] | None = Field(None, description="The registry view of a 64-bit Windows; 64 by default.")
    ensure: Literal["present", "absent"] = Field("present", description="Whether the key is to be there.")
    recursive: bool = Field(False, description="With `ensure: absent`: remove it with everything that lies in it.")

    @model_validator(mode="after")
    def _makes_sense(self) -> RegistryKeyResource:
        if self.recursive and self.ensure != "absent":
            raise ValueError("`recursive` goes with `ensure: absent` only")
        if self.ensure == "absent" and self.path.subkey.count("\\") < 1:
            raise ValueError(f"{self.key_} is a hive or lies directly in one: it is never removed")
        return self

    @property
    def path(self) -> RegistryPath:
        """The key as it is written."""
        return registry.parse_path(self.key_)

    @property
    def key(self) -> Mapping[str, Json]:
        """What tells it apart: the key, and the view if one is named."""
        return {"kind": self.kind, "key": self.key_} | ({"view": 32} if self.view == 32 else {})

    @property
    def address(self) -> str:
        """`registry_key:HKLM\\...`."""
        return f"{self.kind}:{self.key_}" + (f" (view {self.view})" if self.view == 32 else "")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The key; with everything below it where that is to be removed."""
        path = views.locate_known(self.key_, self.view, known)
        asked = views.questions(self.view)
        if path is None:
            return asked
        asked.append(RegistryKey(path))
        if self.ensure == "absent" and self.recursive:
            asked += _tree(path, known)
        elif self.ensure == "absent":
            asked += _default(path, known)
        elif self.ensure == "present" and known.known(RegistryKey(path)) is None and (owner := service_key(path)):
            asked.append(RegistryKey(owner))
        return asked

    def actual_state(self, answers: Answers) -> RegistryKeyState | None:
        """Whether it is there. Raises Undecided, Unpredictable, ResourceError for a tree that is too large."""
        path = views.locate(self.key_, self.view, answers)
        if answers.value(RegistryKey(path)) is None:
            return None
        if self.ensure != "absent" or not self.recursive:
            return RegistryKeyState()
        return RegistryKeyState(contents=_records(path, answers))

    def desired_state(self, actual: RegistryKeyState | None, answers: Answers) -> RegistryKeyState | None:
        """There or absent. Raises ResourceError where a key that is not empty would have to go."""
        path = views.locate(self.key_, self.view, answers)
        if self.ensure == "present":
            if actual is None:
                check_service_is_there(path, answers)
            return actual if actual is not None else RegistryKeyState()
        if actual is not None and not self.recursive:
            _check_is_empty(path, answers)
        return None

    def actions(self, before: RegistryKeyState | None, after: RegistryKeyState | None, answers: Answers) -> Sequence[AnyAction]:
        """Make it, with what was recorded of it, or remove it, leaves first."""
        path = views.locate(self.key_, self.view, answers)
        if after is not None:
            return _restore(path, after)
        contents = before.contents if before is not None else ()
        if not contents:
            _check_is_empty(path, answers)
            return [RemoveRegistryKey(path)]
        return [RemoveRegistryKey(_below(path, record.below)) for record in reversed(contents)]

    def queries_to_undo(self, known: Answers) -> Collection[AnyQuery]:
        """Whether a key that was made holds anything by now."""
        path = views.locate_known(self.key_, self.view, known)
        return [RegistryKey(path), *_default(path, known)] if path is not None else []

    def agree(self, left: RegistryKeyState | None, right: RegistryKeyState | None, answers: Answers) -> bool:
        """The order in which a host lists what lies in a key does not matter."""
        if left is None or right is None:
            return left == right
        return _unordered(left) == _unordered(right)

    def way_back(self, before: RegistryKeyState | None, after: RegistryKeyState | None) -> WayBack:
        """A key that was removed comes back with its values, though not with its permissions."""
        if before is None or after is not None:
            return WayBack()
        if any(not item.value.restorable for record in before.contents for item in record.values):
            return WayBack("none", "it holds values that cannot be written again", must_accept=True)
        if any(
            size_in_request(_below(self.path, record.below), item.name, item.value) > registry.SMALLEST_REQUEST
            for record in before.contents
            for item in record.values
        ):
            return WayBack("none", "it holds a value too large to be written again in one request", must_accept=True)
        return WayBack("partial", "the key's permissions are not brought back")


def _unordered(state: RegistryKeyState) -> object:
    return {fold(record.below): {fold(item.name): item.value for item in record.values} for record in state.contents}


def _below(path: RegistryPath, below: str) -> RegistryPath:
    return path / below if below else path


def _tree(path: RegistryPath, known: Answers) -> list[AnyQuery]:
    """The questions about everything below a key, as far as its shape is known."""
    asked: list[AnyQuery] = []
    waiting = [path]
    while waiting and len(asked) <= MAX_KEYS:
        key = waiting.pop()
        asked.append(RegistryKey(key))
        contents = known.known(RegistryKey(key))
        if contents:
            asked += [RegistryValue(key, name) for name, _ in contents.values] or _default(key, known)
            waiting += [key / name for name in contents.subkeys]
    return asked


def _default(key: RegistryPath, known: Answers) -> list[AnyQuery]:
    """The default value of a key that seems to hold none: a host leaves it out of what it lists where it is the only one."""
    contents = known.known(RegistryKey(key))
    return [RegistryValue(key, "")] if contents is not None and not contents.values else []


def _records(path: RegistryPath, answers: Answers) -> tuple[KeyRecord, ...]:
    """Every key of a tree with its values, parents before children. Raises Undecided, Unpredictable and ResourceError."""
    records: list[KeyRecord] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        key = _below(path, below)
        contents = answers.value(RegistryKey(key)) or KeyContents((), ())
        values = []
        for name in [name for name, _ in contents.values] or [""]:
            data = answers.value(RegistryValue(key, name))
            if data is not None:
                values.append(ValueRecord(name=name, value=ValueState.of(data)))
        records.append(KeyRecord(below=below, values=tuple(values)))
        waiting += [f"{below}\\{name}" if below else name for name in reversed(contents.subkeys)]
        if len(records) + len(waiting) + sum(len(record.values) for record in records) > MAX_KEYS:
            raise ResourceError(
                f"{path} holds more than {MAX_KEYS} keys and values", try_="remove a smaller part of it"
            )
    return tuple(records)


def _check_is_empty(path: RegistryPath, answers: Answers) -> None:
    contents = answers.value(RegistryKey(path))
    if contents is None:
        return
    values = len(contents.values) or int(answers.value(RegistryValue(path, "")) is not None)
    if contents.subkeys or values:
        what = f"{path} is not empty: {len(contents.subkeys)} keys and {values} values lie in it"
        raise ResourceError(what, try_="`recursive: true`, if everything in it is to go")


def _restore(path: RegistryPath, state: RegistryKeyState) -> list[AnyAction]:
    actions: list[AnyAction] = [] if state.contents else [NewRegistryKey(path)]
    for record in state.contents:
        key = _below(path, record.below)
        actions.append(NewRegistryKey(key))
        actions += [SetRegistryValue(key, item.name, item.value.as_data()) for item in record.values]
    return actions
