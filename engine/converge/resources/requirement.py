"""The kind `requirement`: what must hold and converge will not bring about."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from pydantic import ConfigDict, Field

from converge.errors import ResourceError
from converge.model.action import AnyAction
from converge.model.answer import Answers
from converge.model.query import AnyQuery
from converge.model.resource import Resource, State
from converge.windows.conditions import AnyCondition


class RequirementState(State):
    """Whether the condition holds."""

    holds: bool


class Requirement(Resource[RequirementState]):
    """A condition that must hold. Where it does not, this fails and the play's later entries are skipped."""

    model_config = ConfigDict(populate_by_name=True)
    kind: ClassVar[str] = "requirement"
    key_fields: ClassVar[tuple[str, ...]] = ("name",)
    blocks_play: ClassVar[bool] = True
    way_back_summary: ClassVar[str] = "it changes nothing."
    example: ClassVar[str] = r"""
- requirement:
    name: The fix lies beside the installation files
    that: {file: {path: 'D:\i386\Ims.inf', exists: true}}
    else: copy the fix to D:\i386
"""

    name: str = Field(min_length=1, max_length=200, description="What is required.")
    that: AnyCondition = Field(description="The condition that must hold.")
    else_: str = Field("", alias="else", max_length=2000, description="What to tell a person where it does not.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """What the condition asks."""
        return self.that.queries(known)

    def actual_state(self, answers: Answers) -> RequirementState:
        """Whether it holds. Raises Undecided, Unpredictable and ResourceError."""
        return RequirementState(holds=self.that.holds(answers))

    def desired_state(self, actual: RequirementState | None, answers: Answers) -> RequirementState:
        """Met. Raises ResourceError where it is not."""
        if actual is None or not actual.holds:
            why = f"It is required that {self.that.describe()}."
            raise ResourceError(self.else_ or f"not met: {self.name}", why=why, code="requirement-unmet")
        return actual

    def actions(self, before: RequirementState | None, after: RequirementState | None, answers: Answers) -> Sequence[AnyAction]:
        """None: converge does not bring it about."""
        return ()
