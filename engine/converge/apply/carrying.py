"""Carrying out one resource: decide, perform, look again until it holds, and say what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, Protocol, runtime_checkable

from converge.apply.options import StoppedError
from converge.apply.performing import Performer
from converge.errors import (
    ActionRefused,
    ConvergeError,
    HostUnreachable,
    Interrupted,
    NotConverged,
    ResourceError,
    Undecided,
)
from converge.model.action import AnyAction, Performed, RestartComputer, RunCommand
from converge.model.answer import Answers
from converge.model.change import NEEDS_PERSON, NO_WAY_BACK, Change, Json, Problem, Status, WayBack
from converge.model.journal import (
    ActionSettled,
    ChangeBegun,
    ChangeEnded,
    HandlerOwed,
    HandlerPaid,
    NoJournal,
    OpenAction,
    OpenHandler,
)
from converge.model.machine import RehearsalMachine
from converge.model.query import AnyQuery
from converge.model.resource import Resource, State
from converge.model.secret import Secret
from converge.plan.decision import Decision, Label, decide, shown, with_outcome
from converge.plan.memory import ActingMemory, gather
from converge.plan.recall import questions

_NOT_KEPT = "its values are sensitive, and without CONVERGE_JOURNAL_KEY they are not kept"


@runtime_checkable
class Lasting(Protocol):
    """A kind that must still be in its desired state some time after it was reached."""

    @property
    def lasts(self) -> timedelta:
        """How long after the first look it is looked at once more."""


@runtime_checkable
class Explaining(Protocol):
    """A kind that can say why it failed, by what the host tells of it."""

    def diagnosis_queries(self, since: datetime) -> Sequence[AnyQuery]:
        """What to ask after a failure; `since` is the host's clock before the first action."""

    def explain(self, answers: Answers) -> str:
        """The cause in words, or an empty text."""


