"""All that a run works with, settled before the first host is contacted, and what its steps share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from converge.fleet.executor import Executor
from converge.fleet.parallel import GRACE, Fleet
from converge.fleet.stop import StopToken
from converge.model.change import HostResult, Problem
from converge.runs import bugs
from converge.runs.connections import Hosts
from converge.runs.events import Ended, Warned
from converge.runs.executors import executor_for
from converge.runs.exit_codes import ExitCode, worst
from converge.runs.host_runner import RunnerOptions, Searches
from converge.runs.options import STATE_FOLDER, RunOptions
from converge.runs.recording import Recorder
from converge.runs.recounting import Recounting
from converge.runs.rolling_out import RollingOut
from converge.runs.selection import Selection
from converge.runs.stage import Stage
from converge.runs.tasks import Task
from converge.runs.window_keeper import WindowKeeper

JITTER = 0.25  # seconds at most between the beginnings of the first hosts


def _now() -> datetime:
    return datetime.now(UTC)


def _unseen(_error: BaseException) -> None:
    """Its traceback is kept in a file anyway."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever has a run made: how the end is asked for, what the time is, and who is shown the traceback of a bug.

    `grace` is how many seconds hosts under way get to reach their next boundary once the end was asked for.
    """

    stop: StopToken = field(default_factory=StopToken)
    now: Callable[[], datetime] = _now
    grace: float = GRACE
    on_bug: Callable[[BaseException], None] = _unseen


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run: what was asked for, which hosts it is about, and everything it needs. `opened` makes one, and closes it."""

    id: str
    options: RunOptions
    selection: Selection
    task: Task
    recorder: Recorder
    caller: Caller
    hosts: Hosts
    executor: Executor
    windows: WindowKeeper
    rolling: RollingOut

    @property
    def stop(self) -> StopToken:
        """Asks for the end."""
        return self.caller.stop

    def stage(
        self,
        *,
        changes_hosts: bool = False,
        searches: Searches = "unremembered",
        planned: Mapping[str, HostResult] | None = None,
    ) -> Stage:
        """One stage over hosts. `planned` is what was found of hosts that may have to be left as they are."""
        allowed = RunnerOptions(
            self.options.accept_no_way_back, self.options.allow_reboot, self.options.settle,
            self.options.lease_timeout, searches,
        )  # fmt: skip
        return Stage(
            self.id, self.selection, self.task, self.hosts, self.recorder, allowed, self.windows, self.options.store,
            changes_hosts, planned or {},
        )  # fmt: skip

    def prepare(self, stage: Stage) -> None:
        """Find whoever goes to the hosts. Raises UsageError before any is contacted."""
        targets = self.selection.targets.values()
        self.executor.prepare(
            stage, sites=frozenset(target.settings.site or "" for target in targets if not target.settings.skip)
        )

    def go(self, hosts: tuple[str, ...], stage: Stage) -> Iterator[HostResult]:
        """Go to these hosts; yields one result of each, as they end."""
        fleet = Fleet(
            forks=self.options.forks,
            stop=self.stop,
            site_of=self._site_of,
            jitter=min(len(hosts) / 200, JITTER),
            enough=(lambda: self.rolling.budget.spent) if stage.changes_hosts else (lambda: None),
            on_bug=self._bug,
            recount=Recounting(stage),
            grace=self.caller.grace,
        )
        return self.executor.run(fleet, hosts, stage)

    def ended(self, result: HostResult) -> Iterator[Ended | Warned]:
        """Record what became of a host."""
        self.recorder.host(result)
        yield Ended(result)
        yield from self.warnings()

    def warnings(self) -> Iterator[Warned]:
        """What the recording has to warn of since it was last asked."""
        while self.recorder.warnings:
            yield Warned(self.recorder.warnings.pop(0))

    def code(self, codes: Iterable[ExitCode]) -> ExitCode:
        """The exit code of the whole, where these hold of its hosts."""
        found = set(codes)
        if self.stop.is_set():
            found.add(ExitCode.INTERRUPTED)
        if not self.options.check and self.rolling.budget.spent:
            found.add(ExitCode.STOPPED)
        return worst(found)

    def _site_of(self, host: str) -> tuple[str, int]:
        settings = self.selection.targets[host].settings
        return settings.site or "", settings.site_forks

    def _bug(self, host: str, error: BaseException) -> Problem:
        self.caller.on_bug(error)
        return bugs.keep(error, folder=STATE_FOLDER, where=f"host {host}")


@contextmanager
def opened(
    run: str, options: RunOptions, selection: Selection, *, task: Task, recorder: Recorder, caller: Caller
) -> Iterator[RunContext]:
    """A run that begins; the recorder stays open. Raises UsageError for an executor that is not there, JournalUnavailable."""
    with Hosts(selection, STATE_FOLDER, login_forks=options.login_forks) as hosts:
        windows = WindowKeeper(
            selection.windows, options.outside_window, recorder.seconds(selection.windows), caller.now
        )
        rolling = RollingOut(options, selection, stop=caller.stop)
        executor = executor_for(options)
        try:
            yield RunContext(run, options, selection, task, recorder, caller, hosts, executor, windows, rolling)
        finally:
            executor.close()
