"""Inventories in YAML or JSON: groups with `hosts`, `vars` and `children`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from converge.inventory.hostnames import BadRange, expand
from converge.inventory.tree import Mark, Node, Pairs, variable
from converge.inventory.values import Findings, Place, Variable, did_you_mean
from converge.model.secret import Locked

if TYPE_CHECKING:
    from converge.inventory.groups import Group, Membership

SECTIONS: Final = ("hosts", "vars", "children")
PORT = "ansible_port"
CONVERT = "write it out once: ansible-inventory -i {file} --list --yaml --export --output inventory.yml"


def read_yaml_inventory(root: Node, *, file: str, members: Membership, findings: Findings) -> None:
    """Add what a YAML inventory says. An empty one says nothing."""
    reader = _Reader(file, members=members, findings=findings)
    if root.value is None:
        return
    if not isinstance(root.value, dict):
        reader.error((root.line, root.column), "is no inventory", expected="a mapping of groups: `all:`, then `hosts:`")
        return
    if "plugin" in root.value and not isinstance(root.value["plugin"][1].value, dict):
        mark, node = root.value["plugin"]
        reader.error(
            mark,
            f"is a configuration of the inventory plugin {str(node.value)[:60]}, which converge does not run",
            expected="hosts and groups",
            hint=CONVERT.format(file=file),
        )
        return
    for key, (mark, node) in root.value.items():
        if isinstance(node.value, dict) or node.value is None:
            reader.group(key, node, mark=mark)
        else:
            findings.warn(Place(file, *mark), f"{str(key)[:60]} is no group and is skipped, as Ansible does")


class _Reader:
    def __init__(self, file: str, *, members: Membership, findings: Findings) -> None:
        self._file = file
        self._members = members
        self._findings = findings

    def error(self, mark: Mark, message: str, *, expected: str = "", hint: str = "") -> None:
        self._findings.error(Place(self._file, *mark), message, expected=expected, hint=hint)

    def group(self, name: object, node: Node, *, mark: Mark) -> Group | None:
        """Read one group and all groups below it. Returns None once the problem is noted."""
        if not isinstance(name, str) or not name:
            self.error(mark, f"{name!r} is no name of a group", expected="a text", hint=f'quote it: "{name}"')
            return None
        group = self._members.add_group(name)
        if node.value is None:
            return group
        if not isinstance(node.value, dict):
            self.error((node.line, node.column), f"group {name} must be a mapping", expected=_sections())
            return None
        for key, (section_mark, section) in node.value.items():
            if key not in SECTIONS:
                self._unknown(group, key=key, mark=section_mark)
                continue
            pairs = self._section(group, key=str(key), node=section)
            if key == "vars":
                self._variables(group, pairs)
            elif key == "children":
                self._children(group, pairs)
            else:
                self._hosts(group, pairs)
        return group

    def _unknown(self, group: Group, *, key: object, mark: Mark) -> None:
        hint = did_you_mean(str(key), SECTIONS, cutoff=0.6)
        if hint:
            self.error(mark, f"unknown key {str(key)[:60]} in group {group.name}", expected=_sections(), hint=hint)
            return
        self._findings.warn(
            Place(self._file, *mark),
            f"unknown key {str(key)[:60]} in group {group.name} is skipped, as Ansible does",
            expected=_sections(),
            hint="hosts stand under hosts:, groups under children:, variables under vars:",
        )

    def _section(self, group: Group, *, key: str, node: Node) -> Pairs:
        """The pairs of a section. A lone text counts as its one key, as in Ansible."""
        if isinstance(node.value, dict):
            return node.value
        if node.value is None:
            return {}
        if isinstance(node.value, str) and key != "vars" and len(words := node.value.split()) > 1:
            self.error(
                (node.line, node.column),
                f"{' '.join(words)[:60]!r} in {key} of group {group.name} is one name with blanks",
                expected="each name on a line of its own, with a colon",
                hint=f"{words[0][:60]}:",
            )
            return {}
        if isinstance(node.value, str) and key != "vars":
            return {node.value: ((node.line, node.column), Node(None, node.line, node.column))}
        hint = "write each as a key: `name:` instead of `- name`" if isinstance(node.value, list) else ""
        self.error((node.line, node.column), f"{key} of group {group.name} must be a mapping", hint=hint)
        return {}

    def _variables(self, group: Group, pairs: Pairs) -> None:
        for name, value in self._named(pairs):
            self._members.set_group_variable(group, name=name, variable=value, findings=self._findings)

    def _children(self, group: Group, pairs: Pairs) -> None:
        for name, (mark, node) in pairs.items():
            if self.group(name, node, mark=mark) is not None:
                self._members.add_child(group.name, str(name), place=Place(self._file, *mark))

    def _hosts(self, group: Group, pairs: Pairs) -> None:
        for pattern, (mark, node) in pairs.items():
            if not isinstance(pattern, str) or not pattern.strip():
                self.error(mark, f"{pattern!r} is no name of a host", expected="a text", hint=f'quote it: "{pattern}"')
                continue
            if node.value is not None and not isinstance(node.value, dict):
                self.error(
                    (node.line, node.column),
                    f"variables of host {pattern} must be a mapping",
                    expected="`variable: value` below the host, or nothing",
                )
                continue
            self._host(group, pattern=pattern, mark=mark, pairs=node.value or {})

    def _host(self, group: Group, *, pattern: str, mark: Mark, pairs: Pairs) -> None:
        try:
            names, port = expand(pattern)
        except BadRange as error:
            self.error(mark, str(error))
            return
        variables = dict(self._named(pairs))
        for name in names:
            host = self._members.add_host(name, group, source=self._file)
            if port is not None:
                host.variables.setdefault(PORT, Variable(port, Place(self._file, *mark)))
            host.variables.update(variables)

    def _named(self, pairs: Pairs) -> list[tuple[str, Variable]]:
        return named_variables(pairs, file=self._file, findings=self._findings)


def named_variables(pairs: Pairs, *, file: str, findings: Findings) -> list[tuple[str, Variable]]:
    """Every pair whose key can be the name of a variable; the others are noted."""
    found: list[tuple[str, Variable]] = []
    for name, (mark, node) in pairs.items():
        if isinstance(name, str) and name:
            found.append((name, variable(node, file=file, mark=mark)))
            note_changes(name, node, file=file, findings=findings)
        else:
            shown = "a locked value" if isinstance(name, Locked) else repr(name)
            findings.error(Place(file, *mark), f"{shown} is no name of a variable", expected="a text")
    return found


def note_changes(name: str, node: Node, *, file: str, findings: Findings) -> None:
    """Note values that are not read as they are written, save where a variable of ours or Ansible's takes them so."""
    known = name.startswith(("ansible_", "converge_"))
    if node.became and not (known and isinstance(node.value, bool)):
        findings.changed(Place(file, node.line, node.column), name, node.became)
    if isinstance(node.value, dict | list) and not known:
        _note_below(name, node, Place(file), findings, seen=set())


def _note_below(name: str, node: Node, place: Place, findings: Findings, *, seen: set[int]) -> None:
    if id(node) in seen:
        return  # an alias
    seen.add(id(node))
    if node.became:
        findings.changed(Place(place.file, node.line, node.column), name, node.became)
    if isinstance(node.value, dict):
        for _, below in node.value.values():
            _note_below(name, below, place, findings, seen=seen)
    elif isinstance(node.value, list):
        for below in node.value:
            _note_below(name, below, place, findings, seen=seen)


def _sections() -> str:
    return ", ".join(SECTIONS)
