"""CIM_DataFile and Win32_Directory over the simulated disks: found by name, or by drive and path, and by nothing less.

As on Windows, names come back in lower case, whatever case the disk keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from converge.lab.endpoint.schema import (
    AccessDenied,
    CimClass,
    CimType,
    Method,
    MethodCall,
    Property,
    Row,
    ServedClass,
    properties,
)
from converge.lab.endpoint.wql import Condition
from converge.lab.endpoint.wql_lexer import QueryTooComplex
from converge.lab.endpoint.wql_match import alternatives, matches
from converge.lab.file_system import ACCESS_DENIED, FileSystem
from converge.lab.file_tree import Folder, StoredFile
from converge.windows import paths
from converge.wsman.cim import Value

NAMESPACE: Final = "root/cimv2"

_COMMON: Final = (
    *properties(CimType.UINT32, "AccessMask"),
    *properties(CimType.BOOLEAN, "Archive Compressed Encrypted Hidden Readable System Writeable"),
    *properties(
        CimType.STRING,
        "Caption CompressionMethod CreationClassName CSCreationClassName CSName Description Drive EightDotThreeFileName "
        "EncryptionMethod Extension FileName FileType FSCreationClassName FSName Name Path Status",
    ),
    *properties(CimType.DATETIME, "CreationDate InstallDate LastAccessed LastModified"),
    *properties(CimType.UINT64, "FileSize InUseCount"),
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A file or folder at a full path, and whether the account may read it."""

    path: str
    item: StoredFile | Folder
    readable: bool


def _rows(cim_class: Callable[[], CimClass], *, folders: bool) -> Callable[[ServedClass, Condition | None], Iterable[Row]]:
    def rows(served: ServedClass, condition: Condition | None) -> Iterator[Row]:
        for found in _candidates(served, condition, folders=folders):
            row = _row(served, found)
            if not found.readable and matches(condition, row, cim_class()):
                raise AccessDenied
            if found.readable:
                yield row

    return rows


def _candidates(served: ServedClass, condition: Condition | None, *, folders: bool) -> Iterator[_Found]:
    """What the condition's names, or drives and paths, can mean. Raises QueryTooComplex for a search of whole disks."""
    system = FileSystem(served.world, served.account)
    seen: set[str] = set()
    for keys in alternatives(condition, ("Name", "Drive", "Path")):
        for found in _at(system, keys, folders=folders):
            if found.path.lower() not in seen:
                seen.add(found.path.lower())
                yield found


def _at(system: FileSystem, keys: dict[str, str], *, folders: bool) -> Iterator[_Found]:
    if "NAME" in keys:
        yield from _named(system, keys["NAME"], folders=folders)
    elif "DRIVE" in keys and "PATH" in keys:
        yield from _inside(system, keys["DRIVE"] + keys["PATH"], folders=folders)
    else:
        raise QueryTooComplex("files are found by Name, or by Drive and Path; anything else would search whole disks")


def _named(system: FileSystem, path: str, *, folders: bool) -> Iterator[_Found]:
    if not paths.is_absolute(path):
        return
    code, item = system.folder(path) if folders else system.file(path)
    if code == ACCESS_DENIED:
        # Whether it is there is not told: a refusal, not an empty answer.
        raise AccessDenied
    if item is not None:
        yield _Found(paths.normalise(path), item, readable=True)


def _inside(system: FileSystem, path: str, *, folders: bool) -> Iterator[_Found]:
    code, folder = system.folder(path)
    if code == ACCESS_DENIED:
        raise AccessDenied
    if folder is None:
        return
    held: list[StoredFile | Folder] = list(folder.folders.values() if folders else folder.files.values())
    for item in held:
        place = paths.join(path, item.name)
        yield _Found(place, item, readable=system.readable(place))


def _row(served: ServedClass, found: _Found) -> Row:
    place = found.path.lower()
    folder, name = paths.parent(place), paths.name(place)
    is_folder = isinstance(found.item, Folder)
    stem, dot, extension = name.rpartition(".")
    drive = paths.drive(place)
    if place == paths.parent(place):
        stem, dot, extension, name = "", "", "", ""
    row: dict[str, Value] = {
        "AccessMask": 0x1F01FF,
        "Archive": not is_folder,
        "Caption": place,
        "Compressed": False,
        "CreationClassName": "CIM_LogicalFile",
        "CreationDate": _second(found.item.modified),
        "CSCreationClassName": "Win32_ComputerSystem",
        "CSName": served.world.profile.host_name,
        "Description": place,
        "Drive": drive,
        "EightDotThreeFileName": served.world.files.short_path(place).lower(),
        "Encrypted": False,
        "Extension": extension if dot else "",
        "FileName": stem if dot else name,
        "FileType": "File Folder" if is_folder else f"{extension if dot else ''} File".strip(),
        "FSCreationClassName": "Win32_FileSystem",
        "FSName": "NTFS",
        "Hidden": False,
        "InstallDate": _second(found.item.modified),
        "LastAccessed": _second(found.item.modified),
        "LastModified": _second(found.item.modified),
        "Name": place,
        "Path": (folder[2:].rstrip("\\") + "\\") if name else None,
        "Readable": True,
        "Status": "OK",
        "System": False,
        "Writeable": "write" not in found.item.deny,
    }
    if isinstance(found.item, StoredFile):
        row |= {"FileSize": found.item.size, "Version": found.item.version, "Manufacturer": None}
    return row


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _path(call: MethodCall) -> str:
    return str(call.keys["Name"])


def _system(call: MethodCall) -> FileSystem:
    return FileSystem(call.host.world, call.host.account)


_TARGET: Final = (Property("FileName"),)
_METHODS: Final = (
    Method("Copy", lambda call: _system(call).copy(_path(call), call.text("FileName") or ""), inputs=_TARGET),
    Method("Rename", lambda call: _system(call).rename(_path(call), call.text("FileName") or ""), inputs=_TARGET),
    Method("Delete", lambda call: _system(call).delete(_path(call))),
)


def _data_file() -> CimClass:
    return CimClass(
        NAMESPACE,
        "CIM_DataFile",
        (*_COMMON, *properties(CimType.STRING, "Manufacturer Version")),
        ("Name",),
        _rows(_data_file, folders=False),
        _METHODS,
        ("CIM_LogicalFile", "CIM_LogicalElement"),
    )


def _directory() -> CimClass:
    return CimClass(
        NAMESPACE,
        "Win32_Directory",
        _COMMON,
        ("Name",),
        _rows(_directory, folders=True),
        _METHODS,
        ("CIM_Directory", "CIM_LogicalFile", "CIM_LogicalElement"),
    )


def classes() -> tuple[CimClass, ...]:
    """Files and folders."""
    return _data_file(), _directory()
