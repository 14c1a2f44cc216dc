"""What a CIM class is: its properties with types and keys, its methods with parameters, and who provides its instances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final

from converge.lab.endpoint.wql import Condition
from converge.lab.world import LabAccount, World
from converge.model.names import fold
from converge.wsman.cim import Reference, Value

Row = Mapping[str, Value]
"""The properties of one instance; what is not named is null."""


class CimType(StrEnum):
    """The CIM types that classes here use."""

    STRING = "string"
    BOOLEAN = "boolean"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    SINT16 = "sint16"
    SINT32 = "sint32"
    DATETIME = "datetime"
    REFERENCE = "reference"


RANGES: Final = {
    CimType.UINT8: range(2**8),
    CimType.UINT16: range(2**16),
    CimType.UINT32: range(2**32),
    CimType.UINT64: range(2**64),
    CimType.SINT16: range(-(2**15), 2**15),
    CimType.SINT32: range(-(2**31), 2**31),
}


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a class, or a parameter of a method."""

    name: str
    type: CimType = CimType.STRING
    array: bool = False


@dataclass(frozen=True, slots=True)
class ServedClass:
    """The host a provider speaks for, and for whom: `architecture` is the registry view asked for, 0 the host's own."""

    world: World
    account: LabAccount
    architecture: int = 0


Key = str | Reference
"""The value of a key property, as selectors give it."""


@dataclass(frozen=True, slots=True)
class MethodCall:
    """A method call as its provider sees it. `keys` is empty for a static method."""

    host: ServedClass
    keys: Mapping[str, Key]
    arguments: Mapping[str, Value]

    def text(self, name: str) -> str | None:
        """A string argument; None if it was not given."""
        found = self.arguments.get(name)
        return found if isinstance(found, str) else None

    def integer(self, name: str) -> int | None:
        """A whole number argument; None if it was not given."""
        found = self.arguments.get(name)
        return found if isinstance(found, int) else None


Handler = Callable[[MethodCall], int | Mapping[str, Value]]
"""Does what a method does; returns its ReturnValue, or its out parameters with it."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method. `reads` says that it changes nothing; `since` is the first version of Windows (major, minor) that has it.

    `takes_anything`: its parameters are not checked, because only its effects are known.
    """

    name: str
    handler: Handler = field(repr=False)
    inputs: tuple[Property, ...] = ()
    outputs: tuple[Property, ...] = ()
    static: bool = False
    reads: bool = False
    since: tuple[int, int] = (0, 0)
    takes_anything: bool = False


class InstanceMissing(Exception):
    """A call names an instance that is not there: WBEM_E_NOT_FOUND."""


class AccessDenied(Exception):
    """The provider refuses the account: WBEM_E_ACCESS_DENIED."""


Rows = Callable[[ServedClass, Condition | None], Iterable[Row]]
"""Instances of a class: all that satisfy the condition, and as many others as is convenient."""


@dataclass(frozen=True)
class CimClass:
    """A class with its provider. `parents` are the classes it derives from, nearest first."""

    namespace: str
    name: str
    properties: tuple[Property, ...]
    keys: tuple[str, ...] = ()
    rows: Rows | None = field(default=None, repr=False)
    methods: tuple[Method, ...] = ()
    parents: tuple[str, ...] = ()
    singleton: bool = False

    @cached_property
    def by_name(self) -> dict[str, Property]:
        """Properties under their folded names."""
        return {fold(item.name): item for item in self.properties}

    def is_a(self, class_name: str) -> bool:
        """Whether it is this class or derives from it."""
        return fold(class_name) in {fold(name) for name in (self.name, *self.parents)}

    def method(self, name: str, *, version: tuple[int, int]) -> Method | None:
        """The method of this name, if this version of Windows has it."""
        return next((item for item in self.methods if fold(item.name) == fold(name) and version >= item.since), None)

    def keys_of(self, row: Row) -> dict[str, Key]:
        """The key properties of an instance, as selectors spell them."""
        found = {name: row.get(name) for name in self.keys}
        return {name: item if isinstance(item, Reference) else str(item or "") for name, item in found.items()}

    def without(self, *names: str) -> CimClass:
        """The class as an older Windows has it."""
        missing = {fold(name) for name in names}
        left = tuple(item for item in self.properties if fold(item.name) not in missing)
        return CimClass(
            self.namespace, self.name, left, self.keys, self.rows, self.methods, self.parents, singleton=self.singleton
        )


def properties(kind: CimType, names: str, *, array: bool = False) -> tuple[Property, ...]:
    """Properties of one type from their names, separated by blanks."""
    return tuple(Property(name, kind, array) for name in names.split())
