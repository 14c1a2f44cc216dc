"""Saved plans: read, compared with the files they were made from, and carried out where they still hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from converge.apply.host import already_applied, apply
from converge.apply.options import ApplyOptions
from converge.errors import JournalUnavailable, UsageError
from converge.model.change import HostResult, Problem, Status
from converge.model.journal import Journal
from converge.model.machine import Machine
from converge.model.saved_plan import HostPlan, PlannedFrom, SavedPlan
from converge.plan.approval import Approved
from converge.runs.apply import Outcome
from converge.runs.apply import apply as converge_hosts
from converge.runs.check import Checked
from converge.runs.context import Caller, RunContext, opened
from converge.runs.events import Events
from converge.runs.exit_codes import code_of
from converge.runs.extra_vars import read_extra_vars
from converge.runs.options import STATE_FOLDER, RunOptions, Sources
from converge.runs.plan import PlanKeys, digest_of_playbook
from converge.runs.recording import Recorder, recorder_for_changes, where
from converge.runs.selection import Selection, select
from converge.runs.tasks import Converging, Subject
from converge.runs.variable_digests import variable_digests
from converge.store.keys import key_name
from converge.store.plan_files import ReadPlan, read_plan
from converge.store.store import FILE_NAME, Store


@dataclass(frozen=True, slots=True)
class ShownPlan:
    """A plan as it is read only to be shown: what is doubtful about it, and on which hosts it was applied, in which run."""

    read: ReadPlan
    applied: Mapping[str, str] = field(default_factory=dict)


def read_to_show(options: RunOptions, file: Path) -> ShownPlan:
    """Read a plan. Contacts nobody, and makes no store where there is none. Raises UsageError."""
    if options.store or (STATE_FOLDER / FILE_NAME).exists():
        try:
            with Store.open(replace(where(options.store), read_only=True)) as store:
                read = read_plan(file, key=store.signing_key)
                return ShownPlan(read, store.plans.applied(read.plan.id))
        except JournalUnavailable:
            pass
    return ShownPlan(read_plan(file, key=None))


@dataclass(frozen=True, slots=True)
class Applying(Converging):
    """Does what was planned, and nothing else. `planned_run` is the run that made the plan."""

    plan: str
    planned_run: str
    hosts: Mapping[str, HostPlan] = field(repr=False)
    keys: PlanKeys
    comparable: bool  # whether the plan's digests were made with this store's key

    def narrowed(self, host: str) -> Self:
        """What was planned for one host."""
        return replace(self, hosts={host: self.hosts[host]})

    def apply(self, subject: Subject, machine: Machine, *, journal: Journal, options: ApplyOptions) -> HostResult:
        """Check again, and do it where the plan holds."""
        plans = subject.recorder.store.plans
        return apply(
            subject.plays,
            machine=machine,
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
class PlanToApply:
    """A plan that is about to be applied: to which of its hosts, and what is known of the others beforehand.

    `doubt` says what is not right about its signature, where it is used all the same.
    """

    planned: tuple[HostResult, ...]
    others: tuple[HostResult, ...]
    doubt: str = ""


@contextmanager
def applying(
    run: str, options: RunOptions, plan: Path | SavedPlan, *, trust: bool = False, caller: Caller
) -> Iterator[tuple[RunContext, PlanToApply]]:
    """A run that applies a plan, read from a file. Raises UsageError, also for one that is not to be trusted; JournalUnavailable."""
    with ExitStack() as stack:
        recorder = stack.enter_context(recorder_for_changes(options.store, is_new=options.new_store))
        store = recorder.store
        read = ReadPlan(plan) if isinstance(plan, SavedPlan) else read_plan(plan, key=store.signing_key)
        if read.doubt and not trust:
            raise UsageError(
                f"the plan {plan} is not used: {read.doubt}", try_="make a new plan; --trust uses it all the same"
            )
        selection = _selected_again(read.plan, options)
        names = _wanted(read.plan, selection, limit=options.sources.limit)
        recorder.begin(run, mode=options.mode, playbooks=selection.playbooks)
        keys = PlanKeys.of(store.signing_key, read.plan.id)
        own = read.plan.key == key_name(store.signing_key)
        task = Applying(read.plan.id, read.plan.run, {host.host: host for host in read.plan.hosts}, keys, own)
        options = _with_what_was_agreed(options, read.plan.made_from)
        context = stack.enter_context(opened(run, options, selection, task=task, recorder=recorder, caller=caller))
        yield context, _sorted_out(read, names, task=task, selection=selection, recorder=recorder)


def apply_plan(context: RunContext, plan: PlanToApply, checked: Checked) -> Events[Outcome]:
    """Do what was planned, where it still holds. Yields `Ended` of every host of the plan."""
    codes = {code_of(result, checking=False) for result in plan.others}
    for result in plan.others:
        yield from context.ended(result)
    return (yield from converge_hosts(context, replace(checked, codes=checked.codes | codes)))


def _with_what_was_agreed(options: RunOptions, made_from: PlannedFrom) -> RunOptions:
    return replace(
        options,
        accept_no_way_back=options.accept_no_way_back or made_from.accept_no_way_back,
        allow_reboot=options.allow_reboot or made_from.allow_reboot,
    )


def _selected_again(plan: SavedPlan, options: RunOptions) -> Selection:
    """What the plan was made from, read again. Raises UsageError where it is another by now."""
    made_from = plan.made_from
    for name, digest in made_from.playbooks.items():
        if digest_of_playbook(name) != digest:
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


def _wanted(plan: SavedPlan, selection: Selection, *, limit: str | None) -> Collection[str]:
    names = [host.host for host in plan.hosts]
    if limit is None:
        return names
    allowed = set(selection.inventory.limit(limit))
    chosen = [name for name in names if name in allowed]
    if not chosen:
        raise UsageError(f"no host of the plan matches --limit {limit}", try_="`converge show` lists its hosts")
    return chosen


def _sorted_out(
    read: ReadPlan, names: Collection[str], *, task: Applying, selection: Selection, recorder: Recorder
) -> PlanToApply:
    """The hosts to be changed, as they were planned, and the results of those at which nobody need look to leave them alone."""
    applied = recorder.store.plans.applied(read.plan.id)
    planned, others = [], []
    for host in read.plan.hosts:
        if host.host not in names:
            continue
        if host.host in applied:
            others.append(HostResult(host.host, Status.STALE, error=already_applied(applied[host.host])))
        elif not host.is_to_be_applied:
            others.append(HostResult(host.host, Status.SKIPPED, error=_not_planned(host)))
        elif why := _stale(host, task, selection):
            others.append(HostResult(host.host, Status.STALE, error=_is_stale(why)))
        else:
            planned.append(HostResult(host.host, host.status, host.changes))
    return PlanToApply(tuple(planned), tuple(others), read.doubt)


def _stale(host: HostPlan, task: Applying, selection: Selection) -> str:
    """Why a host need not be looked at to see that the plan no longer holds for it; empty where it must be."""
    target = selection.targets.get(host.host)
    if target is None:
        return f"{host.host} is not among the hosts of these plays any more"
    if target.settings.skip:
        return target.settings.skip
    if tuple(play.name for play in target.plays) != host.plays:
        return f"other plays are meant for it by now: {', '.join(play.name for play in target.plays)}"
    if not task.comparable:
        return ""
    now = variable_digests(selection.inventory.variables(host.host), key=task.keys.evidence)
    differing = sorted(name for name in {*now, *host.variables} if now.get(name) != host.variables.get(name))
    return f"these variables are others by now: {', '.join(differing)}" if differing else ""


def _is_stale(why: str) -> Problem:
    return Problem("stale", "this host has changed since it was planned; nothing was done", why, "make a new plan")


def _not_planned(host: HostPlan) -> Problem:
    if host.error is not None:
        return Problem("not-planned", f"nothing is planned for it: {host.error.what}", try_="make a new plan")
    return Problem("nothing-planned", f"nothing is planned for it: it was {host.status.value}")
