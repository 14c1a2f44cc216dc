"""The kind `registry_value`: one value of a registry key, with its type and its data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from converge.errors import ResourceError, Undecided, Unpredictable
from converge.model.action import AnyAction, NewRegistryKey, RemoveRegistryValue, SetRegistryValue
from converge.model.answer import Absent, Answers
from converge.model.change import Json, WayBack
from converge.model.names import fold, same
from converge.model.query import AnyQuery, OperatingSystem, RegistryKey, RegistryValue
from converge.model.registry import RegistryData, RegistryPath, RegistryType
from converge.model.resource import Resource, State
from converge.windows import environment, paths, registry, versions, views
from converge.windows.fields import KeyName, ValueName

TypeName = Literal["string", "expand_string", "multi_string", "dword", "qword", "binary"]
MAX_ENTRIES = 10_000  # of a multi_string


def _plain(raw: object) -> object:
    """Data in a form that can be written down: lists frozen, bytes as hex."""
    if isinstance(raw, bytes):
        return raw.hex()
    return tuple(raw) if isinstance(raw, list) else raw


RawData = Annotated[
    Any,
    BeforeValidator(_plain),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "string"}}]}
    ),
]
"""Data as a playbook holds it; what it means depends on the type."""


class ValueState(State):
    """A value as it is shown and journaled: dword a number, qword a decimal string, binary hex, multi_string a list.

    `data` is None where it could not be read; then `expanded` is an expandable string as the host expands it.
    """

    type: str
    data: str | int | tuple[str, ...] | None
    expanded: str | None = None

    @classmethod
    def of(cls, data: RegistryData) -> ValueState:
        """The state of a value that was found. The raw text counts where it is known, and then nothing else does."""
        raw: str | int | tuple[str, ...] | None
        if isinstance(data.data, bytes):
            raw = data.data.hex()
        elif data.type is RegistryType.QWORD and data.data is not None:
            raw = str(data.data)
        else:
            raw = data.data
        return cls(type=data.type.label, data=raw, expanded=data.expanded if raw is None else None)

    @property
    def restorable(self) -> bool:
        """Whether the value could be written again just as it is."""
        return self.data is not None and RegistryType.from_label(self.type).writable

    @property
    def text(self) -> str | None:
        """The text of a string: raw where that is known, else expanded."""
        if self.expanded is not None:
            return self.expanded
        return self.data if isinstance(self.data, str) and self.type in ("string", "expand_string") else None

    def as_data(self) -> RegistryData:
        """The data to be written. Raises ResourceError where it is not known or of a type that is never written."""
        kind = RegistryType.from_label(self.type)
        if not self.restorable:
            reason = "its raw text is unknown" if kind.writable else f"values of type {self.type} are never written"
            raise ResourceError(f"the value cannot be written: {reason}")
        if isinstance(self.data, str):
            if kind is RegistryType.QWORD:
                return RegistryData(kind, int(self.data))
            if kind is RegistryType.BINARY:
                return RegistryData(kind, bytes.fromhex(self.data))
        return RegistryData(kind, self.data)

    def as_json(self) -> Json:
        """`{"type", "data"}`, with `expanded` only where the raw text is unknown."""
        return self.model_dump(mode="json", exclude={"expanded"} if self.expanded is None else None)


def service_key(path: RegistryPath) -> RegistryPath | None:
    """The key of the service in whose part of the registry a key lies, if it does."""
    parts = path.subkey.split("\\")
    if len(parts) >= 4 and fold(parts[0]) == "SYSTEM" and fold(parts[2]) == "SERVICES":
        return RegistryPath(path.hive, "\\".join(parts[:4]))
    return None


def check_service_is_there(path: RegistryPath, answers: Answers) -> None:
    """Refuse to make the key of a service that does not exist. Raises ResourceError, Undecided, Unpredictable."""
    owner = service_key(path)
    if owner is not None and answers.value(RegistryKey(owner)) is None:
        what = f"the service {owner.name} does not exist: its key {owner} is not made"
        raise ResourceError(what, why="Only creating its key would leave an incomplete service.", try_="install the service first")


class RegistryValueResource(Resource[ValueState]):
    """One value of a registry key. Keys that are missing are made, save those of services that do not exist."""

    model_config = ConfigDict(populate_by_name=True)
    kind: ClassVar[str] = "registry_value"
    way_back_summary: ClassVar[str] = (
        "the value is as it was before, with its type, or gone where there was none. Keys that were "
        "made for it go where they are empty."
    )
    example: ClassVar[str] = r"""