@dataclass(slots=True)
class Carrier:
    """Brings resources of one host to their desired states, one after the other."""

    performer: Performer
    open_actions: dict[str, list[OpenAction]] = field(default_factory=dict)
    changes: int = 0
    before_change: Callable[[], None] = lambda: None  # written before the first action: what the change will owe
    approves: Callable[[Change, str], bool] = lambda *_: True  # asked before the first action of each change
    rehearsal: RehearsalMachine | None = (
        None  # where nothing real happens, and what a person or program does is supposed
    )
    due: tuple[str, ...] = ()  # in a rehearsal: what comes before and may do more than can be told
    restarts: list[OpenHandler] = field(default_factory=list)  # of the computer, that commands of this run ask for
    broken_off: tuple[Change, ...] = ()  # what was under way when the host's run ended early, and what became of it

    def look(self, resource: Resource) -> Answers:
        """Everything the resource wants to know, asked where it is not known. Raises HostUnreachable."""
        return gather((partial(questions, resource),), self.performer.memory)

    def apart(self) -> Carrier:
        """In a rehearsal: one that begins where this one stands, and of which nothing is left afterwards."""
        assert self.rehearsal is not None
        performer, rehearsal = self.performer, self.rehearsal.apart()
        memory = ActingMemory(rehearsal, run=performer.memory.run, keeps_in=performer.memory.keeps_in)
        journal = NoJournal(performer.journal.run, performer.journal.history())
        imagined = Performer(memory, journal, performer.options, rehearsing=True)
        return Carrier(imagined, self.open_actions, rehearsal=rehearsal, due=self.due)

    def carry_out(self, resource: Resource, label: Label) -> Change:
        """Decide, and where something differs perform and look again. Raises HostUnreachable, JournalUnavailable, StoppedError."""
        due = self.due
        change = self._carry_out(resource, label)
        if self.performer.rehearsing and resource.brings_unknown and change.status in _DUE:
            self.due = (*due, resource.brings_unknown)
            if change.status is Status.LATER:
                self._suppose(resource)
        return noted(change, due)

    def _carry_out(self, resource: Resource, label: Label) -> Change:
        try:
            answers = self.look(resource)
        except ResourceError as error:
            failed = Decision(Status.FAILED, reason=error.what, error=Problem.of(error))
            return shown(resource, failed, label)
        decision = self._as_kept(decide(resource, answers), label)
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
        return self._perform(resource, decision, change, label, answers)

    def _as_kept(self, decision: Decision, label: Label) -> Decision:
        """A sensitive change that cannot be written down can be taken back by nobody, and the plan says so."""
        if not label.sensitive or decision.status is not Status.CHANGED or self.performer.options.keeps_secrets:
            return decision
        return replace(decision, way_back=WayBack("none", _NOT_KEPT, must_accept=decision.before is not None))

    def _perform(
        self, resource: Resource, decision: Decision, change: Change, label: Label, answers: Answers
    ) -> Change:
        self.changes += 1
        number = self.changes
        performer = self.performer
        since = performer.now() if isinstance(resource, Explaining) and not performer.rehearsing else None
        owing = [self._restart_after(action, label) for action in decision.actions]
        self.before_change()
        self._begin(number, resource, decision, change, label)
        before, restarts = len(performer.performed), len(self.restarts)
        try:
            for action, owes in zip(decision.actions, owing, strict=True):
                performer.perform(action, change=number, address=change.address, sensitive=label.sensitive, owes=owes)
                if isinstance(action, RestartComputer):
                    self._restarted()
            if not performer.rehearsing and len(self.restarts) <= restarts:
                self._await_reached(resource, label)
        except (Interrupted, HostUnreachable) as error:
            if performer.rehearsing:
                raise
            return self._after_interruption(resource, change, error, number, label)
        except StoppedError:
            self.broken_off = (self._stopped(number, change, decision, performer.performed[before:]),)
            raise
        except (ActionRefused, ResourceError, Undecided) as error:
            problem = self._explained(resource, error, since)
            if label.sensitive:
                problem = replace(problem, why="")  # the output of a program may quote what it was given
            self._end(number, Status.FAILED, None, problem.what)
            return with_outcome(change, Status.FAILED, error=problem)
        self._end(number, Status.CHANGED, change.after)
        return self._with_gaps(resource, change, answers)

    def _restarted(self) -> None:
        """The computer was restarted: what commands asked for in this run is done."""
        for owed in self.restarts:
            self.performer.journal.write(HandlerPaid(owed.play, owed.handler))
        self.restarts.clear()

    def _restart_after(self, action: AnyAction, label: Label) -> Callable[[Performed], HandlerOwed | None]:
        """Makes of a command's end the restart of the computer that it asks for, if it does."""
        performer = self.performer
        if performer.rehearsing or not isinstance(action, RunCommand) or not action.reboot_codes:
            return lambda _: None
        with suppress(Undecided, ResourceError):
            performer.now()  # asked for before the command, so that nothing is asked between its end and the journal

        def owes(performed: Performed) -> HandlerOwed | None:
            if not performed.reboot_needed:
                return None
            since = ""
            with suppress(Undecided, ResourceError):
                since = performer.now().isoformat()
            command, run = action.title or label.name, performer.journal.run
            name = f"restart after {command}"
            because = f"{command} ended with exit code {performed.code}: the computer must be restarted"
            self.restarts.append(OpenHandler(label.play, name, since, since, (run,), restarts=("",), because=because))
            return HandlerOwed(label.play, name, since, restarts=("",), because=because)

        return owes

    def _stopped(self, number: int, change: Change, decision: Decision, done: Sequence[AnyAction]) -> Change:
        """What became of a change during which the run was told to stop. Between two actions nothing is in doubt."""
        if not done:
            reason = "the run was stopped before its first action: nothing of it was done"
            self._end(number, Status.SKIPPED, None, reason)
            return with_outcome(change, Status.SKIPPED, reason=reason)
        left = [action for action in decision.actions if action not in done]
        if not left:
            problem = replace(
                _STOPPED, what="the run was stopped before it was seen what came of it", why="All was done."
            )
            return self._ended(change, number, Status.UNKNOWN, problem)
        words = [", ".join(type(action).__name__ for action in actions) for actions in (done, left)]
        problem = replace(_STOPPED, why=f"Done: {words[0]}. Not begun: {words[1]}.")
        return self._ended(change, number, Status.FAILED, problem)

    def _begin(self, number: int, resource: Resource, decision: Decision, change: Change, label: Label) -> None:
        declared = resource.as_declared()
        way_back = label.way_back if label.way_back and label.way_back.kind == "none" else decision.way_back
        confidential = None
        if label.sensitive:
            states = {"before": _json(decision.before), "after": _json(decision.after), "declared": declared}
            declared, confidential = {}, Secret(json.dumps(states))
        self.performer.journal.write(
            ChangeBegun(
                number,
                change.address,
                str(resource.key["kind"]),
                dict(resource.key),
                label.name,
                label.play,
                change.before,
                change.after,
                str(way_back),
                declared,
                confidential,
                label.notify,
                label.part_of,
            )
        )

    def _end(self, number: int, status: Status, found: object, text: str = "") -> None:
        self.performer.journal.write(ChangeEnded(number, status.value, found, text))

    def _await_reached(self, resource: Resource, label: Label) -> None:
        """Look again until it is reached and has lasted. Raises NotConverged, ResourceError, Undecided.

        What is seen to have failed, and for as long as it would have to last is seen so by every look, is given up.
        """
        options = self.performer.options
        lasts = resource.lasts.total_seconds() if isinstance(resource, Lasting) else 0.0
        failed_since: float | None = None
        for _ in options.looks(resource.settles_within):
            answers = self._fresh(resource)
            if resource.is_reached(answers):
                break
            if not resource.has_failed(answers):
                failed_since = None
            elif failed_since is None:
                failed_since = options.monotonic()
            elif options.monotonic() - failed_since >= lasts:
                raise NotConverged(self._difference(resource, label))
        else:
            raise NotConverged(self._difference(resource, label))
        if lasts > 0:
            options.sleep(lasts)
            if not resource.is_reached(self._fresh(resource)):
                raise NotConverged(
                    f"it was reached, and {lasts:g} s later no longer held: {self._difference(resource, label)}"
                )

    def _fresh(self, resource: Resource) -> Answers:
        memory = self.performer.memory
        memory.forget_these(resource.queries(memory.answers))
        return self.look(resource)

    def _difference(self, resource: Resource, label: Label) -> str:
        if label.sensitive:
            return "looking again shows another state"
        answers = self.performer.memory.answers
        actual = resource.actual_state(answers)
        return f"looking again shows {_words(actual)}, not {_words(resource.desired_state(actual, answers))}"

    def _after_interruption(
        self, resource: Resource, change: Change, error: Interrupted | HostUnreachable, number: int, label: Label
    ) -> Change:
        """The line broke during an action, or before it was looked at: ask the host again. Nothing is sent twice."""
        if not resource.has_guard:
            problem = _needs_settling(self.performer.memory.host, f"{error.what}: nobody knows whether it was done")
            return self._ended(change, number, Status.UNKNOWN, problem)
        try:
            found = decide(resource, self._fresh(resource))
        except ResourceError as wrong:
            found = Decision(Status.FAILED, error=Problem.of(wrong))
        except HostUnreachable as silence:
            found = Decision(Status.UNDECIDED, error=Problem.of(silence))
        if found.status is Status.OK:
            reason = "the line broke during an action; looking again shows it was done"
            self.performer.settle_last()
            self._end(number, Status.CHANGED, change.after, reason)
            return with_outcome(change, Status.CHANGED, reason=reason)
        if found.status is Status.UNDECIDED and found.error is not None:
            why = f"Looking again was not possible: {found.error.what}"
            problem = Problem(error.code, error.what, why, "run converge again")
            return self._ended(change, number, Status.UNKNOWN, problem)
        if found.error is not None:
            return self._ended(change, number, Status.FAILED, found.error)
        why = f"It was not, or not fully, done, and was not sent a second time: {self._difference(resource, label)}."
        problem = Problem(error.code, error.what, why, "run converge again to finish it")
        return self._ended(change, number, Status.FAILED, problem)

    def _ended(self, change: Change, number: int, status: Status, problem: Problem) -> Change:
        self._end(number, status, None, problem.what)
        return with_outcome(change, status, error=problem)

    def _explained(self, resource: Resource, error: ConvergeError, since: datetime | None) -> Problem:
        problem = Problem.of(error)
        if since is None or not isinstance(resource, Explaining):
            return problem
        try:
            queries = resource.diagnosis_queries(since)
            self.performer.memory.forget_these(queries)
            cause = resource.explain(self.performer.memory.ask(queries))
        except (HostUnreachable, Undecided):
            return problem
        return replace(problem, why="\n".join(part for part in (cause, problem.why) if part))

    def _settled_by_person(self, resource: Resource, change: Change) -> Change | None:
        """What a person says of a command that an earlier run began and whose guard, if it has one, cannot tell."""
        begun = self.open_actions.get(change.address, [])
        if not begun or resource.has_guard:
            return None
        host = self.performer.memory.host
        said = self.performer.options.settle.get(host)
        if said is None:
            what = f"this command was begun in run {begun[-1].run} and the line broke: nobody knows whether it was done"
            return with_outcome(change, Status.UNKNOWN, error=_needs_settling(host, what))
        for earlier in begun:
            self.performer.journal.write(ActionSettled(earlier.run, earlier.action_number, said, "person"))
        if said == "not-done":
            return None
        if self.performer.rehearsing:
            return replace(change, actions=(), reason="a person said that it was done: that will be written down")
        return with_outcome(change, Status.OK, reason="a person said that it was done")

    def settle_earlier(self, address: str, *, done: bool) -> None:
        """Write down what looking again says of actions whose outcome an earlier run did not learn."""
        for earlier in self.open_actions.get(address, ()):
            said: Literal["done", "not-done"] = "done" if done else "not-done"
            self.performer.journal.write(ActionSettled(earlier.run, earlier.action_number, said))

    def _ask_person(self, resource: Resource, change: Change) -> Change:
        if self.performer.rehearsing:
            self._suppose(resource)
        problem = Problem(NEEDS_PERSON, f"{change.name}: this takes a person", "", "do it, then run converge again")
        return with_outcome(change, Status.WAITING, reason="needs a person", error=problem)

    def _suppose(self, resource: Resource) -> None:
        """Hold from now on that it was done, whatever it brings."""
        memory = self.performer.memory
        if self.rehearsal is not None:
            self.rehearsal.suppose(resource.brings_unknown, decides=resource.brings(memory.answers))
        memory.forget_these(tuple(memory.answers))

    def _with_gaps(self, resource: Resource, change: Change, answers: Answers) -> Change:
        if change.status not in (Status.OK, Status.CHANGED):
            return change
        gaps = resource.incomplete(answers)
        if not gaps:
            return change
        problem = Problem("undecided", gaps, "What was found was repaired all the same." if change.actions else "")
        return with_outcome(change, Status.UNDECIDED, error=problem)


_STOPPED = Problem(
    "stopped", "the run was stopped in the middle of it", try_="run converge again to finish it, or take the run back"
)
_NOT_PLANNED = Problem(
    "not-planned",
    "by now this change would be another than the planned one",
    "The host became another than foretold while the plan was carried out. This change was not made.",
    "make a new plan",
)


def _needs_settling(host: str, what: str) -> Problem:
    try_ = f"look on the host, then --settle {host}=done or --settle {host}=not-done"
    return Problem("needs-settling", what, "It has no guard that could tell, and is never sent twice.", try_)


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


def _words(state: State | None) -> str:
    return "nothing there" if state is None else str(state.as_json())


def _json(state: State | None) -> Json:
    return state.as_json() if state is not None else None
