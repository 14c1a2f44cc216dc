"""A machine that acts only while its run holds the host's lease."""

from __future__ import annotations

from collections.abc import Callable, Collection

from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.machine import Fronting, Machine
from converge.model.query import AnyQuery


class FencedMachine(Fronting):
    """Asks `confirm` right before each action; what it raises (LeaseLost) keeps the action from being sent."""

    def __init__(self, machine: Machine, *, confirm: Callable[[], None]) -> None:
        super().__init__(machine)
        self._machine = machine
        self._confirm = confirm

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer every query, as the machine does."""
        return self._machine.ask(queries)

    def perform(self, action: AnyAction) -> Performed:
        """Do one thing, as the machine does, or nothing where the lease is lost."""
        self._confirm()
        return self._machine.perform(action)
