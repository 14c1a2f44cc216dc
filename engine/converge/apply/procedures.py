"""Procedures: every precondition before the first step, each step journaled, a broken one resumed where it stopped."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from converge.apply.carrying import Carrier, not_accepted, noted
from converge.apply.changing import Pending, problem_of
from converge.apply.options import StoppedError
from converge.apply.performing import Intents
from converge.errors import ConvergeError, NotConverged, ResourceError, Undecided, Unpredictable
from converge.model.change import Change, Problem, Status, WayBack
from converge.model.journal import History, OpenProcedure, ProcedureBegun, ProcedureEnded, StepBegun, StepEnded
from converge.model.resource import Condition, ProcedureResource, Step
from converge.plan.answer_cache import gather
from converge.plan.decision import Label, refused
from converge.windows.conditions import Need

GOOD = (Status.OK, Status.CHANGED)


def carry_out_procedure(
    carrier: Carrier, procedure: ProcedureResource, label: Label, *, history: History, pending: Pending
) -> Change:
    """Bring a procedure to its end, or say why it stopped and where it will resume.

    Raises HostUnreachable, JournalUnavailable, StoppedError.
    """
    begun = next((item for item in history.procedures if item.address == procedure.address), None)
    due = carrier.due
    return noted(_Procedure(carrier, procedure, label, begun, pending).run(), due)


def _matter(need: Condition) -> str:
    """What is the matter where a need is not met: the playbook's sentence, else what it is that does not hold."""
    return need.describe() if isinstance(need, Need) else f"this is required and not the case: {need.describe()}"


