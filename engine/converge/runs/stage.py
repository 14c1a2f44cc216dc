"""A stage of a run as a job: what is settled on the control node, what is done here, and what is sent to workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from converge.fleet.executor import Payload
from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Problem, Status
from converge.runs.connections import Hosts, account_of
from converge.runs.host_runner import HostJob, HostRunner, RunnerOptions
from converge.runs.payloads import (
    HostPayload,
    StagePayload,
    needs_of,
    require_reachable,
    sent_variables,
    shared_variables,
    words_of,
)
from converge.runs.plug_ins import plug_ins
from converge.runs.recording import Recorder
from converge.runs.selection import Selection
from converge.runs.tasks import Task
from converge.runs.window_keeper import WindowKeeper, held


@dataclass(frozen=True)
class Stage:
    """One stage over the hosts of a run. `planned` holds what was found of hosts that may have to be left as they are."""

    run: str
    selection: Selection
    task: Task
    hosts: Hosts
    recorder: Recorder
    options: RunnerOptions
    windows: WindowKeeper
    store: str
    changes_hosts: bool = False
    planned: Mapping[str, HostResult] = field(default_factory=dict)

    def here(self, host: str, stop: StopToken) -> HostResult:
        """Go there from this process. Raises ConvergeError."""
        if (settled := self._settled(host)) is not None:
            return settled
        target = self.selection.targets[host]
        variables = self.selection.variables(host)
        job = HostJob(
            self.hosts.to(host),
            target.plays,
            variables,
            self.task,
            self._end(host),
            self._override(host),
            target.settings.backup,
        )
        runner = HostRunner(self.run, self.options, self.recorder, self.hosts.guard)
        return runner.apply(job, stop) if self.changes_hosts else runner.check(job, stop)

    def account_of(self, host: str) -> str:
        """The account that logs in there."""
        return account_of(self.selection.targets[host].settings)

    def stage_payload(self, *, elsewhere: bool) -> StagePayload:
        """For workers. Raises UsageError where a run asks for more than they can be given."""
        selection = self.selection
        if elsewhere:
            require_reachable(selection, self.recorder)
        return StagePayload(
            "apply" if self.changes_hosts else "check",
            self.run,
            selection.documents,
            selection.tags,
            selection.skip_tags,
            tuple(sorted(selection.inventory.variable_names)),
            shared_variables(selection, self._words),
            self.options,
            self.recorder.where(self.store, elsewhere=elsewhere),
            needs_of(selection, self.recorder),
            frozenset(owner for kind, owner in plug_ins().items() if kind in self._words),
        )

    def payload(self, host: str) -> Payload | HostResult:
        """For the worker that goes there; its password is fetched now. Raises HostUnreachable, UsageError, InputErrors."""
        if (settled := self._settled(host)) is not None:
            return settled
        plays = tuple(self._numbers[id(play)] for play in self.selection.targets[host].plays)
        variables = sent_variables(self.selection.variables(host), self._words)
        content = HostPayload(
            self.hosts.to(host),
            plays,
            variables,
            self.task.narrowed(host),
            self._end(host),
            self._override(host),
            self.selection.targets[host].settings.backup,
        )
        return Payload(host, content)

    def _settled(self, host: str) -> HostResult | None:
        """The result of a host to which nobody goes now."""
        settings = self.selection.targets[host].settings
        if settings.skip:
            return HostResult(host, Status.SKIPPED, error=Problem("not-reached", settings.skip))
        if self.changes_hosts and (refusal := self.windows.refusal(host)):
            return held(self.planned[host], refusal)
        return None

    def _end(self, host: str) -> datetime | None:
        return self.windows.end(host) if self.changes_hosts else None

    def _override(self, host: str) -> str:
        return self.windows.override(host) if self.changes_hosts else ""

    @cached_property
    def _words(self) -> frozenset[str]:
        return words_of(self.selection.documents)

    @cached_property
    def _numbers(self) -> dict[int, int]:
        return {id(play): number for number, play in enumerate(self.selection.plays)}
