"""The kind `procedure`: steps in order, for what is no end state by itself, such as removing and then installing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    model_serializer,
    model_validator,
)

from converge.model.action import AnyAction
from converge.model.answer import Answers
from converge.model.change import WayBack
from converge.model.query import AnyQuery
from converge.model.resource import KINDS, ProcedureResource, Resource, State
from converge.windows.conditions import AnyCondition

MAX_STEPS = 100


class _StepForm(BaseModel):
    """What every step has, whatever its kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", max_length=200, description="What the step is called; its address by default.")

    @model_validator(mode="after")
    def _one_kind(self) -> _StepForm:
        if len(self._said) != 1:
            kinds = ", ".join(sorted(set(type(self).model_fields) - {"name"}))
            raise ValueError(f"a step is one entry with one kind: {kinds}")
        object.__setattr__(self, "name", self.name or self.resource.address)  # frozen, and complete only now
        return self

    @property
    def _said(self) -> list[Resource]:
        values = (getattr(self, name) for name in type(self).model_fields if name != "name")
        return [value for value in values if isinstance(value, Resource)]

    @property
    def resource(self) -> Resource:
        """What the step brings about."""
        return self._said[0]

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"name": self.name, self.resource.kind: self.resource}


@lru_cache(maxsize=1)
def _step_form(names: tuple[str, ...]) -> type[_StepForm]:
    """A step: one field for each kind that may stand among a play's resources, so that errors name the place at fault."""
    kinds: dict[str, Any] = {
        name: (kind | None, Field(None, description=(kind.__doc__ or "").split("\n")[0]))
        for name, kind in ((name, KINDS[name]) for name in names)
        if not kind.handler_only and not issubclass(kind, ProcedureResource)
    }
    return create_model("ProcedureStep", __base__=_StepForm, __module__=__name__, **kinds)


def _step(value: object, _: ValidatorFunctionWrapHandler, info: ValidationInfo) -> _StepForm:
    """One step, of the kinds there are when it is read: other packages bring some."""
    return _step_form(tuple(sorted(KINDS))).model_validate(value, context=info.context)


ProcedureStep = Annotated[_StepForm, WrapValidator(_step)]


class ProcedureState(State):
    """Whether the condition that proves the end holds."""

    done: bool


class Procedure(ProcedureResource):
    """Steps in order, each journaled, resumed at the first unfinished one. Nothing to do where `done_when` holds."""

    kind: ClassVar[str] = "procedure"
    key_fields: ClassVar[tuple[str, ...]] = ("name",)
    state_type: ClassVar[type[State]] = ProcedureState
    settles_within: ClassVar[timedelta] = timedelta(minutes=30)
    way_back_summary: ClassVar[str] = "step by step as far as each step has one; the plan says what has none."
    example: ClassVar[str] = r"""
- procedure:
    name: reinstall SMTP
    needs: [{file: {path: 'D:\i386\Iis4.inf', exists: true}}]
    done_when: {service: {name: SMTPSVC, running: true}}
    steps:
      - name: remove SMTP
        component: {name: iis_smtp, ensure: absent, source: 'D:\i386', provides: {services: [SMTPSVC]}}
      - name: install SMTP
        component: {name: iis_smtp, source: 'D:\i386', provides: {services: [SMTPSVC]}}
      - name: SMTP runs
        service: {name: SMTPSVC, running: true}
"""

    name: str = Field(min_length=1, max_length=200, description="What the procedure is called.")
    needs: tuple[AnyCondition, ...] = Field(
        (),
        max_length=MAX_STEPS,
        description="Conditions, or {that, else}, all of which are checked before the first step.",
    )
    done_when: AnyCondition = Field(description="The condition that proves the end.")
    steps: tuple[ProcedureStep, ...] = Field(
        min_length=1, max_length=MAX_STEPS, description="Entries in order: one kind each, and a name."
    )
    loses: str = Field(
        "", max_length=2000, description="What is lost for good: shown with the plan, and to be accepted explicitly."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Procedure:
        names = [step.name for step in self.steps]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two steps are called {min(twice)!r}: the journal tells them apart by name")
        return self

    @property
    def preconditions(self) -> Sequence[AnyCondition]:
        """All of these are checked before the first step."""
        return self.needs

    @property
    def proof(self) -> AnyCondition:
        """The condition that proves the end."""
        return self.done_when

    @property
    def ordered_steps(self) -> Sequence[_StepForm]:
        """The steps in order."""
        return self.steps

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What the proof and the preconditions ask; a step asks when its turn comes."""
        asked = (query for condition in (self.done_when, *self.needs) for query in condition.queries(known))
        return tuple(dict.fromkeys(asked))

    def actual_state(self, answers: Answers) -> ProcedureState:
        """Whether its end is proved. Raises Undecided, Unpredictable and ResourceError."""
        return ProcedureState(done=self.done_when.holds(answers))

    def desired_state(self, actual: State | None, answers: Answers) -> ProcedureState:
        """Done."""
        return ProcedureState(done=True)

    def actions(self, before: State | None, after: State | None, answers: Answers) -> Sequence[AnyAction]:
        """None of its own: each step has its own, when its turn comes."""
        return ()

    def way_back(self, before: State | None, after: State | None) -> WayBack:
        """The worst of its steps' ways back, and what the playbook says is lost."""
        if self.loses:
            return WayBack("none", self.loses, must_accept=True)
        ways = [(step.name, step.resource.way_back(None, None)) for step in self.ordered_steps]
        for kind in ("none", "partial"):
            worst = [(name, way) for name, way in ways if way.kind == kind]
            if worst:
                reasons = "; ".join(f"{name}: {way.reason}" for name, way in worst)
                return WayBack(kind, reasons, must_accept=any(way.must_accept for _, way in worst))
        return WayBack()
