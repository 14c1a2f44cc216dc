"""The disks of a simulated Windows: volumes, folders and files, whose names keep their case and are found in any."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from converge.lab.eight_dot_three import eight_dot_three
from converge.model.names import fold, same
from converge.windows import paths

MAX_GENERATED = 64 * 1024 * 1024  # bytes of a file that has a size and no content of its own
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class StoredFile:
    """One file. Without `content` it holds bytes made from `seed`: two files of one seed and size are equal.

    `deny` holds `read`, `write` for what nobody may do; `in_use` is a sharing violation for whoever writes.
    """

    name: str
    size: int
    version: str | None = None
    modified: datetime = _EPOCH
    content: bytes | None = None
    seed: str = ""
    deny: set[str] = field(default_factory=set)
    in_use: bool = False

    def read(self) -> bytes:
        """The bytes. Raises ValueError for a made-up file that is too large to hold in memory."""
        if self.content is not None:
            return self.content
        if self.size > MAX_GENERATED:
            raise ValueError(f"{self.name} of {self.size} bytes is larger than a made-up file may be")
        return hashlib.shake_128(f"{self.seed}:{self.size}".encode()).digest(self.size)

    def digest(self, algorithm: str) -> str:
        """The lower-case hex digest of the content."""
        return hashlib.new(algorithm, self.read(), usedforsecurity=False).hexdigest()

    def copy(self, name: str) -> StoredFile:
        """The same file under another name, readable and writable."""
        return StoredFile(name, self.size, self.version, self.modified, self.content, self.seed)


@dataclass(slots=True)
class Folder:
    """One folder. `deny` holds `read` and `write` for what nobody may do to it and what lies below."""

    name: str
    folders: dict[str, Folder] = field(default_factory=dict)
    files: dict[str, StoredFile] = field(default_factory=dict)
    modified: datetime = _EPOCH
    deny: set[str] = field(default_factory=set)

    @property
    def empty(self) -> bool:
        """Whether nothing lies in it."""
        return not self.folders and not self.files

    def short_names(self) -> dict[str, str]:
        """The 8.3 name of each thing in it, by its folded name, given in the order in which they came."""
        folders, files = self.folders.values(), self.files.values()
        return eight_dot_three([*(folder.name for folder in folders), *(file.name for file in files)])

    def inner(self, name: str) -> Folder | None:
        """A folder in it, by its name or its 8.3 name."""
        return self.folders.get(fold(name)) or (self.folders.get(self._long(name)) if "~" in name else None)

    def held(self, name: str) -> StoredFile | None:
        """A file in it, by its name or its 8.3 name."""
        return self.files.get(fold(name)) or (self.files.get(self._long(name)) if "~" in name else None)

    def _long(self, name: str) -> str:
        return next((long for long, short in self.short_names().items() if same(short, name)), "")


class FileTree:
    """All volumes of one Windows, by drive letter. Shares are not served."""

    def __init__(self) -> None:
        self.volumes: dict[str, Folder] = {}

    def lineage(self, path: str) -> list[Folder]:
        """The folders from the volume down to the named one, as far as they are there."""
        drive, *components = paths.normalise(path).split("\\")
        folder = self.volumes.get(fold(drive))
        passed = [folder] if folder else []
        for component in components:
            if folder is None or not component:
                break
            folder = folder.inner(component)
            if folder is not None:
                passed.append(folder)
        return passed

    def folder(self, path: str) -> Folder | None:
        """A folder, or None."""
        components = [part for part in paths.normalise(path).split("\\") if part]
        passed = self.lineage(path)
        return passed[-1] if passed and len(passed) == len(components) else None

    def file(self, path: str) -> StoredFile | None:
        """A file, or None."""
        holder = self.holder(path)
        return holder.held(paths.name(path)) if holder else None

    def holder(self, path: str) -> Folder | None:
        """The folder a path lies in, if it is there. A volume lies in none."""
        return None if paths.parent(path) == paths.normalise(path) else self.folder(paths.parent(path))

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        return self.file(path) is not None or self.folder(path) is not None

    def make_folder(self, path: str) -> Folder:
        """The folder, made with its parents. Raises ValueError where a file is in the way or the path has no drive."""
        drive, *components = paths.normalise(path).split("\\")
        if len(drive) != 2 or drive[1] != ":":
            raise ValueError(f"{path!r} has no drive")
        folder = self.volumes.setdefault(fold(drive), Folder(drive.upper()))
        for component in filter(None, components):
            if folder.held(component):
                raise ValueError(f"{path!r}: a file named {component} is in the way")
            folder = folder.inner(component) or folder.folders.setdefault(fold(component), Folder(component))
        return folder

    def place(self, path: str, file: StoredFile) -> None:
        """Put a file where the path says, its folder made where it is missing; one that lies there is replaced."""
        self.make_folder(paths.parent(path)).files[fold(file.name)] = file

    def remove(self, path: str) -> bool:
        """Remove a file, or a folder with all in it; False if there was none."""
        holder = self.holder(path)
        if holder is None:
            return False
        name = paths.name(path)
        held = holder.held(name) or holder.inner(name)
        if held is None:
            return False
        return (
            holder.files.pop(fold(held.name), None) is not None or holder.folders.pop(fold(held.name), None) is not None
        )

    def real_path(self, path: str) -> str:
        """The path in the spelling the disk keeps; what is not there stays as it was written."""
        drive, *components = paths.normalise(path).split("\\")
        folder = self.volumes.get(fold(drive))
        spelled = [folder.name if folder else drive]
        for component in components:
            below = folder.inner(component) if folder else None
            held = folder.held(component) if folder else None
            spelled.append(below.name if below else held.name if held else component)
            folder = below
        return "\\".join(spelled)

    def short_path(self, path: str) -> str:
        """The path of something that is there, of 8.3 names throughout."""
        drive, *components = self.real_path(path).split("\\")
        folder, spelled = self.volumes.get(fold(drive)), [drive]
        for component in components:
            spelled.append(folder.short_names().get(fold(component), component) if folder else component)
            folder = folder.inner(component) if folder else None
        return "\\".join(spelled)

    def walk(self, path: str) -> Iterator[tuple[str, Folder]]:
        """A folder and all folders below it, parents first."""
        start = self.folder(path)
        waiting = [(paths.normalise(path), start)] if start else []
        while waiting:
            place, folder = waiting.pop()
            yield place, folder
            waiting.extend((paths.join(place, child.name), child) for child in reversed(folder.folders.values()))

    def to_json(self) -> Any:
        """Plain data that `from_json` reads back: one entry per folder, parents first, however deep the tree is."""
        return [
            {
                "path": place,
                "modified": folder.modified.isoformat(),
                "deny": sorted(folder.deny),
                "files": [_file_to_json(file) for file in folder.files.values()],
            }
            for volume in self.volumes.values()
            for place, folder in self.walk(volume.name)
        ]

    @classmethod
    def from_json(cls, data: Any) -> FileTree:
        """The tree of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
        tree = cls()
        for held in data:
            folder = tree.make_folder(held["path"])
            folder.modified = datetime.fromisoformat(held["modified"])
            folder.deny = set(held["deny"])
            for raw in held["files"]:
                file = _file_from_json(raw)
                folder.files[fold(file.name)] = file
        return tree


def _file_to_json(file: StoredFile) -> Any:
    return {
        "name": file.name,
        "size": file.size,
        "version": file.version,
        "modified": file.modified.isoformat(),
        "content": None if file.content is None else file.content.hex(),
        "seed": file.seed,
        "deny": sorted(file.deny),
        "in_use": file.in_use,
    }


def _file_from_json(held: Any) -> StoredFile:
    content = held["content"]
    return StoredFile(
        held["name"],
        held["size"],
        held["version"],
        datetime.fromisoformat(held["modified"]),
        None if content is None else bytes.fromhex(content),
        held["seed"],
        set(held["deny"]),
        held["in_use"],
    )
