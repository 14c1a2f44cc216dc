"""Every host is checked: what would change on it is found and yielded, and nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from converge.model.change import HostResult
from converge.report.totals import Totals
from converge.runs.context import Caller, RunContext, opened
from converge.runs.events import Events, Planned, StageBegan, StageEnded, Warned
from converge.runs.exit_codes import ExitCode, code_of
from converge.runs.options import RunOptions
from converge.runs.recording import recorder_for_changes, recorder_for_check
from converge.runs.rolling_out import require_canaries, rerun
from converge.runs.selection import Selection, select
from converge.runs.tasks import Converging, Task
from converge.runs.window_keeper import held


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check came to: the hosts that would change and may be changed now, and what it has found besides.

    `remaining` are the results of those among them with change windows: what is shown of one if its window has ended.
    """

    hosts: tuple[str, ...] = ()
    remaining: Mapping[str, HostResult] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    codes: frozenset[ExitCode] = frozenset()


def selected(options: RunOptions) -> Selection:
    """The hosts of a run and what is declared for them. Raises InputErrors, UsageError, JournalUnavailable."""
    selection = select(options.sources)
    if options.rerun is not None:
        status, earlier = options.rerun
        with recorder_for_check(options.store) as recorder:
            selection = rerun(selection, recorder.past, words=status, run=earlier)
    require_canaries(options, selection)
    return selection


@contextmanager
def converging(
    run: str, options: RunOptions, selection: Selection, *, caller: Caller, task: Task | None = None
) -> Iterator[RunContext]:
    """A run that brings hosts to what their plays declare, or only checks them. Raises JournalUnavailable, UsageError."""
    with ExitStack() as stack:
        recorder = stack.enter_context(
            recorder_for_check(options.store)
            if options.check
            else recorder_for_changes(options.store, is_new=options.new_store)
        )
        recorder.begin(run, mode=options.mode, playbooks=selection.playbooks)
        yield stack.enter_context(
            opened(run, options, selection, task=task or Converging(), recorder=recorder, caller=caller)
        )


def check(context: RunContext) -> Events[Checked]:
    """Check every host. Yields `Planned` of one that would change and is to be changed, `Ended` of every other one."""
    for text in context.selection.warnings:
        yield Warned(text)
    yield from context.warnings()
    stage = context.stage(searches="in full" if context.options.searches else "known places")
    context.prepare(stage)
    hosts = tuple(context.selection.targets)
    totals = Totals()
    due: set[str] = set()
    remaining: dict[str, HostResult] = {}
    codes: set[ExitCode] = set()
    yield StageBegan("checking", len(hosts))
    for found in context.go(hosts, stage):
        result = context.windows.shown(found)
        totals.add(result)
        if not _is_to_be_changed(result, context.options):
            context.rolling.budget.count(result)
            codes.add(code_of(result, checking=True))
            yield from context.ended(result)
        elif refusal := context.windows.refusal(result.host):
            result = held(result, refusal)
            codes.add(code_of(result, checking=False))
            yield from context.ended(result)
        else:
            due.add(result.host)
            if result.host in context.selection.windows:
                remaining[result.host] = result
            yield Planned(result)
    yield StageEnded()
    # In the order of the inventory, not as the checks ended.
    return Checked(tuple(host for host in hosts if host in due), remaining, totals, frozenset(codes))


def _is_to_be_changed(result: HostResult, options: RunOptions) -> bool:
    return not options.check and result.error is None and any(change.is_due for change in result.changes)
