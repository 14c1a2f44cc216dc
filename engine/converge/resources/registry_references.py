"""The kind `registry_references`: values below some keys that name files by their paths, pointed to where those files lie."""

from __future__ import annotations

import ntpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict, Field, field_validator

from converge.errors import ResourceError
from converge.model.action import AnyAction, SetRegistryValue
from converge.model.answer import Answers, Refused
from converge.model.change import Json, WayBack
from converge.model.facts import SearchFinds
from converge.model.names import fold
from converge.model.query import AnyQuery, File, OperatingSystem, RegistrySearch, RegistryValue
from converge.model.registry import RegistryPath, RegistryType
from converge.model.resource import Resource, State
from converge.resources.registry_value import ValueState, same_value
from converge.windows import environment, paths, registry, short_names
from converge.windows.fields import HostPath, KeyName

MAX_REFERENCES = 5000  # values that a search may nominate; more means that the files' names are too common
_TEXTS = (RegistryType.STRING, RegistryType.EXPAND_STRING)


class ReferenceState(ValueState):
    """One value that names one of the files in a folder considered wrong, or in the right one."""

    key: str
    name: str

    @property
    def place(self) -> tuple[RegistryPath, str]:
        """Which value it is."""
        return registry.parse_path(self.key), fold(self.name)


class ReferencesState(State):
    """Every value that the resource is about. Those that name the files elsewhere are not among them."""

    values: tuple[ReferenceState, ...] = ()

    def as_json(self) -> Json:
        """The values as a list, each with its key and name."""
        return {"values": [item.as_json() for item in self.values]}


@dataclass(frozen=True, slots=True)
class _Part:
    """One element of a `;` list: what stands before the path, the folder, the file's name, and the rest."""

    before: str
    folder: str
    file: str
    rest: str


