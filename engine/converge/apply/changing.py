"""One change of one resource: from its first action to what was seen afterwards, or to where it was cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from converge.apply.options import StoppedError
from converge.apply.performing import Attempt, Intents, Performer
from converge.errors import (
    ActionRefused,
    ConvergeError,
    HostUnreachable,
    Interrupted,
    JournalUnavailable,
    LeaseLost,
    NotConverged,
    ResourceError,
    Undecided,
)
from converge.model.action import AnyAction, Performed, RestartComputer, RunCommand
from converge.model.answer import Answers
from converge.model.change import Change, Json, Problem, Status
from converge.model.journal import ChangeBegun, ChangeEnded, HandlerDone, HandlerPending, JournalEvent, PendingHandler
from converge.model.phrasing import phrase
from converge.model.resource import Resource, State
from converge.model.secret import Secret
from converge.plan.answer_cache import gather
from converge.plan.decision import Decision, Label, decide, with_outcome
from converge.plan.state_cache import questions

Pending = Callable[[], Iterable[JournalEvent]]
"""What becomes pending with a change, worked out when its first action comes: what need not be asked is not."""


def nothing() -> Iterable[JournalEvent]:
    """A change that asks for nothing."""
    return ()


@dataclass(slots=True)
class Changing:
    """Makes one change, which was decided on. `pending` is written down with its first action."""

    performer: Performer
    resource: Resource
    decision: Decision
    change: Change
    label: Label
    number: int
    pending: Pending
    restarts: list[PendingHandler]  # of the computer, that commands of this run ask for
    cut: Change | None = None  # what became of it, where the host's run ended in the middle of it
    _intents: Intents = field(default_factory=Intents)
    _since: datetime | None = None
    _came_to: Change | None = None  # what is about to be written down

    def make(self) -> Change:
        """What became of it. Raises HostUnreachable, JournalUnavailable, StoppedError: then `cut` says what was done."""
        performer = self.performer
        before = len(performer.attempts)
        with performer.intending() as self._intents:
            try:
                return self._make()
            except (StoppedError, JournalUnavailable, HostUnreachable) as error:
                if performer.rehearsing and not isinstance(error, StoppedError):
                    raise
                planned = [type(action).__name__ for action in self.decision.actions]
                attempts = () if performer.rehearsing else performer.attempts[before:]
                self.cut = self._came_to or cut_by(error, self.change, attempts, planned)
                if isinstance(error, StoppedError):
                    self._end(self.cut.status, None, self.cut.reason or "")
                raise

    def _make(self) -> Change:
        performer, resource = self.performer, self.resource
        try:
            if resource.explains_failures and not performer.rehearsing:
                self._since = performer.now()
            owing = [self._restart_after(action) for action in self.decision.actions]
            self._intents.events += [*self.pending(), self._begun()]
            restarts, sensitive = len(self.restarts), self.label.sensitive
            for action, asks_for in zip(self.decision.actions, owing, strict=True):
                performer.perform(action, change=self.number, address=self.change.address, sensitive=sensitive, asks_for=asks_for)
                if isinstance(action, RestartComputer):
                    self._restarted()
            if not performer.rehearsing and len(self.restarts) <= restarts:
                self._await_reached()
        except (Interrupted, HostUnreachable) as error:
            if performer.rehearsing or not self._intents.written:
                raise
            return self._after_interruption(error)
        except (ActionRefused, ResourceError, Undecided) as error:
            problem = self._explained(error)
            if self.label.sensitive:
                problem = replace(problem, why="")  # the output of a program may quote what it was given
            return self._ended(Status.FAILED, problem)
        return self._reached()

    def _restarted(self) -> None:
        """The computer was restarted: what commands asked for in this run is done."""
        for pending in self.restarts:
            self.performer.journal.write(HandlerDone(pending.play, pending.handler))
        self.restarts.clear()

    def _restart_after(self, action: AnyAction) -> Callable[[Performed], HandlerPending | None]:
        """Makes of a command's end the restart of the computer that it asks for, if it does."""
        performer, label = self.performer, self.label
        if performer.rehearsing or not isinstance(action, RunCommand) or not action.reboot_codes:
            return lambda _: None
        with suppress(Undecided, ResourceError):
            performer.now()  # asked for before the command, so that nothing is asked between its end and the journal

        def asks_for(performed: Performed) -> HandlerPending | None:
            if not performed.reboot_needed:
                return None
            since = ""
            with suppress(Undecided, ResourceError):
                since = performer.now().isoformat()
            command, run = action.title or label.name, performer.journal.run
            name = f"restart after {command}"
            because = f"{command} ended with exit code {performed.code}: the computer must be restarted"
            self.restarts.append(PendingHandler(label.play, name, since, since, (run,), restarts=("",), because=because))
            return HandlerPending(label.play, name, since, restarts=("",), because=because)

        return asks_for

    def _begun(self) -> ChangeBegun:
        resource, decision, change, label = self.resource, self.decision, self.change, self.label
        declared = resource.as_declared()
        way_back = label.way_back if label.way_back and label.way_back.kind == "none" else decision.way_back
        confidential = None
        if label.sensitive:
            states = {"before": _json(decision.before), "after": _json(decision.after), "declared": declared}
            declared, confidential = {}, Secret(json.dumps(states))
        return ChangeBegun(
            self.number,
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
            tuple(type(action).__name__ for action in decision.actions),
            label.position.line if label.position is not None else 0,
        )

    def _end(self, status: Status, found: object, text: str = "") -> None:
        """Write down how it ended. Of what no action was begun of there is nothing to tell, unless it came about by itself."""
        if self._intents.written or status is Status.CHANGED:
            self.performer.journal.write(*self._intents.take(), ChangeEnded(self.number, status.value, found, text))

    def _reached(self, reason: str | None = None) -> Change:
        self._came_to = with_outcome(self.change, Status.CHANGED, reason=reason)
        self._end(Status.CHANGED, self.change.after, reason or "")
        return self._came_to

    def _ended(self, status: Status, problem: Problem) -> Change:
        self._came_to = with_outcome(self.change, status, error=problem)
        self._end(status, None, problem.what)
        return self._came_to

    def _await_reached(self) -> None:
        """Look again until it is reached and has lasted. Raises NotConverged, ResourceError, Undecided.

        What is seen to have failed, and for as long as it would have to last is seen so by every look, is given up.
        """
        options, resource = self.performer.options, self.resource
        lasts = resource.lasts.total_seconds()
        failed_since: float | None = None
        for _ in options.looks(resource.settles_within):
            answers = self._fresh()
            if resource.is_reached(answers):
                break
            if not resource.has_failed(answers):
                failed_since = None
            elif failed_since is None:
                failed_since = options.monotonic()
            elif options.monotonic() - failed_since >= lasts:
                raise NotConverged(self._difference())
        else:
            raise NotConverged(self._difference())
        if lasts > 0:
            options.sleep(lasts)
            if not resource.is_reached(self._fresh()):
                raise NotConverged(f"it was reached, and {lasts:g} s later no longer held: {self._difference()}")

    def _fresh(self) -> Answers:
        cache = self.performer.cache
        cache.forget_these(self.resource.queries(cache.answers))
        return gather((partial(questions, self.resource),), cache)

    def _difference(self) -> str:
        if self.label.sensitive:
            return "verification found another state"
        answers = self.performer.cache.answers
        actual = self.resource.actual_state(answers)
        if actual is not None and actual.as_json() == {"done": False}:
            return "verification shows it was not done"
        wanted = self.resource.desired_state(actual, answers)
        return f"found after the change: {phrase(_json(actual))}. It should be: {phrase(_json(wanted))}"

    def _after_interruption(self, error: Interrupted | HostUnreachable) -> Change:
        """The line broke during an action, or before it was looked at: ask the host again. Nothing is sent twice."""
        if not self.resource.has_guard:
            problem = needs_settling(self.performer.cache.host, f"{error.what}: it is not known whether it was done")
            return self._ended(Status.UNKNOWN, problem)
        try:
            found = decide(self.resource, self._fresh())
        except ResourceError as wrong:
            found = Decision(Status.FAILED, error=Problem.of(wrong))
        except HostUnreachable as silence:
            found = Decision(Status.UNDECIDED, error=Problem.of(silence))
        if found.status is Status.OK:
            self.performer.settle_last()
            return self._reached(f"{error.what}; verification shows it was done")
        if found.status is Status.UNDECIDED and found.error is not None:
            why = _and_then(error, f"It could not be verified: {found.error.what}")
            return self._ended(Status.UNKNOWN, Problem(error.code, error.what, why, "run converge again"))
        if found.error is not None:
            return self._ended(Status.FAILED, found.error)
        why = _and_then(error, f"It was not, or not fully, done, and was not sent a second time: {self._difference()}.")
        return self._ended(Status.FAILED, Problem(error.code, error.what, why, "run converge again to finish it"))

    def _explained(self, error: ConvergeError) -> Problem:
        problem = Problem.of(error)
        if self._since is None or not self.resource.explains_failures:
            return problem
        try:
            queries = self.resource.diagnosis_queries(self._since)
            self.performer.cache.forget_these(queries)
            cause = self.resource.explain(self.performer.cache.ask(queries))
        except (HostUnreachable, Undecided):
            return problem
        return replace(problem, why="\n".join(part for part in (cause, problem.why) if part))


