"""Registry paths and data as people write them, and the 32-bit view of a 64-bit Windows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from converge.model.names import fold, quoted, same
from converge.model.registry import Hive, RegistryData, RegistryPath, RegistryType

LONG_NAMES = {
    Hive.CLASSES_ROOT: "HKEY_CLASSES_ROOT",
    Hive.CURRENT_USER: "HKEY_CURRENT_USER",
    Hive.LOCAL_MACHINE: "HKEY_LOCAL_MACHINE",
    Hive.USERS: "HKEY_USERS",
    Hive.CURRENT_CONFIG: "HKEY_CURRENT_CONFIG",
}
HIVE_NUMBERS = {
    Hive.CLASSES_ROOT: 0x80000000,
    Hive.CURRENT_USER: 0x80000001,
    Hive.LOCAL_MACHINE: 0x80000002,
    Hive.USERS: 0x80000003,
    Hive.CURRENT_CONFIG: 0x80000005,
}
_HIVES = {fold(spelling): hive for hive, long in LONG_NAMES.items() for spelling in (hive.value, long)}
_CONTROL = re.compile(r"[\x00-\x1f]")
MAX_NAME = 255  # characters of one key name (Registry Element Size Limits)
MAX_VALUE_NAME = 16383
MAX_DATA = 1024 * 1024  # bytes converge will write; Windows has no fixed limit in the standard format
SMALLEST_REQUEST = 150 * 1024
"""Bytes that every host takes in one request (MaxEnvelopeSizekb of WinRM 1.1 and 2.0)."""
_LARGER_REQUEST = 500_000  # of WinRM 3.0, from Windows 8 and Server 2012 on
_AROUND = 8 * 1024  # what stands around the data, sealing included
SERVICES = RegistryPath(Hive.LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Services")


@lru_cache(maxsize=8192)  # a fleet's hosts are asked for the same keys
def parse_path(text: str) -> RegistryPath:
    """Read `HKLM\\SOFTWARE\\...`, `HKEY_LOCAL_MACHINE\\...` or `HKLM:\\...`. Raises ValueError with words for people.

    A slash is an ordinary character of a key's name, as on Windows.
    """
    head, _, rest = text.strip().partition("\\")
    hive = _HIVES.get(fold(head.rstrip(":")))
    if hive is None:
        known = ", ".join(sorted(item.value for item in Hive))
        raise ValueError(f"{quoted(text)} does not begin with a hive: one of {known}, then a backslash")
    subkey = rest.rstrip("\\")
    if not subkey:
        return RegistryPath(hive, "")
    if _CONTROL.search(subkey):
        raise ValueError(f"{quoted(text)} holds a control character; in YAML write backslashes in single quotes or plain")
    for component in subkey.split("\\"):
        if not component:
            raise ValueError(f"{quoted(text)} has an empty component (two backslashes in a row)")
        if len(component) > MAX_NAME:
            raise ValueError(f"a key name of {len(component)} characters is longer than the {MAX_NAME} Windows allows")
    return RegistryPath(hive, subkey)


def long_name(path: RegistryPath) -> str:
    """The path with the hive spelled out, as regedit and .reg files write it."""
    return f"{LONG_NAMES[path.hive]}\\{path.subkey}" if path.subkey else LONG_NAMES[path.hive]


def in_view(path: RegistryPath, *, view: int | None, is_64_bit: bool) -> RegistryPath:
    """Where a path lies when seen through the 32-bit view of a 64-bit Windows (WOW6432Node); elsewhere the path itself.

    Source: Registry Keys Affected by WOW64.
    """
    if view != 32 or not is_64_bit:
        return path
    components = path.subkey.split("\\")
    folded = [fold(component) for component in components]
    if "WOW6432NODE" in folded:
        return path
    if path.hive is Hive.CLASSES_ROOT:
        return RegistryPath(path.hive, "\\".join(["WOW6432Node", *components]).rstrip("\\"))
    if folded[0] != "SOFTWARE":
        return path
    if folded[1:2] == ["CLASSES"]:
        return RegistryPath(path.hive, "\\".join([*components[:2], "WOW6432Node", *components[2:]]))
    if path.hive is Hive.LOCAL_MACHINE:
        return RegistryPath(path.hive, "\\".join([components[0], "WOW6432Node", *components[1:]]))
    return path


def parse_data(label: str, raw: object) -> RegistryData:
    """Data of a writable type from what a playbook holds. Raises ValueError with words for people.

    dword and qword take decimal numbers or 0x texts over their whole unsigned range; binary takes hex, with or without
    blanks, commas or a leading `hex:`; multi_string a list of texts.
    """
    try:
        kind = RegistryType.from_label(label)
    except KeyError:
        kind = RegistryType.UNKNOWN
    if not kind.writable:
        writable = ", ".join(item.label for item in RegistryType if item.writable)
        raise ValueError(f"{quoted(label)} is not a type converge writes: one of {writable}")
    if kind in (RegistryType.DWORD, RegistryType.QWORD):
        return RegistryData(kind, _number(raw, bits=32 if kind is RegistryType.DWORD else 64, label=label))
    if kind is RegistryType.MULTI_STRING:
        if isinstance(raw, str) or not isinstance(raw, Sequence):
            raise ValueError("a multi_string takes a list of texts")
        return RegistryData(kind, tuple(_text(item, label="an entry of a multi_string", empty=False) for item in raw))
    if kind is RegistryType.BINARY:
        return RegistryData(kind, _bytes(raw))
    return RegistryData(kind, _text(raw, label=f"a {label}", empty=True))


_QUOTES = "; put it in quotes"


def _shown(raw: object) -> str:
    """What stands where something else is meant; a list or a mapping by its kind alone."""
    if isinstance(raw, (bool, type(None))):
        return "nothing" if raw is None else str(raw).lower()
    return "a list" if isinstance(raw, (tuple, list)) else "a mapping" if isinstance(raw, dict) else repr(raw)


def _number(raw: object, *, bits: int, label: str) -> int:
    number: int | None = None
    if isinstance(raw, int) and not isinstance(raw, bool):
        number = raw
    elif isinstance(raw, str) and re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", raw.strip()):
        number = int(raw, 16 if raw.strip()[:2].lower() == "0x" else 10)
    if number is None or not 0 <= number < 2**bits:
        raise ValueError(f"{_shown(raw)} is no {label}: a whole number from 0 to {2**bits - 1}, decimal or 0x")
    return number


def _text(raw: object, *, label: str, empty: bool) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"{label} takes a text, not {_shown(raw)}{_QUOTES if isinstance(raw, (int, float)) else ''}")
    if found := _CONTROL.search(raw):
        raise ValueError(
            f"{label} holds the control character {found.group()!r}; in YAML write backslashes in single quotes"
        )
    if not raw and not empty:
        raise ValueError(f"{label} is empty, which a multi_string cannot hold: it would end the list")
    if len(raw.encode("utf-16-le", "surrogatepass")) > MAX_DATA:
        raise ValueError(f"{label} is larger than {MAX_DATA} bytes")
    return raw


def _bytes(raw: object) -> bytes:
    if isinstance(raw, bytes):
        return raw
    if not isinstance(raw, str):
        raise ValueError(f"binary takes hex digits such as '01 ff', not {_shown(raw)}")
    digits = re.sub(r"^hex:|[\s,]", "", raw.strip(), flags=re.IGNORECASE)
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise ValueError(f"{raw!r} is not binary: pairs of hex digits such as '01 ff'") from None
    if len(data) > MAX_DATA:
        raise ValueError(f"binary data is larger than {MAX_DATA} bytes")
    return data


def size_in_request(path: RegistryPath, name: str, data: RegistryData) -> int:
    """Bytes that writing a value takes in a request, at most: each octet of binary data and each entry of a list by itself."""
    held = data.data
    if isinstance(held, bytes):
        return _AROUND + _length(str(path)) + _length(name) + 24 * len(held)
    entries = held if isinstance(held, tuple) else (str(held),)
    return _AROUND + _length(str(path)) + _length(name) + sum(_length(entry) + 21 for entry in entries)


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass")) + 5 * sum(text.count(mark) for mark in "&<>\"'")


def cannot_be_written(path: RegistryPath, name: str, data: RegistryData, *, windows: tuple[int, ...]) -> str:
    """Why a Windows of this version cannot be made to write a value over WinRM, in words; empty where it can."""
    if data.type is RegistryType.QWORD and windows < (6, 0):
        return "StdRegProv writes no qword before Windows Vista and Server 2008"
    most = SMALLEST_REQUEST if windows < (6, 2) else _LARGER_REQUEST
    size = size_in_request(path, name, data)
    return f"writing it takes about {size} bytes in one request, and this Windows takes {most}" if size > most else ""


def check_value_name(text: str) -> str:
    """A value's name as it stands. Raises ValueError; backslashes are allowed, control characters are not."""
    if same(text, "(Default)"):
        raise ValueError(
            f"{quoted(text)} is how regedit shows a key's default value, whose name is empty: write '' or no name"
        )
    if _CONTROL.search(text):
        raise ValueError(
            f"the value name {quoted(text)} holds a control character; in YAML write backslashes in single quotes"
        )
    if len(text) > MAX_VALUE_NAME:
        raise ValueError(f"a value name of {len(text)} characters is longer than the {MAX_VALUE_NAME} Windows allows")
    return text
