"""The registry as an account sees it through StdRegProv: the same refusals, the same return values.

Return values: 0 done, 1 the value is not there, 2 the key (for DeleteValue also the value) is not there, 5 access denied,
0x80041005 the value has another type than the getter reads. That setting a value does not make its key, and that deleting a
key which has subkeys returns 5, rests on documentation alone (RegDeleteKey; Set*Value of StdRegProv).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from converge.lab.registry_tree import Key, RegistryTree, StoredData, StoredValue
from converge.lab.world import LabAccount, Right, World
from converge.model.registry import RegistryPath
from converge.windows.registry import MAX_NAME

DONE, VALUE_MISSING, KEY_MISSING, ACCESS_DENIED, WRONG_TYPE, INVALID = 0, 1, 2, 5, 0x80041005, 0x80041008

MAX_DEPTH = 512  # levels of keys (Registry Element Size Limits)

_READ_BITS = 0x1 | 0x8 | 0x10 | 0x20000  # KEY_QUERY_VALUE, KEY_ENUMERATE_SUB_KEYS, KEY_NOTIFY, READ_CONTROL
_WRITE_BITS = 0x2 | 0x4 | 0x20 | 0x10000 | 0x40000 | 0x80000


class Getter(Enum):
    """The Get methods of StdRegProv, with the type number each reads."""

    STRING = 1
    EXPANDED_STRING = 2
    BINARY = 3
    DWORD = 4
    MULTI_STRING = 7
    QWORD = 11


@dataclass(frozen=True, slots=True)
class RegistryProvider:
    """The registry of a world for one account; None is the machine itself."""

    world: World
    account: LabAccount | None = None

    def enum_key(self, path: RegistryPath) -> tuple[int, tuple[str, ...]]:
        """The names of the subkeys."""
        code, key = self._readable(path)
        return code, tuple(child.name for child in key.subkeys.values()) if key else ()

    def enum_values(self, path: RegistryPath) -> tuple[int, tuple[tuple[str, int], ...]]:
        """The names and type numbers of the values; the default value's name is empty."""
        code, key = self._readable(path)
        return code, tuple((held.name, held.number) for held in key.values.values()) if key else ()

    def read(self, path: RegistryPath, name: str) -> tuple[int, StoredValue | None]:
        """A value whatever its type."""
        code, key = self._readable(path)
        value = key.value(name) if key else None
        return (code or (DONE if value else VALUE_MISSING)), value

    def get(self, path: RegistryPath, name: str, *, getter: Getter) -> tuple[int, StoredData | None]:
        """What one getter returns. How GetStringValue answers an expandable string is a quirk of the world."""
        code, value = self.read(path, name)
        if value is None:
            return code, None
        if getter is Getter.EXPANDED_STRING and value.number == 2:
            return DONE, self.world.expand(str(value.data))
        if getter is Getter.STRING and value.number == 2:
            quirk = self.world.quirks.get_string_of_expandable
            if quirk == "error":
                return WRONG_TYPE, None
            return DONE, value.data if quirk == "raw" else self.world.expand(str(value.data))
        return (DONE, value.data) if value.number == getter.value else (WRONG_TYPE, None)

    def set(self, path: RegistryPath, name: str, *, number: int, data: StoredData) -> int:
        """Write a value of a key that is there."""
        key = self.world.registry.find(path)
        if not self.writable(path):
            return ACCESS_DENIED
        if key is None:
            return KEY_MISSING
        try:
            key.set(name, number=number, data=data)
        except ValueError:
            return INVALID
        return DONE

    def create_key(self, path: RegistryPath) -> int:
        """Make a key with its parents; one that is there is left as it is."""
        if self.world.registry.find(path) is not None:
            return DONE
        if not self.writable(path):
            return ACCESS_DENIED
        components = path.subkey.split("\\")
        if len(components) > MAX_DEPTH or any(not 0 < len(name) <= MAX_NAME for name in components):
            return INVALID
        self.world.registry.create(path)
        return DONE

    def delete_key(self, path: RegistryPath) -> int:
        """Remove a key without subkeys."""
        key = self.world.registry.find(path)
        if key is None:
            return KEY_MISSING
        if key.subkeys or not path.subkey or not self.writable(path):
            return ACCESS_DENIED
        self.world.registry.remove(path)
        return DONE

    def delete_value(self, path: RegistryPath, name: str) -> int:
        """Remove a value."""
        key = self.world.registry.find(path)
        if key is None:
            return KEY_MISSING
        if not self.writable(path):
            return ACCESS_DENIED
        return DONE if key.remove(name) else KEY_MISSING

    def check_access(self, path: RegistryPath, wanted: int) -> tuple[int, bool]:
        """Whether all wanted rights (KEY_* bits) are there; the return value says 5 where they are not."""
        if self.world.registry.find(path) is None:
            return KEY_MISSING, False
        granted = not (wanted & _READ_BITS and not self.readable(path))
        granted = granted and not (wanted & _WRITE_BITS and not self.writable(path))
        return (DONE if granted else ACCESS_DENIED), granted

    def readable(self, path: RegistryPath) -> bool:
        """Whether the account may read a key."""
        return self._allowed(path, Right.REGISTRY_READ, denial="read")

    def writable(self, path: RegistryPath) -> bool:
        """Whether the account may change a key, or make it where it is missing."""
        return self._allowed(path, Right.REGISTRY_WRITE, denial="write")

    def _allowed(self, path: RegistryPath, right: Right, *, denial: str) -> bool:
        if not self.world.permits(self.account, right, str(RegistryTree.canonical(path))):
            return False
        passed, _ = self.world.registry.lineage(path)
        return not any(denial in key.deny for key in passed)

    def _readable(self, path: RegistryPath) -> tuple[int, Key | None]:
        if not self.readable(path):
            return ACCESS_DENIED, None
        key = self.world.registry.find(path)
        return (DONE, key) if key else (KEY_MISSING, None)
