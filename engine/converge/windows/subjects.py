"""What a condition can be about: a service, a registry value, a file, a component, events, rows of WMI."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from converge.errors import Undecided
from converge.model.answer import Answers
from converge.model.facts import FileFacts, ServiceFacts, ServiceState, StartMode
from converge.model.names import fold, same
from converge.model.query import (
    AnyQuery,
    CimInstances,
    Events,
    File,
    OperatingSystem,
    RegistryValue,
    Service,
    ServiceStartTime,
)
from converge.model.registry import RegistryData
from converge.windows import components, environment, versions, views
from converge.windows.fields import Duration, HostPath, KeyName, ServiceName, ValueName


class Part(BaseModel):
    """A piece of a condition: frozen, and strict about its words."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _decided(exists: bool | None, present: bool, others: Iterable[bool]) -> bool:
    """Existence by itself, or every further property of a thing that is there."""
    if exists is False:
        return not present
    return present and all(others)


_UP = (ServiceState.RUNNING, ServiceState.START_PENDING, ServiceState.CONTINUE_PENDING)
"""What is starting runs, or shows why it does not in a moment: it is not taken for stopped meanwhile."""
_STARTS = {
    StartMode.AUTOMATIC: "starts automatically",
    StartMode.MANUAL: "is started by hand",
    StartMode.DISABLED: "is disabled",
    StartMode.BOOT: "is started by the boot loader",
    StartMode.SYSTEM: "is started by the kernel",
}


def _listed(modes: StartMode | tuple[StartMode, ...]) -> tuple[StartMode, ...]:
    return (modes,) if isinstance(modes, StartMode) else modes


