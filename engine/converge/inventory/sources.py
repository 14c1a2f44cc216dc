"""Decides what a source given with `-i` is (a list, a folder, a program, YAML, INI) and has it read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from converge.inventory.hostnames import BadRange, expand
from converge.inventory.ini_source import read_ini_inventory
from converge.inventory.script_source import is_script, read_script_inventory
from converge.inventory.text import is_regular, read_text
from converge.inventory.values import Findings, Place, Variable
from converge.inventory.yaml_source import CONVERT, PORT, read_yaml_inventory
from converge.inventory.yaml_tree import VAULT_HEADER, read_yaml

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


def read_source(source: str, *, members: Membership, findings: Findings) -> None:
    """Add what one source says."""
    if "\0" in source or not source.strip():
        findings.error(Place(source.replace("\0", "?")), "is no path", expected="a file, a folder, or `host,`")
    elif is_host_list(source):
        _host_list(source, members, findings)
    elif os.path.isdir(source):
        _folder(source, members, findings)
    elif os.path.exists(source):
        _file(source, members, findings)
    else:
        findings.error(
            Place(source), "no such inventory", hint=f"to name a host itself, end it with a comma: {source},"
        )


def _folder(folder: str, members: Membership, findings: Findings, depth: int = 0) -> None:
    if depth > _MAX_FOLDERS_DEEP:
        findings.error(Place(folder), f"is nested deeper than {_MAX_FOLDERS_DEEP} folders")
        return
    try:
        entries = sorted(os.listdir(folder), key=os.fsencode)
    except OSError as error:
        findings.error(Place(folder), f"cannot be listed: {error.strerror}")
        return
    for entry in entries:
        if entry.startswith(".") or entry in _IGNORED_NAMES or entry.endswith(IGNORED_ENDINGS):
            continue
        path = os.path.join(folder, entry)
        if os.path.isdir(path):
            _folder(path, members, findings, depth + 1)
        elif is_regular(path):
            _file(path, members, findings)


def _file(path: str, members: Membership, findings: Findings) -> None:
    if is_script(path) and read_script_inventory(path, members=members, findings=findings):
        return
    ending = os.path.splitext(path)[1]
    if ending == ".toml":
        findings.error(Place(path), "is TOML", expected="YAML, INI or a program", hint=CONVERT.format(file=path))
        return
    text = read_text(path, findings, comments=b"#" if ending in _YAML_ENDINGS else b"#;")
    if text is None:
        return
    if text.startswith(VAULT_HEADER):
        findings.error(
            Place(path, 1, 1),
            "is encrypted with Ansible Vault",
            hint="keep hosts in the clear and secrets in converge_password_command, _env or _file",
        )
    elif ending in _YAML_ENDINGS:
        root = read_yaml(text, file=path, findings=findings)
        if root is not None:
            read_yaml_inventory(root, file=path, members=members, findings=findings)
    elif ending or not _read_as_yaml(text, path, members, findings):
        read_ini_inventory(text, file=path, members=members, findings=findings)


def _read_as_yaml(text: str, path: str, members: Membership, findings: Findings) -> bool:
    """Try a file without an extension as YAML first, as Ansible does. False: it is something else."""
    attempt = Findings()
    root = read_yaml(text, file=path, findings=attempt)
    if root is None:
        if not _looks_like_yaml(text):
            return False
        findings.take(attempt.errors)
        return True
    if not isinstance(root.value, dict):
        return False
    read_yaml_inventory(root, file=path, members=members, findings=findings)
    return True


def _looks_like_yaml(text: str) -> bool:
    """Whether the mistakes of a file that is not quite YAML are best told as mistakes in YAML."""
    for line in text.splitlines():
        content = line.strip()
        if content and not content.startswith(("#", ";")):
            return content == "---" or (content.endswith(":") and not line[0].isspace())
    return False


def _host_list(source: str, members: Membership, findings: Findings) -> None:
    place = Place(source)
    for pattern in filter(None, (piece.strip() for piece in source.split(","))):
        try:
            names, port = expand(pattern)
        except BadRange as error:
            findings.error(place, str(error))
            continue
        for name in names:
            host = members.add_host(name, members.groups["ungrouped"], source=source)
            if port is not None:
                host.variables.setdefault(PORT, Variable(port, place))
