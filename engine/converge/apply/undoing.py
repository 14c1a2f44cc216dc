"""Taking back what a run did to one host: each recorded before is restored from wherever the host is now, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from converge import __version__
from converge.apply.carrying import Carrier
from converge.apply.changing import ended_by, problem_of
from converge.apply.handlers import RESTART_PENDING, RESTARTS_COMPUTER
from converge.apply.host import by_address, result_of
from converge.apply.manifests import ADDRESS, Tidying, settled
from converge.apply.options import ApplyOptions, StoppedError
from converge.apply.performing import Performer, now_text
from converge.apply.restarts import finish_restart, restarted
from converge.apply.restoring import Restored, backup_path_of, made_on_the_way
from converge.apply.retention import KIND, gone_by_retention
from converge.apply.standing import concerned, left_traces, needed, reverted_by, standing
from converge.errors import ConvergeError, ResourceError, Undecided, Unpredictable
from converge.model.action import AnyAction, action_as_json
from converge.model.change import Change, HostResult, Json, Problem, Status, WayBack
from converge.model.journal import (
    ActionSettled,
    HandlerDone,
    HandlerPending,
    History,
    Journal,
    JournalEvent,
    OpenAction,
    ProcedureReverted,
    RunBegun,
    RunEnded,
    TakingBack,
)
from converge.model.machine import Machine, Observer
from converge.model.phrasing import phrase
from converge.model.recorded import LaterChange, LaterRun, RecordedChange
from converge.model.resource import KINDS, State
from converge.plan.answer_cache import ActingCache, gather
from converge.plan.decision import Decision, Label, decide, shown
from converge.rehearsal.rehearsal import Rehearsal

CHANGED_SINCE = "changed-since"
_LONGEST_STATE = 300  # characters of a state in an error
_STOPPED = Problem("stopped", "the undo was asked to stop", "No action was interrupted.", "run it again")
_NO_LATER: Mapping[str, LaterChange] = MappingProxyType({})


def check_undo(
    recorded: Sequence[RecordedChange],
    *,
    later: Mapping[str, LaterChange] = _NO_LATER,
    since: Sequence[LaterRun] = (),
    history: History,
    observer: Observer,
    run: str,
    options: ApplyOptions,
) -> HostResult:
    """What undo would do to this host, by doing it in memory. Sends only reads. Raises nothing of ConvergeError."""
    began = options.monotonic()
    performer = Performer.in_rehearsal(Rehearsal(observer), run=run, history=history, options=options)
    undoing = _Undoing(Carrier(performer, _begun_by_undos(recorded, later, history)), recorded, later, since, history)
    error = undoing.through() or undoing.refusal()
    if error is None:
        undoing.tidy()
    return result_of(observer, undoing.changes, error=error, seconds=options.monotonic() - began)


def undo(
    recorded: Sequence[RecordedChange],
    *,
    later: Mapping[str, LaterChange] = _NO_LATER,
    since: Sequence[LaterRun] = (),
    machine: Machine,
    journal: Journal,
    options: ApplyOptions,
) -> HostResult:
    """Take these changes, of one run on this host, back. Nothing is begun where one has no way back and that was not accepted.

    `later` is what later runs did last at each address. Where that broke off, any state is taken for its work. `since` are those
    runs with all they did: what concerns a thing that they changed, and that was not taken back, waits.
    Raises nothing of ConvergeError: what went wrong is in the result.
    """
    began = options.monotonic()
    undoing: _Undoing | None = None
    try:
        cache = ActingCache(machine, run=journal.run, backup_folder=options.backup.directory)
        history = journal.history()
        journal.write(RunBegun(journal.run, machine.host, now_text(), __version__, ()))
        journal.write(TakingBack(recorded[0].run if recorded else ""))
        history, idle = _settled(history, recorded, cache=cache, journal=journal)
        rehearsal = Performer.in_rehearsal(Rehearsal(cache), run=journal.run, history=history, options=options)
        rehearsed = _Undoing(Carrier(rehearsal, _begun_by_undos(recorded, later, history)), recorded, later, since, history)
        error = rehearsed.through() or rehearsed.refusal()
        if error is None:
            performer = Performer(cache, journal, options)
            performer.prepare(rehearsal, idle=idle)
            undoing = _Undoing(Carrier(performer, _begun_by_undos(recorded, later, history)), recorded, later, since, history)
            error = undoing.through()
            if error is None:
                undoing.tidy()
        changes = undoing.changes if undoing else []
        status = result_of(machine, changes, error=error, seconds=0.0).status
        journal.write(RunEnded(status.value, now_text()))
    except (StoppedError, ConvergeError) as ended:
        error = problem_of(ended, stopped=_STOPPED)
    if undoing is None and error is not None and not error.unreachable:
        changes = not_reverted(recorded, error.what)
    else:
        changes = undoing.changes if undoing else []
    return result_of(machine, changes, error=error, seconds=options.monotonic() - began)


@dataclass(slots=True)
class _Undoing:
    """One pass through the changes of a run on one host, on the machine or on a rehearsal."""

    carrier: Carrier
    recorded: Sequence[RecordedChange]
    later: Mapping[str, LaterChange]
    since: Sequence[LaterRun]
    history: History
    changes: list[Change] = field(default_factory=list)
    undone: list[RecordedChange] = field(default_factory=list)

    def through(self) -> Problem | None:
        """Newest change first, then the services that the run's handlers restarted. What ends it early is returned."""
        try:
            self._gather()
            for change in _to_revert(self.recorded):
                found, known = self._one(change), len(self.changes) + 1
                self.changes.append(found)
                for place in self._places(change):
                    self.changes.append(place)
                self._settle(change, found=found, places=self.changes[known:])
            for change in self.recorded:
                if self._must_restart(change):
                    self.changes.append(self._restart(change))
            for restart in self.history.restarts:
                self.changes += finish_restart(restart, self.carrier)
            self.changes += self._still_pending()
        except (StoppedError, ConvergeError) as error:
            self.changes += self.carrier.broken_off
            if isinstance(error, StoppedError) or not self.carrier.performer.rehearsing:
                told = {change.address for change in self.changes}
                remaining = (change for change in _to_revert(self.recorded) if change.address not in told)
                self.changes += [_not_begun(change, ended_by(error)) for change in remaining]
            return problem_of(error, stopped=_STOPPED)
        return None

    def tidy(self) -> None:
        """Manifests tell what is kept still, of the run that was taken back and of this one. Raises JournalUnavailable."""
        performer = self.carrier.performer
        self.changes[:] = performer.leave_true_manifests(self.changes)
        run = self.recorded[0].run if self.recorded else ""
        tidying = Tidying(performer, performer.cache, run, performer.moment)
        known = len(performer.performed)
        told = tidying.after_undo(self.recorded, performer.performed) if run else ""
        if told and self.changes:
            self.changes[-1] = replace(self.changes[-1], notes=(*self.changes[-1].notes, told))
        if performer.performed[known:] and not any(change.status is Status.CHANGED for change in self.changes):
            self.changes.append(_tidied(run, performer.performed[known:]))

    def _gather(self) -> None:
        """Ask everything at once, as far as it can be told now."""
        askers = [restored.queries for change in self.recorded if (restored := self._rebuilt(change)[0]) is not None]
        askers += [resource.queries for resource in needed(self._standing())]
        gather(askers, self.carrier.performer.cache)

    def refusal(self) -> Problem | None:
        """Why nothing is begun on this host, if so."""
        lost = [change for change in self.recorded if _left_traces(change) and _no_way_back(change)]
        if not lost or self.carrier.performer.options.accept_no_way_back:
            return None
        named = "; ".join(f"{change.address}: {_no_way_back(change)}" for change in lost)
        many = "1 change has" if len(lost) == 1 else f"{len(lost)} changes have"
        try_ = "--accept-no-way-back takes back the others and leaves these as they are"
        return Problem("no-way-back", f"{many} no way back: {named}", "Nothing was taken back on this host.", try_)

    def _rebuilt(self, change: RecordedChange) -> tuple[Restored | None, Problem | None]:
        if not _left_traces(change):
            return None, None
        if reason := _no_way_back(change):
            return None, Problem("no-way-back", f"no way back: {reason}")
        try:
            by, later = self.carrier.performer.cache.run, self.later.get(change.address)
            return Restored.of(change, by=by, half_done=later is not None and not later.is_over), None
        except ValueError:
            what = "its record cannot be read: it was written by a version of converge with another form of this kind"
            return None, Problem("unreadable-record", what, try_="take it back with that version, or by hand")

    def _one(self, change: RecordedChange) -> Change:
        restored, problem = self._rebuilt(change)
        if restored is None:
            return self._left_alone(change, problem)
        label = _label(change)
        try:
            actual = restored.actual_state(self.carrier.look(restored))
            foreign = self._kept_from(change, restored, actual)
        except (Undecided, Unpredictable, ResourceError):
            foreign = None  # told in the same words where it is decided
        if foreign is not None:
            return shown(restored, foreign, label)
        done = self.carrier.carry_out(restored, label, pending=lambda: self._asked_for(change))
        if done.status is Status.CHANGED:
            self.undone.append(change)
        if done.error is not None and done.error.code == "kept-is-gone":
            records = self.carrier.performer.options.backups()
            if removed := gone_by_retention(backup_path_of(change), records):
                return replace(done, reason=removed.what, error=removed)
        return done

    def _places(self, change: RecordedChange) -> Iterator[Change]:
        """The keys and folders that were made for a change go after it, unless something else lies in them by now."""
        for place in made_on_the_way(change) if not _no_way_back(change) else ():
            restored, _ = self._rebuilt(place)
            if restored is None:
                continue
            status = decide(restored, self.carrier.look(restored)).status
            if status is Status.CHANGED:
                yield self.carrier.carry_out(restored, _label(place))
            elif status is Status.OK:
                self.carrier.settle_earlier(restored.address, done=True)

    def _settle(self, change: RecordedChange, *, found: Change, places: Sequence[Change]) -> None:
        """It is as it was before the run: whether what the run began here was done tells what there was to take back."""
        if found.status not in (Status.OK, Status.CHANGED):
            return
        done = found.status is Status.CHANGED or bool(places)
        for action in change.actions:
            if action.outcome == "unknown":
                settled = ActionSettled(change.run, action.number, "done" if done else "not-done")
                self.carrier.performer.journal.write(settled)

    def _left_alone(self, change: RecordedChange, problem: Problem | None) -> Change:
        lost = problem is not None and problem.code == "no-way-back"
        return Change(
            change.address,
            change.key,
            name=change.name,
            play=change.play,
            status=Status.SKIPPED if lost else Status.FAILED,
            reason=problem.what if problem else None,
            way_back=WayBack("none", _no_way_back(change)) if lost else WayBack(),
            before=change.after,
            after=change.before,
            error=None if lost else problem,
        )

    def _standing(self) -> tuple[RecordedChange, ...]:
        return standing(self.recorded[0].run, self.since) if self.recorded else ()

    def _kept_from(self, change: RecordedChange, restored: Restored, actual: State | None) -> Decision | None:
        """Why the resource is not touched: a later run did something to it that stands, or somebody else changed it."""
        now = actual.as_json() if actual is not None else None
        states = (("before the run", change.before), ("after it", change.after), ("now", now))
        told = "" if change.sensitive else "; ".join(f"{when}: {phrase(state, most=_LONGEST_STATE)}" for when, state in states)
        foreign = restored.is_foreign(actual)
        if actual != restored.was and (undo := reverted_by(change, self.since)):
            return Decision(Status.SKIPPED, reason=f"run {undo} took it back already")
        if (by := self._later_owner(change, now, foreign=foreign)) is not None:
            how = "" if by.address == change.address else f", by {by.address}"
            what = f"run {by.run} changed it after run {change.run}{how}"
            try_ = f"take that back first: converge undo {by.run}"
            if reason := _no_way_back(by):
                try_ = (
                    f"what run {by.run} did there has no way back ({reason}): "
                    f"where it must be as before run {change.run}, change it by hand"
                )
            problem = Problem(CHANGED_SINCE, what, told, try_)
            return Decision(Status.WAITING, reason=what, error=problem)
        if not foreign:
            return None
        what = f"it was changed after run {change.run}, not by any recorded run of converge"
        problem = Problem(CHANGED_SINCE, what, told, "find out who needs it this way; change it by hand")
        return Decision(Status.FAILED, reason=what, error=problem)

    def _later_owner(self, change: RecordedChange, now: Json, *, foreign: bool) -> RecordedChange | None:
        """The newest change of a later run that may be why it is found as it is now, or that is about the same thing."""
        answers = self.carrier.performer.cache.answers
        for by in reversed(self._standing()):
            if by.address == change.address:
                half_done = by.status != Status.CHANGED.value
                if by.after == now or (foreign and change.sensitive) or (half_done and now not in (change.before, change.after)):
                    return by
            elif now != change.before and concerned(change, by, answers):
                return by
        last = self.later.get(change.address)
        if foreign and last is not None and last.after == now:  # an undo of a run before this one
            return replace(change, run=last.run)
        return None

    def _asked_for(self, change: RecordedChange) -> list[JournalEvent]:
        """What must be restarted for this change is pending from its first action on."""
        performer = self.carrier.performer
        since = "" if performer.rehearsing else performer.now().isoformat()
        pending: list[JournalEvent] = [HandlerPending(change.play, name, since) for name in change.notify]
        return [*pending, ProcedureReverted(change.part_of)] if change.part_of else pending

    def _must_restart(self, handler: RecordedChange) -> bool:
        asked = any(_names(handler, change, name) for change in self.undone for name in change.notify)
        return asked and _is_restart(handler) and handler.status == Status.CHANGED.value

    def _still_pending(self) -> list[Change]:
        """What the run did not restart itself is left to the next run of the play: it knows what is to be restarted."""
        restarted = {change.address for change in self.changes if change.address.startswith("handler:")}
        asked = {(change.play, name): None for change in self.undone for name in change.notify}
        return [self._pending(play, name) for play, name in asked if f"handler:{name}" not in restarted]

    def _pending(self, play: str, name: str) -> Change:
        performer = self.carrier.performer
        before = next((item for item in self.history.pending if (item.play, item.handler) == (play, name)), None)
        asking = [change for change in self.recorded if change.play == play and name in change.notify]
        reason = "pending: the next run of its play does it"
        if (
            before is not None
            and before.runs == (self.recorded[0].run,)
            and all(item in self.undone for item in asking)
        ):
            reason = "pending, unless nothing was restarted between the run and this undo: the next run of its play looks"
            if not performer.rehearsing:
                performer.journal.write(HandlerPending(play, name, performer.now().isoformat(), before.first))
        key = {"kind": "handler", "name": name}
        return Change(f"handler:{name}", key, name=name, play=play, status=Status.SKIPPED, reason=reason)

    def _restart(self, handler: RecordedChange) -> Change:
        resource = KINDS[handler.kind].model_validate(handler.declared)
        performer = self.carrier.performer
        name = handler.address.removeprefix("handler:")
        label = Label(handler.name, handler.play, None, address=handler.address)
        if handler.kind == RESTARTS_COMPUTER and not performer.options.allow_reboot:
            return shown(resource, Decision(Status.WAITING, reason=RESTART_PENDING), label)
        return restarted(self.carrier, resource, label, handler=name, done=(HandlerDone(handler.play, name),))


