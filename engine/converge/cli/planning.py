"""Saved plans: made, shown, applied."""

from __future__ import annotations

import hashlib
import secrets
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from converge import __version__
from converge.apply.host import already_applied, apply
from converge.apply.options import ApplyOptions
from converge.cli.output import Output, opened, written
from converge.cli.reporters import reporter_for
from converge.cli.running import Run
from converge.errors import ConvergeError, JournalUnavailable, UsageError
from converge.model.change import HostResult, Problem, Status
from converge.model.journal import Journal
from converge.model.machine import Machine, Observer
from converge.model.opening import read_bounded
from converge.model.saved_plan import HostPlan, PlannedFrom, SavedPlan
from converge.plan.answer_cache import Memory as Known
from converge.plan.approval import Approved
from converge.plan.evidence import evidence
from converge.rehearsal.rehearsal import Rehearsal
from converge.report.saved import tell_plan
from converge.report.sink import sink_for
from converge.report.text import TextOptions
from converge.runs.exit_codes import ExitCode, code_of_refusal
from converge.runs.extra_vars import read_extra_vars
from converge.runs.options import STATE_FOLDER, RunOptions, Sources
from converge.runs.recording import Memory, where
from converge.runs.selection import Selection, default_inventory, select
from converge.runs.tasks import Converging, Subject, Task
from converge.runs.variable_digests import variable_digests
from converge.runs.window_keeper import planned_windows, written_windows
from converge.store.keys import derived_key, key_name
from converge.store.names import new_run_id
from converge.store.plan_files import ReadPlan, check_place, read_plan, write_plan
from converge.store.store import FILE_NAME, Store


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one plan: of what it rests on, and of the sensitive values that are only told apart."""

    evidence: bytes = field(repr=False)
    sensitive: bytes = field(repr=False)

    @classmethod
    def of(cls, signing_key: bytes, plan: str) -> Keys:
        """Those that follow from the store's key."""
        return cls(*(derived_key(signing_key, purpose=purpose, plan=plan) for purpose in ("evidence", "sensitive")))


def save_plan(options: RunOptions, file: Path) -> ExitCode:
    """Look at every host and write down what would be done. Nothing is written where the looking was interrupted."""
    run_id = new_run_id()
    with opened(None) as out:
        try:
            check_place(file)
            selection = select(options.sources)
            store = Store.open(where(options.store, is_new=options.new_store))
            memory = Memory(store)
            memory.begin(run_id, mode=options.mode, playbooks=selection.playbooks)
        except ConvergeError as error:
            reporter_for(out, options, run=run_id, warnings={}).refuse(error)
            return code_of_refusal(error)
        with memory:
            plan = SavedPlan(
                secrets.token_hex(8), run_id, datetime.now(UTC).isoformat(timespec="seconds"), __version__,
                key_name(store.signing_key), _made_from(options, selection), (), selection.play_warnings,
            )  # fmt: skip
            keys = Keys.of(store.signing_key, plan.id)
            run = PlanningRun(options, selection, out, task=Planning(keys), memory=memory, run_id=run_id)
            code = run.go()
            if code not in (ExitCode.INTERRUPTED, ExitCode.USAGE):
                hosts = tuple(
                    _planned(run.looked[host], selection, keys) for host in selection.targets if host in run.looked
                )
                write_plan(replace(plan, hosts=hosts), file, key=store.signing_key)
                sink_for(sys.stderr).line(f"The plan is in {file}; `converge apply {file}` does it.", style="dim")
            code = written(out, code)
            memory.end(code)
        return code


def _made_from(options: RunOptions, selection: Selection) -> PlannedFrom:
    sources = options.sources
    return PlannedFrom(
        {name: _digest(name) for name in selection.playbooks},
        tuple(sources.inventories) or (default_inventory(),),
        sources.limit,
        tuple(sorted(sources.tags)),
        tuple(sorted(sources.skip_tags)),
        tuple(sorted(read_extra_vars(sources.extra_vars))),
        options.accept_no_way_back,
        options.allow_reboot,
    )


LARGEST_PLAYBOOK = 64 * 1024 * 1024  # bytes; more than any that is read


