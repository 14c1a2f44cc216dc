"""A simulated host under one or all of the shipped playbooks, in memory: looked at, repaired, and its world read itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from converge.apply.diagnosing import diagnose
from converge.apply.host import apply, check
from converge.apply.options import ApplyOptions
from converge.apply.undoing import check_undo, undo
from converge.errors import HostUnreachable
from converge.lab.effects import enact
from converge.lab.file_tree import StoredFile
from converge.lab.world import World
from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.change import Change, HostResult, Status
from converge.model.diagnosis import Diagnosis
from converge.model.facts import ServiceState
from converge.model.journal import History
from converge.model.machine import Observer
from converge.model.play import Play
from converge.model.query import AnyQuery
from converge.store.store import Store, Where
from converge.testing.world_machine import WorldMachine
from converge.windows import reg_file
from converge.windows.registry import parse_path

LabHostMaker = Callable[..., "LabHost"]


class CutOff(WorldMachine):
    """A host whose line is cut for good before the first action that names something."""

    def __init__(self, world: World, before: str) -> None:
        super().__init__(world, host="host")
        self._before = before
        self._is_cut = False

    def perform(self, action: AnyAction) -> Performed:
        """Until it is cut. Raises HostUnreachable afterwards."""
        self._is_cut = self._is_cut or self._before in repr(action)
        if self._is_cut:
            raise HostUnreachable("the line was cut")
        return super().perform(action)

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Until it is cut. Raises HostUnreachable afterwards."""
        if self._is_cut:
            raise HostUnreachable("the line was cut")
        return super().ask(queries)


@dataclass
class LabHost:
    """One simulated host and the plays that are meant for it. Time passes only when somebody waits."""

    world: World
    plays: tuple[Play, ...]
    variables: Mapping[str, object]
    folder: Path
    accept_no_way_back: bool = True
    runs: int = field(default=0, init=False)

    @property
    def _options(self) -> ApplyOptions:
        return ApplyOptions(
            accept_no_way_back=self.accept_no_way_back,
            sleep=self.world.clock.advance,
            monotonic=lambda: self.world.now().timestamp(),
        )

    @property
    def machine(self) -> WorldMachine:
        return WorldMachine(self.world, self.world.account(r"LAB\deploy"), host="host")

    def check(self) -> HostResult:
        """What apply would do."""
        return check(
            self.plays, observer=self.machine, variables=self.variables,
            history=self.history(), run="check", options=self._options,
        )  # fmt: skip

    def diagnose(self, *, observer: Observer | None = None) -> dict[str, Diagnosis]:
        """What it shows of each article, by article; `observer` in place of the machine itself."""
        result, diagnoses = diagnose(
            self.plays, observer=observer or self.machine, variables=self.variables,
            history=self.history(), run="diagnose", options=self._options,
        )  # fmt: skip
        assert result.error is None
        return {item.article: item for item in diagnoses}

    def apply(self, *, cut_before: str = "") -> HostResult:
        """Bring it to its desired state, with a real journal; the line is cut before the first action that names `cut_before`."""
        self.runs += 1
        machine = self.machine if not cut_before else CutOff(self.world, cut_before)
        with self._store() as store, store.leases.acquire("host", run=f"run-{self.runs}") as lease:
            return apply(
                self.plays, machine=machine, variables=self.variables,
                journal=store.journal(lease, render=reg_file.render), options=self._options,
            )  # fmt: skip

    def undo(self, run: int = 0, *, only_look: bool = False) -> HostResult:
        """Take a run back, by its number, the last by default: what has no way back is left, as the word that was given allows."""
        with self._store() as store:
            name = f"run-{run or self.runs}"
            recorded = store.runs.changes(name, "host", opener=store.sealing)
            later = store.runs.later_changes(name, "host")
            since = store.runs.later_runs(name, "host", opener=store.sealing)
            if only_look:
                return check_undo(
                    recorded, later=later, since=since, history=store.history("host"), observer=self.machine,
                    run="check", options=self._options,
                )  # fmt: skip
            self.runs += 1
            with store.leases.acquire("host", run=f"run-{self.runs}") as lease:
                return undo(
                    recorded, later=later, since=since, machine=self.machine,
                    journal=store.journal(lease, render=reg_file.render), options=self._options,
                )  # fmt: skip

    def history(self) -> History:
        """What earlier runs left open."""
        with self._store() as store:
            return store.history("host")

    def _store(self) -> Store:
        return Store.open(Where(self.folder))

    def operator(self, step: str) -> None:
        """What the person of an operator step does."""
        enact(self.world, self.world.steps[step].effects)

    def converge(self) -> HostResult:
        """Apply, playing each person that is asked for, until nobody is or nothing helps."""
        for _ in range(6):
            result = self.apply()
            asked = [change for change in leaves(result) if change.error and change.error.code == "needs-operator"]
            if not asked:
                return result
            self.operator(str(asked[0].key["name"]))
        raise AssertionError("persons are asked for without end")

    def state(self) -> str:
        """Everything the world holds, to be compared."""
        return json.dumps(self.world.to_json(), sort_keys=True)

    def value(self, key: str, name: str) -> tuple[str, object] | None:
        """Type and data of a registry value, from the world itself."""
        held = self.world.registry.value(parse_path(key), name)
        return (held.type.label, held.data) if held else None

    def set_value(self, key: str, name: str, *, number: int, data: object) -> None:
        """Write a registry value past everything."""
        self.world.registry.create(parse_path(key)).set(name, number=number, data=data)

    def write(self, path: str) -> None:
        """An empty file without a version, as a person makes it."""
        name = path.rpartition("\\")[2]
        self.world.files.place(path, StoredFile(name, 0, content=b""))

    def service(self, name: str) -> ServiceState | None:
        """What a service is doing, from the world itself."""
        record = self.world.service(name)
        return record.state if record else None

    def started(self, name: str) -> datetime:
        """When the process of a service that runs was created, from the world itself."""
        record = self.world.service(name)
        assert record is not None
        return self.world.processes[record.process_id].created

    def running(self, *names: str) -> bool:
        """Whether all of these run."""
        return all(self.service(name) is ServiceState.RUNNING for name in names)

    def size(self, path: str) -> int | None:
        """The size of a file, from the world itself."""
        file = self.world.files.file(path)
        return file.size if file else None


def leaves(result: HostResult) -> list[Change]:
    """Every change of a result, the steps of procedures in the place of their procedures."""
    found: list[Change] = []
    for change in result.changes:
        found += change.steps or (change,)
    return found


def changed(result: HostResult) -> list[str]:
    """The addresses of what changes."""
    return [change.address for change in result.changes if change.is_due]


def the(result: HostResult, address: str) -> Change:
    """The one change at an address that begins so."""
    (found,) = [change for change in leaves(result) if change.address.startswith(address)]
    return found


def skip_reason(result: HostResult, play: str) -> str:
    """Why a play was skipped."""
    (found,) = [change for change in result.changes if change.address == f"play:{play}"]
    assert found.status is Status.SKIPPED
    return found.reason or ""