@dataclass(slots=True)
class _Procedure:
    carrier: Carrier
    procedure: ProcedureResource
    label: Label
    begun: OpenProcedure | None
    pending: Pending
    intents: Intents = field(default_factory=Intents)

    def run(self) -> Change:
        try:
            if self.begun is None:
                if self._holds(self.procedure.proof):
                    return self._shown(Status.OK)
                unmet = [_matter(need) for need in self.procedure.preconditions if not self._holds(need)]
                if unmet:
                    problem = Problem("precondition-unmet", "; ".join(unmet), "Nothing was begun.")
                    return self._shown(Status.FAILED, error=problem)
        except Undecided as error:
            undecided = self._shown(Status.UNDECIDED, error=Problem.of(error))
            return replace(undecided, before=refused(error), after=None)
        except Unpredictable as error:
            return self._shown(Status.LATER, reason=error.what)
        except ResourceError as error:
            return self._shown(Status.FAILED, error=Problem.of(error))
        return self._steps()

    def _steps(self) -> Change:
        performer = self.carrier.performer
        if left := performer.options.leaves(self.procedure.address):
            return self._shown(Status.SKIPPED, reason=left)
        destructive = self.procedure.way_back(None, None)
        if destructive.must_accept and self.begun is None and not performer.options.accept_no_way_back:
            return self._not_accepted(f"this procedure has no way back: {destructive.reason}")
        return self._each()

    def _not_accepted(self, what: str) -> Change:
        """It waits for the word. A rehearsal shows its steps all the same, and leaves no trace of them."""
        imagined: tuple[Change, ...] = ()
        if self.carrier.performer.rehearsing:
            apart = replace(self, carrier=self.carrier.apart())._each()
            if apart.status not in (*GOOD, Status.WAITING):
                return apart
            imagined = apart.steps
        return self._shown(Status.WAITING, error=not_accepted(what, "Nothing was begun."), steps=imagined)

    def _each(self) -> Change:
        """Step by step. Raises HostUnreachable, JournalUnavailable, StoppedError.

        Steps in which nothing is to be done, and the beginning, are written down together with the first action that is.
        """
        performer = self.carrier.performer
        steps = self.procedure.ordered_steps
        finished = set(self.begun.finished) if self.begun else set()
        done: list[Change] = []
        with performer.intending() as self.intents:
            if self.begun is None:
                names = tuple(step.name for step in steps)
                self.intents.events.append(ProcedureBegun(self.label.play, self.procedure.address, names))
            for step in steps:
                if step.name in finished:
                    done.append(self._earlier(step))
                    continue
                self.intents.events.append(StepBegun(self.procedure.address, step.name))
                try:
                    change = self._step(step)
                    done.append(change)
                    supposed = performer.rehearsing and change.status in (Status.WAITING, Status.LATER)
                    if change.status not in GOOD and not supposed:
                        return self._stopped(step, change, tuple(done))
                    self._step_ended(step)
                except (StoppedError, ConvergeError) as error:
                    self._broken_off(step, error, done)
                    raise
            try:
                return self._ended(tuple(done))
            except (StoppedError, ConvergeError) as error:
                self._broken_off(None, error, done)
                raise

    @property
    def _is_begun(self) -> bool:
        """Whether the journal says so: from the first action on, or since a person was asked to do something."""
        return self.begun is not None or self.intents.written

    def _step_ended(self, step: Step) -> None:
        ended = StepEnded(self.procedure.address, step.name)
        if self._is_begun:
            self.carrier.performer.journal.write(*self.intents.take(), ended)
        else:
            self.intents.events.append(ended)

    def _broken_off(self, step: Step | None, error: StoppedError | ConvergeError, done: list[Change]) -> None:
        """The steps that were done, and the one under way, for whoever tells how the host's run ended early."""
        if not self._is_begun:
            reason = "the run was stopped" if isinstance(error, StoppedError) else error.what
            change = self._shown(Status.SKIPPED, reason=f"{reason} before its first action: nothing was done")
            self.carrier.broken_off = (change,)
            return
        problem = problem_of(error, stopped=Problem("stopped", "the run was stopped"))
        resumes = f"the step {step.name}; the next run resumes there" if step else "its final check; the next run checks again"
        problem = replace(problem, why="\n".join(part for part in (problem.why, f"It ended at {resumes}.") if part))
        steps = (*done, *self.carrier.broken_off)
        self.carrier.broken_off = (self._shown(Status.FAILED, error=problem, steps=steps),)

    def _step(self, step: Step) -> Change:
        label = replace(
            self.label, name=step.name, accepted=True, part_of=self.procedure.address,
            way_back=self.procedure.way_back(None, None),
        )  # fmt: skip
        return self.carrier.carry_out(step.resource, label, pending=self.pending)

    def _earlier(self, step: Step) -> Change:
        resource = step.resource
        return Change(
            resource.address,
            resource.key,
            name=step.name,
            play=self.label.play,
            status=Status.OK,
            reason="done in an earlier run",
            position=self.label.position,
        )

    def _stopped(self, step: Step, change: Change, done: tuple[Change, ...]) -> Change:
        cause = change.error or Problem(change.status.value, change.reason or change.status.value)
        resumes = f"It stopped at the step {step.name}; the next run resumes there."
        problem = replace(cause, why="\n".join(part for part in (cause.why, resumes) if part))
        if change.status is Status.WAITING:  # a person does it, and then it is under way
            self.carrier.performer.journal.write(*self.intents.take())
        return self._shown(change.status, error=problem, steps=done)

    def _ended(self, done: tuple[Change, ...]) -> Change:
        performer = self.carrier.performer
        if performer.rehearsing:
            person = next((step for step in done if step.status is Status.WAITING), None)
            if person is not None:  # it ends there for now, whatever is done before
                return self._shown(Status.WAITING, error=person.error, steps=done)
            return self._shown(Status.CHANGED, steps=done)
        try:
            self._await_proof()
        except (ResourceError, Undecided) as error:
            return self._shown(Status.FAILED, error=Problem.of(error), steps=done)
        performer.journal.write(*self.intents.take(), ProcedureEnded(self.procedure.address))
        return self._shown(Status.CHANGED, steps=done)

    def _await_proof(self) -> None:
        performer = self.carrier.performer
        proof = self.procedure.proof
        for _ in performer.options.looks(self.procedure.settles_within):
            performer.cache.forget_these(proof.queries(performer.cache.answers))
            if self._holds(proof):
                return
        raise NotConverged(f"every step was done, but this is still not the case: {proof.describe()}")

    def _holds(self, condition: Condition) -> bool:
        return condition.holds(gather((condition.queries,), self.carrier.performer.cache))

    def _shown(
        self,
        status: Status,
        *,
        reason: str | None = None,
        error: Problem | None = None,
        steps: tuple[Change, ...] = (),
    ) -> Change:
        way_back: WayBack = self.procedure.way_back(None, None)
        actions = tuple(action for step in steps for action in step.actions)
        return Change(
            self.procedure.address,
            self.procedure.key,
            name=self.label.name,
            play=self.label.play,
            status=status,
            reason=reason or (error.what if error else None),
            way_back=way_back,
            before={"done": status is Status.OK},
            after={"done": True},
            actions=actions,
            error=error,
            position=self.label.position,
            steps=steps,
        )