def _digest(name: str) -> str:
    try:
        return hashlib.sha256(read_bounded(name, most=LARGEST_PLAYBOOK)).hexdigest()
    except OSError as error:
        raise UsageError(f"the playbook {name} cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Planning(Converging):
    """Looks, and tells with what was found all that it rests on."""

    keys: Keys

    def look(self, subject: Subject, observer: Observer, *, options: ApplyOptions) -> HostResult:
        """What would change."""
        known = Known(observer, run=subject.run)
        result = Converging.look(self, subject, known, options=replace(options, digest_key=self.keys.sensitive))
        return replace(result, evidence=evidence(known.answers, key=self.keys.evidence))


class PlanningRun(Run):
    """A run whose looks are kept for the plan: those that were made, whatever came of them."""

    def __init__(
        self, options: RunOptions, selection: Selection, out: Output, *, task: Task, memory: Memory, run_id: str
    ) -> None:
        super().__init__(options, selection, out, task=task, memory=memory, run_id=run_id)
        self.looked: dict[str, HostResult] = {}

    def _looked(self, result: HostResult) -> None:
        if result.status is not Status.SKIPPED or result.error is None:
            self.looked[result.host] = result
        super()._looked(result)


def _planned(result: HostResult, selection: Selection, keys: Keys) -> HostPlan:
    host = result.host
    return HostPlan(
        host, result.status, result.changes, result.error,
        tuple(play.name for play in selection.targets[host].plays), result.evidence,
        variable_digests(selection.inventory.variables(host), key=keys.evidence),
        written_windows(selection.inventory, host) if host in selection.windows else None,
    )  # fmt: skip


def show_plan(options: RunOptions, file: Path) -> ExitCode:
    """Tell a plan. Contacts nobody, and makes no store where there is none."""
    key: bytes | None = None
    applied: Mapping[str, str] = {}
    if options.store or (STATE_FOLDER / FILE_NAME).exists():
        try:
            with Store.open(replace(where(options.store), read_only=True)) as store:
                key = store.signing_key
                applied = store.plans.applied(read_plan(file, key=key).plan.id)
        except JournalUnavailable:
            key = None
    read = read_plan(file, key=key)
    if read.doubt:
        sink_for(sys.stderr).line(f"warning: {read.doubt}", style="yellow")
    with opened(None) as out:
        tell_plan(
            out,
            read.plan,
            options=TextOptions(True, options.diff, options.verbose),
            as_json=options.json,
            applied=applied,
            windows=planned_windows(read.plan, now=datetime.now(UTC)),
        )
        return written(out, ExitCode.IN_ORDER)


def apply_plan(options: RunOptions, file: Path, *, trust: bool) -> ExitCode:
    """Do what a plan says on the hosts for which it still holds."""
    run_id = new_run_id()
    with opened(None) as out:
        try:
            store = Store.open(where(options.store, is_new=options.new_store))
            memory = Memory(store)
            read = _trusted(read_plan(file, key=store.signing_key), file, trust=trust)
            selection = _selected_again(read.plan, options)
            options = _with_what_was_agreed(options, read.plan.made_from)
            names = _wanted(read.plan, selection, limit=options.sources.limit)
            memory.begin(run_id, mode=options.mode, playbooks=selection.playbooks)
        except ConvergeError as error:
            reporter_for(out, options, run=run_id, warnings={}).refuse(error)
            return code_of_refusal(error)
        with memory:
            own = read.plan.key == key_name(store.signing_key)
            keys = Keys.of(store.signing_key, read.plan.id)
            task = Applying(read.plan.id, read.plan.run, {host.host: host for host in read.plan.hosts}, keys, own)
            run = Run(options, selection, out, task=task, memory=memory, run_id=run_id)
            applied = store.plans.applied(read.plan.id)
            planned, others = Sorting(read.plan, task, selection, applied).sorted_out(frozenset(names))
            code = written(out, run.apply_planned(planned, others=others))
            memory.end(code)
        return code


def _with_what_was_agreed(options: RunOptions, made_from: PlannedFrom) -> RunOptions:
    return replace(
        options,
        accept_no_way_back=options.accept_no_way_back or made_from.accept_no_way_back,
        allow_reboot=options.allow_reboot or made_from.allow_reboot,
    )


def _trusted(read: ReadPlan, file: Path, *, trust: bool) -> ReadPlan:
    if read.doubt and not trust:
        raise UsageError(
            f"the plan {file} is not used: {read.doubt}", try_="make a new plan; --trust uses it all the same"
        )
    if read.doubt:
        sink_for(sys.stderr).line(f"warning: {read.doubt}; it is used all the same, as --trust says", style="yellow")
    return read


def _selected_again(plan: SavedPlan, options: RunOptions) -> Selection:
    """What the plan was made from, read again. Raises UsageError where it is another by now."""
    made_from = plan.made_from
    for name, digest in made_from.playbooks.items():
        if _digest(name) != digest:
            raise UsageError(f"the playbook {name} was changed after the plan was made", try_="make a new plan")
    given, needed = set(read_extra_vars(options.sources.extra_vars)), set(made_from.extra_vars)
    if given != needed:
        named = ", ".join(sorted(given ^ needed))
        raise UsageError(
            f"the plan was made with other variables: {named}",
            why="What was given with -e is not kept in the plan: it may be secret.",
            try_=f"give exactly these with -e again: {', '.join(sorted(needed)) or 'none'}",
        )
    return select(
        Sources(
            playbooks=tuple(made_from.playbooks),
            inventories=options.sources.inventories or made_from.inventories,
            limit=made_from.limit,
            tags=frozenset(made_from.tags),
            skip_tags=frozenset(made_from.skip_tags),
            extra_vars=options.sources.extra_vars,
        )
    )


def _wanted(plan: SavedPlan, selection: Selection, *, limit: str | None) -> Sequence[str]:
    names = [host.host for host in plan.hosts]
    if limit is None:
        return names
    allowed = set(selection.inventory.limit(limit))
    chosen = [name for name in names if name in allowed]
    if not chosen:
        raise UsageError(f"no host of the plan matches --limit {limit}", try_="`converge show` lists its hosts")
    return chosen


@dataclass(frozen=True, slots=True)
class Applying(Converging):
    """Does what was planned, and nothing else. `plan` and `planned_run` are the ids of a saved plan and of its run."""

    plan: str
    planned_run: str
    hosts: Mapping[str, HostPlan] = field(repr=False)
    keys: Keys
    comparable: bool  # whether the plan's digests were made with this store's key

    def narrowed(self, host: str) -> Self:
        """What was planned for one host."""
        return replace(self, hosts={host: self.hosts[host]})

    def bring(self, subject: Subject, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Look again, and do it where the plan holds."""
        plans = subject.memory.store.plans
        return apply(
            subject.plays,
            machine=machine,
            rehearse=Rehearsal,
            variables=subject.variables,
            journal=journal,
            options=replace(options, digest_key=self.keys.sensitive),
            approval=Approved(
                self.hosts[subject.host],
                run=journal.run,
                planned_run=self.planned_run,
                key=self.keys.evidence if self.comparable else None,
                claim=lambda run: plans.claim(self.plan, host=subject.host, run=run),
                applied=lambda: plans.holder(self.plan, host=subject.host),
            ),
        )


@dataclass(frozen=True, slots=True)
class Sorting:
    """Tells the hosts of a plan that are to be changed from those of which nobody need look to leave them alone."""

    plan: SavedPlan
    task: Applying
    selection: Selection
    applied: Mapping[str, str]

    def sorted_out(self, names: Collection[str]) -> tuple[list[HostResult], list[HostResult]]:
        """The hosts to be changed, as they were planned, and the results of those that are not."""
        planned, others = [], []
        for host in self.plan.hosts:
            if host.host not in names:
                continue
            problem = self._stale(host, self.applied)
            if problem is not None:
                others.append(HostResult(host.host, Status.STALE, error=problem))
            elif not host.is_to_be_applied:
                others.append(HostResult(host.host, Status.SKIPPED, error=_not_planned(host)))
            else:
                planned.append(HostResult(host.host, host.status, host.changes))
        return planned, others

    def _stale(self, host: HostPlan, applied: Mapping[str, str]) -> Problem | None:
        """Why a host need not be looked at to see that the plan no longer holds for it."""
        if host.host in applied:
            return already_applied(applied[host.host])
        if not host.is_to_be_applied:
            return None
        target = self.selection.targets.get(host.host)
        if target is None:
            return _stale(f"{host.host} is not among the hosts of these plays any more")
        if target.settings.skip:
            return _stale(target.settings.skip)
        if tuple(play.name for play in target.plays) != host.plays:
            return _stale(f"other plays are meant for it by now: {', '.join(play.name for play in target.plays)}")
        if not self.task.comparable:
            return None
        now = variable_digests(self.selection.inventory.variables(host.host), key=self.task.keys.evidence)
        differing = sorted(name for name in {*now, *host.variables} if now.get(name) != host.variables.get(name))
        return _stale(f"these variables are others by now: {', '.join(differing)}") if differing else None


def _stale(why: str) -> Problem:
    return Problem("stale", "this host is no longer as it was planned; it was left alone", why, "make a new plan")


def _not_planned(host: HostPlan) -> Problem:
    if host.error is not None:
        return Problem("not-planned", f"nothing is planned for it: {host.error.what}", try_="make a new plan")
    return Problem("nothing-planned", f"nothing is planned for it: it was {host.status.value}")
