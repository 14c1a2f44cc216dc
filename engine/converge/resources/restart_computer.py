"""The kind `restart_computer`, a handler: Windows is restarted. Done only where that was explicitly allowed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from pydantic import Field

from converge.errors import ResourceError
from converge.model.action import AnyAction, RestartComputer
from converge.model.answer import Answers
from converge.model.change import WayBack
from converge.model.query import AnyQuery, OperatingSystem
from converge.model.resource import Resource, State
from converge.windows.fields import Duration


class ComputerState(State):
    """Whether the restart that was asked for was done."""

    restarted: bool


class RestartComputerResource(Resource[ComputerState]):
    """Restarts Windows and waits until it answers again. Needs `--allow-reboot`."""

    kind: ClassVar[str] = "restart_computer"
    handler_only: ClassVar[bool] = True
    way_back_summary: ClassVar[str] = "a restart leaves nothing to undo."
    example: ClassVar[str] = r"""
- name: restart Windows
  restart_computer: {timeout: 20 minutes}
"""

    timeout: Duration = Field(1200.0, gt=0, le=86400, description="How long it may take until it answers again.")

    @property
    def address(self) -> str:
        """There is one computer to a host."""
        return self.kind

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """When Windows was started."""
        return (OperatingSystem(),)

    def actual_state(self, answers: Answers) -> ComputerState:
        """Not restarted yet."""
        return ComputerState(restarted=False)

    def desired_state(self, actual: ComputerState | None, answers: Answers) -> ComputerState:
        """Restarted."""
        return ComputerState(restarted=True)

    def actions(self, before: ComputerState | None, after: ComputerState | None, answers: Answers) -> Sequence[AnyAction]:
        """Restart. Raises ResourceError for a restart that would have to be taken back."""
        if after is None or not after.restarted:
            raise ResourceError("a restart cannot be taken back")
        return [RestartComputer(self.timeout)]

    def is_reached(self, answers: Answers) -> bool:
        """Whether Windows answers; the action itself has waited for a later start time."""
        return answers.value(OperatingSystem()) is not None

    def way_back(self, before: ComputerState | None, after: ComputerState | None) -> WayBack:
        """None, and none is needed."""
        return WayBack("none", "a restart leaves nothing to take back")
