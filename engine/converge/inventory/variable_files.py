"""`group_vars/` and `host_vars/`: variables in files named like a group or host, next to an inventory or a playbook."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from converge.inventory.values import MAX_BYTES, Variable
from converge.inventory.yaml_source import named_variables
from converge.model.position import Position
from converge.reading.files import is_regular, read_text
from converge.reading.problems import Problems
from converge.reading.tree import Node, Scalar, Table
from converge.reading.yaml import VAULT_HEADER, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

_EXTENSIONS: Final = ("", ".yml", ".yaml", ".json")
"""In the order in which Ansible looks; the first that is there is taken."""

_MAX_FOLDERS_DEEP = 16


class FileVariables(NamedTuple):
    """What the files of one host or group set, and which of them are encrypted as a whole."""

    variables: dict[str, Variable]
    vaults: tuple[str, ...]


class VariableFolder:
    """The `group_vars` and `host_vars` of one folder, read for the names an inventory has."""

    def __init__(self, folder: str, *, problems: Problems) -> None:
        self._folder = folder
        self._problems = problems
        self.groups: dict[str, FileVariables] = {}
        self.hosts: dict[str, FileVariables] = {}

    def read(self, *, groups: Iterable[str], hosts: Iterable[str]) -> None:
        """Read every file that belongs to one of these groups and hosts."""
        self.groups = self._read("group_vars", groups)
        self.hosts = self._read("host_vars", hosts)

    def _read(self, kind: str, names: Iterable[str]) -> dict[str, FileVariables]:
        folder = os.path.join(self._folder, kind)
        present = set(_listing(folder))
        if not present:
            return {}
        found: dict[str, FileVariables] = {}
        for name in names:
            entry = next((name + extension for extension in _EXTENSIONS if name + extension in present), None)
            if entry is not None:
                path = os.path.join(folder, entry)
                found[name] = self._load(self._files(path) if os.path.isdir(path) else [path])
        return found

    def _files(self, folder: str, depth: int = 0) -> list[str]:
        """The files of a folder of variables in the order in which they are read, later ones winning."""
        if depth > _MAX_FOLDERS_DEEP:
            self._problems.error(Position(folder), f"is nested deeper than {_MAX_FOLDERS_DEEP} folders")
            return []
        files: list[str] = []
        for entry in sorted(_listing(folder)):
            path = os.path.join(folder, entry)
            extension = os.path.splitext(entry)[1]
            if entry.startswith(".") or entry.endswith("~"):
                continue
            if os.path.isdir(path):
                if not extension:
                    files.extend(self._files(path, depth + 1))
            elif extension in _EXTENSIONS and is_regular(path):
                files.append(path)
        return files

    def _load(self, paths: list[str]) -> FileVariables:
        variables: dict[str, Variable] = {}
        vaults: list[str] = []
        for path in paths:
            text = read_text(path, limit=MAX_BYTES, problems=self._problems, comments=b"#")
            if text is None:
                continue
            if text.startswith(VAULT_HEADER):
                vaults.append(path)
                self._problems.warn(Position(path), "is encrypted with Ansible Vault: what it sets cannot be read")
                continue
            root = read_yaml(text, file=path, problems=self._problems, ansible=True)
            if root is not None:
                variables.update(self._variables(root))
        return FileVariables(variables, tuple(vaults))

    def _variables(self, root: Node) -> list[tuple[str, Variable]]:
        if isinstance(root, Table):
            return named_variables(root, self._problems)
        if not isinstance(root, Scalar) or root.value is not None:
            self._problems.error(root.position, "is not a file of variables", expected="`name: value` lines")
        return []


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (OSError, ValueError):  # not there, which is the usual case; or a null character in the path
        return []
