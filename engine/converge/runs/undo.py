"""A run is reverted: what it journaled on each host is put back as it was, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from converge.apply.options import ApplyOptions
from converge.apply.recounting import recounted
from converge.apply.undoing import check_undo, not_reverted, undo
from converge.errors import UsageError
from converge.inventory import load
from converge.model.change import HostResult, Problem, Status
from converge.model.journal import Journal
from converge.model.machine import Machine, Observer
from converge.runs.check import Checked, check
from converge.runs.context import Caller, RunContext, opened
from converge.runs.events import Events
from converge.runs.exit_codes import ExitCode
from converge.runs.extra_vars import read_extra_vars
from converge.runs.options import RunOptions, Sources
from converge.runs.playbooks import known_kinds
from converge.runs.recording import recorder_for_changes, recorder_for_check
from converge.runs.selection import Selection, default_inventory, select_hosts
from converge.runs.tasks import Subject
from converge.store.store import Store


@dataclass(frozen=True, slots=True)
class Undoing:
    """What the run `undone` did to each host is reverted. `missing` are its hosts that the inventory does not know."""

    undone: str
    missing: tuple[str, ...] = ()

    def narrowed(self, host: str) -> Self:
        """The same for every host."""
        return self

    def check(self, subject: Subject, observer: Observer, *, options: ApplyOptions) -> HostResult:
        """What would be reverted."""
        store = subject.recorder.store
        return check_undo(
            store.runs.changes(self.undone, subject.host, opener=store.sealing),
            later=store.runs.later_changes(self.undone, subject.host),
            since=store.runs.later_runs(self.undone, subject.host, opener=store.sealing),
            history=store.history(subject.host),
            observer=observer,
            run=subject.run,
            options=options,
        )

    def apply(self, subject: Subject, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Revert it."""
        store = subject.recorder.store
        return undo(
            store.runs.changes(self.undone, subject.host, opener=store.sealing),
            later=store.runs.later_changes(self.undone, subject.host),
            since=store.runs.later_runs(self.undone, subject.host, opener=store.sealing),
            machine=machine,
            journal=journal,
            options=options,
        )

    def recount(self, subject: Subject, problem: Problem) -> HostResult:
        """What was reverted, cut and not begun."""
        store, host = subject.recorder.store, subject.host
        return recounted(
            host,
            store.runs.changes(subject.run, host),
            history=store.history(host),
            remaining=not_reverted(store.runs.changes(self.undone, host), problem.what),
            problem=problem,
        )


@contextmanager
def undoing(run: str, options: RunOptions, undone: str, *, caller: Caller) -> Iterator[RunContext]:
    """A run that reverts another one, on its hosts or on those of the limit. Raises InputErrors, UsageError, JournalUnavailable."""
    known_kinds()
    with ExitStack() as stack:
        recorder = stack.enter_context(
            recorder_for_check(options.store)
            if options.check
            else recorder_for_changes(options.store, is_new=options.new_store)
        )
        if recorder.past is None:
            raise UsageError("no run is recorded here: there is nothing to take back")
        selection, missing = _selected(recorder.store, undone, options.sources)
        recorder.begin(run, mode=options.mode, playbooks=selection.playbooks)
        task = Undoing(undone, missing)
        yield stack.enter_context(opened(run, options, selection, task=task, recorder=recorder, caller=caller))


def check_undoing(context: RunContext) -> Events[Checked]:
    """Check what would be reverted on every host. Yields what `check` yields."""
    assert isinstance(context.task, Undoing)
    for host in context.task.missing:
        yield from context.ended(HostResult(host, Status.FAILED, error=_NOT_THERE))
    checked = yield from check(context)
    codes = checked.codes | ({ExitCode.FAILED} if context.task.missing else set())
    return Checked(checked.hosts, checked.remaining, checked.totals, frozenset(codes))


_NOT_THERE = Problem("not-in-inventory", "the run changed this host, and the inventory has none of this name")


def _selected(store: Store, run: str, sources: Sources) -> tuple[Selection, tuple[str, ...]]:
    """The hosts that the run may have changed and the inventory knows, and those that it does not know."""
    record = store.runs.get(run)
    hosts = store.runs.journaled_hosts(run)
    if record is None and not hosts:
        raise UsageError(f"there is no run {run}", try_="`converge runs` lists them")
    if not hosts:
        raise UsageError(f"the run {run} changed no host: there is nothing to take back")
    playbooks = record.playbooks if record is not None else ()
    folders = tuple(dict.fromkeys(Path(name).parent for name in playbooks))
    inventory = load(
        sources.inventories or (default_inventory(),),
        playbook_directories=folders,
        extra_variables=read_extra_vars(sources.extra_vars),
    )
    wanted = set(hosts)
    if sources.limit is not None:
        wanted &= set(inventory.limit(sources.limit))
        if not wanted:
            raise UsageError(f"the run {run} changed no host that matches --limit {sources.limit}")
    missing = tuple(host for host in hosts if host in wanted and host not in inventory.hosts)
    return select_hosts(inventory, [host for host in inventory.hosts if host in wanted], playbooks), missing
