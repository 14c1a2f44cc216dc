"""Taking a run back: what it journaled on each host, shown, asked for, done."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from converge.apply.options import ApplyOptions
from converge.apply.recounting import recounted
from converge.apply.undoing import check_undo, not_taken_back, undo
from converge.cli.output import opened, written
from converge.cli.reporters import reporter_for
from converge.cli.running import Run
from converge.errors import ConvergeError, UsageError
from converge.inventory import load
from converge.model.change import HostResult, Problem, Status
from converge.model.journal import Journal
from converge.model.machine import Machine, Observer
from converge.rehearsal.rehearsal import Rehearsal
from converge.runs.exit_codes import ExitCode, code_of_refusal
from converge.runs.extra_vars import read_extra_vars
from converge.runs.options import RunOptions, Sources
from converge.runs.playbooks import known_kinds
from converge.runs.recording import Memory, open_for_looking, where
from converge.runs.selection import Selection, default_inventory, select_hosts
from converge.runs.tasks import Subject
from converge.store.names import new_run_id
from converge.store.store import Store


def undo_run(options: RunOptions, undone: str) -> ExitCode:
    """Take a run back on its hosts, or on those of --limit."""
    run_id = new_run_id()
    with opened(None) as out:
        try:
            if not options.check and not options.yes and not sys.stdin.isatty():
                raise UsageError(
                    "there is no terminal on which to ask before changing anything",
                    try_="--check to only look, or --yes to take it back without asking",
                )
            known_kinds()
            store = open_for_looking(options.store) if options.check else Store.open(where(options.store, is_new=options.new_store))
            if store is None:
                raise UsageError("no run is remembered here: there is nothing to take back")
            memory = Memory(store)
            selection, missing = _selected(store, undone, options.sources)
            memory.begin(run_id, mode=options.mode, playbooks=selection.playbooks)
        except ConvergeError as error:
            reporter_for(out, options, run=run_id, warnings={}).refuse(error)
            return code_of_refusal(error)
        with memory:
            run = Run(options, selection, out, task=Undoing(undone), memory=memory, run_id=run_id)
            for host in missing:
                run.tell(HostResult(host, Status.FAILED, error=_NOT_THERE))
            code = written(out, run.go())
            memory.end(code)
        return code


_NOT_THERE = Problem("not-in-inventory", "the run changed this host, and the inventory has none of this name")


def _selected(store: Store, run: str, sources: Sources) -> tuple[Selection, list[str]]:
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
    missing = [host for host in hosts if host in wanted and host not in inventory.hosts]
    return select_hosts(inventory, [host for host in inventory.hosts if host in wanted], playbooks), missing


@dataclass(frozen=True, slots=True)
class Undoing:
    """What the run `undone` did to each host is taken back."""

    undone: str

    def narrowed(self, host: str) -> Self:
        """The same for every host."""
        del host
        return self

    def look(self, subject: Subject, observer: Observer, *, options: ApplyOptions) -> HostResult:
        """What would be taken back."""
        store = subject.memory.store
        return check_undo(
            store.runs.changes(self.undone, subject.host, opener=store.sealing),
            later=store.runs.later_changes(self.undone, subject.host),
            since=store.runs.later_runs(self.undone, subject.host, opener=store.sealing),
            history=store.history(subject.host),
            observer=observer,
            rehearse=Rehearsal,
            run=subject.run,
            options=options,
        )

    def bring(self, subject: Subject, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Take it back."""
        store = subject.memory.store
        return undo(
            store.runs.changes(self.undone, subject.host, opener=store.sealing),
            later=store.runs.later_changes(self.undone, subject.host),
            since=store.runs.later_runs(self.undone, subject.host, opener=store.sealing),
            machine=machine,
            rehearse=Rehearsal,
            journal=journal,
            options=options,
        )

    def recount(self, subject: Subject, problem: Problem) -> HostResult:
        """What was taken back, cut and not begun."""
        store, host = subject.memory.store, subject.host
        return recounted(
            host,
            store.runs.changes(subject.run, host),
            history=store.history(host),
            remaining=not_taken_back(store.runs.changes(self.undone, host), problem.what),
            problem=problem,
        )