- name: Windows keeps a log of PowerShell scripts
  registry_value: {key: 'HKLM\SOFTWARE\Policies\Microsoft\Windows\PowerShell\ScriptBlockLogging',
                   name: EnableScriptBlockLogging, type: dword, data: 1}
"""

    key_: KeyName = Field(alias="key", description=r"The key, such as HKLM\SYSTEM\CurrentControlSet\Services\SMTPSVC.")
    name: ValueName = Field("", description="The value's name; empty, as by default, for the key's default value.")
    view: Literal[32, 64] | None = Field(None, description="The registry view of a 64-bit Windows; 64 by default.")
    ensure: Literal["present", "absent"] = Field("present", description="Whether the value is to be there.")
    type: TypeName | None = Field(
        None, description="The type. May be left out only where the value exists: then its type stays."
    )
    data: RawData = Field(
        None,
        description="What it holds: a text; a list of texts (multi_string); a whole number from 0, decimal or 0x (dword,"
        " qword); hex digits (binary).",
    )
    contains: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        max_length=MAX_ENTRIES,
        description="Entries that must be among those of a multi_string, in any case. The others stay, in their order;"
        " missing ones are appended.",
    )
    compare: Literal["exact", "path"] = Field(
        "exact",
        description="`path`: case, a trailing backslash and expansion do not matter, nor quotes around a path without blanks.",
    )

    @field_validator("contains", mode="after")
    @classmethod
    def _entries(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None:
            registry.parse_data("multi_string", value)
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> RegistryValueResource:
        if self.ensure == "absent":
            if self.data is not None or self.contains is not None or self.type is not None:
                raise ValueError("a value that is to be absent has no type, data or contains")
            return self
        if (self.data is None) == (self.contains is None):
            raise ValueError("one of `data` and `contains` says what the value holds")
        if self.contains is not None and self.type not in (None, "multi_string"):
            raise ValueError(f"`contains` is for a multi_string, not for a {self.type}")
        if self.compare == "path" and (
            not isinstance(self.data, str) or self.type not in (None, "string", "expand_string")
        ):
            raise ValueError("`compare: path` is for the text of a string or expand_string")
        if self.data is not None:
            registry.parse_data(self.type or _natural_type(self.data), self.data)
        return self

    @property
    def key(self) -> Mapping[str, Json]:
        """What tells it apart: key, name, and the view if one is named."""
        named: dict[str, Json] = {"kind": self.kind, "key": self.key_, "name": self.name}
        return named | ({"view": 32} if self.view == 32 else {})

    @property
    def address(self) -> str:
        """`registry_value:HKLM\\...\\ImagePath`."""
        view = f" (view {self.view})" if self.view == 32 else ""
        return f"{self.kind}:{self.key_}\\{self.name or '(default)'}{view}"

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The value; where it is missing or differs, its key too."""
        asked = views.questions(self.view)
        asked += environment.questions(*self._texts(known))
        path = views.locate_known(self.key_, self.view, known)
        if path is None:
            return asked
        asked.append(RegistryValue(path, self.name))
        if RegistryValue(path, self.name) in known and not self._agrees(known):
            asked.append(RegistryKey(path))
            asked += [RegistryKey(owner)] if (owner := service_key(path)) else []
            asked += [OperatingSystem()] if self._version_matters(path, known) else []
        return asked

    def _version_matters(self, path: RegistryPath, known: Answers) -> bool:
        """Whether what is to be written is of a sort or size that not every Windows takes."""
        try:
            found = self.actual_state(known)
            wanted = self._wanted(found, known) if found is not None else self._new()
        except (Undecided, Unpredictable, ResourceError):
            return False
        return _is_hard_to_write(path, self.name, wanted)

    def _texts(self, known: Answers) -> list[str]:
        """The texts whose expansion may matter."""
        path = views.locate_known(self.key_, self.view, known)
        data = known.known(RegistryValue(path, self.name)) if path else None
        if not isinstance(self.data, str) or data is None or data.type not in _TEXTS:
            return []
        if self.compare == "path":
            return [self.data, *([data.data] if isinstance(data.data, str) else [])]
        return [self.data] if data.data is None else []

    def _agrees(self, known: Answers) -> bool:
        try:
            actual = self.actual_state(known)
            return self.ensure == "absent" or (actual is not None and self._wanted(actual, known) == actual)
        except (Undecided, Unpredictable, ResourceError):
            return False

    def actual_state(self, answers: Answers) -> ValueState | None:
        """What the value holds. Raises Undecided, Unpredictable."""
        data = answers.value(RegistryValue(views.locate(self.key_, self.view, answers), self.name))
        if data is None:
            return None
        if data.data is None and data.expanded is None and data.type.writable:
            raise Undecided(f"the data of {self.key_}\\{self.name} could not be read", refusal="unreadable-data")
        return ValueState.of(data)

    def desired_state(self, actual: ValueState | None, answers: Answers) -> ValueState | None:
        """What it should hold. Raises ResourceError for types that are never written and services that do not exist."""
        if self.ensure == "absent":
            wanted = None
        elif actual is not None:
            wanted = self._wanted(actual, answers)
        else:
            check_service_is_there(views.locate(self.key_, self.view, answers), answers)
            wanted = self._new()
        if actual is not None and wanted != actual and not RegistryType.from_label(actual.type).writable:
            raise ResourceError(f"the value is of type {actual.type}, which converge shows and never writes")
        if wanted is not None and wanted != actual:
            self._check_can_be_written(wanted, answers)
        return wanted

    def _check_can_be_written(self, wanted: ValueState, answers: Answers) -> None:
        path = views.locate(self.key_, self.view, answers)
        if not _is_hard_to_write(path, self.name, wanted):
            return
        system = answers.value(OperatingSystem())
        windows = versions.parse(system.version) if system is not None else (0,)
        if why := registry.cannot_be_written(path, self.name, wanted.as_data(), windows=windows):
            what = f"the value cannot be written: {why}"
            raise ResourceError(what, try_="bring a .reg file by a `file` entry, and import it by a `command` entry")

    def _new(self) -> ValueState:
        if self.contains is not None:
            return ValueState(type="multi_string", data=_without_twins(self.contains))
        if self.type is None:
            raise ResourceError("the value does not exist: its `type` must be said", try_="add `type`")
        return ValueState.of(registry.parse_data(self.type, self.data))

    def _wanted(self, actual: ValueState, answers: Answers) -> ValueState:
        if self.contains is not None:
            return _with_entries(actual, self.contains)
        try:
            wanted = ValueState.of(registry.parse_data(self.type or actual.type, self.data))
        except ValueError as error:
            raise ResourceError(f"the value is of type {actual.type}: {error}", try_="say its `type`") from error
        if wanted.type != actual.type or wanted.text is None or actual.text is None:
            return wanted
        if self.compare == "path":
            text = environment.expanded(wanted.text, answers)
            told = environment.expanded(actual.text, answers)
            return actual if paths.same_path(text, told) else wanted
        if actual.expanded is not None:
            return actual if environment.expanded(wanted.text, answers) == actual.expanded else wanted
        return wanted

    def actions(self, before: ValueState | None, after: ValueState | None, answers: Answers) -> Sequence[AnyAction]:
        """Write the value, its key first where that is missing, or remove it."""
        path = views.locate(self.key_, self.view, answers)
        if after is None:
            return [RemoveRegistryValue(path, self.name)] if before is not None else []
        missing = isinstance(answers.get(RegistryKey(path)), Absent)
        first: list[AnyAction] = [NewRegistryKey(path)] if before is None and missing else []
        return [*first, SetRegistryValue(path, self.name, after.as_data())]

    def queries_to_undo(self, known: Answers) -> Collection[AnyQuery]:
        """The host's variables: by them a raw text is compared with one that is seen expanded."""
        return (OperatingSystem(),)

    def agree(self, left: ValueState | None, right: ValueState | None, answers: Answers) -> bool:
        """By the data; where one of two raw texts is unknown, by what they expand to."""
        return same_value(left, right, answers)

    def way_back(self, before: ValueState | None, after: ValueState | None) -> WayBack:
        """Full, unless what is overwritten could not be read as it is stored."""
        if before is not None and not before.restorable:
            return WayBack("none", "raw text unknown", must_accept=True)
        path = registry.parse_path(self.key_)
        if before is not None and size_in_request(path, self.name, before) > registry.SMALLEST_REQUEST:
            return WayBack("none", "what is there is too large to be written again in one request", must_accept=True)
        return WayBack()

    def notes(self, answers: Answers) -> Sequence[str]:
        """How it was compared, and a key that bears the value's name."""
        path = views.locate(self.key_, self.view, answers)
        told = []
        data = answers.known(RegistryValue(path, self.name))
        if data is not None and data.data is None and data.expanded is not None:
            told.append("compared as expanded: the raw text of this expand_string could not be read")
        if self.name and any(same(name, self.name) for name in _subkeys(path, answers)):
            told.append(f"a key, not a value, of the name {self.name} lies in {path}; it is left alone")
        return told


