"""The registry of a simulated Windows: a tree of keys whose names keep their case and are found in any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from converge.model.names import fold
from converge.model.registry import Hive, RegistryData, RegistryPath, RegistryType

StoredData = str | int | bytes | tuple[str, ...]

_TEXT, _NUMBERS, _LIST = (1, 2), {4: 4, 5: 4, 11: 8}, 7
_ALIASES = {
    Hive.CLASSES_ROOT: RegistryPath(Hive.LOCAL_MACHINE, r"SOFTWARE\Classes"),
    Hive.CURRENT_USER: RegistryPath(Hive.USERS, r".DEFAULT"),
    Hive.CURRENT_CONFIG: RegistryPath(Hive.LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Hardware Profiles\Current"),
}
"""Hives that are a view of another one. HKCU is the default user's: providers run as a service (StdRegProv)."""


@dataclass(slots=True)
class StoredValue:
    """One value: its name, the number of its type, and data as that type holds it; other types hold bytes."""

    name: str
    number: int
    data: StoredData

    @property
    def type(self) -> RegistryType:
        """The type, `UNKNOWN` for a number Windows does not document."""
        return RegistryType.from_number(self.number)

    def as_data(self) -> RegistryData:
        """The value as queries answer it; a type no getter reads has no data."""
        return RegistryData(self.type, self.data if self.type.writable else None)

    def octets(self) -> bytes:
        """The bytes Windows stores (winnt.h): texts in UTF-16 with a closing NUL, numbers little-endian."""
        if isinstance(self.data, bytes):
            return self.data
        if isinstance(self.data, int):
            return self.data.to_bytes(_NUMBERS.get(self.number, 4), "big" if self.number == 5 else "little")
        texts = (self.data,) if isinstance(self.data, str) else (*self.data, "")
        return b"".join((text + "\0").encode("utf-16-le", "surrogatepass") for text in texts)


def stored(name: str, *, number: int, data: object) -> StoredValue:
    """A value from loose data. Raises ValueError where the data does not fit the type."""
    if number in _TEXT and isinstance(data, str):
        return StoredValue(name, number, data)
    if number in _NUMBERS and isinstance(data, int) and 0 <= data < 2 ** (8 * _NUMBERS[number]):
        return StoredValue(name, number, data)
    if number == _LIST and isinstance(data, list | tuple) and all(isinstance(item, str) for item in data):
        return StoredValue(name, number, tuple(data))
    if number not in _TEXT and number not in _NUMBERS and number != _LIST and isinstance(data, bytes):
        return StoredValue(name, number, data)
    raise ValueError(f"{data!r} does not fit registry type {number}")


@dataclass(slots=True)
class Key:
    """One key. `deny` holds `read` and `write` for what nobody may do to it and what lies below."""

    name: str
    values: dict[str, StoredValue] = field(default_factory=dict)
    subkeys: dict[str, Key] = field(default_factory=dict)
    deny: set[str] = field(default_factory=set)

    def value(self, name: str) -> StoredValue | None:
        """A value by its name in any case; the default value's name is empty."""
        return self.values.get(fold(name))

    def set(self, name: str, *, number: int, data: object) -> None:
        """Write a value; the name it has already keeps its case. Raises ValueError where data does not fit."""
        held = self.value(name)
        self.values[fold(name)] = stored(held.name if held else name, number=number, data=data)

    def remove(self, name: str) -> bool:
        """Remove a value; False if there was none."""
        return self.values.pop(fold(name), None) is not None


class RegistryTree:
    """All hives of one Windows."""

    def __init__(self) -> None:
        self._hives = {hive: Key(hive.value) for hive in (Hive.LOCAL_MACHINE, Hive.USERS)}

    @staticmethod
    def canonical(path: RegistryPath) -> RegistryPath:
        """Where a path really lies: HKCR is HKLM\\SOFTWARE\\Classes, and so on."""
        alias = _ALIASES.get(path.hive)
        if alias is None:
            return path
        return alias / path.subkey if path.subkey else alias

    def find(self, path: RegistryPath) -> Key | None:
        """The key, or None."""
        return self.lineage(path)[1]

    def lineage(self, path: RegistryPath) -> tuple[list[Key], Key | None]:
        """The keys from the hive down as far as they are there, and the key itself if it is."""
        real = self.canonical(path)
        key = self._hives[real.hive]
        passed = [key]
        for component in _components(real):
            found = key.subkeys.get(fold(component))
            if found is None:
                return passed, None
            key = found
            passed.append(key)
        return passed, key

    def create(self, path: RegistryPath) -> Key:
        """The key, made with its parents where it is missing."""
        real = self.canonical(path)
        key = self._hives[real.hive]
        for component in _components(real):
            key = key.subkeys.setdefault(fold(component), Key(component))
        return key

    def remove(self, path: RegistryPath) -> bool:
        """Remove a key with all below it; False if there was none. A hive stays."""
        real = self.canonical(path)
        above = real.parent
        holder = self.find(above) if above else None
        return holder is not None and holder.subkeys.pop(fold(real.name), None) is not None

    def value(self, path: RegistryPath, name: str) -> StoredValue | None:
        """A value, or None where key or value is missing."""
        key = self.find(path)
        return key.value(name) if key else None

    def walk(self, path: RegistryPath) -> Iterator[tuple[RegistryPath, Key]]:
        """A key and all below it, parents first, in the spelling of the asked path."""
        start = self.find(path)
        waiting = [(path, start)] if start else []
        while waiting:
            place, key = waiting.pop()
            yield place, key
            waiting.extend((place / child.name, child) for child in reversed(key.subkeys.values()))

    def to_json(self) -> Any:
        """Plain data that `from_json` reads back: one entry per key, parents first, however deep the tree is."""
        return [
            {"key": str(place), **_key_to_json(key)}
            for hive in self._hives
            for place, key in self.walk(RegistryPath(hive, ""))
        ]

    @classmethod
    def from_json(cls, data: Any) -> RegistryTree:
        """The tree of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
        tree = cls()
        for held in data:
            hive, _, subkey = held["key"].partition("\\")
            key = tree.create(RegistryPath(Hive(hive), subkey))
            key.deny = set(held.get("deny", ()))
            for name, number, raw in held.get("values", ()):
                value = bytes.fromhex(raw["hex"]) if isinstance(raw, dict) else raw
                key.values[fold(name)] = stored(name, number=number, data=value)
        return tree


def _components(path: RegistryPath) -> list[str]:
    return [component for component in path.subkey.split("\\") if component]


def _key_to_json(key: Key) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if key.values:
        shown["values"] = [
            [item.name, item.number, {"hex": item.data.hex()} if isinstance(item.data, bytes) else item.data]
            for item in key.values.values()
        ]
    if key.deny:
        shown["deny"] = sorted(key.deny)
    return shown
