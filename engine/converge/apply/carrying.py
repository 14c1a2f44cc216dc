"""Carrying out one resource: decide, perform, look again until it holds, and say what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from converge.apply.changing import Changing, Pending, needs_settling, nothing
from converge.apply.options import StoppedError
from converge.apply.performing import Performer
from converge.errors import ConvergeError, ResourceError
from converge.model.answer import Answers
from converge.model.change import NEEDS_PERSON, NO_WAY_BACK, Change, Problem, Status, WayBack
from converge.model.journal import ActionSettled, OpenAction, PendingHandler
from converge.model.resource import Resource
from converge.plan.answer_cache import gather
from converge.plan.decision import Decision, Label, decide, shown, with_outcome
from converge.plan.state_cache import questions

_NOT_RECORDED = "its values are sensitive, and without CONVERGE_JOURNAL_KEY they are not kept"


def whatever_it_is(_change: Change, _part_of: str) -> bool:
    """Approves every change."""
    return True


@dataclass(slots=True)
class Carrier:
    """Brings resources of one host to their desired states, one after the other."""

    performer: Performer
    open_actions: dict[str, list[OpenAction]] = field(default_factory=dict)
    approves: Callable[[Change, str], bool] = whatever_it_is  # asked before the first action of each change
    changes: int = 0
    due: tuple[str, ...] = ()  # in a rehearsal: what comes before and may do more than can be told
    restarts: list[PendingHandler] = field(default_factory=list)  # of the computer, that commands of this run ask for
    broken_off: tuple[Change, ...] = ()  # what was under way when the host's run ended early, and what became of it

    def look(self, resource: Resource) -> Answers:
        """Everything the resource wants to know, asked where it is not known. Raises HostUnreachable."""
        return gather((partial(questions, resource),), self.performer.cache)

    def apart(self) -> Carrier:
        """In a rehearsal: one that begins where this one stands, and of which nothing is left afterwards."""
        performer = self.performer
        assert performer.rehearsal is not None
        imagined = Performer.in_rehearsal(
            performer.rehearsal.apart(),
            run=performer.journal.run,
            history=performer.journal.history(),
            options=performer.options,
        )
        return Carrier(imagined, self.open_actions, due=self.due)

    def carry_out(self, resource: Resource, label: Label, *, pending: Pending = nothing) -> Change:
        """Decide, and where something differs perform and look again. With its first action `pending` is written down.

        Raises HostUnreachable, JournalUnavailable, StoppedError.
        """
        due = self.due
        change = self._carry_out(resource, label, pending)
        if self.performer.rehearsing and resource.brings_unknown and change.status in _DUE:
            self.due = (*due, resource.brings_unknown)
            if change.status is Status.LATER:
                self._suppose(resource)
        return noted(change, due)

    def _carry_out(self, resource: Resource, label: Label, pending: Pending) -> Change:
        try:
            answers = self.look(resource)
        except ResourceError as error:
            failed = Decision(Status.FAILED, reason=error.what, error=Problem.of(error))
            return shown(resource, failed, label)
        decision = self._as_recordable(decide(resource, answers), label)
        change = shown(resource, decision, label, digest_key=self.performer.options.digest_key)
        if decision.status in (Status.OK, Status.CHANGED) and resource.has_guard:
            self.settle_earlier(change.address, done=decision.status is Status.OK)
        if decision.status is not Status.CHANGED:
            return self._with_gaps(resource, change, answers)
        if resource.needs_person:
            return self._ask_person(resource, change)
        if not decision.actions and (self.performer.rehearsing or decision.after is None):
            return change  # decided after a command that only ran in memory, or on its way by itself
        if not label.part_of and (left := self.performer.options.leaves(change.address)):
            return with_outcome(change, Status.SKIPPED, reason=left)
        if settled := self._settled_by_person(resource, change):
            return settled
        accepted = label.accepted or self.performer.options.accept_no_way_back
        if decision.way_back.must_accept and not accepted:
            what = f"this change has no way back: {decision.way_back.reason}"
            return with_outcome(change, Status.WAITING, error=not_accepted(what, "It was not made."))
        if not self.performer.rehearsing and not self.approves(change, label.part_of):
            return with_outcome(change, Status.FAILED, error=_NOT_PLANNED)
        self.changes += 1
        changing = Changing(self.performer, resource, decision, change, label, self.changes, pending, self.restarts)
        try:
            made = changing.make()
        except (StoppedError, ConvergeError):
            self.broken_off = (changing.cut,) if changing.cut is not None else ()
            raise
        return self._with_gaps(resource, made, answers) if made.status is Status.CHANGED else made

    def _as_recordable(self, decision: Decision, label: Label) -> Decision:
        """A sensitive change that cannot be written down can be taken back by nobody, and the plan says so."""
        if not label.sensitive or decision.status is not Status.CHANGED or self.performer.options.keeps_secrets:
            return decision
        return replace(decision, way_back=WayBack("none", _NOT_RECORDED, must_accept=decision.before is not None))

    def _settled_by_person(self, resource: Resource, change: Change) -> Change | None:
        """What a person says of a command that an earlier run began and whose guard, if it has one, cannot tell."""
        begun = self.open_actions.get(change.address, [])
        if not begun or resource.has_guard:
            return None
        host = self.performer.cache.host
        said = self.performer.options.settle.get(host)
        if said is None:
            what = f"this command was begun in run {begun[-1].run}, which did not see its end: it is not known whether it was done"
            return with_outcome(change, Status.UNKNOWN, error=needs_settling(host, what))
        for earlier in begun:
            self.performer.journal.write(ActionSettled(earlier.run, earlier.action_number, said, "person"))
        if said == "not-done":
            return None
        if self.performer.rehearsing:
            return replace(change, actions=(), reason="a person said that it was done: this will be recorded")
        return with_outcome(change, Status.OK, reason="a person said that it was done")

    def settle_earlier(self, address: str, *, done: bool) -> None:
        """Write down what looking again says of actions whose outcome an earlier run did not learn."""
        for earlier in self.open_actions.get(address, ()):
            said: Literal["done", "not-done"] = "done" if done else "not-done"
            self.performer.journal.write(ActionSettled(earlier.run, earlier.action_number, said))

    def _ask_person(self, resource: Resource, change: Change) -> Change:
        if self.performer.rehearsing:
            self._suppose(resource)
        problem = Problem(NEEDS_PERSON, f"{change.name}: this must be done by a person", "", "do it, then run converge again")
        return with_outcome(change, Status.WAITING, reason="needs a person", error=problem)

    def _suppose(self, resource: Resource) -> None:
        """Hold from now on that it was done, whatever it brings."""
        cache = self.performer.cache
        if self.performer.rehearsal is not None:
            self.performer.rehearsal.suppose(resource.brings_unknown, decides=resource.brings(cache.answers))
        cache.forget_these(tuple(cache.answers))

    def _with_gaps(self, resource: Resource, change: Change, answers: Answers) -> Change:
        if change.status not in (Status.OK, Status.CHANGED):
            return change
        gaps = resource.incomplete(answers)
        if not gaps:
            return change
        problem = Problem("undecided", gaps, "What was found was repaired all the same." if change.actions else "")
        return with_outcome(change, Status.UNDECIDED, error=problem)


_NOT_PLANNED = Problem(
    "not-planned",
    "this change would now differ from the planned one",
    "The host no longer matched the prediction while the plan was applied. This change was not made.",
    "make a new plan",
)


def not_accepted(what: str, why: str) -> Problem:
    """What is told of a change whose loss was not accepted."""
    return Problem(NO_WAY_BACK, what, why, "--accept-no-way-back, if the loss is acceptable")


def noted(change: Change, due: tuple[str, ...]) -> Change:
    """A change, or what is told in place of it, as the host is now, with what may change that before its turn comes."""
    if not due or change.status in _AS_DECLARED:
        return change
    error = change.error
    if error is not None and change.status is Status.FAILED:
        brought = f"if {' or '.join(due)} brings what is missing here, name that under its `provides`"
        error = replace(error, try_="; ".join(text for text in (error.try_, brought) if text))
    return replace(change, may_be_changed_by=due, error=error)


_DUE = (Status.CHANGED, Status.LATER, Status.WAITING)
_AS_DECLARED = (Status.LATER, Status.SKIPPED)
