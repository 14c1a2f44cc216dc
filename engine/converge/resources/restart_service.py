"""The kind `restart_service`, a handler: a service and the running services that need it are stopped and started again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from converge.errors import ResourceError
from converge.model.action import AnyAction, StartService, StopService
from converge.model.answer import Answers
from converge.model.change import WayBack
from converge.model.facts import ServiceState, StartMode
from converge.model.names import fold
from converge.model.query import AnyQuery, Service
from converge.model.resource import Resource, State
from converge.windows.fields import ServiceName

MAX_DEPENDENTS = 200


class RestartState(State):
    """Whether the restart that was asked for was done. Looking cannot tell; the engine counts starts."""

    restarted: bool


class RestartService(Resource[RestartState]):
    """Stops the running services that need this one, leaf first, stops and starts it, and starts those again."""

    kind: ClassVar[str] = "restart_service"
    key_fields: ClassVar[tuple[str, ...]] = ("name",)
    settles_within: ClassVar[timedelta] = timedelta(seconds=60)
    handler_only: ClassVar[bool] = True
    way_back_summary: ClassVar[str] = "a restart leaves nothing to undo."
    example: ClassVar[str] = r"""
- name: restart the agent
  restart_service: {name: VendorAgent}
"""

    name: ServiceName = Field(description="The short name, such as SMTPSVC.")

    def queries(self, known: Answers) -> Collection[AnyQuery]:
        """The service, those that need it, those that need them, and so on."""
        asked: dict[AnyQuery, None] = {}
        waiting = [self.name]
        while waiting and len(asked) <= MAX_DEPENDENTS:
            query = Service(waiting.pop())
            if query in asked:
                continue
            asked[query] = None
            facts = known.known(query)
            waiting += facts.dependents if facts else ()
        return tuple(asked)

    def actual_state(self, answers: Answers) -> RestartState:
        """Not restarted yet. Raises Undecided, Unpredictable, and ResourceError for a service that is not there."""
        if answers.value(Service(self.name)) is None:
            raise ResourceError(f"the service {self.name} is not installed")
        return RestartState(restarted=False)

    def desired_state(self, actual: RestartState | None, answers: Answers) -> RestartState:
        """Restarted. Raises ResourceError where a service that runs could not be started again."""
        for name in self.stopping_order(answers):
            self._check_can_start(name, answers)
        self._check_can_start(self.name, answers)
        return RestartState(restarted=True)

    def _check_can_start(self, name: str, answers: Answers) -> None:
        facts = answers.value(Service(name))
        if facts is not None and facts.start_mode is StartMode.DISABLED:
            what = f"the service {name} is disabled: once stopped it could not be started again"
            raise ResourceError(what, try_=f"declare the `start_mode` of {name}, or stop it first")

    def stopping_order(self, answers: Answers) -> tuple[str, ...]:
        """The running services that need this one, each after all that need it. Raises Undecided, Unpredictable."""
        order: list[str] = []
        seen = {fold(self.name)}

        def visit(name: str) -> None:
            facts = answers.value(Service(name))
            for dependent in facts.needed_by() if facts else ():
                if fold(dependent) not in seen:
                    seen.add(fold(dependent))
                    visit(dependent)
            if facts is not None and fold(name) != fold(self.name) and facts.state not in _DOWN:
                order.append(facts.name)

        visit(self.name)
        return tuple(order)

    def actions(self, before: RestartState | None, after: RestartState | None, answers: Answers) -> Sequence[AnyAction]:
        """Stop leaf first, start in the reverse order. Raises Undecided, Unpredictable and ResourceError."""
        if after is None or not after.restarted:
            raise ResourceError("a restart cannot be taken back")
        facts = answers.value(Service(self.name))
        dependents = self.stopping_order(answers)
        stopping = [*dependents, *([self.name] if facts is not None and facts.state not in _DOWN else [])]
        starting = [self.name, *reversed(dependents)]
        return [*(StopService(name) for name in stopping), *(StartService(name) for name in starting)]

    def is_reached(self, answers: Answers) -> bool:
        """Whether the service runs again."""
        facts = answers.value(Service(self.name))
        return facts is not None and facts.state is ServiceState.RUNNING

    def way_back(self, before: RestartState | None, after: RestartState | None) -> WayBack:
        """None, and none is needed: nothing but the running processes is another."""
        return WayBack("none", "a restart leaves nothing to take back")


_DOWN = (ServiceState.STOPPED, ServiceState.STOP_PENDING)
