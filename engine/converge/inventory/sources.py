"""Decides what a source given with `-i` is (a list, a folder, a program, YAML, INI) and has it read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from converge.inventory.ini_source import read_ini_inventory
from converge.inventory.script_source import is_script, read_script_inventory
from converge.inventory.values import MAX_BYTES
from converge.inventory.yaml_source import CONVERT, read_yaml_inventory
from converge.model.position import Position
from converge.reading.files import is_own, is_regular, read_text
from converge.reading.problems import Problems
from converge.reading.tree import Node, Table
from converge.reading.yaml import VAULT_HEADER, read_yaml

if TYPE_CHECKING:
    from converge.inventory.groups import Membership

# What Ansible (core 2.19, `inventory_ignore_extensions`) passes over in a folder of inventories.
IGNORED_ENDINGS = (
    ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry",
)  # fmt: skip
_IGNORED_NAMES = frozenset({"group_vars", "host_vars", "vars_plugins"})
_YAML_ENDINGS = frozenset({".yml", ".yaml", ".json"})
_MAX_FOLDERS_DEEP = 16


def is_host_list(source: str) -> bool:
    """Whether a source names hosts itself: `web01,web02` or `web01,`."""
    return "," in source and not os.path.exists(source)


def read_source(source: str, *, members: Membership, problems: Problems) -> None:
    """Add what one source says."""
    reader = _SourceReader(members, problems)
    if "\0" in source or not source.strip():
        problems.error(Position(source.replace("\0", "?")), "is not a path", expected="a file, a folder, or `host,`")
    elif is_host_list(source):
        reader.host_list(source)
    elif os.path.isdir(source):
        reader.folder(source)
    elif os.path.exists(source):
        reader.file(source)
    else:
        problems.error(
            Position(source), "no such inventory", hint=f"to name a host itself, end it with a comma: {source},"
        )


class _SourceReader:
    def __init__(self, members: Membership, problems: Problems) -> None:
        self._members = members
        self._problems = problems

    def folder(self, folder: str, depth: int = 0) -> None:
        """Read the files of a folder, and of folders in it, in the order of the bytes of their names."""
        if depth > _MAX_FOLDERS_DEEP:
            self._problems.error(Position(folder), f"is nested deeper than {_MAX_FOLDERS_DEEP} folders")
            return
        try:
            entries = sorted(os.listdir(folder), key=os.fsencode)
        except OSError as error:
            self._problems.error(Position(folder), f"cannot be listed: {error.strerror}")
            return
        for entry in entries:
            if entry.startswith(".") or entry in _IGNORED_NAMES or entry.endswith(IGNORED_ENDINGS):
                continue
            path = os.path.join(folder, entry)
            if os.path.isdir(path):
                self.folder(path, depth + 1)
            elif is_regular(path):
                self.file(path)

    def file(self, path: str) -> None:
        """Run or read one file."""
        if is_script(path) and not is_own(path, self._problems):
            return
        if is_script(path) and read_script_inventory(path, members=self._members, problems=self._problems):
            return
        ending = os.path.splitext(path)[1]
        if ending == ".toml":
            hint = CONVERT.format(file=path)
            self._problems.error(Position(path), "is TOML", expected="YAML, INI or a program", hint=hint)
            return
        text = read_text(
            path, limit=MAX_BYTES, problems=self._problems, comments=b"#" if ending in _YAML_ENDINGS else b"#;"
        )
        if text is None:
            return
        if text.startswith(VAULT_HEADER):
            self._problems.error(
                Position(path, 1, 1),
                "is encrypted with Ansible Vault",
                hint="keep hosts in the clear and secrets in converge_password_command, _env or _file",
            )
        elif ending in _YAML_ENDINGS:
            root = read_yaml(text, file=path, problems=self._problems, ansible=True)
            if root is not None:
                self._yaml(root, path)
        elif ending or not self._was_yaml(text, path):
            read_ini_inventory(text, file=path, members=self._members, problems=self._problems)

    def _yaml(self, root: Node, path: str) -> None:
        read_yaml_inventory(root, file=path, members=self._members, problems=self._problems)

    def _was_yaml(self, text: str, path: str) -> bool:
        """Try a file without an extension as YAML first, as Ansible does. False: it is something else."""
        attempt = Problems()
        root = read_yaml(text, file=path, problems=attempt, ansible=True)
        if root is None:
            if not _looks_like_yaml(text):
                return False
            self._problems.extend(attempt.errors)
            return True
        if not isinstance(root, Table):
            return False
        self._yaml(root, path)
        return True

    def host_list(self, source: str) -> None:
        """Add the hosts that a list names."""
        place = Position(source)
        for pattern in filter(None, (piece.strip() for piece in source.split(","))):
            self._members.add_hosts(pattern, self._members.groups["ungrouped"], place=place, problems=self._problems)


def _looks_like_yaml(text: str) -> bool:
    """Whether the mistakes of a file that is not quite YAML are best told as mistakes in YAML."""
    for line in text.splitlines():
        content = line.strip()
        if content and not content.startswith(("#", ";")):
            return content == "---" or (content.endswith(":") and not line[0].isspace())
    return False
