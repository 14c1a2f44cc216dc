"""One simulated host in memory under a playbook of the test's own: applied, taken back, and its world read itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from converge.apply.host import apply, check
from converge.apply.options import ApplyOptions
from converge.apply.undoing import check_undo, undo
from converge.lab.world import World
from converge.model.backup import BackupRecord, BackupSettings
from converge.model.change import Change, HostResult
from converge.model.journal import History, Journal
from converge.model.machine import Machine
from converge.model.play import Play
from converge.model.recorded import LaterChange, LaterRun, RecordedChange
from converge.model.saved_plan import HostPlan, PlannedFrom, SavedPlan
from converge.model.secret import Secret
from converge.plan.answer_cache import AnswerCache
from converge.plan.approval import Approved
from converge.plan.evidence import evidence
from converge.playbook import load
from converge.runs.playbooks import known_kinds
from converge.store.keys import key_name
from converge.store.plan_files import read_plan, write_plan
from converge.store.store import Store, Where
from converge.testing.conformance.case import ACCOUNT, Case
from converge.testing.world_machine import WorldMachine
from converge.windows import reg_file

HOST = "site"
PLANNED = "2026-11-20T210000Z-0000"
KEY = b"k" * 32
KEPT = re.compile(r"\.converge-|^converge-[^\\]+\.json$")
Wrap = Callable[[Machine], Machine]
WrapJournal = Callable[[Journal], Journal]


def as_it_is(machine: Machine) -> Machine:
    return machine


def whole(journal: Journal) -> Journal:
    return journal


@dataclass
class Site:
    """A world, a folder for the store, and runs one after the other. Time passes only when somebody waits."""

    folder: Path
    world: World = field(default_factory=lambda: Case("a world", "site", [], image="windows-2008").make_world())
    journal_key: str = ""
    url: str = ""  # of the store, where it is no file in the folder
    backup_folder: str = ""  # the folder set aside for what is kept
    retention: timedelta | None = None
    later_by: timedelta = timedelta(0)  # how far this side's clock is ahead
    runs: list[str] = field(default_factory=list)

    def plays(
        self, resources: Sequence[Mapping[str, Any]], handlers: Sequence[Mapping[str, Any]] = (), **more: Any
    ) -> tuple[Play, ...]:
        """The plays of a playbook with these entries."""
        entries = [{"name": f"entry {number}", **entry} for number, entry in enumerate(resources)]
        play = {"name": "the play", "hosts": "all", "resources": entries, "handlers": list(handlers), **more}
        path = self.folder / "playbook.yml"
        path.write_text(yaml.safe_dump([play]), encoding="utf-8")
        return load([path], kinds=known_kinds())

    def options(self, **given: Any) -> ApplyOptions:
        keeps = bool(self.journal_key)
        given.setdefault("backup", BackupSettings(self.backup_folder, self.retention))
        given.setdefault("now", lambda: datetime.now(UTC) + self.later_by)
        given.setdefault("backups", self.backups)
        return ApplyOptions(
            sleep=self.world.clock.advance, monotonic=lambda: self.world.now().timestamp(), keeps_secrets=keeps, **given
        )

    @contextmanager
    def store(self) -> Iterator[Store]:
        key = Secret(self.journal_key) if self.journal_key else None
        with Store.open(Where(self.folder, url=self.url, key=key)) as store:
            yield store

    def backups(self) -> tuple[BackupRecord, ...]:
        with self.store() as store:
            return store.runs.backups(HOST)

    @property
    def machine(self) -> WorldMachine:
        return WorldMachine(self.world, self.world.account(ACCOUNT), host=HOST)

    def next_run(self) -> str:
        self.runs.append(f"2026-11-20T22{len(self.runs):02}00Z-0000")
        return self.runs[-1]

    def check(self, plays: Sequence[Play], **given: Any) -> HostResult:
        with self.store() as store:
            history = store.history(HOST)
        return check(
            plays, observer=self.machine, variables={}, history=history, run="check",
            options=self.options(**given),
        )  # fmt: skip

    def apply(
        self, plays: Sequence[Play], *, wrap: Wrap = as_it_is, journal: WrapJournal = whole, **given: Any
    ) -> HostResult:
        with self.store() as store, store.leases.acquire(HOST, run=self.next_run()) as lease:
            return apply(
                plays, machine=wrap(self.machine), variables={},
                journal=journal(store.journal(lease, render=reg_file.render)), options=self.options(**given),
            )  # fmt: skip

    def plan(self, plays: Sequence[Play], **given: Any) -> HostPlan:
        """What is planned, as it comes back from a file."""
        known = AnswerCache(self.machine, run=PLANNED, backup_folder=self.backup_folder)
        result = check(
            plays, observer=known, variables={}, history=History(), run=PLANNED,
            options=self.options(digest_key=KEY, **given),
        )  # fmt: skip
        host = HostPlan(HOST, result.status, result.changes, result.error, answers=evidence(known.answers, key=KEY))
        whole = SavedPlan("1", PLANNED, "", "", key_name(KEY), PlannedFrom({}, ()), (host,))
        write_plan(whole, self.folder / "plan.json", key=KEY)
        read = read_plan(self.folder / "plan.json", key=KEY)
        assert (read.plan, read.doubt) == (whole, "")
        return read.plan.hosts[0]

    def apply_plan(
        self, plan: HostPlan, plays: Sequence[Play], *, wrap: Wrap = as_it_is, key: bytes | None = KEY,
        applied: Callable[[], str] | None = None, **given: Any,
    ) -> HostResult:  # fmt: skip
        with self.store() as store, store.leases.acquire(HOST, run=self.next_run()) as lease:
            approved = Approved(
                plan, run=lease.run, planned_run=PLANNED, key=key,
                claim=lambda run: store.plans.claim("1", host=HOST, run=run),
                applied=applied or (lambda: store.plans.holder("1", host=HOST)),
            )  # fmt: skip
            return apply(
                plays, machine=wrap(self.machine), variables={},
                journal=store.journal(lease, render=reg_file.render), options=self.options(digest_key=KEY, **given),
                approval=approved,
            )  # fmt: skip

    def recorded(self, run: str = "") -> tuple[RecordedChange, ...]:
        with self.store() as store:
            return store.runs.changes(run or self.runs[-1], HOST, opener=store.sealing)

    def later(self, run: str) -> dict[str, LaterChange]:
        with self.store() as store:
            return store.runs.later_changes(run, HOST)

    def since(self, run: str) -> tuple[LaterRun, ...]:
        with self.store() as store:
            return store.runs.later_runs(run, HOST, opener=store.sealing)

    def check_undo(self, run: str = "", **given: Any) -> HostResult:
        run = run or self.runs[-1]
        with self.store() as store:
            history = store.history(HOST)
        return check_undo(
            self.recorded(run),
            later=self.later(run),
            since=self.since(run),
            history=history,
            observer=self.machine,
            run="check",
            options=self.options(**given),
        )

    def undo(
        self, run: str = "", *, wrap: Wrap = as_it_is, journal: WrapJournal = whole, **given: Any
    ) -> HostResult:
        run = run or self.runs[-1]
        recorded, later, since = self.recorded(run), self.later(run), self.since(run)
        with self.store() as store, store.leases.acquire(HOST, run=self.next_run()) as lease:
            return undo(
                recorded, later=later, since=since, machine=wrap(self.machine),
                journal=journal(store.journal(lease, render=reg_file.render)), options=self.options(**given),
            )  # fmt: skip

    def essence(self, *, kept: bool = False) -> Any:
        """Registry, files and services, byte for byte; what converge kept, and its manifests, only with `kept`."""
        told = self.world.to_json()
        folders = [
            {
                "path": folder["path"],
                "files": sorted((file for file in folder["files"] if kept or not KEPT.search(file["name"])), key=str),
            }
            for folder in told["files"]
            if kept or not (".converge-" in folder["path"] or folder["path"].startswith(r"D:\converge"))
        ]
        services = [
            {name: item[name] for name in ("name", "state", "start_mode")}
            for item in told["services"]
        ]  # fmt: skip
        registry = [{**key, "values": sorted(key.get("values", ()), key=str)} for key in told["registry"]]
        return {
            "files": sorted(folders, key=str),
            "registry": sorted(registry, key=str),
            "services": sorted(services, key=str),
        }


def statuses(result: HostResult) -> dict[str, str]:
    """The status of each resource by its address; steps and all."""
    return {change.address: change.status.value for change in leaves(result)}


def leaves(result: HostResult) -> list[Change]:
    found: list[Change] = []
    for change in result.changes:
        found += change.steps or (change,)
    return found


def actions(result: HostResult) -> list[str]:
    """The names of all actions, in order."""
    return [str(action["action"]) for change in result.changes for action in change.actions]


def told(result: HostResult) -> str:
    """Everything that is said in words, for failing assertions."""
    words = [str(result.error)] if result.error else []
    for change in leaves(result):
        words.append(f"{change.address} {change.status.value}: {change.reason or ''} {change.error or ''}")
    return "\n".join(words)
