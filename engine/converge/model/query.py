"""Questions a host can be asked: a small closed set of Windows nouns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

from converge.model.facts import (
    DirectoryFacts,
    EventRecord,
    FileFacts,
    KeyContents,
    OperatingSystemFacts,
    SearchFinds,
    ServiceFacts,
)
from converge.model.names import fold
from converge.model.registry import RegistryData, RegistryPath

T_co = TypeVar("T_co", covariant=True)


def _folded(value: object) -> object:
    if isinstance(value, str):
        return fold(value)
    if isinstance(value, tuple):
        return tuple(_folded(item) for item in value)
    return value


@lru_cache(maxsize=16_384)  # a fleet's hosts are asked the same questions
def _told_apart(kind: str, values: tuple[object, ...]) -> tuple[object, ...]:
    return (kind, *(_folded(value) for value in values))


class Query(Generic[T_co]):
    """A question whose answer, if found, is of type T. Two spellings of one Windows name are one question."""

    # Questions are keys of every dictionary of answers: what tells them apart is worked out once.
    __slots__ = ("_hash", "_identity")
    _hash: int
    _identity: tuple[object, ...]

    def identity(self) -> tuple[object, ...]:
        """What tells two questions apart."""
        try:
            return self._identity
        except AttributeError:
            found = self._told_apart()
            object.__setattr__(self, "_identity", found)
            return found

    def _told_apart(self) -> tuple[object, ...]:
        return _told_apart(type(self).__name__, tuple(getattr(self, name) for name in self.__dataclass_fields__))  # type: ignore[attr-defined]  # every query is a dataclass

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Query):
            return NotImplemented
        return self.identity() == other.identity()

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            found = hash(self.identity())
            object.__setattr__(self, "_hash", found)
            return found


AnyQuery = Query[Any]


@dataclass(frozen=True, slots=True, eq=False)
class OperatingSystem(Query[OperatingSystemFacts]):
    """The Windows itself, its host name and its clock. Never absent."""


@dataclass(frozen=True, slots=True, eq=False)
class Service(Query[ServiceFacts]):
    """A service by its short name, with the names of its dependents."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class ServiceStartTime(Query[datetime]):
    """When the process of a running service was created, by the host's clock. Absent if it does not run."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class RegistryKey(Query[KeyContents]):
    """What lies directly in a registry key."""

    key: RegistryPath


@dataclass(frozen=True, slots=True, eq=False)
class RegistryValue(Query[RegistryData]):
    """One named value of a registry key, with its type. The default value's name is empty."""

    key: RegistryPath
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class RegistrySearch(Query[SearchFinds]):
    """Every string or expandable string below `roots` that mentions one of `files` (last path components, in any case).

    What the search finds is a nomination: whether a value is meant is for the asker to decide.
    """

    roots: tuple[RegistryPath, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class File(Query[FileFacts]):
    """A file by its full path; `hashed` asks for its SHA-256 too, or for its SHA-1 where the host knows no SHA-256."""

    path: str
    hashed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Directory(Query[DirectoryFacts]):
    """A folder by its full path; `listing` asks for what lies directly in it too."""

    path: str
    listing: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Events(Query[tuple[EventRecord, ...]]):
    """Events of a classic log since a time (aware, the host's clock), newest first, at most `limit`. None found is an empty tuple."""

    log: str
    source: str
    ids: tuple[int, ...]
    since: datetime
    limit: int = 20
    messages: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CimInstances(Query[tuple[dict[str, str | None], ...]]):
    """The rows of a WQL query, for what only WMI knows. Absent when the host lacks the namespace or the class."""

    namespace: str
    wql: str

    def _told_apart(self) -> tuple[object, ...]:
        return (type(self).__name__, fold(self.namespace), self.wql)
