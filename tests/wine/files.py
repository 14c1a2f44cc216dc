"""CIM_DataFile and Win32_Directory over a real file system: names in lower case, as those classes tell them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tests.wine.agent import Agent, FileRow, Win32Error
from tests.wine.soap import Fault, MissingInstance, Row
from tests.wine.wql import Select

_RETURNED = {5: 2, 2: 9, 3: 9, 80: 10, 183: 10, 17: 13, 145: 14, 32: 15, 1314: 17, 87: 21, 123: 21}
UNSPECIFIED = 8
MAX_DEPTH = 32


class Unbound(Exception):
    """A query that names neither files nor a folder: a host would look through every disk for hours."""


class _Entries:
    name, key = "", "Name"

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._methods: dict[str, Callable[[str, str], None]] = {
            "Copy": self._copy,
            "Rename": self._rename,
            "Delete": lambda path, _: self._delete(path, 0),
        }

    def rows(self, query: Select | None) -> Iterable[Row]:
        """Those of the named paths that are there, or all of one folder. Raises Unbound."""
        names = query.bound("name") if query else None
        if names is not None:
            yield from (row for name in sorted(names) if (row := self._named(name)))
            return
        drives, folders = (query.bound(column) if query else None for column in ("drive", "path"))
        if drives is None or folders is None:
            raise Unbound
        for folder in (drive + path for drive in drives for path in folders):
            yield from self._inside(folder)

    def _inside(self, folder: str) -> Iterable[Row]:
        try:
            entries = self._agent.list_folder(folder)
        except Win32Error:
            return
        yield from (self._row(folder + entry.name, entry) for entry in entries if self._mine(entry))

    def _named(self, path: str) -> Row | None:
        try:
            entry = self._agent.stat(path)
        except Win32Error:
            return None
        return self._row(path, entry) if self._mine(entry) else None

    def _mine(self, entry: FileRow) -> bool:
        raise NotImplementedError

    def _row(self, path: str, entry: FileRow) -> Row:
        shown = path.lower()
        drive, _, below = shown.partition("\\")
        folder, _, last = below.rpartition("\\")
        stem, dot, extension = last.rpartition(".")
        return {
            "Archive": bool(entry.attributes & 0x20),
            "Caption": shown,
            "CreationClassName": self.name,
            "CreationDate": entry.created,
            "CSName": self._agent.system().computer,
            "Description": shown,
            "Drive": drive,
            "Extension": extension if dot else "",
            "FileName": stem if dot else last,
            "Hidden": bool(entry.attributes & 2),
            "LastAccessed": entry.accessed,
            "LastModified": entry.written,
            "Name": shown,
            "Path": f"\\{folder}\\" if folder else "\\",
            "Readable": True,
            "System": bool(entry.attributes & 4),
            "Writeable": not entry.attributes & 1,
        }

    def invoke(self, method: str, path: str | None, parameters: Mapping[str, list[str]]) -> Row:
        """Call a method of one file or folder. Raises Fault."""
        found = self._methods.get(method)
        if not found:
            raise Fault("w:InternalError", 2150859010, f"The method {method} is not implemented. ", code="s:Receiver")
        if not path or self._named(path) is None:
            raise MissingInstance
        try:
            found(path, "".join(parameters.get("FileName", [])))
        except Win32Error as error:
            return {"ReturnValue": _RETURNED.get(error.code, UNSPECIFIED)}
        return {"ReturnValue": 0}

    def _copy(self, path: str, target: str) -> None:
        self._agent.copy_file(path, target)

    def _rename(self, path: str, target: str) -> None:
        self._agent.move(path, target)

    def _delete(self, path: str, depth: int) -> None:
        raise NotImplementedError


class Files(_Entries):
    """CIM_DataFile."""

    name = "CIM_DataFile"

    def _mine(self, entry: FileRow) -> bool:
        return not entry.is_folder

    def _row(self, path: str, entry: FileRow) -> Row:
        version = self._agent.version(path)
        return {
            **super()._row(path, entry),
            "FileSize": entry.size,
            "FileType": "File",
            "Manufacturer": None,
            "Version": version,
        }

    def _delete(self, path: str, depth: int) -> None:
        self._agent.delete_file(path)


class Directories(_Entries):
    """Win32_Directory, whose Delete takes what lies in the folder with it."""

    name = "Win32_Directory"

    def _mine(self, entry: FileRow) -> bool:
        return entry.is_folder

    def _row(self, path: str, entry: FileRow) -> Row:
        return {**super()._row(path, entry), "FileSize": None, "FileType": "File Folder"}

    def _delete(self, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Win32Error("delete", 5)
        for entry in self._agent.list_folder(path):
            inside = f"{path}\\{entry.name}"
            if entry.is_folder:
                self._delete(inside, depth + 1)
            else:
                self._agent.delete_file(inside)
        self._agent.remove_folder(path)