def _settled(
    history: History, recorded: Sequence[RecordedChange], *, cache: ActingCache, journal: Journal
) -> tuple[History, tuple[OpenAction, ...]]:
    """As in apply, of all runs but the one that is taken back: what it left is settled by what is found to be taken back."""
    own = tuple(item for item in history.actions if recorded and item.run == recorded[0].run)
    others = tuple(item for item in history.actions if item not in own)
    rest, idle = settled(replace(history, actions=others), cache, journal)
    return replace(rest, actions=(*own, *rest.actions)), idle


def _begun_by_undos(
    recorded: Sequence[RecordedChange], later: Mapping[str, LaterChange], history: History
) -> dict[str, list[OpenAction]]:
    """Actions of which nobody knows what became, of runs that wanted what is wanted now: looking tells of them."""
    wanted = {place.address: place.before for change in recorded for place in (change, *made_on_the_way(change))}
    found = {}
    for address, actions in by_address(history).items():
        last = later.get(address)
        if address in wanted and last is not None and not last.is_over and last.after == wanted[address]:
            found[address] = [action for action in actions if action.run == last.run]
    return found


def _tidied(run: str, performed: Sequence[AnyAction]) -> Change:
    """That nothing but manifests had to be put right."""
    return Change(
        f"{ADDRESS}:{run}",
        {"kind": ADDRESS, "run": run},
        name="manifests of what is kept",
        play="",
        status=Status.CHANGED,
        reason="a manifest of that run names what is not kept",
        actions=tuple(action_as_json(action) for action in performed),
    )