def same_value(left: ValueState | None, right: ValueState | None, answers: Answers) -> bool:
    """Whether two states of a value are the same as far as a host tells its raw text. Raises Undecided, Unpredictable."""
    if left is None or right is None:
        return left == right
    if left.type != right.type or (left.data is None) == (right.data is None):
        return left == right
    if left.text is None or right.text is None:
        return False
    return environment.expanded(left.text, answers) == environment.expanded(right.text, answers)


def _is_hard_to_write(path: RegistryPath, name: str, wanted: ValueState) -> bool:
    return wanted.type == "qword" or size_in_request(path, name, wanted) > registry.SMALLEST_REQUEST


def size_in_request(path: RegistryPath, name: str, state: ValueState) -> int:
    """Bytes that writing a value again takes in a request; none for one that is never written."""
    return registry.size_in_request(path, name, state.as_data()) if state.restorable else 0


_TEXTS = (RegistryType.STRING, RegistryType.EXPAND_STRING)


def _natural_type(raw: object) -> str:
    """The type by which data without a type is checked while it is read."""
    if isinstance(raw, tuple):
        return "multi_string"
    return "qword" if isinstance(raw, int) and not isinstance(raw, bool) else "string"


def _subkeys(path: RegistryPath, answers: Answers) -> tuple[str, ...]:
    contents = answers.known(RegistryKey(path))
    return contents.subkeys if contents else ()


def _without_twins(entries: Sequence[str]) -> tuple[str, ...]:
    kept: dict[str, str] = {}
    for entry in entries:
        kept.setdefault(fold(entry), entry)
    return tuple(kept.values())


def _with_entries(actual: ValueState, wanted: Sequence[str]) -> ValueState:
    """The entries that are there, in their order, then those that are missing. One text of the wrong type is one entry."""
    if isinstance(actual.data, tuple):
        present = actual.data
    elif actual.type in ("string", "expand_string") and isinstance(actual.data, str):
        present = (actual.data,) if actual.data else ()
    else:
        what = f"the value is of type {actual.type}: which entries it should keep cannot be determined"
        raise ResourceError(what, try_="say all of them as `data` with `type: multi_string`")
    known = {fold(entry) for entry in present}
    missing = [entry for entry in _without_twins(wanted) if fold(entry) not in known]
    return ValueState(type="multi_string", data=(*present, *missing))
