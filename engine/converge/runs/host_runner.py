"""One host, from this process: connected to, and checked, or changed under its lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Literal

from converge.apply.options import ApplyOptions
from converge.fleet.fencing import FencedMachine
from converge.fleet.logins import Guard
from converge.fleet.stop import StopToken
from converge.model.backup import BackupSettings
from converge.model.change import HostResult, Problem, Status
from converge.model.journal import WindowOverridden
from converge.model.play import Play
from converge.runs.connections import acting, observing
from converge.runs.recording import Recorder
from converge.runs.tasks import Subject, Task
from converge.runs.window_keeper import leaves_after
from converge.windows import reg_file
from converge.winrm.connection import Connection

Searches = Literal["known places", "in full", "unremembered"]


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What was explicitly allowed for a run, and how it goes about things, as data. `lease_timeout` is in seconds."""

    accept_no_way_back: bool = False
    allow_reboot: bool = False
    settle: Mapping[str, Literal["done", "not-done"]] = field(default_factory=dict)
    lease_timeout: float = 0.0
    searches: Searches = "unremembered"

    def for_host(self, stop: Callable[[], bool], *, keeps_secrets: bool, ends: datetime | None = None) -> ApplyOptions:
        """As `apply` takes them, of one host whose change window `ends` then."""
        return ApplyOptions(
            accept_no_way_back=self.accept_no_way_back,
            allow_reboot=self.allow_reboot,
            settle=self.settle,
            stop=stop,
            keeps_secrets=keeps_secrets,
            leaves=leaves_after(ends),
        )


@dataclass(frozen=True, slots=True)
class HostJob:
    """All that differs from host to host. `override` says why the host is changed outside its window."""

    connection: Connection
    plays: tuple[Play, ...]
    variables: Mapping[str, object]
    task: Task
    ends: datetime | None = None
    override: str = ""
    backup: BackupSettings = field(default_factory=BackupSettings)

    @property
    def host(self) -> str:
        """Its name in the inventory."""
        return self.connection.host


@dataclass(frozen=True, slots=True)
class HostRunner:
    """Goes to the hosts of one run. Used from many threads."""

    run: str
    options: RunnerOptions
    recorder: Recorder
    guard: Guard

    def check(self, job: HostJob, stop: StopToken) -> HostResult:
        """What would be done. Raises HostUnreachable, JournalUnavailable."""
        options = self._apply_options(job, stop)
        with observing(job.connection, self.guard) as observer:
            if self.options.searches != "unremembered":
                observer = self.recorder.searching(observer, anew=self.options.searches == "in full")
            return job.task.check(self._subject(job), observer, options=options)

    def apply(self, job: HostJob, stop: StopToken) -> HostResult:
        """Do it, unless this run has begun to already. Raises Held, HostUnreachable, JournalUnavailable."""
        store, host = self.recorder.store, job.host
        with store.leases.acquire(host, run=self.run, wait=self.options.lease_timeout, stop=stop.is_set) as lease:
            if store.runs.changes(self.run, host):
                return HostResult(host, Status.UNKNOWN, error=_BEGUN)
            journal = store.journal(lease, render=reg_file.render)
            if job.override:
                journal.write(WindowOverridden(job.override))
            options = self._apply_options(job, stop, ends=job.ends)
            with acting(job.connection, self.guard) as machine:
                fenced = FencedMachine(machine, confirm=lease.confirm)
                return job.task.apply(self._subject(job), fenced, journal=journal, options=options)

    def _apply_options(self, job: HostJob, stop: StopToken, *, ends: datetime | None = None) -> ApplyOptions:
        allowed = self.options.for_host(stop.is_set, keeps_secrets=self.recorder.keeps_secrets, ends=ends)
        return replace(allowed, backup=job.backup, backups=partial(self.recorder.backups, job.host))

    def _subject(self, job: HostJob) -> Subject:
        return Subject(job.host, job.plays, job.variables, self.run, self.recorder)


_BEGUN = Problem(
    "begun-before",
    "this run has begun to change this host before",
    "The order to do so came twice; nothing is done a second time.",
    "run converge again: it checks what was started and continues from there",
)
