"""A run followed from its beginning to its exit code: shown as it goes on, stopped by signals, asked about in between."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TypeVar

import click

from converge.cli.options import View
from converge.cli.output import opened_for, written
from converge.cli.reporters import Reporter, reporter_for
from converge.cli.signals import stopping
from converge.errors import ConvergeError, UsageError
from converge.fleet.stop import StopToken
from converge.report.progress import Progress, Telling, progress_on
from converge.report.sink import sink_for
from converge.report.totals import Totals
from converge.runs import bugs
from converge.runs.apply import Outcome, apply, decline
from converge.runs.check import Checked
from converge.runs.context import Caller, RunContext
from converge.runs.events import CheckedAgain, Ended, Event, Events, Planned, StageBegan, StageEnded, Warned, result_of
from converge.runs.exit_codes import ExitCode, code_of_refusal
from converge.runs.options import RunOptions, applying
from converge.store.names import new_run_id

T = TypeVar("T")


@dataclass(slots=True)
class Follower:
    """Shows one run as it goes on, and asks. `began` says in the end whether anything was begun that can be reverted."""

    view: View
    stop: StopToken
    reporter: Reporter
    began: bool = False

    def follow(self, events: Events[T]) -> T:
        """Let a step of the run go on to its end, or until a signal asks for it; what it returns."""
        with stopping(self.stop), ExitStack() as bars:
            screen = _Screen(self.view, self.reporter, bars)
            return result_of(events, on_event=screen.show)

    def conclude(self, context: RunContext, checked: Checked) -> ExitCode:
        """Show what a check has found. Where that is not all: ask, and do it."""
        if context.options.check:
            self.reporter.summed_up(_summed_up(checked.totals, context.options))
            code = context.code(checked.codes)
            return ExitCode.IN_ORDER if code is ExitCode.DRIFT and self.view.exit_zero_on_drift else code
        if not checked.hosts:
            return context.code(checked.codes)
        self.show_plan(context, checked)
        wanted = self.view.yes or self.stop.is_set() or self._is_wanted(checked.totals, context.options)
        return self.end(self.follow((apply if wanted else decline)(context, checked)))

    def end(self, outcome: Outcome) -> ExitCode:
        """Keep what a run came to."""
        self.began = outcome.began
        return outcome.code

    def show_plan(self, context: RunContext, checked: Checked) -> None:
        """What is about to be done: whole where it is asked about, else in numbers, for each change is shown as it is made."""
        self.reporter.show_plan(whole=not self.view.yes)
        if self.view.yes:
            self.reporter.summed_up(_summed_up(checked.totals, context.options))

    def _is_wanted(self, totals: Totals, options: RunOptions) -> bool:
        besides = totals.besides()
        verb = "Take back" if options.command == "undo" else "Apply"
        question = f"{verb} {totals.what()}?{f' {besides}' if besides else ''}"
        try:
            return click.confirm(question, default=False, err=True)
        except click.Abort:  # Ctrl-C, or the end of the input
            click.echo(err=True)
            self.stop.ask()
            return False


class _Screen:
    """Shows the events of one step: a bar while a stage goes on, hosts in the report, warnings on standard error."""

    def __init__(self, view: View, reporter: Reporter, bars: ExitStack) -> None:
        self._view = view
        self._reporter = reporter
        self._bars = bars
        self._progress: Progress | None = None

    def show(self, event: Event) -> None:
        match event:
            case Warned(text):
                warn(text)
            case StageBegan(title, hosts, changes_hosts):
                telling = Telling(would=not changes_hosts, every=self._view.verbose > 0)
                bar = progress_on(sys.stderr, title=title, total=hosts, telling=telling)
                self._progress = self._bars.enter_context(bar)
            case StageEnded():
                self._bars.close()
                self._progress = None
            case Planned(result):
                self._reporter.planned(result)
            case Ended(result):
                self._reporter.ended(result)
        if isinstance(event, Planned | Ended | CheckedAgain) and self._progress is not None:
            self._progress.ended(event.result)


def carry_out(
    options: RunOptions,
    view: View,
    *,
    begin: Callable[[str, Caller], AbstractContextManager[RunContext]],
    steps: Callable[[RunContext, Follower], ExitCode],
) -> ExitCode:
    """Begin a run, follow its steps, and record how it ended. Errors before any host was touched are shown in its format."""
    run, stop = new_run_id(), StopToken()
    caller = Caller(stop, on_bug=show_bug) if view.verbose >= 3 else Caller(stop)
    with opened_for(view) as out, ExitStack() as stack:
        try:
            context = stack.enter_context(begin(run, caller))
        except ConvergeError as error:
            reporter_for(out, view, mode=options.mode, run=run).refuse(error)
            return code_of_refusal(error)
        reporter = reporter_for(
            out, view, mode=options.mode, run=run, selection=context.selection, sources=options.sources
        )
        follower = Follower(view, stop, reporter)
        try:
            code = steps(context, follower)
        except UsageError as error:  # what keeps the workers from beginning
            reporter.refuse(error)
            code = code_of_refusal(error)
        finally:
            reporter.finish()
        if follower.began:
            hint(f"`converge runs {run}` shows what was done, `converge undo {run}` takes it back.")
        code = written(out, code)
        context.recorder.end(code)
        for text in context.recorder.warnings:
            warn(text)
        return code


def warn(text: str) -> None:
    """A warning on standard error."""
    sink = sink_for(sys.stderr)
    for number, line in enumerate(text.splitlines()):
        sink.line(line if number else f"warning: {line}", style="yellow")


def show_bug(error: BaseException) -> None:
    """The traceback of a bug, for a person who asked for it."""
    sys.stderr.write(bugs.trace(error))


def hint(text: str) -> None:
    """What can be done next, on standard error."""
    sink_for(sys.stderr).line(text, style="dim")


def require_answer(options: RunOptions, view: View) -> None:
    """Raises UsageError where nobody could answer the question before applying: before any host is contacted."""
    if not options.check and not view.yes and not sys.stdin.isatty():
        to_do = "take it back" if options.command == "undo" else "apply"
        raise UsageError(
            "there is no terminal on which to ask before changing anything",
            try_=f"--check to only check, or --yes to {to_do} without asking",
        )


def _summed_up(totals: Totals, options: RunOptions) -> list[str]:
    """What would be done and what not, and by which command."""
    besides = totals.besides()
    if options.command == "undo":
        return [f"To take back: {totals.what()}{f'; {besides}' if besides else ''}"]
    lines = [f"To apply: {totals.what()}{f'; {besides}' if besides else ''}"] if totals.hosts or besides else []
    wanted = options.command == "run" and options.check and (totals.hosts or totals.words)
    return [*lines, f"Next: {applying(options)}"] if wanted else lines
