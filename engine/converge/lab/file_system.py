"""Files and folders as an account sees them through CIM_DataFile and Win32_Directory: the same refusals and return values.

Return values: 0 done, 2 access denied, 8 failure, 9 not there or no valid name, 10 the target exists, 13 the target is on
another drive, 14 the folder is not empty, 15 sharing violation, 21 invalid parameter (CIM_DataFile). That Copy and Rename
need the target's folder to be there (9) and that Rename moves within a volume rests on documentation alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from converge.lab.file_tree import Folder, StoredFile
from converge.lab.world import LabAccount, Right, World
from converge.model.names import fold, same
from converge.windows import paths

DONE, ACCESS_DENIED, FAILED, NOT_THERE, EXISTS, OTHER_DRIVE, NOT_EMPTY, SHARING, INVALID = (
    0,
    2,
    8,
    9,
    10,
    13,
    14,
    15,
    21,
)
MAX_PATH = 259  # characters of a full path (Maximum Path Length Limitation)
MAX_WRITE = 8 * 1024 * 1024  # bytes a program of the simulation may put into one file


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The disks of a world for one account; None is the machine itself. Paths are full paths."""

    world: World
    account: LabAccount | None = None

    def file(self, path: str) -> tuple[int, StoredFile | None]:
        """A file. What lies in a folder that may not be read is denied, there or not."""
        if not self.readable(path):
            return ACCESS_DENIED, None
        held = self.world.files.file(path)
        return (DONE, held) if held else (NOT_THERE, None)

    def folder(self, path: str) -> tuple[int, Folder | None]:
        """A folder."""
        if not self.readable(path):
            return ACCESS_DENIED, None
        held = self.world.files.folder(path)
        return (DONE, held) if held else (NOT_THERE, None)

    def copy(self, source: str, target: str) -> int:
        """Copy a file; with a folder, the folder and all in it. An existing target is refused."""
        files = self.world.files
        if not self.readable(source):
            return ACCESS_DENIED
        file, folder = files.file(source), files.folder(source)
        if file is None and folder is None:
            return NOT_THERE
        refusal = self._target_refusal(target)
        if refusal:
            return refusal
        if file is not None:
            files.place(target, file.copy(paths.name(target)))
        elif folder is not None:
            if paths.is_within(target, source):
                return INVALID
            for place, inner in list(files.walk(source)):
                made = files.make_folder(target + place[len(paths.normalise(source)) :])
                made.files |= {name: held.copy(held.name) for name, held in inner.files.items()}
        return DONE

    def rename(self, source: str, target: str) -> int:
        """Rename a file or folder within its volume. An existing target is refused, except the same thing in other case."""
        files = self.world.files
        file, folder = files.file(source), files.folder(source)
        if file is None and folder is None:
            return NOT_THERE if self.readable(source) else ACCESS_DENIED
        if not self.writable(source):
            return ACCESS_DENIED
        if not same(paths.drive(source), paths.drive(target)):
            return OTHER_DRIVE
        if file is not None and file.in_use:
            return SHARING
        if not same(paths.normalise(source), paths.normalise(target)):
            refusal = self._target_refusal(target)
            if refusal:
                return refusal
        if folder is not None and paths.is_within(paths.parent(target), source):
            return INVALID
        files.remove(source)
        name = paths.name(target)
        if file is not None:
            file.name = name
            files.place(target, file)
        elif folder is not None:
            folder.name = name
            files.make_folder(paths.parent(target)).folders[fold(name)] = folder
        return DONE

    def delete(self, path: str) -> int:
        """Delete a file, or a folder that is empty."""
        files = self.world.files
        file, folder = files.file(path), files.folder(path)
        if file is None and folder is None:
            return NOT_THERE if self.readable(path) else ACCESS_DENIED
        if not self.writable(path):
            return ACCESS_DENIED
        if file is not None and file.in_use:
            return SHARING
        if folder is not None and not folder.empty:
            return NOT_EMPTY
        return DONE if files.remove(path) else INVALID

    def make_folder(self, path: str) -> int:
        """Make a folder with its parents; `EXISTS` where something of that name is there."""
        files = self.world.files
        if files.exists(path):
            return EXISTS
        if len(path) > MAX_PATH:
            return INVALID
        if not files.lineage(path):
            return NOT_THERE
        if not self.writable(path):
            return ACCESS_DENIED
        try:
            files.make_folder(path)
        except ValueError:
            return INVALID
        return DONE

    def write(self, path: str, content: bytes, *, append: bool = False) -> int:
        """Write a file, or replace or prolong one that is there."""
        files = self.world.files
        if files.folder(path) is not None or not self.writable(path):
            return ACCESS_DENIED
        if files.holder(path) is None:
            return NOT_THERE
        if len(path) > MAX_PATH:
            return INVALID
        held = files.file(path)
        if held is not None and held.in_use:
            return SHARING
        before = held.read() if held is not None and append else b""
        if len(before) + len(content) > MAX_WRITE:
            return FAILED
        name = held.name if held is not None else paths.name(path)
        data = before + content
        files.place(path, StoredFile(name, len(data), modified=self.world.now(), content=data))
        return DONE

    def readable(self, path: str) -> bool:
        """Whether the account may read what a path names."""
        return self._allowed(path, Right.FILE_READ, denial="read")

    def writable(self, path: str) -> bool:
        """Whether the account may change, make or remove what a path names."""
        return self._allowed(path, Right.FILE_WRITE, denial="write")

    def _allowed(self, path: str, right: Right, *, denial: str) -> bool:
        if not self.world.permits(self.account, right, path):
            return False
        file = self.world.files.file(path)
        denied = any(denial in folder.deny for folder in self.world.files.lineage(path))
        return not denied and not (file is not None and denial in file.deny)

    def _target_refusal(self, target: str) -> int:
        try:
            paths.check(target)
        except ValueError:
            return INVALID
        if len(target) > MAX_PATH:
            return INVALID
        if not self.writable(target):
            return ACCESS_DENIED
        if self.world.files.exists(target):
            return EXISTS
        return DONE if self.world.files.holder(target) is not None else NOT_THERE