def _left_traces(change: RecordedChange) -> bool:
    """Whether there may be something to take back: what retention removed is gone for good."""
    return change.kind != KIND and left_traces(change)


def _to_revert(recorded: Sequence[RecordedChange]) -> list[RecordedChange]:
    """The changes of a run of which something may be there still, newest first."""
    return [change for change in reversed(recorded) if _left_traces(change)]


def not_reverted(recorded: Sequence[RecordedChange], ended: str) -> list[Change]:
    """What is told of the changes of a run where nothing was begun, because the undo `ended` early."""
    return [_not_begun(change, ended) for change in _to_revert(recorded)]


def _not_begun(change: RecordedChange, ended: str) -> Change:
    """What is told of a change to which an undo that `ended` early did not come."""
    return Change(
        change.address, change.key, name=change.name, play=change.play, status=Status.SKIPPED,
        reason=f"not begun: {ended}", before=change.after, after=change.before,
    )  # fmt: skip


def _no_way_back(change: RecordedChange) -> str:
    """Why a change cannot be taken back; an empty text where it can."""
    if change.kind not in KINDS:
        return f"this version of converge has no kind {change.kind}"
    if change.way_back.startswith("none"):
        return change.way_back.removeprefix("none").strip(" ()") or "nothing says how"
    if change.sensitive and not change.readable:
        return "its values are sensitive and were not kept, or CONVERGE_JOURNAL_KEY is not set"
    return ""


def _is_restart(change: RecordedChange) -> bool:
    kind = KINDS.get(change.kind)
    return kind is not None and kind.handler_only


def _names(handler: RecordedChange, change: RecordedChange, name: str) -> bool:
    return handler.play == change.play and handler.address == f"handler:{name}"


def _label(change: RecordedChange) -> Label:
    return Label(change.name, change.play, None, change.sensitive, notify=change.notify, part_of=change.part_of)
