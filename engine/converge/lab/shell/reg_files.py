"""The text of .reg files, as reg export writes and reg import reads it (KB 310516)."""

from __future__ import annotations

import re

from converge.lab.registry_provider import DONE, RegistryProvider
from converge.lab.registry_tree import StoredData, StoredValue
from converge.model.registry import RegistryPath
from converge.windows.registry import long_name, parse_path

_HEADER = "Windows Registry Editor Version 5.00"
_OLD_HEADER = "REGEDIT4"
_VALUE = re.compile(r'(?:(?P<default>@)|"(?P<name>(?:[^"\\]|\\.)*)")\s*=\s*(?P<data>.*)', re.DOTALL)
_HEX = re.compile(r"hex(?:\((?P<type>[0-9a-f]+)\))?:(?P<octets>.*)", re.IGNORECASE | re.DOTALL)


def export(registry: RegistryProvider, path: RegistryPath) -> bytes:
    """A key and all below it that may be read."""
    lines = [_HEADER, ""]
    for place, key in registry.world.registry.walk(path):
        if registry.readable(place):
            lines += [f"[{long_name(place)}]", *(_written(value) for value in key.values.values()), ""]
    return b"\xff\xfe" + ("\r\n".join(lines) + "\r\n").encode("utf-16-le", "surrogatepass")


def _written(value: StoredValue) -> str:
    label = f'"{_escaped(value.name)}"' if value.name else "@"
    if value.number == 1:
        return f'{label}="{_escaped(str(value.data))}"'
    if value.number == 4 and isinstance(value.data, int):
        return f"{label}=dword:{value.data:08x}"
    kind = "" if value.number == 3 else f"({value.number:x})"
    return f"{label}=hex{kind}:{value.octets().hex(',')}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def apply(registry: RegistryProvider, data: bytes) -> bool:
    """Write what a file holds; False where some of it was refused. Raises ValueError for what is no .reg file."""
    unicode = data.startswith(b"\xff\xfe")
    text = data[2:].decode("utf-16-le", "surrogatepass") if unicode else data.decode("cp1252", "replace")
    lines = re.sub(r"\\\r?\n\s*", "", text).splitlines()
    header = next((line.strip() for line in lines if line.strip()), "")
    if header not in (_HEADER, _OLD_HEADER):
        raise ValueError("The specified file is not a registry script.")
    complete, path = True, None
    for line in lines[lines.index(next(line for line in lines if line.strip())) + 1 :]:
        plain = line.strip()
        if plain.startswith("[") and plain.endswith("]"):
            path, done = _enter(registry, plain[1:-1])
            complete = complete and done
        elif path is not None and (match := _VALUE.match(plain)):
            name = "" if match["default"] else _unescaped(match["name"])
            complete = _set(registry, path, name, match["data"].strip(), unicode=header == _HEADER) and complete
    return complete


def _enter(registry: RegistryProvider, text: str) -> tuple[RegistryPath | None, bool]:
    path = parse_path(text.removeprefix("-"))
    if text.startswith("-"):
        if registry.writable(path) and path.subkey:
            registry.world.registry.remove(path)
            return None, True
        return None, False
    return path, registry.create_key(path) == DONE


def _set(registry: RegistryProvider, path: RegistryPath, name: str, text: str, *, unicode: bool) -> bool:
    if text == "-":
        registry.delete_value(path, name)
        return registry.writable(path)
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return registry.set(path, name, number=1, data=_unescaped(text[1:-1])) == DONE
    if match := re.fullmatch(r"dword:([0-9a-fA-F]{1,8})", text):
        return registry.set(path, name, number=4, data=int(match[1], 16)) == DONE
    found = _HEX.fullmatch(text)
    if found is None:
        return False
    number = int(found["type"], 16) if found["type"] else 3
    try:
        octets = bytes.fromhex(re.sub(r"[\s,]", "", found["octets"]))
    except ValueError:
        return False
    return registry.set(path, name, number=number, data=_meant(number, octets, unicode=unicode)) == DONE


def _meant(number: int, octets: bytes, *, unicode: bool) -> StoredData:
    """Data of a type from its bytes."""
    if number in (4, 5, 11):
        return int.from_bytes(octets, "big" if number == 5 else "little")
    if number not in (1, 2, 7):
        return octets
    text = (
        octets.decode("utf-16-le", "surrogatepass")
        if unicode and len(octets) % 2 == 0
        else octets.decode("cp1252", "replace")
    )
    return tuple(item for item in text.split("\0") if item) if number == 7 else text.rstrip("\0")
