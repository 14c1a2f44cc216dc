"""The kind `operator_step`: what only a person can do, and how converge sees that it was done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from pydantic import Field

from converge.model.action import AnyAction
from converge.model.answer import Answers
from converge.model.change import WayBack
from converge.model.query import AnyQuery
from converge.model.resource import Resource, State
from converge.windows.conditions import AnyCondition
from converge.windows.provided import Provides


class OperatorStepState(State):
    """Whether the person has done it."""

    done: bool


class OperatorStep(Resource[OperatorStepState]):
    """Something a person must do. Open, it stops the play; check assumes it done for what follows."""

    kind: ClassVar[str] = "operator_step"
    key_fields: ClassVar[tuple[str, ...]] = ("name",)
    needs_person: ClassVar[bool] = True
    way_back_summary: ClassVar[str] = "what a person does is not recorded."
    example: ClassVar[str] = r"""
- operator_step:
    name: Setup has reinstalled Exchange
    instructions: Run Setup and choose Reinstall.
    done_when: {service: {name: RESvc, running: true}}
"""

    name: str = Field(min_length=1, max_length=200, description="What the step is called.")
    instructions: str = Field(min_length=1, max_length=8000, description="What the person is to do, in words.")
    done_when: AnyCondition = Field(description="The condition by which converge sees that it was done.")
    provides: Provides = Field(
        Provides(), description="What it brings: a check cannot tell how that will be, and says so."
    )

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What the condition asks, and what tells the paths of what it provides."""
        return (*self.done_when.queries(known), *self.provides.needed())

    @property
    def brings_unknown(self) -> str:
        """Its name: a person may do more than was asked."""
        return self.name

    def brings(self, known: Answers) -> Collection[AnyQuery]:
        """What it says that it provides, and what its condition asks of."""
        return (*self.done_when.queries(known), *self.provides.questions(known))

    def actual_state(self, answers: Answers) -> OperatorStepState:
        """Whether it was done. Raises Undecided, Unpredictable and ResourceError."""
        return OperatorStepState(done=self.done_when.holds(answers))

    def desired_state(self, actual: OperatorStepState | None, answers: Answers) -> OperatorStepState:
        """Done."""
        return OperatorStepState(done=True)

    def actions(self, before: OperatorStepState | None, after: OperatorStepState | None, answers: Answers) -> Sequence[AnyAction]:
        """None that converge could do."""
        return ()

    def way_back(self, before: OperatorStepState | None, after: OperatorStepState | None) -> WayBack:
        """None: a person did it."""
        return WayBack("none", "a person does it")

    def notes(self, answers: Answers) -> Sequence[str]:
        """The instructions, while it is open."""
        return () if self.done_when.holds(answers) else (self.instructions,)
