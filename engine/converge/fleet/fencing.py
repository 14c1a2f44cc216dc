"""A machine that acts only while its run holds the host's lease."""

from __future__ import annotations

from collections.abc import Callable, Collection

from converge.model.action import AnyAction, Performed
from converge.model.answer import Answers
from converge.model.machine import Machine
from converge.model.query import AnyQuery


class FencedMachine:
    """Asks `confirm` right before each action; what it raises (LeaseLost) keeps the action from being sent."""

    def __init__(self, machine: Machine, *, confirm: Callable[[], None]) -> None:
        self._machine = machine
        self._confirm = confirm

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        return self._machine.host

    @property
    def round_trips(self) -> int:
        """How many requests were sent after authentication."""
        return self._machine.round_trips

    def ask(self, queries: Collection[AnyQuery]) -> Answers:
        """Answer every query, as the machine does."""
        return self._machine.ask(queries)

    def perform(self, action: AnyAction) -> Performed:
        """Do one thing, as the machine does, or nothing where the lease is lost."""
        self._confirm()
        return self._machine.perform(action)