class RegistryReferences(Resource[ReferencesState]):
    """Every string or expand_string below `roots` whose data is the path of one of `files` in a folder considered wrong.

    Its folder is replaced by `directory`; quotes, arguments, the other elements of a `;` list and the type stay. The
    whole last component of the path must be the file's name. Of a folder written with 8.3 names the host is asked
    which one it is.
    """

    model_config = ConfigDict(populate_by_name=True)
    kind: ClassVar[str] = "registry_references"
    way_back_summary: ClassVar[str] = "each value that was changed is as it was before."
    example: ClassVar[str] = r"""
- name: Seo.dll is registered where it lies
  registry_references:
    roots: ['HKLM\SOFTWARE\Classes']
    files: [Seo.dll]
    from: ['%SystemRoot%\System32\Inetsrv']
    directory: 'D:\Inetsrv'
"""

    roots: tuple[KeyName, ...] = Field(
        min_length=1, max_length=50, description=r"Keys to search below, such as HKLM\SOFTWARE\Classes."
    )
    files: tuple[str, ...] = Field(min_length=1, max_length=200, description="Names of files, such as Seo.dll.")
    directory: HostPath = Field(description="The folder that the values should name.")
    from_: tuple[HostPath, ...] = Field(
        alias="from", min_length=1, max_length=50, description="Folders considered wrong."
    )
    unreadable: tuple[KeyName, ...] = Field(
        (), max_length=200, description="Keys that may refuse to be read; any other refusal leaves this undecided."
    )

    @field_validator("files", mode="after")
    @classmethod
    def _names_only(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not name.strip() or re.search(r'[\\/:*?"<>|;%\x00-\x1f]', name):
                raise ValueError(f"{name!r} is not a file name such as Seo.dll")
        return value

    @property
    def key(self) -> Mapping[str, Json]:
        """What tells it apart: roots and files."""
        return {"kind": self.kind, "roots": list(self.roots), "files": list(self.files)}

    @property
    def address(self) -> str:
        """`registry_references:Seo.dll,Seos.dll below HKLM\\...`."""
        return f"{self.kind}:{','.join(self.files)} below {', '.join(self.roots)}"

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The search; then each value it nominates, from the registry itself; then files named elsewhere."""
        search = self._search()
        finds = known.known(search)
        asked: list[AnyQuery] = [search, OperatingSystem()]
        if finds is None:
            return asked
        nominated = [RegistryValue(key, name) for key, name in self._nominated(finds)]
        asked += nominated
        told = environment.known(known)
        for query in nominated:
            data = known.known(query)
            if data is None or data.type not in _TEXTS:
                continue
            for part in self._parts(ValueState.of(data).text or ""):
                folder = paths.expand(part.folder, told or {})
                if paths.is_absolute(folder) and paths.is_expanded(folder) and not self._is_ours(folder, told or {}):
                    asked += _questions(_straight(folder), part.file, known)
        return asked

    def _search(self) -> RegistrySearch:
        return RegistrySearch(tuple(registry.parse_path(root) for root in self.roots), self.files)

    def _nominated(self, finds: SearchFinds) -> Iterator[tuple[RegistryPath, str]]:
        """The values worth asking for: those that mention a file at all. Raises ResourceError for too many."""
        names = [fold(name) for name in self.files]
        count = 0
        for value in finds.values:
            text = value.data.text if not isinstance(value.data.data, str) else value.data.data
            if value.data.type in _TEXTS and (text is None or any(name in fold(text) for name in names)):
                count += 1
                yield value.key, value.name
        if count > MAX_REFERENCES:
            raise ResourceError(f"the search found {count} values, more than {MAX_REFERENCES}", try_="narrow `roots`")

    def _parts(self, text: str) -> Iterator[_Part]:
        """The elements of a text that are paths of one of the files."""
        for element in _elements(text):
            if part := self._part(element):
                yield part

    def _part(self, element: str) -> _Part | None:
        for name in self.files:
            found = re.match(
                rf'(\s*"?\s*(?:@|\\\\\?\\|\\\?\?\\)?)((?:[A-Za-z]:|%[^%"]+%|\\\\)[^":%]*?[\\/])({re.escape(name)})(?=$|[\s",]|\\\d+(?:$|[\s",]))(.*)',
                element,
                re.IGNORECASE | re.DOTALL,
            )
            if found:
                return _Part(*found.groups())
        return None

    def _is_ours(self, folder: str, variables: Mapping[str, str]) -> bool:
        return any(paths.same_folder(folder, paths.expand(mine, variables)) for mine in (self.directory, *self.from_))

    def _read(self, answers: Answers) -> Iterator[tuple[RegistryPath, str, ValueState]]:
        """Every nominated value that could be read and is a text. Raises Undecided, Unpredictable for the search itself."""
        finds = answers.value(self._search())
        for key, name in self._nominated(finds) if finds else ():
            query = RegistryValue(key, name)
            if isinstance(answers.get(query), Refused):
                continue
            data = answers.value(query)
            if data is not None and data.type in _TEXTS:
                yield key, name, ValueState.of(data)

    def actual_state(self, answers: Answers) -> ReferencesState:
        """The values that name a file in a wrong folder or in the right one. Raises Undecided, Unpredictable and ResourceError."""
        ours = []
        for key, name, value in self._read(answers):
            if any(self._judged(_place(part, answers), answers) for part in self._parts(value.text or "")):
                ours.append(ReferenceState(key=str(key), name=name, **value.model_dump()))
        return ReferencesState(values=tuple(sorted(ours, key=lambda item: (fold(item.key), fold(item.name)))))

    def _judged(self, folder: str, answers: Answers) -> str:
        """`right`, `wrong`, or an empty text for a folder that is elsewhere."""
        if paths.same_folder(folder, environment.resolve(self.directory, answers)):
            return "right"
        wrong = [environment.resolve(mine, answers) for mine in self.from_]
        return "wrong" if any(_leads_to(folder, mine, answers) for mine in wrong) else ""

    def desired_state(self, actual: ReferencesState | None, answers: Answers) -> ReferencesState:
        """The same values, those in a wrong folder pointed to the right one."""
        found = actual.values if actual is not None else ()
        return ReferencesState(values=tuple(self._pointed(item, answers) for item in found))

    def _pointed(self, item: ReferenceState, answers: Answers) -> ReferenceState:
        text = item.text or ""
        elements = [self._pointed_element(element, answers) for element in _elements(text)]
        if (new := ";".join(elements)) == text:
            return item
        return ReferenceState(key=item.key, name=item.name, type=item.type, data=new)

    def _pointed_element(self, element: str, answers: Answers) -> str:
        part = self._part(element)
        if part is None or self._judged(_place(part, answers), answers) != "wrong":
            return element
        folder = environment.resolve(self.directory, answers).rstrip("\\")
        if " " in folder and '"' not in part.before and part.rest.strip() and not part.rest.startswith("\\"):
            return f'{part.before}"{folder}\\{part.file}"{part.rest}'  # else its blank would begin the arguments
        return f"{part.before}{folder}\\{part.file}{part.rest}"

    def actions(self, before: ReferencesState | None, after: ReferencesState | None, answers: Answers) -> Sequence[AnyAction]:
        """One write for each value that differs."""
        now = before.values if before is not None else ()
        wanted = after.values if after is not None else ()
        held = {item.place: item for item in now}
        return [
            SetRegistryValue(registry.parse_path(item.key), item.name, item.as_data())
            for item in wanted
            if held.get(item.place) != item
        ]

    def agree(self, left: ReferencesState | None, right: ReferencesState | None, answers: Answers) -> bool:
        """By the values that `right` names; others that name the files by now do not matter."""
        seen = {item.place: item for item in left.values} if left is not None else {}
        named = right.values if right is not None else ()
        return all(same_value(seen.get(item.place), item, answers) for item in named)

    def way_back(self, before: ReferencesState | None, after: ReferencesState | None) -> WayBack:
        """Full, unless a text that is overwritten could not be read as it is stored."""
        wanted = {item.place: item for item in after.values} if after is not None else {}
        for item in before.values if before is not None else ():
            if not item.restorable and wanted.get(item.place) != item:
                return WayBack("none", f"raw text of {item.key}\\{item.name} unknown", must_accept=True)
        return WayBack()

    def notes(self, answers: Answers) -> Sequence[str]:
        """References that lie elsewhere and are left alone, keys that refused as they may, and a search that was not made."""
        told = []
        for key, name, value in self._read(answers):
            for part in self._parts(value.text or ""):
                folder = _place(part, answers)
                if not self._judged(folder, answers):
                    target = paths.join(folder, part.file)
                    told.append(f"{key}\\{name or '(default)'} names {target}{_remark(target, answers)}: left alone")
        finds = answers.known(self._search())
        tolerated = [str(key) for key in finds.unreadable if self._may_refuse(key)] if finds else []
        if finds and finds.last_full:
            many = "1 known place" if len(finds.values) == 1 else f"{len(finds.values)} known places"
            told.append(f"{many}, last full search {finds.last_full:%Y-%m-%d %H:%M} UTC")
        return [*told, *(f"{key} refused to be read, as it may" for key in tolerated)]

    def incomplete(self, answers: Answers) -> str:
        """What could not be read although nobody said that it may refuse; empty when everything could."""
        finds = answers.known(self._search())
        if finds is None:
            return ""
        refused = [str(key) for key in finds.unreadable if not self._may_refuse(key)]
        refused += [
            f"{key}\\{name or '(default)'}"
            for key, name in self._nominated(finds)
            if isinstance(answers.get(RegistryValue(key, name)), Refused) and not self._may_refuse(key)
        ]
        if not refused:
            return ""
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        return f"the host refused to read {', '.join(refused[:5])}{more}: a reference may be hidden there"

    def _may_refuse(self, key: RegistryPath) -> bool:
        return any(key.is_within(registry.parse_path(allowed)) for allowed in self.unreadable)


def _elements(text: str) -> list[str]:
    """The elements of a `;` list; a semicolon in quotes does not part them."""
    elements, quoted = [""], False
    for character in text:
        if character == ";" and not quoted:
            elements.append("")
            continue
        quoted ^= character == '"'
        elements[-1] += character
    return elements


def _straight(folder: str) -> str:
    """The folder without `.` and `..`, as Windows reads it."""
    dotted = {".", ".."} & set(paths.normalise(folder).split("\\"))
    return ntpath.normpath(paths.normalise(folder)) if dotted else folder


def _place(part: _Part, answers: Answers) -> str:
    """The folder that a part names, as far as the host knows it, with long names. Raises Undecided, Unpredictable."""
    folder = _straight(environment.expanded(part.folder, answers))
    return short_names.long_form(folder, answers) if short_names.is_short(folder) else folder


def _leads_to(folder: str, wrong: str, answers: Answers) -> bool:
    """A path of which an 8.3 name is still left has a name that no folder bears: that may be meant all the same."""
    if short_names.is_short(folder):
        return short_names.leads_to(folder, wrong, answers)
    return paths.same_folder(folder, wrong)


def _questions(folder: str, file: str, known: Answers) -> Iterator[AnyQuery]:
    """Which folder an 8.3 name is; then whether the file is there."""
    if short_names.is_short(folder):
        asked = short_names.questions(folder, known)
        yield from asked
        if any(question not in known for question in asked):
            return
        folder = short_names.long_form(folder, known)
    yield File(paths.join(folder, file))


def _remark(target: str, answers: Answers) -> str:
    if answers.known(File(target)):
        return ", which exists"
    return " (no folder has that 8.3 name)" if short_names.is_short(paths.parent(target)) else ""