class ServiceIs(Part):
    """A service and what must be true of it. Anything but `exists: false` holds only for a service that is there."""

    name: ServiceName = Field(description="The short name, such as SMTPSVC.")
    exists: bool | None = Field(None, description="Whether the service is installed.")
    running: bool | None = Field(None, description="Whether it runs; one that is starting does, a paused one does not.")
    start_mode: StartMode | tuple[StartMode, ...] | None = Field(
        None, description="When it is started: automatic, manual or disabled, or a list of which one will do."
    )
    exit_code: int | tuple[int, ...] | None = Field(
        None, description="How it ended last (Win32 exit code), or a list of codes of which one will do."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> ServiceIs:
        if self.exists is False and not (self.running is None and self.start_mode is None and self.exit_code is None):
            raise ValueError("a service that does not exist has no other properties")
        return self

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The service itself."""
        return (Service(self.name),)

    def holds(self, answers: Answers) -> bool:
        """Whether it is as said. Raises Undecided, Unpredictable."""
        facts = answers.value(Service(self.name))
        return _decided(self.exists, facts is not None, self._further(facts) if facts else ())

    def _further(self, facts: ServiceFacts) -> Iterable[bool]:
        codes = (self.exit_code,) if isinstance(self.exit_code, int) else self.exit_code
        yield self.running is None or self.running == (facts.state in _UP)
        yield self.start_mode is None or facts.start_mode in _listed(self.start_mode)
        yield codes is None or facts.exit_code in codes

    def describe(self) -> str:
        """In words."""
        words = [] if self.exists is None else ["exists" if self.exists else "does not exist"]
        if self.running is not None:
            words.append("runs" if self.running else "is stopped")
        if self.start_mode is not None:
            words.append(" or ".join(_STARTS[mode] for mode in _listed(self.start_mode)))
        if self.exit_code is not None:
            words.append(f"ended with exit code {choices(self.exit_code)}")
        return f"service {self.name} {' and '.join(words) or 'exists'}"


class RegistryValueIs(Part):
    """A registry value and what must be true of it. Texts are compared in any case."""

    key: KeyName = Field(description=r"The key, such as HKLM\SOFTWARE\Microsoft\InetStp.")
    name: ValueName = Field("", description="The value's name; empty for the default value.")
    exists: bool | None = Field(None, description="Whether the value is there.")
    equals: str | int | tuple[str, ...] | None = Field(
        None, description="What it holds: a text, a number, or the whole list of a multi_string; binary as hex."
    )
    contains: str | tuple[str, ...] | None = Field(
        None, description="A part of its text, or entries that are among those of a multi_string."
    )
    view: Literal[32, 64] | None = Field(None, description="The registry view of a 64-bit Windows; 64 by default.")

    @model_validator(mode="after")
    def _makes_sense(self) -> RegistryValueIs:
        if self.exists is False and not (self.equals is None and self.contains is None):
            raise ValueError("a value that does not exist holds nothing")
        return self

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The value; which Windows it is first, where the view depends on it."""
        path = views.locate_known(self.key, self.view, known)
        return (*views.questions(self.view), *((RegistryValue(path, self.name),) if path else ()))

    def holds(self, answers: Answers) -> bool:
        """Whether it is as said. Raises Undecided, Unpredictable."""
        data = answers.value(RegistryValue(views.locate(self.key, self.view, answers), self.name))
        return _decided(self.exists, data is not None, self._further(data) if data else ())

    def _further(self, data: RegistryData) -> Iterable[bool]:
        if self.equals is not None:
            yield any(_equal(form, self.equals) for form in _forms(data))
        if self.contains is not None:
            wanted = (self.contains,) if isinstance(self.contains, str) else self.contains
            yield any(all(_contains(form, entry) for entry in wanted) for form in _forms(data))

    def describe(self) -> str:
        """In words."""
        words = [] if self.exists is None else ["exists" if self.exists else "does not exist"]
        if self.equals is not None:
            words.append(f"is {choices(self.equals)}")
        if self.contains is not None:
            words.append(f"contains {choices(self.contains)}")
        return f"registry value {self.key}\\{self.name or '(default)'} {' and '.join(words) or 'exists'}"


def _forms(data: RegistryData) -> list[str | int | bytes | tuple[str, ...]]:
    """What a value can be compared as: an expandable string as it is stored and as it takes effect.

    Raises Undecided for data of a type that cannot be read.
    """
    forms = [form for form in (data.data, data.expanded) if form is not None]
    if not forms:
        raise Undecided(f"data of type {data.type.label} cannot be read", refusal="unreadable-type")
    return forms


def _equal(found: str | int | bytes | tuple[str, ...], wanted: str | int | tuple[str, ...]) -> bool:
    if isinstance(found, bytes):
        return isinstance(wanted, str) and found.hex() == re.sub(r"^hex:|[\s,]", "", wanted.strip()).lower()
    if isinstance(found, int):
        return str(found) == str(wanted) or (isinstance(wanted, str) and f"{found:#x}" == wanted.strip().lower())
    if isinstance(found, tuple):
        return isinstance(wanted, tuple) and [fold(item) for item in found] == [fold(item) for item in wanted]
    return not isinstance(wanted, tuple) and same(found, str(wanted))


def _contains(found: str | int | bytes | tuple[str, ...], entry: str) -> bool:
    if isinstance(found, tuple):
        return any(same(item, entry) for item in found)
    return isinstance(found, str) and fold(entry) in fold(found)


class SizeRange(Part):
    """Sizes in bytes, both ends included."""

    min: int = Field(0, ge=0, description="The smallest size that will do.")
    max: int | None = Field(None, ge=0, description="The largest size that will do.")


_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "": operator.eq,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARISON = re.compile(r"\s*(>=|<=|==|!=|>|<|=|)\s*(.*?)\s*", re.DOTALL)


def _comparison(text: str | int) -> tuple[Callable[[Any, Any], bool], str]:
    found = _COMPARISON.fullmatch(str(text))
    return (_COMPARED[found.group(1)], found.group(2)) if found else (operator.eq, str(text))


class FileIs(Part):
    """A file and what must be true of it. Anything but `exists: false` holds only for a file that is there."""

    path: HostPath = Field(description="The full path; %VARIABLES% are the host's.")
    exists: bool | None = Field(None, description="Whether the file is there.")
    size: int | tuple[int, ...] | SizeRange | None = Field(
        None, description="The size in bytes, a list of sizes of which one will do, or {min:, max:}."
    )
    version: str | None = Field(None, description="Its file version, such as 5.0.2195.1, or compared: '>=5.5'.")
    newer_than: str | date | None = Field(
        None, description="A version or a day (YYYY-MM-DD, by the host's clock) that the file must be later than."
    )

    not_before: date | None = Field(
        None, description="A day (YYYY-MM-DD, by the host's clock) before which the file must not have been modified."
    )
    at_least: HostPath | None = Field(
        None, description="Another file of the host whose version this one has, or a later one; it must be there."
    )

    @field_validator("newer_than", mode="after")
    @classmethod
    def _version_or_day(cls, value: str | date | None) -> str | date | None:
        if not isinstance(value, str):
            return value
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value.strip()):
            return date.fromisoformat(value.strip())
        versions.parse(value)
        return value

    @field_validator("version", mode="after")
    @classmethod
    def _version_number(cls, value: str | None) -> str | None:
        if value is not None:
            versions.parse(_comparison(value)[1])
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> FileIs:
        if self.exists is False and any(
            item is not None for item in (self.size, self.version, self.newer_than, self.not_before, self.at_least)
        ):
            raise ValueError("a file that does not exist has no other properties")
        return self

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The file; the host's variables first, where the path holds some."""
        asked: list[AnyQuery] = []
        for path in (self.path, *([self.at_least] if self.at_least else [])):
            resolved = environment.resolve_known(path, known)
            asked += [*environment.questions(path), *([File(resolved)] if resolved else [])]
        return tuple(asked)

    def holds(self, answers: Answers) -> bool:
        """Whether it is as said. Raises Undecided, Unpredictable and ResourceError."""
        facts = answers.value(File(environment.resolve(self.path, answers)))
        return _decided(self.exists, facts is not None, self._further(facts, answers) if facts else ())

    def _further(self, facts: FileFacts, answers: Answers) -> Iterable[bool]:
        if self.at_least is not None:
            other = answers.value(File(environment.resolve(self.at_least, answers)))
            yield other is not None and _file_version(facts) >= _file_version(other)
        if isinstance(self.size, SizeRange):
            yield self.size.min <= facts.size and (self.size.max is None or facts.size <= self.size.max)
        elif self.size is not None:
            yield facts.size in ((self.size,) if isinstance(self.size, int) else self.size)
        if self.version is not None:
            compare, wanted = _comparison(self.version)
            yield compare(_file_version(facts), versions.parse(wanted))
        if isinstance(self.newer_than, str):
            yield _file_version(facts) > versions.parse(self.newer_than)
        elif self.newer_than is not None:
            yield _day(facts) > self.newer_than
        if self.not_before is not None:
            yield _day(facts) >= self.not_before

    def describe(self) -> str:
        """In words."""
        words = [] if self.exists is None else ["exists" if self.exists else "does not exist"]
        if isinstance(self.size, SizeRange):
            upper = f" to {self.size.max}" if self.size.max is not None else " or more"
            words.append(f"has {self.size.min}{upper} bytes")
        elif self.size is not None:
            words.append(f"has {choices(self.size)} bytes")
        words += [f"has version {self.version}"] if self.version is not None else []
        words += [f"is newer than {self.newer_than}"] if self.newer_than is not None else []
        words += [f"was not modified before {self.not_before}"] if self.not_before is not None else []
        words += [f"has at least the version of {self.at_least}"] if self.at_least is not None else []
        return f"file {self.path} {' and '.join(words) or 'exists'}"


