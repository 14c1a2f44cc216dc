"""Variables that are looked up on the host: candidates, each of which may tell a value, is not there, or is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from converge.errors import InputErrors, ResourceError, Undecided
from converge.model.answer import Answers
from converge.model.facts import KeyContents
from converge.model.names import fold
from converge.model.play import Discovery, Finder, Scope
from converge.model.query import AnyQuery, Directory, File, OperatingSystem, RegistryKey, RegistryValue, Service
from converge.playbook.checking import problems_of
from converge.playbook.conditions import without_secrets
from converge.playbook.forms import Form
from converge.playbook.templates import Constant, read_value
from converge.playbook.variables import Names, Variables
from converge.reading.problems import Problems
from converge.reading.spelling import did_you_mean
from converge.reading.tree import Listing, Node, Table, kind_of, plain
from converge.windows import environment, paths, registry
from converge.windows.fields import HostPath, KeyName, ServiceName, ValueName

MAX_NAMED = 20  # files or values that a text names; more would not be read

_NT_PREFIX = re.compile(r"^\\\?\?\\")
_SYSTEM_ROOT = re.compile(r"^\\SystemRoot\\", re.IGNORECASE)


class ServiceProgram(Form):
    """Whose program, and what must lie beside it."""

    name: ServiceName = Field(description="The service's short name, such as W3SVC.")
    containing: str = Field(
        pattern=r'^[^\\/:*?"<>|\x00-\x1f]+$', description="A file that must lie in the folder, such as Inetinfo.exe."
    )


class ServiceDirectory(Form):
    """The folder of a service's program, if a certain file lies in it."""

    service_directory: ServiceProgram = Field(description="The folder of a service's program: {name, containing}.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The service, then the file beside its program."""
        service = known.known(Service(self.service_directory.name))
        asked: list[AnyQuery] = [Service(self.service_directory.name)]
        if service is not None:
            command = _win32(service.path_name)
            asked += environment.questions(command)
            program = environment.resolve_known(paths.executable_of(command), known)
            asked += [File(self._file(program))] if program else []
        return asked

    def find(self, answers: Answers) -> str | None:
        """The folder, or None where the service or the file is not there. Raises Undecided, Unpredictable."""
        service = answers.value(Service(self.service_directory.name))
        if service is None:
            return None
        program = _resolved(paths.executable_of(_win32(service.path_name)), answers)
        return paths.parent(program) if answers.value(File(self._file(program))) is not None else None

    def _file(self, program: str) -> str:
        return paths.join(paths.parent(program), self.service_directory.containing)

    def describe(self) -> str:
        """In words."""
        wanted = self.service_directory
        return f"no {wanted.containing} beside the program of service {wanted.name}"


class ValueOfKey(Form):
    """Which registry value."""

    key: KeyName = Field(description=r"The key, such as HKLM\SOFTWARE\Microsoft\InetStp.")
    name: ValueName = Field("", description="The value's name; empty for the default value.")
    view: Literal[32, 64] | None = Field(None, description="The registry view of a 64-bit Windows; 64 by default.")
    number: bool = Field(False, description="Whether a number is expected: it is found as its decimal digits.")


class RegistryText(Form):
    """The text of a registry value, expanded."""

    registry_value: ValueOfKey = Field(description="The text of a registry value: {key, name}.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The value; which Windows it is, where the view or the text needs it."""
        facts = known.known(OperatingSystem())
        if self.registry_value.view == 32 and facts is None:
            return (OperatingSystem(),)
        question = self._question(is_64_bit=bool(facts and facts.is_64_bit))
        data = known.known(question)
        return (question, *environment.questions(data.text if data else None))

    def _question(self, *, is_64_bit: bool) -> RegistryValue:
        wanted = self.registry_value
        path = registry.in_view(registry.parse_path(wanted.key), view=wanted.view, is_64_bit=is_64_bit)
        return RegistryValue(path, wanted.name)

    def find(self, answers: Answers) -> str | None:
        """The text, a number as a decimal one, or None where the value is not there or empty. Raises Undecided, Unpredictable."""
        facts = answers.value(OperatingSystem()) if self.registry_value.view == 32 else None
        data = answers.value(self._question(is_64_bit=bool(facts and facts.is_64_bit)))
        if data is None:
            return None
        if self.registry_value.number and isinstance(data.data, int):
            return str(data.data)
        if data.text is None:
            what = f"{self._title} is of type {data.type.label}, not a text that can be read"
            raise Undecided(what, refusal="no-text")
        return _tidy(environment.expanded(data.text, answers)) or None

    @property
    def _title(self) -> str:
        return f"{self.registry_value.key}\\{self.registry_value.name or '(default)'}"

    def describe(self) -> str:
        """In words."""
        return f"no registry value {self._title}"


class ThisDirectory(Form):
    """A folder, if it is there."""

    directory: HostPath = Field(description="A folder: its path, if it is there.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The folder."""
        path = environment.resolve_known(self.directory, known)
        return (*environment.questions(self.directory), *((Directory(path),) if path else ()))

    def find(self, answers: Answers) -> str | None:
        """Its path, or None where it is not there. Raises Undecided, Unpredictable."""
        path = _resolved(self.directory, answers)
        return path if answers.value(Directory(path)) is not None else None

    def describe(self) -> str:
        """In words."""
        return f"no folder {self.directory}"


class FolderOfFile(Form):
    """The folder of a file, if the file is there."""

    file: HostPath = Field(description="A file: its folder, if the file is there.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The file."""
        path = environment.resolve_known(self.file, known)
        return (*environment.questions(self.file), *((File(path),) if path else ()))

    def find(self, answers: Answers) -> str | None:
        """Its folder, or None where it is not there. Raises Undecided, Unpredictable."""
        path = _resolved(self.file, answers)
        return paths.parent(path) if answers.value(File(path)) is not None else None

    def describe(self) -> str:
        """In words."""
        return f"no file {self.file}"


class OldFiles(Form):
    """Which files of a folder, by name and age."""

    directory: HostPath = Field(description="The folder they lie in.")
    matching: str = Field("*", min_length=1, max_length=255, description="Their names, with * and ?, in any case.")
    modified_before: str = Field(
        pattern=r"^(\d{4}-\d{2}-\d{2})?$",
        description="The day, YYYY-MM-DD in UTC, before which they were last written. Empty: no file is known to be from before.",
    )

    @field_validator("modified_before")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        if value:
            date.fromisoformat(value)
        return value


class FilesFromBefore(Form):
    """The names of files last written before a day, newest first, as one text."""

    files: OldFiles = Field(description="Files of a folder from before a day: {directory, matching, modified_before}.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What lies in the folder; nothing without a day."""
        if not self.files.modified_before:
            return ()
        path = environment.resolve_known(self.files.directory, known)
        return (*environment.questions(self.files.directory), *((Directory(path, listing=True),) if path else ()))

    def find(self, answers: Answers) -> str | None:
        """`NAME (YYYY-MM-DD), ...`, or None where there is none. Raises Undecided, Unpredictable."""
        if not self.files.modified_before:
            return None
        folder = answers.value(Directory(_resolved(self.files.directory, answers), listing=True))
        day = datetime.combine(date.fromisoformat(self.files.modified_before), time.min, tzinfo=UTC)
        pattern = fold(self.files.matching)
        found = [
            (file.modified, paths.name(file.path))
            for file in (folder.files if folder else ())
            if file.modified is not None and file.modified < day and fnmatchcase(fold(paths.name(file.path)), pattern)
        ]
        return ", ".join(f"{name} ({moment:%Y-%m-%d})" for moment, name in sorted(found, reverse=True)[:MAX_NAMED]) or None

    def describe(self) -> str:
        """In words."""
        wanted = self.files
        return f"no {wanted.matching} in {wanted.directory} from before {wanted.modified_before or 'a day that was named'}"


class TextsOfKey(Form):
    """Which values, one in each key directly below another."""

    below: KeyName = Field(description=r"The key above them, such as HKLM\Cluster\Groups.")
    name: ValueName = Field(description="The name of the value in each of them.")


class RegistryTexts(Form):
    """The texts of one value in each key below another, as one text: names that Windows keeps under numbers."""

    registry_texts: TextsOfKey = Field(description="The texts of one value in each key below another: {below, name}.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The key, then the value in each one below it."""
        above = RegistryKey(registry.parse_path(self.registry_texts.below))
        found = known.known(above)
        return (above, *(self._values(found) if found else ()))

    def _values(self, found: KeyContents) -> list[RegistryValue]:
        wanted = self.registry_texts
        return [
            RegistryValue(registry.parse_path(f"{wanted.below}\\{name}"), wanted.name)
            for name in sorted(found.subkeys)[:MAX_NAMED]
        ]

    def find(self, answers: Answers) -> str | None:
        """`ONE, OTHER, ...` in order, or None where there is none. Raises Undecided, Unpredictable."""
        found = answers.value(RegistryKey(registry.parse_path(self.registry_texts.below)))
        held = [answers.value(query) for query in self._values(found)] if found else []
        return ", ".join(sorted(data.text for data in held if data is not None and data.text)) or None

    def describe(self) -> str:
        """In words."""
        return f"no {self.registry_texts.name} in a key below {self.registry_texts.below}"


class ThisText(Form):
    """A text, whatever the host holds: what is taken in the end."""

    value: str = Field(min_length=1, description="A text that is taken if no candidate before was there.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The host's variables, where the text holds some."""
        return environment.questions(self.value)

    def find(self, answers: Answers) -> str | None:
        """The text, expanded. Raises Undecided, Unpredictable."""
        return _tidy(environment.expanded(self.value, answers))

    def describe(self) -> str:
        """In words."""
        return f"not {self.value}"


Candidate = ServiceDirectory | RegistryText | ThisDirectory | FolderOfFile | FilesFromBefore | RegistryTexts | ThisText
CANDIDATES: Mapping[str, type[Candidate]] = {
    "service_directory": ServiceDirectory,
    "registry_value": RegistryText,
    "directory": ThisDirectory,
    "file": FolderOfFile,
    "files": FilesFromBefore,
    "registry_texts": RegistryTexts,
    "value": ThisText,
}


def _win32(command: str) -> str:
    r"""A command line of the service manager without the prefixes of the kernel's names (\??\ and \SystemRoot)."""
    return _SYSTEM_ROOT.sub(r"%SystemRoot%\\", _NT_PREFIX.sub("", command.strip()))


def _resolved(path: str, answers: Answers) -> str:
    try:
        return environment.resolve(path, answers)
    except ResourceError as error:
        raise Undecided(error.what, why=error.why, try_=error.try_, refusal="no-path") from None


def _tidy(text: str) -> str:
    """A path without quotes around it and without a trailing backslash; any other text as it is, without that backslash."""
    bare = text.strip().strip('"')
    return paths.normalise(bare) if paths.is_absolute(bare) else bare.rstrip("\\")


def read_discovery(
    node: Node | None, *, names: Callable[[Collection[str]], Names], problems: Problems
) -> tuple[Discovery, ...]:
    """What `discover` says. `names` gives what may be named once the variables before were found."""
    if not isinstance(node, Table):
        return ()
    found = []
    before: list[str] = []
    for name, item in node.items.items():
        allowed = names(tuple(before))
        candidates = [
            candidate
            for one in (item.items if isinstance(item, Listing) else (item,))
            if (candidate := _read_candidate(one, allowed, problems)) is not None
        ]
        if isinstance(item, Listing) and not item.items:
            problems.error(node.place(name), f"{name} has no candidate", expected=f"a list of {_known()}")
        found.append(Discovery(name, tuple(candidates), node.place(name)))
        before.append(name)
    return tuple(found)


def _known() -> str:
    return ", ".join(CANDIDATES)


def _read_candidate(node: Node, names: Names, problems: Problems) -> Callable[[Scope], Finder] | None:
    if not isinstance(node, Table) or len(node.items) != 1:
        what = kind_of(node) if not isinstance(node, Table) else f"a mapping of {len(node.items)} keys"
        problems.error(node.position, f"a candidate is a mapping of one key, not {what}", expected=f"one of {_known()}")
        return None
    word = next(iter(node.items))
    form = CANDIDATES.get(word)
    if form is None:
        hint = did_you_mean(word, CANDIDATES)
        problems.error(node.place(word), f"unknown key {word}", expected=f"one of {_known()}", hint=hint)
        return None
    value = read_value(node, problems, conditions=False)
    names.check(value)
    fixed: Finder | None = None
    try:
        checked = form.model_validate(plain(node))
        fixed = checked if isinstance(value, Constant) else None
    except ValidationError as error:
        problems.extend(problems_of(error, node, models=(form,), static=True))

    def candidate(scope: Scope) -> Finder:
        if fixed is not None:
            return fixed
        raw = without_secrets(value, Variables.of(scope), node, "the search for a variable")
        try:
            return form.model_validate(raw)
        except ValidationError as error:
            raise InputErrors(problems_of(error, node, models=(form,))) from None

    return candidate
