"""One run over the fleet: look at every host, show what would change, ask, apply, show what became of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace

import click

from converge.cli.listing import list_hosts, list_resources
from converge.cli.output import Output, opened, written
from converge.cli.reporters import Reporter, reporter_for
from converge.cli.signals import stopping
from converge.errors import ConvergeError, LeaseLost, UsageError
from converge.fleet.parallel import GRACE, Fleet
from converge.fleet.stop import StopToken
from converge.model.change import Change, HostResult, Problem, Status
from converge.report.progress import Telling, progress_on
from converge.report.sink import sink_for
from converge.report.totals import Totals
from converge.runs import bugs
from converge.runs.connections import Hosts
from converge.runs.executors import executor_for
from converge.runs.exit_codes import ExitCode, code_of, code_of_refusal, worst
from converge.runs.host_runner import Searches, Terms
from converge.runs.options import STATE_FOLDER, RunOptions, applying
from converge.runs.recording import Memory, open_for_looking, where
from converge.runs.recounting import Recounting
from converge.runs.rolling_out import RollingOut, require_canaries, rerun
from converge.runs.selection import Selection, select
from converge.runs.stage import Stage
from converge.runs.tasks import Converging, Task
from converge.runs.window_keeper import WindowKeeper, held
from converge.store.names import new_run_id
from converge.store.store import Store

_NOT_BEGUN = frozenset({"not-planned", "precondition-unmet"})
"""Codes of failures before the first action."""
JITTER = 0.25  # seconds at most between the beginnings of the first hosts


def run(options: RunOptions) -> ExitCode:
    """Do what the options ask for. Errors before any host was touched are told and end with 1."""
    run_id = new_run_id()
    collected = options.output_format == "prometheus"
    with opened(options.output, whole=collected, for_others=collected) as out:
        try:
            _refuse_silence(options)
            selection = select(options.sources)
            if options.rerun is not None:
                status, earlier = options.rerun
                with open_for_looking(options.store) or nullcontext() as past:
                    selection = rerun(selection, past, words=status, run=earlier)
            require_canaries(options, selection)
        except ConvergeError as error:
            reporter_for(out, options, run=run_id, warnings={}).refuse(error)
            return code_of_refusal(error)
        if options.list_hosts or options.list_resources:
            listing = list_hosts if options.list_hosts else list_resources
            listing(selection, out, json_wanted=options.json)
            return written(out, ExitCode.IN_ORDER)
        try:
            memory = Memory(_opened_store(options))
            memory.begin(run_id, mode=options.mode, playbooks=selection.playbooks)
        except ConvergeError as error:
            reporter_for(out, options, run=run_id, warnings={}).refuse(error)
            return code_of_refusal(error)
        with memory:
            code = Run(options, selection, out, task=Converging(), memory=memory, run_id=run_id).go()
            code = written(out, code)
            memory.end(code)
        return code


def _opened_store(options: RunOptions) -> Store | None:
    if options.check:
        return open_for_looking(options.store)
    return Store.open(where(options.store, is_new=options.new_store))


def _refuse_silence(options: RunOptions) -> None:
    """Nobody could answer the question before applying: say so before any host is contacted."""
    only_reads = options.check or options.list_hosts or options.list_resources
    if not only_reads and not options.yes and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal on which to ask before changing anything",
            try_="--check to only look, or --yes to apply without asking",
        )


def _was_begun(change: Change) -> bool:
    """Whether an action of it was sent, or may have been: then it can be taken back."""
    if change.status is Status.WAITING:  # a procedure that a person is to go on with
        return any(_was_begun(step) for step in change.steps)
    if change.status is not Status.FAILED:
        return change.status in (Status.CHANGED, Status.UNKNOWN)
    may_act = bool(change.actions) or change.key.get("kind") == "procedure"
    return bool(change.steps) or (may_act and (change.error is None or change.error.code not in _NOT_BEGUN))


class Run:
    """The state of one run: what is left to apply, and the codes that hold so far."""

    grace = GRACE
    """Seconds that hosts under way get to reach their next boundary once the end was asked for."""

    def __init__(
        self, options: RunOptions, selection: Selection, out: Output, *, task: Task, memory: Memory, run_id: str
    ) -> None:
        self.options = options
        self.task = task
        self.memory = memory
        self.selection = selection
        self.id = run_id
        self.stop = StopToken()
        self.codes: set[ExitCode] = set()
        self.to_apply: list[str] = []
        self.planned: dict[str, HostResult] = {}  # of hosts with change windows: what to tell if they are left
        self.windows = WindowKeeper(selection.windows, options.outside_window, memory.seconds(selection.windows))
        self.reporter: Reporter = reporter_for(
            out, options, run=run_id, playbooks=selection.playbooks, warnings=selection.play_warnings
        )
        self.rolling = RollingOut(options, selection, stop=self.stop)
        self.executor = executor_for(options)
        self.totals = Totals()
        self.changes = False  # whether anything was done that could be taken back

    def go(self) -> ExitCode:
        for warning in self.selection.warnings:
            for number, line in enumerate(warning.splitlines()):
                sink_for(sys.stderr).line(line if number else f"warning: {line}", style="yellow")
        return self._over_hosts(self._look_and_apply)

    def _look_and_apply(self, hosts: Hosts) -> None:
        look = self._stage(hosts, searches="in full" if self.options.searches else "known places")
        self.executor.prepare(look, sites=self._sites)
        self._over(tuple(self.selection.targets), look, title="looking", take=self._looked)
        if self.options.check:
            self.reporter.summed_up(self._summed_up())
        elif self.to_apply:
            self._apply_if_wanted(hosts)

    def apply_planned(self, planned: Sequence[HostResult], *, others: Sequence[HostResult]) -> ExitCode:
        """Apply what was decided earlier and is asked for now; `others` are hosts of which there is only something to tell."""

        def apply(hosts: Hosts) -> None:
            self.planned.update((result.host, result) for result in planned)
            bring = self._stage(hosts, changes_hosts=True)
            self.executor.prepare(bring, sites=self._sites)
            for result in planned:
                self.totals.add(result)
                self.reporter.planned(result)
            self.reporter.show_plan(whole=False)
            self.reporter.summed_up(self._summed_up())
            for result in others:
                self._applied(result)
            self._bring(hosts, tuple(result.host for result in planned), bring)

        return self._over_hosts(apply)

    def _over_hosts(self, stages: Callable[[Hosts], None]) -> ExitCode:
        """Go through the stages; the exit code. What keeps the workers from beginning is told, and no host is contacted."""
        with Hosts(self.selection, STATE_FOLDER, login_forks=self.options.login_forks) as hosts:
            try:
                stages(hosts)
            except UsageError as error:
                self.reporter.refuse(error)
                return ExitCode.USAGE
            finally:
                self.executor.close()
                self.reporter.finish()
        if self.changes:
            told = f"`converge runs {self.id}` tells what was done, `converge undo {self.id}` takes it back."
            sink_for(sys.stderr).line(told, style="dim")
        if self.stop.is_set():
            self.codes.add(ExitCode.INTERRUPTED)
        if not self.options.check and self.rolling.budget.spent:
            self.codes.add(ExitCode.STOPPED)
        code = worst(self.codes)
        return ExitCode.IN_ORDER if code is ExitCode.DRIFT and self._drift_is_fine() else code

    def _drift_is_fine(self) -> bool:
        return self.options.check and self.options.exit_zero_on_drift

    def _stage(self, hosts: Hosts, *, changes_hosts: bool = False, searches: Searches = "unremembered") -> Stage:
        terms = Terms(
            self.options.accept_no_way_back, self.options.allow_reboot, self.options.settle,
            self.options.lease_timeout, searches,
        )  # fmt: skip
        return Stage(
            self.id, self.selection, self.task, hosts, self.memory, terms, self.windows, self.options.store, changes_hosts,
            self.planned,
        )  # fmt: skip

    def _looked_again(self, hosts: Hosts, names: tuple[str, ...]) -> Iterator[HostResult]:
        """How some hosts are now. Nothing of it is reported: it only tells whether to go on."""
        found: list[HostResult] = []
        self._over(names, self._stage(hosts), title="looking again", take=found.append)
        yield from found

    def _looked(self, result: HostResult) -> None:
        result = self.windows.shown(result)
        self.totals.add(result)
        changes = any(change.is_due for change in result.changes)
        if changes and not self.options.check and result.error is None:
            if refusal := self.windows.refusal(result.host):
                self._applied(held(result, refusal))
                return
            if result.host in self.selection.windows:
                self.planned[result.host] = result
            self.to_apply.append(result.host)
            self.reporter.planned(result)
        else:
            self.rolling.budget.count(result)
            self.codes.add(code_of(result, checking=True))
            self._ended(result)

    def _summed_up(self) -> list[str]:
        """What would be done and what not, and by which command."""
        totals, options = self.totals, self.options
        besides = totals.besides()
        if options.command == "undo":
            return [f"To take back: {totals.what()}{f'; {besides}' if besides else ''}"]
        lines = [f"To apply: {totals.what()}{f'; {besides}' if besides else ''}"] if totals.hosts or besides else []
        wanted = options.command == "run" and options.check and (totals.hosts or totals.words)
        return [*lines, f"Next: {applying(options)}"] if wanted else lines

    def _apply_if_wanted(self, hosts: Hosts) -> None:
        self.reporter.show_plan(whole=not self.options.yes)
        if self.options.yes:
            self.reporter.summed_up(self._summed_up())
        if not self.stop.is_set() and not self._wanted():
            why = "interrupted at the question" if self.stop.is_set() else "these changes were not wanted"
            declined = Problem("declined", f"{why}: nothing was changed")
            for host in self.to_apply:
                self._ended(HostResult(host, Status.SKIPPED, error=declined))
            self.codes.add(ExitCode.DRIFT)
            return
        wanted = frozenset(self.to_apply)
        in_payload = tuple(host for host in self.selection.targets if host in wanted)  # not as their looks ended
        self._bring(hosts, in_payload, self._stage(hosts, changes_hosts=True))

    def _bring(self, hosts: Hosts, names: Sequence[str], bring: Stage) -> None:
        def change(portion: tuple[str, ...]) -> None:
            self._over(portion, bring, title="applying", take=self._changed)

        self.rolling.go(tuple(names), change=change, look=lambda canaries: self._looked_again(hosts, canaries))

    def _changed(self, result: HostResult) -> None:
        self.changes = self.changes or any(_was_begun(change) for change in result.changes)
        result = self.windows.ended(result)
        self.rolling.ended(result)
        self._applied(result)

    def _applied(self, result: HostResult) -> None:
        if result.error is not None and result.error.code == LeaseLost.code:
            result = replace(result, status=Status.HELD)
        self.codes.add(code_of(result, checking=False))
        self._ended(result)

    def tell(self, result: HostResult) -> None:
        """What became of a host that is not gone to at all."""
        self.codes.add(code_of(result, checking=self.options.check))
        self._ended(result)

    def _ended(self, result: HostResult) -> None:
        self.memory.host(result)
        self.reporter.ended(result)

    def _wanted(self) -> bool:
        if self.options.yes:
            return True
        besides = self.totals.besides()
        verb = "Take back" if self.options.command == "undo" else "Apply"
        question = f"{verb} {self.totals.what()}?{f' {besides}' if besides else ''}"
        try:
            return click.confirm(question, default=False, err=True)
        except click.Abort:  # Ctrl-C, or the end of the input
            click.echo(err=True)
            self.stop.ask()
            return False

    def _over(self, hosts: tuple[str, ...], stage: Stage, *, title: str, take: Callable[[HostResult], None]) -> None:
        fleet = Fleet(
            forks=self.options.forks,
            stop=self.stop,
            site_of=self._site_of,
            jitter=min(len(hosts) / 200, JITTER),
            enough=(lambda: self.rolling.budget.spent) if stage.changes_hosts else (lambda: None),
            on_bug=self._bug,
            recount=Recounting(stage),
            grace=self.grace,
        )
        telling = Telling(would=not stage.changes_hosts, every=self.options.verbose > 0)
        with stopping(self.stop), progress_on(sys.stderr, title=title, total=len(hosts), telling=telling) as progress:

            def on_result(result: HostResult) -> None:
                take(result)
                progress.ended(result)

            self.executor.run(fleet, hosts, stage, on_result=on_result)

    @property
    def _sites(self) -> frozenset[str]:
        """The sites of the hosts that will be contacted; an empty text for those of none."""
        targets = self.selection.targets.values()
        return frozenset(target.settings.site or "" for target in targets if not target.settings.skip)

    def _site_of(self, host: str) -> tuple[str, int]:
        settings = self.selection.targets[host].settings
        return settings.site or "", settings.site_forks

    def _bug(self, host: str, error: BaseException) -> Problem:
        if self.options.verbose >= 3:
            bugs.show(error)
        return bugs.keep(error, folder=STATE_FOLDER, where=f"host {host}")