def cut_by(
    error: StoppedError | JournalUnavailable | HostUnreachable,
    change: Change,
    attempts: Sequence[Attempt],
    planned: Sequence[str],
) -> Change:
    """What became of a change in the middle of which this error ended its host's run."""
    problem = STOPPED if isinstance(error, StoppedError) else replace(Problem.of(error), why=error.what)
    return cut_short(change, attempts, planned, ended=ended_by(error), problem=problem)


def problem_of(error: StoppedError | ConvergeError, *, stopped: Problem) -> Problem:
    """What ended the run of a host early, as it is told of the host."""
    return stopped if isinstance(error, StoppedError) else Problem.of(error)


def ended_by(error: StoppedError | ConvergeError) -> str:
    """What ended the run of a host, as the beginning of a sentence."""
    match error:
        case StoppedError():
            return "the run was stopped"
        case HostUnreachable():
            return "the connection was lost"
        case LeaseLost():
            return "another run took this host over"
        case JournalUnavailable():
            return "the journal could not be written"
        case _:
            return error.what


def cut_short(
    change: Change, attempts: Sequence[Attempt], planned: Sequence[str], *, ended: str, problem: Problem
) -> Change:
    """What became of a change in the middle of which its host's run ended: what was done, what was under way, what was not begun.

    `ended` says why, as the beginning of a sentence. Between two actions nothing is in doubt.
    """
    if not attempts:
        return with_outcome(change, Status.SKIPPED, reason=f"{ended} before its first action: nothing was done")
    left = planned[sum(not attempt.on_the_way for attempt in attempts) :]
    last = attempts[-1]
    done = [attempt.name for attempt in attempts if attempt.outcome == "done"]
    parts = [f"Done: {', '.join(done)}."] if done else []
    if last.outcome != "done":
        parts.append(f"{last.name}: {last.text}." if last.text else f"Under way: {last.name}.")
    parts += [f"Not begun: {', '.join(left)}."] if left else []
    status, what = Status.FAILED, f"{ended} in the middle of it"
    if last.outcome == "unknown":
        status, what = Status.UNKNOWN, f"{ended} while {last.name} was under way: it is not known whether it was done"
    elif last.outcome == "refused":
        what = f"{last.name} was refused, and {ended}"
    elif not left:
        status, what = Status.UNKNOWN, f"{ended} before the result was verified"
        parts = ["All was done."]
    why = "\n".join(part for part in (problem.why, " ".join(parts)) if part)
    return with_outcome(change, status, error=replace(problem, what=what, why=why))


STOPPED = Problem("stopped", "", try_="run converge again to finish it, or take the run back")


def needs_settling(host: str, what: str) -> Problem:
    """What is told of a command of which only a person can say whether it was done."""
    try_ = f"check the host, then --settle {host}=done or --settle {host}=not-done"
    return Problem("needs-settling", what, "It has no guard to check, and a command is never sent twice.", try_)


def _and_then(error: ConvergeError, told: str) -> str:
    """Why the connection was lost, and what became of it."""
    return "\n".join(part for part in (error.why, told) if part)


def _json(state: State | None) -> Json:
    return state.as_json() if state is not None else None
