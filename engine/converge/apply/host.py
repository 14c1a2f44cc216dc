"""One host from its plays to its result: check on a rehearsal, apply on the machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from converge import __version__
from converge.apply import manifests
from converge.apply.carrying import Carrier, whatever_it_is
from converge.apply.changing import ended_by, problem_of
from converge.apply.options import ApplyOptions, StoppedError
from converge.apply.performing import Performer, now_text
from converge.apply.retention import remove_outdated
from converge.apply.walking import Walk, not_begun
from converge.errors import ConvergeError, JournalUnavailable
from converge.model.change import NO_WAY_BACK, Change, HostResult, Problem, Status, host_status
from converge.model.journal import History, Journal, OpenAction, RunBegun, RunEnded
from converge.model.machine import Machine, Observer
from converge.model.play import Play
from converge.model.saved_plan import Approval
from converge.plan.answer_cache import ActingCache
from converge.rehearsal.rehearsal import Rehearsal

_STOPPED = Problem("stopped", "the run was asked to stop", "No action was interrupted.", "run converge again")


def check(
    plays: Sequence[Play],
    *,
    observer: Observer,
    variables: Mapping[str, object],
    history: History,
    run: str,
    options: ApplyOptions,
) -> HostResult:
    """What apply would do to this host, by doing it in memory. Sends only reads. Raises nothing of ConvergeError."""
    began = options.monotonic()
    walk = _rehearsed(observer, run=run, variables=variables, history=history, options=options)
    error = _through(walk, plays)
    return result_of(observer, walk.changes, error=error, seconds=options.monotonic() - began)


def apply(
    plays: Sequence[Play],
    *,
    machine: Machine,
    variables: Mapping[str, object],
    journal: Journal,
    options: ApplyOptions,
    approval: Approval | None = None,
) -> HostResult:
    """Bring this host to its desired state: look, keep the registry keys to be touched, perform, look again.

    With an `approval` only what was planned is performed, and nothing at all where the plan no longer holds.
    Raises nothing of ConvergeError: what went wrong is in the result.
    """
    began = options.monotonic()
    changes: list[Change] = []
    error: Problem | None = None
    try:
        history = journal.history()
        files = tuple(dict.fromkeys(play.file for play in plays))
        journal.write(RunBegun(journal.run, machine.host, now_text(), __version__, files))
        cache = ActingCache(machine, run=journal.run, backup_folder=options.backup.directory)
        history, idle = manifests.settled(history, cache, journal)
        rehearsed = _rehearsed(cache, run=journal.run, variables=variables, history=history, options=options)
        rehearsed.through(plays)
        # What has become too old since a plan was made is left for another time.
        found = remove_outdated(rehearsed.carrier)
        outdated = [change for change in found if approval is None or approval.allows(change, "")]
        rehearsed.changes += outdated
        if approval is not None and (stale := _stale(approval, rehearsed.changes, cache, run=journal.run)):
            journal.write(RunEnded(Status.STALE.value, now_text()))
            return HostResult(machine.host, Status.STALE, (), machine.round_trips, options.monotonic() - began, stale)
        performer = Performer(cache, journal, options)
        performer.prepare(rehearsed.carrier.performer, idle=idle)
        approves = whatever_it_is if approval is None else _Claiming(approval, journal.run)
        walk = Walk(Carrier(performer, by_address(history), approves), variables, history)
        changes = walk.changes
        error = _through(walk, plays, only=[change.address for change in outdated])
        if error is None:
            walk.changes[:] = performer.leave_true_manifests(walk.changes)
        status = result_of(machine, changes, error=error, seconds=0.0).status
        journal.write(RunEnded(status.value, now_text()))
    except _TakenError as taken:
        error = already_applied(str(taken))
        return HostResult(machine.host, Status.STALE, (), machine.round_trips, options.monotonic() - began, error)
    except (StoppedError, ConvergeError) as ended:
        error = problem_of(ended, stopped=_STOPPED)
        if isinstance(ended, StoppedError | JournalUnavailable):
            changes = changes or not_begun(plays, ended_by(ended))
    return result_of(machine, changes, error=error, seconds=options.monotonic() - began)


def _stale(approval: Approval, changes: Sequence[Change], cache: ActingCache, *, run: str) -> Problem | None:
    """Why a saved plan no longer holds for this host, or was applied to it."""
    if differences := approval.differences(changes, cache.answers):
        why = "\n".join(differences)
        return Problem("stale", "this host has changed since it was planned; nothing was done", why, "make a new plan")
    holder = approval.holder()
    return already_applied(holder) if holder not in ("", run) else None


class _TakenError(Exception):
    """Another run took the saved plan in the meantime; its name."""


@dataclass(slots=True)
class _Claiming:
    """Asked right before each change is begun. The first one takes the plan: a host left alone does not use it up."""

    approval: Approval
    run: str
    has_it: bool = False

    def __call__(self, change: Change, part_of: str) -> bool:
        if not self.approval.allows(change, part_of):
            return False
        if not self.has_it and (holder := self.approval.taken_by(self.run)) != self.run:
            raise _TakenError(holder)
        self.has_it = True
        return True


def already_applied(run: str) -> Problem:
    """Why a plan is not applied a second time."""
    return Problem("already-applied", f"already applied in run {run}", "A plan applies once.", "make a new plan")


def _rehearsed(
    observer: Observer,
    *,
    run: str,
    variables: Mapping[str, object],
    history: History,
    options: ApplyOptions,
) -> Walk:
    performer = Performer.in_rehearsal(Rehearsal(observer), run=run, history=history, options=options)
    return Walk(Carrier(performer, by_address(history)), variables, history)


def _through(walk: Walk, plays: Sequence[Play], *, only: Collection[str] | None = None) -> Problem | None:
    """Walk the plays, then remove what is kept too long, with `only` at these addresses.

    What ends the walk early is returned, and `walk.changes` holds what was done until then.
    """
    try:
        walk.through(plays)
        walk.changes += remove_outdated(walk.carrier, only=only)
    except (StoppedError, ConvergeError) as error:
        return problem_of(error, stopped=_STOPPED)
    return None


def result_of(observer: Observer, changes: Sequence[Change], *, error: Problem | None, seconds: float) -> HostResult:
    """What became of a host: the worst of its changes, or what ended its run early.

    Of a host that was only stopped nothing failed: whether it is as declared is not known. One that needs a word waits.
    """
    status = host_status(tuple(changes))
    if error is not None and error.code == _STOPPED.code:
        status = status if status in (Status.UNKNOWN, Status.FAILED) else Status.UNDECIDED
    elif error is not None and error.code == NO_WAY_BACK:
        status = Status.WAITING
    elif error is not None and status is not Status.UNKNOWN:
        status = Status.UNREACHABLE if error.unreachable and status is not Status.FAILED else Status.FAILED
    return HostResult(observer.host, status, tuple(changes), observer.round_trips, seconds, error)


def by_address(history: History) -> dict[str, list[OpenAction]]:
    """The actions of which nobody knows what became, by the resource of which they are part."""
    found: dict[str, list[OpenAction]] = {}
    for action in history.actions:
        found.setdefault(action.address, []).append(action)
    return found
