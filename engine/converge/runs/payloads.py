"""What is sent to workers elsewhere: an order for a stage, and a content for each host. Frozen values that can be pickled."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from converge.errors import InputErrors, InputProblem, UsageError
from converge.model.backup import BackupSettings
from converge.runs.host_runner import RunnerOptions
from converge.runs.recording import Recorder
from converge.runs.selection import Selection
from converge.runs.tasks import Task
from converge.store.store import Where
from converge.winrm.connection import Connection

_WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_OF_ALL_HOSTS = "groups"
_OF_OTHERS = "hostvars"


@dataclass(frozen=True, slots=True)
class StagePayload:
    """All that the hosts of a stage have in common, for a worker that has nothing but this program.

    `documents` are the playbooks as they were read, by their names; `known_variables` are the names that the inventory
    gives a value; `shared` are variables that are the same for every host; `where` is the store, None where nothing is
    remembered; `needs` are the extras of this program that the hosts and the store ask for, `plug_ins` the distributions
    that bring kinds of these playbooks.
    """

    mode: Literal["check", "apply"]
    run: str
    documents: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    tags: frozenset[str] = frozenset()
    skip_tags: frozenset[str] = frozenset()
    known_variables: tuple[str, ...] = ()
    shared: Mapping[str, object] = field(default_factory=dict, repr=False)
    options: RunnerOptions = field(default_factory=RunnerOptions)
    where: Where | None = field(default=None, repr=False)
    needs: frozenset[str] = frozenset()
    plug_ins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HostPayload:
    """What one host needs beyond the order; `plays` by their numbers among those of the order."""

    connection: Connection
    plays: tuple[int, ...]
    variables: SentVariables = field(repr=False)
    task: Task
    ends: datetime | None = None
    override: str = ""
    backup: BackupSettings = field(default_factory=BackupSettings)


@dataclass(frozen=True, slots=True)
class SentVariables(Mapping[str, object]):
    """The variables of a host that its plays may mention. One that cannot be rendered raises InputErrors when it is used."""

    values_of: Mapping[str, object] = field(repr=False)
    broken: Mapping[str, tuple[InputProblem, ...]] = field(default_factory=dict)

    def with_shared(self, shared: Mapping[str, object]) -> SentVariables:
        """The same, and those that all hosts share."""
        return SentVariables({**shared, **self.values_of}, self.broken) if shared else self

    def __getitem__(self, name: str) -> object:
        if name in self.broken:
            raise InputErrors(self.broken[name])
        return self.values_of[name]

    def __contains__(self, name: object) -> bool:
        return name in self.values_of or name in self.broken

    def __iter__(self) -> Iterator[str]:
        yield from self.values_of
        yield from self.broken

    def __len__(self) -> int:
        return len(self.values_of) + len(self.broken)


def require_reachable(selection: Selection, recorder: Recorder) -> None:
    """Raises UsageError where workers on other machines could not do what is asked."""
    simulated = [host for host, target in selection.targets.items() if target.settings.connection == "lab"]
    if simulated:
        raise UsageError(
            f"{simulated[0]} is simulated by this machine, and workers elsewhere cannot reach it",
            try_="--executor threads or dask",
        )
    if not recorder.is_shared:
        raise UsageError(
            "workers on other machines need a store that all of them share, and this one is a file",
            why="Leases in a file do not bind other machines: two runs could change the same host at once.",
            try_="--store postgresql://USER@HOST/DATABASE",
        )


def needs_of(selection: Selection, recorder: Recorder) -> frozenset[str]:
    """The extras without which a worker could not log in at these hosts or open the store."""
    transports = {word for target in selection.targets.values() for word in target.settings.transports}
    return frozenset(transports & {"kerberos"} | ({"postgres"} if recorder.is_shared else set()))


def words_of(documents: Collection[tuple[str, bytes]]) -> frozenset[str]:
    """Every word of the playbooks: among them is each variable that an expression of theirs can name."""
    return frozenset(word.decode("ascii") for _, text in documents for word in _WORD.findall(text))


def shared_variables(selection: Selection, words: Collection[str]) -> Mapping[str, object]:
    """The variables that are the same for every host. Raises UsageError for those that are too much to send."""
    if _OF_OTHERS in words:
        raise UsageError(
            f"these playbooks use {_OF_OTHERS}: the variables of every host, which are not sent to workers",
            try_="--executor threads, or give each host what it needs as variables of its own",
        )
    if _OF_ALL_HOSTS not in words:
        return {}
    return {_OF_ALL_HOSTS: {name: list(hosts) for name, hosts in selection.inventory.groups.items()}}


def sent_variables(variables: Mapping[str, object], words: Collection[str]) -> SentVariables:
    """Those of a host that its plays may mention, rendered."""
    values: dict[str, object] = {}
    broken: dict[str, tuple[InputProblem, ...]] = {}
    for word in words:
        if word == _OF_ALL_HOSTS or word not in variables:
            continue
        try:
            values[word] = variables[word]
        except InputErrors as error:
            broken[word] = error.problems
    return SentVariables(values, broken)
