"""Who belongs where: hosts, groups, groups of groups; loops, depths and the implicit groups `all` and `ungrouped`."""

from __future__ import annotations

import re
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING

from converge.inventory.checks import check_variables
from converge.inventory.hostnames import BadRange, expand
from converge.inventory.values import Variable
from converge.model.names import quoted
from converge.model.position import Position

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from converge.reading.problems import Problems

PRIORITY = "ansible_group_priority"
PORT = "ansible_port"
_PARTED = re.compile(r"[\s,;]")


class Host:
    """A name to be reached, the groups that name it, and the variables set on it."""

    __slots__ = ("groups", "name", "source", "variables")

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.groups: dict[str, Group] = {}
        self.variables: dict[str, Variable] = {}


class Group:
    """A named set of hosts and of other groups, with variables for all of them."""

    __slots__ = ("children", "depth", "hosts", "name", "parents", "priority", "variables")

    def __init__(self, name: str) -> None:
        self.name = name
        self.hosts: dict[str, Host] = {}
        self.children: dict[str, Position] = {}
        self.parents: dict[str, Group] = {}
        self.variables: dict[str, Variable] = {}
        self.priority = 1
        self.depth = 0


class Membership:
    """All hosts and groups of an inventory. Filled by the sources, then settled once."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.groups: dict[str, Group] = {"all": Group("all"), "ungrouped": Group("ungrouped")}
        self.add_child("all", "ungrouped", place=Position(""))
        self._ancestors: dict[tuple[str, ...], tuple[Group, ...]] = {}

    def add_group(self, name: str) -> Group:
        """The group of this name, made if it is new."""
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
        return group

    def add_host(self, name: str, group: Group, *, source: str) -> Host:
        """The host of this name, made if it is new, now a member of `group`."""
        host = self.hosts.get(name)
        if host is None:
            host = self.hosts[name] = Host(name, source)
        group.hosts[name] = host
        host.groups[group.name] = group
        return host

    def add_hosts(
        self,
        pattern: str,
        group: Group,
        *,
        place: Position,
        problems: Problems,
        variables: Mapping[str, Variable] = MappingProxyType({}),
    ) -> None:
        """Every host that a pattern stands for, with these variables and the port that the pattern gives; it stands at `place`."""
        try:
            names, port = expand(pattern)
        except BadRange as error:
            problems.error(place, str(error))
            check_variables(variables.items(), problems)  # of no host, so nobody else will
            return
        for name in names:
            host = self.add_host(name, group, source=place.file)
            if port is not None:
                host.variables.setdefault(PORT, Variable(port, place))
            host.variables.update(variables)

    def add_child(self, parent: str, child: str, *, place: Position) -> None:
        """Make every host of `child` one of `parent`. Loops are found when the membership is settled."""
        child_group = self.add_group(child)
        parent_group = self.add_group(parent)
        parent_group.children.setdefault(child, place)
        child_group.parents[parent] = parent_group

    def set_group_variable(self, group: Group, *, name: str, variable: Variable, problems: Problems) -> None:
        """Set a variable for every host of a group. `ansible_group_priority` decides between groups of one depth."""
        if name != PRIORITY:
            group.variables[name] = variable
            return
        try:
            group.priority = int(str(variable.value))
        except ValueError:
            problems.error(variable.place, f"{PRIORITY} of {group.name} is not a number", expected="a whole number")

    def settle(self, problems: Problems) -> None:
        """Check what can be checked only at the end, and compute what follows: depths, `all`, `ungrouped`."""
        for name, group in self.groups.items():
            if name != "all" and not group.parents:
                self.add_child("all", name, place=Position(""))
        self._settle_ungrouped()
        self._settle_depths(problems)
        for name in self.groups.keys() & self.hosts.keys():
            problems.warn(Position(self.hosts[name].source), f"{name} is both a group and a host")
        for name, host in self.hosts.items():
            if _PARTED.search(name):
                problems.warn(
                    Position(host.source),
                    f"{quoted(name[:60])} is one host, whose name holds blanks or what parts names",
                    hint="write each host on a line of its own",
                )

    def _settle_ungrouped(self) -> None:
        implicit = {"all", "ungrouped"}
        ungrouped = self.groups["ungrouped"]
        for host in self.hosts.values():
            if host.groups.keys() <= implicit:
                ungrouped.hosts.setdefault(host.name, host)
                host.groups["ungrouped"] = ungrouped
            elif host.groups.pop("ungrouped", None):
                del ungrouped.hosts[host.name]

    def _settle_depths(self, problems: Problems) -> None:
        """A group is one deeper than its deepest parent. What cannot be ordered so is, or hangs below, a loop."""
        open_parents = {name: len(group.parents) for name, group in self.groups.items()}
        ready = deque(name for name, count in open_parents.items() if not count)
        while ready:
            group = self.groups[ready.popleft()]
            for child_name in group.children:
                child = self.groups[child_name]
                child.depth = max(child.depth, group.depth + 1)
                open_parents[child_name] -= 1
                if not open_parents[child_name]:
                    ready.append(child_name)
        stuck = {name for name, count in open_parents.items() if count}
        while stuck:
            loop = self._loop_through(stuck)
            place = self.groups[loop[-1]].children[loop[0]]
            problems.error(place, f"groups contain each other: {' > '.join((*loop, loop[0]))}", expected="no loop")
            stuck -= self._connected(loop, stuck)

    def _loop_through(self, stuck: set[str]) -> list[str]:
        """Walk from parent to parent: every stuck group has a stuck parent, so the walk must come round.

        The loop is told as closed by the child that was written last.
        """
        name = min(stuck)
        path: dict[str, None] = {}
        while name not in path:
            path[name] = None
            name = next(parent for parent in self.groups[name].parents if parent in stuck)
        walked = list(path)
        loop = walked[walked.index(name) :][::-1]
        edges = [self.groups[parent].children[child] for parent, child in zip(loop, loop[1:] + loop[:1], strict=True)]
        closing = max(range(len(loop)), key=lambda index: (edges[index].file != "", edges[index]))
        return loop[closing + 1 :] + loop[: closing + 1]

    def _connected(self, loop: list[str], stuck: set[str]) -> set[str]:
        """The stuck groups above and below a loop: they are stuck because of it, or part of loops entangled with it."""
        seen = set(loop)
        queue = deque(loop)
        while queue:
            group = self.groups[queue.popleft()]
            for name in (*group.children, *group.parents):
                if name in stuck and name not in seen:
                    seen.add(name)
                    queue.append(name)
        return seen

    def descendants(self, group: Group) -> Iterator[Group]:
        """A group and every group below it, level by level, each once."""
        seen = {group.name}
        level = [group]
        while level:
            yield from level
            below = dict.fromkeys(name for member in level for name in member.children)
            level = [self.groups[name] for name in below if name not in seen]
            seen.update(below)

    def members(self, group: Group) -> tuple[str, ...]:
        """The hosts of a group and of every group below it, in the order of the inventory."""
        names: dict[str, None] = {}
        for member in self.descendants(group):
            names.update(dict.fromkeys(member.hosts))
        return tuple(names)

    def groups_of(self, host: Host) -> tuple[Group, ...]:
        """Every group a host belongs to but `all`, the weakest first: by depth, then priority, then name."""
        key = tuple(host.groups)
        found = self._ancestors.get(key)
        if found is None:
            seen = dict(host.groups)
            queue = deque(seen.values())
            while queue:
                for name, parent in queue.popleft().parents.items():
                    if name not in seen:
                        seen[name] = parent
                        queue.append(parent)
            seen.pop("all", None)
            ordered = sorted(seen.values(), key=lambda group: (group.depth, group.priority, group.name))
            found = self._ancestors[key] = tuple(ordered)
        return found
