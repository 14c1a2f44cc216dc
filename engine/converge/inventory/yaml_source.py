"""Inventories in YAML or JSON: groups with `hosts`, `vars` and `children`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from converge.inventory.checks import check_variables
from converge.inventory.values import Variable
from converge.model.position import Position
from converge.model.secret import Locked
from converge.reading.problems import Problems
from converge.reading.spelling import did_you_mean
from converge.reading.tree import Listing, Node, Scalar, Table, plain

if TYPE_CHECKING:
    from converge.inventory.groups import Group, Membership

SECTIONS: Final = ("hosts", "vars", "children")
CONVERT = "write it out once: ansible-inventory -i {file} --list --yaml --export --output inventory.yml"


def read_yaml_inventory(root: Node, *, file: str, members: Membership, problems: Problems) -> None:
    """Add what a YAML inventory says. An empty one says nothing."""
    if isinstance(root, Scalar) and root.value is None:
        return
    if not isinstance(root, Table):
        problems.error(root.position, "is not an inventory", expected="a mapping of groups: `all:`, then `hosts:`")
        return
    plugin = root.items.get("plugin")
    if plugin is not None and not isinstance(plugin, Table):
        name = str(plain(plugin))[:60]
        problems.error(
            root.place("plugin"),
            f"is a configuration of the inventory plugin {name}, which converge does not run",
            expected="hosts and groups",
            hint=CONVERT.format(file=file),
        )
        return
    reader = _YamlReader(members, problems)
    for key, node in root.items.items():
        if isinstance(node, Table) or _is_nothing(node):
            reader.group(root, key, node)
        else:
            problems.warn(root.place(key), f"{key[:60]} is not a group and is skipped, as Ansible does")


class _YamlReader:
    def __init__(self, members: Membership, problems: Problems) -> None:
        self._members = members
        self._problems = problems

    def group(self, table: Table, name: str, node: Node) -> Group | None:
        """Read one group, named by a key of `table`, and all groups below it. Returns None once the problem is noted."""
        if name in table.typed or not name:
            self._no_name(table, name, "group")
            return None
        group = self._members.add_group(name)
        if _is_nothing(node):
            return group
        if not isinstance(node, Table):
            self._problems.error(node.position, f"group {name} must be a mapping", expected=_sections())
            return None
        for key, section in node.items.items():
            if key not in SECTIONS:
                self._unknown(group, key=key, place=node.place(key))
                continue
            found = self._section(group, key=key, node=section)
            if found is None:
                continue
            if key == "vars":
                self._variables(group, found)
            elif key == "children":
                self._children(group, found)
            else:
                self._hosts(group, found)
        return group

    def _no_name(self, table: Table, name: str, what: str) -> None:
        found = repr(table.typed.get(name, name))
        self._problems.error(
            table.place(name), f"{found} is not a name of a {what}", expected="a text", hint=f'quote it: "{name}"'
        )

    def _unknown(self, group: Group, *, key: str, place: Position) -> None:
        hint = did_you_mean(key, SECTIONS, cutoff=0.6)
        if hint:
            message = f"unknown key {key[:60]} in group {group.name}"
            self._problems.error(place, message, expected=_sections(), hint=hint)
            return
        self._problems.warn(
            place,
            f"unknown key {key[:60]} in group {group.name} is skipped, as Ansible does",
            expected=_sections(),
            hint="hosts stand under hosts:, groups under children:, variables under vars:",
        )

    def _section(self, group: Group, *, key: str, node: Node) -> Table | None:
        """What stands in a section; None where it is nothing. A lone text counts as its one key, as in Ansible."""
        if isinstance(node, Table):
            return node
        if _is_nothing(node):
            return None
        if isinstance(node, Scalar) and isinstance(node.value, str) and key != "vars":
            if len(words := node.value.split()) > 1:
                self._problems.error(
                    node.position,
                    f"{' '.join(words)[:60]!r} in {key} of group {group.name} is one name with blanks",
                    expected="each name on a line of its own, with a colon",
                    hint=f"{words[0][:60]}:",
                )
                return None
            return Table(node.position, {node.value: Scalar(node.position, None)}, {node.value: node.position})
        hint = "write each as a key: `name:` instead of `- name`" if isinstance(node, Listing) else ""
        self._problems.error(node.position, f"{key} of group {group.name} must be a mapping", hint=hint)
        return None

    def _variables(self, group: Group, table: Table) -> None:
        for name, value in named_variables(table, self._problems):
            self._members.set_group_variable(group, name=name, variable=value, problems=self._problems)

    def _children(self, group: Group, table: Table) -> None:
        for name, node in table.items.items():
            if self.group(table, name, node) is not None:
                self._members.add_child(group.name, name, place=table.place(name))

    def _hosts(self, group: Group, table: Table) -> None:
        for pattern, node in table.items.items():
            if pattern in table.typed or not pattern.strip():
                self._no_name(table, pattern, "host")
                self._check_of_none(node)
                continue
            if not isinstance(node, Table) and not _is_nothing(node):
                self._problems.error(
                    node.position,
                    f"variables of host {pattern} must be a mapping",
                    expected="`variable: value` below the host, or nothing",
                )
                continue
            variables = dict(named_variables(node, self._problems)) if isinstance(node, Table) else {}
            place = table.place(pattern)
            self._members.add_hosts(pattern, group, place=place, problems=self._problems, variables=variables)

    def _check_of_none(self, node: Node) -> None:
        """Variables that belong to no host because its name is wrong: what is wrong with them is told all the same."""
        if isinstance(node, Table):
            check_variables(named_variables(node, self._problems), self._problems)


def named_variables(table: Table, problems: Problems) -> list[tuple[str, Variable]]:
    """Every pair whose key can be the name of a variable; the others are noted."""
    found: list[tuple[str, Variable]] = []
    for name, node in table.items.items():
        if name and name not in table.typed:
            found.append((name, Variable(plain(node), table.place(name))))
            note_changes(name, node, problems)
        else:
            key = table.typed.get(name, name)
            shown = "a locked value" if isinstance(key, Locked) else repr(key)
            problems.error(table.place(name), f"{shown} is not a name of a variable", expected="a text")
    return found


def note_changes(name: str, node: Node, problems: Problems) -> None:
    """Note values that are not read as they are written, save where a variable of ours or Ansible's takes them so."""
    known = name.startswith(("ansible_", "converge_"))
    if not isinstance(node, Scalar):
        if not known:
            _note_below(name, node, problems, seen=set())
    elif node.became and not (known and isinstance(node.value, bool)):
        problems.changed(node.position, name, node.became)


def _note_below(name: str, node: Node, problems: Problems, *, seen: set[int]) -> None:
    if id(node) in seen:
        return  # an alias
    seen.add(id(node))
    if isinstance(node, Scalar):
        if node.became:
            problems.changed(node.position, name, node.became)
        return
    for below in node.items if isinstance(node, Listing) else node.items.values():
        _note_below(name, below, problems, seen=seen)


def _is_nothing(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _sections() -> str:
    return ", ".join(SECTIONS)
