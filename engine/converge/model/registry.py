"""Registry keys, value types and value data, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from converge.model.names import fold


class Hive(StrEnum):
    """The predefined root keys, under the short names people type."""

    CLASSES_ROOT = "HKCR"
    CURRENT_USER = "HKCU"
    LOCAL_MACHINE = "HKLM"
    USERS = "HKU"
    CURRENT_CONFIG = "HKCC"


class _Folding:
    """Room for the form of a path that is compared; it is worked out once."""

    __slots__ = ("_folded",)
    _folded: str


@dataclass(frozen=True, slots=True, eq=False)
class RegistryPath(_Folding):
    """A key: its hive and the path below it, without a leading or trailing backslash. Case is kept and does not count."""

    hive: Hive
    subkey: str

    @property
    def folded(self) -> str:
        """The path below the hive as it is compared."""
        try:
            return self._folded
        except AttributeError:
            found = fold(self.subkey)
            object.__setattr__(self, "_folded", found)
            return found

    def __str__(self) -> str:
        return f"{self.hive.value}\\{self.subkey}" if self.subkey else self.hive.value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RegistryPath):
            return NotImplemented
        return self.hive is other.hive and self.folded == other.folded

    def __hash__(self) -> int:
        return hash((self.hive, self.folded))

    def __truediv__(self, name: str) -> RegistryPath:
        return RegistryPath(self.hive, f"{self.subkey}\\{name}" if self.subkey else name)

    @property
    def parent(self) -> RegistryPath | None:
        """The key above, or None for a hive."""
        if not self.subkey:
            return None
        return RegistryPath(self.hive, self.subkey.rpartition("\\")[0])

    @property
    def real(self) -> RegistryPath:
        """The key that this name is a view of: HKCR and HKCC show parts of HKLM. Any other key is itself."""
        shown = _VIEWS.get(self.hive)
        if shown is None:
            return self
        return RegistryPath(Hive.LOCAL_MACHINE, f"{shown}\\{self.subkey}" if self.subkey else shown)

    @property
    def name(self) -> str:
        """The last component; a hive's short name for a hive."""
        return self.subkey.rpartition("\\")[2] or self.hive.value

    def is_within(self, other: RegistryPath) -> bool:
        """Whether this is `other` or lies below it."""
        if self.hive is not other.hive:
            return False
        mine, theirs = self.folded, other.folded
        return not theirs or mine == theirs or mine.startswith(theirs + "\\")


_VIEWS = {
    Hive.CLASSES_ROOT: r"SOFTWARE\Classes",
    Hive.CURRENT_CONFIG: r"SYSTEM\CurrentControlSet\Hardware Profiles\Current",
}


class RegistryType(Enum):
    """Value types: the name in playbooks and the number Windows stores (winnt.h). The first six can be written."""

    STRING = ("string", 1)
    EXPAND_STRING = ("expand_string", 2)
    BINARY = ("binary", 3)
    DWORD = ("dword", 4)
    MULTI_STRING = ("multi_string", 7)
    QWORD = ("qword", 11)
    NONE = ("none", 0)
    DWORD_BIG_ENDIAN = ("dword_big_endian", 5)
    LINK = ("link", 6)
    RESOURCE_LIST = ("resource_list", 8)
    FULL_RESOURCE_DESCRIPTOR = ("full_resource_descriptor", 9)
    RESOURCE_REQUIREMENTS_LIST = ("resource_requirements_list", 10)
    UNKNOWN = ("unknown", -1)

    def __init__(self, label: str, number: int) -> None:
        self.label = label
        self.number = number

    @property
    def writable(self) -> bool:
        """Whether converge writes values of this type; the others are only shown."""
        return self.number in (1, 2, 3, 4, 7, 11)

    @classmethod
    def from_number(cls, number: int) -> RegistryType:
        """The type of a number read from a host; `UNKNOWN` for one that Windows does not document."""
        return next((kind for kind in cls if kind.number == number), cls.UNKNOWN)

    @classmethod
    def from_label(cls, label: str) -> RegistryType:
        """The type of a playbook's word. Raises KeyError."""
        for kind in cls:
            if kind.label == label:
                return kind
        raise KeyError(label)


@dataclass(frozen=True, slots=True)
class RegistryData:
    """What a value holds: its type, and data as str, int (unsigned), bytes or a tuple of str.

    `data` is None where it could not be read: the raw text of an expandable string, or a type no getter reads.
    `expanded` is an expandable string as the host itself expands it, where that was asked.
    """

    type: RegistryType
    data: str | int | bytes | tuple[str, ...] | None
    expanded: str | None = None

    @property
    def text(self) -> str | None:
        """The text of a string or expandable string as it takes effect: expanded if that is known."""
        if self.expanded is not None:
            return self.expanded
        return self.data if isinstance(self.data, str) else None
