"""Registry keys as the text of a .reg file that regedit imports."""

from __future__ import annotations

import re

from converge.model.journal import RegistrySnapshot
from converge.model.names import fold
from converge.model.registry import RegistryData, RegistryType
from converge.windows.registry import long_name

_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"
)  # what could end a line: what follows would be read as an entry of its own
_WIDTH = 78  # regedit breaks lines of hex digits before the 80th column


def render(snapshot: RegistrySnapshot) -> bytes:
    """The file's bytes: version 5.00 in UTF-16, or REGEDIT4 in Windows' ANSI code page for NT 4.0 and older.

    Keys that were not there and values that could not be read are told in comments. Source: KB 310516.
    """
    old = snapshot.windows_version.startswith(("3.", "4."))
    lines = ["REGEDIT4" if old else "Windows Registry Editor Version 5.00", ""]
    values: dict[object, list[str]] = {}
    for value in snapshot.values:
        values.setdefault(value.key, []).append(_value(value.name, value.data, old=old))
    for key, contents in sorted(snapshot.keys, key=lambda item: fold(str(item[0]))):
        if contents is None:
            lines += [f"; {_visible(long_name(key))} was not there", ""]
        elif _CONTROL.search(key.subkey):
            lines += [f"; {_visible(long_name(key))}: no such file can hold a key of this name", ""]
        else:
            lines += [f"[{long_name(key)}]", *values.get(key, []), ""]
    text = "\r\n".join(lines) + "\r\n"
    return text.encode("cp1252", "replace") if old else b"\xff\xfe" + text.encode("utf-16-le", "surrogatepass")


def _value(name: str, data: RegistryData, *, old: bool) -> str:
    label = "@" if not name else f'"{_escaped(name)}"'
    if _CONTROL.search(name):
        return f"; {_visible(label)}: no such file can hold a value of this name"
    if data.data is None:
        return f"; {label} could not be read (type {data.type.label})"
    if data.type is RegistryType.STRING and isinstance(data.data, str) and not _CONTROL.search(data.data):
        return f'{label}="{_escaped(data.data)}"'
    if data.type is RegistryType.DWORD and isinstance(data.data, int):
        return f"{label}=dword:{data.data:08x}"
    prefix = "hex:" if data.type is RegistryType.BINARY else f"hex({data.type.number:x}):"
    return _folded(f"{label}={prefix}", _octets(data, old=old))


def _octets(data: RegistryData, *, old: bool) -> bytes:
    def encoded(text: str) -> bytes:
        return text.encode("cp1252", "replace") if old else text.encode("utf-16-le", "surrogatepass")

    if isinstance(data.data, bytes):
        return data.data
    if isinstance(data.data, int):
        return data.data.to_bytes(4 if data.type is RegistryType.DWORD else 8, "little")
    if isinstance(data.data, str):
        return encoded(data.data + "\0")
    return b"".join(encoded(item + "\0") for item in data.data or ()) + encoded("\0")


def _folded(head: str, octets: bytes) -> str:
    lines, line = [], head
    for index, octet in enumerate(octets):
        piece = f"{octet:02x}" + ("," if index + 1 < len(octets) else "")
        if len(line) + len(piece) > _WIDTH:
            lines.append(line + "\\")
            line = "  "
        line += piece
    return "\r\n".join([*lines, line])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