def _day(facts: FileFacts) -> date:
    """When the file was modified, by the host's clock."""
    if facts.modified is None:
        raise Undecided(f"the host does not tell when {facts.path} was modified", refusal="no-time")
    return facts.modified.date()


def _file_version(facts: FileFacts) -> tuple[int, ...]:
    """The file's version; a file without one is older than any."""
    try:
        return versions.parse(facts.version or "0")
    except ValueError:
        raise Undecided(f"{facts.path} has a version that is none: {facts.version}", refusal="no-version") from None


class ComponentIs(Part):
    """An optional component of Windows, by what the OC Manager has noted of it."""

    name: str = Field(min_length=1, max_length=128, description="The component's name in sysoc.inf, such as iis_smtp.")
    installed: bool = Field(True, description="Whether it is installed.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The OC Manager's note."""
        return (components.question(self.name),)

    def holds(self, answers: Answers) -> bool:
        """Whether it is as said. Raises Undecided, Unpredictable."""
        return components.is_installed(answers, self.name) == self.installed

    def describe(self) -> str:
        """In words."""
        return f"component {self.name} is {'installed' if self.installed else 'not installed'}"


class EventsAre(Part):
    """Events of one source were logged lately, by the host's own clock."""

    log: str = Field("System", min_length=1, max_length=255, description="The classic log: System, Application, ...")
    source: str = Field(min_length=1, max_length=255, description="The source, such as Service Control Manager.")
    ids: tuple[int, ...] = Field(min_length=1, max_length=50, description="Event ids of which one will do.")
    within: Duration = Field(description="How long ago at most: '7 days', '12h', or seconds.")
    strings: tuple[str, ...] = Field(
        (), max_length=20, description="What the event's first insertion strings must be, in any case."
    )
    about: ServiceName | None = Field(
        None, description="A service whose short or display name must be one of the insertion strings."
    )
    says: str = Field(
        "", max_length=255, description="What must be one of the insertion strings, such as '%%1083' for error 1083."
    )
    since_start_of: ServiceName | None = Field(
        None, description="Only events since this service was started last count; none do while it does not run."
    )
    since_file: HostPath | None = Field(
        None, description="Only events since this file was modified last count; all do where it is not there."
    )
    unless_newer: tuple[int, ...] = Field(
        (), max_length=50, description="Event ids that overtake it: of all these about the service only the newest counts."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> EventsAre:
        if self.unless_newer and not self.about:
            raise ValueError("unless_newer needs about: the service whose events overtake each other")
        return self

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The host's clock, the services and the file it speaks of first, then the events since."""
        asked: list[AnyQuery] = [OperatingSystem()]
        asked += [Service(self.about)] if self.about else []
        asked += [ServiceStartTime(self.since_start_of)] if self.since_start_of else []
        if self.since_file:
            path = environment.resolve_known(self.since_file, known)
            asked += [*environment.questions(self.since_file), *([File(path)] if path else [])]
        facts = known.known(OperatingSystem())
        if facts and all(query in known for query in asked):
            asked += [self._question(facts.now.replace(microsecond=0), known)]
        return asked

    def _question(self, now: datetime, answers: Answers) -> Events:
        since = now - timedelta(seconds=self.within)
        started = answers.known(ServiceStartTime(self.since_start_of)) if self.since_start_of else None
        if self.since_file:
            file = answers.known(File(environment.resolve(self.since_file, answers)))
            since = max(since, file.modified) if file and file.modified else since
        limit = 200 if self.strings or self.about or self.says else 20
        ids = tuple(sorted({*self.ids, *self.unless_newer}))
        return Events(self.log, self.source, ids, max(since, started) if started else since, limit=limit)

    def holds(self, answers: Answers) -> bool:
        """Whether one is there. Raises Undecided, Unpredictable."""
        facts = answers.value(OperatingSystem())
        service = answers.value(Service(self.about)) if self.about else None
        if facts is None or (self.about and service is None):
            return False
        if self.since_start_of and answers.value(ServiceStartTime(self.since_start_of)) is None:
            return False
        if self.since_file:
            answers.value(File(environment.resolve(self.since_file, answers)))  # a refusal is not "never repaired"
        names = {fold(name) for name in (service.name, service.display_name) if name} if service else set()
        events = answers.value(self._question(facts.now.replace(microsecond=0), answers)) or ()
        told = [(event.id, [fold(text) for text in event.strings]) for event in events]
        about = [(number, strings) for number, strings in told if not names or not names.isdisjoint(strings)]
        judged = about[:1] if self.unless_newer else about
        return any(number in self.ids and self._is_meant(strings) for number, strings in judged)

    def _is_meant(self, strings: Sequence[str]) -> bool:
        wanted = [fold(text) for text in self.strings]
        return strings[: len(wanted)] == wanted and (not self.says or fold(self.says) in strings)

    def describe(self) -> str:
        """In words."""
        hours = self.within / 3600
        span = f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"
        about = f" about {self.about}" if self.about else ""
        said = f" with {_error(self.says)}" if self.says else ""
        since = f" and since {self.since_start_of} was started" if self.since_start_of else ""
        since += f" and since {self.since_file} was written" if self.since_file else ""
        return f"event {choices(self.ids)} of {self.source}{about}{said} was logged within {span}{since}"


class CimCount(Part):
    """How many rows a WQL query has, for what only WMI knows. A namespace or class that the host lacks has none."""

    namespace: str = Field(
        pattern=r"^[A-Za-z0-9_]+([\\/][A-Za-z0-9_]+)*$", description="The namespace, such as root/MSCluster."
    )
    wql: str = Field(min_length=8, max_length=4000, description="The query: SELECT ... FROM ... WHERE ...")
    count: int | str = Field(">=1", description="How many rows: a number, or compared: '>=1'.")

    @field_validator("wql", mode="after")
    @classmethod
    def _only_selects(cls, value: str) -> str:
        if not re.match(r"(select|associators\s+of|references\s+of)\s", value.lstrip(), re.IGNORECASE):
            raise ValueError("a WQL query begins with SELECT, ASSOCIATORS OF or REFERENCES OF")
        return value

    @field_validator("count", mode="after")
    @classmethod
    def _a_number(cls, value: int | str) -> int | str:
        if not re.fullmatch(r"\d{1,9}", _comparison(value)[1]):
            raise ValueError(f"{value!r} is not a number of rows such as 1 or '>=1'")
        return value

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The rows."""
        return (CimInstances(self.namespace.replace("\\", "/"), self.wql),)

    def holds(self, answers: Answers) -> bool:
        """Whether there are as many. Raises Undecided, Unpredictable."""
        compare, wanted = _comparison(self.count)
        rows = answers.value(CimInstances(self.namespace.replace("\\", "/"), self.wql)) or ()
        return compare(len(rows), int(wanted))

    def describe(self) -> str:
        """In words."""
        return f"{self.wql} ({self.namespace}) has {self.count} rows"


def _error(text: str) -> str:
    """How events carry the number of an error, in words."""
    return f"error {text[2:]}" if text.startswith("%%") and text[2:].isdigit() else text


def choices(value: object) -> str:
    return " or ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)
