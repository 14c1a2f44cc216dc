"""An inventory: every host and group from all sources, the variables of each host and how to reach it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from converge.errors import InputProblem, UsageError
from converge.inventory import patterns
from converge.inventory.checks import check_variables
from converge.inventory.connection import HostSettings, settings_of
from converge.inventory.groups import Membership
from converge.inventory.passwords import PasswordStore
from converge.inventory.sources import is_host_list, read_source
from converge.inventory.variable_files import VariableFolder
from converge.inventory.variables import HostVariables, Layers, OtherHosts
from converge.model.position import Position
from converge.reading.problems import Problems

if TYPE_CHECKING:
    from pathlib import Path

    from converge.inventory.groups import Host


def load(
    sources: Sequence[str],
    *,
    playbook_directories: Sequence[Path] = (),
    extra_variables: Mapping[str, object] = MappingProxyType({}),
) -> Inventory:
    """Read every source (file, folder, program, or `host,` list) and the variables that belong to it.

    Raises InputErrors with everything that is wrong in all of them.
    """
    problems = Problems()
    members = Membership()
    for source in sources:
        read_source(str(source), members=members, problems=problems)
    members.settle(problems)
    folders = _VariableFolders(members, problems)
    layers = Layers(
        members,
        inventory_folders=folders.read(_folders_of(sources)),
        playbook_folders=folders.read([str(folder) for folder in playbook_directories]),
        extra=extra_variables,
    )
    check_variables(layers.all_variables(), problems)
    problems.raise_if_any()
    return Inventory(members, layers, warnings=problems.warnings)


def _folders_of(sources: Sequence[str]) -> list[str]:
    """Where the `group_vars` of the sources may be. The last mention of a folder counts: later sources are stronger."""
    folders: dict[str, None] = {}
    for source in map(str, sources):
        if is_host_list(source) or "\0" in source:
            continue
        folder = source if os.path.isdir(source) else os.path.dirname(source)
        folders.pop(folder, None)
        folders[folder] = None
    return list(folders)


class _VariableFolders:
    """Reads each folder once, though an inventory and a playbook may share it."""

    def __init__(self, members: Membership, problems: Problems) -> None:
        self._members = members
        self._problems = problems
        self._read: dict[str, VariableFolder] = {}

    def read(self, folders: Sequence[str]) -> list[VariableFolder]:
        return [self._one(folder) for folder in folders]

    def _one(self, folder: str) -> VariableFolder:
        real = os.path.realpath(folder)
        if real not in self._read:
            self._read[real] = VariableFolder(folder, problems=self._problems)
            self._read[real].read(groups=self._members.groups, hosts=self._members.hosts)
        return self._read[real]


class Inventory:
    """What `load` found. Hosts are chosen by name or pattern; nothing is fetched or rendered before it is asked for."""

    def __init__(self, members: Membership, layers: Layers, *, warnings: tuple[InputProblem, ...]) -> None:
        self._members = members
        self._layers = layers
        self._passwords = PasswordStore()
        self._selected: dict[str, tuple[str, ...]] = {}
        self._group_members: dict[str, tuple[str, ...]] = {}
        self.warnings = warnings

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """The names of all hosts in the order of the inventory."""
        return self._members_of("all")

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The hosts of every group, those of the groups below it included."""
        return MappingProxyType({name: self._members_of(name) for name in self._members.groups})

    def _members_of(self, group: str) -> tuple[str, ...]:
        if group not in self._group_members:
            self._group_members[group] = self._members.members(self._members.groups[group])
        return self._group_members[group]

    @cached_property
    def _selector(self) -> patterns.Selector:
        return patterns.Selector(self.hosts, self._members.groups, members=self._members_of)

    def select(self, pattern: str) -> tuple[str, ...]:
        """The hosts that a pattern chooses, none if it names nothing. Raises UsageError for what is no pattern."""
        if pattern not in self._selected:
            parts = patterns.split(pattern)
            self._selected[pattern] = self._selector.select(parts) if parts else ()
        return self._selected[pattern]

    def limit(self, pattern: str) -> tuple[str, ...]:
        """The hosts that a limit chooses; `@FILE` is a file of patterns.

        Raises UsageError when it chooses none, and when a part of it names nothing: it was meant to, and a mistyped
        exclusion would let a host in.
        """
        parts = patterns.read_limit(pattern)
        chosen = self._selector.select(parts) if parts else ()
        stray = self._selector.stray(parts)
        if not chosen or stray:
            what = f"{stray} in --limit {pattern[:200]}" if stray and chosen else f"--limit {pattern[:200]}"
            raise UsageError(
                f"{what} matches no host",
                why=f"the inventory has {len(self.hosts)} hosts",
                try_=self._selector.advice(parts) or "see `--list-hosts` without a limit",
            )
        return chosen

    @cached_property
    def variable_names(self) -> frozenset[str]:
        """The names that are given a value for some host."""
        return frozenset(name for name, _ in self._layers.all_variables())

    def variables(self, host: str) -> HostVariables:
        """The variables of a host, rendered as they are asked for. Raises KeyError for an unknown host."""
        return self._variables(self._members.hosts[host])

    def _variables(self, host: Host, *, hops: int = 0) -> HostVariables:
        magic: dict[str, Callable[[], object]] = {
            "inventory_hostname": lambda: host.name,
            "inventory_hostname_short": lambda: host.name.split(".")[0],
            "inventory_file": lambda: None if is_host_list(host.source) else os.path.abspath(host.source),
            "inventory_dir": lambda: (
                None if is_host_list(host.source) else os.path.dirname(os.path.abspath(host.source))
            ),
            "group_names": lambda: sorted(group.name for group in self._members.groups_of(host)),
            "groups": lambda: {name: list(hosts) for name, hosts in self.groups.items()},
        }
        variables = HostVariables(
            host.name, layers=self._layers.of(host), vaults=self._layers.vaults(host), magic=magic, hops=hops
        )
        magic["hostvars"] = partial(self._hostvars, variables)
        return variables

    def _hostvars(self, asking: HostVariables) -> OtherHosts:
        return OtherHosts(
            self._members.hosts, lambda name: self._variables(self._members.hosts[name], hops=asking.depth)
        )

    def origin(self, host: str, name: str) -> str | None:
        """Where the value of a variable was written: `file:line`. None for one that nobody wrote."""
        place = self._place(host, name)
        return str(place) if place.file else None

    def _place(self, host: str, name: str) -> Position:
        for layer in self._layers.of(self._members.hosts[host]):
            if name in layer:
                return layer[name].place
        return Position("")

    def place(self, host: str, name: str) -> Position:
        """Where a host got a variable from; for one that nobody wrote, the file that names the host."""
        found = self._place(host, name)
        return found if found.file else Position(self._members.hosts[host].source)

    def settings(self, host: str) -> HostSettings:
        """How to reach a host. Raises InputErrors when its variables make no sense, KeyError for an unknown host."""
        return settings_of(
            host,
            self.variables(host),
            place_of=partial(self.place, host),
            passwords=self._passwords,
        )
